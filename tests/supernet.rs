//! How well a supernet ranks networks, against the same networks trained alone, on real CIFAR-10 images:
//!
//!     cargo test --release --test supernet -- --ignored --nocapture
//!
//! It prints every network's two accuracies and their rank correlation (Spearman's rho).

use graphpnas_fast::config::Config;
use graphpnas_fast::data::{self, Dataset, Splits};
use graphpnas_fast::graph::{Dag, LabelledGraph};
use graphpnas_fast::net::Plan;
use graphpnas_fast::oracle::{Engine, Evaluation, OracleError, SupernetOracle, Training, evaluate, lower};
use graphpnas_fast::random::{Purpose, StreamKey};
use graphpnas_fast::space::{Architecture, Space, space_of};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const CONFIG: &str = r#"
[data]
source = "cifar10"
validation_images = 1
[space]
kind = "enas"
layers = 4
channels = 8
[search]
explorer = ["uniform"]
[oracle]
kind = "supernet"
statistics_images = 2000
epochs = 100
batch = 25
learning_rate = 0.1
nesterov = true
weight_decay = 5e-4
gradient_clip = 5.0
label_smoothing = 0.0
augmentation = true
[retrain]
epochs = 60
batch = 25
learning_rate = 0.05
nesterov = true
weight_decay = 5e-4
gradient_clip = 5.0
label_smoothing = 0.0
augmentation = true
"#;

/// Networks that are ranked.
const NETWORKS: usize = 25;

/// Seed of the networks' own trainings.
const SEED: u64 = 7;

/// The first 2,000 training images; the first 1,000 test images are the validation images here.
fn cifar10() -> Option<(Config, Arc<Dataset>, Splits)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = [("data.path".to_string(), folder.canonicalize().ok()?.to_str()?.to_string())];
    let config = Config::from_toml(CONFIG, &path).unwrap();
    let (dataset, splits) = data::load(&config.data, 1).unwrap();
    let train = [splits.train, splits.validation].concat();
    assert_eq!((train.len(), splits.test.len()), (2000, 1000));
    Some((config, Arc::new(dataset), Splits { train, validation: splits.test.clone(), test: splits.test }))
}

/// Distinct random networks, as many of every number of pooling layers: uniform ones are too much alike.
fn networks(space: &dyn Space, layers: usize) -> Vec<Architecture> {
    let network = |number: usize, epoch: u64| {
        let mut stream = StreamKey { seed: 100, purpose: Purpose::Explore, candidate: number as u64, epoch }.stream();
        let mut order: Vec<usize> = (0..layers).collect();
        order.shuffle(&mut stream);
        let mut operators = vec![0; layers];
        let pools = number % (layers + 1);
        for (place, &layer) in order.iter().enumerate() {
            let kinds = if place < pools { 4..6 } else { 0..4 };
            operators[layer] = stream.random_range(kinds);
        }
        let mut dag = Dag::without_edges(layers).unwrap();
        for (from, to) in (2..layers).flat_map(|to| (0..to - 1).map(move |from| (from, to))) {
            if stream.random_bool(0.5) {
                dag.add_edge(from, to);
            }
        }
        space.assemble(vec![LabelledGraph { dag, operators }]).unwrap()
    };
    let mut found: Vec<Architecture> = Vec::with_capacity(NETWORKS);
    for number in 0..NETWORKS {
        let new = (0..).map(|tried| network(number, tried)).find(|network| !found.contains(network));
        found.extend(new);
    }
    found
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

/// What the networks reach by their own training.
fn train_alone(config: &Config, plans: &[Plan], dataset: &Dataset, splits: &Splits) -> Vec<f64> {
    let (next, go) = (AtomicUsize::new(0), AtomicBool::new(false));
    let accuracies = Mutex::new(vec![f64::NAN; plans.len()]);
    let one = |plan: &Plan, candidate: u64| {
        let (settings, indices) = (&config.retrain.training, &splits.train[..]);
        let training =
            Training { plan, settings, dataset, indices, seed: SEED, candidate, engine: &Engine::Cpu { threads: 1 } };
        let trained = training.run(&go).unwrap().unwrap();
        evaluate(plan, &trained.weights, (dataset, &splits.validation), &Engine::Cpu { threads: 1 }, &go)
            .unwrap()
            .unwrap()
            .accuracy
    };
    let work = || {
        while let Some((number, plan)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, plans.get(n)?)))
        {
            let accuracy = one(plan, number as u64);
            accuracies.lock().unwrap()[number] = accuracy;
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    accuracies.into_inner().unwrap()
}

#[test]
#[ignore = "takes 5 to 7 minutes on two cores; run by hand whenever the supernet changes, as above"]
fn the_supernet_ranks_networks_as_their_own_training_does() {
    let Some((config, dataset, splits)) = cifar10() else {
        println!("skipped: no such data");
        return;
    };
    let space = space_of(&config).unwrap();
    let go = AtomicBool::new(false);
    let start = Instant::now();
    let mut oracle =
        SupernetOracle::new(&config, (Arc::clone(&dataset), &splits), &Engine::Cpu { threads: 2 }).unwrap();
    assert!(oracle.train(|_, _| Ok::<(), OracleError>(()), &go).unwrap());
    let losses = oracle.losses();
    println!(
        "supernet: {} parameters, {} epochs, loss {:.3} to {:.3}, {:.0} s",
        oracle.trained_parameters(),
        losses.len(),
        losses[0],
        losses[losses.len() - 1],
        start.elapsed().as_secs_f64()
    );
    let architectures = networks(space.as_ref(), config.space.layers);
    let plans: Vec<Plan> =
        architectures.iter().map(|architecture| lower(architecture, &config.space, &dataset).unwrap()).collect();
    let start = Instant::now();
    let shared: Vec<Evaluation> = plans.iter().map(|plan| oracle.score(plan, &go).unwrap().unwrap()).collect();
    println!("scored {NETWORKS} networks in {:.0} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let alone = train_alone(&config, &plans, &dataset, &splits);
    println!("trained each alone in {:.0} s", start.elapsed().as_secs_f64());
    for ((plan, Evaluation { accuracy, loss, .. }), alone) in plans.iter().zip(&shared).zip(&alone) {
        let parameters = plan.trained_parameters();
        println!("{parameters:>6} parameters  shared {accuracy:.3} (loss {loss:.3})  alone {alone:.3}");
    }
    let rho = spearman(&shared.iter().map(|shared| shared.accuracy).collect::<Vec<f64>>(), &alone);
    let of_losses = spearman(&shared.iter().map(|shared| -shared.loss).collect::<Vec<f64>>(), &alone);
    println!("Spearman's rho over {NETWORKS} networks: {rho:.3}; of the shared networks' losses: {of_losses:.3}");
    assert!(rho > 0.0, "{rho}");
}
