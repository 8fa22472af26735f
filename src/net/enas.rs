//! ENAS's macro space (Pham et al. 2018): a chain of layers with a free operator each and free skips between them.

use super::build::{After, ConvolutionShape, PlanBuilder};
use super::plan::{ImageShape, Plan, Pooling, ValueId, Window};
use crate::graph::Dag;

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerOperator {
    /// Dense convolution of this size.
    Convolution(usize),
    /// Separable convolution of this size.
    Separable(usize),
    /// 3x3 pooling, stride 1.
    Pool(Pooling),
}

impl LayerOperator {
    /// Begins the names of its parameters.
    fn scope(self) -> String {
        match self {
            LayerOperator::Convolution(size) => format!("conv{size}x{size}"),
            LayerOperator::Separable(size) => format!("sepconv{size}x{size}"),
            LayerOperator::Pool(Pooling::Average) => "avgpool3x3".into(),
            LayerOperator::Pool(Pooling::Max) => "maxpool3x3".into(),
        }
    }
}

/// Everything of a network of the macro space but operators and skips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnasShape {
    /// The images it takes.
    pub image: ImageShape,
    /// Channels of every layer. Published: 36 in the search, 96 in the final training.
    pub channels: usize,
    /// Number of classes.
    pub classes: usize,
}

/// The network of these operators and skips: an edge `[j, i]` with `j + 1 < i` is a skip from layer j to layer i.
///
/// Stem: 3x3 convolution, batch norm. A layer reads the one before it: 1x1 convolution, batch norm, ReLU; its operator,
/// a convolution with batch norm and ReLU; the sum with its skips; batch norm. After a third and two thirds of the layers
/// rows and columns are halved by factorised reductions, one for every earlier layer that is still read. Then global average
/// pool, dropout, fully connected. A parameter's name tells its layer and operator, so that networks can share weights.
///
/// # Panics
/// If there is not one node of `skips` for every operator, or none.
pub fn enas(operators: &[LayerOperator], skips: &Dag, shape: &EnasShape) -> Plan {
    assert!(!operators.is_empty() && operators.len() == skips.nodes(), "one node for every operator");
    let mut builder = PlanBuilder::new(shape.image, shape.classes);
    let stem = builder.stem(shape.channels, 1, After::Norm);
    let mut network = Network { builder, operators, skips, channels: shape.channels, stem, outputs: Vec::new() };
    for layer in 0..operators.len() {
        if network.reduces_before(layer) {
            network.reduce(layer);
        }
        network.layer(layer);
    }
    let last = network.before(operators.len());
    network.builder.classifier(last, false);
    network.builder.finish()
}

struct Network<'a> {
    builder: PlanBuilder,
    operators: &'a [LayerOperator],
    skips: &'a Dag,
    channels: usize,
    stem: ValueId,
    /// Every layer's output so far, as reduced as the layer at hand.
    outputs: Vec<ValueId>,
}

impl Network<'_> {
    /// Whether a third of the layers ends before this one.
    fn reduces_before(&self, layer: usize) -> bool {
        let third = self.operators.len() / 3;
        third > 0 && (layer == third || layer == 2 * third)
    }

    /// The output of the layer before.
    fn before(&self, layer: usize) -> ValueId {
        layer.checked_sub(1).map_or(self.stem, |before| self.outputs[before])
    }

    /// Whether a layer from `layer` on reads this earlier one.
    fn is_read(&self, earlier: usize, layer: usize) -> bool {
        earlier + 1 == layer || (layer..self.operators.len()).any(|to| self.is_skip(earlier, to))
    }

    fn is_skip(&self, from: usize, to: usize) -> bool {
        from + 1 < to && self.skips.has_edge(from, to)
    }

    fn reduce(&mut self, layer: usize) {
        for earlier in 0..layer {
            if self.is_read(earlier, layer) {
                let scope = format!("reductions.{layer}.from.{earlier}");
                self.outputs[earlier] = self.builder.factorised_reduction(&scope, self.outputs[earlier], self.channels);
            }
        }
    }

    fn layer(&mut self, layer: usize) {
        let operator = self.operators[layer];
        let scope = format!("layers.{layer}.{}", operator.scope());
        let convolution = |size: usize| ConvolutionShape {
            inputs: self.channels,
            outputs: self.channels,
            window: Window::new(size, 1),
        };
        let input = self.before(layer);
        let builder = &mut self.builder;
        let input = builder.convolution(&format!("{scope}.input"), vec![input], convolution(1), After::NormRelu);
        let output = match operator {
            LayerOperator::Convolution(size) => {
                builder.convolution(&scope, vec![input], convolution(size), After::NormRelu)
            }
            LayerOperator::Separable(size) => {
                builder.separable(&scope, vec![input], convolution(size), After::NormRelu)
            }
            LayerOperator::Pool(pooling) => builder.pool(vec![input], self.channels, (pooling, Window::new(3, 1))),
        };
        let mut inputs = vec![output];
        inputs.extend((0..layer).filter(|&from| self.is_skip(from, layer)).map(|from| self.outputs[from]));
        let sum = self.builder.sum(&format!("layers.{layer}"), inputs, After::Norm);
        self.outputs.push(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(channels: usize) -> EnasShape {
        EnasShape { image: ImageShape { channels: 3, height: 32, width: 32 }, channels, classes: 10 }
    }

    #[test]
    fn parameters_are_those_counted_by_hand() {
        let operators = [LayerOperator::Convolution(3), LayerOperator::Separable(5), LayerOperator::Pool(Pooling::Max)];
        let skips = Dag::new(3, &[[0, 1], [0, 2], [1, 2]]).unwrap();
        let plan = enas(&operators, &skips, &shape(8));
        let norm = 16;
        let input = 64 + norm;
        let layers = [input + 9 * 64 + norm, input + 25 * 8 + 64 + norm, input].map(|layer| layer + norm);
        // Before layer 1 layer 0 is reduced, before layer 2 both are: the skip from 0 to 2 and the chain.
        let reductions = 3 * (64 + norm);
        let stem = 27 * 8 + norm;
        let expected = stem + layers.iter().sum::<usize>() + reductions + 8 * 10 + 10;
        assert_eq!(plan.trained_parameters(), expected as u64);
        let before_last = plan.values[plan.ops.last().unwrap().inputs[0].0];
        assert_eq!((before_last.channels, before_last.height, before_last.width), (8, 8, 8));
    }

    #[test]
    fn names_are_unique() {
        let operators = vec![LayerOperator::Pool(Pooling::Average); 12];
        let edges: Vec<[usize; 2]> = (0..12).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
        let plan = enas(&operators, &Dag::new(12, &edges).unwrap(), &shape(4));
        let names: std::collections::HashSet<&str> = plan.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names.len(), plan.parameters.len());
    }
}
