//! The low-data oracle: trains a candidate for a few epochs on a part of the training images and scores it on the
//! validation images.

use super::batched::{BatchTraining, DeviceData, Member};
use super::engine::{CudaEngine, Engine};
use super::together::Together;
use super::training::{Training, evaluate};
use super::{Candidate, Oracle, OracleError, Outcome};
use crate::config::{Config, SpaceConfig, TrainingConfig};
use crate::data::{Dataset, Splits};
use crate::device::cuda::ResidentImages;
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

/// The oracle of a run: on the CPU a candidate a thread, on a CUDA device as many together as it holds.
pub struct TrainingOracle {
    space: SpaceConfig,
    settings: TrainingConfig,
    seed: u64,
    dataset: Arc<Dataset>,
    train: Vec<u32>,
    validation: Vec<u32>,
    engine: Engine,
    /// The data set on the CUDA device.
    resident: Option<Arc<ResidentImages>>,
    together: Together,
}

/// Training losses and validation accuracy, or why there are none.
type Measured = Result<(Vec<f64>, f64), OracleError>;

impl TrainingOracle {
    /// The oracle of this configuration; all candidates see the same part of the training images.
    ///
    /// # Errors
    /// A device without the memory for the images; the driver's.
    pub fn new(config: &Config, dataset: Arc<Dataset>, splits: &Splits, engine: &Engine) -> Result<Self, OracleError> {
        let seed = config.run.seed;
        let resident = match engine {
            Engine::Cpu { .. } => None,
            Engine::Cuda(engine) => Some(DeviceData::new(engine, &dataset)?.resident),
        };
        Ok(TrainingOracle {
            space: config.space.clone(),
            settings: config.oracle.training.clone(),
            seed,
            train: dataset.fraction(&splits.train, config.oracle.training.data_fraction, seed),
            validation: splits.validation.clone(),
            dataset,
            engine: engine.clone(),
            resident,
            together: Together::new(config.oracle.candidates_per_batch),
        })
    }

    fn lower(&self, candidate: &Candidate) -> Result<Plan, OracleError> {
        lower(&candidate.architecture, &self.space, &self.dataset)
    }

    /// Trains and scores one network on one thread of the CPU.
    fn measure(&self, member: &Member, stop: &AtomicBool) -> Result<Option<(Vec<f64>, f64)>, OracleError> {
        let engine = &Engine::Cpu { threads: 1 };
        let Member { plan, candidate } = member;
        let training = Training {
            plan,
            settings: &self.settings,
            dataset: &self.dataset,
            indices: &self.train,
            seed: self.seed,
            candidate: *candidate,
            engine,
        };
        let Some(trained) = training.run(stop)? else { return Ok(None) };
        let images = (&*self.dataset, &self.validation[..]);
        let Some(evaluation) = evaluate(plan, &trained.weights, images, engine, stop)? else { return Ok(None) };
        Ok(Some((trained.losses, evaluation.accuracy)))
    }

    /// Trains and scores networks together.
    fn measure_together(
        &self,
        (engine, images): (&CudaEngine, &Arc<ResidentImages>),
        members: &[Member],
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Measured>>, OracleError> {
        let data = DeviceData { dataset: &self.dataset, resident: images.clone() };
        let (settings, indices, seed) = (&self.settings, &self.train[..], self.seed);
        let training = BatchTraining { engine, data, settings, indices, seed, members };
        let measured = training.run(None, &mut |_| Ok(()), stop).and_then(|trained| {
            let Some(mut trained) = trained else { return Ok(None) };
            let Some(evaluations) = trained.evaluate(&self.validation, stop)? else { return Ok(None) };
            let losses = std::mem::take(&mut trained.losses).into_iter();
            let both = losses.zip(evaluations).map(|(losses, evaluation)| Ok((losses?, evaluation.accuracy)));
            Ok(Some(both.collect()))
        });
        match measured {
            // Each one's own failure, as on the CPU.
            Err(OracleError::NoImages(what)) => {
                Ok(Some(members.iter().map(|_| Err(OracleError::NoImages(what))).collect()))
            }
            other => other,
        }
    }

    /// What came of each network. `None`: stopped.
    fn measure_all(&self, members: &[Member], stop: &AtomicBool) -> Result<Option<Vec<Measured>>, OracleError> {
        if let (Engine::Cuda(engine), Some(images), false) = (&self.engine, &self.resident, members.is_empty()) {
            let _alone = engine.alone();
            return self.together.run(members, &|members| self.measure_together((engine, images), members, stop));
        }
        let measured = members.iter().map(|member| self.measure(member, stop).transpose());
        Ok(measured.collect())
    }
}

impl Oracle for TrainingOracle {
    fn evaluate(&self, group: &[Candidate], stop: &AtomicBool) -> Result<Option<Vec<Outcome>>, OracleError> {
        let start = Instant::now();
        let lowered: Vec<Result<Member, OracleError>> = group
            .iter()
            .map(|candidate| Ok(Member { plan: self.lower(candidate)?, candidate: candidate.number }))
            .collect();
        let members: Vec<Member> = lowered.iter().flatten().cloned().collect();
        let Some(measured) = self.measure_all(&members, stop)? else { return Ok(None) };
        let mut measured = measured.into_iter();
        // Networks trained together share the time.
        let seconds = start.elapsed().as_secs_f64() / group.len() as f64;
        let outcomes = lowered.into_iter().map(|lowered| match lowered {
            Ok(member) => Some(outcome(Some(&member.plan), measured.next()?, seconds)),
            Err(error) => Some(outcome(None, Err(error), seconds)),
        });
        Ok(outcomes.collect())
    }

    fn group_size(&self, waiting: &[Candidate]) -> usize {
        let Engine::Cuda(engine) = &self.engine else { return 1 };
        let plans = waiting.iter().map_while(|candidate| self.lower(candidate).ok());
        self.together.count(engine, plans, self.settings.batch.min(self.train.len()).max(1))
    }

    fn groups_at_once(&self, threads: usize) -> usize {
        match self.engine {
            Engine::Cpu { .. } => threads,
            Engine::Cuda(_) => 1,
        }
    }
}

fn outcome(plan: Option<&Plan>, measured: Measured, seconds: f64) -> Outcome {
    let (training_losses, validation_accuracy, failure) = match measured {
        Ok((losses, accuracy)) => (losses, Some(accuracy), None),
        Err(error) => (Vec::new(), None, Some(error.to_string())),
    };
    Outcome {
        validation_accuracy,
        test_accuracy: None,
        cost: None,
        training_losses,
        failure,
        parameters: plan.map_or(0, Plan::trained_parameters),
        multiply_adds: plan.map_or(0, Plan::multiply_adds),
        seconds,
    }
}
