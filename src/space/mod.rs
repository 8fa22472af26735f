//! What a legal architecture is.

use crate::graph::Dag;
use serde::{Deserialize, Serialize};

/// An architecture in the exchange format that the command line reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "space")]
pub enum Architecture {
    /// `{"space": "randwire", "stages": [{"nodes": 16, "edges": [[0, 3], ...]}, ...]}`
    #[serde(rename = "randwire")]
    RandWire {
        /// One graph a stage.
        stages: Vec<Dag>,
    },
}
