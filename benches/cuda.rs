//! The CUDA device: every kernel of a training step, and whole steps of 1, 4, 16 and 64 networks trained together, in the
//! device's own time, beside the floor that bytes and flops make. Without a device it says so.

use criterion::{BenchmarkId, Criterion};
use graphpnas_fast::device::cuda::records::{Chosen, Work};
use graphpnas_fast::device::cuda::{
    Batches, CudaError, Device, KernelTime, Network, NetworkOptions, ResidentBatch, ResidentImages, Step, Storage,
};
use graphpnas_fast::net::Workload;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NETWORKS: [usize; 4] = [1, 4, 16, 64];
const COPY_BYTES: usize = 256 << 20;
/// Steps before anything is measured: the first one loads kernels, the second is captured.
const WARM_UP: usize = 3;
const STEP: Step<'static> = Step {
    learning_rate: 0.1,
    momentum: 0.9,
    nesterov: false,
    weight_decay: 5e-5,
    gradient_clip: None,
    label_smoothing: 0.1,
    dropout: None,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = match Device::open(0) {
        Ok(device) if !device.is_emulated() => device,
        Ok(_) => return skip("the CUDA device is emulated"),
        Err(error) => return skip(&error.to_string()),
    };
    let copy_rate = device.copy_rate(COPY_BYTES)?;
    println!("{}: copies at {:.0} GB/s, reads and writes added up", device.name()?, copy_rate / 1e9);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/workloads/W1.json");
    let workload = Workload::from_json(&std::fs::read_to_string(path)?)?;
    for storage in Storage::ALL {
        for networks in NETWORKS {
            let mut trained = match Trained::new(&device, &workload, networks, storage) {
                Err(error) if error.is_out_of_memory() => {
                    println!("{networks} networks in {storage}: {error}");
                    continue;
                }
                other => other?,
            };
            step(&mut criterion, &device, &mut trained, copy_rate)?;
            if networks == NETWORKS[2] {
                kernels(&mut criterion, &device, &mut trained, copy_rate)?;
            }
        }
    }
    criterion.final_summary();
    Ok(())
}

fn skip(why: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("nothing to measure: {why}");
    Ok(())
}

/// Copies of a workload's network, each with a batch of images on the device.
struct Trained {
    name: String,
    network: Network,
    chosen: Vec<Chosen>,
    labels: Vec<u16>,
}

impl Trained {
    fn new(device: &Arc<Device>, workload: &Workload, networks: usize, storage: Storage) -> Result<Self, CudaError> {
        let (image, batch) = (workload.plan.image, workload.batch);
        let pixels = batch * image.channels * image.height * image.width;
        let pixels: Vec<u8> = (0..pixels).map(|i| (i * 97 % 251) as u8).collect();
        let table = vec![std::array::from_fn(|pixel| pixel as f32 / 64.0 - 2.0); image.channels];
        let images = ResidentImages::new(device, image, &pixels, &table)?;
        let plans = vec![workload.plan.clone(); networks];
        let mut network = Network::new(device, &plans, NetworkOptions { batch, storage })?.on_images(images);
        (0..networks).try_for_each(|number| network.load(number, &workload.weights()))?;
        let view = graphpnas_fast::data::View { padding: 2, top: 1, left: 3, flip: false };
        let chosen = (0..batch as u32).map(|image| Chosen::new(image, view)).collect();
        let name = format!("{}, batch {batch}, {storage}", workload.name);
        let mut trained = Trained { name, network, chosen, labels: workload.labels() };
        (0..WARM_UP).try_for_each(|_| trained.step())?;
        Ok(trained)
    }

    fn networks(&self) -> usize {
        self.network.plans().len()
    }

    /// A training step, from copying the images' numbers to reading the losses.
    fn step(&mut self) -> Result<(), CudaError> {
        let batches = vec![ResidentBatch { chosen: &self.chosen, labels: &self.labels }; self.networks()];
        self.network.train(Batches::Resident(&batches), STEP).map(drop)
    }
}

/// Seconds that bytes take at the speed of a copy.
fn floor(work: Work, copy_rate: f64) -> f64 {
    work.bytes / copy_rate
}

fn line(what: &str, work: Work, seconds: f64, copy_rate: f64) {
    let floor = floor(work, copy_rate);
    println!(
        "{what}: {:.1} us; {:.2} MB, at least {:.1} us ({:.0} %); {:.1} Mflop, {:.0} GFLOP/s",
        seconds * 1e6,
        work.bytes / 1e6,
        floor * 1e6,
        floor / seconds * 100.0,
        work.flops / 1e6,
        work.flops / seconds / 1e9,
    );
}

/// Work and seconds of each kernel in one step.
fn by_kernel(device: &Device, trained: &mut Trained) -> Result<BTreeMap<String, KernelTime>, CudaError> {
    let mut all = BTreeMap::new();
    for KernelTime { kernel, work, seconds } in device.kernel_times(|| trained.step())? {
        let entry = all.entry(kernel.clone()).or_insert(KernelTime { kernel, work: Work::default(), seconds: 0.0 });
        entry.work += work;
        entry.seconds += seconds;
    }
    Ok(all)
}

fn step(criterion: &mut Criterion, device: &Device, trained: &mut Trained, copy_rate: f64) -> Result<(), CudaError> {
    let mut work = Work::default();
    by_kernel(device, trained)?.values().for_each(|kernel| work += kernel.work);
    const STEPS: u32 = 20;
    let seconds = device.time(|| (0..STEPS).try_for_each(|_| trained.step()))? / f64::from(STEPS);
    let (name, networks) = (trained.name.clone(), trained.networks());
    line(&format!("{name}, step of {networks}"), work, seconds, copy_rate);
    criterion.bench_with_input(BenchmarkId::new(format!("{name}, step"), networks), &networks, |bencher, _| {
        bencher.iter_custom(|steps| {
            let seconds = device.time(|| (0..steps).try_for_each(|_| trained.step()));
            Duration::from_secs_f64(seconds.expect("the device works"))
        });
    });
    Ok(())
}

fn kernels(criterion: &mut Criterion, device: &Device, trained: &mut Trained, copy_rate: f64) -> Result<(), CudaError> {
    let networks = trained.networks();
    let name = format!("{} of {networks}", trained.name);
    for (kernel, found) in by_kernel(device, trained)? {
        line(&format!("{name}, {kernel}"), found.work, found.seconds, copy_rate);
        criterion.bench_function(&format!("{name}, {kernel}"), |bencher| {
            bencher.iter_custom(|steps| {
                let mut step =
                    || Ok::<f64, CudaError>(by_kernel(device, trained)?.get(&kernel).map_or(0.0, |k| k.seconds));
                let seconds: Result<f64, CudaError> = (0..steps).map(|_| step()).sum();
                Duration::from_secs_f64(seconds.expect("the device works"))
            });
        });
    }
    Ok(())
}
