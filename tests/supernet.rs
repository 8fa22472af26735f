//! How well a supernet ranks networks, against the same networks trained alone, on real CIFAR-10 images:
//!
//!     cargo test --release --test supernet -- --ignored --nocapture
//!
//! It takes some minutes, prints every network's two accuracies and their rank correlation (Spearman's rho).

use graphpnas_fast::config::{ClassicalKind, Config};
use graphpnas_fast::data::{Dataset, MemoryImages, Splits};
use graphpnas_fast::net::{ImageShape, Plan};
use graphpnas_fast::oracle::{Engine, OracleError, SupernetOracle, Training, evaluate, lower};
use graphpnas_fast::random::{Purpose, StreamKey};
use graphpnas_fast::space::space_of;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const CONFIG: &str = "[space]\nkind = \"enas\"\nlayers = 6\nchannels = 8\n[search]\nexplorer = [\"uniform\"]\n\
    [oracle]\nkind = \"supernet\"\nepochs = 40\nbatch = 50\nlearning_rate = 0.05\nweight_decay = 2.5e-4\n\
    augmentation = true\nstatistics_images = 2000\n\
    [retrain]\nepochs = 10\nbatch = 50\nlearning_rate = 0.05\nweight_decay = 2.5e-4\naugmentation = true\n";

/// Networks that are ranked.
const NETWORKS: u64 = 20;

/// Records of CIFAR-10's binary version: a label, then 1024 red, green and blue values each.
fn records(name: &str, images: &mut MemoryImages) -> Option<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    for record in std::fs::read(path).ok()?.chunks_exact(3073) {
        images.labels.push(u16::from(record[0]));
        images.pixels.extend((0..1024).flat_map(|pixel| [1, 1025, 2049].map(|plane| record[plane + pixel])));
    }
    Some(())
}

/// The first 2,000 training and 1,000 test images; the latter are the validation images here.
fn cifar10() -> Option<(Dataset, Splits)> {
    let shape = ImageShape { channels: 3, height: 32, width: 32 };
    let (pixels, labels) = (Vec::new(), Vec::new());
    let mut images = MemoryImages { name: "CIFAR-10, part", shape, classes: 10, flip: true, pixels, labels };
    records("cifar10_train_first2000.bin", &mut images)?;
    let train: Vec<u32> = (0..images.labels.len() as u32).collect();
    records("cifar10_test_first1000.bin", &mut images)?;
    let validation: Vec<u32> = (train.len() as u32..images.labels.len() as u32).collect();
    let dataset = Dataset::from_memory(images, &train);
    Some((dataset, Splits { train, validation: validation.clone(), test: validation }))
}

/// Ranks from 1, equal values sharing their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// Spearman's rank correlation: Pearson's of the ranks.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[test]
fn rank_correlations_are_right() {
    assert_eq!(ranks(&[0.3, 0.1, 0.3, 0.2]), [3.5, 1.0, 3.5, 2.0]);
    assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 0.8).abs() <= 1e-12);
    assert!((spearman(&[1.0, 2.0, 3.0], &[9.0, 4.0, 1.0]) + 1.0).abs() <= 1e-12);
}

#[test]
#[ignore = "takes a quarter of an hour or more; run by hand whenever the supernet changes, as above"]
fn the_supernet_ranks_networks_as_their_own_training_does() {
    let Some((dataset, splits)) = cifar10() else {
        println!("skipped: no such data");
        return;
    };
    let (config, dataset) = (Config::from_toml(CONFIG, &[]).unwrap(), Arc::new(dataset));
    let space = space_of(&config).unwrap();
    let go = AtomicBool::new(false);
    let start = Instant::now();
    let mut oracle = SupernetOracle::new(&config, (Arc::clone(&dataset), &splits), 2).unwrap();
    let done = oracle.train(|_, _| Ok::<(), OracleError>(()), &go).unwrap();
    let losses = oracle.losses();
    println!(
        "supernet: {} parameters, {} epochs, loss {:.3} to {:.3}, {:.0} s",
        oracle.trained_parameters(),
        losses.len(),
        losses[0],
        losses[losses.len() - 1],
        start.elapsed().as_secs_f64()
    );
    assert!(done);
    let draw = |candidate| StreamKey { seed: 100, purpose: Purpose::Explore, candidate, epoch: 0 }.stream();
    let plans: Vec<Plan> = (0..NETWORKS)
        .map(|number| space.explore(&mut draw(number), ClassicalKind::Uniform).unwrap())
        .map(|architecture| lower(&architecture, &config.space, &dataset).unwrap())
        .collect();
    let start = Instant::now();
    let shared: Vec<f64> = plans.iter().map(|plan| oracle.score(plan, &go).unwrap().unwrap().accuracy).collect();
    println!("scored {NETWORKS} networks in {:.0} s", start.elapsed().as_secs_f64());

    let alone = Mutex::new(vec![f64::NAN; plans.len()]);
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let work = || {
        while let Some((number, plan)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, plans.get(n)?)))
        {
            let training = Training {
                plan,
                settings: &config.retrain,
                dataset: &dataset,
                indices: &splits.train,
                seed: 7,
                candidate: number as u64,
                engine: &Engine::Cpu { threads: 1 },
            };
            let trained = training.run(&mut |_| (), &go).unwrap().unwrap();
            let images = (&*dataset, &splits.validation[..]);
            let accuracy =
                evaluate(plan, &trained.weights, images, &Engine::Cpu { threads: 1 }, &go).unwrap().unwrap().accuracy;
            alone.lock().unwrap()[number] = accuracy;
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let alone = alone.into_inner().unwrap();
    println!("trained {NETWORKS} networks alone in {:.0} s", start.elapsed().as_secs_f64());
    for (number, plan) in plans.iter().enumerate() {
        let parameters = plan.trained_parameters();
        println!("{number:>2}  {parameters:>6} parameters  shared {:.3}  alone {:.3}", shared[number], alone[number]);
    }
    let rho = spearman(&shared, &alone);
    println!("Spearman's rho over {NETWORKS} networks: {rho:.3}");
    assert!(rho > 0.0, "{rho}");
}
