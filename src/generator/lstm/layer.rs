//! One layer of the LSTM over a sequence of steps (Hochreiter and Schmidhuber 1997, with a forget gate):
//!
//! ```text
//! i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_x x_t + W_h h_{t-1}
//! c_t = f c_{t-1} + i g          h_t = o tanh(c_t)
//! ```
//!
//! The graphs of a batch take a step together: step t of graph b is row `t * batch + b` of every matrix.

use super::super::activation::{sigmoid, tanh};
use super::parameters::LayerWeights;
use crate::device::cpu::matrix::{
    Matrix, Packed, Panels, Start, Sum, Vectorise, multiply, transposed_product, vectorise,
};
use std::ops::Range;

/// A layer's weights as the products read them.
#[derive(Clone, Debug, Default)]
pub(super) struct PackedLayer {
    input: Packed,
    state: Packed,
    input_backward: Packed,
    state_backward: Packed,
}

impl PackedLayer {
    pub fn set(&mut self, layer: &LayerWeights, parameters: &[f32], training: bool) {
        let (input, state) = (layer.input.view(parameters), layer.state.view(parameters));
        self.input.set_transposed(input);
        self.state.set_transposed(state);
        if training {
            self.input_backward.set(input);
            self.state_backward.set(state);
        }
    }
}

/// What a layer computed, all (steps * batch, ...).
#[derive(Clone, Debug, Default)]
pub(super) struct LayerState {
    /// The gates i, f, g, o after their functions (..., 4 hidden).
    gates: Matrix,
    cells: Matrix,
    /// The layer's output h.
    pub output: Matrix,
    dgates: Matrix,
    dcell: Matrix,
    dstate: Matrix,
}

/// Rows of some steps.
fn rows(steps: Range<usize>, batch: usize) -> Range<usize> {
    steps.start * batch..steps.end * batch
}

impl LayerState {
    /// Makes room for so many steps; what earlier steps left stays.
    pub fn reserve(&mut self, steps: usize, batch: usize, hidden: usize) {
        self.gates.reshape(steps * batch, 4 * hidden);
        self.cells.reshape(steps * batch, hidden);
        self.output.reshape(steps * batch, hidden);
    }

    /// Runs these steps; the ones before them have been run.
    pub fn forward(&mut self, weights: &PackedLayer, x: &Matrix, steps: Range<usize>, batch: usize) {
        let span = rows(steps.clone(), batch);
        multiply(x.view().rows(span.clone()), &weights.input, Start::Zero, &mut self.gates.view_mut().rows(span));
        for step in steps {
            let now = rows(step..step + 1, batch);
            if step > 0 {
                let before = self.output.view().rows(rows(step - 1..step, batch));
                multiply(before, &weights.state, Start::Output, &mut self.gates.view_mut().rows(now.clone()));
            }
            let LayerState { gates, cells, output, .. } = self;
            vectorise(Step { gates, cells, output, rows: now, batch });
        }
    }

    /// `doutput` holds the gradient of the output on entry, of all steps; `dinput` receives that of x. Adds the weights'.
    pub fn backward(&mut self, pass: &mut Backward, x: &Matrix, doutput: &Matrix, dinput: &mut Matrix) {
        let (batch, total) = (pass.batch, self.output.rows());
        let hidden = self.output.cols();
        self.dgates.reshape(total, 4 * hidden);
        self.dcell.reshape_zeroed(batch, hidden);
        self.dstate.reshape_zeroed(batch, hidden);
        for step in (0..total / batch).rev() {
            let now = rows(step..step + 1, batch);
            let LayerState { gates, cells, dgates, dcell, dstate, .. } = self;
            vectorise(StepBackward { gates, cells, dgates, dcell, dstate, doutput, rows: now.clone(), batch });
            let dgates = self.dgates.view().rows(now);
            multiply(dgates, &pass.weights.state_backward, Start::Zero, &mut self.dstate.view_mut());
        }
        let dgates = self.dgates.view();
        transposed_product(
            dgates,
            x.view(),
            Sum::Continued,
            &mut pass.layer.input.view_mut(pass.gradient),
            pass.panels,
        );
        let (later, earlier) = (dgates.rows(batch..total), self.output.view().rows(0..total - batch));
        transposed_product(later, earlier, Sum::Continued, &mut pass.layer.state.view_mut(pass.gradient), pass.panels);
        dinput.reshape(total, hidden);
        multiply(dgates, &pass.weights.input_backward, Start::Zero, &mut dinput.view_mut());
    }
}

/// What a layer's backward pass needs besides its state.
pub(super) struct Backward<'a> {
    pub batch: usize,
    pub layer: &'a LayerWeights,
    pub weights: &'a PackedLayer,
    pub gradient: &'a mut [f32],
    pub panels: &'a mut Panels,
}

/// One step's gates, from their sums.
struct Step<'a> {
    gates: &'a mut Matrix,
    cells: &'a mut Matrix,
    output: &'a mut Matrix,
    rows: Range<usize>,
    batch: usize,
}

/// The four gates of a row.
#[inline(always)]
fn quarters(row: &[f32], hidden: usize) -> [&[f32]; 4] {
    let ((i, f), (g, o)) = (row[..2 * hidden].split_at(hidden), row[2 * hidden..].split_at(hidden));
    [i, f, g, &o[..hidden]]
}

#[inline(always)]
fn quarters_mut(row: &mut [f32], hidden: usize) -> [&mut [f32]; 4] {
    let (front, back) = row.split_at_mut(2 * hidden);
    let ((i, f), (g, o)) = (front.split_at_mut(hidden), back.split_at_mut(hidden));
    [i, f, g, &mut o[..hidden]]
}

impl Vectorise for Step<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let hidden = self.output.cols();
        for row in self.rows {
            if row < self.batch {
                self.cells.row_mut(row).fill(0.0);
            } else {
                let before = (row - self.batch) * hidden;
                self.cells.data_mut().copy_within(before..before + hidden, row * hidden);
            }
            let [i, f, g, o] = quarters_mut(self.gates.row_mut(row), hidden);
            let (cell, out) = (&mut self.cells.row_mut(row)[..hidden], &mut self.output.row_mut(row)[..hidden]);
            for k in 0..hidden {
                i[k] = sigmoid::<FMA>(i[k]);
                f[k] = sigmoid::<FMA>(f[k]);
                g[k] = tanh::<FMA>(g[k]);
                o[k] = sigmoid::<FMA>(o[k]);
                cell[k] = f[k] * cell[k] + i[k] * g[k];
                out[k] = o[k] * tanh::<FMA>(cell[k]);
            }
        }
    }
}

/// The gradients of one step's sums.
struct StepBackward<'a> {
    gates: &'a Matrix,
    cells: &'a Matrix,
    dgates: &'a mut Matrix,
    /// In: what the next step says about this one's cell; out: what this one says about the one before.
    dcell: &'a mut Matrix,
    /// What the next step says about this one's output.
    dstate: &'a Matrix,
    doutput: &'a Matrix,
    rows: Range<usize>,
    batch: usize,
}

impl Vectorise for StepBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let hidden = self.cells.cols();
        let first = self.rows.start;
        for row in self.rows {
            let graph = row - first;
            let [i, f, g, o] = quarters(self.gates.row(row), hidden);
            let [di, df, dg, d_o] = quarters_mut(self.dgates.row_mut(row), hidden);
            let cell = &self.cells.row(row)[..hidden];
            let (later, given) = (&self.dstate.row(graph)[..hidden], &self.doutput.row(row)[..hidden]);
            let dcell = &mut self.dcell.row_mut(graph)[..hidden];
            let before = if row < self.batch { None } else { Some(&self.cells.row(row - self.batch)[..hidden]) };
            for k in 0..hidden {
                let dh = later[k] + given[k];
                let squashed = tanh::<FMA>(cell[k]);
                let dc = dcell[k] + dh * o[k] * (1.0 - squashed * squashed);
                let old = before.map_or(0.0, |before| before[k]);
                di[k] = dc * g[k] * i[k] * (1.0 - i[k]);
                df[k] = dc * old * f[k] * (1.0 - f[k]);
                dg[k] = dc * i[k] * (1.0 - g[k] * g[k]);
                d_o[k] = dh * squashed * o[k] * (1.0 - o[k]);
                dcell[k] = dc * f[k];
            }
        }
    }
}
