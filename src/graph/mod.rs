//! Directed acyclic graphs: the type, its canonical form, the classical random generators and the DOT text.

mod dag;

pub use dag::{Dag, GraphError, LabelledGraph, MAX_NODES};
