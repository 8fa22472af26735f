//! Where the parameters lie on the device, and the way between that and the host's vector.
//!
//! What multiplies the same matrix lies together: the first layers of both edge networks and the GRU's layer for the state.
//! Without a gate the second message layer has its bias as a column of its weight.

use super::area::{Area, Reserve, padded};
use super::shape::{GranShape, LinearPlace, RoundPlaces, Widths};

/// Numbers that go from the host's vector to the device and back: element (row, column) from `host + row * host_pitch +
/// column` to `device + row * device_steps[0] + column * device_steps[1]`.
#[derive(Clone, Copy, Debug)]
struct Move {
    host: usize,
    host_pitch: usize,
    device: usize,
    device_steps: [usize; 2],
    rows: usize,
    columns: usize,
    /// Whether the device has the negative.
    negative: bool,
}

impl Move {
    fn pairs(self) -> impl Iterator<Item = [usize; 2]> {
        let [row_step, column_step] = self.device_steps;
        (0..self.rows).flat_map(move |row| {
            (0..self.columns).map(move |column| {
                [self.host + row * self.host_pitch + column, self.device + row * row_step + column * column_step]
            })
        })
    }

    fn sign(self) -> f32 {
        if self.negative { -1.0 } else { 1.0 }
    }
}

/// A weight and its bias.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinearArea {
    pub weight: Area,
    pub bias: Area,
}

/// The second layers of a gated round.
#[derive(Clone, Copy, Debug)]
pub(super) struct GateAreas {
    pub message_bias: Area,
    pub gate: LinearArea,
}

/// One round.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundAreas {
    /// (projected, hidden)
    pub states: Area,
    /// Bias and marks of the first layers (3, edge).
    pub vectors: Area,
    /// What a node's number adds to its shares (numbers, edge).
    pub numbers: Option<Area>,
    /// The second message layer (hidden, received).
    pub message: Area,
    pub gate: Option<GateAreas>,
    /// The GRU's layer for what is received (3 hidden, hidden).
    pub input: Area,
    /// The GRU's biases, for what is received and for the state (2, 3 hidden).
    pub biases: Area,
}

/// All parameters.
#[derive(Clone, Debug)]
pub(super) struct ParameterAreas {
    /// The initial states' (initial, hidden); the rows of the numbers are constants.
    pub table: Area,
    pub rounds: Vec<RoundAreas>,
    pub heads: Vec<[LinearArea; 3]>,
    /// Length on the device.
    pub floats: usize,
    moves: Vec<Move>,
    /// Places of ones that are not parameters.
    ones: Vec<usize>,
}

impl ParameterAreas {
    pub fn new(shape: &GranShape) -> Self {
        let mut builder = Builder { shape, widths: Widths::new(shape), reserve: Reserve::default(), moves: Vec::new() };
        let (table, ones) = builder.table();
        let rounds = shape.rounds.iter().map(|round| builder.round(round)).collect();
        let heads = shape.heads.iter().map(|head| head.map(|layer| builder.linear(layer))).collect();
        ParameterAreas { table, rounds, heads, floats: builder.reserve.floats, moves: builder.moves, ones }
    }

    /// The parameters as they lie on the device, with padding and constants.
    pub fn pack(&self, host: &[f32]) -> Vec<f32> {
        let mut device = vec![0.0; self.floats];
        for &step in &self.moves {
            step.pairs().for_each(|[from, to]| device[to] = step.sign() * host[from]);
        }
        self.ones.iter().for_each(|&one| device[one] = 1.0);
        device
    }

    /// Overwrites those of the host's numbers that the device has.
    pub fn unpack(&self, device: &[f32], host: &mut [f32]) {
        for &step in &self.moves {
            step.pairs().for_each(|[to, from]| host[to] = step.sign() * device[from]);
        }
    }
}

struct Builder<'a> {
    shape: &'a GranShape,
    widths: Widths,
    reserve: Reserve,
    moves: Vec<Move>,
}

impl Builder<'_> {
    /// Columns of a weight, to an area that may be wider.
    fn weight(&mut self, layer: LinearPlace, (first, count): (usize, usize), to: Area) {
        self.moves.push(Move {
            host: layer.weight + first,
            host_pitch: layer.inputs,
            device: to.at as usize,
            device_steps: [to.pitch, 1],
            rows: layer.outputs,
            columns: count,
            negative: false,
        });
    }

    /// Columns of a weight, to the rows of an area.
    fn transposed(&mut self, layer: LinearPlace, (first, count): (usize, usize), to: Area, negative: bool) {
        self.moves.push(Move {
            host: layer.weight + first,
            host_pitch: layer.inputs,
            device: to.at as usize,
            device_steps: [1, to.pitch],
            rows: layer.outputs,
            columns: count,
            negative,
        });
    }

    /// A bias of `parts` equal parts, to a place every `step` numbers.
    fn bias(&mut self, layer: LinearPlace, parts: usize, to: u64, step: usize) {
        let columns = layer.outputs / parts;
        let device = to as usize;
        self.moves.push(Move {
            host: layer.bias,
            host_pitch: columns,
            device,
            device_steps: [step, 1],
            rows: parts,
            columns,
            negative: false,
        });
    }

    fn linear(&mut self, layer: LinearPlace) -> LinearArea {
        let (outputs, inputs) = (padded(layer.outputs), padded(layer.inputs));
        let area = LinearArea { weight: self.reserve.area(outputs, inputs), bias: self.reserve.area(1, outputs) };
        self.weight(layer, (0, layer.inputs), area.weight);
        self.bias(layer, 1, area.bias.at, outputs);
        area
    }

    /// The initial states' table and its ones.
    fn table(&mut self) -> (Area, Vec<usize>) {
        let Widths { hidden, rows, numbers, .. } = self.widths;
        let table = self.reserve.area(self.widths.initial(), hidden);
        let input = self.shape.input;
        self.transposed(input, (0, input.inputs), table, false);
        self.bias(input, 1, table.rows(rows + numbers, 1).at, hidden);
        let numbered = if self.shape.numbered { self.shape.nodes } else { 0 };
        let one = |number: usize| table.at as usize + (rows + number) * hidden + input.outputs + number;
        (table, (0..numbered).map(one).collect())
    }

    fn round(&mut self, round: &RoundPlaces) -> RoundAreas {
        let widths = self.widths;
        let hidden = widths.hidden;
        let states = self.reserve.area(widths.projected(), hidden);
        let vectors = self.reserve.area(3, widths.edge());
        let numbers = self.shape.numbered.then(|| self.reserve.area(widths.numbers, widths.edge()));
        self.first_layer(round.message[0], (0, hidden), [states, vectors], numbers);
        if let Some([first, _]) = round.gate {
            self.first_layer(first, (hidden, widths.attention), [states, vectors], numbers);
        }
        self.gru_weight(round.gru[1], states.rows(widths.edge(), 3 * hidden));
        let message = self.reserve.area(hidden, widths.received());
        self.weight(round.message[1], (0, self.shape.hidden), message);
        let gate = round.gate.map(|[_, second]| {
            let message_bias = self.reserve.area(1, hidden);
            self.bias(round.message[1], 1, message_bias.at, hidden);
            GateAreas { message_bias, gate: self.linear(second) }
        });
        if gate.is_none() {
            let column = LinearPlace { weight: round.message[1].bias, inputs: 1, ..round.message[1] };
            self.weight(column, (0, 1), message.columns(hidden, 1));
        }
        let input = self.reserve.area(3 * hidden, hidden);
        self.gru_weight(round.gru[0], input);
        let biases = self.reserve.area(2, 3 * hidden);
        for (row, layer) in round.gru.into_iter().enumerate() {
            self.bias(layer, 3, biases.rows(row, 1).at, hidden);
        }
        RoundAreas { states, vectors, numbers, message, gate, input, biases }
    }

    /// A first layer of an edge network, in `columns` of the first layers' width.
    fn first_layer(
        &mut self,
        layer: LinearPlace,
        (first, count): (usize, usize),
        [states, vectors]: [Area; 2],
        numbers: Option<Area>,
    ) {
        let hidden = self.shape.hidden;
        self.weight(layer, (0, hidden), states.rows(first, count));
        let vectors = vectors.columns(first, count);
        self.bias(layer, 1, vectors.at, count);
        self.transposed(layer, (hidden, 2), vectors.rows(1, 2), false);
        if let Some(numbers) = numbers {
            self.transposed(layer, (hidden + 2, self.shape.nodes), numbers.columns(first, count), true);
        }
    }

    /// A layer of the GRU: each gate's rows are padded.
    fn gru_weight(&mut self, layer: LinearPlace, to: Area) {
        let (hidden, wide) = (self.shape.hidden, self.widths.hidden);
        for gate in 0..3 {
            let part = LinearPlace { weight: layer.weight + gate * hidden * layer.inputs, outputs: hidden, ..layer };
            self.weight(part, (0, hidden), to.rows(gate * wide, wide));
        }
    }
}
