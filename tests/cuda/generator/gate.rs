//! `kernels/gate.cu`.

use super::edges::Layer;
use super::{Stage, assert_near, edges_into, for_each, prefix_graphs};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::generator::records::{Gate, GateGradient};
use graphpnas_fast::device::cuda::records::NONE;
use proptest::strategy::Strategy;

/// The gated networks on the host, all in f64.
struct Networks {
    layer: Layer,
    hidden: usize,
    /// (hidden, hidden) and (hidden, attention)
    weights: [Vec<f32>; 2],
    biases: [Vec<f32>; 2],
}

impl Networks {
    fn random(sizes: &[usize], seed: u64, [hidden, attention]: [usize; 2]) -> Self {
        let mut numbers = Numbers::new(seed);
        let layer = Layer::random(prefix_graphs(sizes, 0, seed), hidden + attention, &mut numbers);
        let mut draw =
            |count: usize, scale: f32| -> Vec<f32> { (0..count).map(|_| scale * numbers.normal()).collect() };
        let weights = [draw(hidden * hidden, 0.3), draw(hidden * attention, 0.3)];
        let biases = [draw(hidden, 1.0), draw(hidden, 1.0)];
        Networks { layer, hidden, weights, biases }
    }

    /// Message and gate of an edge.
    fn edge(&self, ends: [usize; 2], column: usize) -> [f64; 2] {
        let firsts = [0..self.hidden, self.hidden..self.layer.columns];
        let [message, gate] = [0, 1].map(|network: usize| {
            let width = firsts[network].len();
            let products = firsts[network].clone().enumerate().map(|(k, at)| {
                f64::from(self.weights[network][column * width + k]) * self.layer.before(ends, at).value.max(0.0)
            });
            products.sum::<f64>() + f64::from(self.biases[network][column])
        });
        [message, 1.0 / (1.0 + (-gate).exp())]
    }
}

fn cases() -> impl Strategy<Value = (Vec<usize>, u64, [usize; 2])> {
    let widths = (1usize..11, 1usize..11).prop_map(|(hidden, attention)| [8 * hidden, 8 * attention]);
    (proptest::collection::vec(1usize..6, 0..4), 0u64..1000, widths)
}

/// Relative to the sizes of what is summed, which are of the order of the widths.
const TOLERANCE: f64 = 2e-5;

fn check(sizes: &[usize], seed: u64, widths: [usize; 2], keep: bool) {
    let Some(device) = device() else { return };
    let what = format!("{sizes:?} {seed} {widths:?}");
    let networks = Networks::random(sizes, seed, widths);
    let [hidden, attention] = widths;
    let Layer { graphs, projected, pitch, vectors, .. } = &networks.layer;
    let (nodes, edges) = (graphs.rows.len(), graphs.sources.len());
    let mut stage = Stage::new(graphs.clone());
    let capacity = stage.capacity();
    let received = stage.reserve_rows(nodes, capacity.nodes, hidden);
    let kept = [(); 2].map(|()| if keep { stage.reserve_rows(edges, capacity.edges, hidden) } else { NONE });
    let task = Gate {
        projected: stage.rows(projected, capacity.nodes, *pitch),
        vectors: stage.floats(vectors),
        message_weight: stage.floats(&networks.weights[0]),
        message_bias: stage.floats(&networks.biases[0]),
        gate_weight: stage.floats(&networks.weights[1]),
        gate_bias: stage.floats(&networks.biases[1]),
        messages: kept[0],
        gates: kept[1],
        received,
        tiles: capacity.nodes as u32,
        hidden: hidden as u32,
        attention: attention as u32,
        pitch: *pitch as u32,
        lists: Default::default(),
    };
    let loaded = stage.load(&device);
    loaded.memory.gate(&task).unwrap();
    let got = loaded.floats(received, nodes * hidden);
    let kept = kept.map(|at| if keep { loaded.floats(at, edges * hidden) } else { Vec::new() });
    for node in 0..nodes {
        for column in 0..hidden {
            let mut want = 0.0;
            for (edge, source) in edges_into(graphs, node) {
                let [message, gate] = networks.edge([source, node], column);
                want += message * gate;
                if keep {
                    let name = format!("{what} edge {edge}, column {column}");
                    assert_near(&name, kept[0][edge * hidden + column], message, TOLERANCE * (10.0 + message.abs()));
                    assert_near(&name, kept[1][edge * hidden + column], gate, TOLERANCE);
                }
            }
            let bound = TOLERANCE * (10.0 + want.abs()) * (1.0 + edges_into(graphs, node).count() as f64).sqrt();
            assert_near(&format!("{what} [{node}, {column}]"), got[node * hidden + column], want, bound);
        }
    }
    loaded.assert_rest_unchanged();
}

#[test]
fn gated_sums_over_edges() {
    for_each(16, cases(), |(sizes, seed, widths)| check(&sizes, seed, widths, seed % 4 != 0));
}

/// The new node of the last prefix has more edges than a block takes at once.
#[test]
fn a_node_with_more_edges_than_a_block() {
    check(&[68], 3, [8, 16], false);
}

#[test]
fn gradients_before_the_products() {
    let Some(device) = device() else { return };
    for_each(16, cases(), |(sizes, seed, widths)| {
        let what = format!("{sizes:?} {seed} {widths:?}");
        let networks = Networks::random(&sizes, seed, widths);
        let [hidden, attention] = widths;
        let width = hidden + attention;
        let Layer { graphs, projected, pitch, vectors, .. } = &networks.layer;
        let (nodes, edges) = (graphs.rows.len(), graphs.sources.len());
        let mut numbers = Numbers::new(seed + 1);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal()).collect() };
        let (given, messages) = (draw(nodes * hidden), draw(edges * hidden));
        let gates: Vec<f32> = draw(edges * hidden).iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        let mut stage = Stage::new(graphs.clone());
        let capacity = stage.capacity();
        let places = [&messages, &gates].map(|data| stage.changed_rows(data, capacity.edges, hidden));
        let hidden_layers = stage.reserve_rows(edges, capacity.edges, width);
        let task = GateGradient {
            projected: stage.rows(projected, capacity.nodes, *pitch),
            vectors: stage.floats(vectors),
            dreceived: stage.rows(&given, capacity.nodes, hidden),
            messages: places[0],
            gates: places[1],
            hidden_layers,
            edges: capacity.edges as u32,
            hidden: hidden as u32,
            attention: attention as u32,
            pitch: *pitch as u32,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.gate_gradient(&task).unwrap();
        let [dmessages, dgates] = places.map(|at| loaded.floats(at, edges * hidden));
        let layers = loaded.floats(hidden_layers, edges * width);
        for node in 0..nodes {
            for (edge, source) in edges_into(graphs, node) {
                for column in 0..hidden {
                    let at = edge * hidden + column;
                    let [d, m, a] = [given[node * hidden + column], messages[at], gates[at]].map(f64::from);
                    assert_near(&what, dmessages[at], d * a, 1e-6 * (d * a).abs());
                    assert_near(&what, dgates[at], d * m * a * (1.0 - a), 1e-6 * (d * m).abs());
                }
                for column in 0..width {
                    let want = networks.layer.before([source, node], column).relu();
                    let storage = graphpnas_fast::device::cuda::Storage::F32;
                    want.assert_near(&what, layers[edge * width + column], storage);
                }
            }
        }
        loaded.assert_rest_unchanged();
    });
}
