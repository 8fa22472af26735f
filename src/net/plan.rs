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
    /// Whether consumers apply a ReLU after it, each input by itself. Only the operations from
    /// [`OpKind::Convolution`] on and the classifier read such values.
    pub relu: bool,
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
    /// Batch norm -> ReLU (perhaps) -> global average pool -> dropout -> fully connected. The output is the logits: a
    /// value of `classes` channels and one pixel. No other operation reads its input.
    Classifier {
        /// `(classes, in)`.
        weight: ParameterId,
        /// `(classes)`.
        bias: ParameterId,
        /// Whether there is a ReLU.
        relu: bool,
    },
    /// Dense convolution of the sum of the inputs. Like every operation below it reads the first channels of inputs that
    /// have more than it takes, and gives `ceil(size / stride)` rows and columns.
    Convolution {
        /// `(out, in, size, size)`.
        weight: ParameterId,
        /// How windows lie.
        window: Window,
    },
    /// The sum of the inputs -> depthwise convolution -> pointwise 1x1.
    Separable {
        /// `(in, 1, size, size)`.
        depthwise: ParameterId,
        /// `(out, in, 1, 1)`.
        pointwise: ParameterId,
        /// How windows lie.
        window: Window,
    },
    /// Pooling of the sum of the inputs.
    Pool {
        /// What becomes of a window.
        pooling: Pooling,
        /// How windows lie.
        window: Window,
    },
    /// The plain sum of the inputs.
    Sum,
    /// The inputs' channels, one input after the other.
    Concatenation,
}

/// Square windows over an image. That of output `(y, x)` begins at row `stride * y + shift - (size - 1) / 2` and the same
/// column: padding as PyTorch has it, and for stride 1 and for even sizes also that of TensorFlow's `SAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns: 1 to 5.
    pub size: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Rows and columns that all windows are moved down and right: 1 in the second half of a factorised reduction.
    pub shift: usize,
}

impl Window {
    /// Windows of this size and stride that are not moved.
    pub fn new(size: usize, stride: usize) -> Self {
        Window { size, stride, shift: 0 }
    }

    /// Rows (or columns) above the image in the first window; for even sizes there is one more below than above.
    pub fn border(self) -> usize {
        (self.size - 1) / 2
    }

    /// Rows (or columns) of the output.
    pub fn outputs(self, inputs: usize) -> usize {
        inputs.div_ceil(self.stride)
    }
}

/// What becomes of a window. What lies outside the image counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of what lies inside the image.
    Average,
    /// The largest; its gradient goes to the first largest, row by row.
    Max,
}

impl OpKind {
    /// Whether every input's batch norm and ReLU are applied to it by itself before the inputs are joined. The others
    /// form one weighted sum of normalised inputs.
    pub fn activates_inputs(self) -> bool {
        use OpKind::{Concatenation, Convolution, Pool, Separable, Sum};
        matches!(self, Convolution { .. } | Separable { .. } | Pool { .. } | Sum | Concatenation)
    }

    /// What it is, in a few words.
    pub fn describe(self) -> String {
        let of = |what: &str, Window { size, stride, .. }: Window| match stride {
            1 => format!("{what} {size}x{size}"),
            _ => format!("{what} {size}x{size} / {stride}"),
        };
        match self {
            OpKind::Stem { stride, .. } => format!("dense 3x3 / {stride}"),
            OpKind::Node { stride, .. } => format!("node / {stride}"),
            OpKind::Mean => "mean".into(),
            OpKind::Pointwise { .. } => "1x1".into(),
            OpKind::Classifier { .. } => "classifier".into(),
            OpKind::Convolution { window, .. } => of("dense", window),
            OpKind::Separable { window, .. } => of("separable", window),
            OpKind::Pool { pooling: Pooling::Average, window } => of("average pool", window),
            OpKind::Pool { pooling: Pooling::Max, window } => of("max pool", window),
            OpKind::Sum => "sum".into(),
            OpKind::Concatenation => "concatenation".into(),
        }
    }
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

impl Plan {
    /// Channels of the classifier's input.
    pub fn features(&self) -> usize {
        self.ops.last().and_then(|op| op.inputs.first()).map_or(0, |input| self.values[input.0].channels)
    }
}
