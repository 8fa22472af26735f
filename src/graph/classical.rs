//! The classical random graphs of Xie et al. 2019, "Exploring Randomly Wired Neural Networks": undirected graphs whose
//! edges are directed from the lower to the higher node.

use super::{Dag, GraphError, MAX_NODES};
use rand::{Rng, RngExt};

/// A random graph model with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Classical {
    /// Every pair of nodes is linked independently (Erdos and Renyi 1959).
    ErdosRenyi {
        /// Probability of every edge.
        probability: f64,
    },
    /// A ring of neighbours, partly rewired (Watts and Strogatz 1998). It has exactly nodes * neighbours / 2 edges.
    WattsStrogatz {
        /// Neighbours of a node in the ring: even, at least 2, fewer than the nodes.
        neighbours: usize,
        /// Probability that an edge of the ring is rewired.
        rewiring: f64,
    },
    /// Growth with preferential attachment (Barabasi and Albert 1999). It has exactly (nodes - edges) * edges edges.
    BarabasiAlbert {
        /// Edges that a new node brings; also the number of unlinked nodes at the start. 1 to below the nodes.
        edges: usize,
    },
}

impl Classical {
    /// Whether there are such graphs of so many nodes; the error says what would be right.
    pub fn check(&self, nodes: usize) -> Result<(), GraphError> {
        if nodes == 0 || nodes > MAX_NODES {
            return Err(GraphError::Size(nodes));
        }
        let is_probability = |value: f64| (0.0..=1.0).contains(&value);
        match *self {
            Classical::ErdosRenyi { probability } if !is_probability(probability) => {
                Err(GraphError::EdgeProbability(probability))
            }
            Classical::WattsStrogatz { neighbours, .. }
                if neighbours < 2 || !neighbours.is_multiple_of(2) || neighbours >= nodes =>
            {
                Err(GraphError::Neighbours { neighbours, nodes })
            }
            Classical::WattsStrogatz { rewiring, .. } if !is_probability(rewiring) => {
                Err(GraphError::RewiringProbability(rewiring))
            }
            Classical::BarabasiAlbert { edges } if edges == 0 || edges >= nodes => {
                Err(GraphError::NewEdges { edges, nodes })
            }
            _ => Ok(()),
        }
    }

    /// Draws one graph of so many nodes. Errors as [`Classical::check`].
    pub fn draw(&self, nodes: usize, rng: &mut impl Rng) -> Result<Dag, GraphError> {
        self.check(nodes)?;
        let links = match *self {
            Classical::ErdosRenyi { probability } => erdos_renyi(nodes, probability, rng),
            Classical::WattsStrogatz { neighbours, rewiring } => watts_strogatz(nodes, neighbours, rewiring, rng),
            Classical::BarabasiAlbert { edges } => barabasi_albert(nodes, edges, rng),
        };
        links.directed()
    }
}

/// An undirected graph: bit v of row u and bit u of row v say that u and v are linked.
struct Links {
    rows: Vec<u128>,
}

impl Links {
    fn none(nodes: usize) -> Self {
        Links { rows: vec![0; nodes] }
    }

    fn toggle(&mut self, u: usize, v: usize) {
        self.rows[u] ^= 1 << v;
        self.rows[v] ^= 1 << u;
    }

    /// Every link as an edge from the lower to the higher node.
    fn directed(&self) -> Result<Dag, GraphError> {
        let mut dag = Dag::without_edges(self.rows.len())?;
        for (to, &row) in self.rows.iter().enumerate() {
            super::bits(row).take_while(|&from| from < to).for_each(|from| dag.add_edge(from, to));
        }
        Ok(dag)
    }
}

fn erdos_renyi(nodes: usize, probability: f64, rng: &mut impl Rng) -> Links {
    let mut links = Links::none(nodes);
    for v in 0..nodes {
        for u in 0..v {
            if rng.random_bool(probability) {
                links.toggle(u, v);
            }
        }
    }
    links
}

fn watts_strogatz(nodes: usize, neighbours: usize, rewiring: f64, rng: &mut impl Rng) -> Links {
    let mut links = Links::none(nodes);
    let ring = || (1..=neighbours / 2).flat_map(|distance| (0..nodes).map(move |v| (v, (v + distance) % nodes)));
    ring().for_each(|(v, neighbour)| links.toggle(v, neighbour));
    for (v, neighbour) in ring() {
        if rng.random_bool(rewiring)
            && let Some(other) = unlinked(&links, v, rng)
        {
            links.toggle(v, neighbour);
            links.toggle(v, other);
        }
    }
    links
}

/// A uniform node that is neither `v` nor linked to it; `None` where `v` is linked to all.
fn unlinked(links: &Links, v: usize, rng: &mut impl Rng) -> Option<usize> {
    let free = |&other: &usize| other != v && links.rows[v] >> other & 1 == 0;
    let candidates: Vec<usize> = (0..links.rows.len()).filter(free).collect();
    (!candidates.is_empty()).then(|| candidates[rng.random_range(0..candidates.len())])
}

fn barabasi_albert(nodes: usize, edges: usize, rng: &mut impl Rng) -> Links {
    let mut links = Links::none(nodes);
    // Every node stands here once for each of its links, so a uniform entry is a node drawn by its degree.
    let mut ends: Vec<usize> = Vec::with_capacity(2 * edges * nodes);
    let mut targets: Vec<usize> = (0..edges).collect();
    for new in edges..nodes {
        for &target in &targets {
            links.toggle(new, target);
            ends.extend([new, target]);
        }
        targets.clear();
        while targets.len() < edges {
            let target = ends[rng.random_range(0..ends.len())];
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream, StreamKey};

    fn stream(candidate: u64) -> Stream {
        StreamKey { seed: 5, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
    }

    /// Degrees in the undirected sense.
    fn degrees(dag: &Dag) -> Vec<usize> {
        (0..dag.nodes()).map(|node| dag.in_degree(node) + dag.successors(node).count()).collect()
    }

    #[test]
    fn edge_numbers_are_exact_where_the_model_says_so() {
        for candidate in 0..50 {
            let rng = &mut stream(candidate);
            for (nodes, neighbours) in [(3, 2), (5, 4), (16, 4), (32, 4), (33, 10), (128, 126)] {
                let dag = Classical::WattsStrogatz { neighbours, rewiring: 0.75 }.draw(nodes, rng).unwrap();
                assert_eq!(dag.edge_count(), nodes * neighbours / 2);
            }
            for (nodes, edges) in [(2, 1), (16, 5), (32, 7), (128, 127), (128, 64)] {
                let dag = Classical::BarabasiAlbert { edges }.draw(nodes, rng).unwrap();
                assert_eq!(dag.edge_count(), (nodes - edges) * edges);
                assert_eq!(dag.sources().filter(|&source| source < edges).count(), edges);
                assert!((edges..nodes).all(|node| dag.in_degree(node) == edges));
            }
        }
    }

    #[test]
    fn without_rewiring_the_ring_remains() {
        let dag = Classical::WattsStrogatz { neighbours: 4, rewiring: 0.0 }.draw(10, &mut stream(0)).unwrap();
        for from in 0..10 {
            for to in from + 1..10 {
                let distance = (to - from).min(10 - (to - from));
                assert_eq!(dag.has_edge(from, to), distance <= 2, "[{from}, {to}]");
            }
        }
    }

    #[test]
    fn rewiring_keeps_the_near_end_and_moves_the_far_one_uniformly() {
        let (nodes, draws) = (12, 4000);
        let model = Classical::WattsStrogatz { neighbours: 2, rewiring: 1.0 };
        let mut to_opposite = 0;
        for candidate in 0..draws {
            let dag = model.draw(nodes, &mut stream(candidate)).unwrap();
            assert!(degrees(&dag).iter().all(|&degree| degree >= 1));
            to_opposite += usize::from(dag.has_edge(0, 6));
        }
        // Node 0 draws among 9 others (it still has two neighbours); node 6 later draws 0 with nearly that probability:
        // 1/9 + 8/9 * about 1/9.
        let share = to_opposite as f64 / draws as f64;
        assert!((share - 0.21).abs() <= 0.025, "{share}");
    }

    #[test]
    fn erdos_renyi_edges_are_independent_coins() {
        let (nodes, draws, probability) = (32, 400, 0.2);
        let counts: Vec<f64> = (0..draws)
            .map(|candidate| {
                let dag = Classical::ErdosRenyi { probability }.draw(nodes, &mut stream(candidate)).unwrap();
                dag.edge_count() as f64
            })
            .collect();
        let mean = counts.iter().sum::<f64>() / draws as f64;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (draws - 1) as f64;
        let (expected, spread) = (496.0 * probability, 496.0 * probability * (1.0 - probability));
        assert!((mean - expected).abs() <= 4.0 * (spread / draws as f64).sqrt(), "{mean}");
        assert!((variance / spread - 1.0).abs() <= 4.0 * (2.0 / draws as f64).sqrt(), "{variance}");
        for (probability, edges) in [(0.0, 0), (1.0, 496)] {
            let dag = Classical::ErdosRenyi { probability }.draw(nodes, &mut stream(0)).unwrap();
            assert_eq!(dag.edge_count(), edges);
        }
    }

    #[test]
    fn barabasi_albert_prefers_the_linked() {
        // m = 1: node 1 links to 0; node 2 to either by degree 1 : 1; node 3 then to a node of degree 2 with
        // probability 2/4.
        let draws = 8000;
        let mut to_hub = 0;
        for candidate in 0..draws {
            let dag = Classical::BarabasiAlbert { edges: 1 }.draw(4, &mut stream(candidate)).unwrap();
            let hub = dag.predecessors(2).next().unwrap();
            to_hub += usize::from(dag.has_edge(hub, 3));
        }
        let share = to_hub as f64 / draws as f64;
        assert!((share - 0.5).abs() <= 4.0 * (0.25 / draws as f64).sqrt(), "{share}");
    }

    #[test]
    fn impossible_parameters_are_refused() {
        let rng = &mut stream(0);
        for probability in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Classical::ErdosRenyi { probability }.draw(8, rng).is_err());
            assert!(Classical::WattsStrogatz { neighbours: 4, rewiring: probability }.draw(8, rng).is_err());
        }
        for neighbours in [0, 1, 3, 8, 10] {
            let refused = Classical::WattsStrogatz { neighbours, rewiring: 0.5 }.draw(8, rng);
            assert_eq!(refused, Err(GraphError::Neighbours { neighbours, nodes: 8 }));
        }
        for edges in [0, 8, 9] {
            assert_eq!(Classical::BarabasiAlbert { edges }.draw(8, rng), Err(GraphError::NewEdges { edges, nodes: 8 }));
        }
        for nodes in [0, 129] {
            assert_eq!(Classical::ErdosRenyi { probability: 0.5 }.draw(nodes, rng), Err(GraphError::Size(nodes)));
        }
    }
}
