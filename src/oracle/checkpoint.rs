//! A training between two epochs as a file, to go on from, bit for bit.

use super::Training;
use crate::net::{Tensor, Weights, weights_to_safetensors};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

/// Begins the names of the optimiser's tensors in a file.
const MOMENTUM: &str = "momentum.";

/// In a file's metadata: the mean losses of the epochs that are done.
const LOSSES: &str = "losses";

/// In a file's metadata: which training it is a part of.
const TRAINING: &str = "training";

/// Where a training stands after an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// Weights and running statistics.
    pub weights: Weights,
    /// The optimiser's state: the momentum of every parameter.
    pub momentum: Weights,
    /// Mean training losses of the epochs that are done.
    pub losses: Vec<f64>,
}

impl TrainingState {
    /// As a safetensors file that names its training.
    pub fn to_bytes(&self, training: &Training) -> Vec<u8> {
        self.encode(Some(identity(training)))
    }

    /// What [`to_bytes`](Self::to_bytes) wrote. `None`: the file is another training's, or damaged.
    pub fn read(bytes: &[u8], training: &Training) -> Option<Self> {
        let shapes = training.plan.parameters.iter().map(|shape| (&shape.name[..], &shape.dimensions[..]));
        TrainingState::decode(bytes, Some(identity(training)), shapes)
    }

    /// As a safetensors file, of a training with this name.
    pub(super) fn encode(&self, training: Option<String>) -> Vec<u8> {
        let momentum = self.momentum.tensors.iter();
        let momentum = momentum.map(|tensor| Tensor { name: format!("{MOMENTUM}{}", tensor.name), ..tensor.clone() });
        let tensors = self.weights.tensors.iter().cloned().chain(momentum).collect();
        let losses: Vec<String> = self.losses.iter().map(f64::to_string).collect();
        let metadata = [(LOSSES.to_string(), losses.join(" "))].into_iter();
        let metadata: Vec<(String, String)> =
            metadata.chain(training.map(|training| (TRAINING.to_string(), training))).collect();
        weights_to_safetensors(&Weights { tensors }, &metadata)
    }

    /// What [`encode`](Self::encode) wrote of parameters of these names and dimensions. `None`: the file is another one's, or
    /// damaged.
    pub(super) fn decode<'a>(
        bytes: &[u8],
        training: Option<String>,
        shapes: impl Iterator<Item = (&'a str, &'a [usize])> + Clone,
    ) -> Option<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let metadata = header.metadata().as_ref()?;
        if metadata.get(TRAINING) != training.as_ref() {
            return None;
        }
        let losses = metadata.get(LOSSES)?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let file = SafeTensors::deserialize(bytes).ok()?;
        let tensors = |prefix: &str| {
            let tensors = shapes.clone().map(|(name, dimensions)| tensor(&file, prefix, (name, dimensions)));
            Some(Weights { tensors: tensors.collect::<Option<_>>()? })
        };
        Some(TrainingState { weights: tensors("")?, momentum: tensors(MOMENTUM)?, losses })
    }
}

/// The tensor of a name and these dimensions from a file in which its name begins with `prefix`.
fn tensor(file: &SafeTensors, prefix: &str, (name, dimensions): (&str, &[usize])) -> Option<Tensor> {
    let view = file.tensor(&format!("{prefix}{name}")).ok()?;
    let (elements, rest) = view.data().as_chunks::<4>();
    let whole = view.shape() == dimensions && elements.len() == dimensions.iter().product::<usize>() && rest.is_empty();
    whole.then(|| Tensor {
        name: name.to_string(),
        dimensions: dimensions.to_vec(),
        data: elements.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    })
}

/// Whatever decides a training's result, but for the data set's content and the device.
fn identity(training: &Training) -> String {
    let Training { plan, settings, dataset, indices, seed, candidate, engine: _ } = training;
    let mut hash = Sha256::new();
    hash.update(format!("{plan:?} {settings:?} {} {seed} {candidate}", dataset.name()));
    indices.iter().for_each(|index| hash.update(index.to_le_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TrainingConfig};
    use crate::data::{self, Dataset};
    use crate::graph::Dag;
    use crate::net::{ImageShape, Plan, RandWireShape, randwire};
    use crate::oracle::{Engine, EpochDone};
    use std::sync::atomic::AtomicBool;

    const SMALL: &str = "[data]\nsource = \"synthetic\"\nvalidation_images = 50\ntest_images = 50\n\
        [retrain]\nepochs = 5\nbatch = 50\ndropout = 0.2\nnesterov = true\naugmentation = true\n";

    fn small_data() -> (TrainingConfig, Dataset) {
        let config = Config::from_toml(SMALL, &[]).unwrap();
        let (dataset, _) = data::load(&config.data, 1).unwrap();
        (config.retrain.training, dataset)
    }

    fn small_plan(dataset: &Dataset) -> Plan {
        let ImageShape { channels, height, width } = dataset.shape();
        let shape = RandWireShape {
            image: ImageShape { channels, height, width },
            channels: 6,
            stem_stride: 1,
            second_stem_stride: None,
            stage_strides: vec![2],
            head: 8,
            classes: dataset.classes(),
        };
        randwire(&[Dag::new(3, &[[0, 1], [0, 2], [1, 2]]).unwrap()], &shape)
    }

    #[test]
    fn a_training_goes_on_from_its_file_bit_for_bit_and_from_no_other() {
        let ((settings, dataset), engine) = (small_data(), Engine::Cpu { threads: 1 });
        let plan = small_plan(&dataset);
        let indices: Vec<u32> = (0..130).collect();
        let training = Training {
            plan: &plan,
            settings: &settings,
            dataset: &dataset,
            indices: &indices,
            seed: 3,
            candidate: 4,
            engine: &engine,
        };
        let go = AtomicBool::new(false);
        let mut files = Vec::new();
        let mut keep = |done: EpochDone| {
            files.push((done.state)()?.to_bytes(&training));
            Ok(())
        };
        let whole = training.run_from(None, &mut keep, &go).unwrap().unwrap();
        assert_eq!(files.len(), 5);
        for (number, file) in files.iter().enumerate() {
            let state = TrainingState::read(file, &training).unwrap();
            assert_eq!(state.losses, whole.losses[..=number]);
            let mut epochs = Vec::new();
            let mut count = |done: EpochDone| {
                epochs.push(done.report.epoch);
                Ok(())
            };
            let resumed = training.run_from(Some(state), &mut count, &go).unwrap().unwrap();
            assert!(resumed.weights == whole.weights && resumed.losses == whole.losses, "after epoch {}", number + 1);
            assert_eq!(epochs, (number + 2..=5).collect::<Vec<usize>>());
        }
        let file = &files[2];
        assert_eq!(TrainingState::read(&file[..file.len() - 1], &training), None);
        assert_eq!(TrainingState::read(b"", &training), None);
        let longer = TrainingConfig { epochs: 6, ..settings.clone() };
        let others = [
            Training { seed: 4, ..training },
            Training { candidate: 3, ..training },
            Training { indices: &indices[1..], ..training },
            Training { settings: &longer, ..training },
        ];
        assert!(others.iter().all(|other| TrainingState::read(file, other).is_none()));
    }
}
