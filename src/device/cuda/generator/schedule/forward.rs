//! From the prefix graphs to the heads' outputs.

use super::super::area::Area;
use super::super::records::{Count, Dense, DenseInput, DenseTask, Differences, EdgeSums, Features, Gate, Gru};
use super::{Operation, Scene, forward_product, input_product, rectified, with_bias};
use crate::device::cuda::records::NONE;

/// The launches of a forward pass.
pub(in super::super) fn forward(scene: &Scene) -> Vec<Operation> {
    let mut operations = vec![features(scene)];
    operations.extend(composites(scene));
    operations.push(initial_states(scene));
    (0..scene.shape.rounds.len()).for_each(|round| operations.extend(forward_round(scene, round)));
    operations.push(differences(scene));
    operations.extend((0..3).map(|layer| heads_forward(scene, layer)));
    operations
}

fn features(scene: &Scene) -> Operation {
    Operation::Features(Features {
        features: scene.places.features.at,
        nodes: scene.nodes(),
        rows: scene.widths.rows as u32,
        numbers: scene.widths.numbers as u32,
        reserved: 0,
        lists: *scene.lists,
    })
}

/// Without a gate: the GRU's input weight times the second message layer, whose last columns are its bias. The sums that
/// it multiplies have a node's degree there.
fn composites(scene: &Scene) -> Option<Operation> {
    if scene.shape.attention.is_some() || scene.shape.rounds.is_empty() {
        return None;
    }
    let rounds = scene.places.parameters.rounds.iter().zip(&scene.places.rounds);
    let tasks = rounds
        .map(|(round, values)| DenseInput(input_product(round.input, round.message, values.composite, Count::All)));
    Some(Operation::DenseInput(tasks.collect()))
}

fn initial_states(scene: &Scene) -> Operation {
    let places = scene.places;
    let features = places.features.columns(0, scene.widths.initial());
    let task = input_product(features, places.parameters.table, places.states[0], Count::Nodes);
    Operation::DenseInput(vec![DenseInput(task)])
}

fn forward_round(scene: &Scene, round: usize) -> [Operation; 4] {
    let (parameters, values) = (scene.places.parameters.rounds[round], scene.places.rounds[round]);
    let weight = if parameters.gate.is_some() { parameters.input } else { values.composite };
    let gates = forward_product(values.received, weight, values.gates, Count::Nodes);
    [project(scene, round), receive(scene, round), Operation::Dense(vec![Dense(gates)]), gru(scene, round)]
}

/// Shares in the first layers of the edge networks, with those of the nodes' numbers, and the GRU's gates from the state.
fn project(scene: &Scene, round: usize) -> Operation {
    let places = scene.places;
    let (parameters, values) = (places.parameters.rounds[round], places.rounds[round]);
    let task = forward_product(places.states[round], parameters.states, values.projected, Count::Nodes);
    let task = match parameters.numbers {
        Some(numbers) => DenseTask { bias_rows: scene.lists.numbers(), ..with_bias(task, numbers) },
        None => task,
    };
    Operation::Dense(vec![Dense(task)])
}

fn receive(scene: &Scene, round: usize) -> Operation {
    let places = scene.places;
    let (parameters, values) = (places.parameters.rounds[round], places.rounds[round]);
    let Some(gate) = parameters.gate else {
        return Operation::EdgeSums(EdgeSums {
            projected: values.projected.at,
            vectors: parameters.vectors.at,
            sums: values.received.at,
            nodes: scene.nodes(),
            columns: scene.widths.hidden as u32,
            pitch: values.projected.pitch as u32,
            sums_pitch: values.received.pitch as u32,
            lists: *scene.lists,
        });
    };
    let kept = places.training.as_ref().and_then(|training| training.rounds[round].gate);
    Operation::Gate(Gate {
        projected: values.projected.at,
        vectors: parameters.vectors.at,
        message_weight: parameters.message.at,
        message_bias: gate.message_bias.at,
        gate_weight: gate.gate.weight.at,
        gate_bias: gate.gate.bias.at,
        messages: kept.map_or(NONE, |kept| kept.messages.at),
        gates: kept.map_or(NONE, |kept| kept.gates.at),
        received: values.received.at,
        tiles: scene.nodes(),
        hidden: scene.widths.hidden as u32,
        attention: scene.widths.attention as u32,
        pitch: values.projected.pitch as u32,
        lists: *scene.lists,
    })
}

fn gru(scene: &Scene, round: usize) -> Operation {
    let places = scene.places;
    let (parameters, values) = (places.parameters.rounds[round], places.rounds[round]);
    Operation::Gru(Gru {
        gates: values.gates.at,
        from_hidden: hidden_part(scene, values.projected).at,
        biases: parameters.biases.at,
        state: places.states[round].at,
        next: places.states[round + 1].at,
        nodes: scene.nodes(),
        hidden: scene.widths.hidden as u32,
        pitch: values.projected.pitch as u32,
        reserved: 0,
    })
}

/// The GRU's gates of what a round computes of the states.
pub(super) fn hidden_part(scene: &Scene, projected: Area) -> Area {
    projected.columns(scene.widths.edge(), 3 * scene.widths.hidden)
}

/// The last states.
pub(super) fn last_states(scene: &Scene) -> Area {
    scene.places.states[scene.shape.rounds.len()]
}

fn differences(scene: &Scene) -> Operation {
    Operation::Differences(Differences {
        state: last_states(scene).at,
        differences: scene.places.differences.at,
        new_states: if scene.has_operators() { scene.places.new_states.at } else { NONE },
        nodes: scene.nodes(),
        hidden: scene.widths.hidden as u32,
        lists: *scene.lists,
    })
}

/// One layer of all heads.
fn heads_forward(scene: &Scene, layer: usize) -> Operation {
    let heads = scene.places.parameters.heads.iter().zip(&scene.places.heads).enumerate();
    let tasks = heads.map(|(head, (parameters, values))| {
        let input = if layer == 0 { scene.head_input(head) } else { values.layers[layer - 1] };
        let linear = parameters[layer];
        let task = forward_product(input, linear.weight, values.layers[layer], Scene::head_count(head));
        Dense(rectified(with_bias(task, linear.bias), layer < 2))
    });
    Operation::Dense(tasks.collect())
}
