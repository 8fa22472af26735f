//! The generator against things that are independent of it: a naive f64 implementation, enumeration of all graphs,
//! published losses.

mod checkpoint;
mod edge_operators;
mod fitting;
mod gradients;
mod probabilities;
mod reference;
mod workload;

use super::{Gran, GranConfig, InputLayout};
use crate::graph::{Dag, LabelledGraph};
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;

fn stream(seed: u64) -> Stream {
    StreamKey { seed, purpose: Purpose::Synthetic, candidate: 0, epoch: 0 }.stream()
}

/// A small generator whose distribution is far from uniform.
fn small(nodes: usize, operators: usize, attention: Option<usize>, input: InputLayout) -> Gran {
    let alpha_self_pair = input == InputLayout::Released;
    let config = GranConfig {
        layers: 2,
        mixtures: 3,
        attention,
        input,
        alpha_self_pair,
        ..GranConfig::released(nodes, operators, nodes + 4)
    };
    let mut gran = Gran::new(config, &mut stream(7)).unwrap();
    gran.parameters.iter_mut().for_each(|value| *value *= 1.6);
    gran
}

/// A graph with edges of probability one half and uniform operators.
fn random_graph(nodes: usize, operators: usize, stream: &mut Stream) -> LabelledGraph {
    let mut dag = Dag::without_edges(nodes).unwrap();
    for to in 0..nodes {
        for from in 0..to {
            if stream.random_bool(0.5) {
                dag.add_edge(from, to);
            }
        }
    }
    let count = if operators > 0 { nodes } else { 0 };
    LabelledGraph { dag, operators: (0..count).map(|_| stream.random_range(0..operators) as u8).collect() }
}

/// All graphs with all operators.
fn all_graphs(nodes: usize, operators: usize) -> Vec<LabelledGraph> {
    let pairs: Vec<[usize; 2]> = (0..nodes).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
    let labels = if operators > 0 { operators.pow(nodes as u32) } else { 1 };
    let mut graphs = Vec::new();
    for wiring in 0..1u32 << pairs.len() {
        let edges: Vec<_> = (0..pairs.len()).filter(|bit| wiring >> bit & 1 == 1).map(|bit| pairs[bit]).collect();
        let dag = Dag::new(nodes, &edges).unwrap();
        for label in 0..labels {
            let digit = |node: usize| (label / operators.pow(node as u32) % operators) as u8;
            let operators = if operators > 0 { (0..nodes).map(digit).collect() } else { Vec::new() };
            graphs.push(LabelledGraph { dag: dag.clone(), operators });
        }
    }
    graphs
}
