//! `kernels/mixture.cu`.

use super::{Stage, for_each, prefix_graphs, prefixes};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::generator::PrefixGraphs;
use graphpnas_fast::device::cuda::generator::records::{DrawRows, GraphLoss, MixtureTask, Score, ScoreGradient};
use graphpnas_fast::device::cuda::records::NONE;
use proptest::strategy::Strategy;
use rand::RngExt;

/// Factors of log-probabilities in l.
const SHARES: [f64; 2] = [0.3, 0.7];

/// Logits of all distributions on the host.
struct Logits {
    graphs: PrefixGraphs,
    mixtures: usize,
    pitch: usize,
    operators: usize,
    self_pair: bool,
    theta: Vec<f32>,
    alpha: Vec<f32>,
    chosen: Vec<f32>,
}

impl Logits {
    fn random((sizes, seed): (&[usize], u64), mixtures: usize, operators: usize) -> Self {
        let graphs = prefix_graphs(sizes, operators as u32, seed);
        let mut numbers = Numbers::new(seed);
        let pitch = mixtures.next_multiple_of(8);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| 2.0 * numbers.normal()).collect() };
        let (theta, alpha) = (draw(graphs.rows.len() * pitch), draw(graphs.rows.len() * pitch));
        let chosen = draw(graphs.graph_of.len() * operators.next_multiple_of(8));
        Logits { graphs, mixtures, pitch, operators, self_pair: seed % 2 == 0, theta, alpha, chosen }
    }

    /// Mixture weights of a prefix.
    fn weights(&self, nodes: std::ops::Range<usize>) -> Vec<f64> {
        let pairs = nodes.start..if self.self_pair { nodes.end } else { nodes.end - 1 };
        let count = pairs.len().max(1) as f64;
        let mean =
            |k: usize| pairs.clone().map(|pair| f64::from(self.alpha[pair * self.pitch + k])).sum::<f64>() / count;
        softmax(&(0..self.mixtures).map(mean).collect::<Vec<_>>())
    }

    /// Probabilities of the edges of one component.
    fn edges(&self, nodes: std::ops::Range<usize>, k: usize) -> Vec<f64> {
        let logit = |pair: usize| f64::from(self.theta[pair * self.pitch + k]);
        (nodes.start..nodes.end - 1).map(|pair| 1.0 / (1.0 + (-logit(pair)).exp())).collect()
    }

    fn operator_probabilities(&self, prefix: usize) -> Vec<f64> {
        let pitch = self.operators.next_multiple_of(8);
        let logits = self.chosen[prefix * pitch..][..self.operators].iter().map(|&x| f64::from(x));
        softmax(&logits.collect::<Vec<_>>())
    }

    /// Log-probabilities of row and operator of every prefix.
    fn scores(&self) -> Vec<[f64; 2]> {
        let targets = prefixes(&self.graphs).zip(&self.graphs.targets).enumerate();
        let score = targets.map(|(prefix, (nodes, target))| {
            let component = |(k, weight): (usize, f64)| {
                let entries = self.edges(nodes.clone(), k).into_iter().enumerate();
                weight * entries.map(|(j, p)| if target.row >> j & 1 == 1 { p } else { 1.0 - p }).product::<f64>()
            };
            let row: f64 = self.weights(nodes.clone()).into_iter().enumerate().map(component).sum();
            let operator =
                if self.operators == 0 { 1.0 } else { self.operator_probabilities(prefix)[target.operator as usize] };
            [row.ln(), operator.ln()]
        });
        score.collect()
    }

    /// The sum of all losses.
    fn loss(&self, rhos: &[f64]) -> f64 {
        let mut l = vec![0.0; rhos.len()];
        for (scores, &graph) in self.scores().iter().zip(&self.graphs.graph_of) {
            l[graph as usize] -= SHARES[0] * scores[0] + SHARES[1] * scores[1];
        }
        l.iter().zip(rhos).map(|(&l, &rho)| loss(rho, l)).sum()
    }

    fn task(&self, stage: &mut Stage) -> MixtureTask {
        let capacity = stage.capacity();
        let (nodes, prefix_count) = (self.graphs.rows.len(), self.graphs.graph_of.len());
        let (k, pitch, wide) = (self.mixtures, self.pitch, self.operators.next_multiple_of(8));
        let has_operators = self.operators > 0;
        MixtureTask {
            theta: stage.rows(&self.theta, capacity.nodes, pitch),
            alpha: stage.rows(&self.alpha, capacity.nodes, pitch),
            operators: if has_operators { stage.rows(&self.chosen, capacity.prefixes, wide) } else { NONE },
            dtheta: stage.reserve_rows(nodes, capacity.nodes, pitch),
            dalpha: stage.reserve_rows(nodes, capacity.nodes, pitch),
            doperators: if has_operators { stage.reserve_rows(prefix_count, capacity.prefixes, wide) } else { NONE },
            log_weights: stage.reserve_doubles(prefix_count * k, capacity.prefixes * k),
            joint: stage.reserve_doubles(prefix_count * k, capacity.prefixes * k),
            scores: stage.reserve_doubles(2 * prefix_count, 2 * capacity.prefixes),
            slopes: stage.reserve_doubles(self.graphs.size().graphs, capacity.graphs),
            uniforms: 0,
            row_share: SHARES[0],
            operator_share: SHARES[1],
            prefixes: capacity.prefixes as u32,
            mixtures: k as u32,
            pitch: pitch as u32,
            operator_count: self.operators as u32,
            operator_pitch: wide as u32,
            self_pair: self.self_pair.into(),
            draws: 0,
            reserved: 0,
            lists: Default::default(),
        }
    }
}

fn softmax(values: &[f64]) -> Vec<f64> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = values.iter().map(|value| (value - most).exp()).sum();
    values.iter().map(|value| (value - most).exp() / total).collect()
}

fn loss(rho: f64, l: f64) -> f64 {
    if rho > 0.0 { rho * l } else { rho * (1.0 - (-l).exp() + 1e-6).ln() }
}

fn cases() -> impl Strategy<Value = ((Vec<usize>, u64), usize, usize)> {
    let mixtures = proptest::sample::select(vec![1, 2, 7, 20, 33]);
    ((proptest::collection::vec(1usize..6, 0..4), 0u64..1000), mixtures, 0usize..5)
}

#[test]
fn scores_losses_and_their_gradients() {
    let Some(device) = device() else { return };
    for_each(24, cases(), |((sizes, seed), mixtures, operators)| {
        let what = format!("{sizes:?} {seed} {mixtures} {operators}");
        let mut logits = Logits::random((&sizes, seed), mixtures, operators);
        let (nodes, prefix_count) = (logits.graphs.rows.len(), logits.graphs.graph_of.len());
        let graphs = logits.graphs.size().graphs;
        let mut numbers = Numbers::new(seed + 1);
        // Both signs, and zero.
        let rhos: Vec<f64> = (0..graphs).map(|i| if i == 2 { 0.0 } else { numbers.normal().into() }).collect();
        let mut stage = Stage::new(logits.graphs.clone());
        let task = logits.task(&mut stage);
        let capacity = stage.capacity();
        let all: Vec<f64> = rhos.iter().copied().chain(std::iter::repeat(f64::NAN)).take(capacity.graphs).collect();
        let losses = GraphLoss {
            scores: task.scores,
            weights: stage.doubles(&all),
            losses: stage.reserve_doubles(graphs, capacity.graphs),
            slopes: task.slopes,
            row_share: SHARES[0],
            operator_share: SHARES[1],
            graphs: capacity.graphs as u32,
            reserved: 0,
            lists: Default::default(),
        };
        let loaded = stage.load(&device);
        loaded.memory.score(&Score(task)).unwrap();
        loaded.memory.graph_loss(&losses).unwrap();
        loaded.memory.score_gradient(&ScoreGradient(task)).unwrap();
        let scores = loaded.doubles(task.scores, 2 * prefix_count);
        for (got, want) in scores.chunks(2).zip(logits.scores()) {
            (0..2).for_each(|i| {
                assert!((got[i] - want[i]).abs() <= 1e-10 * (1.0 + want[i].abs()), "{what}: {got:?} {want:?}")
            });
        }
        let total: f64 = loaded.doubles(losses.losses, graphs).into_iter().sum();
        let want = logits.loss(&rhos);
        assert!((total - want).abs() <= 1e-9 * (1.0 + want.abs()), "{what}: loss {total}, not {want}");

        let dtheta = loaded.floats(task.dtheta, nodes * logits.pitch);
        let dalpha = loaded.floats(task.dalpha, nodes * logits.pitch);
        let wide = operators.next_multiple_of(8);
        let doperators = if operators > 0 { loaded.floats(task.doperators, prefix_count * wide) } else { Vec::new() };
        // A few at random: the reference is slow.
        let mut check =
            |name: &str, got: &[f32], pitch: usize, used: usize, field: fn(&mut Logits) -> &mut Vec<f32>| {
                for i in (0..got.len()).filter(|i| i % pitch.max(1) < used).step_by(1 + got.len() / 40) {
                    let value = field(&mut logits)[i];
                    let step = 1e-3f32;
                    let mut moved = |to: f32| {
                        field(&mut logits)[i] = to;
                        logits.loss(&rhos)
                    };
                    let (up, down) = (value + step, value - step);
                    let want = (moved(up) - moved(down)) / f64::from(up - down);
                    field(&mut logits)[i] = value;
                    super::assert_near(&format!("{what}: {name}[{i}]"), got[i], want, 2e-5 * (1.0 + want.abs()));
                }
            };
        let pitch = mixtures.next_multiple_of(8);
        check("theta", &dtheta, pitch, mixtures, |logits| &mut logits.theta);
        check("alpha", &dalpha, pitch, mixtures, |logits| &mut logits.alpha);
        check("operators", &doperators, wide, operators, |logits| &mut logits.chosen);
        loaded.assert_rest_unchanged();
    });
}

/// Draws are what the CPU makes of the same random numbers: the first component whose probabilities add up to more than the
/// first, every edge whose probability is more than its number.
#[test]
fn draws_follow_the_random_numbers() {
    let Some(device) = device() else { return };
    for_each(24, cases(), |((sizes, seed), mixtures, operators)| {
        let logits = Logits::random((&sizes, seed), mixtures, operators);
        let prefix_count = logits.graphs.graph_of.len();
        let key = graphpnas_fast::random::StreamKey {
            seed,
            purpose: graphpnas_fast::random::Purpose::Synthetic,
            candidate: 1,
            epoch: 0,
        };
        let mut stream = key.stream();
        let wide = 8;
        let uniforms: Vec<f64> = (0..prefix_count * wide).map(|_| stream.random()).collect();
        let mut stage = Stage::new(logits.graphs.clone());
        let all: Vec<f64> = uniforms.iter().copied().chain([f64::NAN; 24]).collect();
        let task = MixtureTask { uniforms: stage.doubles(&all), draws: wide as u32, ..logits.task(&mut stage) };
        let loaded = stage.load(&device);
        loaded.memory.draw(&DrawRows(task)).unwrap();
        let got = loaded.memory.targets(prefix_count).unwrap();
        for (prefix, nodes) in prefixes(&logits.graphs).enumerate() {
            let numbers = &uniforms[prefix * wide..][..wide];
            let component = pick(&logits.weights(nodes.clone()), numbers[0]);
            let edges = logits.edges(nodes.clone(), component);
            let row = edges.iter().enumerate().fold(0u128, |row, (j, p)| row | u128::from(numbers[1 + j] < *p) << j);
            let operator =
                if operators == 0 { 0 } else { pick(&logits.operator_probabilities(prefix), numbers[nodes.len()]) };
            let what = format!("{sizes:?} {seed} {mixtures} {operators} prefix {prefix}");
            assert_eq!(got[prefix].row, row, "{what}");
            if operators > 0 {
                assert_eq!(got[prefix].operator as usize, operator, "{what}");
            }
        }
        loaded.assert_rest_unchanged();
    });
}

fn pick(probabilities: &[f64], uniform: f64) -> usize {
    let mut rest = uniform;
    for (index, probability) in probabilities.iter().enumerate() {
        rest -= probability;
        if rest < 0.0 {
            return index;
        }
    }
    probabilities.len() - 1
}
