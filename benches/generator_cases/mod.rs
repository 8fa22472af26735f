//! What the benches of the graph generator measure.

use graphpnas_fast::generator::GranConfig;
use graphpnas_fast::graph::{Dag, LabelledGraph};
use graphpnas_fast::random::{Purpose, Stream, StreamKey};
use rand::RngExt;

/// A size of generator and of minibatch.
pub struct Case {
    pub name: &'static str,
    pub config: GranConfig,
    /// Graphs of a minibatch.
    pub batch: usize,
    /// Edges of a graph.
    pub edges: usize,
}

/// The sizes that are measured, on every device.
pub fn cases() -> Vec<Case> {
    let case = |name, config, batch, edges| Case { name, config, batch, edges };
    vec![
        case("nasbench101_n7_h24_b2", GranConfig::released(7, 5, 24), 2, 9),
        case("randwire_n16_h48_b4", GranConfig::released(16, 0, 48), 4, 32),
        case("workload_n32_h128_b16", GranConfig::workload(false), 16, 64),
        case("workload_attention_n32_h128_b16", GranConfig::workload(true), 16, 64),
    ]
}

/// A graph with so many edges and uniform operators.
pub fn random_graph(config: &GranConfig, edges: usize, stream: &mut Stream) -> LabelledGraph {
    let mut dag = Dag::without_edges(config.nodes).expect("a legal size");
    while dag.edge_count() < edges {
        let to = stream.random_range(1..config.nodes);
        dag.add_edge(stream.random_range(0..to), to);
    }
    let count = if config.operators > 0 { config.nodes } else { 0 };
    let operators = (0..count).map(|_| stream.random_range(0..config.operators) as u8).collect();
    LabelledGraph { dag, operators }
}

/// The stream of all that is drawn.
pub fn stream() -> Stream {
    StreamKey { seed: 1, purpose: Purpose::Explore, candidate: 0, epoch: 0 }.stream()
}
