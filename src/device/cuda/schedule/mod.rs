//! The launches of a step. Operations of one level of all candidates are one launch for each kernel, so their number
//! depends on the depth of the networks and not on how many there are.

mod activating;
mod products;
mod tasks;

use self::activating::{ActivatingLevel, Evaluated};
use self::products::{classifier_gradient, features_gradient, logits};
use self::tasks::{Builder, LevelTasks, tensors};
use super::device::Device;
use super::error::CudaError;
use super::images::ResidentImages;
use super::launch::{Arenas, Statistics};
use super::program::{Candidate, Program};
use super::records::{
    AugmentedWindows, BiasGradient, ClassifierTask, ClipTask, DepthwiseBackward, DepthwiseTask, FullyConnected,
    FullyConnectedGradient, GatherTask, GradientTask, HeadGradient, InputGradient, Loss, NormTask, Pointwise, Pool,
    ProductTask, SquareTask, SumsTask, Table, Tables, TensorTask, Unpool, WeightGradient, WindowsTask,
};
use crate::device::cpu::RUNNING_SHARE;
use std::sync::Arc;

/// Tables of one level, in the order of their launches.
struct Level {
    gather: Table<GatherTask>,
    depthwise: Table<DepthwiseTask>,
    pointwise: Table<Pointwise>,
    normalise: Table<NormTask>,
    output_gradient: Table<GradientTask>,
    form_gradient: Table<GatherTask>,
    head_gradient: Table<HeadGradient>,
    weight_gradient: Table<WeightGradient>,
    input_gradient: Table<InputGradient>,
    depthwise_backward: Table<DepthwiseBackward>,
    gather_sums: Table<SumsTask>,
    activating: ActivatingLevel,
}

/// Tables of the classifiers.
struct Classifiers {
    pool: Table<Pool>,
    logits: Table<FullyConnected>,
    loss: Table<Loss>,
    bias_gradient: Table<BiasGradient>,
    features_gradient: Table<FullyConnected>,
    weight_gradient: Table<FullyConnectedGradient>,
    unpool: Table<Unpool>,
}

/// All tables for batches of one size.
pub(super) struct Schedule {
    windows: Table<WindowsTask>,
    augmented_windows: Table<AugmentedWindows>,
    levels: Vec<Level>,
    /// Moments are not wanted: the same products without them.
    evaluated: Vec<Evaluated>,
    running_norms: Table<NormTask>,
    classifiers: Classifiers,
    squares: Table<SquareTask>,
    clip: Table<ClipTask>,
    optimiser: Table<TensorTask>,
}

impl Schedule {
    /// Makes the tables of a program.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn new(device: &Arc<Device>, program: &Program) -> Result<Self, CudaError> {
        let mut builder = Builder::new(program);
        let levels: Vec<LevelTasks> = program.levels.iter().map(|level| builder.level(level)).collect();
        let classifiers: Vec<ClassifierTask> = (0..program.candidates.len()).map(|c| builder.classifier(c)).collect();
        let windows: Vec<WindowsTask> = (0..program.candidates.len()).map(|c| builder.windows(c)).collect();
        let chosen =
            |(number, task)| AugmentedWindows(WindowsTask { source: (number * program.result_floats) as u64, ..task });
        let augmented: Vec<AugmentedWindows> = windows.iter().copied().enumerate().map(chosen).collect();
        let optimiser: Vec<TensorTask> = program.candidates.iter().flat_map(tensors).collect();
        let squares: Vec<SquareTask> = optimiser.iter().copied().map(SquareTask).collect();
        let clip: Vec<ClipTask> = program.candidates.iter().map(|candidate| candidate.clip).collect();
        let tables = Tables::new(device, builder.lists)?;
        let norms: Vec<NormTask> = levels.iter().flat_map(|level| level.normalise.iter().copied()).collect();
        let evaluated = levels.iter().map(|level| Evaluated::new(&tables, level));
        let schedule = Schedule {
            windows: tables.stage(&windows)?,
            augmented_windows: tables.stage(&augmented)?,
            evaluated: evaluated.collect::<Result<_, _>>()?,
            levels: levels.iter().map(|level| Level::new(&tables, level)).collect::<Result<_, _>>()?,
            running_norms: tables.stage(&norms)?,
            classifiers: Classifiers::new(&tables, &classifiers, program)?,
            squares: tables.stage(&squares)?,
            clip: tables.stage(&clip)?,
            optimiser: tables.stage(&optimiser)?,
        };
        tables.copy()?;
        Ok(schedule)
    }

    /// Launches what makes the stem's windows: of the pixels in the floats, or of images on the device.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn windows(&self, arenas: &Arenas, images: Option<&ResidentImages>) -> Result<(), CudaError> {
        match images {
            None => arenas.windows(&self.windows),
            Some(images) => arenas.windows_augmented(&self.augmented_windows, images),
        }
    }

    /// Launches a training step after its [`windows`](Self::windows); `clips`: gradients may be clipped.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn train(&self, arenas: &Arenas, clips: bool) -> Result<(), CudaError> {
        self.forward(arenas, RUNNING_SHARE)?;
        self.classify(arenas, true)?;
        self.classifiers.backward(arenas)?;
        self.levels.iter().rev().try_for_each(|level| level.backward(arenas))?;
        if clips {
            arenas.square_gradients(&self.squares)?;
            arenas.clip_gradients(&self.clip)?;
        }
        arenas.sgd(&self.optimiser)
    }

    /// Launches all operations before the classifier after a batch's [`windows`](Self::windows), with the batch's statistics;
    /// running ones move towards them by this share.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn forward(&self, arenas: &Arenas, share: f32) -> Result<(), CudaError> {
        for level in &self.levels {
            arenas.gather(&level.gather)?;
            arenas.join(&level.activating.join)?;
            arenas.depthwise(&level.depthwise)?;
            level.activating.windows(arenas)?;
            arenas.pointwise(&level.pointwise)?;
            arenas.convolution(&level.activating.convolution)?;
            arenas.normalise(&level.normalise, Statistics::Batch { share })?;
        }
        Ok(())
    }

    /// Launches an evaluation with running statistics after its [`windows`](Self::windows).
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn evaluate(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.normalise(&self.running_norms, Statistics::Running)?;
        for (level, evaluated) in self.levels.iter().zip(&self.evaluated) {
            arenas.gather(&level.gather)?;
            arenas.join(&evaluated.join)?;
            arenas.depthwise(&level.depthwise)?;
            level.activating.windows(arenas)?;
            arenas.pointwise(&evaluated.pointwise)?;
            arenas.convolution(&evaluated.convolution)?;
        }
        self.classify(arenas, false)
    }

    fn classify(&self, arenas: &Arenas, training: bool) -> Result<(), CudaError> {
        arenas.pool(&self.classifiers.pool, training)?;
        arenas.logits(&self.classifiers.logits)?;
        arenas.loss(&self.classifiers.loss)
    }
}

impl Level {
    fn new(tables: &Tables, tasks: &LevelTasks) -> Result<Self, CudaError> {
        Ok(Level {
            gather: tables.stage(&tasks.gather)?,
            depthwise: tables.stage(&tasks.depthwise)?,
            pointwise: tables.stage(&tasks.pointwise)?,
            normalise: tables.stage(&tasks.normalise)?,
            output_gradient: tables.stage(&tasks.output_gradient)?,
            form_gradient: tables.stage(&tasks.form_gradient)?,
            head_gradient: tables.stage(&tasks.head_gradient)?,
            weight_gradient: tables.stage(&tasks.weight_gradient)?,
            input_gradient: tables.stage(&tasks.input_gradient)?,
            depthwise_backward: tables.stage(&tasks.depthwise_backward)?,
            gather_sums: tables.stage(&tasks.gather_sums)?,
            activating: ActivatingLevel::new(tables, &tasks.activating)?,
        })
    }

    /// The order matters: the input gradients of heads and convolutions lie where the weight gradients read.
    fn backward(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.join_back(&self.activating.join_back)?;
        arenas.output_gradient(&self.output_gradient)?;
        arenas.gather(&self.form_gradient)?;
        arenas.head_gradient(&self.head_gradient)?;
        arenas.weight_gradient(&self.weight_gradient)?;
        arenas.convolution_weight(&self.activating.convolution_weight)?;
        arenas.input_gradient(&self.input_gradient)?;
        arenas.convolution_input(&self.activating.convolution_input)?;
        self.activating.windows_back(arenas)?;
        arenas.depthwise_backward(&self.depthwise_backward)?;
        arenas.gather_sums(&self.gather_sums)
    }
}

impl Classifiers {
    fn new(tables: &Tables, tasks: &[ClassifierTask], program: &Program) -> Result<Self, CudaError> {
        let products = |which: fn(&Candidate, &ClassifierTask) -> ProductTask| -> Vec<ProductTask> {
            program.candidates.iter().zip(tasks).map(|(candidate, task)| which(candidate, task)).collect()
        };
        let wrapped = |tasks: Vec<ProductTask>| tasks.into_iter().map(FullyConnected).collect::<Vec<_>>();
        let gradients: Vec<_> = products(classifier_gradient).into_iter().map(FullyConnectedGradient).collect();
        Ok(Classifiers {
            pool: tables.stage(&tasks.iter().copied().map(Pool).collect::<Vec<_>>())?,
            logits: tables.stage(&wrapped(products(logits)))?,
            loss: tables.stage(&tasks.iter().copied().map(Loss).collect::<Vec<_>>())?,
            bias_gradient: tables.stage(&tasks.iter().copied().map(BiasGradient).collect::<Vec<_>>())?,
            features_gradient: tables.stage(&wrapped(products(features_gradient)))?,
            weight_gradient: tables.stage(&gradients)?,
            unpool: tables.stage(&tasks.iter().copied().map(Unpool).collect::<Vec<_>>())?,
        })
    }

    fn backward(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.bias_gradient(&self.bias_gradient)?;
        arenas.features_gradient(&self.features_gradient)?;
        arenas.classifier_gradient(&self.weight_gradient)?;
        arenas.unpool(&self.unpool)
    }
}
