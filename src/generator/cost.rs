//! How many multiply-adds the generator's products take, as they are computed here: first edge layers on nodes, rows that
//! prefixes share once, and second layers after the sum where there is no gate.

use super::gran::Gran;
use super::parameters::{Head, Linear, Round};
use super::prefixes::{Level, PrefixBatch, Stage};
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
        batch.clear(graphs.len(), self.config.id_columns() > 0);
        for (index, graph) in graphs.iter().enumerate() {
            let rows: Vec<u128> = (0..graph.dag.nodes()).map(|node| graph.dag.predecessor_bits(node)).collect();
            batch.push(index, &rows, self.config.first_step()..rows.len());
        }
        let initial = product(batch.levels[0].rows(), self.layout.input);
        let forward = initial + self.rounds_cost(&batch) + self.heads_cost(&batch);
        // Every product has two gradients, but nobody asks for that of the graph's own rows.
        Cost { forward, backward: 2 * forward - initial }
    }

    fn rounds_cost(&self, batch: &PrefixBatch) -> u64 {
        let rounds = self.layout.rounds.iter().enumerate();
        rounds
            .map(|(index, round)| self.round_cost(round, &batch.levels[index.min(2)], &batch.stages[index.min(2)]))
            .sum()
    }

    fn round_cost(&self, round: &Round, input: &Level, stage: &Stage) -> u64 {
        let on_states = |layer: Linear| (input.rows() * self.config.hidden * layer.outputs) as u64;
        let [first, second] = round.message;
        let gru = product(stage.outputs(), round.gru.input) + product(input.rows(), round.gru.hidden);
        let gate = round
            .gate
            .map_or(0, |gate| on_states(gate[0]) + product(stage.edges(), second) + product(stage.edges(), gate[1]));
        gru + on_states(first) + gate
    }

    fn heads_cost(&self, batch: &PrefixBatch) -> u64 {
        let head = |rows: usize, head: &Head| head.iter().map(|layer| product(rows, *layer)).sum::<u64>();
        head(batch.pairs(), &self.layout.theta)
            + head(batch.pairs() + 1, &self.layout.alpha)
            + self.layout.operator.map_or(0, |layers| head(batch.prefixes.len(), &layers))
            + self.layout.edge_operator.map_or(0, |layers| head(batch.pairs(), &layers))
    }
}

fn product(rows: usize, layer: Linear) -> u64 {
    (rows * layer.inputs * layer.outputs) as u64
}
