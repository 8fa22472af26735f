//! Records of `kernels/gate.cu`.

use super::super::batch::{Capacity, Lists};
use super::{BLOCK, PRODUCT_THREADS, Part, Record, nodes, part, record, rows, tiles};
use crate::device::cuda::records::{NONE, THREADS};
use bytemuck::{Pod, Zeroable};

/// Gated messages and their sums, see `kernels/gate.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Gate {
    /// (nodes, pitch): shares in the message network's first layer, then in the gate network's.
    pub projected: u64,
    /// Bias and marks (3, hidden + attention).
    pub vectors: u64,
    /// (hidden, hidden)
    pub message_weight: u64,
    /// (hidden)
    pub message_bias: u64,
    /// (hidden, attention)
    pub gate_weight: u64,
    /// (hidden)
    pub gate_bias: u64,
    /// (edges, hidden), or [`NONE`] where there is no backward.
    pub messages: u64,
    /// (edges, hidden)
    pub gates: u64,
    /// (nodes, hidden)
    pub received: u64,
    /// Tiles of nodes, at most as many as nodes.
    pub tiles: u32,
    /// Width of the states.
    pub hidden: u32,
    /// Width of the gate's hidden layer.
    pub attention: u32,
    /// Of `projected`.
    pub pitch: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for Gate {
    record!(Gate, "gate", "gate", PRODUCT_THREADS);

    fn blocks(&self) -> u64 {
        u64::from(self.tiles) * u64::from(self.hidden).div_ceil(BLOCK)
    }

    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let (hidden, attention) = (u64::from(self.hidden), u64::from(self.attention));
        let edges = if self.messages == NONE { 0 } else { capacity.edges as u64 };
        vec![
            part("messages", if edges == 0 { 0 } else { self.messages }, edges * hidden),
            part("gates", if edges == 0 { 0 } else { self.gates }, edges * hidden),
            rows("shares", self.projected, [self.tiles, self.hidden + self.attention, self.pitch]),
            part("bias and marks", self.vectors, 3 * (hidden + attention)),
            part("message weight", self.message_weight, hidden * hidden),
            part("message bias", self.message_bias, hidden),
            part("gate weight", self.gate_weight, hidden * attention),
            part("gate bias", self.gate_bias, hidden),
            part("received", self.received, u64::from(self.tiles) * hidden),
        ]
    }

    fn most(&self) -> Capacity {
        nodes(self.tiles)
    }
}

/// Gradients of messages and gates, see `kernels/gate.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct GateGradient {
    /// As [`Gate::projected`].
    pub projected: u64,
    /// As [`Gate::vectors`].
    pub vectors: u64,
    /// (nodes, hidden)
    pub dreceived: u64,
    /// (edges, hidden), overwritten with their gradient.
    pub messages: u64,
    /// (edges, hidden), overwritten with the gradient before the sigmoid.
    pub gates: u64,
    /// (edges, hidden + attention)
    pub hidden_layers: u64,
    /// At most.
    pub edges: u32,
    /// Width of the states.
    pub hidden: u32,
    /// Width of the gate's hidden layer.
    pub attention: u32,
    /// Of `projected`.
    pub pitch: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for GateGradient {
    record!(GateGradient, "gate", "gate_gradient", THREADS);

    fn blocks(&self) -> u64 {
        tiles(self.edges, self.hidden + self.attention)
    }

    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let (edges, hidden, width) = (u64::from(self.edges), u64::from(self.hidden), self.hidden + self.attention);
        let nodes = capacity.nodes as u32;
        vec![
            rows("shares", self.projected, [nodes, width, self.pitch]),
            part("gradient of what is received", self.dreceived, u64::from(nodes) * hidden),
            part("bias and marks", self.vectors, 3 * u64::from(width)),
            part("messages", self.messages, edges * hidden),
            part("gates", self.gates, edges * hidden),
            part("hidden layers", self.hidden_layers, edges * u64::from(width)),
        ]
    }

    fn most(&self) -> Capacity {
        Capacity { edges: self.edges as usize, ..Capacity::default() }
    }
}
