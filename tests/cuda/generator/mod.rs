//! The graph generator's kernels against f64 references, and the whole generator against the CPU.

mod adam;
mod dense;
mod edges;
mod gate;
mod gru;
mod mixture;
mod pairs;
mod stage;
mod whole;

use crate::kernels::for_each;
use graphpnas_fast::device::cuda::generator::{PrefixGraphs, RowTarget};
use proptest::strategy::Strategy;
use stage::Stage;

/// Rows of graphs: how many nodes each has, and a seed.
fn graph_shapes() -> impl Strategy<Value = (Vec<usize>, u64)> {
    (proptest::collection::vec(1usize..7, 0..4), 0u64..1000)
}

/// Bits that look random.
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Rows of a random graph: about every other edge, but for some nodes none.
fn random_rows(nodes: usize, bits: &mut Bits) -> Vec<u128> {
    (0..nodes)
        .map(|node| {
            let row = u128::from(bits.next()) & ((1 << node) - 1);
            if bits.next().is_multiple_of(4) { 0 } else { row }
        })
        .collect()
}

/// All prefixes of random graphs, by the definition: existing edges in both directions, the new node joined to all others.
fn prefix_graphs(sizes: &[usize], operators: u32, seed: u64) -> PrefixGraphs {
    let mut bits = Bits(seed);
    let mut graphs = PrefixGraphs { offsets: vec![0], first_node: vec![0], ..PrefixGraphs::default() };
    for (graph, &nodes) in sizes.iter().enumerate() {
        let rows = random_rows(nodes, &mut bits);
        for step in 0..nodes {
            let first = graphs.rows.len();
            for node in 0..=step {
                let linked = |other: usize| {
                    let (low, high) = (node.min(other), node.max(other));
                    other != node && (high == step || rows[high] >> low & 1 == 1)
                };
                graphs.sources.extend((0..=step).filter(|&other| linked(other)).map(|other| (first + other) as u32));
                graphs.offsets.push(graphs.sources.len() as u32);
                graphs.rows.push(if node < step { rows[node] } else { 0 });
            }
            graphs.first_node.push(graphs.rows.len() as u32);
            graphs.graph_of.push(graph as u32);
            let operator = if operators == 0 { 0 } else { bits.next() as u32 % operators };
            graphs.targets.push(RowTarget { row: rows[step], operator });
        }
    }
    graphs
}

/// The nodes of every prefix.
fn prefixes(graphs: &PrefixGraphs) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    graphs.first_node.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
}

/// The new node of every node's prefix.
fn new_nodes(graphs: &PrefixGraphs) -> Vec<usize> {
    prefixes(graphs).flat_map(|nodes| nodes.clone().map(move |_| nodes.end - 1)).collect()
}

/// The sources of the edges into a node, with the edges' numbers.
fn edges_into(graphs: &PrefixGraphs, node: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let edges = graphs.offsets[node] as usize..graphs.offsets[node + 1] as usize;
    edges.map(|edge| (edge, graphs.sources[edge] as usize))
}

/// Asserts that a device's number is `want`, within `bound` of the size of what made it.
fn assert_near(what: &str, got: f32, want: f64, bound: f64) {
    assert!((f64::from(got) - want).abs() <= bound, "{what}: {got}, not {want} (bound {bound:e})");
}

#[test]
fn batches_that_do_not_fit_together_are_refused() {
    let good = prefix_graphs(&[3, 4], 2, 1);
    assert!(good.check(4, 2).is_ok());
    let mut bad = vec![good.clone(); 6];
    bad[0].offsets[2] += 100;
    bad[1].sources[0] = good.rows.len() as u32;
    bad[2].first_node[1] = good.first_node[2];
    bad[3].graph_of[2] = 5;
    bad[4].targets[0].operator = 2;
    bad[5].targets.pop();
    for graphs in bad {
        assert!(graphs.check(4, 2).is_err(), "{graphs:?}");
    }
    assert!(good.check(3, 2).is_err(), "a prefix of more nodes than a graph has");
    let Some(device) = crate::support::device() else { return };
    let mut one_way = good.clone();
    let edge = one_way.sources.iter().position(|&source| source == 5).unwrap();
    one_way.sources[edge] = 0;
    let mut stage = Stage::new(good.clone());
    stage.reserve(8);
    let mut loaded = stage.load(&device);
    assert!(loaded.memory.write_batch(&good, (4, 2), [0.0; 2]).is_ok());
    assert!(loaded.memory.write_batch(&one_way, (4, 2), [0.0; 2]).is_err());
    assert!(
        loaded.memory.write_batch(&prefix_graphs(&[6, 6, 6], 2, 1), (6, 2), [0.0; 2]).is_err(),
        "beyond the capacity"
    );
}
