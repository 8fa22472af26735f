//! NAS-Bench-101 (Ying et al. 2019): cells of at most 7 vertices and 9 edges with operators on the vertices.

mod enumerate;
mod hash;
mod operator;
mod prune;

#[cfg(test)]
mod tests;

pub use enumerate::enumerate;
pub use hash::{CellHash, hash};
pub use operator::{INTERIOR, Operator101};
pub use prune::prune;

use super::cell::Cell;
use super::{Architecture, ComponentShape, Space, SpaceError, distinct, first_other};
use crate::config::{ClassicalKind, SearchConfig, SpaceConfig, SpaceKind};
use crate::graph::{CanonicalKey, Classical, Dag, LabelledGraph};
use crate::random::Stream;
use rand::RngExt;

/// A cell; input and output are its first and last vertex.
pub type Cell101 = Cell<Operator101>;

/// The most edges of a cell, after pruning.
pub const MOST_EDGES: usize = 9;

/// The most vertices of a cell.
pub const MOST_VERTICES: usize = 7;

/// Edge probability of the authors' explorer.
const EXPLORER_EDGES: f64 = 0.25;

/// Draws of an explorer before it counts as unable to find a legal cell.
const EXPLORER_TRIES: usize = 100_000;

/// All cells of at most so many vertices.
///
/// A cell keeps the vertices that lie on no path from input to output: they are the room in which mutations find new
/// paths. The key, the limit of edges and the table look at the pruned cell. To the generator a cell is its pruned form,
/// filled up to `vertices` nodes with unconnected ones before the output; the operators of input, output and unconnected
/// nodes are 0 there, and of no meaning when a graph of the generator becomes a cell.
pub struct NasBench101Space {
    vertices: usize,
    edge_probability: f64,
}

impl NasBench101Space {
    /// The cells of `space.vertices` vertices or fewer.
    pub fn new(space: &SpaceConfig, search: &SearchConfig) -> Self {
        NasBench101Space { vertices: space.vertices, edge_probability: search.er_probability }
    }

    fn cell<'a>(&self, architecture: &'a Architecture) -> Result<&'a Cell101, SpaceError> {
        let Architecture::NasBench101(cell) = architecture else {
            return Err(SpaceError::OtherSpace { found: architecture.space(), expected: "nasbench101" });
        };
        self.pruned(cell)?;
        Ok(cell)
    }

    /// The pruned form of a legal cell.
    fn pruned(&self, cell: &Cell101) -> Result<Cell101, SpaceError> {
        if cell.nodes() > self.vertices {
            return Err(SpaceError::Vertices { found: cell.nodes(), most: self.vertices });
        }
        let pruned = prune(cell).ok_or(SpaceError::NoPath)?;
        match pruned.dag().edge_count() {
            edges if edges > MOST_EDGES => Err(SpaceError::Edges { found: edges, most: MOST_EDGES }),
            _ => Ok(pruned),
        }
    }

    /// The cell filled up to the full number of vertices. Vertices that are added read the input and feed nothing, so that
    /// a single edge more puts one to use.
    fn full(&self, cell: &Cell101) -> Wiring {
        let mut wiring = Wiring::padded(cell, self.vertices);
        for added in cell.nodes().saturating_sub(1)..self.vertices - 1 {
            wiring.dag.add_edge(0, added);
        }
        wiring
    }

    /// The architecture of a wiring, where it is legal.
    fn legal(&self, wiring: Wiring) -> Option<Architecture> {
        let cell = wiring.cell().ok()?;
        self.pruned(&cell).ok()?;
        Some(Architecture::NasBench101(cell))
    }

    fn draw(&self, rng: &mut Stream, vertices: usize, probability: f64) -> Result<Option<Architecture>, SpaceError> {
        let model = Classical::ErdosRenyi { probability };
        let keys = "[space] vertices, [search] er_probability";
        let dag = model.draw(vertices, rng).map_err(|source| SpaceError::Graph { keys, source })?;
        let operators = (0..vertices).map(|_| rng.random_range(0..INTERIOR.len()) as u8).collect();
        Ok(self.legal(Wiring { dag, operators }))
    }
}

/// A cell as the generator sees it: operators by number, those of input and output of no meaning.
#[derive(Clone)]
struct Wiring {
    dag: Dag,
    operators: Vec<u8>,
}

impl Wiring {
    /// The cell with unconnected vertices of operator 0 before its output.
    fn padded(cell: &Cell101, vertices: usize) -> Self {
        let last = cell.nodes() - 1;
        let place = |node: usize| if node == last { vertices - 1 } else { node };
        let mut operators = vec![0; vertices];
        let mut edges = Vec::new();
        for node in 0..cell.nodes() {
            operators[place(node)] = cell.operators()[node].index();
            edges.extend(cell.dag().predecessors(node).map(|from| [place(from), place(node)]));
        }
        // Places keep the order of the nodes, so the edges are legal; a cell has at least one node.
        let mut wiring = Wiring { dag: cell.dag().clone(), operators };
        if let Ok(dag) = Dag::new(vertices, &edges) {
            wiring.dag = dag;
        }
        wiring
    }

    fn cell(self) -> Result<Cell101, SpaceError> {
        let last = self.dag.nodes() - 1;
        let operator = |(node, &number): (usize, &u8)| match node {
            0 => Some(Operator101::Input),
            _ if node == last => Some(Operator101::Output),
            _ => INTERIOR.get(usize::from(number)).copied(),
        };
        let operators: Option<Vec<Operator101>> = self.operators.iter().enumerate().map(operator).collect();
        let operators = operators.ok_or(SpaceError::OperatorNumber { most: INTERIOR.len() - 1 })?;
        Ok(Cell101::new(self.dag, operators)?)
    }
}

impl Space for NasBench101Space {
    fn kind(&self) -> SpaceKind {
        SpaceKind::Nasbench101
    }

    fn components(&self) -> Vec<ComponentShape> {
        vec![ComponentShape { nodes: self.vertices, operators: INTERIOR.len(), edge_operators: 0 }]
    }

    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError> {
        let graph = super::only_graph(graphs, self.vertices, self.vertices)?;
        let architecture = Architecture::NasBench101(Wiring { dag: graph.dag, operators: graph.operators }.cell()?);
        self.check(&architecture)?;
        Ok(architecture)
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError> {
        let pruned = self.pruned(self.cell(architecture)?)?;
        let Wiring { dag, operators } = Wiring::padded(&pruned, self.vertices);
        Ok(vec![LabelledGraph { dag, operators }])
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        self.cell(architecture).map(drop)
    }

    /// The official hash.
    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError> {
        let pruned = self.pruned(self.cell(architecture)?)?;
        Ok(CanonicalKey::official(hash(&pruned).0))
    }

    /// `uniform`: 3 to `vertices` vertices, each number as likely, every edge with probability 0.25; `full`: all vertices,
    /// every edge with probability 1/2; `er`: all vertices, every edge with probability `er_probability`. Operators are
    /// uniform, and draws are repeated until they are legal.
    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError> {
        for _ in 0..EXPLORER_TRIES {
            let (vertices, probability) = match kind {
                ClassicalKind::Uniform => (rng.random_range(3..=self.vertices), EXPLORER_EDGES),
                ClassicalKind::Full => (self.vertices, 0.5),
                ClassicalKind::Er => (self.vertices, self.edge_probability),
                _ => return Err(SpaceError::Explorer { space: "nasbench101", kind }),
            };
            if let Some(architecture) = self.draw(rng, vertices, probability)? {
                return Ok(architecture);
            }
        }
        Err(SpaceError::NoLegalDraw(EXPLORER_TRIES))
    }

    /// On the full form: every edge flipped, by end, then by start; then every operator between input and output changed.
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, SpaceError> {
        let full = self.full(self.cell(architecture)?);
        let flips = pairs(self.vertices).map(|[from, to]| {
            let mut wiring = full.clone();
            wiring.dag.flip_edge(from, to);
            wiring
        });
        let changes = (1..self.vertices - 1).flat_map(|node| others(full.operators[node]).map(move |to| (node, to)));
        let changes = changes.map(|(node, operator)| {
            let mut wiring = full.clone();
            wiring.operators[node] = operator;
            wiring
        });
        distinct(self, architecture, flips.chain(changes).filter_map(|wiring| self.legal(wiring)))
    }

    /// The mutation of the benchmark's published regularised evolution, on the full form: every possible edge is flipped
    /// with probability 1 / vertices (so three of the 21 on average, of which most concern idle vertices), and every
    /// operator between input and output becomes another one with probability 1 / (vertices - 2) (one on average), until
    /// the cell is legal and has another key.
    fn mutate(&self, architecture: &Architecture, rng: &mut Stream) -> Result<Architecture, SpaceError> {
        let full = self.full(self.cell(architecture)?);
        let (edge, operator) = (1.0 / self.vertices as f64, 1.0 / (self.vertices - 2) as f64);
        first_other(self, architecture, || {
            let mut wiring = full.clone();
            for [from, to] in pairs(self.vertices) {
                if rng.random_bool(edge) {
                    wiring.dag.flip_edge(from, to);
                }
            }
            for node in 1..self.vertices - 1 {
                if rng.random_bool(operator) {
                    let step = rng.random_range(1..INTERIOR.len()) as u8;
                    wiring.operators[node] = (wiring.operators[node] + step) % INTERIOR.len() as u8;
                }
            }
            self.legal(wiring)
        })
    }
}

/// All possible edges, by end, then by start.
fn pairs(vertices: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..vertices).flat_map(|to| (0..to).map(move |from| [from, to]))
}

/// The other operators.
fn others(operator: u8) -> impl Iterator<Item = u8> {
    (0..INTERIOR.len() as u8).filter(move |&other| other != operator)
}
