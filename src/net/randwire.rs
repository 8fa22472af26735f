//! RandWire (Xie et al. 2019): random graphs as the stages of a convolutional network.

use super::build::{After, ConvolutionShape, PlanBuilder};
use super::plan::{ImageShape, Plan, ValueId, Window};
use crate::graph::Dag;

/// Everything of a RandWire network but its wiring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandWireShape {
    /// The images it takes.
    pub image: ImageShape,
    /// Channels of stage 0; stage s has `channels << s`, the stem half of `channels`.
    pub channels: usize,
    /// Stride of the stem convolution.
    pub stem_stride: usize,
    /// Stride of a second convolution behind it, of `channels`; `None`: there is none.
    pub second_stem_stride: Option<usize>,
    /// Stride of every stage's source nodes.
    pub stage_strides: Vec<usize>,
    /// Channels of the 1x1 convolution before the pool.
    pub head: usize,
    /// Number of classes.
    pub classes: usize,
}

/// The network of these wirings, one a stage.
///
/// A node sums its inputs, weighted with sigmoids of learnt logits (one input: as it is), then ReLU, depthwise 3x3,
/// pointwise 1x1, batch norm. Nodes without predecessors read the stage's input with the stage's stride and do the
/// channel change; the stage's output is the mean of the nodes without successors. Stem: 3x3 convolution, batch norm, and
/// where there is a second one ReLU, 3x3 convolution, batch norm.
/// Head: pointwise, batch norm, ReLU, global average pool, dropout, fully connected.
///
/// # Panics
/// If there is not one stride a stage, or no stage.
pub fn randwire(stages: &[Dag], shape: &RandWireShape) -> Plan {
    assert!(!stages.is_empty() && stages.len() == shape.stage_strides.len(), "one stride a stage");
    let mut builder = PlanBuilder::new(shape.image, shape.classes);
    let mut inputs = vec![stem(&mut builder, shape)];
    for (stage, dag) in stages.iter().enumerate() {
        let input = builder.mean(inputs);
        let channels = shape.channels << stage;
        let mut outputs: Vec<ValueId> = Vec::with_capacity(dag.nodes());
        for node in 0..dag.nodes() {
            let scope = format!("stages.{stage}.nodes.{node}");
            let output = match dag.in_degree(node) {
                0 => builder.node(&scope, vec![input], channels, shape.stage_strides[stage]),
                _ => builder.node(&scope, dag.predecessors(node).map(|from| outputs[from]).collect(), channels, 1),
            };
            outputs.push(output);
        }
        inputs = dag.sinks().map(|node| outputs[node]).collect();
    }
    let head = builder.head(inputs, shape.head);
    builder.classifier(head, true);
    builder.finish()
}

fn stem(builder: &mut PlanBuilder, shape: &RandWireShape) -> ValueId {
    let half = (shape.channels / 2).max(1);
    let Some(stride) = shape.second_stem_stride else {
        return builder.stem(half, shape.stem_stride, After::Norm);
    };
    let first = builder.stem(half, shape.stem_stride, After::NormRelu);
    let second = ConvolutionShape { inputs: half, outputs: shape.channels, window: Window::new(3, stride) };
    builder.convolution("stem.second", vec![first], second, After::Norm)
}
