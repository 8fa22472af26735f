//! Loops over edges: the output of the first layer of an edge network, its sums, and their transposes.
//!
//! They go through a few columns at a time, whose sums stay in registers while the edges into a node go by.

use super::activation::relu_gradient;
use super::columns::{each, for_columns, take};
use super::pass::EdgeGradient;
use super::prefixes::Stage;
use crate::device::cpu::matrix::{Matrix, Vectorise};
use std::ops::Range;

#[inline(always)]
fn relu(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

/// What the layer reads: its graph, p, the table of marks and numbers, and its bias.
type Inputs<'a> = (&'a Stage, &'a Matrix, &'a Matrix, &'a [f32]);

/// What all edges into an output add to their source's share: `b - p_v`, and the same with the mark. The mark counts for
/// all edges of a new node, else for the last edge.
#[inline(always)]
fn bases<const N: usize>((stage, projected, table, bias): Inputs, output: usize, column: usize) -> [[f32; N]; 2] {
    let own: [f32; N] = projected.take(stage.own[output] as usize, column);
    let bias: [f32; N] = take(bias, column);
    let mark: [f32; N] = table.take(usize::from(stage.new[output]), column);
    let plain = each(|i| bias[i] - own[i]);
    let marked = each(|i| plain[i] + mark[i]);
    [if stage.new[output] { marked } else { plain }, marked]
}

/// `sums_v = sum over edges into v of relu(pre)`
pub(super) struct SumEdges<'a> {
    pub stage: &'a Stage,
    pub projected: &'a Matrix,
    pub table: &'a Matrix,
    pub bias: &'a [f32],
    pub sums: &'a mut Matrix,
}

impl Vectorise for SumEdges<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let width = self.bias.len();
        for output in 0..self.stage.outputs() {
            for_columns!(width, [32, 24, 16, 8, 1], |column, SIZE| self.block::<SIZE>(output, column));
        }
    }
}

impl SumEdges<'_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, output: usize, column: usize) {
        let SumEdges { stage, projected, table, bias, .. } = *self;
        let [base, last_base] = bases::<N>((stage, projected, table, bias), output, column);
        let mut sums = [0.0; N];
        if let Some((&last, sources)) = stage.sources[stage.edges_into(output)].split_last() {
            for &source in sources {
                let from: [f32; N] = projected.take(source as usize, column);
                sums = each(|i| sums[i] + relu(from[i] + base[i]));
            }
            let from: [f32; N] = projected.take(last as usize, column);
            sums = each(|i| sums[i] + relu(from[i] + last_base[i]));
        }
        self.sums.put(output, column, sums);
    }
}

/// `out_e = relu(pre_e)` for the edges into some outputs: `p_u - p_v`, and what its kind of edge adds.
pub(super) struct Activate<'a> {
    pub stage: &'a Stage,
    pub projected: &'a Matrix,
    /// The bias of edges between existing nodes, from a new node, and to one (3, outputs).
    pub bases: &'a Matrix,
    pub outputs: Range<usize>,
    pub out: &'a mut Matrix,
}

impl Vectorise for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Activate { stage, projected, bases, outputs, out } = self;
        let mut edge = 0;
        for output in outputs {
            let own = stage.own[output] as usize;
            let sources = &stage.sources[stage.edges_into(output)];
            for (index, &source) in sources.iter().enumerate() {
                let kind = if stage.new[output] { 2 } else { usize::from(index + 1 == sources.len()) };
                // The whole row at once, which is written from front to back.
                for_columns!(bases.cols(), [32, 24, 16, 8, 1], |column, SIZE| {
                    let [from, own]: [[f32; SIZE]; 2] =
                        [projected.take(source as usize, column), projected.take(own, column)];
                    let base: [f32; SIZE] = bases.take(kind, column);
                    out.put(edge, column, each::<SIZE>(|i| relu(from[i] - own[i] + base[i])));
                });
                edge += 1;
            }
        }
    }
}

/// The transpose of [`SumEdges`].
pub(super) struct ScatterSums<'a> {
    pub forward: Inputs<'a>,
    pub dsums: &'a Matrix,
    pub to: &'a mut EdgeGradient,
}

impl Vectorise for ScatterSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let (stage, _, _, bias) = self.forward;
        for output in 0..stage.outputs() {
            for_columns!(bias.len(), [32, 24, 16, 8, 1], |column, SIZE| self.block::<SIZE>(output, column));
        }
    }
}

impl ScatterSums<'_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, output: usize, column: usize) {
        let (stage, projected, ..) = self.forward;
        let [base, last_base] = bases::<N>(self.forward, output, column);
        let given: [f32; N] = self.dsums.take(output, column);
        let mut received = [0.0; N];
        let mut last = [0.0; N];
        let edges = stage.edges_into(output);
        let count = edges.len();
        for (index, &source) in stage.sources[edges].iter().enumerate() {
            let base = if index + 1 == count { last_base } else { base };
            let from: [f32; N] = projected.take(source as usize, column);
            last = each(|i| relu_gradient(from[i] + base[i], given[i]));
            self.to.projected.add(source as usize, column, last);
            received = each(|i| received[i] + last[i]);
        }
        finish(stage, output, column, [last, received], self.to);
    }
}

/// What an output's edges leave with the output itself, the bias and the marks, given the last edge's and all edges'
/// gradients.
#[inline(always)]
fn finish<const N: usize>(
    stage: &Stage,
    output: usize,
    column: usize,
    [last, received]: [[f32; N]; 2],
    to: &mut EdgeGradient,
) {
    to.projected.add(stage.own[output] as usize, column, each::<N>(|i| -received[i]));
    to.bias.add(0, column, received);
    let marked = if stage.new[output] { received } else { last };
    to.table.add(usize::from(stage.new[output]), column, marked);
}

/// The transpose of [`Activate`], whose output says where the ReLU passes.
pub(super) struct Scatter<'a> {
    pub stage: &'a Stage,
    pub output: &'a Matrix,
    pub doutput: &'a Matrix,
    pub outputs: Range<usize>,
    pub to: &'a mut EdgeGradient,
}

impl Vectorise for Scatter<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let width = self.to.projected.cols();
        for output in self.outputs.clone() {
            for_columns!(width, [32, 24, 16, 8, 1], |column, SIZE| self.block::<SIZE>(output, column));
        }
    }
}

impl Scatter<'_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, output: usize, column: usize) {
        let edges = self.stage.edges_into(output);
        let first = edges.start - self.stage.incoming[self.outputs.start] as usize;
        let mut received = [0.0; N];
        let mut last = [0.0; N];
        for (index, &source) in self.stage.sources[edges].iter().enumerate() {
            let value: [f32; N] = self.output.take(first + index, column);
            let given: [f32; N] = self.doutput.take(first + index, column);
            last = each(|i| relu_gradient(value[i], given[i]));
            self.to.projected.add(source as usize, column, last);
            received = each(|i| received[i] + last[i]);
        }
        finish(self.stage, output, column, [last, received], self.to);
    }
}
