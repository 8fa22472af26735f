//! Where everything of a generator lies in memory.

use super::area::{Area, Reserve, padded};
use super::batch::Capacity;
use super::parameters::ParameterAreas;
use super::records::GRADIENT_NODES;
use super::shape::{GranShape, Widths};

/// Rows of a partial gradient of a weight.
pub(super) const SPLIT: usize = 256;

/// What a round computes. Where nothing is kept for a backward pass, all rounds share one.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundValues {
    /// Shares in the first layers and the GRU's gates from the state (nodes, projected).
    pub projected: Area,
    /// (nodes, received)
    pub received: Area,
    /// r, z, n (nodes, 3 hidden).
    pub gates: Area,
    /// Without a gate: the GRU's input weight times the second message layer (3 hidden, received).
    pub composite: Area,
}

/// What a round's gate keeps for the backward pass, and makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct GateValues {
    /// (edges, hidden)
    pub messages: Area,
    /// (edges, hidden)
    pub gates: Area,
    /// Hidden layers and their gradient (edges, edge).
    pub hidden: [Area; 2],
}

/// Gradients inside a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundGradients {
    /// (nodes, projected)
    pub projected: Area,
    /// (nodes, 3 hidden)
    pub gates: Area,
    /// Partial gradients of bias and marks (pieces, 3 edge).
    pub vectors: Area,
    /// Of the composite.
    pub composite: Area,
    pub gate: Option<GateValues>,
}

/// What a head computes: two hidden layers and the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadValues {
    pub layers: [Area; 3],
}

/// What only training needs.
#[derive(Clone, Debug)]
pub(super) struct TrainingPlaces {
    pub rounds: Vec<RoundGradients>,
    /// Gradients of the states, of every other round (nodes, hidden).
    pub states: [Area; 2],
    /// Gradient of what is received (nodes, hidden).
    pub received: Area,
    /// Gradients of every head's layers.
    pub heads: Vec<HeadValues>,
    /// Gradients of every head's input.
    pub head_inputs: Vec<Area>,
}

/// Places in the arena of doubles.
#[derive(Clone, Copy, Debug)]
pub(super) struct DoublePlaces {
    pub log_weights: u64,
    pub joint: u64,
    pub scores: u64,
    pub weights: u64,
    pub losses: u64,
    pub slopes: u64,
    pub uniforms: u64,
    pub count: usize,
}

impl DoublePlaces {
    fn new(shape: &GranShape, capacity: Capacity) -> Self {
        let mut reserve = Reserve::default();
        let mut numbers = |count| reserve.numbers(count);
        let Capacity { prefixes, graphs, .. } = capacity;
        let places = DoublePlaces {
            log_weights: numbers(prefixes * shape.mixtures),
            joint: numbers(prefixes * shape.mixtures),
            scores: numbers(2 * prefixes),
            weights: numbers(graphs),
            losses: numbers(graphs),
            slopes: numbers(graphs),
            uniforms: numbers(prefixes * uniforms(shape)),
            count: 0,
        };
        DoublePlaces { count: reserve.floats, ..places }
    }
}

/// Random numbers of a prefix: the component's, every entry's, the operator's.
pub(super) fn uniforms(shape: &GranShape) -> usize {
    shape.nodes + 1
}

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub parameters: ParameterAreas,
    /// What nodes start from (nodes, features).
    pub features: Area,
    /// Before every round and after the last (nodes, hidden).
    pub states: Vec<Area>,
    pub rounds: Vec<RoundValues>,
    /// (nodes, hidden)
    pub differences: Area,
    /// (prefixes, hidden)
    pub new_states: Area,
    pub heads: Vec<HeadValues>,
    pub training: Option<TrainingPlaces>,
    pub doubles: DoublePlaces,
    /// Free from here on, for partial gradients.
    pub reserve: Reserve,
}

impl Places {
    /// Of parameters alone, or with gradient and both moments behind them, and a capacity's values.
    pub fn new(shape: &GranShape, capacity: Capacity, training: bool) -> Self {
        let parameters = ParameterAreas::new(shape);
        let widths = Widths::new(shape);
        let copies = if training { 4 } else { 1 };
        let mut reserve = Reserve { floats: copies * parameters.floats };
        let Capacity { nodes, prefixes, .. } = capacity;
        let hidden = widths.hidden;
        let count = shape.rounds.len();
        let kept: Vec<_> = (0..if training { count } else { count.min(1) })
            .map(|_| round_values(&mut reserve, widths, nodes))
            .collect();
        // The composites are made together, before the rounds.
        let rounds = (0..count).map(|round| RoundValues {
            composite: reserve.area(3 * hidden, widths.received()),
            ..kept[round % kept.len()]
        });
        let rounds = rounds.collect();
        let heads = heads(&mut reserve, shape, capacity);
        let features = reserve.area(nodes, widths.features());
        let states = (0..=count).map(|_| reserve.area(nodes, hidden)).collect();
        let differences = reserve.area(nodes, hidden);
        let new_states = reserve.area(if shape.operators > 0 { prefixes } else { 0 }, hidden);
        let training = training.then(|| TrainingPlaces {
            rounds: (0..count).map(|_| round_gradients(&mut reserve, shape, capacity)).collect(),
            states: [(); 2].map(|()| reserve.area(nodes, hidden)),
            received: reserve.area(nodes, hidden),
            heads: self::heads(&mut reserve, shape, capacity),
            head_inputs: (0..shape.heads.len()).map(|head| reserve.area(head_rows(head, capacity), hidden)).collect(),
        });
        Places {
            parameters,
            features,
            states,
            rounds,
            differences,
            new_states,
            heads,
            training,
            doubles: DoublePlaces::new(shape, capacity),
            reserve,
        }
    }

    /// Where the gradient of a parameter lies.
    pub fn gradient(&self, parameter: Area) -> Area {
        parameter.shifted(self.parameters.floats)
    }
}

/// Theta and alpha have a row for every node, the operators' for every prefix.
pub(super) fn head_rows(head: usize, capacity: Capacity) -> usize {
    if head < 2 { capacity.nodes } else { capacity.prefixes }
}

fn heads(reserve: &mut Reserve, shape: &GranShape, capacity: Capacity) -> Vec<HeadValues> {
    let head = |(head, layers): (usize, &[super::LinearPlace; 3])| {
        let rows = head_rows(head, capacity);
        HeadValues { layers: layers.map(|layer| reserve.area(rows, padded(layer.outputs))) }
    };
    shape.heads.iter().enumerate().map(head).collect()
}

fn round_values(reserve: &mut Reserve, widths: Widths, nodes: usize) -> RoundValues {
    let composite = Area { at: 0, rows: 0, columns: 0, pitch: 0 };
    RoundValues {
        projected: reserve.area(nodes, widths.projected()),
        received: reserve.area(nodes, widths.received()),
        gates: reserve.area(nodes, 3 * widths.hidden),
        composite,
    }
}

fn round_gradients(reserve: &mut Reserve, shape: &GranShape, capacity: Capacity) -> RoundGradients {
    let widths = Widths::new(shape);
    let Capacity { nodes, edges, .. } = capacity;
    let hidden = widths.hidden;
    RoundGradients {
        projected: reserve.area(nodes, widths.projected()),
        gates: reserve.area(nodes, 3 * hidden),
        vectors: reserve.area(nodes.div_ceil(GRADIENT_NODES), 3 * widths.edge()),
        composite: reserve.area(3 * hidden, widths.received()),
        gate: shape.attention.map(|_| GateValues {
            messages: reserve.area(edges, hidden),
            gates: reserve.area(edges, hidden),
            hidden: [(); 2].map(|()| reserve.area(edges, widths.edge())),
        }),
    }
}
