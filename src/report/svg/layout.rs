//! Layered drawing of a stage, after Sugiyama: layers by longest path, long edges cut by bends at every layer they
//! pass, order within a layer by barycentres, positions by least squares under the least distances.
//!
//! The edges that leave a node carry one and the same value, so they share their bends: a trunk from which each edge
//! branches off just above its end.

use super::ordering::order;
use crate::graph::Dag;
use std::collections::HashMap;

/// Distance of layers, in pixels.
pub const LAYER: f64 = 33.0;
/// Least distance of two nodes' centres in a layer.
pub const NODE: f64 = 27.0;
/// Least distance of two edges that pass a layer side by side.
const BEND: f64 = 12.0;
/// Rounds of moving vertices towards their neighbours.
const ROUNDS: usize = 60;

/// A point, in pixels from the drawing's left and top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Down.
    pub y: f64,
}

/// What an edge of the drawing joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An edge of the graph.
    Edge {
        /// Start.
        from: usize,
        /// End.
        to: usize,
    },
    /// The stage's input to a source.
    Input(usize),
    /// A sink to the stage's output.
    Output(usize),
}

/// An edge and the points it passes, its ends included, downwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What it joins.
    pub link: Link,
    /// At least two points, one a layer.
    pub points: Vec<Point>,
}

/// A drawn stage. Layer 0 holds the stage's input alone, the last layer its output alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The centre of every node.
    pub nodes: Vec<Point>,
    /// The layer of every node, from 1.
    pub layers: Vec<usize>,
    /// The stage's input.
    pub input: Point,
    /// The stage's output.
    pub output: Point,
    /// All edges.
    pub routes: Vec<Route>,
    /// Right end of the drawing.
    pub width: f64,
    /// Lower end of the drawing.
    pub height: f64,
}

impl Layout {
    /// Lays a graph out.
    pub fn new(dag: &Dag) -> Layout {
        let (layers, last) = layer(dag);
        let graph = Layered::new(dag, &layers, last);
        let rows = order(&graph.rows, &graph.above, &graph.below);
        let x = graph.positions(&rows);
        let point = |vertex: usize| Point { x: x[vertex], y: LAYER * (graph.layer[vertex] as f64 + 0.5) };
        let (input, output) = (dag.nodes(), dag.nodes() + 1);
        Layout {
            nodes: (0..dag.nodes()).map(point).collect(),
            input: point(input),
            output: point(output),
            routes: (graph.paths.iter())
                .map(|(link, path)| Route { link: *link, points: path.iter().map(|&v| point(v)).collect() })
                .collect(),
            width: x.iter().fold(0.0, |right: f64, &x| right.max(x)) + NODE / 2.0,
            height: LAYER * (last as f64 + 1.0),
            layers,
        }
    }
}

/// The layer of every node (1 for nodes as far up as they can be), and that of the stage's output.
fn layer(dag: &Dag) -> (Vec<usize>, usize) {
    let mut layers = vec![1; dag.nodes()];
    for node in 0..dag.nodes() {
        layers[node] = 1 + dag.predecessors(node).map(|from| layers[from]).max().unwrap_or(0);
    }
    let last = 1 + layers.iter().max().unwrap_or(&0);
    // A node with more edges below than above hangs better just above its first reader.
    for node in (0..dag.nodes()).rev() {
        if dag.in_degree(node) < dag.successors(node).count() {
            layers[node] = dag.successors(node).map(|to| layers[to]).min().unwrap_or(last) - 1;
        }
    }
    (layers, last)
}

/// The graph with a bend wherever an edge passes a layer, so that every edge joins neighbouring layers. Vertices: the
/// nodes, the stage's input, its output, then the bends.
struct Layered {
    nodes: usize,
    layer: Vec<usize>,
    /// The vertices of every layer.
    rows: Vec<Vec<usize>>,
    /// The neighbours of every vertex in the layer above.
    above: Vec<Vec<usize>>,
    /// And in the layer below.
    below: Vec<Vec<usize>>,
    /// The vertices along every edge.
    paths: Vec<(Link, Vec<usize>)>,
    /// The bend of a trunk in a layer; a trunk belongs to a node or to the stage's input or output.
    trunks: HashMap<(usize, usize), usize>,
}

impl Layered {
    fn new(dag: &Dag, layers: &[usize], last: usize) -> Self {
        let nodes = dag.nodes();
        let mut layer = layers.to_vec();
        layer.extend([0, last]);
        let vertices = layer.len();
        let mut graph = Layered {
            nodes,
            layer,
            rows: vec![vec![]; last + 1],
            above: vec![vec![]; vertices],
            below: vec![vec![]; vertices],
            paths: vec![],
            trunks: HashMap::new(),
        };
        for vertex in 0..vertices {
            graph.rows[graph.layer[vertex]].push(vertex);
        }
        for [from, to] in dag.edges() {
            graph.join(Link::Edge { from, to }, from, to);
        }
        dag.sources().for_each(|node| graph.join(Link::Input(node), nodes, node));
        dag.sinks().for_each(|node| graph.join(Link::Output(node), node, nodes + 1));
        graph
    }

    fn join(&mut self, link: Link, from: usize, to: usize) {
        // The ways into the stage's output, on the contrary, run together.
        let owner = if matches!(link, Link::Output(_)) { to } else { from };
        let mut path = vec![from];
        path.extend((self.layer[from] + 1..self.layer[to]).map(|layer| self.bend(owner, layer)));
        path.push(to);
        for pair in path.windows(2) {
            if !self.below[pair[0]].contains(&pair[1]) {
                self.below[pair[0]].push(pair[1]);
                self.above[pair[1]].push(pair[0]);
            }
        }
        self.paths.push((link, path));
    }

    /// The trunk's bend in a layer, made on first use.
    fn bend(&mut self, owner: usize, layer: usize) -> usize {
        *self.trunks.entry((owner, layer)).or_insert_with(|| {
            let bend = self.layer.len();
            self.layer.push(layer);
            self.above.push(vec![]);
            self.below.push(vec![]);
            self.rows[layer].push(bend);
            bend
        })
    }

    fn is_bend(&self, vertex: usize) -> bool {
        vertex >= self.nodes + 2
    }

    /// The room a vertex needs on either side.
    fn half_width(&self, vertex: usize) -> f64 {
        if self.is_bend(vertex) { BEND / 2.0 } else { NODE / 2.0 }
    }

    /// How much a link between neighbours should be upright: long edges more than short ones, so that they are easy to
    /// follow. The numbers are those of `dot` (Gansner and others, 1993).
    fn pull(&self, a: usize, b: usize) -> f64 {
        match (self.is_bend(a), self.is_bend(b)) {
            (true, true) => 8.0,
            (false, false) => 1.0,
            _ => 2.0,
        }
    }

    /// The x of every vertex: each layer in turn goes as near to the mean of its neighbours as the order allows.
    fn positions(&self, rows: &[Vec<usize>]) -> Vec<f64> {
        let mut x = vec![0.0; self.layer.len()];
        for row in rows {
            place(row, |_| (0.0, 1.0), |v| self.half_width(v), &mut x);
        }
        for round in 0..ROUNDS {
            for index in 0..rows.len() {
                let row = &rows[if round % 2 == 0 { index } else { rows.len() - 1 - index }];
                let old = x.clone();
                let wish = |vertex: usize| {
                    let near = self.above[vertex].iter().chain(&self.below[vertex]);
                    let (sum, weight) = near.fold((0.0, 0.0), |(sum, weight), &v| {
                        let pull = self.pull(vertex, v);
                        (sum + pull * old[v], weight + pull)
                    });
                    if weight > 0.0 { (sum / weight, weight) } else { (old[vertex], 1.0) }
                };
                place(row, wish, |v| self.half_width(v), &mut x);
            }
        }
        let left = x.iter().copied().fold(f64::INFINITY, f64::min);
        x.iter_mut().for_each(|x| *x += NODE / 2.0 - left);
        x
    }
}

/// Places a layer's vertices in their order, no nearer than their widths, at the least weighted squared distance from
/// where they wish to be. With the widths taken off, that is isotonic regression, solved exactly by pooling
/// neighbours that would overlap.
fn place(row: &[usize], wish: impl Fn(usize) -> (f64, f64), half_width: impl Fn(usize) -> f64, x: &mut [f64]) {
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0.0;
    for (index, &vertex) in row.iter().enumerate() {
        if index > 0 {
            offset += half_width(row[index - 1]) + half_width(vertex);
        }
        offsets.push(offset);
    }
    // Blocks of (mean, weight, length), means ascending.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (&vertex, offset) in row.iter().zip(&offsets) {
        let (place, weight) = wish(vertex);
        let mut block = (place - offset, weight, 1);
        while let Some(&(mean, weight, length)) = blocks.last().filter(|last| last.0 >= block.0) {
            let total = weight + block.1;
            block = ((mean * weight + block.0 * block.1) / total, total, length + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let means = blocks.iter().flat_map(|&(mean, _, length)| std::iter::repeat_n(mean, length));
    for ((&vertex, offset), mean) in row.iter().zip(&offsets).zip(means) {
        x[vertex] = mean + offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dag() -> impl Strategy<Value = Dag> {
        (1usize..40).prop_flat_map(|nodes| {
            prop::collection::vec(prop::bool::weighted(0.15), nodes * nodes).prop_map(move |present| {
                let pairs = (0..nodes).flat_map(|from| (from + 1..nodes).map(move |to| [from, to]));
                let edges: Vec<_> = pairs.filter(|[from, to]| present[from * nodes + to]).collect();
                Dag::new(nodes, &edges).unwrap()
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn edges_go_down_and_nodes_keep_their_distance(dag in dag()) {
            let layout = Layout::new(&dag);
            for [from, to] in dag.edges() {
                prop_assert!(layout.layers[from] < layout.layers[to]);
            }
            for (a, p) in layout.nodes.iter().enumerate() {
                prop_assert!(p.x >= NODE / 2.0 - 1e-6 && p.x <= layout.width - NODE / 2.0 + 1e-6);
                prop_assert!(p.y > layout.input.y && p.y < layout.output.y && layout.output.y < layout.height);
                for q in &layout.nodes[..a] {
                    let distance = (p.x - q.x).hypot(p.y - q.y);
                    prop_assert!(distance >= NODE - 1e-6, "{p:?} {q:?}");
                }
            }
        }

        #[test]
        fn every_edge_is_drawn_once_between_its_ends(dag in dag()) {
            let layout = Layout::new(&dag);
            let mut drawn = vec![];
            for Route { link, points } in &layout.routes {
                let (first, last) = match *link {
                    Link::Edge { from, to } => {
                        drawn.push([from, to]);
                        (layout.nodes[from], layout.nodes[to])
                    }
                    Link::Input(node) => (layout.input, layout.nodes[node]),
                    Link::Output(node) => (layout.nodes[node], layout.output),
                };
                prop_assert_eq!((points[0], points[points.len() - 1]), (first, last));
                prop_assert!(points.windows(2).all(|pair| ((pair[1].y - pair[0].y) - LAYER).abs() <= 1e-9));
            }
            prop_assert_eq!(drawn, dag.edges().collect::<Vec<_>>());
            let ends = layout.routes.len() - dag.edge_count();
            prop_assert_eq!(ends, dag.sources().count() + dag.sinks().count());
        }
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = Layout::new(&Dag::new(4, &[[0, 1], [1, 2], [2, 3]]).unwrap());
        assert_eq!(layout.layers, [1, 2, 3, 4]);
        let x = layout.input.x;
        for point in layout.nodes.iter().chain([&layout.output]) {
            assert!((point.x - x).abs() <= 1e-9);
        }
    }

    #[test]
    fn a_late_source_hangs_above_its_reader() {
        let layout = Layout::new(&Dag::new(4, &[[0, 1], [1, 3], [2, 3]]).unwrap());
        assert_eq!(layout.layers, [1, 2, 2, 3]);
    }

    #[test]
    fn placing_is_least_squares_under_the_distances() {
        let mut x = vec![0.0; 3];
        let wishes = [(0.0, 1.0), (4.0, 1.0), (4.0, 3.0)];
        place(&[0, 1, 2], |v| wishes[v], |_| 5.0, &mut x);
        // With y = x - (0, 10, 20) ascending, the wishes 0, -6, -16 pool into (0 - 6 - 3 * 16) / 5 = -10.8.
        for (found, expected) in x.iter().zip([-10.8, -0.8, 9.2]) {
            assert!((found - expected).abs() <= 1e-9, "{x:?}");
        }
    }
}
