//! A plan laid out for the CPU: where every value, gradient, coefficient and partial sum lies. All sizes are known
//! before the first step, so that a step allocates nothing.

use super::layout::{GROUP_IMAGES, Layout};
use super::ops::{ScratchSizes, bordered_image};
use super::parameters::ParameterMap;
use crate::net::{OpKind, Plan};

/// Where one operation's things lie; offsets are in floats.
#[derive(Clone, Debug)]
pub(crate) struct OpPlaces {
    /// Layout of the inputs; of the output for the stem.
    pub input: Layout,
    /// Layout of the output.
    pub output: Layout,
    /// In `coefficients`: `(inputs, channels)` scales of the forward's gather.
    pub scales: usize,
    /// In `coefficients`: `(channels)` shift of the forward's gather.
    pub shift: usize,
    /// In `coefficients`: `(consumers + 1, channels)` scales of the output's gradient; the last is the output's own.
    pub gradient_scales: usize,
    /// In `coefficients`: `(channels)` shift of the output's gradient.
    pub gradient_shift: usize,
    /// In `coefficients`: batch norm as `scale * x + shift`, the mean and 1 / standard deviation, `(4, channels)`.
    pub norm: usize,
    /// In `partials`: `(3, channels)` shift, sums and sums of squares of the output.
    pub output_moments: usize,
    /// In `partials`: `(1 + inputs, channels)` sums of the gathered gradient, and of its products with the inputs.
    pub gradient_sums: usize,
    /// In `coefficients`: the same, summed over groups.
    pub gradient_totals: usize,
    /// In `activations`: the output.
    pub value: usize,
    /// In `activations`: the gradient of the gather. May be `value`, where the layouts allow it.
    pub gradient: usize,
    /// The operations that read the output, and as which of their inputs.
    pub consumers: Vec<(usize, usize)>,
}

/// A plan laid out.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub plan: Plan,
    pub parameters: ParameterMap,
    pub ops: Vec<OpPlaces>,
    /// The operation that writes each value.
    pub producer: Vec<usize>,
    /// Floats of one group's partial sums.
    pub partials: usize,
    pub coefficients: usize,
    pub activations: usize,
    pub scratch: ScratchSizes,
    /// Most images in a batch.
    pub batch: usize,
    pub lanes: usize,
}

/// Floats handed out one after another.
#[derive(Default)]
struct Arena(usize);

impl Arena {
    fn take(&mut self, floats: usize) -> usize {
        self.0 += floats;
        self.0 - floats
    }
}

impl Program {
    /// Lays a plan out for batches of at most `batch` images.
    pub(crate) fn new(plan: &Plan, batch: usize, lanes: usize) -> Self {
        let layouts: Vec<Layout> = plan.values.iter().map(|&shape| Layout::new(shape, lanes)).collect();
        let mut producer = vec![0; plan.values.len()];
        let mut consumers = vec![Vec::new(); plan.ops.len()];
        for (number, op) in plan.ops.iter().enumerate() {
            producer[op.output.0] = number;
            for (position, input) in op.inputs.iter().enumerate() {
                consumers[producer[input.0]].push((number, position));
            }
        }
        let (mut coefficients, mut partials, mut activations) = (Arena::default(), Arena::default(), Arena::default());
        let mut ops: Vec<OpPlaces> = Vec::with_capacity(plan.ops.len());
        for (op, consumers) in plan.ops.iter().zip(consumers) {
            let output = layouts[op.output.0];
            let input = op.inputs.first().map_or(output, |id| layouts[id.0]);
            let (inputs, channels) = (op.inputs.len(), input.padded_channels());
            let out = output.padded_channels();
            let value = match op.kind {
                OpKind::Classifier { .. } => 0,
                _ => activations.take(output.image_floats() * batch),
            };
            ops.push(OpPlaces {
                input,
                output,
                scales: coefficients.take(inputs * channels),
                shift: coefficients.take(channels),
                gradient_scales: coefficients.take((consumers.len() + 1) * out),
                gradient_shift: coefficients.take(out),
                norm: coefficients.take(4 * out),
                output_moments: partials.take(3 * out),
                gradient_sums: partials.take((1 + inputs) * channels),
                gradient_totals: coefficients.take((1 + inputs) * channels),
                value,
                gradient: value,
                consumers,
            });
        }
        let activations = place_gradients(plan, &producer, &mut ops, activations.0, batch);
        let scratch = ops.iter().zip(&plan.ops).fold(ScratchSizes::default(), |sizes, (places, op)| {
            sizes.max(scratch_of(plan, places, op.inputs.len(), lanes))
        });
        Program {
            plan: plan.clone(),
            parameters: ParameterMap::new(plan, lanes),
            ops,
            producer,
            partials: partials.0,
            coefficients: coefficients.0,
            activations,
            scratch,
            batch,
            lanes,
        }
    }

    /// Groups of a batch.
    pub(crate) fn groups(&self, batch: usize) -> usize {
        batch.div_ceil(GROUP_IMAGES)
    }
}

/// Gives every operation whose gradient has not its output's shape a place behind the values; a place is free again
/// when the producers of the operation's inputs have read it. Returns the floats of values and gradients together.
fn place_gradients(plan: &Plan, producer: &[usize], ops: &mut [OpPlaces], values: usize, batch: usize) -> usize {
    let mut live: Vec<(usize, usize, usize)> = Vec::new();
    let mut end = values;
    for number in (0..plan.ops.len()).rev() {
        live.retain(|&(_, _, last)| last <= number);
        let op = &plan.ops[number];
        let elsewhere = match op.kind {
            OpKind::Node { .. } => ops[number].input != ops[number].output,
            OpKind::Pointwise { .. } => true,
            OpKind::Mean | OpKind::Stem { .. } | OpKind::Classifier { .. } => false,
        };
        if elsewhere {
            let floats = ops[number].input.image_floats() * batch;
            let last = op.inputs.iter().map(|input| producer[input.0]).min().unwrap_or(0);
            live.sort_unstable();
            let mut start = values;
            for &(from, to, _) in &live {
                if start + floats <= from {
                    break;
                }
                start = start.max(to);
            }
            live.push((start, start + floats, last));
            end = end.max(start + floats);
            ops[number].gradient = start;
        }
    }
    end
}

fn scratch_of(plan: &Plan, places: &OpPlaces, inputs: usize, lanes: usize) -> ScratchSizes {
    let (input, output) = (&places.input, &places.output);
    let rows = output.tile * output.pixels();
    ScratchSizes {
        image: bordered_image(plan.image),
        gathered: input.tile * input.pixels() * lanes,
        zeros: input.width.max(output.width) * lanes,
        rows: rows * input.padded_channels(),
        outputs: rows * output.padded_channels(),
        planes: inputs.max(places.consumers.len() + 1),
    }
}
