//! How a plan's tensors lie on the device, and the way between that and PyTorch's order.

use super::records::padded;
use crate::net::{OpKind, ParameterId, ParameterShape, Plan, Tensor, Weights};
use std::collections::HashMap;

/// The device's form of a tensor; channels are padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `(channels)`
    Vector,
    /// `(channels, 1, size, size)` as `(size * size, channels)`.
    Depthwise,
    /// `(out, in, height, width)` or `(out, in)` as `(out, height * width * in)`, pixels outside, padded as a whole.
    Matrix,
    /// `(out, in, size, size)` as `(out, size * size, in)`, every pixel's channels padded.
    Dense,
}

/// One tensor's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
                OpKind::Convolution { weight, .. } => forms[weight.0] = Form::Dense,
                OpKind::Separable { depthwise, pointwise, .. } => {
                    forms[depthwise.0] = Form::Depthwise;
                    forms[pointwise.0] = Form::Matrix;
                }
                OpKind::Mean | OpKind::Pool { .. } | OpKind::Sum | OpKind::Concatenation => {}
            }
        }
        let mut offset = start;
        let slots = (plan.parameters.iter().zip(forms))
            .map(|(parameter, form)| {
                let inner: usize = parameter.dimensions[1..].iter().product();
                let (first, channels) =
                    (padded(parameter.dimensions[0]), parameter.dimensions.get(1).map_or(1, |&c| c));
                let (rows, columns) = match form {
                    Form::Vector => (1, first),
                    Form::Depthwise => (inner, first),
                    Form::Matrix => (first, padded(inner)),
                    Form::Dense => (first, inner / channels.max(1) * padded(channels)),
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
            pack(slot, parameter, &tensor.data, &mut arena[slot.offset - self.start..][..slot.floats]);
        }
        arena
    }

    /// The tensors in PyTorch's order.
    pub(super) fn unpack(&self, plan: &Plan, arena: &[f32]) -> Weights {
        let tensors = (plan.parameters.iter().zip(&self.slots))
            .map(|(parameter, &slot)| unpack(slot, parameter, &arena[slot.offset - self.start..][..slot.floats]));
        Weights { tensors: tensors.collect() }
    }
}

/// Places of the tensors that networks share: one for every name.
#[derive(Clone, Debug)]
pub(super) struct SharedLayout {
    parameters: Vec<(ParameterShape, Slot)>,
    by_name: HashMap<String, usize>,
    /// Elements of all.
    pub floats: usize,
}

impl SharedLayout {
    /// Places for all parameters of these plans; where two have one of the same name, it is the same.
    pub(super) fn new(plans: &[Plan]) -> Self {
        let mut layout = SharedLayout { parameters: Vec::new(), by_name: HashMap::new(), floats: 0 };
        for plan in plans {
            for (parameter, slot) in plan.parameters.iter().zip(ParameterMap::new(plan, 0).slots) {
                if !layout.by_name.contains_key(&parameter.name) {
                    layout.by_name.insert(parameter.name.clone(), layout.parameters.len());
                    layout.parameters.push((parameter.clone(), Slot { offset: layout.floats, ..slot }));
                    layout.floats += slot.floats;
                }
            }
        }
        layout
    }

    /// The places of a network's tensors. `None`: one of them is not among the shared ones.
    pub(super) fn map(&self, plan: &Plan) -> Option<ParameterMap> {
        let own = ParameterMap::new(plan, 0);
        let slots = plan.parameters.iter().zip(&own.slots).map(|(parameter, own)| {
            let (shape, slot) = self.parameters.get(*self.by_name.get(&parameter.name)?)?;
            let same = shape == parameter && Slot { offset: own.offset, ..*slot } == *own;
            same.then_some(*slot)
        });
        Some(ParameterMap { slots: slots.collect::<Option<_>>()?, start: 0, end: self.floats })
    }

    /// Tensors as they lie on the device; those that are not among the shared ones are passed over.
    pub(super) fn pack(&self, weights: &Weights) -> Vec<f32> {
        let mut arena = vec![0.0; self.floats];
        for tensor in &weights.tensors {
            let place = self.by_name.get(&tensor.name).and_then(|&place| self.parameters.get(place));
            if let Some((shape, slot)) = place {
                pack(*slot, shape, &tensor.data, &mut arena[slot.offset..][..slot.floats]);
            }
        }
        arena
    }

    /// All tensors in PyTorch's order.
    pub(super) fn unpack(&self, arena: &[f32]) -> Weights {
        let tensors = self.parameters.iter();
        let tensors = tensors.map(|(shape, slot)| unpack(*slot, shape, &arena[slot.offset..][..slot.floats]));
        Weights { tensors: tensors.collect() }
    }
}

fn pack(slot: Slot, shape: &ParameterShape, data: &[f32], to: &mut [f32]) {
    indices(slot, &shape.dimensions).zip(data).for_each(|(index, &value)| to[index] = value);
}

fn unpack(slot: Slot, shape: &ParameterShape, from: &[f32]) -> Tensor {
    let data = indices(slot, &shape.dimensions).map(|index| from[index]).collect();
    Tensor { name: shape.name.clone(), dimensions: shape.dimensions.clone(), data }
}

/// The device's index, within its slot, of every element of a tensor in PyTorch's order.
fn indices(slot: Slot, dimensions: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let count: usize = dimensions.iter().product();
    let inner: usize = dimensions[1..].iter().product();
    let channels = dimensions.get(1).copied().unwrap_or(1);
    let pixels = inner / channels.max(1);
    (0..count).map(move |element| match slot.form {
        Form::Vector => element,
        Form::Depthwise => element % inner * slot.columns + element / inner,
        Form::Matrix | Form::Dense => {
            let (out, rest) = (element / inner, element % inner);
            let pitch = if slot.form == Form::Dense { padded(channels) } else { channels };
            out * slot.columns + rest % pixels * pitch + rest / pixels
        }
    })
}
