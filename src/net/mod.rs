//! Architecture -> plan: operations over numbered values, with their shapes, parameters and cost.

mod plan;
mod weights;

pub use plan::{
    BatchNorm, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, Role, ValueId, ValueShape, Weighting,
};
pub use weights::{Tensor, Weights};
