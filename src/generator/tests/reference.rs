//! The formulas of the method in f64, one prefix, one edge and one node at a time, nothing factored or batched.

use crate::generator::{Gran, GranConfig, InputLayout, LossScale};
use crate::graph::LabelledGraph;

/// Parameters by name.
pub struct Parameters<'a> {
    pub gran: &'a Gran,
    pub values: &'a [f64],
}

/// The parameters of a generator in f64.
pub fn values(gran: &Gran) -> Vec<f64> {
    gran.parameters.iter().map(|&value| f64::from(value)).collect()
}

impl Parameters<'_> {
    fn get(&self, name: &str) -> &[f64] {
        let tensor = self.gran.layout.tensors.iter().find(|tensor| tensor.name == name);
        &self.values[tensor.unwrap_or_else(|| panic!("no tensor {name}")).range()]
    }

    fn config(&self) -> &GranConfig {
        &self.gran.config
    }

    fn affine(&self, weight: &str, bias: &str, x: &[f64]) -> Vec<f64> {
        let rows = self.get(weight).chunks_exact(x.len());
        rows.zip(self.get(bias)).map(|(row, bias)| bias + dot(row, x)).collect()
    }

    pub fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        self.affine(&format!("{name}.weight"), &format!("{name}.bias"), x)
    }

    /// `layers` linear layers with ReLU between.
    pub fn layers(&self, name: &str, layers: usize, x: &[f64]) -> Vec<f64> {
        let mut x = x.to_vec();
        for layer in 0..layers {
            x = self.linear(&format!("{name}.{layer}"), &x);
            if layer + 1 < layers {
                x.iter_mut().for_each(|value| *value = value.max(0.0));
            }
        }
        x
    }

    pub fn gru(&self, name: &str, x: &[f64], h: &[f64]) -> Vec<f64> {
        let input = self.affine(&format!("{name}.weight_ih"), &format!("{name}.bias_ih"), x);
        let hidden = self.affine(&format!("{name}.weight_hh"), &format!("{name}.bias_hh"), h);
        let size = h.len();
        let unit = |i: usize| {
            let r = sigmoid(input[i] + hidden[i]);
            let z = sigmoid(input[size + i] + hidden[size + i]);
            let n = (input[2 * size + i] + r * hidden[2 * size + i]).tanh();
            (1.0 - z) * n + z * h[i]
        };
        (0..size).map(unit).collect()
    }

    /// Features of the edge u -> v at step `new`.
    fn features(&self, u: usize, v: usize, new: usize) -> Vec<f64> {
        let mut features = vec![f64::from(u == new), f64::from(v == new)];
        if self.config().input == InputLayout::Released {
            features.resize(self.config().hidden, 0.0);
            features[2 + u] = -1.0;
            features[2 + v] = 1.0;
        }
        features
    }

    pub fn round(&self, round: usize, states: &[Vec<f64>], edges: &[[usize; 2]]) -> Vec<Vec<f64>> {
        let new = states.len() - 1;
        let name = format!("rounds.{round}");
        let mut received = vec![vec![0.0; self.config().hidden]; states.len()];
        for &[u, v] in edges {
            let mut d: Vec<f64> = states[u].iter().zip(&states[v]).map(|(u, v)| u - v).collect();
            d.extend(self.features(u, v, new));
            let message = self.layers(&format!("{name}.message"), 2, &d);
            let gate = match self.config().attention {
                Some(_) => self.layers(&format!("{name}.gate"), 2, &d).into_iter().map(sigmoid).collect(),
                None => vec![1.0; message.len()],
            };
            for (to, (message, gate)) in received[v].iter_mut().zip(message.iter().zip(gate)) {
                *to += message * gate;
            }
        }
        let cells = received.iter().zip(states);
        cells.map(|(x, h)| self.gru(&format!("{name}.gru"), x, h)).collect()
    }

    fn initial_state(&self, graph: &LabelledGraph, node: usize) -> Vec<f64> {
        let nodes = self.config().nodes;
        let mut row: Vec<f64> = (0..nodes).map(|j| f64::from(j < node && graph.dag.has_edge(j, node))).collect();
        let GranConfig { operators, edge_operators, .. } = *self.config();
        if self.config().condition_on_operators {
            row.extend((0..operators).map(|operator| f64::from(self.operator(graph, node) == operator)));
            let edge = |j: usize, operator: usize| {
                f64::from(j < node && graph.dag.has_edge(j, node) && self.edge_operator(graph, j, node) == operator)
            };
            row.extend((0..nodes).flat_map(|j| (0..edge_operators).map(move |operator| edge(j, operator))));
        }
        let mut state = self.linear("input", &row);
        if self.config().input == InputLayout::Released {
            state.extend((0..nodes).map(|j| f64::from(j == node)));
        }
        state
    }

    /// The operator of a node; labels lie row by row, a node's own before those of the edges into it.
    fn operator(&self, graph: &LabelledGraph, node: usize) -> usize {
        let edges = if self.config().edge_operators > 0 { node * node.saturating_sub(1) / 2 } else { 0 };
        usize::from(graph.operators[node + edges])
    }

    /// The operator of an edge.
    fn edge_operator(&self, graph: &LabelledGraph, from: usize, to: usize) -> usize {
        let nodes = if self.config().operators > 0 { to + 1 } else { 0 };
        usize::from(graph.operators[nodes + to * (to - 1) / 2 + from])
    }

    /// Log-probabilities of the row, the operator and the edge operators of `new`.
    fn step(&self, graph: &LabelledGraph, new: usize) -> [f64; 3] {
        let mut states: Vec<_> = (0..new).map(|node| self.initial_state(graph, node)).collect();
        states.push(vec![0.0; self.config().hidden]);
        let edges = prefix_edges(graph, new);
        for round in 0..self.config().layers {
            states = self.round(round, &states, &edges);
        }
        let difference = |j: usize| -> Vec<f64> { states[new].iter().zip(&states[j]).map(|(a, b)| a - b).collect() };
        let mixtures = self.config().mixtures;
        let pairs: Vec<usize> = (0..new + usize::from(self.config().alpha_self_pair)).collect();
        let mut alpha = vec![0.0; mixtures];
        for &j in &pairs {
            let logits = self.layers("alpha", 3, &difference(j));
            alpha.iter_mut().zip(logits).for_each(|(sum, value)| *sum += value / pairs.len() as f64);
        }
        let mut components = softmax(&alpha);
        for j in 0..new {
            let theta = self.layers("theta", 3, &difference(j));
            for (product, theta) in components.iter_mut().zip(theta) {
                *product *= if graph.dag.has_edge(j, new) { sigmoid(theta) } else { 1.0 - sigmoid(theta) };
            }
        }
        let operator = match self.config().operators {
            0 => 0.0,
            _ => softmax(&self.layers("operator", 3, &states[new]))[self.operator(graph, new)].ln(),
        };
        let edges = (0..new).filter(|&j| graph.dag.has_edge(j, new) && self.config().edge_operators > 0);
        let edge_operators = edges.map(|j| {
            let logits = self.layers("edge_operator", 3, &difference(j));
            softmax(&logits)[self.edge_operator(graph, j, new)].ln()
        });
        [components.iter().sum::<f64>().ln(), operator, edge_operators.sum()]
    }

    pub fn log_probability(&self, graph: &LabelledGraph) -> f64 {
        (0..self.config().nodes).flat_map(|new| self.step(graph, new)).sum()
    }

    /// The loss of a minibatch of graphs with weights.
    pub fn loss(&self, graphs: &[LabelledGraph], rhos: &[f64]) -> f64 {
        let nodes = self.config().nodes as f64;
        let terms = graphs.iter().zip(rhos).map(|(graph, rho)| {
            let losses = (0..self.config().nodes).map(|new| {
                let [row, operator, edge_operators] = self.step(graph, new);
                let edges = graph.dag.predecessors(new).count().max(1) as f64;
                match self.config().loss {
                    LossScale::Mean => {
                        -row / (nodes * (nodes + 1.0) / 2.0) - 0.5 * operator / nodes - 0.125 * edge_operators / edges
                    }
                    LossScale::Sum => -row - operator - edge_operators,
                }
            });
            let l: f64 = losses.sum();
            if *rho > 0.0 { rho * l } else { rho * (1.0 - (-l).exp() + 1e-6).ln() }
        });
        terms.sum::<f64>() / graphs.len() as f64
    }
}

/// Both directions of every edge below `new`, and both directions between `new` and every earlier node.
pub fn prefix_edges(graph: &LabelledGraph, new: usize) -> Vec<[usize; 2]> {
    let mut edges = Vec::new();
    for v in 0..=new {
        for u in 0..v {
            if v == new || graph.dag.has_edge(u, v) {
                edges.extend([[u, v], [v, u]]);
            }
        }
    }
    edges
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|value| value.exp()).sum();
    logits.iter().map(|value| value.exp() / total).collect()
}

/// Gradient of `f` by central differences.
pub fn central_differences(values: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    // So small that hardly a kink of a ReLU lies within.
    let step = 1e-6;
    let moved = |index: usize, by: f64| {
        let mut values = values.to_vec();
        values[index] += by;
        f(&values)
    };
    (0..values.len()).map(|index| (moved(index, step) - moved(index, -step)) / (2.0 * step)).collect()
}
