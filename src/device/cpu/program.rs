//! A plan laid out for the CPU: where every value, gradient, coefficient and partial sum lies. All sizes are known
//! before the first step, so that a step allocates nothing.

use super::layout::{GROUP_IMAGES, Layout};
use super::ops::{ScratchSizes, bordered_image};
use super::parameters::ParameterMap;
use super::windows::Grid;
use crate::net::{Op, OpKind, ParameterId, Plan, ValueShape, Window};

/// Where what belongs to one input of an operation lies; offsets are in floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputPlaces {
    /// Channels that are read: the layout of the gradient.
    pub read: Layout,
    /// In `coefficients`: `(channels)` scale, and shift; the shift may be that of all inputs together.
    pub scale: usize,
    pub shift: usize,
    /// From `gradient_sums` or `gradient_totals` on: `(channels)` sums of the gradient, perhaps of all inputs together,
    /// and of its product with the input.
    pub sums: usize,
    pub products: usize,
    /// In `activations`: the gradient, perhaps of all inputs together.
    pub gradient: usize,
}

/// Where one operation's things lie; offsets are in floats.
#[derive(Clone, Debug)]
pub(crate) struct OpPlaces {
    /// Layout of what the inputs are summed to; of the output for the stem and a concatenation.
    pub input: Layout,
    /// One for each input.
    pub inputs: Vec<InputPlaces>,
    /// Layout of the output.
    pub output: Layout,
    /// In `coefficients`: `(consumers + 1, channels)` scales of the output's gradient; the last is the output's own.
    pub gradient_scales: usize,
    /// In `coefficients`: `(channels)` shift of the output's gradient.
    pub gradient_shift: usize,
    /// In `coefficients`: batch norm as `scale * x + shift`, the mean and 1 / standard deviation, `(4, channels)`.
    pub norm: usize,
    /// In `partials`: `(3, channels)` shift, sums and sums of squares of the output.
    pub output_moments: usize,
    /// In `partials`: `(1 + inputs, channels)` sums of the gathered gradient, and of its products with the inputs;
    /// for operations that activate their inputs, both for every input.
    pub gradient_sums: usize,
    /// Floats of them.
    pub sum_floats: usize,
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
    /// In `coefficients`: zeros, as many as the widest value has channels.
    pub zeros: usize,
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
        let mut arenas = Arenas::default();
        let places = |(op, consumers): (&Op, Vec<(usize, usize)>)| {
            let places = Layouts { input: input_layout(plan, op, &layouts, lanes), values: &layouts };
            arenas.places(op, places, consumers, batch)
        };
        let mut ops: Vec<OpPlaces> = plan.ops.iter().zip(consumers).map(places).collect();
        let Arenas { mut coefficients, partials, activations } = arenas;
        let activations = place_gradients(plan, &producer, &mut ops, activations.0, batch);
        let scratch = ops
            .iter()
            .zip(&plan.ops)
            .fold(ScratchSizes::default(), |sizes, (places, op)| sizes.max(scratch_of(plan, op, places, lanes)));
        Program {
            plan: plan.clone(),
            parameters: ParameterMap::new(plan, lanes),
            ops,
            producer,
            partials: partials.0,
            zeros: coefficients.take(layouts.iter().map(Layout::padded_channels).max().unwrap_or(0)),
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

/// The windows of an operation on its inputs, if it has any.
pub(crate) fn grid_of(plan: &Plan, op: &Op) -> Option<Grid> {
    let window = match op.kind {
        OpKind::Convolution { window, .. } | OpKind::Separable { window, .. } | OpKind::Pool { window, .. } => window,
        _ => return None,
    };
    let size = |shape: ValueShape| (shape.height, shape.width);
    Some(Grid { window, input: size(plan.values[op.inputs[0].0]), output: size(plan.values[op.output.0]) })
}

/// Layout of what an operation's inputs are summed to.
fn input_layout(plan: &Plan, op: &Op, layouts: &[Layout], lanes: usize) -> Layout {
    let output = layouts[op.output.0];
    let Some(&first) = op.inputs.first() else { return output };
    let dimension = |id: ParameterId, axis: usize| plan.parameters[id.0].dimensions[axis];
    let channels = match op.kind {
        OpKind::Convolution { weight, .. } => dimension(weight, 1),
        OpKind::Separable { depthwise, .. } => dimension(depthwise, 0),
        OpKind::Pool { .. } | OpKind::Sum => output.channels,
        OpKind::Concatenation => return output,
        _ => return layouts[first.0],
    };
    Layout::new(ValueShape { channels, norm: None, ..plan.values[first.0] }, lanes)
}

/// The arenas that operations take their places from.
#[derive(Default)]
struct Arenas {
    coefficients: Arena,
    partials: Arena,
    activations: Arena,
}

/// The layouts that an operation's places depend on.
struct Layouts<'a> {
    /// Of what the operation's inputs are summed to.
    input: Layout,
    /// Of all values.
    values: &'a [Layout],
}

impl Arenas {
    fn places(&mut self, op: &Op, layouts: Layouts, consumers: Vec<(usize, usize)>, batch: usize) -> OpPlaces {
        let output = layouts.values[op.output.0];
        let out = output.padded_channels();
        let value = match op.kind {
            OpKind::Classifier { .. } => 0,
            _ => self.activations.take(output.image_floats() * batch),
        };
        let (inputs, sum_floats) = match op.kind.activates_inputs() {
            true => self.separate_inputs(op, &layouts, value),
            false => self.summed_inputs(op, &layouts, value),
        };
        OpPlaces {
            input: layouts.input,
            inputs,
            output,
            gradient_scales: self.coefficients.take((consumers.len() + 1) * out),
            gradient_shift: self.coefficients.take(out),
            norm: self.coefficients.take(4 * out),
            output_moments: self.partials.take(3 * out),
            gradient_sums: self.partials.take(sum_floats),
            sum_floats,
            gradient_totals: self.coefficients.take(sum_floats),
            value,
            gradient: value,
            consumers,
        }
    }

    /// Inputs of one weighted sum: they share the shift and the sums of the gradient. With the floats of all sums.
    fn summed_inputs(&mut self, op: &Op, layouts: &Layouts, value: usize) -> (Vec<InputPlaces>, usize) {
        let channels = layouts.input.padded_channels();
        let (scales, shift) = (self.coefficients.take(op.inputs.len() * channels), self.coefficients.take(channels));
        let places = |position: usize| InputPlaces {
            read: layouts.input,
            scale: scales + position * channels,
            shift,
            sums: 0,
            products: (1 + position) * channels,
            gradient: value,
        };
        ((0..op.inputs.len()).map(places).collect(), (1 + op.inputs.len()) * channels)
    }

    /// Inputs that are activated each by itself. With the floats of all sums.
    fn separate_inputs(&mut self, op: &Op, layouts: &Layouts, value: usize) -> (Vec<InputPlaces>, usize) {
        let mut sums = Arena::default();
        let places = op.inputs.iter().map(|id| {
            let read = if op.kind == OpKind::Concatenation { layouts.values[id.0] } else { layouts.input };
            let channels = read.padded_channels();
            InputPlaces {
                read,
                scale: self.coefficients.take(channels),
                shift: self.coefficients.take(channels),
                sums: sums.take(channels),
                products: sums.take(channels),
                gradient: value,
            }
        });
        (places.collect(), sums.0)
    }
}

/// Memory that is handed out for some time.
struct Leases {
    /// Beginning, end and the operation after whose backward it is free.
    live: Vec<(usize, usize, usize)>,
    first: usize,
    end: usize,
}

impl Leases {
    fn take(&mut self, floats: usize, last: usize) -> usize {
        self.live.sort_unstable();
        let mut start = self.first;
        for &(from, to, _) in &self.live {
            if start + floats <= from {
                break;
            }
            start = start.max(to);
        }
        self.live.push((start, start + floats, last));
        self.end = self.end.max(start + floats);
        start
    }
}

/// Gives every operation whose gradient has not its output's shape a place behind the values; a place is free again
/// when the producers of the operation's inputs have read it. Returns the floats of values and gradients together.
fn place_gradients(plan: &Plan, producer: &[usize], ops: &mut [OpPlaces], values: usize, batch: usize) -> usize {
    let mut leases = Leases { live: Vec::new(), first: values, end: values };
    for number in (0..plan.ops.len()).rev() {
        leases.live.retain(|&(_, _, last)| last <= number);
        let op = &plan.ops[number];
        let elsewhere = match op.kind {
            OpKind::Node { .. } | OpKind::Convolution { .. } | OpKind::Separable { .. } | OpKind::Pool { .. } => {
                ops[number].input != ops[number].output
            }
            OpKind::Pointwise { .. } => true,
            OpKind::Mean | OpKind::Sum | OpKind::Stem { .. } | OpKind::Classifier { .. } => false,
            OpKind::Concatenation => {
                for (places, input) in ops[number].inputs.iter_mut().zip(&op.inputs) {
                    places.gradient = leases.take(places.read.image_floats() * batch, producer[input.0]);
                }
                continue;
            }
        };
        if elsewhere {
            let floats = ops[number].input.image_floats() * batch;
            let last = op.inputs.iter().map(|input| producer[input.0]).min().unwrap_or(0);
            let start = leases.take(floats, last);
            ops[number].gradient = start;
            ops[number].inputs.iter_mut().for_each(|places| places.gradient = start);
        }
    }
    leases.end
}

fn scratch_of(plan: &Plan, op: &Op, places: &OpPlaces, lanes: usize) -> ScratchSizes {
    let (input, output) = (&places.input, &places.output);
    let rows = output.tile * output.pixels();
    let grid = grid_of(plan, op).unwrap_or(Grid {
        window: Window::new(1, 1),
        input: (input.height, input.width),
        output: (output.height, output.width),
    });
    // Only a dense convolution looks at all blocks together.
    let dense = matches!(op.kind, OpKind::Convolution { .. });
    let bordered = |grid: Grid, blocks: usize| {
        let blocks = if dense { blocks } else { usize::from(op.kind.activates_inputs()) };
        input.tile * grid.bordered_pixels() * lanes * blocks
    };
    ScratchSizes {
        image: bordered_image(plan.image),
        gathered: input.tile * input.pixels() * lanes,
        zeros: input.width.max(output.width) * lanes,
        rows: rows * input.padded_channels(),
        outputs: rows * output.padded_channels(),
        planes: op.inputs.len().max(places.consumers.len() + 1),
        bordered: bordered(grid, input.blocks),
        bordered_gradient: bordered(grid.transposed(), output.blocks).max(bordered(grid, 1)),
    }
}
