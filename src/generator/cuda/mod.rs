//! Fitting and drawing on a CUDA device: the same graphs, the same order of minibatches and the same random numbers as on
//! the CPU, in f32 with other orders of addition.

mod fit;
mod sample;
mod self_test;

pub use fit::LossGradient;
pub use sample::CudaSampler;

use super::config::GranConfig;
use super::gran::{Gran, Target};
use super::parameters::Linear;
use super::prefixes::PrefixBatch;
use super::{Generator, GeneratorError};
use crate::device::cuda::CudaError;
use crate::device::cuda::generator::{Capacity, GranShape, LinearPlace, PrefixGraphs, RoundPlaces, RowTarget};

impl Generator {
    /// Whether there are kernels for all it does: none for operators of edges, nor for operators that enter the network.
    pub fn has_kernels(&self) -> bool {
        let without = |config: &GranConfig| config.edge_operators == 0 && !config.condition_on_operators;
        self.components.iter().all(|gran| without(&gran.config))
    }

    /// That it has kernels.
    fn check_kernels(&self) -> Result<(), GeneratorError> {
        let missing = || CudaError::Plan("a generator with operators on edges, or that operators enter".into());
        if self.has_kernels() { Ok(()) } else { Err(missing().into()) }
    }
}

/// What the device must know of a generator that [has kernels](Generator::has_kernels).
fn shape(gran: &Gran) -> GranShape {
    let Gran { config, layout, .. } = gran;
    let rounds = layout.rounds.iter().map(|round| RoundPlaces {
        message: round.message.map(place),
        gate: round.gate.map(|gate| gate.map(place)),
        gru: [round.gru.input, round.gru.hidden].map(place),
    });
    GranShape {
        nodes: config.nodes,
        operators: config.operators,
        hidden: config.hidden,
        mixtures: config.mixtures,
        attention: config.attention,
        numbered: config.id_columns() > 0,
        self_pair: config.alpha_self_pair,
        parameters: layout.len(),
        input: place(layout.input),
        rounds: rounds.collect(),
        heads: layout.heads().map(|head| head.map(place)).collect(),
    }
}

fn place(linear: Linear) -> LinearPlace {
    let Linear { weight, bias, inputs, outputs } = linear;
    LinearPlace { weight, bias, inputs, outputs }
}

/// A batch as the device takes it: every prefix with rows of its own.
fn prefix_graphs(batch: &PrefixBatch, targets: impl Iterator<Item = Target>) -> PrefixGraphs {
    let [.., stage] = &batch.stages;
    let initial = batch.levels[0].of.iter().map(|&row| batch.initial[row as usize].unwrap_or(0));
    let prefixes = &batch.prefixes;
    PrefixGraphs {
        offsets: stage.incoming.clone(),
        sources: stage.sources.clone(),
        rows: initial.collect(),
        first_node: prefixes
            .iter()
            .map(|prefix| prefix.first_node)
            .chain([batch.nodes()])
            .map(|node| node as u32)
            .collect(),
        graph_of: prefixes.iter().map(|prefix| prefix.graph as u32).collect(),
        targets: targets.map(|Target { row, operator }| RowTarget { row, operator: operator.into() }).collect(),
    }
}

/// How much so many graphs take with all their prefixes, each with at most so many edges; see [`training_edges`].
fn training_capacity(config: &GranConfig, graphs: usize, edges: usize) -> Capacity {
    let steps = config.first_step()..config.nodes;
    let nodes: usize = steps.clone().map(|step| step + 1).sum();
    Capacity { graphs, prefixes: graphs * steps.len(), nodes: graphs * nodes, edges: graphs * edges }
}

/// Edges, both directions counted, of all prefixes of a graph given as its rows.
fn training_edges(config: &GranConfig, rows: &[u128]) -> usize {
    let before = |step: usize| rows[..step].iter().map(|row| row.count_ones() as usize).sum::<usize>();
    (config.first_step()..config.nodes).map(|step| 2 * (before(step) + step)).sum()
}
