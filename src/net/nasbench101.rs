//! NAS-Bench-101 (Ying et al. 2019): a cell, repeated in three stacks, as a network; as the benchmark's published
//! `model_builder.py` makes it.

use super::build::{After, ConvolutionShape, PlanBuilder};
use super::plan::{ImageShape, Plan, Pooling, ValueId, Window};
use crate::graph::Dag;

/// What stands on a vertex between a cell's input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VertexOperator {
    /// 3x3 convolution, batch norm, ReLU.
    Convolution3x3,
    /// 1x1 convolution, batch norm, ReLU.
    Convolution1x1,
    /// 3x3 max pooling, stride 1.
    MaxPool3x3,
}

/// Everything of a NAS-Bench-101 network but its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NasBench101Shape {
    /// The images it takes.
    pub image: ImageShape,
    /// Channels of the stem and of the first stack's cells; every further stack has twice as many. Published: 128.
    pub channels: usize,
    /// Stacks, with a 2x2 max pool between two of them. Published: 3.
    pub stacks: usize,
    /// Cells in a stack. Published: 3.
    pub cells: usize,
    /// Number of classes.
    pub classes: usize,
}

/// The network of a pruned cell: every vertex of `dag` lies on a path from the first to the last, and `operators` holds
/// one operator for each of those between.
///
/// Stem: 3x3 convolution, batch norm, ReLU. A vertex takes the sum of its inputs: of interior vertices their first
/// channels, of the cell's input a 1x1 convolution with batch norm and ReLU. The output is the concatenation of the
/// interior vertices that lead to it, plus such a projection where the input does. Then global average pool, dropout, fully
/// connected.
///
/// # Panics
/// If there are fewer than two vertices, not one operator for each vertex between, or an interior vertex that does not
/// lead to the output.
pub fn nasbench101(dag: &Dag, operators: &[VertexOperator], shape: &NasBench101Shape) -> Plan {
    assert!(dag.nodes() >= 2 && operators.len() + 2 == dag.nodes(), "one operator for each vertex between");
    let mut builder = PlanBuilder::new(shape.image, shape.classes);
    let mut value = builder.stem(shape.channels, 1, After::NormRelu);
    for stack in 0..shape.stacks {
        if stack > 0 {
            let channels = builder.value(value).channels;
            value = builder.pool(vec![value], channels, (Pooling::Max, Window::new(2, 2)));
        }
        for cell in 0..shape.cells {
            let scope = format!("stacks.{stack}.cells.{cell}");
            let channels = vertex_channels(dag, builder.value(value).channels, shape.channels << stack);
            value = Cell { dag, operators, channels, scope, input: value }.build(&mut builder);
        }
    }
    builder.classifier(value, false);
    builder.finish()
}

/// Channels of every vertex. Those that lead to the output share its channels, the first ones getting one more where they
/// do not divide; every other vertex has as many as the widest that it feeds.
fn vertex_channels(dag: &Dag, input: usize, output: usize) -> Vec<usize> {
    let last = dag.nodes() - 1;
    let mut channels = vec![0; dag.nodes()];
    (channels[0], channels[last]) = (input, output);
    let ends: Vec<usize> = dag.predecessors(last).filter(|&vertex| vertex > 0).collect();
    for (place, &vertex) in ends.iter().enumerate() {
        channels[vertex] = output / ends.len() + usize::from(place < output % ends.len());
    }
    for vertex in (1..last).rev().filter(|&vertex| !dag.has_edge(vertex, last)) {
        let fed = (vertex + 1..last).filter(|&to| dag.has_edge(vertex, to));
        channels[vertex] = fed.map(|to| channels[to]).max().unwrap_or(0);
        assert!(channels[vertex] > 0, "vertex {vertex} does not lead to the output");
    }
    channels
}

/// A cell in its place.
struct Cell<'a> {
    dag: &'a Dag,
    operators: &'a [VertexOperator],
    /// Of every vertex.
    channels: Vec<usize>,
    scope: String,
    input: ValueId,
}

impl Cell<'_> {
    fn build(&self, builder: &mut PlanBuilder) -> ValueId {
        let last = self.dag.nodes() - 1;
        let mut values = vec![self.input];
        for vertex in 1..last {
            let mut inputs: Vec<ValueId> =
                self.dag.predecessors(vertex).filter(|&from| from > 0).map(|from| values[from]).collect();
            if self.dag.has_edge(0, vertex) {
                inputs.push(self.projection(builder, vertex));
            }
            values.push(self.vertex(builder, vertex, inputs));
        }
        let ends: Vec<ValueId> =
            self.dag.predecessors(last).filter(|&from| from > 0).map(|from| values[from]).collect();
        if ends.is_empty() {
            return self.projection(builder, last);
        }
        let joined = builder.concatenation(ends);
        if !self.dag.has_edge(0, last) {
            return joined;
        }
        let projection = self.projection(builder, last);
        builder.sum(&self.scope, vec![joined, projection], After::Nothing)
    }

    /// The cell's input, brought to a vertex's channels.
    fn projection(&self, builder: &mut PlanBuilder, vertex: usize) -> ValueId {
        let scope = format!("{}.projections.{vertex}", self.scope);
        let convolution =
            ConvolutionShape { inputs: self.channels[0], outputs: self.channels[vertex], window: Window::new(1, 1) };
        builder.convolution(&scope, vec![self.input], convolution, After::NormRelu)
    }

    fn vertex(&self, builder: &mut PlanBuilder, vertex: usize, inputs: Vec<ValueId>) -> ValueId {
        let channels = self.channels[vertex];
        let size = match self.operators[vertex - 1] {
            VertexOperator::MaxPool3x3 => {
                return builder.pool(inputs, channels, (Pooling::Max, Window::new(3, 1)));
            }
            VertexOperator::Convolution3x3 => 3,
            VertexOperator::Convolution1x1 => 1,
        };
        let scope = format!("{}.vertices.{vertex}", self.scope);
        let convolution = ConvolutionShape { inputs: channels, outputs: channels, window: Window::new(size, 1) };
        builder.convolution(&scope, inputs, convolution, After::NormRelu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VertexOperator::{Convolution1x1, Convolution3x3, MaxPool3x3};

    fn published() -> NasBench101Shape {
        let image = ImageShape { channels: 3, height: 32, width: 32 };
        NasBench101Shape { image, channels: 128, stacks: 3, cells: 3, classes: 10 }
    }

    /// The Inception-like cell of the benchmark's README.
    fn inception_like() -> (Dag, [VertexOperator; 5]) {
        let edges = [[0, 1], [0, 2], [0, 3], [0, 5], [1, 6], [2, 6], [3, 4], [4, 6], [5, 6]];
        let operators = [Convolution1x1, Convolution3x3, Convolution3x3, Convolution3x3, MaxPool3x3];
        (Dag::new(7, &edges).unwrap(), operators)
    }

    #[test]
    fn the_inception_like_cell_has_the_published_parameters() {
        let (dag, operators) = inception_like();
        assert_eq!(nasbench101(&dag, &operators, &published()).trained_parameters(), 2_694_282);
    }

    #[test]
    fn channels_are_shared_as_published() {
        // Three vertices lead to the output; vertex 1 feeds two of them.
        let dag = Dag::new(6, &[[0, 1], [1, 2], [1, 3], [0, 4], [2, 5], [3, 5], [4, 5]]).unwrap();
        assert_eq!(vertex_channels(&dag, 64, 128), [64, 43, 43, 43, 42, 128]);
        let path = Dag::new(2, &[[0, 1]]).unwrap();
        assert_eq!(vertex_channels(&path, 64, 128), [64, 128]);
        let plan = nasbench101(&path, &[], &published());
        // Nine projections in the place of cells.
        assert_eq!(plan.ops.len(), 1 + 9 + 2 + 1);
    }
}
