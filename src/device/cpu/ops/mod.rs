//! The operations of a plan on one group of images: forward beside backward, each one sweep per tile.

mod classifier;
mod mean;
mod node;
mod pointwise;
mod stem;
mod tile;

pub(crate) use classifier::{
    ClassifierBackward, ClassifierBuffers, ClassifierForward, ClassifierInput, HeadGradient, Target,
};
pub(crate) use mean::{MeanBackward, MeanForward};
pub(crate) use node::{NodeBackward, NodeForward};
pub(crate) use pointwise::{PointwiseBackward, PointwiseForward};
pub(crate) use stem::{StemBackward, StemForward, Windows, bordered_image, window_channels};
pub(crate) use tile::{Images, Inputs, Operand, OutputGradient, RawOutput, Scratch, ScratchSizes, Statistics};
