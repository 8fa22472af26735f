//! Architecture -> plan: operations over numbered values, with their shapes, parameters and cost.

mod plan;
mod weights;
mod weights_file;

pub use plan::{
    BatchNorm, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, Role, ValueId, ValueShape, Weighting,
};
pub use weights::{Tensor, Weights};
pub use weights_file::{WeightsError, weights_from_safetensors, weights_to_safetensors};
