//! An output head: Linear - ReLU - Linear - ReLU - Linear.

use super::activation::relu_gradient;
use super::parameters::Head;
use super::pass::{Backward, Forward};
use super::weights::HeadWeights;
use crate::device::cpu::matrix::{Matrix, Start, Vectorise, View, multiply, multiply_rectified, vectorise};

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

/// A head with its weights.
#[derive(Clone, Copy)]
pub(super) struct BoundHead<'a> {
    pub layers: &'a Head,
    pub weights: &'a HeadWeights,
}

impl BoundHead<'_> {
    /// `x` (rows, hidden) gives `kept.out`.
    pub fn forward(&self, pass: &mut Forward, x: View, kept: &mut HeadState) {
        let HeadState { hidden: [first, second], out, .. } = kept;
        let parameters = pass.parameters;
        let bias = |layer: usize| Start::Bias(self.layers[layer].bias(parameters));
        first.reshape(x.row_count(), self.layers[0].outputs);
        second.reshape(x.row_count(), self.layers[1].outputs);
        out.reshape(x.row_count(), self.layers[2].outputs);
        multiply_rectified(x, &self.weights[0].forward, bias(0), &mut first.view_mut());
        multiply_rectified(first.view(), &self.weights[1].forward, bias(1), &mut second.view_mut());
        multiply(second.view(), &self.weights[2].forward, bias(2), &mut out.view_mut());
    }

    /// From `kept.dout`; the gradient of x is added to `dx` (rows, hidden).
    pub fn backward(&self, pass: &mut Backward, x: View, kept: &HeadState, dx: &mut Matrix) {
        let HeadState { hidden: [first, second], dout, .. } = kept;
        let weight = |layer: usize| self.weights[layer].backward(self.layers[layer].weight(pass.parameters));
        let panels = &mut pass.scratch.panels;
        let [dfirst, dsecond] = &mut pass.scratch.dhead;
        dfirst.reshape(first.rows(), first.cols());
        dsecond.reshape(second.rows(), second.cols());

        self.layers[2].parameter_gradient((&mut *pass.gradient, pass.sum), second.view(), dout.view(), panels);
        multiply(dout.view(), weight(2), Start::Zero, &mut dsecond.view_mut());
        vectorise(ReluGradient { output: second, gradient: dsecond });
        self.layers[1].parameter_gradient((&mut *pass.gradient, pass.sum), first.view(), dsecond.view(), panels);
        multiply(dsecond.view(), weight(1), Start::Zero, &mut dfirst.view_mut());
        vectorise(ReluGradient { output: first, gradient: dfirst });
        self.layers[0].parameter_gradient((&mut *pass.gradient, pass.sum), x, dfirst.view(), panels);
        let mut dx = dx.view_mut().rows(0..x.row_count());
        multiply(dfirst.view(), weight(0), Start::Output, &mut dx);
    }
}

/// Clears the gradient where the ReLU's output is zero.
struct ReluGradient<'a> {
    output: &'a Matrix,
    gradient: &'a mut Matrix,
}

impl Vectorise for ReluGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (gradient, output) in self.gradient.data_mut().iter_mut().zip(self.output.data()) {
            *gradient = relu_gradient(*output, *gradient);
        }
    }
}
