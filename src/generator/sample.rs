//! Drawing architectures and giving their probabilities.

use super::gran::{Gran, Score, Target, Workspace};
use super::passes::check_graphs;
use super::prefixes::PrefixBatch;
use super::weights::Weights;
use super::{Generator, GeneratorError};
use crate::device::cpu::gang::Gang;
use crate::graph::{Dag, GraphError, LabelledGraph};
use crate::random::Stream;
use rand::{RngExt, SeedableRng};

/// Nodes of the largest batched graph in sampling, about: enough for efficient products, few enough for the cache.
const BATCH_NODES: usize = 512;

/// An architecture that was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// One graph for each component.
    pub components: Vec<LabelledGraph>,
    /// Its log-probability, natural logarithm, as [`Generator::log_probability`] gives it.
    pub log_probability: f64,
}

impl Generator {
    /// Draws architectures: for every row the mixture component, then the edges, then the operator. Every draw has a
    /// random stream of its own, so the first draws are the same however many there are. What the sampler drew before, and
    /// its threads, change no result.
    pub fn sample(&self, stream: &mut Stream, count: usize, sampler: &mut Sampler) -> Vec<Draw> {
        let mut streams: Vec<Stream> = (0..count).map(|_| Stream::from_seed(stream.random())).collect();
        let empty = Draw { components: Vec::with_capacity(self.components.len()), log_probability: 0.0 };
        let mut draws = vec![empty; count];
        let Sampler { gang, memories, weights } = sampler;
        for gran in &self.components {
            weights.set(gran, gang, false);
            let size = (BATCH_NODES / gran.config.nodes).min(count.div_ceil(gang.threads())).max(1);
            let mut chunks: Vec<_> = draws.chunks_mut(size).zip(streams.chunks_mut(size)).collect();
            gang.for_each_with(&mut chunks, memories, |_, (draws, streams), memory| {
                gran.extend_draws(weights, draws, streams, memory);
            });
        }
        draws
    }

    /// Log-probability of an architecture as an ordered graph: the sum over all rows and operators of all graphs, natural
    /// logarithm.
    ///
    /// # Errors
    /// Graphs of another shape than the generator's.
    pub fn log_probability(&self, components: &[LabelledGraph]) -> Result<f64, GeneratorError> {
        check_graphs(&self.shapes(), components)?;
        let (mut memory, mut weights, mut gang) = (Memory::default(), Weights::default(), Gang::new(1));
        let scores = self.components.iter().zip(components).map(|(gran, graph)| {
            weights.set(gran, &mut gang, false);
            gran.log_probability(&weights, graph, &mut memory)
        });
        Ok(scores.sum())
    }
}

/// Threads and their memory for drawing, kept from call to call, also of different generators.
pub struct Sampler {
    gang: Gang,
    memories: Vec<Memory>,
    weights: Weights,
}

impl Sampler {
    /// `threads` threads, at least one.
    pub fn new(threads: usize) -> Self {
        let gang = Gang::new(threads);
        let memories = (0..gang.threads()).map(|_| Memory::default()).collect();
        Sampler { gang, memories, weights: Weights::default() }
    }
}

/// What a thread needs for the graphs that it draws together.
#[derive(Default)]
struct Memory {
    batch: PrefixBatch,
    workspace: Workspace,
    partial: Vec<Partial>,
}

/// A graph that is being drawn.
#[derive(Clone, Default)]
struct Partial {
    rows: Vec<u128>,
    operators: Vec<u8>,
    log_probability: f64,
}

impl Partial {
    fn clear(&mut self) {
        self.rows.clear();
        self.operators.clear();
        self.log_probability = 0.0;
    }

    fn push(&mut self, target: Target, score: Score) {
        self.rows.push(target.row);
        self.operators.push(target.operator);
        self.log_probability += score.total();
    }
}

impl Gran {
    /// Draws one graph for each of `draws` with the stream of the same number; all take a step together.
    fn extend_draws(&self, weights: &Weights, draws: &mut [Draw], streams: &mut [Stream], memory: &mut Memory) {
        let Memory { batch, workspace, partial } = memory;
        partial.resize_with(draws.len(), Partial::default);
        partial.iter_mut().for_each(Partial::clear);
        batch.clear(draws.len(), self.config.id_columns() > 0);
        workspace.clear_labels(draws.len());
        for step in 0..self.config.nodes {
            if step < self.config.first_step() {
                partial.iter_mut().for_each(|graph| graph.rows.push(0));
                continue;
            }
            batch.next_step();
            partial.iter().enumerate().for_each(|(index, graph)| batch.push(index, &graph.rows, step..step + 1));
            self.forward(weights, batch, workspace);
            for (index, (prefix, graph)) in batch.prefixes.iter().zip(&mut *partial).enumerate() {
                let target = self.draw(workspace, index, *prefix, &mut streams[index]);
                graph.push(target, self.score(workspace, index, *prefix, target));
            }
        }
        for (index, (draw, graph)) in draws.iter_mut().zip(partial).enumerate() {
            draw.log_probability += graph.log_probability;
            let operators = match (self.config.edge_operators, self.config.operators) {
                (0, 0) => Vec::new(),
                (0, _) => graph.operators.clone(),
                _ => workspace.labels_mut(index).clone(),
            };
            draw.components.extend(to_dag(&graph.rows).map(|dag| LabelledGraph { dag, operators }));
        }
    }

    /// Log-probability of a graph of the right shape.
    fn log_probability(&self, weights: &Weights, graph: &LabelledGraph, memory: &mut Memory) -> f64 {
        let Memory { batch, workspace, .. } = memory;
        let steps = self.config.first_step()..self.config.nodes;
        let rows: Vec<u128> = (0..self.config.nodes).map(|node| graph.dag.predecessor_bits(node)).collect();
        batch.clear(1, self.config.id_columns() > 0);
        batch.push(0, &rows, steps);
        workspace.clear_labels(1);
        workspace.labels_mut(0).extend_from_slice(&graph.operators);
        self.forward(weights, batch, workspace);
        let scores = batch.prefixes.iter().enumerate().map(|(index, prefix)| {
            let label = self.config.shape().labels_of(prefix.step).start;
            let operator = graph.operators.get(label).copied().unwrap_or(0);
            let target = Target { row: rows[prefix.step], operator };
            self.score(workspace, index, *prefix, target)
        });
        scores.map(Score::total).sum()
    }
}

/// The graph of these rows.
pub(super) fn to_dag(rows: &[u128]) -> Result<Dag, GraphError> {
    let mut dag = Dag::without_edges(rows.len())?;
    for (to, row) in rows.iter().enumerate() {
        super::prefixes::bits(*row).for_each(|from| dag.add_edge(from, to));
    }
    Ok(dag)
}
