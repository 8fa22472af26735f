//! A policy of independent decisions: one logit an edge, one an operator of a node.

use crate::graph::{Dag, LabelledGraph};
use crate::random::Stream;
use rand::RngExt;

/// Adam's constants (Kingma and Ba 2015).
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// What can be decided about an edge or a node's operator.
#[derive(Clone, Debug, PartialEq)]
enum Decision {
    /// It is always the same.
    Fixed(usize),
    /// A softmax over the choices whose logits begin here; the choices not allowed have none.
    Free { first: usize, choices: Vec<usize> },
}

/// One graph's decisions.
#[derive(Clone, Debug)]
struct Component {
    empty: Dag,
    nodes: usize,
    /// Of the edge j -> i at `i (i - 1) / 2 + j`: 0 absent, 1 there.
    edges: Vec<Decision>,
    operators: Vec<Decision>,
}

/// A distribution of graphs whose edges and operators are independent of one another.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    components: Vec<Component>,
    logits: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Policy {
    /// The uniform policy over what these architectures show: a decision that never varies among them is fixed, any other
    /// one chooses among all that occurs.
    pub fn uniform_over(examples: &[Vec<LabelledGraph>]) -> Policy {
        let mut logits = 0;
        let count = examples.iter().map(Vec::len).min().unwrap_or(0);
        let components = (0..count).filter_map(|component| {
            let graphs: Vec<&LabelledGraph> = examples.iter().map(|graphs| &graphs[component]).collect();
            Component::over(&graphs, &mut logits)
        });
        let components = components.collect();
        Policy { components, logits: vec![0.0; logits], first: vec![0.0; logits], second: vec![0.0; logits], steps: 0 }
    }

    /// Draws an architecture's graphs and gives the logarithm of their probability.
    pub fn draw(&self, stream: &mut Stream) -> (Vec<LabelledGraph>, f64) {
        let mut log_probability = 0.0;
        let mut decide = |decision: &Decision| match decision {
            Decision::Fixed(choice) => *choice,
            Decision::Free { first, choices } => {
                let probabilities = self.probabilities(*first, choices.len());
                let place = draw_index(&probabilities, stream);
                log_probability += probabilities[place].ln();
                choices[place]
            }
        };
        let graphs = self.components.iter().map(|component| component.build(&mut decide)).collect();
        (graphs, log_probability)
    }

    /// One step of Adam along `advantage` times the gradient of the architecture's log-probability (Williams 1992). A
    /// choice that the policy cannot make teaches nothing.
    pub fn learn(&mut self, graphs: &[LabelledGraph], advantage: f64, learning_rate: f64) {
        let mut gradient = vec![0.0; self.logits.len()];
        for (component, graph) in self.components.iter().zip(graphs) {
            for (decision, choice) in component.choices(graph) {
                let Decision::Free { first, choices } = decision else { continue };
                let Some(chosen) = choices.iter().position(|&known| known == choice) else { continue };
                for (place, probability) in self.probabilities(*first, choices.len()).into_iter().enumerate() {
                    gradient[first + place] = advantage * (f64::from(u8::from(place == chosen)) - probability);
                }
            }
        }
        self.ascend(&gradient, learning_rate);
    }

    fn ascend(&mut self, gradient: &[f64], learning_rate: f64) {
        self.steps += 1;
        let (scale1, scale2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((logit, g), (m, v)) in self.logits.iter_mut().zip(gradient).zip(moments) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *logit += learning_rate * (*m / scale1) / ((*v / scale2).sqrt() + EPSILON);
        }
    }

    /// The softmax of a decision's logits.
    fn probabilities(&self, first: usize, choices: usize) -> Vec<f64> {
        let logits = &self.logits[first..first + choices];
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / total).collect()
    }
}

impl Component {
    /// Over the decisions of these graphs, which are of one size; `None` where there are no graphs.
    fn over(graphs: &[&LabelledGraph], logits: &mut usize) -> Option<Component> {
        let nodes = graphs.iter().map(|graph| graph.dag.nodes()).min()?;
        let pairs = (0..nodes).flat_map(|to| (0..to).map(move |from| (from, to)));
        let edge = |(from, to)| decision(graphs.iter().map(|graph| usize::from(graph.dag.has_edge(from, to))), logits);
        let edges = pairs.map(edge).collect();
        let labelled = graphs.iter().map(|graph| graph.operators.len()).min().unwrap_or(0);
        let operator = |node| decision(graphs.iter().map(|graph| usize::from(graph.operators[node])), logits);
        let operators = (0..labelled).map(operator).collect();
        Some(Component { empty: Dag::without_edges(nodes).ok()?, nodes, edges, operators })
    }

    /// The graph of these decisions: the edges' first, then the operators'.
    fn build(&self, decide: &mut dyn FnMut(&Decision) -> usize) -> LabelledGraph {
        let pairs = (0..self.nodes).flat_map(|to| (0..to).map(move |from| [from, to]));
        let mut dag = self.empty.clone();
        for ([from, to], decision) in pairs.zip(&self.edges) {
            if decide(decision) == 1 {
                dag.add_edge(from, to);
            }
        }
        LabelledGraph { dag, operators: self.operators.iter().map(|decision| decide(decision) as u8).collect() }
    }

    /// Every decision with what a graph of the same size chose.
    fn choices<'a>(&'a self, graph: &'a LabelledGraph) -> impl Iterator<Item = (&'a Decision, usize)> {
        let pairs = (0..self.nodes).flat_map(|to| (0..to).map(move |from| (from, to)));
        let edges = pairs.map(|(from, to)| usize::from(graph.dag.has_edge(from, to)));
        let operators = graph.operators.iter().map(|&operator| usize::from(operator));
        self.edges.iter().zip(edges).chain(self.operators.iter().zip(operators))
    }
}

/// The decision that makes these choices.
fn decision(choices: impl Iterator<Item = usize>, logits: &mut usize) -> Decision {
    let mut choices: Vec<usize> = choices.collect();
    choices.sort_unstable();
    choices.dedup();
    if let [only] = choices[..] {
        return Decision::Fixed(only);
    }
    let first = *logits;
    *logits += choices.len();
    Decision::Free { first, choices }
}

/// The first place at which the sum of the probabilities exceeds a uniform number.
fn draw_index(probabilities: &[f64], stream: &mut Stream) -> usize {
    let mut left: f64 = stream.random();
    for (place, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return place;
        }
    }
    probabilities.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, StreamKey};

    fn labelled(edges: &[[usize; 2]], operators: &[u8]) -> Vec<LabelledGraph> {
        vec![LabelledGraph { dag: Dag::new(3, edges).unwrap(), operators: operators.to_vec() }]
    }

    /// Edge 0 -> 1 always there, 0 -> 2 never, 1 -> 2 free; operators 4 fixed, {1, 3} free, {0, 1, 2} free.
    fn policy() -> Policy {
        Policy::uniform_over(&[
            labelled(&[[0, 1]], &[4, 1, 0]),
            labelled(&[[0, 1], [1, 2]], &[4, 3, 1]),
            labelled(&[[0, 1], [1, 2]], &[4, 3, 2]),
        ])
    }

    fn stream() -> Stream {
        StreamKey { seed: 1, purpose: Purpose::Sample, candidate: 0, epoch: 0 }.stream()
    }

    #[test]
    fn draws_follow_their_probabilities_and_keep_what_is_fixed() {
        let mut policy = policy();
        assert_eq!(policy.logits.len(), 2 + 2 + 3);
        for _ in 0..30 {
            policy.learn(&labelled(&[[0, 1]], &[4, 3, 1]), 1.0, 0.05);
        }
        let mut stream = stream();
        let draws: Vec<_> = (0..20_000).map(|_| policy.draw(&mut stream)).collect();
        let mut probability = std::collections::HashMap::new();
        for (graphs, log_probability) in &draws {
            assert!(graphs[0].dag.has_edge(0, 1) && !graphs[0].dag.has_edge(0, 2) && graphs[0].operators[0] == 4);
            probability.insert(graphs.clone(), log_probability.exp());
        }
        assert_eq!(probability.len(), 12);
        assert!((probability.values().sum::<f64>() - 1.0).abs() <= 1e-12);
        for (graphs, expected) in probability {
            let share = draws.iter().filter(|draw| draw.0 == graphs).count() as f64 / draws.len() as f64;
            // Five standard deviations.
            assert!((share - expected).abs() <= 5.0 * (expected / draws.len() as f64).sqrt(), "{share} {expected}");
        }
    }

    #[test]
    fn the_first_step_is_adam_s_along_the_sign_of_the_gradient() {
        // Adam's first step is the learning rate times the gradient's sign. Of log softmax that is up for the choice.
        let mut policy = policy();
        policy.learn(&labelled(&[[0, 1]], &[4, 3, 1]), -2.0, 0.1);
        for (logit, expected) in policy.logits.iter().zip([-0.1, 0.1, 0.1, -0.1, 0.1, -0.1, 0.1]) {
            assert!((logit - expected).abs() <= 1e-6, "{:?}", policy.logits);
        }
    }

    #[test]
    fn rewards_move_the_policy_to_what_they_reward() {
        let mut policy = policy();
        let mut stream = stream();
        for _ in 0..400 {
            let (graphs, _) = policy.draw(&mut stream);
            let reward =
                f64::from(u8::from(graphs[0].operators[2] == 2)) - f64::from(u8::from(graphs[0].dag.has_edge(1, 2)));
            policy.learn(&graphs, reward, 0.05);
        }
        let wins = (0..200).filter(|_| {
            let graphs = policy.draw(&mut stream).0;
            graphs[0].operators[2] == 2 && !graphs[0].dag.has_edge(1, 2)
        });
        assert!(wins.count() > 180);
    }
}
