use super::network::{Memory, Network};
use super::parameters::LAYERS;
use super::sequence::{Choice, Decision};
use super::*;
use crate::generator::passes::Example;
use std::collections::HashMap;

const SHAPES: [ComponentShape; 2] = [
    ComponentShape { nodes: 3, operators: 0, edge_operators: 0 },
    ComponentShape { nodes: 3, operators: 2, edge_operators: 0 },
];

fn stream(candidate: u64) -> Stream {
    StreamKey { seed: 5, purpose: Purpose::Sample, candidate, epoch: 0 }.stream()
}

/// Every graph of a shape.
fn all_graphs(nodes: usize, operators: usize) -> Vec<LabelledGraph> {
    let pairs: Vec<[usize; 2]> = (0..nodes).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
    let labels = if operators == 0 { 1 } else { operators.pow(nodes as u32) };
    let mut graphs = Vec::new();
    for edges in 0..1usize << pairs.len() {
        for label in 0..labels {
            let chosen: Vec<[usize; 2]> =
                pairs.iter().enumerate().filter(|(i, _)| edges >> i & 1 == 1).map(|(_, &e)| e).collect();
            let of = |node: usize| (label / operators.max(1).pow(node as u32) % operators.max(1)) as u8;
            let operators = if operators == 0 { Vec::new() } else { (0..nodes).map(of).collect() };
            graphs.push(LabelledGraph { dag: Dag::new(nodes, &chosen).unwrap(), operators });
        }
    }
    graphs
}

/// Wide parameters, so that probabilities are far from uniform.
fn generator(hidden: usize) -> LstmGenerator {
    let mut generator = LstmGenerator::new(&SHAPES, hidden, 1, 0).unwrap();
    for network in &mut generator.components {
        network.parameters.iter_mut().for_each(|value| *value *= 3.0);
    }
    generator
}

#[test]
fn the_probabilities_of_all_architectures_sum_to_one_and_draws_follow_them() {
    let generator = generator(8);
    let mut probability = HashMap::new();
    for first in all_graphs(3, 0) {
        for second in all_graphs(3, 2) {
            let components = vec![first.clone(), second.clone()];
            let log = generator.log_probability(&components).unwrap();
            probability.insert(components, log.exp());
        }
    }
    assert_eq!(probability.len(), 8 * 64);
    let total: f64 = probability.values().sum();
    assert!((total - 1.0).abs() <= 1e-6, "{total}");
    let draws = generator.sample(&mut stream(0), 20_000);
    let mut counts: HashMap<&Vec<LabelledGraph>, f64> = HashMap::new();
    for draw in &draws {
        assert!((draw.log_probability - probability[&draw.components].ln()).abs() <= 1e-5);
        *counts.entry(&draw.components).or_default() += 1.0;
    }
    // Chi square with 511 degrees of freedom: mean 511, standard deviation 32.
    let terms = probability.iter().map(|(components, p)| {
        let expected = p * draws.len() as f64;
        (counts.get(components).copied().unwrap_or(0.0) - expected).powi(2) / expected
    });
    let chi_square: f64 = terms.sum();
    assert!((350.0..=680.0).contains(&chi_square), "{chi_square}");
    assert_eq!(generator.sample(&mut stream(0), 100)[..], draws[..100]);
}

/// The definition, number by number in f64.
struct Reference<'a> {
    network: &'a Network,
    parameters: Vec<f64>,
}

impl Reference<'_> {
    fn rows(&self, name: &str) -> Vec<&[f64]> {
        let tensor = self.network.layout.tensors.iter().find(|tensor| tensor.name == name).unwrap();
        self.parameters[tensor.range()].chunks_exact(self.network.config.hidden).collect()
    }

    fn input(&self, before: Option<Choice>) -> Vec<f64> {
        match before {
            None => self.rows("start")[0].to_vec(),
            Some(Choice::Operator(operator)) => self.rows("operators")[usize::from(operator)].to_vec(),
            Some(Choice::Links(row)) => {
                let chosen: Vec<usize> = (0..128).filter(|node| row >> node & 1 == 1).collect();
                let below = 1.0 + chosen.iter().sum::<usize>() as f64;
                let nodes = self.rows("nodes");
                (0..self.network.config.hidden)
                    .map(|k| chosen.iter().map(|&j| nodes[j][k]).sum::<f64>() / below)
                    .collect()
            }
        }
    }

    fn cell(&self, layer: usize, x: &[f64], state: &mut [Vec<f64>; 2]) -> Vec<f64> {
        let hidden = self.network.config.hidden;
        let dot = |row: &[f64], v: &[f64]| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
        let (wx, wh) = (self.rows(&format!("lstm.{layer}.input")), self.rows(&format!("lstm.{layer}.state")));
        let sum = |gate: usize, k: usize| dot(wx[gate * hidden + k], x) + dot(wh[gate * hidden + k], &state[0]);
        let logistic = |v: f64| 1.0 / (1.0 + (-v).exp());
        let cells: Vec<f64> =
            (0..hidden).map(|k| logistic(sum(1, k)) * state[1][k] + logistic(sum(0, k)) * sum(2, k).tanh()).collect();
        let output: Vec<f64> = (0..hidden).map(|k| logistic(sum(3, k)) * cells[k].tanh()).collect();
        *state = [output.clone(), cells];
        output
    }

    /// The l of a graph.
    fn l(&self, graph: &LabelledGraph) -> f64 {
        let config = &self.network.config;
        let mut states: [[Vec<f64>; 2]; LAYERS] =
            std::array::from_fn(|_| [vec![0.0; config.hidden], vec![0.0; config.hidden]]);
        let (mut before, mut l) = (None, 0.0);
        let nodes = config.nodes as f64;
        for decision in &self.network.decisions {
            let first = self.cell(0, &self.input(before), &mut states[0]);
            let second = self.cell(1, &first, &mut states[1]);
            let head = |row: &[f64]| 2.5 * (row.iter().zip(&second).map(|(a, b)| a * b).sum::<f64>() / 5.0).tanh();
            let z: Vec<f64> = self.rows("heads").into_iter().map(head).collect();
            match *decision {
                Decision::Operator(node) => {
                    let powers: Vec<f64> = z[..config.operators].iter().map(|z| z.exp()).collect();
                    let p = powers[usize::from(graph.operators[node])] / powers.iter().sum::<f64>();
                    l -= 0.5 / nodes * p.ln();
                }
                Decision::Links(node) => {
                    for from in 0..node {
                        let there = 1.0 / (1.0 + (-2.0 * z[config.operators + from]).exp());
                        let p = if graph.dag.has_edge(from, node) { there } else { 1.0 - there };
                        l -= 2.0 / (nodes * (nodes + 1.0)) * p.ln();
                    }
                }
            }
            before = Some(decision.choice(graph));
        }
        l
    }

    fn loss(&self, examples: &[Example]) -> f64 {
        let term = |example: &Example| match (example.rho, self.l(example.graph)) {
            (rho, l) if rho > 0.0 => rho * l,
            (rho, l) => rho * (1.0 - (-l).exp() + 1e-6).ln(),
        };
        examples.iter().map(term).sum::<f64>() / examples.len() as f64
    }
}

#[test]
fn the_loss_and_every_gradient_agree_with_the_definition_in_f64() {
    let generator = generator(5);
    for (network, operators) in generator.components.iter().zip([0, 2]) {
        let graphs = all_graphs(3, operators);
        let picked = [(1, 1.0), (graphs.len() - 1, 0.4), (graphs.len() / 2, -0.3)];
        let examples: Vec<Example> = picked.map(|(index, rho)| Example { graph: &graphs[index], rho }).into();
        let (mut memory, mut gradient) = (Memory::default(), vec![0.0; network.parameters.len()]);
        network.pack(&mut memory, true);
        let loss = network.loss(&mut memory, &examples, &mut gradient);
        let exact: Vec<f64> = network.parameters.iter().map(|&value| value.into()).collect();
        let at = |parameters: Vec<f64>| Reference { network, parameters }.loss(&examples);
        assert!((loss - at(exact.clone())).abs() <= 1e-6, "{loss}");
        let mut moving = 0;
        for (index, &found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut parameters = exact.clone();
                parameters[index] += by;
                at(parameters)
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((f64::from(found) - expected).abs() <= 2e-6, "{index}: {found} {expected}");
            moving += usize::from(expected.abs() > 1e-5);
        }
        assert!(moving > gradient.len() / 2, "{moving} of {}", gradient.len());
    }
}

fn settings(epochs: usize) -> FitSettings {
    FitSettings { epochs, batch: 2, learning_rate: 5e-3, seed: 1, iteration: 2, threads: 1 }
}

#[test]
fn a_fit_raises_what_is_good_and_lowers_what_is_bad() {
    let mut generator = LstmGenerator::new(&SHAPES, 16, 1, 2).unwrap();
    let (first, second) = (all_graphs(3, 0), all_graphs(3, 2));
    let buffer: Vec<Vec<LabelledGraph>> =
        [(3, 17), (5, 40), (1, 9)].map(|(a, b)| vec![first[a].clone(), second[b].clone()]).into();
    let stop = AtomicBool::new(false);
    let before: Vec<f64> = buffer.iter().map(|graphs| generator.log_probability(graphs).unwrap()).collect();
    let report = generator.fit(&buffer, &[1.0, 0.5, -0.5], &settings(60), &stop).unwrap().unwrap();
    assert!(report.losses[59] < report.losses[0]);
    let after: Vec<f64> = buffer.iter().map(|graphs| generator.log_probability(graphs).unwrap()).collect();
    assert!(after[0] > before[0] && after[1] > before[1] && after[2] < before[2], "{before:?} {after:?}");
    let mut again = LstmGenerator::new(&SHAPES, 16, 1, 2).unwrap();
    assert_eq!(again.fit(&buffer, &[1.0, 0.5, -0.5], &settings(60), &stop).unwrap().unwrap(), report);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(again.fit(&buffer, &[1.0, 0.5, -0.5], &settings(1), &stop).unwrap(), None);
}

#[test]
fn wrong_fits_are_refused() {
    let mut generator = LstmGenerator::new(&SHAPES, 4, 1, 0).unwrap();
    let (first, second) = (all_graphs(3, 0), all_graphs(3, 2));
    let good = vec![first[0].clone(), second[0].clone()];
    let stop = AtomicBool::new(false);
    let mut refused = |graphs: Vec<LabelledGraph>, weights: &[f64], settings: FitSettings| {
        generator.fit(&[graphs], weights, &settings, &stop).unwrap_err().to_string()
    };
    assert!(refused(good.clone(), &[1.0], FitSettings { batch: 0, ..settings(1) }).contains("batch"));
    assert!(refused(good.clone(), &[1.0], FitSettings { learning_rate: f64::NAN, ..settings(1) }).contains("NaN"));
    assert!(refused(good.clone(), &[], settings(1)).contains("0 weights for 1"));
    assert!(refused(good.clone(), &[f64::INFINITY], settings(1)).contains("inf"));
    assert!(refused(good[..1].to_vec(), &[1.0], settings(1)).contains("draws 2"));
    assert!(refused(vec![good[0].clone(), all_graphs(2, 2)[0].clone()], &[1.0], settings(1)).contains("2 nodes"));
    assert!(refused(vec![good[0].clone(), first[0].clone()], &[1.0], settings(1)).contains("operator"));
    assert!(LstmGenerator::new(&SHAPES, 0, 1, 0).unwrap_err().to_string().contains("rnn_hidden"));
}

#[test]
fn a_checkpoint_brings_the_generator_back_and_damage_is_refused() {
    let generator = generator(4);
    let bytes = generator.to_bytes().unwrap();
    let back = LstmGenerator::from_bytes(&bytes).unwrap();
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert_eq!(back.sample(&mut stream(1), 50), generator.sample(&mut stream(1), 50));
    for end in 0..bytes.len() {
        assert!(LstmGenerator::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    assert!(super::super::Generator::from_bytes(&bytes).is_err());
    let mut broken = bytes.clone();
    let end = broken.len();
    broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(LstmGenerator::from_bytes(&broken).unwrap_err().to_string().contains("not a finite number"));
}
