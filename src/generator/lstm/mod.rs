//! The RNN generator that GraphPNAS is compared with (method, section 4): an LSTM decides a graph's operators and links one
//! after the other.
//!
//! For every node, in order: its operator, where nodes have one, then whether each earlier node feeds it. Every decision
//! takes one step of a two-layer LSTM without biases, whose input is the embedding of the decision before it. The
//! decisions' probabilities multiply to that of the graph, so this is a distribution over labelled graphs as the graph
//! generator is one, and it is trained with the same weighted likelihood.

mod checkpoint;
mod layer;
mod network;
mod parameters;
mod sequence;
#[cfg(test)]
mod tests;

pub use parameters::LstmConfig;

use super::adam::Adam;
use super::passes::{Buffer, check_graphs};
use super::{Draw, FitReport, FitSettings, GeneratorError};
use crate::device::cpu::gang::Gang;
use crate::graph::{Dag, LabelledGraph, bits};
use crate::random::{Purpose, Stream, StreamKey};
use crate::space::ComponentShape;
use network::{Memory, Network};
use rand::{RngExt, SeedableRng};
use sequence::Choice;
use std::sync::atomic::AtomicBool;

/// Graphs that are drawn together.
const DRAWN_TOGETHER: usize = 64;

/// A distribution over architectures of one or several graphs, drawn independently of each other.
#[derive(Clone, Debug)]
pub struct LstmGenerator {
    components: Vec<Network>,
}

impl LstmGenerator {
    /// A generator of width `hidden` with fresh parameters, which depend on the seed, the iteration and the component only.
    ///
    /// # Errors
    /// Settings outside their range; operators on edges, which the LSTM does not know.
    pub fn new(shapes: &[ComponentShape], hidden: usize, seed: u64, iteration: u64) -> Result<Self, GeneratorError> {
        let components = shapes.iter().zip(0..).map(|(shape, component)| {
            if shape.edge_operators > 0 {
                return Err(GeneratorError::Setting {
                    name: "edge_operators",
                    value: shape.edge_operators,
                    least: 0,
                    most: 0,
                });
            }
            let config = LstmConfig { nodes: shape.nodes, operators: shape.operators, hidden };
            config.validate()?;
            let purpose = Purpose::LstmInitialise;
            let key = StreamKey { seed, purpose, candidate: component, epoch: iteration };
            Ok(Network::new(config.clone(), |layout| layout.initialise(&config, &mut key.stream())))
        });
        Ok(LstmGenerator { components: components.collect::<Result<_, _>>()? })
    }

    /// Number of parameters of all components.
    pub fn parameter_count(&self) -> usize {
        self.components.iter().map(|network| network.parameters.len()).sum()
    }

    /// Fits the generator to a buffer of architectures and their weights, from the present parameters on, as
    /// [`Generator::fit`](super::Generator::fit) does. `settings.threads` is not used: one thread does all.
    ///
    /// # Errors
    /// A step of no architectures, graphs of another shape, a weight that is not finite, a loss that stops being finite.
    pub fn fit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        settings: &FitSettings,
        stop: &AtomicBool,
    ) -> Result<Option<FitReport>, GeneratorError> {
        let buffer = Buffer { architectures: buffer, weights };
        buffer.check(&self.shapes(), settings)?;
        let adam = |network: &Network| Adam::new(network.parameters.len(), settings.learning_rate);
        let mut optimisers: Vec<Adam> = self.components.iter().map(adam).collect();
        let (mut memory, mut gradient, mut gang) = (Memory::default(), Vec::new(), Gang::new(1));
        buffer.passes(settings, stop, |step| {
            let mut loss = 0.0;
            for (component, (network, adam)) in self.components.iter_mut().zip(&mut optimisers).enumerate() {
                let examples: Vec<_> = step.iter().map(|&index| buffer.example(component, index)).collect();
                network.pack(&mut memory, true);
                gradient.clear();
                gradient.resize(network.parameters.len(), 0.0);
                loss += network.loss(&mut memory, &examples, &mut gradient);
                adam.step(&mut network.parameters, &gradient, &mut gang);
            }
            Ok(loss)
        })
    }

    /// Draws architectures. Every draw has a random stream of its own, so the first draws are the same however many there
    /// are.
    pub fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        let mut streams: Vec<Stream> = (0..count).map(|_| Stream::from_seed(stream.random())).collect();
        let empty = Draw { components: Vec::with_capacity(self.components.len()), log_probability: 0.0 };
        let mut draws = vec![empty; count];
        let mut memory = Memory::default();
        for network in &self.components {
            network.pack(&mut memory, false);
            for (draws, streams) in draws.chunks_mut(DRAWN_TOGETHER).zip(streams.chunks_mut(DRAWN_TOGETHER)) {
                network.extend_draws(draws, streams, &mut memory);
            }
        }
        draws
    }

    /// Log-probability of an architecture as ordered graphs, natural logarithm.
    ///
    /// # Errors
    /// Graphs of another shape than the generator's.
    pub fn log_probability(&self, components: &[LabelledGraph]) -> Result<f64, GeneratorError> {
        check_graphs(&self.shapes(), components)?;
        let mut memory = Memory::default();
        let scores = self.components.iter().zip(components).map(|(network, graph)| {
            network.pack(&mut memory, false);
            network.log_probability(&mut memory, graph)
        });
        Ok(scores.sum())
    }

    fn shapes(&self) -> Vec<ComponentShape> {
        let shape = |network: &Network| {
            let LstmConfig { nodes, operators, .. } = network.config;
            ComponentShape { nodes, operators, edge_operators: 0 }
        };
        self.components.iter().map(shape).collect()
    }
}

/// A graph that is being drawn.
#[derive(Clone)]
struct Partial {
    dag: Dag,
    operators: Vec<u8>,
    before: Option<Choice>,
}

impl Network {
    /// Draws one graph for each of `draws` with the stream of the same number; all take a step together.
    fn extend_draws(&self, draws: &mut [Draw], streams: &mut [Stream], memory: &mut Memory) {
        let Ok(dag) = Dag::without_edges(self.config.nodes) else { return };
        let mut partial = vec![Partial { dag, operators: Vec::new(), before: None }; draws.len()];
        let batch = draws.len();
        self.begin(memory, batch);
        for (step, decision) in self.decisions.iter().enumerate() {
            for (index, graph) in partial.iter().enumerate() {
                self.set_input(memory, step * batch + index, graph.before);
            }
            self.forward(memory, step..step + 1, batch);
            for (index, ((graph, draw), stream)) in partial.iter_mut().zip(&mut *draws).zip(&mut *streams).enumerate() {
                let logits = memory.logits.row(step * batch + index);
                let choice = decision.draw(&self.config, logits, stream);
                draw.log_probability += decision.log_probability(&self.config, logits, choice);
                graph.add(*decision, choice);
            }
        }
        for (draw, Partial { dag, operators, .. }) in draws.iter_mut().zip(partial) {
            draw.components.push(LabelledGraph { dag, operators });
        }
    }
}

impl Partial {
    fn add(&mut self, decision: sequence::Decision, choice: Choice) {
        match (decision, choice) {
            (sequence::Decision::Links(node), Choice::Links(row)) => {
                bits(row).for_each(|from| self.dag.add_edge(from, node));
            }
            (_, Choice::Operator(operator)) => self.operators.push(operator),
            _ => {}
        }
        self.before = Some(choice);
    }
}
