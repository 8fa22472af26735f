//! The operations of a plan on one group of images: forward beside backward, each one sweep per tile.

mod classifier;
mod concatenation;
mod convolution;
mod mean;
mod node;
mod pointwise;
mod pool;
mod separable;
mod sources;
mod stem;
mod sum;
mod tile;

pub(crate) use classifier::{
    ClassifierBackward, ClassifierBuffers, ClassifierForward, ClassifierInput, HeadGradient, Target,
};
pub(crate) use concatenation::{ConcatenationBackward, ConcatenationForward};
pub(crate) use convolution::{ConvolutionBackward, ConvolutionForward};
pub(crate) use mean::{MeanBackward, MeanForward};
pub(crate) use node::{NodeBackward, NodeForward};
pub(crate) use pointwise::{PointwiseBackward, PointwiseForward};
pub(crate) use pool::{PoolingBackward, PoolingForward, PoolingPart};
pub(crate) use separable::{DepthwisePart, SeparableBackward, SeparableForward};
pub(crate) use sources::{Consumed, OwnValue, Source, Sources, ValueGradient};
pub(crate) use stem::{StemBackward, StemForward, Windows, bordered_image, window_channels};
pub(crate) use sum::{SumBackward, SumForward};
pub(crate) use tile::{Images, Inputs, Operand, OutputGradient, RawOutput, Scratch, ScratchSizes, Statistics};
