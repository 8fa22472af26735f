//! The low-data oracle: trains a candidate for a few epochs on a part of the training images and scores it on the
//! validation images.

use super::training::{Training, evaluate};
use super::{Oracle, OracleError, Outcome};
use crate::config::{Config, SpaceConfig, TrainingConfig};
use crate::data::{Dataset, Splits};
use crate::graph::Dag;
use crate::net::{
    EnasShape, LayerOperator, NasBench101Shape, Plan, Pooling, RandWireShape, VertexOperator, enas, nasbench101,
    randwire,
};
use crate::space::nasbench101::{Cell101, Operator101, prune};
use crate::space::{Architecture, MacroNetwork};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The network of an architecture on the images of a data set.
///
/// # Errors
/// An architecture without stages, a cell without a path, or one of a space that has no networks.
pub fn lower(architecture: &Architecture, space: &SpaceConfig, dataset: &Dataset) -> Result<Plan, OracleError> {
    match architecture {
        Architecture::RandWire { stages } => lower_randwire(stages, space, dataset),
        Architecture::Enas(network) => Ok(lower_enas(network, space, dataset)),
        Architecture::NasBench101(cell) => lower_nasbench101(cell, space, dataset),
        Architecture::NasBench201(_) | Architecture::Table(_) => Err(OracleError::NoNetwork(architecture.space())),
    }
}

/// Every stage halves the image.
fn lower_randwire(stages: &[Dag], space: &SpaceConfig, dataset: &Dataset) -> Result<Plan, OracleError> {
    if stages.is_empty() {
        return Err(OracleError::NoStages);
    }
    let shape = RandWireShape {
        image: dataset.shape(),
        channels: space.channels,
        stem_stride: space.stem_stride,
        second_stem_stride: (space.second_stem_stride > 0).then_some(space.second_stem_stride),
        stage_strides: vec![2; stages.len()],
        head: space.head,
        classes: dataset.classes(),
    };
    Ok(randwire(stages, &shape))
}

fn lower_enas(network: &MacroNetwork, space: &SpaceConfig, dataset: &Dataset) -> Plan {
    // The order of `space::enas::OPERATORS`.
    const OPERATORS: [LayerOperator; 6] = [
        LayerOperator::Convolution(3),
        LayerOperator::Separable(3),
        LayerOperator::Convolution(5),
        LayerOperator::Separable(5),
        LayerOperator::Pool(Pooling::Average),
        LayerOperator::Pool(Pooling::Max),
    ];
    let operators: Vec<LayerOperator> =
        network.operators().iter().map(|&number| OPERATORS[usize::from(number)]).collect();
    let shape = EnasShape { image: dataset.shape(), channels: space.channels, classes: dataset.classes() };
    enas(&operators, network.skips(), &shape)
}

fn lower_nasbench101(cell: &Cell101, space: &SpaceConfig, dataset: &Dataset) -> Result<Plan, OracleError> {
    let cell = prune(cell).ok_or(OracleError::NoPath)?;
    let operators: Vec<VertexOperator> = cell.operators().iter().filter_map(vertex_operator).collect();
    let shape = NasBench101Shape {
        image: dataset.shape(),
        channels: space.channels,
        stacks: space.stacks,
        cells: space.cells,
        classes: dataset.classes(),
    };
    Ok(nasbench101(cell.dag(), &operators, &shape))
}

/// The operator of a vertex between input and output.
fn vertex_operator(operator: &Operator101) -> Option<VertexOperator> {
    match operator {
        Operator101::Conv3x3 => Some(VertexOperator::Convolution3x3),
        Operator101::Conv1x1 => Some(VertexOperator::Convolution1x1),
        Operator101::MaxPool3x3 => Some(VertexOperator::MaxPool3x3),
        Operator101::Input | Operator101::Output => None,
    }
}

/// The oracle of a run.
pub struct TrainingOracle {
    space: SpaceConfig,
    settings: TrainingConfig,
    seed: u64,
    dataset: Arc<Dataset>,
    train: Vec<u32>,
    validation: Vec<u32>,
}

impl TrainingOracle {
    /// The oracle of this configuration; all candidates see the same part of the training images.
    pub fn new(config: &Config, dataset: Arc<Dataset>, splits: &Splits) -> Self {
        let seed = config.run.seed;
        TrainingOracle {
            space: config.space.clone(),
            settings: config.oracle.training.clone(),
            seed,
            train: dataset.fraction(&splits.train, config.oracle.training.data_fraction, seed),
            validation: splits.validation.clone(),
            dataset,
        }
    }

    /// Training losses and validation accuracy.
    fn measure(&self, plan: &Plan, candidate: u64, stop: &AtomicBool) -> Result<Option<(Vec<f64>, f64)>, OracleError> {
        let training = Training {
            plan,
            settings: &self.settings,
            dataset: &self.dataset,
            indices: &self.train,
            seed: self.seed,
            candidate,
            threads: 1,
        };
        let Some(trained) = training.run(&mut |_| (), stop)? else { return Ok(None) };
        let images = (&*self.dataset, &self.validation[..]);
        let Some(evaluation) = evaluate(plan, &trained.weights, images, 1, stop)? else { return Ok(None) };
        Ok(Some((trained.losses, evaluation.accuracy)))
    }
}

impl Oracle for TrainingOracle {
    fn evaluate(&self, architecture: &Architecture, candidate: u64, stop: &AtomicBool) -> Option<Outcome> {
        let start = Instant::now();
        let plan = lower(architecture, &self.space, &self.dataset);
        let cost = plan.as_ref().map_or((0, 0), |plan| (plan.trained_parameters(), plan.multiply_adds()));
        let (training_losses, validation_accuracy, failure) =
            match plan.and_then(|plan| self.measure(&plan, candidate, stop)) {
                Ok(None) => return None,
                Ok(Some((losses, accuracy))) => (losses, Some(accuracy), None),
                Err(error) => (Vec::new(), None, Some(error.to_string())),
            };
        Some(Outcome {
            validation_accuracy,
            test_accuracy: None,
            cost: None,
            training_losses,
            failure,
            parameters: cost.0,
            multiply_adds: cost.1,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}
