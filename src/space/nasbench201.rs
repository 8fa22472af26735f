//! NAS-Bench-201 (Dong and Yang 2020): four nodes, one operator on each of the six edges between them.

use super::{Architecture, ComponentShape, Space, SpaceError, distinct, first_other};
use crate::config::{CellEncoding, ClassicalKind, SpaceKind};
use crate::graph::{CanonicalKey, Dag, LabelledGraph};
use crate::random::Stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The operators of an edge.
pub const OPERATORS: [&str; 5] = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];

/// The edges `[from, to]` of a cell, in the order of its text.
pub const EDGES: [[usize; 2]; 6] = [[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [2, 3]];

/// Number of cells.
pub const CELLS: usize = OPERATORS.len().pow(EDGES.len() as u32);

/// The operator that breaks an edge.
const NONE: u8 = 0;

/// A cell: the operator's number of every edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "CellText", into = "CellText")]
pub struct Cell201([u8; EDGES.len()]);

/// The exchange form. The tag is there when a whole text is read at once, and gone when serde took it away before.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellText {
    #[serde(rename = "space", default, skip_serializing)]
    _space: Option<String>,
    arch: String,
}

impl Cell201 {
    /// The cell of these operators; `None` where a number is none of [`OPERATORS`].
    pub fn new(operators: [u8; EDGES.len()]) -> Option<Self> {
        operators.iter().all(|&operator| usize::from(operator) < OPERATORS.len()).then_some(Cell201(operators))
    }

    /// The operators, one an edge of [`EDGES`].
    pub fn operators(self) -> [u8; EDGES.len()] {
        self.0
    }

    /// Its number among all cells, below [`CELLS`].
    pub fn number(self) -> usize {
        self.0.iter().fold(0, |number, &operator| number * OPERATORS.len() + usize::from(operator))
    }

    /// The cell of a number below [`CELLS`].
    pub fn of_number(mut number: usize) -> Option<Self> {
        let mut operators = [0; EDGES.len()];
        for operator in operators.iter_mut().rev() {
            *operator = (number % OPERATORS.len()) as u8;
            number /= OPERATORS.len();
        }
        (number == 0).then_some(Cell201(operators))
    }

    /// The graph of the four nodes and the edges that are not `none`.
    pub fn dag(self) -> Option<Dag> {
        let present = EDGES.iter().zip(self.0).filter(|&(_, operator)| operator != NONE);
        Dag::new(4, &present.map(|(&edge, _)| edge).collect::<Vec<_>>()).ok()
    }

    /// The cell with another operator on an edge.
    fn with(mut self, edge: usize, operator: u8) -> Self {
        self.0[edge] = operator;
        self
    }
}

/// `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`
impl fmt::Display for Cell201 {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for ([from, to], operator) in EDGES.into_iter().zip(self.0) {
            let start = match (from, to) {
                (0, 1) => "|",
                (0, _) => "+|",
                _ => "",
            };
            write!(f, "{start}{}~{from}|", OPERATORS[usize::from(operator)])?;
        }
        Ok(())
    }
}

impl FromStr for Cell201 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(['|', '+']).filter(|word| !word.is_empty()).collect();
        let mut operators = [0; EDGES.len()];
        for (index, operator) in operators.iter_mut().enumerate() {
            let word = words.get(index).and_then(|word| word.split_once('~')).map_or("", |(name, _)| name);
            let found = OPERATORS.iter().position(|&name| name == word);
            *operator = found.ok_or_else(|| wrong_operator(index, word))? as u8;
        }
        let cell = Cell201(operators);
        if cell.to_string() == text {
            Ok(cell)
        } else {
            Err("a cell is written |op~0|+|op~0|op~1|+|op~0|op~1|op~2|".into())
        }
    }
}

fn wrong_operator(edge: usize, word: &str) -> String {
    let [from, to] = EDGES[edge];
    let word: String = word.chars().map(|c| if c.is_control() { ' ' } else { c }).take(40).collect();
    format!("the operator from node {from} to node {to} is {word:?}: must be one of {}", OPERATORS.join(", "))
}

impl TryFrom<CellText> for Cell201 {
    type Error = String;

    fn try_from(text: CellText) -> Result<Self, String> {
        text.arch.parse().map_err(|problem| format!("arch: {problem}"))
    }
}

impl From<Cell201> for CellText {
    fn from(cell: Cell201) -> Self {
        CellText { _space: None, arch: cell.to_string() }
    }
}

/// All 15,625 cells.
///
/// To the generator a cell may be its line graph: node i is edge i of [`EDGES`] and carries its operator, and node i feeds
/// node j where edge i ends at the node that edge j leaves. Those edges are the same for every cell, so the ones that a
/// generator draws are not looked at. Or it is the graph of the four nodes with operators on its edges, as the authors have
/// it; an edge of the operator `none` is not there, and the others' operators count from the next one.
pub struct NasBench201Space {
    /// Which of the two.
    pub encoding: CellEncoding,
}

/// Nodes of a cell.
const NODES: usize = 4;

/// Edges of the line graph of the complete graph.
fn line_graph() -> impl Iterator<Item = [usize; 2]> {
    let joined = |i: usize, j: usize| EDGES[i][1] == EDGES[j][0];
    (0..EDGES.len()).flat_map(move |i| (i + 1..EDGES.len()).filter(move |&j| joined(i, j)).map(move |j| [i, j]))
}

fn cell(architecture: &Architecture) -> Result<Cell201, SpaceError> {
    match architecture {
        Architecture::NasBench201(cell) => Ok(*cell),
        other => Err(SpaceError::OtherSpace { found: other.space(), expected: "nasbench201" }),
    }
}

impl Space for NasBench201Space {
    fn kind(&self) -> SpaceKind {
        SpaceKind::Nasbench201
    }

    fn components(&self) -> Vec<ComponentShape> {
        vec![match self.encoding {
            CellEncoding::LineGraph => {
                ComponentShape { nodes: EDGES.len(), operators: OPERATORS.len(), edge_operators: 0 }
            }
            CellEncoding::EdgeOperators => {
                ComponentShape { nodes: NODES, operators: 0, edge_operators: OPERATORS.len() - 1 }
            }
        }]
    }

    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError> {
        let [shape] = self.components()[..] else { return Err(SpaceError::Shape("no graph".into())) };
        let LabelledGraph { dag, mut operators } = super::only_graph(graphs, shape.nodes, shape.labels())?;
        if self.encoding == CellEncoding::EdgeOperators {
            // The rows of the matrix come in the order of `EDGES`.
            for ([from, to], operator) in EDGES.into_iter().zip(&mut operators) {
                *operator = if dag.has_edge(from, to) { operator.saturating_add(1) } else { NONE };
            }
        }
        let operators: Option<[u8; EDGES.len()]> = operators.try_into().ok();
        let cell = operators.and_then(Cell201::new);
        cell.map(Architecture::NasBench201).ok_or(SpaceError::OperatorNumber { most: OPERATORS.len() - 1 })
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError> {
        let operators = cell(architecture)?.0.to_vec();
        let (nodes, edges, operators): (usize, Vec<[usize; 2]>, Vec<u8>) = match self.encoding {
            CellEncoding::LineGraph => (EDGES.len(), line_graph().collect(), operators),
            CellEncoding::EdgeOperators => {
                let present = EDGES.iter().zip(&operators).filter(|&(_, operator)| *operator != NONE);
                let edges = present.map(|(&edge, _)| edge).collect();
                (NODES, edges, operators.iter().map(|operator| operator.saturating_sub(1)).collect())
            }
        };
        let refused = |source| SpaceError::Graph { keys: "[space] kind", source };
        Ok(vec![LabelledGraph { dag: Dag::new(nodes, &edges).map_err(refused)?, operators }])
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        cell(architecture).map(drop)
    }

    /// Of the text: the benchmark counts isomorphic cells as different ones, and trained every one of them.
    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError> {
        Ok(CanonicalKey::of_text("nasbench201", &cell(architecture)?.to_string()))
    }

    /// `uniform`: any operator but `none` on every edge; `full`: any of the five.
    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError> {
        let least = match kind {
            ClassicalKind::Uniform => NONE + 1,
            ClassicalKind::Full => NONE,
            _ => return Err(SpaceError::Explorer { space: "nasbench201", kind }),
        };
        let operators = std::array::from_fn(|_| rng.random_range(least..OPERATORS.len() as u8));
        Ok(Architecture::NasBench201(Cell201(operators)))
    }

    /// By edge, then by operator: 24 of them.
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, SpaceError> {
        let cell = cell(architecture)?;
        let edits = (0..EDGES.len()).flat_map(|edge| (0..OPERATORS.len() as u8).map(move |to| cell.with(edge, to)));
        distinct(self, architecture, edits.map(Architecture::NasBench201))
    }

    fn mutate(&self, architecture: &Architecture, rng: &mut Stream) -> Result<Architecture, SpaceError> {
        let cell = cell(architecture)?;
        first_other(self, architecture, || {
            let edge = rng.random_range(0..EDGES.len());
            let other = (cell.0[edge] + rng.random_range(1..OPERATORS.len() as u8)) % OPERATORS.len() as u8;
            Some(Architecture::NasBench201(cell.with(edge, other)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, StreamKey};
    use std::collections::HashSet;

    const SPACE: NasBench201Space = NasBench201Space { encoding: CellEncoding::LineGraph };

    /// The first row of the benchmark's table.
    const TEXT: &str =
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|";

    fn stream(candidate: u64) -> Stream {
        StreamKey { seed: 3, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
    }

    #[test]
    fn all_cells_have_their_own_text_number_and_key() {
        let (mut texts, mut keys) = (HashSet::new(), HashSet::new());
        for number in 0..CELLS {
            let cell = Cell201::of_number(number).unwrap();
            assert_eq!((cell.number(), cell.to_string().parse()), (number, Ok(cell)));
            texts.insert(cell.to_string());
            keys.insert(SPACE.key(&Architecture::NasBench201(cell)).unwrap());
        }
        assert_eq!((texts.len(), keys.len()), (15_625, 15_625));
        assert_eq!(Cell201::of_number(CELLS), None);
        let cell: Cell201 = TEXT.parse().unwrap();
        assert_eq!(cell.operators(), [4, 2, 1, 2, 1, 1]);
    }

    #[test]
    fn texts_that_are_no_cell_are_refused() {
        for (text, part) in [
            ("", "from node 0 to node 1 is \"\""),
            (&TEXT[..TEXT.len() - 1], "is written |op~0|"),
            (&TEXT.replace("skip_connect~2", "skip_connect~1"), "is written"),
            (&TEXT.replace('+', ""), "is written"),
            (&TEXT.replace("avg_pool_3x3", "max_pool_3x3"), "from node 0 to node 1 is \"max_pool_3x3\""),
            (&TEXT.replace("skip_connect~2", "Skip~2"), "from node 2 to node 3 is \"Skip\""),
            (&format!("{TEXT}+|none~0|"), "is written"),
            ("|a~0|\n", "none, skip_connect"),
        ] {
            let error = text.parse::<Cell201>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_line_graph_joins_edges_that_meet() {
        let architecture = Architecture::NasBench201(TEXT.parse().unwrap());
        let graphs = SPACE.disassemble(&architecture).unwrap();
        // 0-1 meets 1-2 and 1-3; 0-2 meets 2-3; 1-2 meets 2-3.
        assert_eq!(graphs[0].dag.edges().collect::<Vec<_>>(), [[0, 2], [0, 4], [1, 5], [2, 5]]);
        assert_eq!(SPACE.assemble(graphs.clone()), Ok(architecture.clone()));
        let other = LabelledGraph { dag: Dag::without_edges(6).unwrap(), ..graphs[0].clone() };
        assert_eq!(SPACE.assemble(vec![other.clone()]), Ok(architecture));
        let wrong = LabelledGraph { operators: vec![0, 0, 0, 0, 0, 5], ..other.clone() };
        assert_eq!(SPACE.assemble(vec![wrong]), Err(SpaceError::OperatorNumber { most: 4 }));
        let short = LabelledGraph { operators: vec![0; 5], ..other.clone() };
        assert!(SPACE.assemble(vec![short]).is_err());
        assert!(SPACE.assemble(vec![other.clone(), other]).is_err());
    }

    #[test]
    fn operators_lie_on_the_edges_of_the_cell() {
        let space = NasBench201Space { encoding: CellEncoding::EdgeOperators };
        let [shape] = space.components()[..] else { panic!("one graph") };
        for number in 0..CELLS {
            let cell = Cell201::of_number(number).unwrap();
            let graphs = space.disassemble(&Architecture::NasBench201(cell)).unwrap();
            assert_eq!(graphs[0].dag, cell.dag().unwrap());
            assert!(shape.has_operators_of(&graphs[0]));
            assert_eq!(space.assemble(graphs), Ok(Architecture::NasBench201(cell)));
        }
        // Operators of edges that are not there do not matter; unknown ones do where they are.
        let dag = Dag::new(4, &[[1, 3]]).unwrap();
        let graph = |operators: [u8; 6]| vec![LabelledGraph { dag: dag.clone(), operators: operators.to_vec() }];
        let cell = Architecture::NasBench201(Cell201([0, 0, 0, 0, 3, 0]));
        assert_eq!(space.assemble(graph([1, 2, 3, 1, 2, 9])), Ok(cell));
        assert_eq!(space.assemble(graph([0, 0, 0, 0, 4, 0])), Err(SpaceError::OperatorNumber { most: 4 }));
        assert!(!shape.has_operators_of(&graph([0, 0, 0, 0, 4, 0])[0]));
    }

    #[test]
    fn neighbours_mutations_and_explorers_do_what_they_say() {
        let origin: Cell201 = TEXT.parse().unwrap();
        let found = SPACE.neighbours(&Architecture::NasBench201(origin)).unwrap();
        let distance = |a: Cell201, b: Cell201| a.0.iter().zip(b.0).filter(|&(&a, b)| a != b).count();
        assert_eq!(found.len(), 24);
        assert!(found.iter().all(|one| distance(cell(one).unwrap(), origin) == 1));
        let mutants: HashSet<Architecture> =
            (0..500).map(|n| SPACE.mutate(&Architecture::NasBench201(origin), &mut stream(n)).unwrap()).collect();
        assert_eq!(mutants, found.into_iter().collect());
        let mut counts = [[0; 5]; 2];
        for (kind, counts) in [ClassicalKind::Uniform, ClassicalKind::Full].into_iter().zip(&mut counts) {
            for n in 0..2000 {
                let drawn = cell(&SPACE.explore(&mut stream(n), kind).unwrap()).unwrap();
                drawn.0.iter().for_each(|&operator| counts[usize::from(operator)] += 1);
            }
        }
        // 12,000 operators: 3,000 or 2,400 of a kind, with a standard deviation below 50.
        assert_eq!(counts[0][0], 0);
        assert!(counts[0][1..].iter().all(|&count: &i32| (count - 3000).abs() <= 200), "{counts:?}");
        assert!(counts[1].iter().all(|&count| (count - 2400).abs() <= 200), "{counts:?}");
        assert!(SPACE.explore(&mut stream(0), ClassicalKind::Ws).is_err());
    }
}
