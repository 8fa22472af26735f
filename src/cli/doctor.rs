//! `doctor`: what this machine offers.

mod cuda;

use self::cuda::CudaFindings;
use super::exit::{CommandResult, End};
use super::output::{print, print_json};
use super::workbench::threads;
use crate::config::{DataConfig, DataSource};
use crate::data;
use crate::device::cpu::{InstructionSet, fma_peak};
use crate::report::Host;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// How long the processor's peak is measured.
const PEAK_TIME: Duration = Duration::from_millis(200);

/// Say what devices, kernels, data and memory this machine offers
#[derive(Args)]
pub(super) struct DoctorArguments {
    /// Folder of Fashion-MNIST's files [default: where Debian's package puts them]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Findings {
    program: String,
    host: Host,
    /// What `auto` takes.
    device: &'static str,
    cuda: CudaFindings,
    /// The kernels that are used.
    kernels: String,
    /// All kernels of this build, and whether this processor runs them.
    instruction_sets: Vec<InstructionSetFinding>,
    threads: usize,
    fma_peak_gflop_per_s: f64,
    memory_total_mb: Option<u64>,
    memory_available_mb: Option<u64>,
    data: Vec<DataFinding>,
}

#[derive(Serialize)]
struct InstructionSetFinding {
    name: String,
    available: bool,
}

#[derive(Serialize)]
struct DataFinding {
    source: DataSource,
    usable: bool,
    images: usize,
    /// SHA-256 of the decoded images and labels.
    checksum: Option<String>,
    /// What it is, or why it cannot be used.
    remark: String,
}

pub(super) fn execute(arguments: &DoctorArguments) -> CommandResult {
    let findings = examine(arguments);
    if arguments.json {
        print_json(&findings)?
    } else {
        print(&text(&findings))?
    }
    Ok(End::Done)
}

fn examine(arguments: &DoctorArguments) -> Findings {
    let (set, threads) = (InstructionSet::best(), threads(0));
    let cuda = CudaFindings::new();
    let sets = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable];
    Findings {
        program: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).into(),
        host: Host::detect(),
        device: if cuda.usable() { "cuda" } else { "cpu" },
        cuda,
        kernels: set.to_string(),
        instruction_sets: sets
            .map(|set| InstructionSetFinding { name: set.to_string(), available: set.available() })
            .into(),
        threads,
        fma_peak_gflop_per_s: fma_peak(set, threads, PEAK_TIME) / 1e9,
        memory_total_mb: memory("MemTotal:"),
        memory_available_mb: memory("MemAvailable:"),
        data: vec![
            data(DataSource::Embedded, None, "compiled in: the official test images, split anew"),
            data(DataSource::FashionMnist, arguments.data.clone(), "the official files"),
            data(DataSource::Synthetic, None, "made from the seed, for tests"),
        ],
    }
}

/// Loads a data set, which checks it.
fn data(source: DataSource, path: Option<PathBuf>, what: &str) -> DataFinding {
    let config = DataConfig { path, validation_images: 200, test_images: 200, ..DataConfig::of(source) };
    match data::load(&config, 0) {
        Ok((dataset, _)) => DataFinding {
            source,
            usable: true,
            images: dataset.len(),
            checksum: Some(dataset.checksum().into()),
            remark: what.into(),
        },
        Err(error) => DataFinding { source, usable: false, images: 0, checksum: None, remark: error.to_string() },
    }
}

/// A line of `/proc/meminfo` in MB; `None` where the system has none.
fn memory(line: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = text.lines().find_map(|text| text.strip_prefix(line))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024 / 1_000_000)
}

fn text(findings: &Findings) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<14}{value}");
    };
    let Findings { host, .. } = findings;
    line("program", findings.program.clone());
    line("system", host.system.clone());
    line("device", format!("CPU: {}", host.cpu));
    findings.cuda.lines().into_iter().for_each(|(name, value)| line(name, value));
    line("kernels", kernels(findings));
    line("threads", format!("{} (one a core)", findings.threads));
    line("peak", format!("{:.0} GFLOP/s, f32, measured out of registers", findings.fma_peak_gflop_per_s));
    if let (Some(total), Some(available)) = (findings.memory_total_mb, findings.memory_available_mb) {
        line("memory", format!("{total} MB, {available} MB available"));
    }
    for data in &findings.data {
        line("data", data_text(data));
    }
    text
}

fn kernels(findings: &Findings) -> String {
    let others: Vec<String> = findings
        .instruction_sets
        .iter()
        .filter(|set| set.name != findings.kernels)
        .map(|set| format!("{}: {}", set.name, if set.available { "available" } else { "not on this processor" }))
        .collect();
    format!("{} ({})", findings.kernels, others.join(", "))
}

fn data_text(data: &DataFinding) -> String {
    let source = serde_json::to_value(data.source).ok();
    let source = source.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    match &data.checksum {
        Some(checksum) => {
            let digits = checksum.get(..12).unwrap_or(checksum);
            format!("{source}: ok, {} images ({}), checksum {digits}", data.images, data.remark)
        }
        None => format!("{source}: not usable; {}", data.remark),
    }
}
