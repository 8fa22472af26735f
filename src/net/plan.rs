//! The plan: what a device runs. It knows operations, values and parameters, and nothing of architectures.

/// Height, width and channels of the images a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Index of a value in [`Plan::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Index of a parameter in [`Plan::parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub usize);

/// The shape of one image's part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueShape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The batch normalisation that consumers apply while they read the value; `None`: read as it is.
    pub norm: Option<BatchNorm>,
}

/// The parameters and running statistics of one batch normalisation, all of shape `(channels)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNorm {
    /// Scale, 1 at the start.
    pub gamma: ParameterId,
    /// Shift, 0 at the start.
    pub beta: ParameterId,
    /// Running mean: a buffer, not trained.
    pub running_mean: ParameterId,
    /// Running variance (unbiased): a buffer, not trained.
    pub running_variance: ParameterId,
}

/// What a tensor is for: it decides initial values and what is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Convolution or fully connected weights, `(out, in / groups, height, width)` or `(out, in)`.
    Weight,
    /// Bias of the classifier.
    Bias,
    /// Logits of the aggregation weights: sigmoid(0) = 1/2 at the start.
    EdgeLogits,
    /// Batch-norm scale.
    Gamma,
    /// Batch-norm shift.
    Beta,
    /// Running mean.
    RunningMean,
    /// Running variance.
    RunningVariance,
}

impl Role {
    /// Whether the optimiser changes it.
    pub fn trained(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVariance)
    }
}

/// Name, shape and role of one tensor. Shapes are PyTorch's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterShape {
    /// For instance `stages.0.nodes.3.depthwise.weight`.
    pub name: String,
    /// Row-major dimensions.
    pub dimensions: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// How the inputs of a sum are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// One input, taken as it is.
    Single,
    /// sigmoid(logit) for each input; the logits are learnt.
    Sigmoid(ParameterId),
    /// The plain mean.
    Mean,
}

/// One operation. Its result is [`Op::output`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What is done.
    pub kind: OpKind,
    /// The values that are read, each with its own batch normalisation applied; empty for the stem, which reads images.
    pub inputs: Vec<ValueId>,
    /// The value that is written.
    pub output: ValueId,
}

/// What an [`Op`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Dense 3x3 convolution of the images, padding 1.
    Stem {
        /// `(out, in, 3, 3)`.
        weight: ParameterId,
        /// 1 or 2.
        stride: usize,
    },
    /// A RandWire node: weighted sum -> ReLU -> depthwise 3x3 (padding 1) -> pointwise 1x1.
    Node {
        /// How the inputs are summed.
        weighting: Weighting,
        /// `(in, 1, 3, 3)`.
        depthwise: ParameterId,
        /// `(out, in, 1, 1)`.
        pointwise: ParameterId,
        /// 1 or 2.
        stride: usize,
    },
    /// The plain mean of the inputs.
    Mean,
    /// The mean of the inputs -> pointwise 1x1, without ReLU.
    Pointwise {
        /// `(out, in, 1, 1)`.
        weight: ParameterId,
    },
    /// Batch norm -> ReLU -> global average pool -> dropout -> fully connected. The output is the logits: a value of
    /// `classes` channels and one pixel.
    Classifier {
        /// `(classes, in)`.
        weight: ParameterId,
        /// `(classes)`.
        bias: ParameterId,
    },
}

/// A network, ready for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The images it takes.
    pub image: ImageShape,
    /// Number of classes.
    pub classes: usize,
    /// Every value, in the order in which the operations write them.
    pub values: Vec<ValueShape>,
    /// Every tensor, in canonical order: that of the operations, within one PyTorch's.
    pub parameters: Vec<ParameterShape>,
    /// The operations, in topological order; the last is the classifier.
    pub ops: Vec<Op>,
}
