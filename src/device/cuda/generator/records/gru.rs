//! Records of `kernels/gru.cu`.

use super::super::batch::{Capacity, Lists};
use super::{Part, Record, nodes, part, rows, tiles};
use bytemuck::{Pod, Zeroable};

/// The GRU cell, see `kernels/gru.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Gru {
    /// (nodes, 3 hidden): of what is received; becomes r, z, n.
    pub gates: u64,
    /// (nodes, pitch): of the state.
    pub from_hidden: u64,
    /// (2, 3 hidden)
    pub biases: u64,
    /// (nodes, hidden)
    pub state: u64,
    /// (nodes, hidden)
    pub next: u64,
    /// At most.
    pub nodes: u32,
    /// Width of the states.
    pub hidden: u32,
    /// Of `from_hidden`.
    pub pitch: u32,
    /// 0.
    pub reserved: u32,
}

impl Record for Gru {
    const IMAGE: &'static str = "gru";
    const NAME: &'static str = "gru";

    fn blocks(&self) -> u64 {
        tiles(self.nodes, self.hidden)
    }

    fn parts(&self, _: Capacity) -> Vec<Part> {
        let (hidden, floats) = (u64::from(self.hidden), u64::from(self.nodes) * u64::from(self.hidden));
        vec![
            part("gates", self.gates, 3 * floats),
            rows("hidden shares", self.from_hidden, [self.nodes, 3 * self.hidden, self.pitch]),
            part("biases", self.biases, 6 * hidden),
            part("state", self.state, floats),
            part("next state", self.next, floats),
        ]
    }

    fn most(&self) -> Capacity {
        nodes(self.nodes)
    }

    fn with_lists(self, _: Lists) -> Self {
        self
    }
}

/// Backward of the GRU cell, see `kernels/gru.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct GruGradient {
    /// r, z, n (nodes, 3 hidden).
    pub gates: u64,
    /// (nodes, pitch)
    pub from_hidden: u64,
    /// (2, 3 hidden)
    pub biases: u64,
    /// (nodes, hidden)
    pub state: u64,
    /// (nodes, hidden)
    pub dnext: u64,
    /// (nodes, 3 hidden)
    pub dgates: u64,
    /// (nodes, pitch)
    pub dfrom_hidden: u64,
    /// (nodes, hidden): what reaches the state directly.
    pub dstate: u64,
    /// At most.
    pub nodes: u32,
    /// Width of the states.
    pub hidden: u32,
    /// Of `from_hidden` and its gradient.
    pub pitch: u32,
    /// 0.
    pub reserved: u32,
}

impl Record for GruGradient {
    const IMAGE: &'static str = "gru";
    const NAME: &'static str = "gru_gradient";

    fn blocks(&self) -> u64 {
        tiles(self.nodes, self.hidden)
    }

    fn parts(&self, _: Capacity) -> Vec<Part> {
        let (hidden, floats) = (u64::from(self.hidden), u64::from(self.nodes) * u64::from(self.hidden));
        let wide = [self.nodes, 3 * self.hidden, self.pitch];
        vec![
            part("gates", self.gates, 3 * floats),
            rows("hidden shares", self.from_hidden, wide),
            part("biases", self.biases, 6 * hidden),
            part("state", self.state, floats),
            part("gradient of the next state", self.dnext, floats),
            part("gradient of the gates", self.dgates, 3 * floats),
            rows("gradient of the hidden shares", self.dfrom_hidden, wide),
            part("gradient of the state", self.dstate, floats),
        ]
    }

    fn most(&self) -> Capacity {
        nodes(self.nodes)
    }

    fn with_lists(self, _: Lists) -> Self {
        self
    }
}
