//! Cells: graphs with a named operator on every node, as `nasbench101` and `table` have them.

use crate::graph::{Dag, GraphError, MAX_NODES};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Why a graph with operators is no cell.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum CellError {
    /// The adjacency matrix is no square.
    #[error("adjacency[{row}] has {found} entries, but there are {expected} rows")]
    RowLength {
        /// Which row.
        row: usize,
        /// Its entries.
        found: usize,
        /// Rows of the matrix.
        expected: usize,
    },
    /// An edge to a node that does not come later.
    #[error("adjacency[{from}] has an edge to node {to}; edges go from lower to higher nodes")]
    Backward {
        /// The edge's start.
        from: usize,
        /// The edge's end.
        to: usize,
    },
    /// The flat adjacency matrix is no square.
    #[error("an adjacency matrix of {0} entries is no square")]
    NoSquare(usize),
    /// The flat adjacency matrix has something else than 0 and 1.
    #[error("entry {0} of the adjacency matrix is neither 0 nor 1")]
    Entry(usize),
    /// Not one operator a node.
    #[error("{operators} ops for {nodes} nodes")]
    Operators {
        /// Operators.
        operators: usize,
        /// Nodes.
        nodes: usize,
    },
    /// An operator that cannot stand where it stands.
    #[error("ops[{node}] is {found:?}: must be {expected}")]
    Operator {
        /// The node.
        node: usize,
        /// Its operator.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// No graph of this size.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// What stands on the nodes of a cell.
pub trait CellOperator: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Its name in the exchange format.
    fn name(&self) -> &str;

    /// The operator of this name, if it may stand on this node of so many; else what would be right there.
    fn read(name: &str, node: usize, nodes: usize) -> Result<Self, String>;
}

/// A graph with one operator a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "CellText", into = "CellText", bound = "O: CellOperator")]
pub struct Cell<O> {
    dag: Dag,
    operators: Vec<O>,
}

impl<O> Cell<O> {
    /// The edges.
    pub fn dag(&self) -> &Dag {
        &self.dag
    }

    /// The operators, one a node.
    pub fn operators(&self) -> &[O] {
        &self.operators
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.dag.nodes()
    }

    /// The adjacency matrix as one text, row by row.
    pub fn adjacency(&self) -> String {
        (0..self.nodes()).map(|from| row_text(&self.dag, from)).collect()
    }
}

impl<O: CellOperator> Cell<O> {
    /// The cell in the form of a table's columns: the matrix, then the operators.
    pub fn describe(&self) -> String {
        let names: Vec<&str> = self.operators.iter().map(CellOperator::name).collect();
        format!("{} \"{}\"", self.adjacency(), names.join(","))
    }

    /// The cell of this graph and these operators.
    ///
    /// # Errors
    /// Not one operator a node, or one where it may not stand.
    pub fn new(dag: Dag, operators: Vec<O>) -> Result<Self, CellError> {
        check_count(&dag, operators.len())?;
        let nodes = dag.nodes();
        for (node, operator) in operators.iter().enumerate() {
            operator_of::<O>(operator.name(), node, nodes)?;
        }
        Ok(Cell { dag, operators })
    }

    /// Reads the form of the benchmark's files: the matrix row by row in one text, and the names of the operators.
    ///
    /// # Errors
    /// No square matrix of zeros and ones above the diagonal; no operators to match.
    pub fn from_flat<'a>(bits: &str, operators: impl Iterator<Item = &'a str>) -> Result<Self, CellError> {
        if let Some(entry) = bits.bytes().position(|byte| byte != b'0' && byte != b'1') {
            return Err(CellError::Entry(entry));
        }
        let nodes = (1..=MAX_NODES).find(|nodes| nodes * nodes >= bits.len()).unwrap_or(0);
        if nodes * nodes != bits.len() {
            return Err(CellError::NoSquare(bits.len()));
        }
        let rows: Vec<&str> = (0..nodes).map(|row| &bits[row * nodes..(row + 1) * nodes]).collect();
        Cell::of_rows(&rows, operators)
    }

    /// The cell of a checked matrix; each row is a text of zeros and ones.
    fn of_rows<'a>(rows: &[impl AsRef<str>], names: impl Iterator<Item = &'a str>) -> Result<Self, CellError> {
        let nodes = rows.len();
        let mut dag = Dag::without_edges(nodes)?;
        for (from, row) in rows.iter().enumerate() {
            let row = row.as_ref().as_bytes();
            if row.len() != nodes {
                return Err(CellError::RowLength { row: from, found: row.len(), expected: nodes });
            }
            for to in (0..nodes).filter(|&to| row.get(to) == Some(&b'1')) {
                if to <= from {
                    return Err(CellError::Backward { from, to });
                }
                dag.add_edge(from, to);
            }
        }
        let names: Vec<&str> = names.collect();
        check_count(&dag, names.len())?;
        let read = |(node, name): (usize, &&str)| operator_of(name, node, nodes);
        Ok(Cell { operators: names.iter().enumerate().map(read).collect::<Result<_, _>>()?, dag })
    }
}

fn check_count(dag: &Dag, operators: usize) -> Result<(), CellError> {
    let nodes = dag.nodes();
    if operators == nodes { Ok(()) } else { Err(CellError::Operators { operators, nodes }) }
}

fn operator_of<O: CellOperator>(name: &str, node: usize, nodes: usize) -> Result<O, CellError> {
    let found = || name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
    O::read(name, node, nodes).map_err(|expected| CellError::Operator { node, found: found(), expected })
}

fn row_text(dag: &Dag, from: usize) -> String {
    (0..dag.nodes()).map(|to| if from < to && dag.has_edge(from, to) { '1' } else { '0' }).collect()
}

/// The exchange form. The tag is there when a whole text is read at once, and gone when serde took it away before.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellText {
    #[serde(rename = "space", default, skip_serializing)]
    _space: Option<String>,
    adjacency: Vec<Row>,
    ops: Vec<String>,
}

/// A row of the adjacency matrix: a text of zeros and ones.
#[derive(Clone)]
struct Row(String);

impl AsRef<str> for Row {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.bytes().find(|byte| !b"01".contains(byte)) {
            None => Ok(Row(text)),
            Some(_) => Err(D::Error::custom("a row of the adjacency matrix is a text of 0 and 1")),
        }
    }
}

impl<O: CellOperator> TryFrom<CellText> for Cell<O> {
    type Error = CellError;

    fn try_from(text: CellText) -> Result<Self, CellError> {
        Cell::of_rows(&text.adjacency, text.ops.iter().map(String::as_str))
    }
}

impl<O: CellOperator> From<Cell<O>> for CellText {
    fn from(cell: Cell<O>) -> Self {
        CellText {
            _space: None,
            adjacency: (0..cell.nodes()).map(|from| Row(row_text(&cell.dag, from))).collect(),
            ops: cell.operators.iter().map(|operator| operator.name().to_string()).collect(),
        }
    }
}

/// An operator of a user's benchmark: any name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorName(String);

/// The longest name of an operator, in bytes.
const LONGEST_NAME: usize = 64;

impl CellOperator for OperatorName {
    fn name(&self) -> &str {
        &self.0
    }

    fn read(name: &str, _node: usize, _nodes: usize) -> Result<Self, String> {
        let plain =
            !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(|c: char| c.is_control() || c == ',');
        if plain {
            Ok(OperatorName(name.to_string()))
        } else {
            Err(format!("a name of 1 to {LONGEST_NAME} bytes without commas"))
        }
    }
}
