//! Directed acyclic graphs: the type, its canonical form, the classical random generators and the DOT text.

mod canonical;
mod classical;
mod dag;
mod dot;

pub use canonical::{CanonicalKey, canonical_key};
pub use classical::Classical;
pub use dag::{Dag, GraphError, LabelledGraph, MAX_NODES};
pub use dot::to_dot;

pub(crate) use dag::bits;
