//! From the gradients of the heads' outputs to those of all parameters, in partial sums.

use super::super::area::{Area, Reserve};
use super::super::places::{GateValues, RoundGradients, SPLIT, TrainingPlaces};
use super::super::records::{
    Count, DenseInput, DenseTask, DenseWeight, DifferencesGradient, EdgeGradientTask, EdgeSumsGradient, EdgesGradient,
    GRADIENT_NODES, GateGradient, GruGradient, SumTask,
};
use super::forward::hidden_part;
use super::{Operation, Scene, input_product, masked};
use crate::device::cuda::records::NONE;

/// The gradients of weights, which are all taken at the end, and the sums that their partial sums need.
#[derive(Default)]
pub(in super::super) struct Gradients {
    pub products: Vec<DenseWeight>,
    pub sums: Vec<SumTask>,
    reserve: Reserve,
}

impl Gradients {
    /// With partial sums from here on.
    pub fn new(reserve: Reserve) -> Self {
        Gradients { reserve, ..Gradients::default() }
    }

    /// The length of the arena with all partial sums.
    pub fn floats(&self) -> usize {
        self.reserve.floats
    }

    /// `A (depth, rows)^T B (depth, columns)` in partial sums, and column sums of A where a bias wants them.
    fn product(&mut self, a: Area, b: Area, live: Count, has_bias: bool) -> Partials {
        assert_eq!(a.rows, b.rows, "{a:?} {b:?}");
        let (rows, columns) = (a.columns, b.columns);
        let splits = a.rows.div_ceil(SPLIT).max(1);
        let result = self.reserve.area(splits * rows, columns);
        let bias = has_bias.then(|| self.reserve.area(splits, rows));
        let task = super::product(a, b, Area { rows, columns, ..result }, live);
        let task =
            DenseTask { bias: bias.map_or(NONE, |bias| bias.at), depth: a.rows as u32, split: SPLIT as u32, ..task };
        self.products.push(DenseWeight(task));
        Partials { result, rows, bias, live, most: a.rows, split: SPLIT }
    }

    fn sum(&mut self, from: Area, stride: usize, of: &Partials, to: Area, used: usize) {
        self.sums.push(SumTask {
            partials: from.at,
            gradient: to.at,
            floats: to.floats() as u32,
            stride: stride as u32,
            live: of.live as u32,
            most: of.most as u32,
            split: of.split as u32,
            columns: to.columns as u32,
            used: used as u32,
            reserved: 0,
        });
    }

    /// The product's gradient.
    fn sum_weight(&mut self, of: &Partials, to: Area) {
        self.sum_rows(of, (0, of.rows), to, to.columns);
    }

    /// Some rows of the product's gradient; only the first `used` columns have one.
    fn sum_rows(&mut self, of: &Partials, (first, count): (usize, usize), to: Area, used: usize) {
        self.sum(of.result.rows(first, count), of.rows * of.result.columns, of, to, used);
    }

    /// Some columns of the bias's gradient.
    fn sum_bias(&mut self, of: &Partials, (first, count): (usize, usize), to: Area) {
        if let Some(bias) = of.bias {
            self.sum(bias.columns(first, count), of.rows, of, to, to.columns);
        }
    }
}

/// Partial sums of one product.
struct Partials {
    /// (splits * rows, columns)
    result: Area,
    rows: usize,
    /// (splits, rows)
    bias: Option<Area>,
    live: Count,
    most: usize,
    split: usize,
}

/// The launches of a backward pass but for the gradients of weights, which are added to `gradients`.
pub(in super::super) fn backward(
    scene: &Scene,
    training: &TrainingPlaces,
    gradients: &mut Gradients,
) -> Vec<Operation> {
    let mut operations: Vec<_> = (0..3).rev().map(|layer| heads_backward(scene, training, layer)).collect();
    head_gradients(scene, training, gradients);
    let count = scene.shape.rounds.len();
    operations.push(differences_gradient(scene, training, training.states[count % 2]));
    for round in (0..count).rev() {
        operations.extend(backward_round(scene, training, round));
        round_gradients(scene, training, round, gradients);
    }
    input_gradient(scene, training.states[0], gradients);
    operations
}

/// The gradient of one layer's input of all heads.
fn heads_backward(scene: &Scene, training: &TrainingPlaces, layer: usize) -> Operation {
    let places = scene.places;
    let tasks = places.parameters.heads.iter().enumerate().map(|(head, parameters)| {
        let (given, values) = (training.heads[head].layers, places.heads[head].layers);
        let weight = parameters[layer].weight;
        let count = Scene::head_count(head);
        DenseInput(match layer {
            0 => input_product(given[0], weight, training.head_inputs[head], count),
            _ => masked(input_product(given[layer], weight, given[layer - 1], count), values[layer - 1]),
        })
    });
    Operation::DenseInput(tasks.collect())
}

fn head_gradients(scene: &Scene, training: &TrainingPlaces, gradients: &mut Gradients) {
    let places = scene.places;
    for (head, parameters) in places.parameters.heads.iter().enumerate() {
        for (layer, linear) in parameters.iter().enumerate() {
            let input = if layer == 0 { scene.head_input(head) } else { places.heads[head].layers[layer - 1] };
            let given = training.heads[head].layers[layer];
            let partials = gradients.product(given, input, Scene::head_count(head), true);
            gradients.sum_weight(&partials, places.gradient(linear.weight));
            gradients.sum_bias(&partials, (0, given.columns), places.gradient(linear.bias));
        }
    }
}

fn differences_gradient(scene: &Scene, training: &TrainingPlaces, dstate: Area) -> Operation {
    Operation::DifferencesGradient(DifferencesGradient {
        theta: training.head_inputs[0].at,
        alpha: training.head_inputs[1].at,
        new_states: training.head_inputs.get(2).map_or(NONE, |input| input.at),
        dstate: dstate.at,
        nodes: scene.nodes(),
        hidden: scene.widths.hidden as u32,
        lists: *scene.lists,
    })
}

/// From the gradient of a round's output to that of its input, the states' gradients being in turn in two places.
fn backward_round(scene: &Scene, training: &TrainingPlaces, round: usize) -> Vec<Operation> {
    let places = scene.places;
    let (parameters, values, given) = (places.parameters.rounds[round], places.rounds[round], &training.rounds[round]);
    let dstate = training.states[round % 2];
    let weight = match parameters.gate {
        Some(_) => parameters.input,
        None => values.composite.columns(0, scene.widths.hidden),
    };
    let received = input_product(given.gates, weight, training.received, Count::Nodes);
    let state = input_product(given.projected, parameters.states, dstate, Count::Nodes);
    let state = DenseTask { flags: DenseTask::ACCUMULATE, ..state };
    let mut operations = vec![gru_gradient(scene, training, round), Operation::DenseInput(vec![DenseInput(received)])];
    match given.gate {
        Some(gate) => operations.extend(gated_backward(scene, training, round, gate)),
        None => operations.push(Operation::EdgeSumsGradient(EdgeSumsGradient(EdgeGradientTask {
            given: training.received.at,
            given_pitch: training.received.pitch as u32,
            ..edge_gradient(scene, given, round)
        }))),
    }
    operations.push(Operation::DenseInput(vec![DenseInput(state)]));
    operations
}

fn gru_gradient(scene: &Scene, training: &TrainingPlaces, round: usize) -> Operation {
    let places = scene.places;
    let (values, given) = (places.rounds[round], &training.rounds[round]);
    Operation::GruGradient(GruGradient {
        gates: values.gates.at,
        from_hidden: hidden_part(scene, values.projected).at,
        biases: places.parameters.rounds[round].biases.at,
        state: places.states[round].at,
        dnext: training.states[(round + 1) % 2].at,
        dgates: given.gates.at,
        dfrom_hidden: hidden_part(scene, given.projected).at,
        dstate: training.states[round % 2].at,
        nodes: scene.nodes(),
        hidden: scene.widths.hidden as u32,
        pitch: values.projected.pitch as u32,
        reserved: 0,
    })
}

fn edge_gradient(scene: &Scene, given: &RoundGradients, round: usize) -> EdgeGradientTask {
    let projected = scene.places.rounds[round].projected;
    EdgeGradientTask {
        projected: projected.at,
        vectors: scene.places.parameters.rounds[round].vectors.at,
        given: NONE,
        dprojected: given.projected.at,
        partials: given.vectors.at,
        nodes: scene.nodes(),
        columns: scene.widths.edge() as u32,
        pitch: projected.pitch as u32,
        given_pitch: 0,
        lists: *scene.lists,
    }
}

/// Through the gate, both second layers, and back to the nodes.
fn gated_backward(scene: &Scene, training: &TrainingPlaces, round: usize, gate: GateValues) -> Vec<Operation> {
    let places = scene.places;
    let (parameters, given) = (places.parameters.rounds[round], &training.rounds[round]);
    let (hidden, attention) = (scene.widths.hidden, scene.widths.attention);
    let projected = places.rounds[round].projected;
    let open = GateGradient {
        projected: projected.at,
        vectors: parameters.vectors.at,
        dreceived: training.received.at,
        messages: gate.messages.at,
        gates: gate.gates.at,
        hidden_layers: gate.hidden[0].at,
        edges: scene.capacity.edges as u32,
        hidden: hidden as u32,
        attention: attention as u32,
        pitch: projected.pitch as u32,
        lists: *scene.lists,
    };
    let [layers, dlayers] = gate.hidden;
    let second = |given: Area, weight: Area, (first, count): (usize, usize)| {
        let task = input_product(given, weight, dlayers.columns(first, count), Count::Edges);
        DenseInput(masked(task, layers.columns(first, count)))
    };
    let mut second_layers = vec![second(gate.messages, parameters.message, (0, hidden))];
    second_layers.extend(parameters.gate.map(|areas| second(gate.gates, areas.gate.weight, (hidden, attention))));
    let edges =
        EdgeGradientTask { given: dlayers.at, given_pitch: dlayers.pitch as u32, ..edge_gradient(scene, given, round) };
    vec![
        Operation::GateGradient(open),
        Operation::DenseInput(second_layers),
        Operation::EdgesGradient(EdgesGradient(edges)),
    ]
}

/// The gradients of a round's parameters.
fn round_gradients(scene: &Scene, training: &TrainingPlaces, round: usize, gradients: &mut Gradients) {
    let places = scene.places;
    let (parameters, values, given) = (places.parameters.rounds[round], places.rounds[round], &training.rounds[round]);
    let (hidden, edge) = (scene.widths.hidden, scene.widths.edge());
    let biases = places.gradient(parameters.biases);

    let states = gradients.product(given.projected, places.states[round], Count::Nodes, true);
    gradients.sum_weight(&states, places.gradient(parameters.states));
    gradients.sum_bias(&states, (edge, 3 * hidden), biases.rows(1, 1));

    let input = gradients.product(given.gates, values.received, Count::Nodes, true);
    let to = if parameters.gate.is_some() { places.gradient(parameters.input) } else { given.composite };
    gradients.sum_weight(&input, to);
    gradients.sum_bias(&input, (0, 3 * hidden), biases.rows(0, 1));

    let pieces = Partials {
        result: given.vectors,
        rows: 1,
        bias: None,
        live: Count::Nodes,
        most: scene.capacity.nodes,
        split: GRADIENT_NODES,
    };
    let vectors = places.gradient(parameters.vectors);
    gradients.sum(given.vectors, given.vectors.columns, &pieces, vectors, vectors.columns);

    if let Some(numbers) = parameters.numbers {
        let of_number = places.features.columns(scene.widths.initial(), scene.widths.numbers);
        let partials = gradients.product(of_number, given.projected.columns(0, edge), Count::Nodes, false);
        gradients.sum_weight(&partials, places.gradient(numbers));
    }
    if let (Some(areas), Some(gate)) = (parameters.gate, given.gate) {
        let message = gradients.product(gate.messages, gate.hidden[0].columns(0, hidden), Count::Edges, true);
        gradients.sum_weight(&message, places.gradient(parameters.message));
        gradients.sum_bias(&message, (0, hidden), places.gradient(areas.message_bias));
        let columns = gate.hidden[0].columns(hidden, scene.widths.attention);
        let opening = gradients.product(gate.gates, columns, Count::Edges, true);
        gradients.sum_weight(&opening, places.gradient(areas.gate.weight));
        gradients.sum_bias(&opening, (0, hidden), places.gradient(areas.gate.bias));
    }
}

/// The gradient of what starts the states: of the map of a node's row and of its bias, but not of the constants between.
fn input_gradient(scene: &Scene, dstate: Area, gradients: &mut Gradients) {
    let places = scene.places;
    let table = places.gradient(places.parameters.table);
    let partials = gradients.product(places.features.columns(0, scene.widths.initial()), dstate, Count::Nodes, false);
    let bias = scene.widths.rows + scene.widths.numbers;
    for (first, count) in [(0, scene.widths.rows), (bias, scene.widths.initial() - bias)] {
        gradients.sum_rows(&partials, (first, count), table.rows(first, count), scene.shape.input.outputs);
    }
}
