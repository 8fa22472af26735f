//! The graph generator on a CUDA device: teacher-forced fits and draws of whole batches of prefix graphs.
//!
//! | layer | file | what it does |
//! |---|---|---|
//! | shape | `shape.rs` | what the device must know of a generator |
//! | batch | `batch.rs` | prefix graphs in compressed rows, checked |
//! | parameters | `parameters.rs` | the device's layout of the parameters |
//! | places | `places.rs` | where everything lies in one arena |
//! | records, launches | `records.rs`, `launch.rs` | what the kernels read; one checked launch for each |
//! | schedule | `schedule/` | the launches of a step |
//! | network | `network.rs` | trains and draws |
//!
//! The algebra is the CPU's (`generator::edges`, `generator::weights`): the first layers of the edge networks are applied to
//! nodes, and without a gate the second message layer and the GRU's are one product after the sum over edges. Unlike the
//! CPU every prefix has rows of its own in the first two rounds too: all rounds have one graph, and its edges' other
//! directions serve the backward pass. Everything is f32 but the distributions, which are f64 as on the CPU; nothing is
//! added with atomics.

mod area;
mod batch;
pub mod launch;
mod network;
mod parameters;
mod places;
pub mod records;
mod schedule;
mod shape;

pub use batch::{Capacity, Lists, PrefixGraphs, RowTarget};
pub use network::{Drawn, GranNetwork, StepSettings};
pub use schedule::Shares;
pub use shape::{GranShape, LinearPlace, RoundPlaces};
