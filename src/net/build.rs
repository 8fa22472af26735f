//! Builds a plan operation by operation, keeping shapes, names and canonical order in one place.

use super::plan::{
    BatchNorm, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, Pooling, Role, ValueId, ValueShape, Window,
};

/// A plan under construction. `scope` begins the names of an operation's parameters.
pub struct PlanBuilder {
    plan: Plan,
}

/// What consumers do with a value while they read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// Batch norm.
    Norm,
    /// Batch norm and ReLU.
    NormRelu,
}

/// A convolution's channels and windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Channels that are read: the inputs' first ones.
    pub inputs: usize,
    /// Channels that are written.
    pub outputs: usize,
    /// How windows lie.
    pub window: Window,
}

/// Height and width after a 3x3 convolution with padding 1.
fn strided(size: usize, stride: usize) -> usize {
    size.saturating_sub(1) / stride + 1
}

impl PlanBuilder {
    /// An empty plan.
    pub fn new(image: ImageShape, classes: usize) -> Self {
        PlanBuilder { plan: Plan { image, classes, values: Vec::new(), parameters: Vec::new(), ops: Vec::new() } }
    }

    /// The plan.
    pub fn finish(self) -> Plan {
        self.plan
    }

    /// A value's shape.
    pub fn value(&self, id: ValueId) -> ValueShape {
        self.plan.values[id.0]
    }

    fn parameter(&mut self, name: String, dimensions: &[usize], role: Role) -> ParameterId {
        self.plan.parameters.push(ParameterShape { name, dimensions: dimensions.to_vec(), role });
        ParameterId(self.plan.parameters.len() - 1)
    }

    fn norm(&mut self, scope: &str, channels: usize) -> BatchNorm {
        let mut part = |name: &str, role| self.parameter(format!("{scope}.norm.{name}"), &[channels], role);
        BatchNorm {
            gamma: part("weight", Role::Gamma),
            beta: part("bias", Role::Beta),
            running_mean: part("running_mean", Role::RunningMean),
            running_variance: part("running_var", Role::RunningVariance),
        }
    }

    fn push(&mut self, kind: OpKind, inputs: Vec<ValueId>, shape: ValueShape) -> ValueId {
        let output = ValueId(self.plan.values.len());
        self.plan.values.push(shape);
        self.plan.ops.push(Op { kind, inputs, output });
        output
    }

    fn shape(&mut self, scope: &str, (channels, height, width): (usize, usize, usize), after: After) -> ValueShape {
        let norm = (after != After::Nothing).then(|| self.norm(scope, channels));
        ValueShape { channels, height, width, norm, relu: after == After::NormRelu }
    }

    /// Dense 3x3 convolution of the images.
    pub fn stem(&mut self, channels: usize, stride: usize, after: After) -> ValueId {
        let image = self.plan.image;
        let weight = self.parameter("stem.conv.weight".into(), &[channels, image.channels, 3, 3], Role::Weight);
        let shape = self.shape("stem", (channels, strided(image.height, stride), strided(image.width, stride)), after);
        self.push(OpKind::Stem { weight, stride }, Vec::new(), shape)
    }

    /// A RandWire node and its batch norm.
    pub fn node(&mut self, scope: &str, inputs: Vec<ValueId>, channels: usize, stride: usize) -> ValueId {
        use super::plan::Weighting;
        let input = self.value(inputs[0]);
        let weighting = match inputs.len() {
            1 => Weighting::Single,
            count => Weighting::Sigmoid(self.parameter(format!("{scope}.edges"), &[count], Role::EdgeLogits)),
        };
        let depthwise = self.parameter(format!("{scope}.depthwise.weight"), &[input.channels, 1, 3, 3], Role::Weight);
        let pointwise =
            self.parameter(format!("{scope}.pointwise.weight"), &[channels, input.channels, 1, 1], Role::Weight);
        let size = (channels, strided(input.height, stride), strided(input.width, stride));
        let shape = self.shape(scope, size, After::Norm);
        self.push(OpKind::Node { weighting, depthwise, pointwise, stride }, inputs, shape)
    }

    /// The mean of several values; of one value, the value itself.
    pub fn mean(&mut self, inputs: Vec<ValueId>) -> ValueId {
        if let [only] = inputs[..] {
            return only;
        }
        let shape = ValueShape { norm: None, relu: false, ..self.value(inputs[0]) };
        self.push(OpKind::Mean, inputs, shape)
    }

    /// The mean of several values, a pointwise convolution and its batch norm.
    pub fn head(&mut self, inputs: Vec<ValueId>, channels: usize) -> ValueId {
        let input = self.value(inputs[0]);
        let weight = self.parameter("head.conv.weight".into(), &[channels, input.channels, 1, 1], Role::Weight);
        let shape = self.shape("head", (channels, input.height, input.width), After::Norm);
        self.push(OpKind::Pointwise { weight }, inputs, shape)
    }

    /// ReLU (perhaps), global average pool, dropout and the fully connected layer.
    pub fn classifier(&mut self, input: ValueId, relu: bool) -> ValueId {
        let classes = self.plan.classes;
        let channels = self.value(input).channels;
        let weight = self.parameter("classifier.weight".into(), &[classes, channels], Role::Weight);
        let bias = self.parameter("classifier.bias".into(), &[classes], Role::Bias);
        let shape = ValueShape { channels: classes, height: 1, width: 1, norm: None, relu: false };
        self.push(OpKind::Classifier { weight, bias, relu }, vec![input], shape)
    }
}

/// Operations that activate every input by itself. Inputs are at least one, of the same rows and columns.
impl PlanBuilder {
    fn windowed(&self, input: ValueId, channels: usize, window: Window) -> (usize, usize, usize) {
        let input = self.value(input);
        (channels, window.outputs(input.height), window.outputs(input.width))
    }

    /// Dense convolution of the sum of the inputs.
    pub fn convolution(
        &mut self,
        scope: &str,
        inputs: Vec<ValueId>,
        convolution: ConvolutionShape,
        after: After,
    ) -> ValueId {
        let ConvolutionShape { inputs: channels, outputs, window } = convolution;
        let dimensions = [outputs, channels, window.size, window.size];
        let weight = self.parameter(format!("{scope}.conv.weight"), &dimensions, Role::Weight);
        let size = self.windowed(inputs[0], outputs, window);
        let shape = self.shape(scope, size, after);
        self.push(OpKind::Convolution { weight, window }, inputs, shape)
    }

    /// Depthwise, then pointwise convolution of the sum of the inputs.
    pub fn separable(
        &mut self,
        scope: &str,
        inputs: Vec<ValueId>,
        convolution: ConvolutionShape,
        after: After,
    ) -> ValueId {
        let ConvolutionShape { inputs: channels, outputs, window } = convolution;
        let dimensions = [channels, 1, window.size, window.size];
        let depthwise = self.parameter(format!("{scope}.depthwise.weight"), &dimensions, Role::Weight);
        let pointwise = self.parameter(format!("{scope}.pointwise.weight"), &[outputs, channels, 1, 1], Role::Weight);
        let size = self.windowed(inputs[0], outputs, window);
        let shape = self.shape(scope, size, after);
        self.push(OpKind::Separable { depthwise, pointwise, window }, inputs, shape)
    }

    /// Pooling of the first channels of the sum of the inputs.
    pub fn pool(&mut self, inputs: Vec<ValueId>, channels: usize, (pooling, window): (Pooling, Window)) -> ValueId {
        let (channels, height, width) = self.windowed(inputs[0], channels, window);
        let shape = ValueShape { channels, height, width, norm: None, relu: false };
        self.push(OpKind::Pool { pooling, window }, inputs, shape)
    }

    /// The sum of the inputs, which have equally many channels.
    pub fn sum(&mut self, scope: &str, inputs: Vec<ValueId>, after: After) -> ValueId {
        let ValueShape { channels, height, width, .. } = self.value(inputs[0]);
        let shape = self.shape(scope, (channels, height, width), after);
        self.push(OpKind::Sum, inputs, shape)
    }

    /// The inputs' channels one after the other; of one value, the value itself.
    pub fn concatenation(&mut self, inputs: Vec<ValueId>) -> ValueId {
        if let [only] = inputs[..] {
            return only;
        }
        let channels = inputs.iter().map(|&input| self.value(input).channels).sum();
        let shape = ValueShape { channels, norm: None, relu: false, ..self.value(inputs[0]) };
        self.push(OpKind::Concatenation, inputs, shape)
    }

    /// Halves rows and columns and loses no pixel (ENAS's factorised reduction): two 1x1 convolutions of stride 2, the
    /// second on windows moved by a pixel, make half of the channels each; then batch norm.
    pub fn factorised_reduction(&mut self, scope: &str, input: ValueId, outputs: usize) -> ValueId {
        let inputs = self.value(input).channels;
        let half = |shift: usize| ConvolutionShape {
            inputs,
            outputs: if shift == 0 { outputs / 2 } else { outputs - outputs / 2 },
            window: Window { size: 1, stride: 2, shift },
        };
        let first = self.convolution(&format!("{scope}.first"), vec![input], half(0), After::Norm);
        let second = self.convolution(&format!("{scope}.second"), vec![input], half(1), After::Norm);
        self.concatenation(vec![first, second])
    }
}
