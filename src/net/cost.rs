//! What a plan costs: trained parameters and multiply-adds.

use super::plan::{Op, OpKind, Plan};

impl Plan {
    /// Elements of all trained tensors.
    pub fn trained_parameters(&self) -> u64 {
        let trained = self.parameters.iter().filter(|p| p.role.trained());
        trained.map(|p| p.dimensions.iter().product::<usize>() as u64).sum()
    }

    /// Multiply-adds per image, forward, of the convolutions and the fully connected layer.
    pub fn multiply_adds(&self) -> u64 {
        self.ops.iter().map(|op| self.op_multiply_adds(op)).sum()
    }

    /// Multiply-adds per image, forward, of one operation's convolutions or fully connected layer.
    pub fn op_multiply_adds(&self, op: &Op) -> u64 {
        let output = self.values[op.output.0];
        let pixels = (output.height * output.width) as u64;
        let weights = |id: super::ParameterId| self.parameters[id.0].dimensions.iter().product::<usize>() as u64;
        match op.kind {
            OpKind::Stem { weight, .. } | OpKind::Pointwise { weight } | OpKind::Convolution { weight, .. } => {
                pixels * weights(weight)
            }
            OpKind::Node { depthwise, pointwise, .. } | OpKind::Separable { depthwise, pointwise, .. } => {
                pixels * (weights(depthwise) + weights(pointwise))
            }
            OpKind::Mean | OpKind::Pool { .. } | OpKind::Sum | OpKind::Concatenation => 0,
            OpKind::Classifier { weight, .. } => weights(weight),
        }
    }
}
