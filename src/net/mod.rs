//! Architecture -> plan: operations over numbered values, with their shapes, parameters and cost.

mod build;
mod cost;
mod enas;
mod nasbench101;
mod plan;
mod randwire;
mod weights;
mod weights_file;
mod workload;

pub use build::{After, ConvolutionShape, PlanBuilder};
pub use enas::{EnasShape, LayerOperator, enas};
pub use nasbench101::{NasBench101Shape, VertexOperator, nasbench101};
pub use plan::{
    BatchNorm, ImageShape, Op, OpKind, ParameterId, ParameterShape, Plan, Pooling, Role, ValueId, ValueShape,
    Weighting, Window,
};
pub use randwire::{RandWireShape, randwire};
pub use weights::{Tensor, Weights};
pub use weights_file::{WeightsError, weights_from_safetensors, weights_to_safetensors};
pub use workload::{Workload, WorkloadError};
