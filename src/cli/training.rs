//! The long training of one network, its single test, and the files it leaves.

use super::files;
use super::output::json_text;
use super::workbench::Workbench;
use crate::config::Config;
use crate::net::{Plan, Weights, weights_to_safetensors};
use crate::oracle::{EpochDone, EpochReport, OracleError, Training, TrainingState, evaluate};
use crate::report::onnx::{onnx, preprocessing};
use crate::space::Architecture;
use anyhow::Context;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// A long training that was interrupted: weights and the optimiser's state after its last whole epoch.
const UNFINISHED: &str = "training.safetensors";

/// Names of a network's files.
pub(super) struct NetworkFiles {
    /// The architecture in the exchange format.
    pub architecture: &'static str,
    /// Its weights.
    pub weights: &'static str,
    /// Both, for inference.
    pub onnx: &'static str,
}

/// The files of a run's best network.
pub(super) const BEST: NetworkFiles =
    NetworkFiles { architecture: "best.json", weights: "best.safetensors", onnx: "best.onnx" };

/// The files of a network that the user named.
pub(super) const NAMED: NetworkFiles =
    NetworkFiles { architecture: "network.json", weights: "network.safetensors", onnx: "network.onnx" };

/// A network that is to be trained on all images but the test part.
pub(super) struct LongTraining<'a> {
    /// `[retrain]` says how.
    pub config: &'a Config,
    pub bench: &'a Workbench,
    pub plan: &'a Plan,
    /// Keys the random streams.
    pub candidate: u64,
    /// Folder of the file that keeps an interrupted training, to go on from.
    pub folder: &'a Path,
}

/// Removes what a training that is done has kept to go on from.
pub(super) fn forget_training(folder: &Path) {
    // Left behind, it is of no harm.
    let _ = std::fs::remove_file(folder.join(UNFINISHED));
}

/// What came of it.
pub(super) struct TrainedNetwork {
    pub weights: Weights,
    /// Mean training loss of every epoch.
    pub losses: Vec<f64>,
    /// Share of the test part that is classified rightly.
    pub test_accuracy: f64,
    /// Wall-clock time of training and test.
    pub seconds: f64,
}

impl LongTraining<'_> {
    /// Trains, from where an interrupted training of the same network stands in the folder, and tests once. `None`: stopped.
    ///
    /// # Errors
    /// A loss that is no number; a file that cannot be written.
    pub fn run(
        &self,
        epoch_done: &mut dyn FnMut(EpochReport),
        stop: &AtomicBool,
    ) -> anyhow::Result<Option<TrainedNetwork>> {
        let start = Instant::now();
        let engine = &self.bench.engine;
        let images = self.bench.images()?;
        let (dataset, splits) = (&images.dataset, &images.splits);
        let (settings, seed) = (&self.config.retrain.training, self.config.run.seed);
        let images = dataset.fraction(&images.all_training_images(), settings.data_fraction, seed);
        let training =
            Training { plan: self.plan, settings, dataset, indices: &images, seed, candidate: self.candidate, engine };
        let path = self.folder.join(UNFINISHED);
        // A file that cannot be read, or is another training's, is written anew.
        let state = std::fs::read(&path).ok().and_then(|bytes| TrainingState::read(&bytes, &training));
        let mut keep = |done: EpochDone| {
            let state = (done.state)()?.to_bytes(&training);
            files::write(&path, &state).map_err(|error| OracleError::NotKept(format!("{error:#}")))?;
            epoch_done(done.report);
            Ok(())
        };
        let Some(trained) = training.run_from(state, &mut keep, stop)? else { return Ok(None) };
        let test = evaluate(self.plan, &trained.weights, (dataset, &splits.test), engine, stop)?;
        Ok(test.map(|test| TrainedNetwork {
            weights: trained.weights,
            losses: trained.losses,
            test_accuracy: test.accuracy,
            seconds: start.elapsed().as_secs_f64(),
        }))
    }
}

/// Writes the architecture.
pub(super) fn write_architecture(
    directory: &Path,
    names: &NetworkFiles,
    architecture: &Architecture,
) -> anyhow::Result<()> {
    files::write(&directory.join(names.architecture), json_text(architecture)?.as_bytes())
}

/// Writes the weights.
pub(super) fn write_weights(directory: &Path, names: &NetworkFiles, weights: &Weights) -> anyhow::Result<()> {
    files::write(&directory.join(names.weights), &weights_to_safetensors(weights, &[]))
}

/// Writes the ONNX file.
pub(super) fn write_onnx(directory: &Path, names: &NetworkFiles, network: &Network) -> anyhow::Result<()> {
    files::write(&directory.join(names.onnx), &network.to_onnx()?)
}

/// A network with its weights, on the data it was trained on.
pub(super) struct Network<'a> {
    pub plan: &'a Plan,
    pub weights: &'a Weights,
    pub bench: &'a Workbench,
}

impl Network<'_> {
    /// The ONNX file, which says how images are to be prepared.
    pub fn to_onnx(&self) -> anyhow::Result<Vec<u8>> {
        let dataset = &self.bench.images()?.dataset;
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        let metadata = preprocessing(&wide(dataset.mean()), &wide(dataset.deviation()), dataset.class_names());
        onnx(self.plan, self.weights, &metadata).context("the ONNX file")
    }
}
