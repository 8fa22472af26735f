//! Which prefixes of a minibatch's graphs go together.
//!
//! A graph is enough work for a thread, but two graphs with different numbers of edges are not the same work: with a gate, most
//! products run over edges. So the heavier graph of a pair gives some prefixes to the other one's group. The prefixes of
//! a graph are independent of each other, and a graph whose weight is positive has a loss that is linear in their scores; with
//! any other weight all of its prefixes must stay together.

use super::config::GranConfig;
use super::passes::Example;

/// Prefixes of a graph of the minibatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The graph's place in the minibatch.
    pub example: usize,
    /// Bit i: the prefix that decides row i.
    pub steps: u128,
}

/// A surplus below one part in so many of the pair's work is not worth the rows that both groups then compute.
const WORTH: u64 = 64;

/// All prefixes of a graph.
pub(super) fn all_steps(config: &GranConfig) -> u128 {
    (config.first_step()..config.nodes).fold(0, |steps, step| steps | 1 << step)
}

/// What the heavier of two graphs gives to the other one's group so that both have about the same work; nothing where they
/// have, where only nodes count, or where the graph's weight is not positive.
pub(super) fn surplus(config: &GranConfig, pair: [Example; 2]) -> Option<Part> {
    config.attention?;
    let [first, second] = pair.map(|example| work(config, example));
    let heavier = usize::from(second > first);
    let mut rest = first.abs_diff(second) / 2;
    if pair[heavier].rho <= 0.0 || rest < (first + second) / WORTH {
        return None;
    }
    let mut steps = 0;
    // The smallest come last, so little is left.
    for step in (config.first_step()..config.nodes).rev() {
        let work = prefix_work(config, pair[heavier], step);
        if work <= rest {
            rest -= work;
            steps |= 1 << step;
        }
    }
    (steps != 0).then_some(Part { example: heavier, steps })
}

fn work(config: &GranConfig, example: Example) -> u64 {
    (config.first_step()..config.nodes).map(|step| prefix_work(config, example, step)).sum()
}

/// The products of a round on one prefix, in multiply-adds for every channel of a state.
fn prefix_work(config: &GranConfig, Example { graph, .. }: Example, step: usize) -> u64 {
    let gate = config.attention.unwrap_or(0);
    let among: u32 = (0..step).map(|node| graph.dag.predecessor_bits(node).count_ones()).sum();
    let edges = 2 * (among as usize + step);
    ((step + 1) * (7 * config.hidden + gate) + edges * (config.hidden + gate)) as u64
}

#[cfg(test)]
mod tests {
    use super::super::prefixes::bits;
    use super::*;
    use crate::generator::RELEASED_ATTENTION;
    use crate::graph::{Dag, LabelledGraph};
    use proptest::prelude::*;

    fn graph(nodes: usize, mut present: impl FnMut() -> bool) -> LabelledGraph {
        let mut dag = Dag::without_edges(nodes).unwrap();
        for to in 0..nodes {
            (0..to).filter(|_| present()).for_each(|from| {
                dag.add_edge(from, to);
            });
        }
        LabelledGraph { dag, operators: vec![0; nodes] }
    }

    fn config(attention: Option<usize>) -> GranConfig {
        GranConfig { attention, ..GranConfig::released(7, 5, 24) }
    }

    proptest! {
        #[test]
        fn a_surplus_makes_the_groups_more_alike(edges: [u32; 2], rhos in [-1.0..2.0f64, -1.0..2.0f64]) {
            let graphs = edges.map(|mut bits| graph(7, || { bits = bits.rotate_left(1); bits & 1 == 1 }));
            let pair = [0, 1].map(|index| Example { graph: &graphs[index], rho: rhos[index] });
            let config = config(Some(RELEASED_ATTENTION));
            let before = pair.map(|example| work(&config, example));
            let Some(Part { example, steps }) = surplus(&config, pair) else { return Ok(()) };
            prop_assert!(rhos[example] > 0.0);
            prop_assert_eq!(steps & !all_steps(&config), 0);
            let moved: u64 = bits(steps).map(|step| prefix_work(&config, pair[example], step)).sum();
            let after = [before[example] - moved, before[1 - example] + moved];
            prop_assert!(before[example] > before[1 - example] && moved > 0);
            prop_assert!(after[0] >= after[1] && after[0] < before[example]);
        }
    }

    #[test]
    fn only_unequal_graphs_of_positive_weight_with_a_gate_are_divided() {
        let [full, empty] = [true, false].map(|present| graph(7, || present));
        let pair = |rho| [Example { graph: &empty, rho: 1.0 }, Example { graph: &full, rho }];
        let gated = config(Some(RELEASED_ATTENTION));
        assert_eq!(surplus(&gated, pair(0.5)).map(|part| part.example), Some(1));
        assert_eq!(surplus(&gated, pair(0.0)), None);
        assert_eq!(surplus(&gated, pair(-0.5)), None);
        assert_eq!(surplus(&config(None), pair(0.5)), None);
        assert_eq!(surplus(&gated, [pair(1.0)[0]; 2]), None);
    }
}
