//! A training that goes on from what it kept between two epochs.

use crate::support::device;
use graphpnas_fast::config::{Config, DeviceChoice, Precision};
use graphpnas_fast::data;
use graphpnas_fast::graph::Dag;
use graphpnas_fast::oracle::{Engine, EpochDone, Training, TrainingState, lower};
use graphpnas_fast::space::Architecture;
use std::sync::atomic::AtomicBool;

const SMALL: &str = "[data]\nsource = \"synthetic\"\nvalidation_images = 50\ntest_images = 50\n\
    [space]\nnodes = 3\nstages = 1\nchannels = 4\nstem_stride = 2\nhead = 8\n[search]\nws_neighbours = 2\n\
    er_probability = 0.2\nba_edges = 1\n\
    [retrain]\nepochs = 3\nbatch = 16\ndropout = 0.2\naugmentation = true\nnesterov = true\n";

#[test]
fn a_training_goes_on_from_its_file_bit_for_bit() {
    if device().is_none() {
        return;
    }
    let config = Config::from_toml(SMALL, &[]).unwrap();
    let (dataset, splits) = data::load(&config.data, 1).unwrap();
    let architecture = Architecture::RandWire { stages: vec![Dag::new(3, &[[0, 1], [0, 2]]).unwrap()] };
    let plan = lower(&architecture, &config.space, &dataset).unwrap();
    for precision in [Precision::F32, Precision::Bf16] {
        let (engine, why) = Engine::open(DeviceChoice::Cuda(0), precision, 1, |_| Ok(())).unwrap();
        assert_eq!(why, None);
        let training = Training {
            plan: &plan,
            settings: &config.retrain.training,
            dataset: &dataset,
            indices: &splits.train[..40],
            seed: 5,
            candidate: 6,
            engine: &engine,
        };
        let go = AtomicBool::new(false);
        let mut files = Vec::new();
        let mut keep = |done: EpochDone| {
            files.push((done.state)()?.to_bytes(&training));
            Ok(())
        };
        let whole = training.run_from(None, &mut keep, &go).unwrap().unwrap();
        let state = TrainingState::read(&files[1], &training).unwrap();
        assert_eq!(state.losses, whole.losses[..2]);
        let resumed = training.run_from(Some(state), &mut |_| Ok(()), &go).unwrap().unwrap();
        assert!(resumed.weights == whole.weights && resumed.losses == whole.losses, "{precision:?}");
    }
}
