//! `kernels/pairs.cu`.

use super::{Stage, assert_near, for_each, graph_shapes, new_nodes, prefix_graphs, prefixes};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::generator::records::{Differences, DifferencesGradient, Features};
use graphpnas_fast::device::cuda::records::NONE;
use proptest::strategy::Strategy;

#[test]
fn nodes_start_from_row_number_and_one() {
    let Some(device) = device() else { return };
    for_each(20, graph_shapes(), |(mut sizes, seed)| {
        if seed % 5 == 0 {
            // Rows of more than one word.
            sizes = vec![40];
        }
        let (rows, numbers) = if seed % 2 == 0 { (48, 0) } else { (40, 40) };
        let pitch = rows + 2 * numbers + 8;
        let graphs = prefix_graphs(&sizes, 0, seed);
        let nodes = graphs.rows.len();
        let mut stage = Stage::new(graphs.clone());
        let most = stage.capacity().nodes;
        let features = stage.reserve_rows(nodes, most, pitch);
        let loaded = stage.load(&device);
        let task = Features {
            features,
            nodes: most as u32,
            rows: rows as u32,
            numbers: numbers as u32,
            reserved: 0,
            lists: Default::default(),
        };
        loaded.memory.features(&task).unwrap();
        let got = loaded.floats(features, nodes * pitch);
        for nodes in prefixes(&graphs) {
            for (number, node) in nodes.clone().enumerate() {
                let exists = node + 1 < nodes.end;
                let row = (0..rows).map(|bit| exists && graphs.rows[node] >> bit & 1 == 1);
                let existing = (0..numbers).map(|column| exists && column == number);
                let one = (0..8).map(|column| exists && column == 0);
                let any = (0..numbers).map(|column| column == number);
                let want: Vec<f32> =
                    row.chain(existing).chain(one).chain(any).map(|set| f32::from(u8::from(set))).collect();
                assert_eq!(got[node * pitch..][..pitch], want, "{sizes:?} {seed} node {node}");
            }
        }
        loaded.assert_rest_unchanged();
    });
}

fn cases() -> impl Strategy<Value = ((Vec<usize>, u64), usize)> {
    (graph_shapes(), 1usize..10).prop_map(|(shapes, eighths)| (shapes, 8 * eighths))
}

#[test]
fn differences_of_states() {
    let Some(device) = device() else { return };
    for_each(16, cases(), |((sizes, seed), hidden)| {
        let graphs = prefix_graphs(&sizes, 0, seed);
        let nodes = graphs.rows.len();
        let mut numbers = Numbers::new(seed);
        let state: Vec<f32> = (0..nodes * hidden).map(|_| numbers.normal()).collect();
        let mut stage = Stage::new(graphs.clone());
        let capacity = stage.capacity();
        let differences = stage.reserve_rows(nodes, capacity.nodes, hidden);
        let operators = seed % 2 == 0;
        let prefix_count = graphs.graph_of.len();
        let new_states = if operators { stage.reserve_rows(prefix_count, capacity.prefixes, hidden) } else { NONE };
        let task = Differences {
            state: stage.rows(&state, capacity.nodes, hidden),
            differences,
            new_states,
            nodes: capacity.nodes as u32,
            hidden: hidden as u32,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.differences(&task).unwrap();
        let got = loaded.floats(differences, nodes * hidden);
        for (node, new) in new_nodes(&graphs).into_iter().enumerate() {
            for column in 0..hidden {
                let want = state[new * hidden + column] - state[node * hidden + column];
                assert_eq!(got[node * hidden + column], want);
            }
        }
        if operators {
            let rows = loaded.floats(new_states, prefix_count * hidden);
            for (nodes, row) in prefixes(&graphs).zip(rows.chunks(hidden)) {
                assert_eq!(*row, state[(nodes.end - 1) * hidden..nodes.end * hidden]);
            }
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_of_differences() {
    let Some(device) = device() else { return };
    for_each(16, cases(), |((sizes, seed), hidden)| {
        let graphs = prefix_graphs(&sizes, 0, seed);
        let (nodes, prefix_count) = (graphs.rows.len(), graphs.graph_of.len());
        let mut numbers = Numbers::new(seed);
        let mut draw = |rows: usize| -> Vec<f32> { (0..rows * hidden).map(|_| numbers.normal()).collect() };
        let (theta, alpha, own) = (draw(nodes), draw(nodes), draw(prefix_count));
        let mut stage = Stage::new(graphs.clone());
        let capacity = stage.capacity();
        let operators = seed % 2 == 0;
        let dstate = stage.reserve_rows(nodes, capacity.nodes, hidden);
        let new_states = stage.rows(&own, capacity.prefixes, hidden);
        let task = DifferencesGradient {
            theta: stage.rows(&theta, capacity.nodes, hidden),
            alpha: stage.rows(&alpha, capacity.nodes, hidden),
            new_states: if operators { new_states } else { NONE },
            dstate,
            nodes: capacity.nodes as u32,
            hidden: hidden as u32,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.differences_gradient(&task).unwrap();
        let got = loaded.floats(dstate, nodes * hidden);
        for (prefix, nodes) in prefixes(&graphs).enumerate() {
            for column in 0..hidden {
                let pair =
                    |node: usize| f64::from(theta[node * hidden + column]) + f64::from(alpha[node * hidden + column]);
                let old = nodes.start..nodes.end - 1;
                old.clone().for_each(|node| {
                    assert_near(
                        "an old node",
                        got[node * hidden + column],
                        -pair(node),
                        1e-6 * (1.0 + pair(node).abs()),
                    );
                });
                let extra = if operators { f64::from(own[prefix * hidden + column]) } else { 0.0 };
                let want: f64 = old.map(pair).sum::<f64>() + extra;
                assert_near("a new node", got[(nodes.end - 1) * hidden + column], want, 1e-5);
            }
        }
        loaded.assert_rest_unchanged();
    });
}
