//! The operations that activate every input by itself.

use super::super::ops::{
    ConcatenationBackward, ConcatenationForward, Consumed, ConvolutionBackward, ConvolutionForward, DepthwisePart,
    Operand, OwnValue, PoolingBackward, PoolingForward, PoolingPart, SeparableBackward, SeparableForward, Source,
    Sources, SumBackward, SumForward, ValueGradient,
};
use super::super::program::grid_of;
use super::super::windows::Grid;
use super::{Sweep, Worker};
use crate::net::{OpKind, ParameterId, Pooling, Window};

impl Sweep<'_> {
    /// The inputs of an operation that activates each by itself.
    fn sources<'o>(&self, number: usize, group: usize, sources: &'o mut Vec<Source>) -> Sources<'o> {
        let (places, op) = (&self.program.ops[number], &self.program.plan.ops[number]);
        sources.clear();
        sources.extend(places.inputs.iter().zip(&op.inputs).map(|(input, id)| {
            let producer = &self.program.ops[self.program.producer[id.0]];
            Source {
                values: self.activation(producer.value),
                layout: producer.output,
                scale: self.coefficient(input.scale),
                shift: self.coefficient(input.shift),
                mean: self.coefficient(producer.norm + 2 * producer.output.padded_channels()),
                relu: self.program.plan.values[id.0].relu,
                sums: self.partial(places.gradient_sums + input.sums, group),
                products: self.partial(places.gradient_sums + input.products, group),
                gradient: self.activation(input.gradient),
                read: input.read,
            }
        }));
        Sources { layout: places.input, sources }
    }

    /// The gradient of an output that operations of any kind read.
    pub(super) fn value_gradient<'o>(
        &self,
        number: usize,
        (consumed, operands): (&'o mut Vec<Consumed>, &'o mut Vec<Operand>),
    ) -> ValueGradient<'o> {
        let (places, plan) = (&self.program.ops[number], &self.program.plan);
        let kinds = |&(consumer, _): &(usize, usize)| plan.ops[consumer].kind;
        if let Some(OpKind::Classifier { .. }) = places.consumers.first().map(kinds) {
            return ValueGradient::Head(places.output, self.head_gradient(number));
        }
        let shape = plan.values[plan.ops[number].output.0];
        if !shape.relu && !places.consumers.iter().map(kinds).any(OpKind::activates_inputs) {
            return ValueGradient::Sum(self.output_gradient(number, operands));
        }
        let channels = places.output.padded_channels();
        let gradient_scale = |position: usize| self.coefficient(places.gradient_scales + position * channels);
        consumed.clear();
        consumed.extend(places.consumers.iter().enumerate().map(|(position, &(consumer, input))| {
            let input = &self.program.ops[consumer].inputs[input];
            let gradient = self.activation(input.gradient).cast_const();
            Consumed { gradient, layout: input.read, scale: gradient_scale(position) }
        }));
        let own = OwnValue {
            values: self.activation(places.value),
            scale: self.coefficient(places.norm),
            shift: self.coefficient(places.norm + channels),
            relu: shape.relu,
            of_value: gradient_scale(places.consumers.len()),
            constant: self.coefficient(places.gradient_shift),
        };
        ValueGradient::Consumers {
            layout: places.output,
            consumers: consumed,
            own: (shape.norm.is_some() || shape.relu).then_some(own),
            zeros: self.coefficient(self.program.zeros),
        }
    }

    /// The windows of an operation that has some.
    fn grid(&self, number: usize) -> Grid {
        let places = &self.program.ops[number];
        grid_of(&self.program.plan, &self.program.plan.ops[number]).unwrap_or(Grid {
            window: Window::new(1, 1),
            input: (places.input.height, places.input.width),
            output: (places.output.height, places.output.width),
        })
    }

    fn pool(&self, number: usize, pooling: Pooling) -> PoolingPart {
        PoolingPart { grid: self.grid(number), pooling }
    }

    fn depthwise(&self, number: usize, weight: ParameterId) -> DepthwisePart {
        DepthwisePart { grid: self.grid(number), weight: self.parameter(weight) }
    }

    /// See [`forward`](Self::forward).
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn activating_forward(&self, number: usize, group: usize, worker: usize) {
        let places = &self.program.ops[number];
        let images = self.images(group);
        // SAFETY: the caller's; the program's offsets and sizes fit the kernels' shapes.
        unsafe {
            let Worker { scratch, sources, .. } = &mut *self.workers.add(worker);
            match self.program.plan.ops[number].kind {
                OpKind::Convolution { weight, .. } => self.set.run(ConvolutionForward {
                    images,
                    inputs: self.sources(number, group, sources),
                    grid: self.grid(number),
                    output: self.raw_output(places, weight, group),
                    scratch,
                }),
                OpKind::Separable { depthwise, pointwise, .. } => self.set.run(SeparableForward {
                    images,
                    inputs: self.sources(number, group, sources),
                    depthwise: self.depthwise(number, depthwise),
                    output: self.raw_output(places, pointwise, group),
                    scratch,
                }),
                OpKind::Pool { pooling, .. } => self.set.run(PoolingForward {
                    images,
                    inputs: self.sources(number, group, sources),
                    pool: self.pool(number, pooling),
                    output: self.plain_output(places, group),
                    scratch,
                }),
                OpKind::Sum => {
                    let inputs = self.sources(number, group, sources);
                    self.set.run(SumForward { images, inputs, output: self.plain_output(places, group) });
                }
                OpKind::Concatenation => self.set.run(ConcatenationForward {
                    images,
                    sources: self.sources(number, group, sources).sources,
                    output: places.output,
                    to: self.activation(places.value),
                    scratch,
                }),
                _ => {}
            }
        }
    }

    /// See [`backward`](Self::backward).
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn activating_backward(&self, number: usize, group: usize, worker: usize) {
        let output = self.program.ops[number].output;
        let images = self.images(group);
        // SAFETY: the caller's; the program's offsets and sizes fit the kernels' shapes.
        unsafe {
            let Worker { scratch, gradient_operands, sources, consumed, .. } = &mut *self.workers.add(worker);
            match self.program.plan.ops[number].kind {
                OpKind::Convolution { weight, .. } => self.set.run(ConvolutionBackward {
                    images,
                    inputs: self.sources(number, group, sources),
                    grid: self.grid(number),
                    output,
                    gradient: self.value_gradient(number, (consumed, gradient_operands)),
                    weight_transposed: self.transposed(weight),
                    weight_gradient: self.gradient(weight, group),
                    scratch,
                }),
                OpKind::Separable { depthwise, pointwise, .. } => self.set.run(SeparableBackward {
                    images,
                    inputs: self.sources(number, group, sources),
                    depthwise: self.depthwise(number, depthwise),
                    output,
                    gradient: self.value_gradient(number, (consumed, gradient_operands)),
                    pointwise_transposed: self.transposed(pointwise),
                    depthwise_gradient: self.gradient(depthwise, group),
                    pointwise_gradient: self.gradient(pointwise, group),
                    scratch,
                }),
                OpKind::Pool { pooling, .. } => self.set.run(PoolingBackward {
                    images,
                    inputs: self.sources(number, group, sources),
                    pool: self.pool(number, pooling),
                    output,
                    gradient: self.value_gradient(number, (consumed, gradient_operands)),
                    scratch,
                }),
                OpKind::Sum => self.set.run(SumBackward {
                    images,
                    inputs: self.sources(number, group, sources),
                    gradient: self.value_gradient(number, (consumed, gradient_operands)),
                    scratch,
                }),
                OpKind::Concatenation => self.set.run(ConcatenationBackward {
                    images,
                    sources: self.sources(number, group, sources).sources,
                    output,
                    gradient: self.value_gradient(number, (consumed, gradient_operands)),
                    scratch,
                }),
                _ => {}
            }
        }
    }
}
