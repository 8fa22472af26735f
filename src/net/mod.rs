//! Architecture -> plan: operations over numbered values, with their shapes, parameters and cost.

mod build;
mod cost;
mod plan;
mod randwire;
mod weights;
mod weights_file;
mod workload;

pub use plan::{
    BatchNorm, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, Role, ValueId, ValueShape, Weighting,
};
pub use randwire::{RandWireShape, randwire};
pub use weights::{Tensor, Weights};
pub use weights_file::{WeightsError, weights_from_safetensors, weights_to_safetensors};
pub use workload::{Workload, WorkloadError};
