//! An output head: Linear - ReLU - Linear - ReLU - Linear.

use super::parameters::Head;
use super::pass::{Backward, Forward};
use crate::device::cpu::matrix::{Matrix, Start, View};

/// What the forward pass leaves for the backward pass, the output included.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadState {
    /// The two hidden layers (rows, hidden).
    hidden: [Matrix; 2],
    /// The output (rows, outputs).
    pub out: Matrix,
    /// Gradient of the output, set before the backward pass (rows, outputs).
    pub dout: Matrix,
}

/// `x` (rows, hidden) gives `kept.out`.
pub(super) fn forward(head: &Head, pass: &mut Forward, x: View, kept: &mut HeadState) {
    let HeadState { hidden: [first, second], out, .. } = kept;
    let (parameters, panels) = (pass.context.parameters, &mut pass.scratch.panels);
    first.reshape(x.row_count(), head[0].outputs);
    second.reshape(x.row_count(), head[1].outputs);
    out.reshape(x.row_count(), head[2].outputs);
    head[0].forward(parameters, x, &mut first.view_mut(), panels);
    relu(first);
    head[1].forward(parameters, first.view(), &mut second.view_mut(), panels);
    relu(second);
    head[2].forward(parameters, second.view(), &mut out.view_mut(), panels);
}

/// From `kept.dout`; the gradient of x is added to `dx` (rows, hidden).
pub(super) fn backward(head: &Head, pass: &mut Backward, x: View, kept: &HeadState, dx: &mut Matrix) {
    let HeadState { hidden: [first, second], dout, .. } = kept;
    let parameters = pass.context.parameters;
    let panels = &mut pass.scratch.panels;
    let [dfirst, dsecond] = &mut pass.scratch.dhead;
    dfirst.reshape(first.rows(), first.cols());
    dsecond.reshape(second.rows(), second.cols());

    head[2].parameter_gradient(pass.gradient, second.view(), dout.view(), panels);
    head[2].input_gradient(parameters, dout.view(), Start::Zero, &mut dsecond.view_mut(), panels);
    relu_gradient(second, dsecond);
    head[1].parameter_gradient(pass.gradient, first.view(), dsecond.view(), panels);
    head[1].input_gradient(parameters, dsecond.view(), Start::Zero, &mut dfirst.view_mut(), panels);
    relu_gradient(first, dfirst);
    head[0].parameter_gradient(pass.gradient, x, dfirst.view(), panels);
    let mut dx = dx.view_mut().rows(0..x.row_count());
    head[0].input_gradient(parameters, dfirst.view(), Start::Output, &mut dx, panels);
}

fn relu(values: &mut Matrix) {
    values.data_mut().iter_mut().for_each(|value| *value = value.max(0.0));
}

/// Clears the gradient where the ReLU's output is zero.
fn relu_gradient(output: &Matrix, gradient: &mut Matrix) {
    for (gradient, output) in gradient.data_mut().iter_mut().zip(output.data()) {
        *gradient = if *output > 0.0 { *gradient } else { 0.0 };
    }
}
