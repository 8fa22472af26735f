//! Records of `kernels/edges.cu`.

use super::super::batch::{Capacity, Lists};
use super::{Part, Record, TILE, nodes, part, record, rows, tiles};
use crate::device::cuda::records::THREADS;
use bytemuck::{Pod, Zeroable};

/// Sums over edges, see `kernels/edges.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct EdgeSums {
    /// (nodes, pitch)
    pub projected: u64,
    /// Bias and marks (3, columns).
    pub vectors: u64,
    /// (nodes, sums_pitch); a node's degree in column `columns`.
    pub sums: u64,
    /// At most.
    pub nodes: u32,
    /// Of the layer.
    pub columns: u32,
    /// Of `projected`.
    pub pitch: u32,
    /// Of `sums`.
    pub sums_pitch: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for EdgeSums {
    record!(EdgeSums, "edges", "edge_sums", THREADS);

    fn blocks(&self) -> u64 {
        tiles(self.nodes, self.columns)
    }

    fn parts(&self, _: Capacity) -> Vec<Part> {
        vec![
            rows("shares", self.projected, [self.nodes, self.columns, self.pitch]),
            part("bias and marks", self.vectors, 3 * u64::from(self.columns)),
            rows("sums", self.sums, [self.nodes, self.columns + 1, self.sums_pitch]),
        ]
    }

    fn most(&self) -> Capacity {
        nodes(self.nodes)
    }
}

/// The transpose of [`EdgeSums`], or of a gated edge network's first layers, see `kernels/edges.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct EdgeGradientTask {
    /// (nodes, pitch); not read with a gate.
    pub projected: u64,
    /// (3, columns); not read with a gate.
    pub vectors: u64,
    /// Gradient of the sums (nodes, given_pitch); with a gate that of the hidden layers (edges, given_pitch).
    pub given: u64,
    /// (nodes, pitch)
    pub dprojected: u64,
    /// Partial gradients of bias and marks ([`GRADIENT_NODES`] nodes each, 3, columns).
    pub partials: u64,
    /// At most.
    pub nodes: u32,
    /// Of the layers.
    pub columns: u32,
    /// Of the shares and their gradient.
    pub pitch: u32,
    /// Of `given`.
    pub given_pitch: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl EdgeGradientTask {
    fn common(&self) -> Vec<Part> {
        let partials = u64::from(self.nodes).div_ceil(TILE[0]) * 3 * u64::from(self.columns);
        vec![
            rows("gradient of the shares", self.dprojected, [self.nodes, self.columns, self.pitch]),
            part("partial sums", self.partials, partials),
        ]
    }
}

/// Without a gate.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct EdgeSumsGradient(pub EdgeGradientTask);

impl Record for EdgeSumsGradient {
    const IMAGE: &'static str = "edges";
    const NAME: &'static str = "edge_sums_gradient";

    fn blocks(&self) -> u64 {
        tiles(self.0.nodes, self.0.columns)
    }

    fn parts(&self, _: Capacity) -> Vec<Part> {
        let EdgeGradientTask { nodes, columns, pitch, given_pitch, .. } = self.0;
        let mut parts = self.0.common();
        parts.push(rows("shares", self.0.projected, [nodes, columns, pitch]));
        parts.push(part("bias and marks", self.0.vectors, 3 * u64::from(columns)));
        parts.push(rows("gradient of the sums", self.0.given, [nodes, columns, given_pitch]));
        parts
    }

    fn most(&self) -> Capacity {
        nodes(self.0.nodes)
    }

    fn with_lists(self, lists: Lists) -> Self {
        EdgeSumsGradient(EdgeGradientTask { lists, ..self.0 })
    }
}

/// With a gate, and the most edges there are.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct EdgesGradient(pub EdgeGradientTask);

impl Record for EdgesGradient {
    const IMAGE: &'static str = "edges";
    const NAME: &'static str = "edges_gradient";

    fn blocks(&self) -> u64 {
        tiles(self.0.nodes, self.0.columns)
    }

    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let mut parts = self.0.common();
        let given = [capacity.edges as u32, self.0.columns, self.0.given_pitch];
        parts.push(rows("gradient of the hidden layers", self.0.given, given));
        parts
    }

    fn most(&self) -> Capacity {
        nodes(self.0.nodes)
    }

    fn with_lists(self, lists: Lists) -> Self {
        EdgesGradient(EdgeGradientTask { lists, ..self.0 })
    }
}
