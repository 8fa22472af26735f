//! Records of `kernels/pairs.cu`.

use super::super::batch::{Capacity, Lists};
use super::{Part, Record, nodes, part, record, tiles};
use crate::device::cuda::records::{NONE, THREADS};
use bytemuck::{Pod, Zeroable};

/// What nodes start from, see `kernels/pairs.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Features {
    /// (nodes, rows + 2 numbers + 8)
    pub features: u64,
    /// At most.
    pub nodes: u32,
    /// Padded width of a row.
    pub rows: u32,
    /// Padded width of a number, or 0.
    pub numbers: u32,
    /// 0.
    pub reserved: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for Features {
    record!(Features, "pairs", "features", THREADS);

    fn blocks(&self) -> u64 {
        tiles(self.nodes, self.rows + 2 * self.numbers + 8)
    }

    fn parts(&self, _: Capacity) -> Vec<Part> {
        let width = self.rows + 2 * self.numbers + 8;
        vec![part("features", self.features, u64::from(self.nodes) * u64::from(width))]
    }

    fn most(&self) -> Capacity {
        nodes(self.nodes)
    }
}

/// The rows of the new nodes, if there are any.
fn new_states(at: u64, capacity: Capacity, hidden: u32) -> Option<Part> {
    (at != NONE).then(|| part("states of the new nodes", at, capacity.prefixes as u64 * u64::from(hidden)))
}

/// Differences of the new nodes' states and all others', see `kernels/pairs.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Differences {
    /// (nodes, hidden)
    pub state: u64,
    /// (nodes, hidden)
    pub differences: u64,
    /// (prefixes, hidden) or [`NONE`].
    pub new_states: u64,
    /// At most.
    pub nodes: u32,
    /// Width of the states.
    pub hidden: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for Differences {
    record!(Differences, "pairs", "differences", THREADS);

    fn blocks(&self) -> u64 {
        tiles(self.nodes, self.hidden)
    }

    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let floats = u64::from(self.nodes) * u64::from(self.hidden);
        let mut parts = vec![part("states", self.state, floats), part("differences", self.differences, floats)];
        parts.extend(new_states(self.new_states, capacity, self.hidden));
        parts
    }

    fn most(&self) -> Capacity {
        nodes(self.nodes)
    }
}

/// Backward of [`Differences`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct DifferencesGradient {
    /// From one head (nodes, hidden).
    pub theta: u64,
    /// From the other (nodes, hidden).
    pub alpha: u64,
    /// (prefixes, hidden) or [`NONE`].
    pub new_states: u64,
    /// (nodes, hidden)
    pub dstate: u64,
    /// At most.
    pub nodes: u32,
    /// Width of the states.
    pub hidden: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for DifferencesGradient {
    record!(DifferencesGradient, "pairs", "differences_gradient", THREADS);

    fn blocks(&self) -> u64 {
        tiles(self.nodes, self.hidden)
    }

    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let floats = u64::from(self.nodes) * u64::from(self.hidden);
        let mut parts = vec![
            part("gradient of theta's differences", self.theta, floats),
            part("gradient of alpha's differences", self.alpha, floats),
            part("gradient of the states", self.dstate, floats),
        ];
        parts.extend(new_states(self.new_states, capacity, self.hidden));
        parts
    }

    fn most(&self) -> Capacity {
        nodes(self.nodes)
    }
}
