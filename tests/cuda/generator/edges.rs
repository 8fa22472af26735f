//! `kernels/edges.cu`.

use super::{Stage, edges_into, for_each, graph_shapes, new_nodes, prefix_graphs};
use crate::memory::Sum;
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::generator::PrefixGraphs;
use graphpnas_fast::device::cuda::generator::records::{
    EdgeGradientTask, EdgeSums, EdgeSumsGradient, EdgesGradient, GRADIENT_NODES,
};
use proptest::strategy::Strategy;

/// A first layer of an edge network on the host.
pub(super) struct Layer {
    pub graphs: PrefixGraphs,
    new: Vec<usize>,
    /// (nodes, pitch)
    pub projected: Vec<f32>,
    pub pitch: usize,
    /// (3, columns)
    pub vectors: Vec<f32>,
    pub columns: usize,
}

impl Layer {
    pub fn random(graphs: PrefixGraphs, columns: usize, numbers: &mut Numbers) -> Self {
        let pitch = columns + 16;
        let projected = (0..graphs.rows.len() * pitch).map(|_| numbers.normal()).collect();
        let vectors = (0..3 * columns).map(|_| numbers.normal()).collect();
        Layer { new: new_nodes(&graphs), graphs, projected, pitch, vectors, columns }
    }

    /// What the ReLU sees for an edge.
    pub fn before(&self, [source, destination]: [usize; 2], column: usize) -> Sum {
        let mut sum = Sum::default();
        sum.add(1.0, self.projected[source * self.pitch + column].into());
        sum.add(-1.0, self.projected[destination * self.pitch + column].into());
        sum.add(1.0, self.vectors[column].into());
        for (vector, node) in [(1, source), (2, destination)] {
            if self.new[node] == node {
                sum.add(1.0, self.vectors[vector * self.columns + column].into());
            }
        }
        sum
    }

    /// Gradients of shares (nodes, columns) and vectors (3, columns) from those of every edge's hidden layer.
    fn gradients(&self, gradient: impl Fn(usize, [usize; 2], usize) -> f64) -> (Vec<Sum>, Vec<Sum>) {
        let mut shares = vec![Sum::default(); self.graphs.rows.len() * self.columns];
        let mut vectors = vec![Sum::default(); 3 * self.columns];
        for destination in 0..self.graphs.rows.len() {
            for (edge, source) in edges_into(&self.graphs, destination) {
                for column in 0..self.columns {
                    let d = gradient(edge, [source, destination], column);
                    shares[source * self.columns + column].add(1.0, d);
                    shares[destination * self.columns + column].add(-1.0, d);
                    vectors[column].add(1.0, d);
                    for (vector, node) in [(1, source), (2, destination)] {
                        if self.new[node] == node {
                            vectors[vector * self.columns + column].add(1.0, d);
                        }
                    }
                }
            }
        }
        (shares, vectors)
    }
}

fn cases() -> impl Strategy<Value = ((Vec<usize>, u64), usize)> {
    (graph_shapes(), 1usize..10).prop_map(|(shapes, eighths)| (shapes, 8 * eighths))
}

#[test]
fn sums_over_edges() {
    let Some(device) = device() else { return };
    for_each(24, cases(), |((sizes, seed), columns)| {
        let layer = Layer::random(prefix_graphs(&sizes, 0, seed), columns, &mut Numbers::new(seed));
        let nodes = layer.graphs.rows.len();
        let mut stage = Stage::new(layer.graphs.clone());
        let most = stage.capacity().nodes;
        let pitch = columns + 8;
        let sums = stage.reserve_rows(nodes, most, pitch);
        let task = EdgeSums {
            projected: stage.rows(&layer.projected, most, layer.pitch),
            vectors: stage.floats(&layer.vectors),
            sums,
            nodes: most as u32,
            columns: columns as u32,
            pitch: layer.pitch as u32,
            sums_pitch: pitch as u32,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.edge_sums(&task).unwrap();
        let got = loaded.floats(sums, nodes * pitch);
        for node in 0..nodes {
            let row = &got[node * pitch..];
            for (column, &value) in row[..columns].iter().enumerate() {
                let mut want = Sum::default();
                for (_, source) in edges_into(&layer.graphs, node) {
                    let hidden = layer.before([source, node], column).relu();
                    want.add_scaled(hidden, 1.0);
                }
                want.assert_near(&format!("{sizes:?} {seed} {columns} [{node}, {column}]"), value, Storage::F32);
            }
            assert_eq!(row[columns], edges_into(&layer.graphs, node).count() as f32, "degree of node {node}");
            assert!(row[columns + 1..pitch].iter().all(|value| value.is_nan()), "written behind the degree");
        }
        loaded.assert_rest_unchanged();
    });
}

fn check_gradients(what: &str, layer: &Layer, got: (&[f32], &[f32]), want: &(Vec<Sum>, Vec<Sum>)) {
    let (nodes, columns) = (layer.graphs.rows.len(), layer.columns);
    for node in 0..nodes {
        let behind = &got.0[node * layer.pitch..][columns..layer.pitch];
        assert!(behind.iter().all(|value| value.is_nan()), "{what}: written behind the shares of node {node}");
        for column in 0..columns {
            let value = got.0[node * layer.pitch + column];
            want.0[node * columns + column].assert_near(
                &format!("{what} share [{node}, {column}]"),
                value,
                Storage::F32,
            );
        }
    }
    for (i, want) in want.1.iter().enumerate() {
        let sum: f32 = got.1.chunks(3 * columns).map(|piece| piece[i]).sum();
        want.assert_near(&format!("{what} vector [{i}]"), sum, Storage::F32);
    }
}

#[test]
fn gradients_of_sums_over_edges() {
    let Some(device) = device() else { return };
    for_each(24, cases(), |((sizes, seed), columns)| {
        let mut numbers = Numbers::new(seed);
        let layer = Layer::random(prefix_graphs(&sizes, 0, seed), columns, &mut numbers);
        let nodes = layer.graphs.rows.len();
        let given: Vec<f32> = (0..nodes * columns).map(|_| numbers.normal()).collect();
        let mut stage = Stage::new(layer.graphs.clone());
        let most = stage.capacity().nodes;
        let (pieces, most_pieces) = (nodes.div_ceil(GRADIENT_NODES), most.div_ceil(GRADIENT_NODES));
        let dprojected = stage.reserve_rows(nodes, most, layer.pitch);
        let partials = stage.reserve_rows(pieces, most_pieces, 3 * columns);
        let task = EdgeGradientTask {
            projected: stage.rows(&layer.projected, most, layer.pitch),
            vectors: stage.floats(&layer.vectors),
            given: stage.rows(&given, most, columns),
            dprojected,
            partials,
            nodes: most as u32,
            columns: columns as u32,
            pitch: layer.pitch as u32,
            given_pitch: columns as u32,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.edge_sums_gradient(&EdgeSumsGradient(task)).unwrap();
        let want = layer.gradients(|_, ends, column| {
            let passes = layer.before(ends, column).value > 0.0;
            if passes { given[ends[1] * columns + column].into() } else { 0.0 }
        });
        let shares = loaded.floats(dprojected, nodes * layer.pitch);
        let partials = loaded.floats(partials, pieces * 3 * columns);
        check_gradients(&format!("{sizes:?} {seed} {columns}"), &layer, (&shares, &partials), &want);
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_of_edges_reach_their_ends() {
    let Some(device) = device() else { return };
    for_each(24, cases(), |((sizes, seed), columns)| {
        let mut numbers = Numbers::new(seed);
        let layer = Layer::random(prefix_graphs(&sizes, 0, seed), columns, &mut numbers);
        let (nodes, edges) = (layer.graphs.rows.len(), layer.graphs.sources.len());
        let given: Vec<f32> = (0..edges * columns).map(|_| numbers.normal()).collect();
        let mut stage = Stage::new(layer.graphs.clone());
        let capacity = stage.capacity();
        let (pieces, most_pieces) = (nodes.div_ceil(GRADIENT_NODES), capacity.nodes.div_ceil(GRADIENT_NODES));
        let dprojected = stage.reserve_rows(nodes, capacity.nodes, layer.pitch);
        let partials = stage.reserve_rows(pieces, most_pieces, 3 * columns);
        let task = EdgeGradientTask {
            projected: u64::MAX,
            vectors: u64::MAX,
            given: stage.rows(&given, capacity.edges, columns),
            dprojected,
            partials,
            nodes: capacity.nodes as u32,
            columns: columns as u32,
            pitch: layer.pitch as u32,
            given_pitch: columns as u32,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.edges_gradient(&EdgesGradient(task)).unwrap();
        let want = layer.gradients(|edge, _, column| given[edge * columns + column].into());
        let shares = loaded.floats(dprojected, nodes * layer.pitch);
        let partials = loaded.floats(partials, pieces * 3 * columns);
        check_gradients(&format!("{sizes:?} {seed} {columns}"), &layer, (&shares, &partials), &want);
        loaded.assert_rest_unchanged();
    });
}
