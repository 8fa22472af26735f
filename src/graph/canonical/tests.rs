use super::*;
use crate::graph::{Classical, Dag};
use crate::random::{Purpose, Stream, StreamKey};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

fn stream(candidate: u64) -> Stream {
    StreamKey { seed: 77, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
}

fn plain(dag: Dag) -> LabelledGraph {
    LabelledGraph { dag, operators: vec![] }
}

fn graph(nodes: usize, edges: &[[usize; 2]]) -> LabelledGraph {
    plain(Dag::new(nodes, edges).unwrap())
}

/// All graphs on `nodes` nodes whose edges go upwards.
fn all_dags(nodes: usize) -> impl Iterator<Item = Dag> {
    let pairs: Vec<[usize; 2]> = (0..nodes).flat_map(|to| (0..to).map(move |from| [from, to])).collect();
    (0u32..1 << pairs.len()).map(move |mask| {
        let chosen = pairs.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, &pair)| pair);
        Dag::new(nodes, &chosen.collect::<Vec<_>>()).unwrap()
    })
}

/// The same graph in a random topological order.
fn relabelled(graph: &LabelledGraph, rng: &mut impl Rng) -> LabelledGraph {
    let nodes = graph.dag.nodes();
    let mut position = vec![usize::MAX; nodes];
    let mut order = Vec::new();
    while order.len() < nodes {
        let ready = |&node: &usize| {
            position[node] == usize::MAX && graph.dag.predecessors(node).all(|from| position[from] != usize::MAX)
        };
        let ready: Vec<usize> = (0..nodes).filter(ready).collect();
        let node = ready[rng.random_range(0..ready.len())];
        position[node] = order.len();
        order.push(node);
    }
    let edges: Vec<[usize; 2]> = graph.dag.edges().map(|[from, to]| [position[from], position[to]]).collect();
    let operators =
        if graph.operators.is_empty() { vec![] } else { order.iter().map(|&n| graph.operators[n]).collect() };
    LabelledGraph { dag: Dag::new(nodes, &edges).unwrap(), operators }
}

/// Asserts that three renumberings have one key, and returns it.
fn stable_key(graph: &LabelledGraph, rng: &mut impl Rng) -> CanonicalKey {
    let key = canonical_key(graph);
    for _ in 0..3 {
        assert_eq!(canonical_key(&relabelled(graph, rng)), key);
    }
    key
}

#[test]
fn the_number_of_unlabelled_dags_is_the_known_one() {
    // OEIS A003087; every unlabelled DAG has a topological numbering, so the upward graphs cover all classes.
    for (nodes, classes) in [(1, 1), (2, 2), (3, 6), (4, 31), (5, 302), (6, 5984)] {
        let keys: BTreeSet<CanonicalKey> = all_dags(nodes).map(|dag| canonical_key(&plain(dag))).collect();
        assert_eq!(keys.len(), classes, "{nodes} nodes");
    }
}

#[test]
fn with_operators_the_key_agrees_with_trying_all_permutations() {
    let nodes = 4;
    let permutations = permutations(nodes);
    let mut keys: BTreeMap<Vec<u32>, CanonicalKey> = BTreeMap::new();
    for dag in all_dags(nodes) {
        for mask in 0..1u8 << nodes {
            let operators: Vec<u8> = (0..nodes).map(|node| mask >> node & 1).collect();
            let smallest = permutations.iter().map(|order| matrix(&dag, &operators, order)).min().unwrap();
            let key = canonical_key(&LabelledGraph { dag: dag.clone(), operators });
            assert_eq!(keys.entry(smallest).or_insert(key.clone()), &key);
        }
    }
    let distinct: BTreeSet<&CanonicalKey> = keys.values().collect();
    assert_eq!(distinct.len(), keys.len());
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let smaller = permutations(n - 1);
    let insert = |p: &Vec<usize>, at: usize| [&p[..at], &[n - 1], &p[at..]].concat();
    smaller.iter().flat_map(|p| (0..n).map(move |at| insert(p, at))).collect()
}

fn matrix(dag: &Dag, operators: &[u8], order: &[usize]) -> Vec<u32> {
    let edges = order.iter().flat_map(|&a| order.iter().map(move |&b| u32::from(a < b && dag.has_edge(a, b))));
    order.iter().map(|&node| u32::from(operators[node])).chain(edges).collect()
}

#[test]
fn keys_tell_direction_operators_and_their_absence_apart() {
    let fork = graph(3, &[[0, 1], [0, 2]]);
    let join = graph(3, &[[0, 2], [1, 2]]);
    assert_ne!(canonical_key(&fork), canonical_key(&join));
    let with = |operators: Vec<u8>| canonical_key(&LabelledGraph { operators, ..fork.clone() });
    assert_eq!(with(vec![0, 1, 2]), with(vec![0, 2, 1]));
    let different = [with(vec![]), with(vec![0, 0, 0]), with(vec![1, 1, 1]), with(vec![1, 0, 0]), with(vec![0, 0, 1])];
    assert_eq!(different.iter().collect::<BTreeSet<_>>().len(), different.len());
}

#[test]
fn components_are_combined_in_order() {
    let (a, b) = (canonical_key(&graph(2, &[])), canonical_key(&graph(2, &[[0, 1]])));
    let pair = |x: &CanonicalKey, y: &CanonicalKey| CanonicalKey::combine("randwire", &[x.clone(), y.clone()]);
    assert_ne!(pair(&a, &b), pair(&b, &a));
    assert_eq!(pair(&a, &b), pair(&a, &b));
    assert_ne!(CanonicalKey::combine("randwire", std::slice::from_ref(&a)), a);
    let pair = [a.clone(), b];
    assert_ne!(CanonicalKey::combine("enas", &pair), CanonicalKey::combine("randwire", &pair));
    assert_eq!(a.as_str().len(), 64);
    assert!(a.as_str().chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
}

/// Nodes for the vertices (first) and for the edges of an undirected graph; every vertex feeds its edges. Two such
/// graphs are isomorphic exactly if the undirected ones are.
fn incidence(vertices: usize, linked: impl Fn(usize, usize) -> bool) -> LabelledGraph {
    let pairs = (0..vertices).flat_map(|v| (0..v).map(move |u| (u, v))).filter(|&(u, v)| linked(u, v));
    let edges: Vec<[usize; 2]> =
        pairs.enumerate().flat_map(|(i, (u, v))| [[u, vertices + i], [v, vertices + i]]).collect();
    graph(vertices + edges.len() / 2, &edges)
}

#[test]
fn graphs_that_colour_refinement_cannot_tell_apart_have_different_keys() {
    let rng = &mut stream(1);
    // One cycle of 12 against two of 6.
    let long = incidence(12, |u, v| (v - u) % 12 == 1 || v - u == 11);
    let short = incidence(12, |u, v| u / 6 == v / 6 && (v - u == 1 || v - u == 5));
    assert_ne!(stable_key(&long, rng), stable_key(&short, rng));
    // The two strongly regular graphs (16, 6, 2, 2): the 4x4 rook's graph and Shrikhande's.
    let rook = incidence(16, |u, v| (u / 4 == v / 4) != (u % 4 == v % 4));
    let shrikhande = incidence(16, |u, v| {
        let difference = ((4 + v / 4 - u / 4) % 4, (4 + v % 4 - u % 4) % 4);
        [(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)].contains(&difference)
    });
    assert_ne!(stable_key(&rook, rng), stable_key(&shrikhande, rng));
}

/// A random cubic graph as an incidence graph (pairing model: no loop, no double edge).
fn random_cubic(vertices: usize, rng: &mut impl Rng) -> LabelledGraph {
    loop {
        let mut ends: Vec<usize> = (0..3 * vertices).map(|end| end / 3).collect();
        ends.shuffle(rng);
        let pairs: BTreeSet<(usize, usize)> = ends.chunks(2).map(|e| (e[0].min(e[1]), e[0].max(e[1]))).collect();
        if pairs.len() == ends.len() / 2 && pairs.iter().all(|(u, v)| u != v) {
            return incidence(vertices, |u, v| pairs.contains(&(u, v)));
        }
    }
}

#[test]
fn regular_graphs_are_searched_and_classified() {
    // Colour refinement sees nothing in a cubic graph. There are 2 on 6 vertices and, with K4 + K4, 6 on 8 (OEIS A005638).
    let rng = &mut stream(3);
    for (vertices, samples, classes) in [(6, 300, 2), (8, 6000, 6)] {
        let keys: BTreeSet<CanonicalKey> = (0..samples).map(|_| canonical_key(&random_cubic(vertices, rng))).collect();
        assert_eq!(keys.len(), classes, "{vertices} vertices");
    }
    for (vertices, samples) in [(10, 20), (20, 10), (30, 5), (50, 2)] {
        for _ in 0..samples {
            stable_key(&random_cubic(vertices, rng), rng);
        }
    }
}

/// Points and lines of the projective plane over a field of 7 elements: 57 + 57 nodes, 8 points on every line.
fn projective_plane() -> LabelledGraph {
    let mut points = vec![[0, 0, 1]];
    points.extend((0..7).map(|a| [0, 1, a]));
    points.extend((0..49).map(|ab| [1, ab / 7, ab % 7]));
    let on = |p: &[usize; 3], l: &[usize; 3]| (0..3).map(|i| p[i] * l[i]).sum::<usize>() % 7 == 0;
    let pairs = (0..57).flat_map(|p| (0..57).map(move |l| (p, l))).filter(|&(p, l)| on(&points[p], &points[l]));
    graph(114, &pairs.map(|(p, l)| [p, 57 + l]).collect::<Vec<_>>())
}

/// Graphs with very many automorphisms, by name.
fn symmetric_graphs() -> Vec<(&'static str, LabelledGraph)> {
    let pairs = |n: usize, m: usize, keep: fn(usize, usize) -> bool| -> Vec<[usize; 2]> {
        (0..n).flat_map(|a| (0..m).map(move |b| [a, n + b])).filter(|&[a, b]| keep(a, b)).collect()
    };
    let chains: Vec<[usize; 2]> = (0..126).filter(|node| node % 3 != 2).map(|node| [node, node + 1]).collect();
    let mut framed: Vec<[usize; 2]> = (1..127).filter(|node| node % 3 != 0).map(|node| [node, node + 1]).collect();
    framed.extend((1..127).filter(|node| node % 3 == 1).map(|node| [0, node]));
    framed.extend((1..127).filter(|node| node % 3 == 0).map(|node| [node, 127]));
    let blown_up_cycle = pairs(64, 64, |a, b| ((b - 64) / 4 + 16 - a / 4) % 16 < 2);
    let hypercube = pairs(64, 64, |a, b| (a ^ (b - 64)).is_power_of_two());
    vec![
        ("empty", graph(128, &[])),
        ("full", graph(128, &(0..128).flat_map(|to| (0..to).map(move |from| [from, to])).collect::<Vec<_>>())),
        ("complete bipartite", graph(128, &pairs(60, 68, |_, _| true))),
        ("all but a matching", graph(128, &pairs(64, 64, |a, b| b - 64 != a))),
        ("42 chains", graph(126, &chains)),
        ("42 chains with common ends", graph(128, &framed)),
        ("blown-up cycle", graph(128, &blown_up_cycle)),
        ("hypercube", graph(128, &hypercube)),
        ("one cycle", graph(128, &pairs(64, 64, |a, b| (b - a) % 64 < 2))),
        ("projective plane", projective_plane()),
    ]
}

#[test]
fn symmetric_graphs_of_128_nodes_take_no_time() {
    let rng = &mut stream(2);
    for (name, graph) in symmetric_graphs() {
        let start = Instant::now();
        stable_key(&graph, rng);
        let seconds = start.elapsed().as_secs_f64() / 4.0;
        println!("{name}: {:.2} ms", seconds * 1e3);
        assert!(seconds < 2.0, "{name}: {seconds} s");
    }
}

#[test]
fn random_graphs_take_no_time() {
    for (name, model) in [
        ("ER", Classical::ErdosRenyi { probability: 0.2 }),
        ("sparse ER", Classical::ErdosRenyi { probability: 0.02 }),
        ("WS", Classical::WattsStrogatz { neighbours: 4, rewiring: 0.75 }),
        ("BA", Classical::BarabasiAlbert { edges: 5 }),
    ] {
        for nodes in [16, 32, 128] {
            let graphs: Vec<LabelledGraph> =
                (0..50).map(|i| plain(model.draw(nodes, &mut stream(i)).unwrap())).collect();
            let start = Instant::now();
            let keys: BTreeSet<CanonicalKey> = graphs.iter().map(canonical_key).collect();
            let seconds = start.elapsed().as_secs_f64() / 50.0;
            println!("{name} of {nodes} nodes: {:.1} us, {} classes", seconds * 1e6, keys.len());
            assert!(seconds < 0.1, "{name} of {nodes} nodes: {seconds} s");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn renumbering_changes_no_key_and_changing_an_edge_does(
        nodes in 2usize..=128, density in 0.0f64..1.0, kinds in 0u8..4, seed in any::<u64>()
    ) {
        let rng = &mut stream(seed);
        let dag = Classical::ErdosRenyi { probability: density.powi(3) }.draw(nodes, rng).unwrap();
        let operators = if kinds == 0 { vec![] } else { (0..nodes).map(|_| rng.random_range(0..kinds)).collect() };
        let original = LabelledGraph { dag, operators };
        let key = canonical_key(&original);
        prop_assert_eq!(&canonical_key(&relabelled(&original, rng)), &key);
        // One edge more or less is never isomorphic: the numbers of edges differ.
        let to = rng.random_range(1..nodes);
        let from = rng.random_range(0..to);
        let mut edges: Vec<[usize; 2]> = original.dag.edges().filter(|&edge| edge != [from, to]).collect();
        if !original.dag.has_edge(from, to) {
            edges.push([from, to]);
        }
        let changed = LabelledGraph { dag: Dag::new(nodes, &edges).unwrap(), operators: original.operators };
        prop_assert_ne!(canonical_key(&changed), key);
    }
}
