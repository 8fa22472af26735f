//! How a plan's tensors lie on the device, and the way between that and PyTorch's order.

use super::gemm::{transpose_panels, transpose_windows};
use super::layout::{padded, panel_index};
use super::ops::window_channels;
use crate::net::{OpKind, ParameterId, Plan, Tensor, Weights};

/// The device's form of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `(channels)`, padded.
    Vector,
    /// `(channels, 1, size, size)` as `[block][tap][lane]`.
    Depthwise {
        /// `size * size`
        taps: usize,
    },
    /// `(out, in, size, size)` as a matrix `(in block, tap, lane; out)` in panels.
    Windows {
        /// Blocks of `in`.
        in_blocks: usize,
        /// Blocks of `out`.
        out_blocks: usize,
        /// `size * size`
        taps: usize,
    },
    /// `(out, in, height, width)` or `(out, in)` as a matrix `(height * width * in, out)` in panels.
    Matrix {
        /// Blocks of `height * width * in`.
        row_blocks: usize,
        /// Blocks of `out`.
        column_blocks: usize,
    },
}

/// One tensor's place in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// First float in the arena.
    pub offset: usize,
    /// Floats, with padding.
    pub floats: usize,
    /// First float of the transpose in the arena of transposes; only matrices whose inputs need a gradient have one.
    pub transposed: Option<usize>,
    form: Form,
}

/// Places of all tensors.
#[derive(Clone, Debug)]
pub(crate) struct ParameterMap {
    /// One for each of the plan's parameters.
    pub slots: Vec<Slot>,
    /// Floats of the arena.
    pub floats: usize,
    /// Floats of the arena of transposes.
    pub transposed_floats: usize,
    lanes: usize,
}

impl ParameterMap {
    pub(crate) fn new(plan: &Plan, lanes: usize) -> Self {
        let mut forms = vec![(Form::Vector, false); plan.parameters.len()];
        let dimensions = |id: ParameterId| &plan.parameters[id.0].dimensions;
        let matrix = |id: ParameterId| {
            let (out, rows) = (dimensions(id)[0], dimensions(id)[1..].iter().product::<usize>());
            Form::Matrix { row_blocks: rows.div_ceil(lanes), column_blocks: out.div_ceil(lanes) }
        };
        for op in &plan.ops {
            match op.kind {
                OpKind::Stem { weight, .. } => {
                    let row_blocks = window_channels(plan.image, lanes) / lanes;
                    let column_blocks = dimensions(weight)[0].div_ceil(lanes);
                    forms[weight.0] = (Form::Matrix { row_blocks, column_blocks }, false);
                }
                OpKind::Node { depthwise, pointwise, .. } => {
                    forms[depthwise.0] = (Form::Depthwise { taps: 9 }, false);
                    forms[pointwise.0] = (matrix(pointwise), true);
                }
                OpKind::Separable { depthwise, pointwise, window } => {
                    forms[depthwise.0] = (Form::Depthwise { taps: window.size * window.size }, false);
                    forms[pointwise.0] = (matrix(pointwise), true);
                }
                OpKind::Convolution { weight, window } => {
                    let (out, inputs) = (dimensions(weight)[0], dimensions(weight)[1]);
                    let (in_blocks, out_blocks) = (inputs.div_ceil(lanes), out.div_ceil(lanes));
                    forms[weight.0] = (Form::Windows { in_blocks, out_blocks, taps: window.size * window.size }, true);
                }
                OpKind::Pointwise { weight } | OpKind::Classifier { weight, .. } => {
                    forms[weight.0] = (matrix(weight), true);
                }
                OpKind::Mean | OpKind::Pool { .. } | OpKind::Sum | OpKind::Concatenation => {}
            }
        }
        let (mut floats, mut transposed_floats) = (0, 0);
        let slots = (plan.parameters.iter().zip(forms))
            .map(|(parameter, (form, transpose))| {
                let size = match form {
                    Form::Vector => padded(parameter.dimensions[0], lanes),
                    Form::Depthwise { taps } => taps * padded(parameter.dimensions[0], lanes),
                    Form::Windows { in_blocks, out_blocks, taps } => in_blocks * out_blocks * taps * lanes * lanes,
                    Form::Matrix { row_blocks, column_blocks } => row_blocks * column_blocks * lanes * lanes,
                };
                let offset = floats;
                floats += size;
                let transposed = transpose.then_some(transposed_floats);
                transposed_floats += if transpose { size } else { 0 };
                Slot { offset, floats: size, transposed, form }
            })
            .collect();
        ParameterMap { slots, floats, transposed_floats, lanes }
    }

    /// Place of a tensor.
    pub(crate) fn slot(&self, id: ParameterId) -> Slot {
        self.slots[id.0]
    }

    /// The device's index, within its slot, of every element of a tensor in PyTorch's order.
    fn indices(&self, slot: Slot, dimensions: &[usize]) -> impl Iterator<Item = usize> + use<> {
        let lanes = self.lanes;
        let count: usize = dimensions.iter().product();
        let inner: usize = dimensions[1..].iter().product();
        let channels = dimensions.get(1).copied().unwrap_or(1);
        let pixels = inner / channels.max(1);
        (0..count).map(move |element| match slot.form {
            Form::Vector => element,
            Form::Depthwise { taps } => {
                let (channel, tap) = (element / taps, element % taps);
                channel / lanes * taps * lanes + tap * lanes + channel % lanes
            }
            Form::Windows { in_blocks, out_blocks, taps } => {
                let (out, rest) = (element / inner, element % inner);
                let (channel, tap) = (rest / taps, rest % taps);
                let row = (channel / lanes * taps + tap) * lanes + channel % lanes;
                panel_index(in_blocks * taps * lanes, out_blocks, lanes, row, out)
            }
            Form::Matrix { row_blocks, column_blocks } => {
                let (out, rest) = (element / inner, element % inner);
                let (channel, pixel) = (rest / pixels, rest % pixels);
                panel_index(row_blocks * lanes, column_blocks, lanes, pixel * channels + channel, out)
            }
        })
    }

    /// Writes host tensors into the arena. The tensors fit the plan; padding stays as it is.
    pub(crate) fn load(&self, plan: &Plan, weights: &Weights, arena: &mut [f32]) {
        for ((parameter, tensor), &slot) in plan.parameters.iter().zip(&weights.tensors).zip(&self.slots) {
            let to = &mut arena[slot.offset..][..slot.floats];
            for (index, &value) in self.indices(slot, &parameter.dimensions).zip(&tensor.data) {
                to[index] = value;
            }
        }
    }

    /// Reads host tensors from the arena.
    pub(crate) fn store(&self, plan: &Plan, arena: &[f32]) -> Weights {
        let tensors = (plan.parameters.iter().zip(&self.slots)).map(|(parameter, &slot)| {
            let from = &arena[slot.offset..][..slot.floats];
            let data = self.indices(slot, &parameter.dimensions).map(|index| from[index]).collect();
            Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
        });
        Weights { tensors: tensors.collect() }
    }

    /// Refreshes all transposes.
    pub(crate) fn transpose(&self, arena: &[f32], transposed: &mut [f32]) {
        for &slot in &self.slots {
            if let Some(offset) = slot.transposed {
                let from = &arena[slot.offset..][..slot.floats];
                self.transpose_slot(slot, from, &mut transposed[offset..][..slot.floats]);
            }
        }
    }

    /// Refreshes one matrix's transpose.
    pub(crate) fn transpose_slot(&self, slot: Slot, from: &[f32], to: &mut [f32]) {
        match slot.form {
            Form::Matrix { row_blocks, column_blocks } => {
                transpose_panels(from, to, row_blocks, column_blocks, self.lanes);
            }
            Form::Windows { in_blocks, out_blocks, taps } => {
                transpose_windows(from, to, (in_blocks, out_blocks, taps), self.lanes);
            }
            Form::Vector | Form::Depthwise { .. } => {}
        }
    }
}
