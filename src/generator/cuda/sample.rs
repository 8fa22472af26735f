//! Draws, row by row: the host gives every row its graphs and random numbers, the device draws all graphs' row at once.

use super::super::gran::{Gran, Target};
use super::super::prefixes::PrefixBatch;
use super::super::sample::to_dag;
use super::super::{Draw, Generator, GeneratorError};
use super::{prefix_graphs, shape};
use crate::device::cuda::Device;
use crate::device::cuda::generator::{Capacity, GranNetwork, GranShape};
use crate::graph::LabelledGraph;
use crate::random::Stream;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

/// Nodes of the largest batched graph, about: enough to fill a device, few enough for its memory.
const BATCH_NODES: usize = 8192;

/// A device and the memory for drawing on it, kept from call to call, also of different generators.
pub struct CudaSampler {
    device: Arc<Device>,
    networks: Vec<Loaded>,
    batch: PrefixBatch,
}

/// A generator's shape on the device.
struct Loaded {
    shape: GranShape,
    network: GranNetwork,
}

/// A graph that is being drawn.
struct Partial {
    rows: Vec<u128>,
    operators: Vec<u8>,
    log_probability: f64,
    stream: Stream,
}

impl CudaSampler {
    /// Draws on this device.
    pub fn new(device: &Arc<Device>) -> Self {
        CudaSampler { device: device.clone(), networks: Vec::new(), batch: PrefixBatch::default() }
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// A component's generator with memory for so many graphs.
    fn network(&mut self, component: usize, gran: &Gran, graphs: usize) -> Result<&mut GranNetwork, GeneratorError> {
        let shape = shape(gran);
        let fits = |loaded: &Loaded| loaded.shape == shape && loaded.network.capacity().graphs >= graphs;
        if !self.networks.get(component).is_some_and(fits) {
            let network = GranNetwork::new(&self.device, &shape, capacity(gran, graphs), None)?;
            self.networks.truncate(component);
            self.networks.push(Loaded { shape, network });
        }
        let network = &mut self.networks[component].network;
        network.load(&gran.parameters)?;
        Ok(network)
    }
}

/// The last step's: all nodes, at worst all edges.
fn capacity(gran: &Gran, graphs: usize) -> Capacity {
    let nodes = gran.config.nodes;
    Capacity { graphs, prefixes: graphs, nodes: graphs * nodes, edges: graphs * nodes * (nodes - 1) }
}

impl Generator {
    /// [`Generator::sample`] on a CUDA device, with the same random numbers: the same draws, but where a probability is within
    /// rounding of a random number.
    ///
    /// # Errors
    /// What the device reports.
    pub fn sample_on(
        &self,
        stream: &mut Stream,
        count: usize,
        sampler: &mut CudaSampler,
    ) -> Result<Vec<Draw>, GeneratorError> {
        let mut streams: Vec<Stream> = (0..count).map(|_| Stream::from_seed(stream.random())).collect();
        let empty = Draw { components: Vec::with_capacity(self.components.len()), log_probability: 0.0 };
        let mut draws = vec![empty; count];
        if count == 0 {
            return Ok(draws);
        }
        for (component, gran) in self.components.iter().enumerate() {
            let size = (BATCH_NODES / gran.config.nodes).clamp(1, count);
            let mut batch = std::mem::take(&mut sampler.batch);
            let network = sampler.network(component, gran, size)?;
            for (draws, streams) in draws.chunks_mut(size).zip(streams.chunks_mut(size)) {
                gran.extend_draws_on(network, &mut batch, draws, streams)?;
            }
            sampler.batch = batch;
        }
        Ok(draws)
    }
}

impl Gran {
    /// Draws one graph for each of `draws` with the stream of the same number; all take a step together.
    fn extend_draws_on(
        &self,
        network: &mut GranNetwork,
        batch: &mut PrefixBatch,
        draws: &mut [Draw],
        streams: &mut [Stream],
    ) -> Result<(), GeneratorError> {
        let config = &self.config;
        let start = |stream: &Stream| Partial {
            rows: vec![0; config.first_step().min(config.nodes)],
            operators: Vec::new(),
            log_probability: 0.0,
            stream: stream.clone(),
        };
        let mut partial: Vec<Partial> = streams.iter().map(start).collect();
        for step in config.first_step()..config.nodes {
            // Unlike the CPU no row is kept from the last step: every prefix has rows of its own.
            batch.clear(partial.len(), config.id_columns() > 0);
            partial.iter().enumerate().for_each(|(index, graph)| batch.push(index, &graph.rows, step..step + 1));
            let none = Target { row: 0, operator: 0 };
            let graphs = prefix_graphs(batch, partial.iter().map(|_| none));
            let numbers = 1 + step + usize::from(config.operators > 0);
            let random: Vec<Vec<f64>> =
                (partial.iter_mut()).map(|graph| (0..numbers).map(|_| graph.stream.random()).collect()).collect();
            for (graph, drawn) in partial.iter_mut().zip(network.draw(&graphs, &random)?) {
                graph.rows.push(drawn.target.row);
                graph.operators.push(drawn.target.operator as u8);
                graph.log_probability += drawn.log_probability;
            }
        }
        for ((draw, graph), stream) in draws.iter_mut().zip(partial).zip(streams) {
            *stream = graph.stream;
            draw.log_probability += graph.log_probability;
            let operators = if config.operators > 0 { graph.operators } else { Vec::new() };
            draw.components.extend(to_dag(&graph.rows).map(|dag| LabelledGraph { dag, operators }));
        }
        Ok(())
    }
}
