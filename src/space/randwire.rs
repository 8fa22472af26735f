//! RandWire (Xie et al. 2019): one random graph a stage.

use super::{Architecture, ComponentShape, MAX_STAGES, Space, SpaceError};
use crate::config::{ClassicalKind, SearchConfig, SpaceConfig, SpaceKind};
use crate::graph::{CanonicalKey, Classical, Dag, LabelledGraph, canonical_key};
use crate::random::Stream;

/// All sequences of so many DAGs of so many nodes.
///
/// Every DAG is a legal stage: its sources read the stage's input and the mean of its sinks is the stage's output, so
/// each node is on a path from input to output whatever the edges. A node without edges is both source and sink, and a
/// stage without any edge is a plain mean of parallel nodes; both are poor rather than illegal, and to find that out is
/// the search's task.
pub struct RandWireSpace {
    nodes: usize,
    stages: usize,
    classical: ClassicalModels,
}

/// The explorer's random graphs.
struct ClassicalModels {
    watts_strogatz: Classical,
    erdos_renyi: Classical,
    barabasi_albert: Classical,
}

impl ClassicalModels {
    fn new(search: &SearchConfig) -> Self {
        ClassicalModels {
            watts_strogatz: Classical::WattsStrogatz { neighbours: search.ws_neighbours, rewiring: search.ws_rewiring },
            erdos_renyi: Classical::ErdosRenyi { probability: search.er_probability },
            barabasi_albert: Classical::BarabasiAlbert { edges: search.ba_edges },
        }
    }

    fn model(&self, kind: ClassicalKind) -> Classical {
        match kind {
            ClassicalKind::Ws => self.watts_strogatz,
            ClassicalKind::Er => self.erdos_renyi,
            ClassicalKind::Ba => self.barabasi_albert,
        }
    }
}

/// The configuration keys that decide about a random graph.
fn keys(kind: ClassicalKind) -> &'static str {
    match kind {
        ClassicalKind::Ws => "[space] nodes, [search] ws_neighbours, ws_rewiring",
        ClassicalKind::Er => "[space] nodes, [search] er_probability",
        ClassicalKind::Ba => "[space] nodes, [search] ba_edges",
    }
}

impl RandWireSpace {
    /// The space of `space.stages` graphs of `space.nodes` nodes, explored by the random graphs of `search`. An error if
    /// there are no such graphs, or none that the explorer is told to draw.
    pub fn new(space: &SpaceConfig, search: &SearchConfig) -> Result<Self, SpaceError> {
        if space.stages == 0 || space.stages > MAX_STAGES {
            return Err(SpaceError::Stages(space.stages));
        }
        Dag::without_edges(space.nodes).map_err(|source| SpaceError::Graph { keys: "[space] nodes", source })?;
        let classical = ClassicalModels::new(search);
        for &kind in &search.explorer {
            let checked = classical.model(kind).check(space.nodes);
            checked.map_err(|source| SpaceError::Graph { keys: keys(kind), source })?;
        }
        Ok(RandWireSpace { nodes: space.nodes, stages: space.stages, classical })
    }
}

impl Space for RandWireSpace {
    fn kind(&self) -> SpaceKind {
        SpaceKind::Randwire
    }

    fn components(&self) -> Vec<ComponentShape> {
        vec![ComponentShape { nodes: self.nodes, operators: 0 }; self.stages]
    }

    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError> {
        if let Some(stage) = graphs.iter().position(|graph| !graph.operators.is_empty()) {
            return Err(SpaceError::Operators { stage, found: graphs[stage].operators.len() });
        }
        let architecture = Architecture::RandWire { stages: graphs.into_iter().map(|graph| graph.dag).collect() };
        self.check(&architecture)?;
        Ok(architecture)
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError> {
        self.check(architecture)?;
        let Architecture::RandWire { stages } = architecture;
        Ok(stages.iter().map(|dag| LabelledGraph { dag: dag.clone(), operators: vec![] }).collect())
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        let Architecture::RandWire { stages } = architecture;
        if stages.len() != self.stages {
            return Err(SpaceError::StageCount { found: stages.len(), expected: self.stages });
        }
        match stages.iter().position(|dag| dag.nodes() != self.nodes) {
            Some(stage) => Err(SpaceError::StageNodes { stage, found: stages[stage].nodes(), expected: self.nodes }),
            None => Ok(()),
        }
    }

    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError> {
        let keys: Vec<CanonicalKey> = self.disassemble(architecture)?.iter().map(canonical_key).collect();
        Ok(CanonicalKey::combine("randwire", &keys))
    }

    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError> {
        let draw = |_| self.classical.model(kind).draw(self.nodes, rng);
        let stages: Result<Vec<Dag>, _> = (0..self.stages).map(draw).collect();
        Ok(Architecture::RandWire { stages: stages.map_err(|source| SpaceError::Graph { keys: keys(kind), source })? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Exploration, RewardShaping};
    use crate::random::{Purpose, StreamKey};

    fn space_config(nodes: usize, stages: usize) -> SpaceConfig {
        SpaceConfig { kind: SpaceKind::Randwire, nodes, stages, channels: 8, stem_stride: 1, head: 16 }
    }

    fn search_config() -> SearchConfig {
        SearchConfig {
            budget: 10,
            samples_per_iteration: 5,
            keep_top: 3,
            reward: RewardShaping::Cdf,
            baseline: 0.0,
            exploration: Exploration::None,
            explorer: vec![ClassicalKind::Ws, ClassicalKind::Er, ClassicalKind::Ba],
            ws_rewiring: 0.75,
            ws_neighbours: 4,
            er_probability: 0.2,
            ba_edges: 5,
            sampling_rounds: 20,
            sampling_growth: 5,
            explorer_tries: 1000,
        }
    }

    fn space(nodes: usize, stages: usize) -> RandWireSpace {
        RandWireSpace::new(&space_config(nodes, stages), &search_config()).unwrap()
    }

    fn randwire(stages: &[(usize, &[[usize; 2]])]) -> Architecture {
        Architecture::RandWire {
            stages: stages.iter().map(|(nodes, edges)| Dag::new(*nodes, edges).unwrap()).collect(),
        }
    }

    fn stream(candidate: u64) -> Stream {
        StreamKey { seed: 3, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
    }

    #[test]
    fn explored_architectures_are_legal_and_of_their_kind() {
        let space = space(16, 3);
        for kind in [ClassicalKind::Ws, ClassicalKind::Er, ClassicalKind::Ba] {
            for candidate in 0..20 {
                let architecture = space.explore(&mut stream(candidate), kind).unwrap();
                space.check(&architecture).unwrap();
                assert_eq!(space.explore(&mut stream(candidate), kind).unwrap(), architecture);
                let graphs = space.disassemble(&architecture).unwrap();
                let edges: Vec<usize> = graphs.iter().map(|graph| graph.dag.edge_count()).collect();
                match kind {
                    ClassicalKind::Ws => assert_eq!(edges, [32; 3]),
                    ClassicalKind::Ba => assert_eq!(edges, [55; 3]),
                    ClassicalKind::Er => assert!(edges.iter().all(|&edges| edges < 60)),
                }
                assert!(graphs[0] != graphs[1] && graphs[1] != graphs[2] && graphs[0] != graphs[2]);
                assert_eq!(space.assemble(graphs).unwrap(), architecture);
            }
        }
    }

    #[test]
    fn the_key_sees_isomorphism_within_a_stage_and_the_order_of_stages() {
        let space = RandWireSpace::new(&space_config(3, 2), &SearchConfig { explorer: vec![], ..search_config() });
        let space = space.unwrap();
        let key = |a: &[[usize; 2]], b: &[[usize; 2]]| space.key(&randwire(&[(3, a), (3, b)])).unwrap();
        assert_eq!(key(&[[0, 1]], &[[0, 1], [0, 2]]), key(&[[1, 2]], &[[0, 1], [0, 2]]));
        assert_ne!(key(&[[0, 1]], &[[0, 1], [0, 2]]), key(&[[0, 1], [0, 2]], &[[0, 1]]));
        assert_ne!(key(&[[0, 1]], &[[0, 1], [0, 2]]), key(&[[0, 1]], &[[0, 2], [1, 2]]));
    }

    #[test]
    fn every_dag_of_the_right_size_is_legal() {
        let space = space(16, 2);
        let path: Vec<[usize; 2]> = (1..16).map(|node| [node - 1, node]).collect();
        space.check(&randwire(&[(16, &[]), (16, &path)])).unwrap();
        space.check(&randwire(&[(16, &[[3, 9]]), (16, &[])])).unwrap();
    }

    #[test]
    fn architectures_of_another_size_are_refused_by_stage_and_number() {
        let space = space(16, 2);
        let refused = |architecture: &Architecture| {
            let error = space.check(architecture).unwrap_err();
            assert_eq!(space.key(architecture), Err(error.clone()));
            assert_eq!(space.disassemble(architecture), Err(error.clone()));
            error.to_string()
        };
        assert_eq!(refused(&randwire(&[(16, &[])])), "architecture: 1 stages, but this space has 2");
        assert_eq!(refused(&randwire(&[])), "architecture: 0 stages, but this space has 2");
        let error = refused(&randwire(&[(16, &[]), (15, &[])]));
        assert_eq!(error, "architecture: stages[1] has 15 nodes, but this space has 16");
        let graph = LabelledGraph { dag: Dag::without_edges(16).unwrap(), operators: vec![] };
        let labelled = LabelledGraph { operators: vec![0; 16], ..graph.clone() };
        let refused = space.assemble(vec![graph.clone(), labelled]);
        assert_eq!(refused, Err(SpaceError::Operators { stage: 1, found: 16 }));
        assert_eq!(space.assemble(vec![graph]), Err(SpaceError::StageCount { found: 1, expected: 2 }));
    }

    #[test]
    fn impossible_spaces_are_refused_by_key() {
        let refused = |space: SpaceConfig, search: SearchConfig| {
            RandWireSpace::new(&space, &search).err().map(|error| error.to_string()).unwrap()
        };
        assert!(refused(space_config(16, 0), search_config()).contains("[space] stages = 0: a network has 1 to 16"));
        assert!(refused(space_config(16, 17), search_config()).contains("stages = 17"));
        assert!(refused(space_config(0, 1), search_config()).contains("[space] nodes: a graph has 1 to 128 nodes"));
        assert!(refused(space_config(129, 1), search_config()).contains("not 129"));
        assert!(refused(space_config(4, 1), search_config()).contains("ws_neighbours"));
        assert!(refused(space_config(5, 1), search_config()).contains("ba_edges"));
        let odd = SearchConfig { ws_neighbours: 3, ..search_config() };
        assert!(refused(space_config(16, 1), odd).contains("even number of neighbours"));
        let unlikely = SearchConfig { er_probability: 1.5, ..search_config() };
        assert!(refused(space_config(16, 1), unlikely).contains("er_probability"));
        // A model that the explorer does not draw may be impossible.
        let only_er = SearchConfig { explorer: vec![ClassicalKind::Er], ws_neighbours: 99, ..search_config() };
        let space = RandWireSpace::new(&space_config(4, 1), &only_er).unwrap();
        assert!(space.explore(&mut stream(0), ClassicalKind::Ws).is_err());
        assert!(space.explore(&mut stream(0), ClassicalKind::Er).is_ok());
    }
}
