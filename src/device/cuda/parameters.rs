//! How a plan's tensors lie on the device, and the way between that and PyTorch's order.

use super::records::padded;
use crate::net::{OpKind, ParameterId, Plan, Tensor, Weights};

/// The device's form of a tensor; channels are padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `(channels)`
    Vector,
    /// `(channels, 1, 3, 3)` as `(9, channels)`.
    Depthwise,
    /// `(out, in, height, width)` or `(out, in)` as `(out, height * width * in)`, pixels outside.
    Matrix,
}

/// One tensor's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// First element in the arenas of parameters, momentum, gradients and weights.
    pub offset: usize,
    /// Elements, with padding.
    pub floats: usize,
    /// Columns of the device's form, with padding.
    columns: usize,
    form: Form,
}

/// Places of all tensors of one candidate.
#[derive(Clone, Debug)]
pub(super) struct ParameterMap {
    /// One for each of the plan's parameters.
    pub slots: Vec<Slot>,
    /// First element of the candidate.
    pub start: usize,
    /// After the last.
    pub end: usize,
}

impl ParameterMap {
    /// Lays the tensors of a plan out from `start` on.
    pub(super) fn new(plan: &Plan, start: usize) -> Self {
        let mut forms = vec![Form::Vector; plan.parameters.len()];
        for op in &plan.ops {
            match op.kind {
                OpKind::Stem { weight, .. } | OpKind::Pointwise { weight } | OpKind::Classifier { weight, .. } => {
                    forms[weight.0] = Form::Matrix;
                }
                OpKind::Node { depthwise, pointwise, .. } => {
                    forms[depthwise.0] = Form::Depthwise;
                    forms[pointwise.0] = Form::Matrix;
                }
                // Others than a mean are refused with their plan.
                _ => {}
            }
        }
        let mut offset = start;
        let slots = (plan.parameters.iter().zip(forms))
            .map(|(parameter, form)| {
                let inner: usize = parameter.dimensions[1..].iter().product();
                let first = padded(parameter.dimensions[0]);
                let (rows, columns) = match form {
                    Form::Vector => (1, first),
                    Form::Depthwise => (9, first),
                    Form::Matrix => (first, padded(inner)),
                };
                let slot = Slot { offset, floats: rows * columns, columns, form };
                offset += slot.floats;
                slot
            })
            .collect();
        ParameterMap { slots, start, end: offset }
    }

    /// Offset of a tensor, for records.
    pub(super) fn offset(&self, id: ParameterId) -> u64 {
        self.slots[id.0].offset as u64
    }

    /// The tensors as they lie on the device, from the candidate's first element on; they fit the plan.
    pub(super) fn pack(&self, plan: &Plan, weights: &Weights) -> Vec<f32> {
        let mut arena = vec![0.0; self.end - self.start];
        for ((parameter, tensor), &slot) in plan.parameters.iter().zip(&weights.tensors).zip(&self.slots) {
            let to = &mut arena[slot.offset - self.start..][..slot.floats];
            indices(slot, &parameter.dimensions).zip(&tensor.data).for_each(|(index, &value)| to[index] = value);
        }
        arena
    }

    /// The tensors in PyTorch's order.
    pub(super) fn unpack(&self, plan: &Plan, arena: &[f32]) -> Weights {
        let tensors = (plan.parameters.iter().zip(&self.slots)).map(|(parameter, &slot)| {
            let from = &arena[slot.offset - self.start..][..slot.floats];
            let data = indices(slot, &parameter.dimensions).map(|index| from[index]).collect();
            Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
        });
        Weights { tensors: tensors.collect() }
    }
}

/// The device's index, within its slot, of every element of a tensor in PyTorch's order.
fn indices(slot: Slot, dimensions: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let count: usize = dimensions.iter().product();
    let inner: usize = dimensions[1..].iter().product();
    let channels = dimensions.get(1).copied().unwrap_or(1);
    let pixels = inner / channels.max(1);
    (0..count).map(move |element| match slot.form {
        Form::Vector => element,
        Form::Depthwise => element % 9 * slot.columns + element / 9,
        Form::Matrix => {
            let (out, rest) = (element / inner, element % inner);
            out * slot.columns + rest % pixels * channels + rest / pixels
        }
    })
}
