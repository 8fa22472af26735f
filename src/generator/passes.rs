//! What fitting is for every model: what must hold of its arguments, and the passes over the buffer.

use super::{FitReport, FitSettings, GeneratorError};
use crate::graph::LabelledGraph;
use crate::random::{Purpose, StreamKey};
use crate::space::ComponentShape;
use rand::seq::SliceRandom;
use std::sync::atomic::{AtomicBool, Ordering};

/// A graph and its weight in the loss.
#[derive(Clone, Copy)]
pub(super) struct Example<'a> {
    pub graph: &'a LabelledGraph,
    pub rho: f64,
}

/// What a model is fitted to: architectures, one graph for each of its components, and their weights rho.
#[derive(Clone, Copy)]
pub(super) struct Buffer<'a> {
    pub architectures: &'a [Vec<LabelledGraph>],
    pub weights: &'a [f64],
}

impl Buffer<'_> {
    /// Whether a model that draws graphs of these shapes can be fitted to it.
    pub fn check(&self, shapes: &[ComponentShape], settings: &FitSettings) -> Result<(), GeneratorError> {
        let Buffer { architectures, weights } = *self;
        if settings.batch == 0 {
            return Err(GeneratorError::Setting { name: "batch", value: 0, least: 1, most: usize::MAX });
        }
        if !(settings.learning_rate.is_finite() && settings.learning_rate > 0.0) {
            return Err(GeneratorError::LearningRate(settings.learning_rate));
        }
        if weights.len() != architectures.len() {
            return Err(GeneratorError::WeightCount { weights: weights.len(), graphs: architectures.len() });
        }
        if let Some((index, value)) = weights.iter().enumerate().find(|(_, weight)| !weight.is_finite()) {
            return Err(GeneratorError::Weight { index, value: *value });
        }
        architectures.iter().try_for_each(|graphs| check_graphs(shapes, graphs))
    }

    /// The graph of a component of an architecture, with the architecture's weight.
    pub fn example(&self, component: usize, architecture: usize) -> Example<'_> {
        Example { graph: &self.architectures[architecture][component], rho: self.weights[architecture] }
    }

    /// Passes over the buffer, each in a random order of its own; `step` takes the indices of a step's architectures and
    /// returns their mean loss. `None`: stopped.
    pub fn passes(
        &self,
        settings: &FitSettings,
        stop: &AtomicBool,
        mut step: impl FnMut(&[usize]) -> Result<f64, GeneratorError>,
    ) -> Result<Option<FitReport>, GeneratorError> {
        let FitSettings { seed, iteration, .. } = *settings;
        let mut losses = Vec::with_capacity(settings.epochs);
        let mut order: Vec<usize> = (0..self.architectures.len()).collect();
        for epoch in 0..settings.epochs {
            let purpose = Purpose::GeneratorShuffle;
            order.shuffle(&mut StreamKey { seed, purpose, candidate: iteration, epoch: epoch as u64 }.stream());
            let mut total = 0.0;
            for minibatch in order.chunks(settings.batch) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let loss = step(minibatch)?;
                if !loss.is_finite() {
                    return Err(GeneratorError::Diverged { epoch, loss });
                }
                total += loss * minibatch.len() as f64;
            }
            losses.push(total / order.len().max(1) as f64);
        }
        Ok(Some(FitReport { losses }))
    }
}

/// Whether a model that draws graphs of these shapes could draw these graphs.
pub(super) fn check_graphs(shapes: &[ComponentShape], graphs: &[LabelledGraph]) -> Result<(), GeneratorError> {
    if graphs.len() != shapes.len() {
        return Err(GeneratorError::Components { expected: shapes.len(), found: graphs.len() });
    }
    for (component, (graph, shape)) in graphs.iter().zip(shapes).enumerate() {
        if graph.dag.nodes() != shape.nodes {
            return Err(GeneratorError::Nodes { component, expected: shape.nodes, found: graph.dag.nodes() });
        }
        let ComponentShape { nodes, operators, edge_operators } = *shape;
        match shape.has_operators_of(graph) {
            true => {}
            false if edge_operators > 0 => return Err(GeneratorError::EdgeOperators { component, edge_operators }),
            false => return Err(GeneratorError::Operators { component, operators, nodes }),
        }
    }
    Ok(())
}
