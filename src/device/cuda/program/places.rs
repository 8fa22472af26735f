//! Where one candidate's things lie.

use super::super::error::CudaError;
use super::super::parameters::ParameterMap;
use super::super::records::{
    ClipTask, ConvolutionTask, DepthwiseShape, DepthwiseTask, MOMENT_ROWS, NONE, PoolingTask, SeparableTask,
    TensorTask, padded, rows_per_tile, window_depth,
};
use super::super::storage::Storage;
use super::arena::Arena;
use crate::net::{OpKind, Plan, ValueShape, Weighting};

/// Rows whose part of a weight's gradient one block sums.
pub(super) const SPLIT_ROWS: u32 = 1024;

/// Images whose sums one thread of the classifier adds up.
pub(in super::super) const IMAGES_A_GROUP: u32 = 16;

/// Where one operation's things lie; V: in values, F: in floats. Channels are padded.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct OpPlaces {
    /// Pixels of the output in all images.
    pub rows: u32,
    /// Pixels of the inputs in all images.
    pub in_rows: u32,
    /// Channels of the output.
    pub channels: u32,
    /// Channels of the inputs; columns of the windows for the stem.
    pub in_channels: u32,
    /// V: the output.
    pub value: u64,
    /// V: what the product multiplies with the weight: windows, depthwise outputs or the weighted sum.
    pub middle: u64,
    /// V: gradient of the weighted sum.
    pub gradient: u64,
    /// V, scratch: gradient of the raw output.
    pub output_gradient: u64,
    /// V, scratch: gradient of `middle`, for nodes.
    pub middle_gradient: u64,
    /// F: for each input `(2, in channels)` coefficients of the weighted sum.
    pub coefficients: Vec<u64>,
    /// F: for each consumer `(2, channels)` coefficients of its gradient.
    pub gradient_coefficients: Vec<u64>,
    /// F: `(2, channels)` coefficients of the raw output in its own gradient.
    pub own: u64,
    /// F: `(4, channels)`
    pub norm: u64,
    /// F: `(tiles, 2, channels)`, or [`NONE`]: the output has no batch norm.
    pub moments: u64,
    /// Rows of a tile of moments.
    pub moment_rows: u32,
    /// F: `(groups, 1 + inputs, in channels)` sums of the gradient of the weighted sum.
    pub sums: u64,
    /// Groups of `sums`.
    pub groups: u32,
    /// F: `(groups, 9, in channels)` gradients of the depthwise weight.
    pub depthwise_gradients: u64,
    /// F: `(splits, channels, in channels)` gradients of the product's weight.
    pub weight_gradients: u64,
    /// Rows of a split.
    pub split: u32,
    /// Operations that read the output, and as which of their inputs.
    pub consumers: Vec<(usize, usize)>,
    /// Shape of a node's depthwise convolution.
    pub depthwise: Option<DepthwiseTask>,
    /// What operations that activate every input by itself have.
    pub activating: Activating,
}

/// Places and shapes of an operation that activates every input by itself; without offsets.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Activating {
    /// V: the joined inputs of a separable convolution; those of others are `middle`.
    pub joined: u64,
    /// V: which of a window is the largest.
    pub chosen: Option<u64>,
    /// V: the gradient of the value before its batch norm's backward. Of every value that is joined.
    pub unnormalised_gradient: u64,
    /// F: `(tiles of rows, 2, channels)` sums of that gradient. Of every value that is joined.
    pub gradient_sums: u64,
    /// Of a dense convolution that is no product.
    pub convolution: Option<ConvolutionTask>,
    /// Of a separable convolution.
    pub separable: Option<SeparableTask>,
    /// Of a pooling.
    pub pooling: Option<PoolingTask>,
}

impl OpPlaces {
    /// Partial gradients of the product's weight.
    pub(in super::super) fn splits(&self) -> u32 {
        self.rows.div_ceil(self.split)
    }
}

/// Where the classifier's things lie, all in floats; see `ClassifierTask`.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Classifier {
    pub features: u64,
    pub features_gradient: u64,
    pub passing: u64,
    pub passing_values: u64,
    pub logits: u64,
    pub logits_gradient: u64,
    /// `(splits, columns, features)`
    pub weight_gradients: u64,
    pub columns: u32,
}

/// One candidate laid out.
#[derive(Clone, Debug)]
pub(in super::super) struct Candidate {
    pub plan: Plan,
    pub parameters: ParameterMap,
    pub ops: Vec<OpPlaces>,
    /// The operation that writes each value.
    pub producer: Vec<usize>,
    pub classifier: Classifier,
    /// Of the whole gradient.
    pub clip: ClipTask,
}

/// A shape as records want it.
pub(super) fn size(number: usize) -> Result<u32, CudaError> {
    u32::try_from(number).map_err(|_| CudaError::Plan(format!("a size of {number}")))
}

impl Candidate {
    /// Hands out places for a plan; [`place_scratch`](Self::place_scratch) gives the rest.
    pub(super) fn new(
        plan: &Plan,
        parameters: ParameterMap,
        (images, storage): (usize, Storage),
        arena: &mut Arena,
    ) -> Result<Self, CudaError> {
        let mut producer = vec![0; plan.values.len()];
        let mut consumers = vec![Vec::new(); plan.ops.len()];
        for (number, op) in plan.ops.iter().enumerate() {
            producer[op.output.0] = number;
            for (position, input) in op.inputs.iter().enumerate() {
                consumers[producer[input.0]].push((number, position));
            }
        }
        let clip = clip(plan, &parameters, arena);
        let (plan, classifier) = (plan.clone(), Classifier::default());
        let mut candidate = Candidate { plan, parameters, ops: Vec::new(), producer, classifier, clip };
        for (number, consumers) in consumers.into_iter().enumerate() {
            let places = candidate.places(number, (images, storage), arena)?;
            candidate.ops.push(OpPlaces { consumers, ..places });
        }
        for places in &mut candidate.ops {
            let floats = 2 * places.channels as usize;
            places.gradient_coefficients = places.consumers.iter().map(|_| arena.floats(floats)).collect();
        }
        Ok(candidate)
    }

    /// Places of one operation, consumers and scratch excepted.
    fn places(&mut self, number: usize, batch: (usize, Storage), arena: &mut Arena) -> Result<OpPlaces, CudaError> {
        let op = &self.plan.ops[number];
        let (images, storage) = batch;
        let output = self.plan.values[op.output.0];
        let input = op.inputs.first().map_or(output, |id| self.plan.values[id.0]);
        let rows = |shape: ValueShape| size(images * shape.height * shape.width);
        let in_channels = match op.kind {
            OpKind::Stem { .. } => window_depth(self.plan.image.channels),
            _ => padded(input.channels),
        };
        let mut places = OpPlaces {
            rows: rows(output)?,
            in_rows: rows(input)?,
            channels: size(padded(output.channels))?,
            in_channels: size(in_channels)?,
            split: SPLIT_ROWS,
            moments: NONE,
            moment_rows: MOMENT_ROWS,
            ..OpPlaces::default()
        };
        if op.kind.activates_inputs() {
            places.in_channels = size(padded(self.channels_read(number)))?;
        }
        let floats = |rows: u32, columns: u32| rows as usize * columns as usize;
        let (values, inputs) = (floats(places.rows, places.channels), op.inputs.len());
        let middle = floats(places.rows, places.in_channels);
        match op.kind {
            OpKind::Classifier { .. } => {
                places.groups = size(images)?.div_ceil(IMAGES_A_GROUP);
                self.classifier = classifier(&places, input, images, arena);
            }
            OpKind::Mean => {
                places.value = arena.values(values);
                // The value is read for the last time at a higher level of the backward.
                places.gradient = places.value;
                places.groups = places.rows.div_ceil(rows_per_tile(places.channels, storage));
            }
            OpKind::Pointwise { .. } | OpKind::Stem { .. } => {
                places.value = arena.values(values);
                places.middle = arena.values(middle);
                // The weight's gradient, which reads it, is formed before.
                places.gradient = places.middle;
                places.groups = places.rows.div_ceil(rows_per_tile(places.in_channels, storage));
            }
            OpKind::Node { stride, .. } => {
                places.value = arena.values(values);
                places.middle = arena.values(middle);
                places.gradient = match stride {
                    1 => places.middle,
                    _ => arena.values(floats(places.in_rows, places.in_channels)),
                };
                let task = DepthwiseTask::new(DepthwiseShape {
                    images: size(images)?,
                    channels: places.in_channels,
                    in_height: size(input.height)?,
                    in_width: size(input.width)?,
                    stride: size(stride)?,
                });
                places.groups = task.groups();
                places.depthwise = Some(task);
                places.depthwise_gradients = arena.floats(floats(places.groups * 9, places.in_channels));
            }
            _ => self.place_activating(number, images, &mut places, arena)?,
        }
        if matches!(op.kind, OpKind::Stem { .. } | OpKind::Node { .. } | OpKind::Pointwise { .. }) {
            places.weight_gradients =
                arena.floats(places.splits() as usize * floats(places.channels, places.in_channels));
        }
        if output.norm.is_some() {
            places.own = arena.floats(floats(2, places.channels));
            places.norm = arena.floats(floats(4, places.channels));
            if op.kind == OpKind::Sum {
                places.moment_rows = rows_per_tile(places.channels, storage);
            }
            places.moments = arena.floats(floats(places.rows.div_ceil(places.moment_rows) * 2, places.channels));
            places.activating.gradient_sums = arena
                .floats(floats(places.rows.div_ceil(rows_per_tile(places.channels, storage)) * 2, places.channels));
        }
        if op.kind.activates_inputs() {
            return Ok(places);
        }
        places.coefficients = op.inputs.iter().map(|_| arena.floats(floats(2, places.in_channels))).collect();
        places.sums = arena.floats(places.groups as usize * (1 + inputs) * places.in_channels as usize);
        Ok(places)
    }

    /// Gives an operation the scratch that its backward needs.
    pub(super) fn place_scratch(&mut self, number: usize, arena: &mut Arena) {
        let op = &self.plan.ops[number];
        let (kind, normalised) = (op.kind, self.plan.values[op.output.0].norm.is_some());
        let places = &mut self.ops[number];
        let floats = |rows: u32, columns: u32| rows as usize * columns as usize;
        let gradient = floats(places.rows, places.channels);
        match kind {
            OpKind::Mean | OpKind::Classifier { .. } => {}
            // Lower levels read it, so it is no scratch.
            OpKind::Sum | OpKind::Concatenation => {
                places.output_gradient = places.gradient;
                let scratch = if normalised { arena.scratch(gradient) } else { places.gradient };
                places.activating.unnormalised_gradient = scratch;
            }
            _ => {
                places.output_gradient = arena.scratch(gradient);
                places.activating.unnormalised_gradient = places.output_gradient;
            }
        }
        if matches!(kind, OpKind::Node { .. } | OpKind::Separable { .. }) {
            places.middle_gradient = arena.scratch(floats(places.rows, places.in_channels));
        }
    }

    /// Parameter whose sigmoid weights an operation's input, or none and the weight.
    pub(in super::super) fn edge_weight(&self, number: usize, position: usize) -> (Option<u64>, f32) {
        let op = &self.plan.ops[number];
        match op.kind {
            OpKind::Node { weighting: Weighting::Sigmoid(logits), .. } => {
                (Some(self.parameters.offset(logits) + position as u64), 0.0)
            }
            OpKind::Mean | OpKind::Pointwise { .. } | OpKind::Node { weighting: Weighting::Mean, .. } => {
                (None, 1.0 / op.inputs.len() as f32)
            }
            OpKind::Node { weighting: Weighting::Single, .. } | OpKind::Classifier { .. } | OpKind::Stem { .. } => {
                (None, 1.0)
            }
            // The others join their inputs, which have no weights.
            _ => (None, 1.0),
        }
    }
}

fn clip(plan: &Plan, parameters: &ParameterMap, arena: &mut Arena) -> ClipTask {
    let trained = plan.parameters.iter().zip(&parameters.slots).filter(|(parameter, _)| parameter.role.trained());
    let tiles: usize = trained.map(|(_, slot)| TensorTask::tiles_of(slot.floats)).sum();
    ClipTask { squares: arena.floats(tiles), factor: arena.floats(1), count: tiles as u32, reserved: 0 }
}

fn classifier(places: &OpPlaces, input: ValueShape, images: usize, arena: &mut Arena) -> Classifier {
    let (features, columns) = (images * padded(input.channels), places.channels);
    let splits = images.div_ceil(places.split as usize);
    Classifier {
        features: arena.floats(features),
        features_gradient: arena.floats(features),
        passing: arena.floats(features),
        passing_values: arena.floats(features),
        logits: arena.floats(images * columns as usize),
        logits_gradient: arena.floats(images * columns as usize),
        weight_gradients: arena.floats(splits * columns as usize * padded(input.channels)),
        columns,
    }
}
