//! ENAS's macro space (Pham et al. 2018): a chain of layers, each with one of six operators, and skips between layers
//! that do not follow one another.

use super::{Architecture, ComponentShape, Space, SpaceError, distinct, first_other};
use crate::config::{ClassicalKind, SearchConfig, SpaceConfig, SpaceKind};
use crate::graph::{CanonicalKey, Dag, GraphError, LabelledGraph, canonical_key};
use crate::random::Stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The operators of a layer, by number.
pub const OPERATORS: [&str; 6] = ["conv3x3", "sepconv3x3", "conv5x5", "sepconv5x5", "avgpool3x3", "maxpool3x3"];

/// Probability of a skip in a `uniform` draw.
const UNIFORM_SKIPS: f64 = 0.5;

/// Operators and skips of a network of the macro space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct MacroNetwork {
    /// One a layer, below [`OPERATORS`]' length.
    operators: Vec<u8>,
    /// The skips, without the chain.
    skips: Dag,
}

/// Why layers and skips are no network of the macro space.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum MacroError {
    /// An operator that there is not.
    #[error("ops[{layer}] is {found:?}: must be one of {}", OPERATORS.join(", "))]
    Operator {
        /// The layer.
        layer: usize,
        /// Its operator.
        found: String,
    },
    /// A skip between neighbours, which follow one another anyway.
    #[error("skips[{number}] is [{from}, {to}]: a skip passes at least one layer by")]
    Chain {
        /// Which skip.
        number: usize,
        /// Where it begins.
        from: usize,
        /// Where it ends.
        to: usize,
    },
    /// Skips that make no graph.
    #[error("skips: {0}")]
    Graph(#[from] GraphError),
}

/// The exchange form. The tag is there when a whole text is read at once, and gone when serde took it away before.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "space", default, skip_serializing)]
    _space: Option<String>,
    ops: Vec<String>,
    skips: Vec<[usize; 2]>,
}

impl TryFrom<Text> for MacroNetwork {
    type Error = MacroError;

    fn try_from(text: Text) -> Result<Self, MacroError> {
        let operator = |(layer, name): (usize, &String)| {
            let found = OPERATORS.iter().position(|operator| operator == name);
            let shown = || name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
            found.map(|number| number as u8).ok_or_else(|| MacroError::Operator { layer, found: shown() })
        };
        let operators = text.ops.iter().enumerate().map(operator).collect::<Result<_, _>>()?;
        let skips = Dag::new(text.ops.len(), &text.skips)?;
        match text.skips.iter().position(|[from, to]| from + 1 == *to) {
            Some(number) => {
                let [from, to] = text.skips[number];
                Err(MacroError::Chain { number, from, to })
            }
            None => Ok(MacroNetwork { operators, skips }),
        }
    }
}

impl From<MacroNetwork> for Text {
    fn from(network: MacroNetwork) -> Self {
        let ops = network.operator_names().map(String::from).collect();
        Text { _space: None, ops, skips: network.skips.edges().collect() }
    }
}

impl MacroNetwork {
    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.operators.len()
    }

    /// The operators, one a layer, by their number in [`OPERATORS`].
    pub fn operators(&self) -> &[u8] {
        &self.operators
    }

    /// The operators' names.
    pub fn operator_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.operators.iter().map(|&operator| OPERATORS[usize::from(operator)])
    }

    /// The skips, without the chain.
    pub fn skips(&self) -> &Dag {
        &self.skips
    }

    /// The skips and the chain of the layers.
    pub fn dag(&self) -> Dag {
        let mut dag = self.skips.clone();
        (1..self.layers()).for_each(|layer| dag.add_edge(layer - 1, layer));
        dag
    }

    /// The network of a graph whose chain is of no meaning; `None` where it has not one known operator a node.
    fn of(graph: &LabelledGraph) -> Option<Self> {
        let known = graph.operators.iter().all(|&operator| usize::from(operator) < OPERATORS.len());
        if !known || graph.operators.len() != graph.dag.nodes() {
            return None;
        }
        let mut skips = graph.dag.clone();
        for layer in (1..skips.nodes()).filter(|&layer| graph.dag.has_edge(layer - 1, layer)) {
            skips.flip_edge(layer - 1, layer);
        }
        Some(MacroNetwork { operators: graph.operators.clone(), skips })
    }
}

/// All networks of so many layers. To the generator one is a graph of the layers with their operators, whose edges are the
/// skips and the chain; of a graph that it draws the chain's edges are of no meaning.
pub struct EnasSpace {
    layers: usize,
    skip_probability: f64,
}

impl EnasSpace {
    /// The networks of `space.layers` layers.
    pub fn new(space: &SpaceConfig, search: &SearchConfig) -> Self {
        EnasSpace { layers: space.layers, skip_probability: search.er_probability }
    }

    fn network<'a>(&self, architecture: &'a Architecture) -> Result<&'a MacroNetwork, SpaceError> {
        let Architecture::Enas(network) = architecture else {
            return Err(SpaceError::OtherSpace { found: architecture.space(), expected: "enas" });
        };
        if network.layers() != self.layers {
            let message = format!("{} layers, but space.layers is {}", network.layers(), self.layers);
            return Err(SpaceError::Shape(message));
        }
        Ok(network)
    }

    fn graph(&self, architecture: &Architecture) -> Result<LabelledGraph, SpaceError> {
        let network = self.network(architecture)?;
        Ok(LabelledGraph { dag: network.dag(), operators: network.operators.clone() })
    }

    /// All possible skips, by end, then by start.
    fn skips(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        (2..self.layers).flat_map(|to| (0..to - 1).map(move |from| [from, to]))
    }
}

/// The network with one skip there instead of absent, or absent instead of there.
fn flipped(network: &MacroNetwork, [from, to]: [usize; 2]) -> Architecture {
    let mut network = network.clone();
    network.skips.flip_edge(from, to);
    Architecture::Enas(network)
}

/// The network with another operator of one layer: the one so many places further.
fn changed(network: &MacroNetwork, layer: usize, step: usize) -> Architecture {
    let mut network = network.clone();
    let operator = (usize::from(network.operators[layer]) + step) % OPERATORS.len();
    network.operators[layer] = operator as u8;
    Architecture::Enas(network)
}

impl Space for EnasSpace {
    fn kind(&self) -> SpaceKind {
        SpaceKind::Enas
    }

    fn components(&self) -> Vec<ComponentShape> {
        vec![ComponentShape { nodes: self.layers, operators: OPERATORS.len(), edge_operators: 0 }]
    }

    fn assemble(&self, graphs: Vec<LabelledGraph>) -> Result<Architecture, SpaceError> {
        let graph = super::only_graph(graphs, self.layers, self.layers)?;
        let network = MacroNetwork::of(&graph).ok_or(SpaceError::OperatorNumber { most: OPERATORS.len() - 1 })?;
        Ok(Architecture::Enas(network))
    }

    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, SpaceError> {
        Ok(vec![self.graph(architecture)?])
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        self.network(architecture).map(drop)
    }

    /// The chain fixes the order of the layers, so isomorphic networks are equal.
    fn key(&self, architecture: &Architecture) -> Result<CanonicalKey, SpaceError> {
        Ok(CanonicalKey::combine("enas", &[canonical_key(&self.graph(architecture)?)]))
    }

    /// `uniform`: every network as likely; `er`: uniform operators, every skip with probability `er_probability`.
    fn explore(&self, rng: &mut Stream, kind: ClassicalKind) -> Result<Architecture, SpaceError> {
        let probability = match kind {
            ClassicalKind::Uniform => UNIFORM_SKIPS,
            ClassicalKind::Er => self.skip_probability,
            _ => return Err(SpaceError::Explorer { space: "enas", kind }),
        };
        let operators = (0..self.layers).map(|_| rng.random_range(0..OPERATORS.len()) as u8).collect();
        let mut skips =
            Dag::without_edges(self.layers).map_err(|source| SpaceError::Graph { keys: "[space] layers", source })?;
        for [from, to] in self.skips() {
            if rng.random_bool(probability) {
                skips.add_edge(from, to);
            }
        }
        Ok(Architecture::Enas(MacroNetwork { operators, skips }))
    }

    /// Every skip flipped, by end, then by start; then every operator changed.
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, SpaceError> {
        let network = self.network(architecture)?;
        let flips = self.skips().map(|skip| flipped(network, skip));
        let steps = (0..self.layers).flat_map(|layer| (1..OPERATORS.len()).map(move |step| (layer, step)));
        let changes = steps.map(|(layer, step)| changed(network, layer, step));
        distinct(self, architecture, flips.chain(changes))
    }

    fn mutate(&self, architecture: &Architecture, rng: &mut Stream) -> Result<Architecture, SpaceError> {
        let network = self.network(architecture)?;
        let skips: Vec<[usize; 2]> = self.skips().collect();
        let changes = self.layers * (OPERATORS.len() - 1);
        first_other(self, architecture, || {
            let edit = rng.random_range(0..skips.len() + changes);
            Some(match edit.checked_sub(skips.len()) {
                None => flipped(network, skips[edit]),
                Some(change) => changed(network, change % self.layers, 1 + change / self.layers),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::random::{Purpose, StreamKey};
    use crate::space::read_architecture;
    use std::collections::HashSet;

    const THREE: &str = r#"{"space":"enas","ops":["conv3x3","avgpool3x3","sepconv5x5"],"skips":[[0,2]]}"#;

    fn space(layers: usize) -> EnasSpace {
        let config = Config::from_toml("", &[]).unwrap();
        EnasSpace::new(&SpaceConfig { layers, ..config.space }, &config.search)
    }

    fn stream(candidate: u64) -> Stream {
        StreamKey { seed: 5, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
    }

    #[test]
    fn the_exchange_format_is_read_and_written() {
        let network = read_architecture(THREE).unwrap();
        assert_eq!(serde_json::to_string(&network).unwrap(), THREE);
        assert_eq!(serde_json::from_str::<Architecture>(THREE).unwrap(), network);
        space(3).check(&network).unwrap();
        for (text, part) in [
            (THREE.replace("avgpool3x3", "pool"), "ops[1] is \"pool\": must be one of conv3x3, sepconv3x3"),
            (THREE.replace("[0,2]", "[0,1]"), "skips[0] is [0, 1]: a skip passes at least one layer by"),
            (THREE.replace("[0,2]", "[0,3]"), "skips: edge [0, 3] is not from a lower to a higher"),
            (THREE.replace("[0,2]", "[0,2],[0,2]"), "skips: edge [0, 2] is given twice"),
            (THREE.replace(r#""conv3x3","avgpool3x3","sepconv5x5""#, ""), "a graph has 1 to 128 nodes"),
            (THREE.replace("skips", "edges"), "edges: unknown field `edges`"),
        ] {
            let error = read_architecture(&text).unwrap_err().to_string();
            assert!(error.starts_with("architecture: ") && error.contains(part), "{text}\n{error}");
        }
        let error = space(4).check(&network).unwrap_err().to_string();
        assert_eq!(error, "architecture: 3 layers, but space.layers is 4");
    }

    #[test]
    fn graphs_of_a_generator_are_networks_whatever_their_chain() {
        let space = space(6);
        for candidate in 0..30 {
            let kind = [ClassicalKind::Uniform, ClassicalKind::Er][candidate as usize % 2];
            let network = space.explore(&mut stream(candidate), kind).unwrap();
            let mut graphs = space.disassemble(&network).unwrap();
            assert!((1..6).all(|layer| graphs[0].dag.has_edge(layer - 1, layer)));
            assert_eq!(space.assemble(graphs.clone()).unwrap(), network);
            graphs[0].dag.flip_edge(2, 3);
            assert_eq!(space.assemble(graphs.clone()).unwrap(), network);
            graphs[0].operators[1] = 6;
            assert!(space.assemble(graphs).unwrap_err().is_rejection());
        }
    }

    #[test]
    fn keys_differ_wherever_networks_do_and_neighbours_are_all_single_edits() {
        let space = space(4);
        let network = space.explore(&mut stream(1), ClassicalKind::Uniform).unwrap();
        let neighbours = space.neighbours(&network).unwrap();
        // Three skips and four times five other operators.
        assert_eq!(neighbours.len(), 3 + 20);
        let mut keys: HashSet<String> = neighbours.iter().map(|other| space.key(other).unwrap().to_string()).collect();
        assert!(keys.insert(space.key(&network).unwrap().to_string()) && keys.len() == 24);
        let mutants: HashSet<Architecture> =
            (0..1000).map(|number| space.mutate(&network, &mut stream(number)).unwrap()).collect();
        assert_eq!(mutants, neighbours.into_iter().collect());
    }

    #[test]
    fn uniform_draws_are_uniform() {
        let space = space(3);
        let (mut skips, mut operators) = (0, [0i32; 6]);
        for number in 0..3000 {
            let Architecture::Enas(network) = space.explore(&mut stream(number), ClassicalKind::Uniform).unwrap()
            else {
                panic!("another space");
            };
            skips += network.skips().edge_count() as i32;
            network.operators().iter().for_each(|&operator| operators[usize::from(operator)] += 1);
        }
        assert!((skips - 1500).abs() <= 150, "{skips}");
        assert!(operators.iter().all(|&count| (count - 1500).abs() <= 180), "{operators:?}");
        assert!(space.explore(&mut stream(0), ClassicalKind::Ws).is_err());
    }
}
