//! Drawing architectures and giving their probabilities.

use super::gran::{Gran, Score, Target, Workspace};
use super::prefixes::PrefixBatch;
use super::{Generator, GeneratorError};
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
    /// random stream of its own, so the first draws are the same however many there are.
    pub fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        let mut streams: Vec<Stream> = (0..count).map(|_| Stream::from_seed(stream.random())).collect();
        let empty = Draw { components: Vec::with_capacity(self.components.len()), log_probability: 0.0 };
        let mut draws = vec![empty; count];
        let mut workspace = Workspace::default();
        for gran in &self.components {
            let size = (BATCH_NODES / gran.config.nodes).max(1);
            for (draws, streams) in draws.chunks_mut(size).zip(streams.chunks_mut(size)) {
                gran.extend_draws(draws, streams, &mut workspace);
            }
        }
        draws
    }

    /// Log-probability of an architecture as an ordered graph: the sum over all rows and operators of all graphs, natural
    /// logarithm.
    ///
    /// # Errors
    /// Graphs of another shape than the generator's.
    pub fn log_probability(&self, components: &[LabelledGraph]) -> Result<f64, GeneratorError> {
        self.check_graphs(components)?;
        let mut workspace = Workspace::default();
        let scores = self.components.iter().zip(components);
        Ok(scores.map(|(gran, graph)| gran.log_probability(graph, &mut workspace)).sum())
    }
}

/// A graph that is being drawn.
#[derive(Clone, Default)]
struct Partial {
    rows: Vec<u128>,
    operators: Vec<u8>,
    log_probability: f64,
}

impl Partial {
    fn push(&mut self, target: Target, score: Score) {
        self.rows.push(target.row);
        self.operators.push(target.operator);
        self.log_probability += score.row + score.operator;
    }
}

impl Gran {
    /// Draws one graph for each of `draws` with the stream of the same number; all take a step together.
    fn extend_draws(&self, draws: &mut [Draw], streams: &mut [Stream], workspace: &mut Workspace) {
        let mut partial = vec![Partial::default(); draws.len()];
        let mut batch = PrefixBatch::default();
        for step in 0..self.config.nodes {
            if step < self.config.first_step() {
                partial.iter_mut().for_each(|graph| graph.rows.push(0));
                continue;
            }
            batch.clear();
            partial.iter().enumerate().for_each(|(index, graph)| batch.push(index, &graph.rows, step..step + 1));
            self.forward(&batch, workspace);
            for (index, (prefix, graph)) in batch.prefixes.iter().zip(&mut partial).enumerate() {
                let target = self.draw(workspace, index, *prefix, &mut streams[index]);
                graph.push(target, self.score(workspace, index, *prefix, target));
            }
        }
        for (draw, graph) in draws.iter_mut().zip(partial) {
            draw.log_probability += graph.log_probability;
            let operators = if self.config.operators > 0 { graph.operators } else { Vec::new() };
            draw.components.extend(to_dag(&graph.rows).map(|dag| LabelledGraph { dag, operators }));
        }
    }

    /// Log-probability of a graph of the right shape.
    pub(super) fn log_probability(&self, graph: &LabelledGraph, workspace: &mut Workspace) -> f64 {
        let steps = self.config.first_step()..self.config.nodes;
        let rows: Vec<u128> = (0..self.config.nodes).map(|node| graph.dag.predecessor_bits(node)).collect();
        let mut batch = PrefixBatch::default();
        batch.clear();
        batch.push(0, &rows, steps);
        self.forward(&batch, workspace);
        let scores = batch.prefixes.iter().enumerate().map(|(index, prefix)| {
            let operator = graph.operators.get(prefix.step).copied().unwrap_or(0);
            let target = Target { row: rows[prefix.step], operator };
            self.score(workspace, index, *prefix, target)
        });
        scores.map(|score| score.row + score.operator).sum()
    }
}

/// The graph of these rows.
fn to_dag(rows: &[u128]) -> Result<Dag, GraphError> {
    let mut dag = Dag::without_edges(rows.len())?;
    for (to, row) in rows.iter().enumerate() {
        super::prefixes::bits(*row).for_each(|from| dag.add_edge(from, to));
    }
    Ok(dag)
}
