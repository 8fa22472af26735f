//! Places of the operations that activate every input by itself. Their joined inputs are values, which the products of
//! the forward and of the weights' gradients read; where the last reader is done, the joined inputs' gradient lies there.

use super::super::error::CudaError;
use super::super::records::{ConvolutionTask, PoolingTask, SeparableTask, padded};
use super::arena::Arena;
use super::places::{Candidate, OpPlaces, SPLIT_ROWS, size};
use crate::net::{Op, OpKind, Pooling, Window};
use bytemuck::Zeroable;

/// Pixels of a partial gradient of a depthwise weight.
const GROUP_ROWS: u32 = 512;

impl Candidate {
    /// Channels that an operation takes of its joined inputs.
    pub(in super::super) fn channels_read(&self, number: usize) -> usize {
        let op = &self.plan.ops[number];
        let dimension = |parameter: usize, which: usize| self.plan.parameters[parameter].dimensions[which];
        match op.kind {
            OpKind::Convolution { weight, .. } => dimension(weight.0, 1),
            OpKind::Separable { depthwise, .. } => dimension(depthwise.0, 0),
            _ => self.plan.values[op.output.0].channels,
        }
    }

    /// Whether a value is joined by what reads it.
    pub(in super::super) fn is_joined(&self, number: usize) -> bool {
        let kinds = |&(consumer, _): &(usize, usize)| self.plan.ops[consumer].kind;
        self.ops[number].consumers.iter().map(kinds).any(OpKind::activates_inputs)
    }

    /// Whether a value is part of the weighted sums of what reads it.
    pub(in super::super) fn is_weighted(&self, number: usize) -> bool {
        let classifier = self.plan.ops.len() - 1;
        !self.is_joined(number) && self.ops[number].consumers.iter().any(|&(consumer, _)| consumer != classifier)
    }

    /// Places of one operation, beside its output's.
    pub(super) fn place_activating(
        &self,
        number: usize,
        images: usize,
        places: &mut OpPlaces,
        arena: &mut Arena,
    ) -> Result<(), CudaError> {
        let elements = |rows: u32, columns: u32| rows as usize * columns as usize;
        let op = &self.plan.ops[number];
        places.value = arena.values(elements(places.rows, places.channels));
        let joined = elements(places.in_rows, places.in_channels);
        match op.kind {
            OpKind::Sum | OpKind::Concatenation => {
                // The value is read for the last time where this gradient is formed of it.
                places.gradient = places.value;
                return Ok(());
            }
            OpKind::Separable { window, .. } => {
                places.activating.joined = arena.values(joined);
                places.middle = arena.values(elements(places.rows, places.in_channels));
                let task = self.separable(number, window, images)?;
                places.groups = size(task.groups() as usize)?;
                let taps = task.size * task.size;
                places.depthwise_gradients = arena.floats(elements(places.groups * taps, places.in_channels));
                places.activating.separable = Some(task);
            }
            OpKind::Pool { pooling, window } => {
                places.middle = arena.values(joined);
                let chosen = || arena.values(elements(places.rows, places.channels));
                places.activating.chosen = (pooling == Pooling::Max).then(chosen);
                places.activating.pooling = Some(self.pooling(op, window, images)?);
            }
            _ => places.middle = arena.values(joined),
        }
        places.gradient = places.middle;
        let taps = match op.kind {
            OpKind::Convolution { window, .. } => {
                if window != Window::new(1, 1) {
                    places.activating.convolution = Some(self.convolution(number, window, images)?);
                }
                window.size * window.size
            }
            OpKind::Separable { .. } => 1,
            _ => 0,
        };
        let weights = taps * elements(places.channels, places.in_channels);
        places.weight_gradients = arena.floats(places.splits() as usize * weights);
        Ok(())
    }

    fn convolution(&self, number: usize, window: Window, images: usize) -> Result<ConvolutionTask, CudaError> {
        let op = &self.plan.ops[number];
        let (input, output) = (self.plan.values[op.inputs[0].0], self.plan.values[op.output.0]);
        Ok(ConvolutionTask {
            images: size(images)?,
            in_channels: size(padded(self.channels_read(number)))?,
            in_height: size(input.height)?,
            in_width: size(input.width)?,
            channels: size(padded(output.channels))?,
            height: size(output.height)?,
            width: size(output.width)?,
            size: size(window.size)?,
            stride: size(window.stride)?,
            shift: size(window.shift)?,
            split: SPLIT_ROWS,
            ..Zeroable::zeroed()
        })
    }

    fn pooling(&self, op: &Op, window: Window, images: usize) -> Result<PoolingTask, CudaError> {
        let (input, output) = (self.plan.values[op.inputs[0].0], self.plan.values[op.output.0]);
        Ok(PoolingTask {
            images: size(images)?,
            channels: size(padded(output.channels))?,
            in_height: size(input.height)?,
            in_width: size(input.width)?,
            height: size(output.height)?,
            width: size(output.width)?,
            size: size(window.size)?,
            stride: size(window.stride)?,
            shift: size(window.shift)?,
            ..Zeroable::zeroed()
        })
    }

    fn separable(&self, number: usize, window: Window, images: usize) -> Result<SeparableTask, CudaError> {
        let input = self.plan.values[self.plan.ops[number].inputs[0].0];
        Ok(SeparableTask {
            images: size(images)?,
            channels: size(padded(self.channels_read(number)))?,
            height: size(input.height)?,
            width: size(input.width)?,
            size: size(window.size)?,
            rows_per_group: GROUP_ROWS,
            ..Zeroable::zeroed()
        })
    }
}
