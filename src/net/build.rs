//! Builds a plan operation by operation, keeping shapes, names and canonical order in one place.

use super::plan::{BatchNorm, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, Role, ValueId, ValueShape};

/// A plan under construction.
pub(super) struct PlanBuilder {
    plan: Plan,
}

/// Height and width after a 3x3 convolution with padding 1.
fn strided(size: usize, stride: usize) -> usize {
    size.saturating_sub(1) / stride + 1
}

impl PlanBuilder {
    pub(super) fn new(image: ImageShape, classes: usize) -> Self {
        PlanBuilder { plan: Plan { image, classes, values: Vec::new(), parameters: Vec::new(), ops: Vec::new() } }
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    pub(super) fn value(&self, id: ValueId) -> ValueShape {
        self.plan.values[id.0]
    }

    pub(super) fn parameter(&mut self, name: String, dimensions: &[usize], role: Role) -> ParameterId {
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

    /// Dense 3x3 convolution of the images and its batch norm.
    pub(super) fn stem(&mut self, channels: usize, stride: usize) -> ValueId {
        let image = self.plan.image;
        let weight = self.parameter("stem.conv.weight".into(), &[channels, image.channels, 3, 3], Role::Weight);
        let norm = Some(self.norm("stem", channels));
        let shape =
            ValueShape { channels, height: strided(image.height, stride), width: strided(image.width, stride), norm };
        self.push(OpKind::Stem { weight, stride }, Vec::new(), shape)
    }

    /// A RandWire node and its batch norm.
    pub(super) fn node(&mut self, scope: &str, inputs: Vec<ValueId>, channels: usize, stride: usize) -> ValueId {
        use super::plan::Weighting;
        let input = self.value(inputs[0]);
        let weighting = match inputs.len() {
            1 => Weighting::Single,
            count => Weighting::Sigmoid(self.parameter(format!("{scope}.edges"), &[count], Role::EdgeLogits)),
        };
        let depthwise = self.parameter(format!("{scope}.depthwise.weight"), &[input.channels, 1, 3, 3], Role::Weight);
        let pointwise =
            self.parameter(format!("{scope}.pointwise.weight"), &[channels, input.channels, 1, 1], Role::Weight);
        let norm = Some(self.norm(scope, channels));
        let shape =
            ValueShape { channels, height: strided(input.height, stride), width: strided(input.width, stride), norm };
        self.push(OpKind::Node { weighting, depthwise, pointwise, stride }, inputs, shape)
    }

    /// The mean of several values; of one value, the value itself.
    pub(super) fn mean(&mut self, inputs: Vec<ValueId>) -> ValueId {
        if let [only] = inputs[..] {
            return only;
        }
        let shape = ValueShape { norm: None, ..self.value(inputs[0]) };
        self.push(OpKind::Mean, inputs, shape)
    }

    /// The mean of several values, a pointwise convolution and its batch norm.
    pub(super) fn head(&mut self, inputs: Vec<ValueId>, channels: usize) -> ValueId {
        let input = self.value(inputs[0]);
        let weight = self.parameter("head.conv.weight".into(), &[channels, input.channels, 1, 1], Role::Weight);
        let norm = Some(self.norm("head", channels));
        self.push(OpKind::Pointwise { weight }, inputs, ValueShape { channels, norm, ..input })
    }

    /// ReLU, global average pool, dropout and the fully connected layer.
    pub(super) fn classifier(&mut self, input: ValueId) -> ValueId {
        let classes = self.plan.classes;
        let channels = self.value(input).channels;
        let weight = self.parameter("classifier.weight".into(), &[classes, channels], Role::Weight);
        let bias = self.parameter("classifier.bias".into(), &[classes], Role::Bias);
        let shape = ValueShape { channels: classes, height: 1, width: 1, norm: None };
        self.push(OpKind::Classifier { weight, bias }, vec![input], shape)
    }
}
