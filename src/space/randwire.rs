//! RandWire (Xie et al. 2019): one random graph a stage.

use super::{Architecture, ComponentShape, MAX_STAGES, Space, SpaceError, distinct, first_other};
use crate::config::{ClassicalKind, SearchConfig, SpaceConfig, SpaceKind};
use crate::graph::{CanonicalKey, Classical, Dag, LabelledGraph, canonical_key};
use crate::random::Stream;
use rand::RngExt;

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

    fn model(&self, kind: ClassicalKind) -> Result<Classical, SpaceError> {
        match kind {
            ClassicalKind::Ws => Ok(self.watts_strogatz),
            ClassicalKind::Er => Ok(self.erdos_renyi),
            ClassicalKind::Ba => Ok(self.barabasi_albert),
            ClassicalKind::Uniform | ClassicalKind::Full => Err(SpaceError::Explorer { space: "randwire", kind }),
        }
    }
}

/// The configuration keys that decide about a random graph.
fn keys(kind: ClassicalKind) -> &'static str {
    match kind {
        ClassicalKind::Ws => "[space] nodes, [search] ws_neighbours, ws_rewiring",
        ClassicalKind::Er => "[space] nodes, [search] er_probability",
        ClassicalKind::Ba => "[space] nodes, [search] ba_edges",
        ClassicalKind::Uniform | ClassicalKind::Full => "[search] explorer",
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
            let checked = classical.model(kind)?.check(space.nodes);
            checked.map_err(|source| SpaceError::Graph { keys: keys(kind), source })?;
        }
        Ok(RandWireSpace { nodes: space.nodes, stages: space.stages, classical })
    }

    /// The stages of an architecture of this space.
    fn stages_of<'a>(&self, architecture: &'a Architecture) -> Result<&'a [Dag], SpaceError> {
        let Architecture::RandWire { stages } = architecture else {
            return Err(SpaceError::OtherSpace { found: architecture.space(), expected: "randwire" });
        };
        if stages.len() != self.stages {
            return Err(SpaceError::StageCount { found: stages.len(), expected: self.stages });
        }
        match stages.iter().position(|dag| dag.nodes() != self.nodes) {
            Some(stage) => Err(SpaceError::StageNodes { stage, found: stages[stage].nodes(), expected: self.nodes }),
            None => Ok(stages),
        }
    }
}

impl Space for RandWireSpace {
    fn kind(&self) -> SpaceKind {
        SpaceKind::Randwire
    }

    fn components(&self) -> Vec<ComponentShape> {
        vec![ComponentShape { nodes: self.nodes, operators: 0, edge_operators: 0 }; self.stages]
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
        let stages = self.stages_of(architecture)?;
        Ok(stages.iter().map(|dag| LabelledGraph { dag: dag.clone(), operators: vec![] }).collect())
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        self.stages_of(architecture).map(drop)
    }

    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError> {
        let keys: Vec<CanonicalKey> = self.disassemble(architecture)?.iter().map(canonical_key).collect();
        Ok(CanonicalKey::combine("randwire", &keys))
    }

    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError> {
        let model = self.classical.model(kind)?;
        let draw = |_| model.draw(self.nodes, rng);
        let stages: Result<Vec<Dag>, _> = (0..self.stages).map(draw).collect();
        Ok(Architecture::RandWire { stages: stages.map_err(|source| SpaceError::Graph { keys: keys(kind), source })? })
    }

    /// One edge of one stage flipped, by stage, then by the edge's end and start.
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, SpaceError> {
        let stages = self.stages_of(architecture)?;
        let flips = (0..self.stages).flat_map(|stage| pairs(self.nodes).map(move |edge| (stage, edge)));
        distinct(self, architecture, flips.map(|(stage, edge)| flipped(stages, stage, edge)))
    }

    fn mutate(&self, architecture: &Architecture, rng: &mut Stream) -> Result<Architecture, SpaceError> {
        let stages = self.stages_of(architecture)?;
        let edges: Vec<[usize; 2]> = pairs(self.nodes).collect();
        first_other(self, architecture, || {
            let edge = *edges.get(rng.random_range(0..edges.len().max(1)))?;
            Some(flipped(stages, rng.random_range(0..self.stages), edge))
        })
    }
}

/// All possible edges, by end, then by start.
fn pairs(nodes: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..nodes).flat_map(|to| (0..to).map(move |from| [from, to]))
}

/// The stages with one edge of one of them there instead of absent, or absent instead of there.
fn flipped(stages: &[Dag], stage: usize, [from, to]: [usize; 2]) -> Architecture {
    let mut stages = stages.to_vec();
    stages[stage].flip_edge(from, to);
    Architecture::RandWire { stages }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::random::{Purpose, StreamKey};
    use std::collections::HashSet;

    fn space_config(nodes: usize, stages: usize) -> SpaceConfig {
        SpaceConfig { nodes, stages, ..Config::from_toml("", &[]).unwrap().space }
    }

    fn search_config() -> SearchConfig {
        let explorer = vec![ClassicalKind::Ws, ClassicalKind::Er, ClassicalKind::Ba];
        SearchConfig { explorer, ..Config::from_toml("", &[]).unwrap().search }
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
                    _ => assert!(edges.iter().all(|&edges| edges < 60)),
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

    /// A flip of one edge of one of two stages, and the key of what it makes.
    fn flips(a: &[[usize; 2]], b: &[[usize; 2]]) -> Vec<(usize, Architecture)> {
        let mut made = Vec::new();
        for (stage, edge) in (0..2).flat_map(|stage| [[0, 1], [0, 2], [1, 2]].map(|edge| (stage, edge))) {
            let flip = |edges: &[[usize; 2]]| -> Vec<[usize; 2]> {
                let kept = edges.iter().copied().filter(|&other| other != edge);
                kept.chain((!edges.contains(&edge)).then_some(edge)).collect()
            };
            let (a, b) = if stage == 0 { (flip(a), b.to_vec()) } else { (a.to_vec(), flip(b)) };
            made.push((stage, randwire(&[(3, &a), (3, &b)])));
        }
        made
    }

    #[test]
    fn neighbours_are_the_flips_of_one_edge_up_to_isomorphism() {
        let search = SearchConfig { explorer: vec![], ..search_config() };
        let space = RandWireSpace::new(&space_config(3, 2), &search).unwrap();
        let edges: [&[[usize; 2]]; 2] = [&[[0, 1]], &[[0, 1], [0, 2]]];
        let origin = randwire(&[(3, edges[0]), (3, edges[1])]);
        let found = space.neighbours(&origin).unwrap();
        let keys: HashSet<String> = found.iter().map(|one| space.key(one).unwrap().to_string()).collect();
        assert_eq!(keys.len(), found.len());
        let all = flips(edges[0], edges[1]);
        let expected: HashSet<String> = all.iter().map(|(_, one)| space.key(one).unwrap().to_string()).collect();
        // The second stage without [0, 1] and without [0, 2] are isomorphic.
        assert_eq!((keys.len(), &keys), (5, &expected));
        assert_eq!(space.neighbours(&origin), Ok(found.clone()));
        let mut drawn = HashSet::new();
        for candidate in 0..200 {
            let mutant = space.mutate(&origin, &mut stream(candidate)).unwrap();
            assert_eq!(space.mutate(&origin, &mut stream(candidate)), Ok(mutant.clone()));
            assert!(all.iter().any(|(_, one)| *one == mutant));
            drawn.insert(space.key(&mutant).unwrap().to_string());
        }
        assert_eq!(drawn, expected);
        let single = RandWireSpace::new(&space_config(1, 1), &search).unwrap();
        let lone = randwire(&[(1, &[])]);
        assert_eq!(single.neighbours(&lone), Ok(vec![]));
        assert!(single.mutate(&lone, &mut stream(0)).unwrap_err().to_string().contains("no other legal architecture"));
        assert!(space.neighbours(&lone).is_err() && space.mutate(&lone, &mut stream(0)).is_err());
    }

    #[test]
    fn explorers_of_other_spaces_are_refused() {
        for kind in [ClassicalKind::Uniform, ClassicalKind::Full] {
            let error = space(16, 2).explore(&mut stream(0), kind).unwrap_err().to_string();
            assert!(error.contains("search.explorer: the space randwire has no explorer"), "{error}");
        }
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
