//! `kernels/gru.cu`.

use super::{Stage, assert_near, for_each, graph_shapes, prefix_graphs};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::generator::records::{Gru, GruGradient};
use proptest::strategy::Strategy;

/// One channel of the cell in f64: gates before their biases, biases, state.
#[derive(Clone, Copy)]
struct Channel {
    input: [f64; 3],
    hidden: [f64; 3],
    biases: [[f64; 3]; 2],
    state: f64,
}

impl Channel {
    /// r, z, n, h'
    fn forward(&self) -> [f64; 4] {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let [b, d] = self.biases;
        let [r, z] = [0, 1].map(|gate| sigmoid(self.input[gate] + b[gate] + self.hidden[gate] + d[gate]));
        let n = (self.input[2] + b[2] + r * (self.hidden[2] + d[2])).tanh();
        [r, z, n, (1.0 - z) * n + z * self.state]
    }

    /// Derivative of h' by one of the numbers that `place` gives.
    fn derivative(&self, place: impl Fn(&mut Channel) -> &mut f64) -> f64 {
        let h = 1e-5;
        let moved = |step: f64| {
            let mut channel = *self;
            *place(&mut channel) += step;
            channel.forward()[3]
        };
        (moved(h) - moved(-h)) / (2.0 * h)
    }
}

/// Random inputs of a cell.
struct Inputs {
    nodes: usize,
    hidden: usize,
    pitch: usize,
    gates: Vec<f32>,
    from_hidden: Vec<f32>,
    biases: Vec<f32>,
    state: Vec<f32>,
    dnext: Vec<f32>,
}

impl Inputs {
    fn random(nodes: usize, hidden: usize, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal()).collect() };
        let pitch = 3 * hidden + 8;
        Inputs {
            nodes,
            hidden,
            pitch,
            gates: draw(nodes * 3 * hidden),
            from_hidden: draw(nodes * pitch),
            biases: draw(6 * hidden),
            state: draw(nodes * hidden),
            dnext: draw(nodes * hidden),
        }
    }

    fn channel(&self, node: usize, column: usize) -> Channel {
        let third =
            |data: &[f32], start: usize| [0, 1, 2].map(|gate| f64::from(data[start + gate * self.hidden + column]));
        Channel {
            input: third(&self.gates, node * 3 * self.hidden),
            hidden: third(&self.from_hidden, node * self.pitch),
            biases: [third(&self.biases, 0), third(&self.biases, 3 * self.hidden)],
            state: self.state[node * self.hidden + column].into(),
        }
    }
}

fn cases() -> impl Strategy<Value = ((Vec<usize>, u64), usize)> {
    (graph_shapes(), 1usize..10).prop_map(|(shapes, eighths)| (shapes, 8 * eighths))
}

/// Of expf, tanhf and a division, each within a few units in the last place.
const BOUND: f64 = 2e-6;

#[test]
fn the_cell() {
    let Some(device) = device() else { return };
    for_each(20, cases(), |((sizes, seed), hidden)| {
        let graphs = prefix_graphs(&sizes, 0, seed);
        let inputs = Inputs::random(graphs.rows.len(), hidden, seed);
        let nodes = inputs.nodes;
        let mut stage = Stage::new(graphs);
        let most = stage.capacity().nodes;
        let gates = stage.changed_rows(&inputs.gates, most, 3 * hidden);
        let next = stage.reserve_rows(nodes, most, hidden);
        let task = Gru {
            gates,
            from_hidden: stage.rows(&inputs.from_hidden, most, inputs.pitch),
            biases: stage.floats(&inputs.biases),
            state: stage.rows(&inputs.state, most, hidden),
            next,
            nodes: most as u32,
            hidden: hidden as u32,
            pitch: inputs.pitch as u32,
            reserved: 0,
        };
        let loaded = stage.load(&device);
        loaded.memory.gru(&task).unwrap();
        let (gates, next) = (loaded.floats(gates, nodes * 3 * hidden), loaded.floats(next, nodes * hidden));
        for node in 0..nodes {
            for column in 0..hidden {
                let [r, z, n, new] = inputs.channel(node, column).forward();
                for (gate, want) in [r, z, n].into_iter().enumerate() {
                    let got = gates[(node * 3 + gate) * hidden + column];
                    assert_near(&format!("{sizes:?} {seed} {hidden} gate {gate}"), got, want, BOUND);
                }
                assert_near(&format!("{sizes:?} {seed} {hidden}"), next[node * hidden + column], new, 4.0 * BOUND);
            }
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_are_those_of_central_differences() {
    let Some(device) = device() else { return };
    for_each(20, cases(), |((sizes, seed), hidden)| {
        let graphs = prefix_graphs(&sizes, 0, seed);
        let inputs = Inputs::random(graphs.rows.len(), hidden, seed);
        let nodes = inputs.nodes;
        let mut gates = inputs.gates.clone();
        for node in 0..nodes {
            for column in 0..hidden {
                let forward = inputs.channel(node, column).forward();
                (0..3).for_each(|gate| gates[(node * 3 + gate) * hidden + column] = forward[gate] as f32);
            }
        }
        let mut stage = Stage::new(graphs);
        let most = stage.capacity().nodes;
        let dgates = stage.reserve_rows(nodes, most, 3 * hidden);
        let dfrom_hidden = stage.reserve_rows(nodes, most, inputs.pitch);
        let dstate = stage.reserve_rows(nodes, most, hidden);
        let task = GruGradient {
            gates: stage.rows(&gates, most, 3 * hidden),
            from_hidden: stage.rows(&inputs.from_hidden, most, inputs.pitch),
            biases: stage.floats(&inputs.biases),
            state: stage.rows(&inputs.state, most, hidden),
            dnext: stage.rows(&inputs.dnext, most, hidden),
            dgates,
            dfrom_hidden,
            dstate,
            nodes: most as u32,
            hidden: hidden as u32,
            pitch: inputs.pitch as u32,
            reserved: 0,
        };
        let loaded = stage.load(&device);
        loaded.memory.gru_gradient(&task).unwrap();
        let (dgates, dstate) = (loaded.floats(dgates, nodes * 3 * hidden), loaded.floats(dstate, nodes * hidden));
        let dfrom_hidden = loaded.floats(dfrom_hidden, nodes * inputs.pitch);
        for node in 0..nodes {
            for column in 0..hidden {
                let channel = inputs.channel(node, column);
                let given = f64::from(inputs.dnext[node * hidden + column]);
                let bound = 4.0 * BOUND * (1.0 + given.abs()) * (1.0 + channel.hidden[2].abs() + channel.state.abs());
                let what = format!("{sizes:?} {seed} {hidden} [{node}, {column}]");
                for gate in 0..3 {
                    let want = given * channel.derivative(|channel| &mut channel.input[gate]);
                    assert_near(&what, dgates[(node * 3 + gate) * hidden + column], want, bound);
                    let want = given * channel.derivative(|channel| &mut channel.hidden[gate]);
                    assert_near(&what, dfrom_hidden[node * inputs.pitch + gate * hidden + column], want, bound);
                }
                let want = given * channel.derivative(|channel| &mut channel.state);
                assert_near(&what, dstate[node * hidden + column], want, bound);
            }
            let behind = &dfrom_hidden[node * inputs.pitch..][3 * hidden..inputs.pitch];
            assert!(behind.iter().all(|value| value.is_nan()));
        }
        loaded.assert_rest_unchanged();
    });
}
