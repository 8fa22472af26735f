//! What `doctor` finds out about CUDA.

use crate::device::cuda::{CudaError, Device, Storage, architectures};
use crate::generator::Generator;
use serde::Serialize;
use std::sync::Arc;

/// Bytes of the copies whose speed is measured: more than any cache holds.
const COPY_BYTES: usize = 256 << 20;

const GENERATOR: &str = "generator";

#[derive(Serialize)]
pub(super) struct CudaFindings {
    /// What the kernels in this binary were compiled for; none without kernels.
    kernels: Option<&'static str>,
    device: Option<DeviceFinding>,
    /// Why there is no device.
    remark: Option<String>,
}

#[derive(Serialize)]
struct DeviceFinding {
    name: String,
    emulated: bool,
    compute_capability: String,
    /// CUDA's version that the driver supports.
    driver: String,
    memory_total_mb: usize,
    memory_free_mb: usize,
    /// Of networks one for each precision, and one of the generator.
    self_tests: Vec<SelfTest>,
    /// Reads and writes added up; none on an emulated device.
    copy_gb_per_s: Option<f64>,
}

#[derive(Serialize)]
struct SelfTest {
    /// A precision, or `generator`.
    of: String,
    passed: bool,
    /// Why it failed.
    remark: Option<String>,
}

impl CudaFindings {
    /// Opens the first device and tries it.
    pub fn new() -> CudaFindings {
        let kernels = Some(architectures()).filter(|all| !all.is_empty());
        match Device::open(0).and_then(|device| examine(&device)) {
            Ok(device) => CudaFindings { kernels, device: Some(device), remark: None },
            Err(error) => CudaFindings { kernels, device: None, remark: Some(error.to_string()) },
        }
    }

    /// Whether `auto` takes it, in the default precision; it never takes an emulated one.
    pub fn usable(&self) -> bool {
        let default = |test: &&SelfTest| test.of == GENERATOR || test.of == Storage::F32.to_string();
        let real = self.device.as_ref().filter(|device| !device.emulated);
        real.is_some_and(|device| device.self_tests.iter().filter(default).all(|test| test.passed))
    }

    /// Names and values for people.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let kernels = self.kernels.unwrap_or("none");
        let Some(device) = &self.device else {
            let remark = self.remark.as_deref().unwrap_or_default();
            return vec![("CUDA", format!("not usable; {remark} (kernels in this binary: {kernels})"))];
        };
        let DeviceFinding { name, compute_capability, driver, memory_total_mb, memory_free_mb, .. } = device;
        let tests: Vec<String> = device.self_tests.iter().map(SelfTest::text).collect();
        let copies = match device.copy_gb_per_s {
            Some(rate) => format!("{rate:.0} GB/s, device memory to device memory, reads and writes added up"),
            None => "not measured: the device is emulated, its times mean nothing".into(),
        };
        vec![
            ("CUDA", format!("{name}, compute capability {compute_capability}, driver for CUDA {driver}")),
            ("CUDA kernels", kernels.into()),
            ("CUDA memory", format!("{memory_total_mb} MB, {memory_free_mb} MB free")),
            ("CUDA copies", copies),
            ("self-test", tests.join(", ")),
        ]
    }
}

impl SelfTest {
    fn new(of: &str, result: Result<(), CudaError>) -> SelfTest {
        let remark = result.err().map(|error| error.to_string());
        SelfTest { of: of.into(), passed: remark.is_none(), remark }
    }

    fn text(&self) -> String {
        match &self.remark {
            None => format!("{} passed", self.of),
            Some(remark) => format!("{} failed: {remark}", self.of),
        }
    }
}

fn examine(device: &Arc<Device>) -> Result<DeviceFinding, CudaError> {
    let (free, total) = device.memory()?;
    let (major, minor) = device.compute_capability()?;
    let version = device.driver_version();
    let emulated = device.is_emulated();
    let copy = if emulated { None } else { Some(device.copy_rate(COPY_BYTES)? / 1e9) };
    let of_networks = Storage::ALL.map(|storage| SelfTest::new(&storage.to_string(), device.self_test(storage)));
    let of_generator = SelfTest::new(GENERATOR, Generator::self_test(device));
    Ok(DeviceFinding {
        name: device.name()?,
        emulated,
        compute_capability: format!("{major}.{minor}"),
        driver: format!("{}.{}", version / 1000, version % 1000 / 10),
        memory_total_mb: total / 1_000_000,
        memory_free_mb: free / 1_000_000,
        self_tests: of_networks.into_iter().chain([of_generator]).collect(),
        copy_gb_per_s: copy,
    })
}
