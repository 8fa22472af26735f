//! `run`: the whole search, from a configuration to a trained generator, the best network and the report.

use super::dry_run;
use super::exit::{CommandResult, End};
use super::interrupt::stop_flag;
use super::output::{print, print_json, remark};
use super::progress::Progress;
use super::run_directory::{REPORT_FILE, RunDirectory};
use super::session::Session;
use super::text::{percent, shell_word};
use super::workbench::Workbench;
use crate::config::{Config, DeviceChoice, Override, SpaceKind, differences, split_override};
use crate::generator::GeneratorError;
use crate::oracle::OracleError;
use crate::search::{SearchError, best};
use crate::store::{DirectoryState, Journal, inspect};
use anyhow::bail;
use clap::Args;
use std::path::{Path, PathBuf};

/// Search: learn a distribution of good networks, then train and test the best one
#[derive(Args)]
pub(super) struct RunArguments {
    /// The configuration (TOML); `init` prints one
    config: PathBuf,
    /// Directory for everything that the run leaves [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of every random stream [default: run.seed]
    #[arg(long)]
    seed: Option<u64>,
    /// Take up an interrupted run where it ended
    #[arg(long)]
    resume: bool,
    /// auto, cpu, cuda or cuda:N [default: run.device]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Threads, 0: one for every core; changes no result [default: run.threads]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Replace a value of the configuration, for instance search.budget=96
    #[arg(long, value_name = "KEY=VALUE", value_parser = split_override)]
    set: Vec<Override>,
    /// Say what the run would cost: parameters, multiply-adds, memory, and time and disk from rates measured now
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Print the closing summary as a JSON object
    #[arg(long)]
    json: bool,
    /// No progress, only the closing summary
    #[arg(long)]
    quiet: bool,
}

impl RunArguments {
    /// The configuration with every change that the arguments make.
    fn config(&self) -> anyhow::Result<Config> {
        let named = [
            ("run.seed", self.seed.map(|seed| seed.to_string())),
            ("run.device", self.device.map(|device| device.to_string())),
            ("run.threads", self.threads.map(|threads| threads.to_string())),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?)));
        let overrides: Vec<Override> = self.set.iter().cloned().chain(named).collect();
        Ok(Config::from_file(&self.config, &overrides)?)
    }
}

pub(super) fn execute(arguments: &RunArguments) -> CommandResult {
    let config = arguments.config()?;
    if arguments.dry_run {
        return dry_run::execute(&config, arguments.json);
    }
    let directory = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.run.name));
    let found = find(&directory, &config, arguments.resume)?;
    if let Some(run) = found.as_ref().filter(|run| run.is_complete()) {
        remark(&format!("{} is finished already; nothing was done", directory.display()));
        return finish(arguments, run);
    }
    let stop = stop_flag()?;
    let bench = Workbench::new(&config)?;
    let mut journal = if found.is_some() { Journal::open(&directory)? } else { Journal::create(&directory, &config)? };
    let progress = Progress::new(arguments.quiet, found.as_ref().and_then(best_accuracy));
    progress.remark(&headline(&config, &bench, &directory));
    let session = Session { config: &config, directory: &directory, bench: &bench, progress: &progress, stop: &stop };
    let done = session.run(&mut journal);
    progress.clear();
    let run = RunDirectory::open(&directory)?;
    let done = done.map_err(|error| match device_failed(&error) {
        true => error.context(format!("the device failed; {}; go on with `{}`", run.progress(), resume_command())),
        false => error,
    })?;
    if !done {
        return Ok(End::Interrupted(format!("{}; go on with `{}`", run.progress(), resume_command())));
    }
    finish(arguments, &run)
}

/// What is there already. `None`: a run can begin here.
///
/// # Errors
/// What was found, and what to do, where neither a new nor a resumed run can go on here.
fn find(directory: &Path, config: &Config, resume: bool) -> anyhow::Result<Option<RunDirectory>> {
    let name = directory.display();
    match inspect(directory)? {
        DirectoryState::Vacant => {
            if resume {
                remark(&format!("{name} holds no run yet; a new one begins"));
            }
            return Ok(None);
        }
        DirectoryState::Occupied { example } => {
            bail!("{name} holds other files (such as `{example}`) and no run; name a new directory with --out")
        }
        DirectoryState::Run => {}
    }
    let run = RunDirectory::open(directory)?;
    let different = differences(&run.record.config, config);
    if resume && !different.is_empty() {
        let keys = different.join(", ");
        bail!("{name} holds a run of another configuration, which differs in {keys}; name another directory with --out")
    }
    match &run.record.finished {
        _ if resume => Ok(Some(run)),
        None => bail!(
            "{name} holds an unfinished run ({}); go on with --resume, or name another directory with --out",
            run.progress()
        ),
        Some(end) => bail!(
            "{name} holds a finished run (test accuracy {}); see {name}/{REPORT_FILE}, or name another directory with --out",
            percent(end.test_accuracy)
        ),
    }
}

fn best_accuracy(run: &RunDirectory) -> Option<f64> {
    best(&run.record.candidates)?.outcome.as_ref()?.validation_accuracy
}

/// Whether it was the device that ended the run: everything that was finished before is kept.
fn device_failed(error: &anyhow::Error) -> bool {
    let in_search = |cause: &SearchError| matches!(cause, SearchError::Device { .. });
    let in_training = |cause: &OracleError| matches!(cause, OracleError::Device(_));
    let in_fit = |cause: &GeneratorError| matches!(cause, GeneratorError::Device(_));
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(in_search)
            || cause.downcast_ref().is_some_and(in_training)
            || cause.downcast_ref().is_some_and(in_fit)
    })
}

/// What is about to be done, on what.
fn headline(config: &Config, bench: &Workbench, directory: &Path) -> String {
    let (space, device) = (&config.space, bench.device_facts());
    let networks = match space.kind {
        SpaceKind::Randwire => format!("networks of {} stages of {} nodes", space.stages, space.nodes),
        SpaceKind::Enas => format!("networks of {} layers", space.layers),
        kind => format!("cells of the space {}", kind.name()),
    };
    format!(
        "{}: {} {networks}; {}; {} ({}), threads: {}; into {}",
        config.run.name,
        config.search.budget,
        bench.data_name(),
        if device.name == "cpu" { "CPU" } else { &device.name },
        device.instruction_set,
        device.threads,
        directory.display()
    )
}

fn finish(arguments: &RunArguments, run: &RunDirectory) -> CommandResult {
    let summary = run.summary()?;
    if arguments.json {
        print_json(&summary)?
    } else {
        print(&summary.text())?
    }
    Ok(End::Done)
}

/// This process's command with `--resume`.
fn resume_command() -> String {
    let mut words: Vec<String> = std::env::args_os().map(|word| shell_word(&word.to_string_lossy())).collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    words.join(" ")
}
