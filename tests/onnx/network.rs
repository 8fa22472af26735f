//! Small networks that together have every kind of operation.

use graphpnas_fast::graph::Dag;
use graphpnas_fast::net::{
    After, BatchNorm, ConvolutionShape, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, PlanBuilder,
    Pooling, RandWireShape, Role, Tensor, ValueId, ValueShape, Weighting, Weights, Window, randwire,
};
use graphpnas_fast::random::{Purpose, StreamKey};
use rand::RngExt;

#[derive(Default)]
struct Builder {
    values: Vec<ValueShape>,
    parameters: Vec<ParameterShape>,
    ops: Vec<Op>,
}

impl Builder {
    fn parameter(&mut self, name: String, dimensions: &[usize], role: Role) -> ParameterId {
        self.parameters.push(ParameterShape { name, dimensions: dimensions.to_vec(), role });
        ParameterId(self.parameters.len() - 1)
    }

    fn norm(&mut self, module: &str, channels: usize) -> BatchNorm {
        BatchNorm {
            gamma: self.parameter(format!("{module}.weight"), &[channels], Role::Gamma),
            beta: self.parameter(format!("{module}.bias"), &[channels], Role::Beta),
            running_mean: self.parameter(format!("{module}.running_mean"), &[channels], Role::RunningMean),
            running_variance: self.parameter(format!("{module}.running_var"), &[channels], Role::RunningVariance),
        }
    }

    fn value(&mut self, channels: usize, [height, width]: [usize; 2], norm: Option<BatchNorm>) -> ValueId {
        self.values.push(ValueShape { channels, height, width, norm, relu: false });
        ValueId(self.values.len() - 1)
    }

    fn op(&mut self, kind: OpKind, inputs: &[ValueId], output: ValueId) -> ValueId {
        self.ops.push(Op { kind, inputs: inputs.to_vec(), output });
        output
    }

    fn node(&mut self, module: &str, inputs: &[ValueId], channels: usize, stride: usize) -> ValueId {
        let from = self.values[inputs[0].0];
        let weighting = match inputs.len() {
            1 => Weighting::Single,
            edges => Weighting::Sigmoid(self.parameter(format!("{module}.w"), &[edges], Role::EdgeLogits)),
        };
        let depthwise = self.parameter(format!("{module}.dw.weight"), &[from.channels, 1, 3, 3], Role::Weight);
        let pointwise = self.parameter(format!("{module}.pw.weight"), &[channels, from.channels, 1, 1], Role::Weight);
        let norm = self.norm(&format!("{module}.bn"), channels);
        let size = [from.height.div_ceil(stride), from.width.div_ceil(stride)];
        let output = self.value(channels, size, Some(norm));
        self.op(OpKind::Node { weighting, depthwise, pointwise, stride }, inputs, output)
    }
}

/// Two stages of random wiring on 2-channel images of 7 x 10 pixels, five classes.
pub fn plan() -> Plan {
    let mut b = Builder::default();
    let weight = b.parameter("stem.weight".into(), &[3, 2, 3, 3], Role::Weight);
    let norm = b.norm("stem_bn", 3);
    let stem = b.value(3, [7, 10], Some(norm));
    b.op(OpKind::Stem { weight, stride: 1 }, &[], stem);
    let n0 = b.node("stages.0.nodes.0", &[stem], 4, 2);
    let n1 = b.node("stages.0.nodes.1", &[stem], 4, 2);
    let n2 = b.node("stages.0.nodes.2", &[n0, n1], 4, 1);
    let n3 = b.node("stages.0.nodes.3", &[n0, n1, n2], 4, 1);
    let n4 = b.node("stages.0.nodes.4", &[n2], 4, 1);
    let mean = b.value(4, [4, 5], None);
    b.op(OpKind::Mean, &[n3, n4], mean);
    let m0 = b.node("stages.1.nodes.0", &[mean], 8, 2);
    let m1 = b.node("stages.1.nodes.1", &[m0], 8, 1);
    let m2 = b.node("stages.1.nodes.2", &[m0], 8, 1);
    let weight = b.parameter("head.weight".into(), &[6, 8, 1, 1], Role::Weight);
    let norm = b.norm("head_bn", 6);
    let head = b.value(6, [2, 3], Some(norm));
    b.op(OpKind::Pointwise { weight }, &[m1, m2], head);
    let weight = b.parameter("fc.weight".into(), &[5, 6], Role::Weight);
    let bias = b.parameter("fc.bias".into(), &[5], Role::Bias);
    let logits = b.value(5, [1, 1], None);
    b.op(OpKind::Classifier { weight, bias, relu: true }, &[head], logits);
    let image = ImageShape { channels: 2, height: 7, width: 10 };
    Plan { image, classes: 5, values: b.values, parameters: b.parameters, ops: b.ops }
}

/// Every operation that activates its inputs by themselves, at several sizes and strides, on the same images.
pub fn activating_plan() -> Plan {
    let mut b = PlanBuilder::new(ImageShape { channels: 2, height: 7, width: 10 }, 5);
    let convolution = |inputs: usize, outputs: usize, size: usize, stride: usize| ConvolutionShape {
        inputs,
        outputs,
        window: Window::new(size, stride),
    };
    let stem = b.stem(6, 1, After::NormRelu);
    let wide = b.convolution("wide", vec![stem], convolution(6, 7, 3, 1), After::NormRelu);
    let plain = b.convolution("plain", vec![wide, stem], convolution(5, 7, 5, 1), After::Nothing);
    let separable = b.separable("separable", vec![plain], convolution(7, 4, 3, 1), After::Norm);
    let average = b.pool(vec![separable, wide], 4, (Pooling::Average, Window::new(3, 1)));
    let largest = b.pool(vec![average, plain], 3, (Pooling::Max, Window::new(3, 1)));
    let all = b.concatenation(vec![separable, largest, wide]);
    let projection = b.convolution("projection", vec![stem], convolution(6, 14, 1, 1), After::NormRelu);
    let sum = b.sum("sum", vec![all, projection], After::NormRelu);
    let reduced = b.factorised_reduction("reduced", sum, 5);
    let parallel = [
        b.convolution("strided", vec![sum], convolution(14, 5, 3, 2), After::NormRelu),
        b.separable("separable2", vec![sum], convolution(14, 5, 5, 2), After::Norm),
        b.pool(vec![sum], 5, (Pooling::Average, Window::new(3, 2))),
        b.pool(vec![sum], 5, (Pooling::Max, Window::new(2, 2))),
        b.pool(vec![sum], 5, (Pooling::Max, Window::new(3, 2))),
        reduced,
    ];
    let again = b.sum("again", parallel.to_vec(), After::Norm);
    let last = b.factorised_reduction("last", again, 6);
    b.classifier(last, false);
    b.finish()
}

/// RandWire with two convolutions in its stem, on the same images.
pub fn second_stem_plan() -> Plan {
    let shape = RandWireShape {
        image: ImageShape { channels: 2, height: 7, width: 10 },
        channels: 6,
        stem_stride: 1,
        second_stem_stride: Some(2),
        stage_strides: vec![1],
        head: 4,
        classes: 5,
    };
    randwire(&[Dag::new(4, &[[0, 2], [1, 2], [0, 3]]).unwrap()], &shape)
}

/// Weights of the size that training leaves.
pub fn weights(plan: &Plan) -> Weights {
    let mut random = StreamKey { seed: 7, purpose: Purpose::NetworkInitialise, candidate: 0, epoch: 0 }.stream();
    let mut tensor = |parameter: &ParameterShape| {
        let range = match parameter.role {
            Role::Gamma | Role::RunningVariance => 0.3..1.7,
            Role::EdgeLogits => -2.0..2.0,
            _ => -0.7..0.7f32,
        };
        let data = (0..parameter.dimensions.iter().product()).map(|_| random.random_range(range.clone())).collect();
        Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
    };
    Weights { tensors: plan.parameters.iter().map(&mut tensor).collect() }
}
