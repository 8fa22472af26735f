//! A user's own benchmark as a space: the cells of its table, and no others.

use super::cell::{Cell, OperatorName};
use super::{Architecture, ComponentShape, Space, SpaceError, distinct};
use crate::config::{ClassicalKind, Config, SpaceKind};
use crate::graph::{CanonicalKey, Dag, LabelledGraph};
use crate::random::Stream;
use crate::table::CellTable;
use rand::RngExt;
use std::sync::Arc;

/// The cells of a table.
///
/// To the generator a cell is its own graph, an operator's number being its place among the sorted names of the table.
/// Where cells differ in size, the smaller ones are filled up at their end with nodes of one operator more, "absent";
/// nodes that are absent, and their edges, are left out when a graph of the generator becomes a cell.
pub struct TableSpace {
    table: Arc<CellTable>,
}

impl TableSpace {
    /// The space of `oracle.table`.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn of(config: &Config) -> Result<Self, SpaceError> {
        let missing = || SpaceError::Table("oracle.table: the space \"table\" needs a file".into());
        let path = config.oracle.table.as_ref().ok_or_else(missing)?;
        let table = CellTable::read(path).map_err(|error| SpaceError::Table(error.to_string()))?;
        Ok(TableSpace { table: Arc::new(table) })
    }

    /// The space of a table that has been read.
    pub fn new(table: Arc<CellTable>) -> Self {
        TableSpace { table }
    }

    fn cell<'a>(&self, architecture: &'a Architecture) -> Result<&'a Cell<OperatorName>, SpaceError> {
        let Architecture::Table(cell) = architecture else {
            return Err(SpaceError::OtherSpace { found: architecture.space(), expected: "table" });
        };
        match self.table.position(cell) {
            Some(_) => Ok(cell),
            None => Err(SpaceError::NotInTable { table: self.table.name(), cell: cell.describe() }),
        }
    }

    fn absent(&self) -> Option<u8> {
        self.table.sizes_differ().then_some(self.table.operators().len() as u8)
    }

    /// The edits of one edge or one operator that are in the table.
    fn edits(&self, cell: &Cell<OperatorName>) -> Vec<Architecture> {
        let nodes = cell.nodes();
        let flips = (0..nodes).flat_map(|to| (0..to).map(move |from| [from, to])).map(|[from, to]| {
            let mut dag = cell.dag().clone();
            dag.flip_edge(from, to);
            (dag, cell.operators().to_vec())
        });
        let changes = (0..nodes).flat_map(|node| self.table.operators().iter().map(move |name| (node, name)));
        let changes = changes.map(|(node, name)| {
            let mut operators = cell.operators().to_vec();
            operators[node] = name.clone();
            (cell.dag().clone(), operators)
        });
        let cells = flips.chain(changes).filter_map(|(dag, operators)| Cell::new(dag, operators).ok());
        cells.filter(|cell| self.table.position(cell).is_some()).map(Architecture::Table).collect()
    }
}

impl Space for TableSpace {
    fn kind(&self) -> SpaceKind {
        SpaceKind::Table
    }

    fn components(&self) -> Vec<ComponentShape> {
        let operators = self.table.operators().len() + usize::from(self.absent().is_some());
        vec![ComponentShape { nodes: self.table.most_nodes(), operators, edge_operators: 0 }]
    }

    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError> {
        let nodes = self.table.most_nodes();
        let graph = super::only_graph(graphs, nodes, nodes)?;
        let kept: Vec<usize> = (0..nodes).filter(|&node| Some(graph.operators[node]) != self.absent()).collect();
        let place = |node: usize| kept.iter().position(|&other| other == node);
        let edges: Vec<[usize; 2]> =
            graph.dag.edges().filter_map(|[from, to]| Some([place(from)?, place(to)?])).collect();
        let names = self.table.operators();
        let operator = |&node: &usize| names.get(usize::from(graph.operators[node])).cloned();
        let operators: Option<Vec<OperatorName>> = kept.iter().map(operator).collect();
        let operators = operators.ok_or(SpaceError::OperatorNumber { most: names.len() })?;
        let dag = Dag::new(kept.len(), &edges);
        let dag = dag.map_err(|source| SpaceError::Graph { keys: "oracle.table", source })?;
        let architecture = Architecture::Table(Cell::new(dag, operators)?);
        self.check(&architecture)?;
        Ok(architecture)
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError> {
        let cell = self.cell(architecture)?;
        let mut graph = self.table.graph(cell);
        let edges: Vec<[usize; 2]> = graph.dag.edges().collect();
        let nodes = self.table.most_nodes();
        graph.dag = Dag::new(nodes, &edges).map_err(|source| SpaceError::Graph { keys: "oracle.table", source })?;
        graph.operators.resize(nodes, self.absent().unwrap_or(0));
        Ok(vec![graph])
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        self.cell(architecture).map(drop)
    }

    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError> {
        Ok(CanonicalKey::combine("table", &[self.table.key(self.cell(architecture)?)]))
    }

    /// `uniform`: any row of the table.
    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError> {
        match kind {
            ClassicalKind::Uniform => {
                Ok(Architecture::Table(self.table.cell(rng.random_range(0..self.table.len())).clone()))
            }
            _ => Err(SpaceError::Explorer { space: "table", kind }),
        }
    }

    /// The cells of the table with one edge flipped (by end, then by start) or one operator changed (by node).
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, SpaceError> {
        let cell = self.cell(architecture)?;
        distinct(self, architecture, self.edits(cell))
    }

    /// A uniform neighbour; where there is none, a uniform other row of the table.
    fn mutate(&self, architecture: &Architecture, rng: &mut Stream) -> Result<Architecture, SpaceError> {
        let mut neighbours = self.neighbours(architecture)?;
        if !neighbours.is_empty() {
            return Ok(neighbours.swap_remove(rng.random_range(0..neighbours.len())));
        }
        let own = self.table.position(self.cell(architecture)?).unwrap_or(0);
        match self.table.len() {
            0 | 1 => Err(SpaceError::NoMutation(1)),
            rows => Ok(Architecture::Table(self.table.cell((own + rng.random_range(1..rows)) % rows).clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, StreamKey};
    use std::collections::HashSet;

    const TEXT: &str = "adjacency,ops,validation,test\n0100,\"a,b\",0.5,0.4\n0000,\"a,b\",0.25,0.2\n0100,\"b,b\",0.1,0.3\n\
                        011001000,\"a,b,c\",0.75,0.7\n000000000,\"c,c,c\",0.2,0.1\n";

    fn space() -> TableSpace {
        TableSpace::new(Arc::new(CellTable::parse("small.csv", TEXT).unwrap()))
    }

    fn stream(candidate: u64) -> Stream {
        StreamKey { seed: 3, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
    }

    #[test]
    fn every_row_survives_the_generators_form() {
        let space = space();
        assert_eq!(space.components(), [ComponentShape { nodes: 3, operators: 4, edge_operators: 0 }]);
        let mut keys = HashSet::new();
        for row in 0..5 {
            let architecture = Architecture::Table(space.table.cell(row).clone());
            let graphs = space.disassemble(&architecture).unwrap();
            assert_eq!(graphs[0].dag.nodes(), 3);
            assert_eq!(space.assemble(graphs.clone()), Ok(architecture.clone()));
            // An edge of an absent node means nothing.
            if space.table.cell(row).nodes() == 2 {
                let mut graph = graphs[0].clone();
                graph.dag.flip_edge(0, 2);
                assert_eq!(space.assemble(vec![graph]), Ok(architecture.clone()));
            }
            keys.insert(space.key(&architecture).unwrap());
        }
        assert_eq!(keys.len(), 5);
        let unknown = LabelledGraph { dag: Dag::without_edges(3).unwrap(), operators: vec![0, 1, 2] };
        let error = space.assemble(vec![unknown]).unwrap_err().to_string();
        assert!(error.contains("the table small.csv lacks the cell 000000000 \"a,b,c\""), "{error}");
        let alien = LabelledGraph { dag: Dag::without_edges(3).unwrap(), operators: vec![0, 1, 9] };
        assert!(space.assemble(vec![alien]).is_err());
    }

    #[test]
    fn neighbours_are_rows_of_the_table() {
        let space = space();
        let row = |row: usize| Architecture::Table(space.table.cell(row).clone());
        assert_eq!(space.neighbours(&row(0)), Ok(vec![row(1), row(2)]));
        assert_eq!(space.neighbours(&row(4)), Ok(vec![]));
        let mutants: HashSet<_> = (0..99).map(|n| space.mutate(&row(0), &mut stream(n)).unwrap()).collect();
        assert_eq!(mutants, HashSet::from([row(1), row(2)]));
        let mutants: HashSet<_> = (0..99).map(|n| space.mutate(&row(4), &mut stream(n)).unwrap()).collect();
        assert_eq!(mutants, HashSet::from([row(0), row(1), row(2), row(3)]));
        let kind = ClassicalKind::Uniform;
        let drawn: HashSet<_> = (0..99).map(|n| space.explore(&mut stream(n), kind).unwrap()).collect();
        assert_eq!(drawn.len(), 5);
        assert!(space.explore(&mut stream(0), ClassicalKind::Er).is_err());
    }
}
