//! How many multiply-adds the generator's products take, as they are computed here (first edge layers on nodes, not on edges).

use super::gran::Gran;
use super::parameters::{Head, Linear, Round};
use super::prefixes::PrefixBatch;
use crate::graph::LabelledGraph;

/// Multiply-adds of a forward pass and of its backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Forward.
    pub forward: u64,
    /// Backward.
    pub backward: u64,
}

impl Gran {
    /// Cost of training on these graphs once (teacher forcing over all prefixes).
    pub fn training_cost(&self, graphs: &[LabelledGraph]) -> Cost {
        let mut batch = PrefixBatch::default();
        batch.clear();
        for (index, graph) in graphs.iter().enumerate() {
            let rows: Vec<u128> = (0..graph.dag.nodes()).map(|node| graph.dag.predecessor_bits(node)).collect();
            batch.push(index, &rows, self.config.first_step()..rows.len());
        }
        let initial = product(batch.nodes(), self.layout.input);
        let forward = initial + self.rounds_cost(&batch) + self.heads_cost(&batch);
        // Every product has two gradients, but nobody asks for that of the graph's own rows.
        Cost { forward, backward: 2 * forward - initial }
    }

    fn rounds_cost(&self, batch: &PrefixBatch) -> u64 {
        let (nodes, edges) = (batch.nodes(), batch.edges());
        let on_states = |layer: Linear| (nodes * self.config.hidden * layer.outputs) as u64;
        let round = |round: &Round| {
            let gru = product(nodes, round.gru.input) + product(nodes, round.gru.hidden);
            let [first, second] = round.message;
            gru + on_states(first)
                + match round.gate {
                    Some(gate) => on_states(gate[0]) + product(edges, second) + product(edges, gate[1]),
                    None => product(nodes, second),
                }
        };
        self.layout.rounds.iter().map(round).sum()
    }

    fn heads_cost(&self, batch: &PrefixBatch) -> u64 {
        let head = |rows: usize, head: &Head| head.iter().map(|layer| product(rows, *layer)).sum::<u64>();
        head(batch.pairs(), &self.layout.theta)
            + head(batch.pairs() + 1, &self.layout.alpha)
            + self.layout.operator.map_or(0, |layers| head(batch.prefixes.len(), &layers))
    }
}

fn product(rows: usize, layer: Linear) -> u64 {
    (rows * layer.inputs * layer.outputs) as u64
}
