use super::*;
use crate::config::Config;
use crate::graph::canonical_key;
use crate::random::{Purpose, StreamKey};
use std::collections::HashSet;

fn space(vertices: usize) -> NasBench101Space {
    let config = Config::from_toml("", &[]).unwrap();
    NasBench101Space::new(&SpaceConfig { vertices, ..config.space }, &config.search)
}

fn stream(candidate: u64) -> Stream {
    StreamKey { seed: 3, purpose: Purpose::Explore, candidate, epoch: 0 }.stream()
}

/// A cell of rows of the matrix and letters for the operators: 3, 1, m.
fn cell(rows: &[&str], interior: &str) -> Cell101 {
    let interior = interior.chars().map(|letter| match letter {
        '3' => "conv3x3-bn-relu",
        '1' => "conv1x1-bn-relu",
        _ => "maxpool3x3",
    });
    let names: Vec<&str> = std::iter::once("input").chain(interior).chain(["output"]).collect();
    Cell101::from_flat(&rows.concat(), names.into_iter()).unwrap()
}

/// The cell of the public README of NAS-Bench-101.
fn inception() -> Cell101 {
    cell(&["0111010", "0000001", "0000001", "0000100", "0000001", "0000001", "0000000"], "1333m")
}

fn architecture(cell: &Cell101) -> Architecture {
    Architecture::NasBench101(cell.clone())
}

#[test]
fn the_hash_gives_the_official_vectors() {
    for (cell, expected) in [
        (cell(&["01", "00"], ""), "043721b9c7fe8c5fad811d47d83132ec"),
        (cell(&["010", "001", "000"], "3"), "b49ac8c578b4561d79ac7087988f1c61"),
        (inception(), "28cfc7874f6d200472e1a9dcd8650aa0"),
    ] {
        assert_eq!(hash(&cell).to_string(), expected);
        assert_eq!(CellHash::from_hexadecimal(expected), Some(hash(&cell)));
        assert_eq!(space(7).key(&architecture(&cell)).unwrap().as_str(), expected);
    }
    for text in
        ["", "043721b9c7fe8c5fad811d47d83132e", "g43721b9c7fe8c5fad811d47d83132ec", "+43721b9c7fe8c5fad811d47d83132ec"]
    {
        assert_eq!(CellHash::from_hexadecimal(text), None);
    }
}

#[test]
fn the_space_has_the_official_number_of_cells() {
    for (vertices, cells) in [(2, 1), (3, 7), (4, 91), (5, 2_532), (6, 64_542)] {
        assert_eq!(enumerate(vertices).len(), cells);
    }
}

#[test]
#[ignore = "takes half a minute; the gate, .ci/run, runs it"]
fn the_whole_space_has_the_official_number_of_cells() {
    assert_eq!(enumerate(7).len(), 423_624);
}

/// Operators by label, input and output included.
fn labelled(cell: &Cell101) -> LabelledGraph {
    let operators = cell.operators().iter().map(|operator| (operator.label() + 2) as u8).collect();
    LabelledGraph { dag: cell.dag().clone(), operators }
}

#[test]
fn the_hash_agrees_with_the_exact_canonical_form() {
    let cells = enumerate(5);
    let keys: HashSet<String> = cells.iter().map(|(_, cell)| canonical_key(&labelled(cell)).to_string()).collect();
    assert_eq!(keys.len(), cells.len());
    // Two numberings of one cell.
    let (a, b) = (
        cell(&["01100", "00010", "00001", "00001", "00000"], "3m1"),
        cell(&["01100", "00001", "00010", "00001", "00000"], "m31"),
    );
    assert_eq!((hash(&a), canonical_key(&labelled(&a))), (hash(&b), canonical_key(&labelled(&b))));
}

#[test]
fn pruning_leaves_what_is_on_a_path() {
    // Vertex 1 feeds nothing, vertex 2 reads nothing, vertex 3 is on the path.
    let idle = cell(&["01010", "00000", "00010", "00001", "00000"], "1m3");
    assert_eq!(prune(&idle), Some(cell(&["010", "001", "000"], "3")));
    let whole = inception();
    assert_eq!(prune(&whole).as_ref(), Some(&whole));
    assert_eq!(prune(&cell(&["010", "000", "000"], "3")), None);
    assert_eq!(prune(&cell(&["00", "00"], "")), None);
    assert_eq!(space(5).key(&architecture(&idle)), space(7).key(&architecture(&cell(&["010", "001", "000"], "3"))));
}

#[test]
fn illegal_cells_are_refused_with_their_numbers() {
    let refused = |vertices: usize, cell: &Cell101| {
        let error = space(vertices).check(&architecture(cell)).unwrap_err();
        assert_eq!(space(vertices).key(&architecture(cell)), Err(error.clone()));
        assert_eq!(space(vertices).neighbours(&architecture(cell)), Err(error.clone()));
        error.to_string()
    };
    assert_eq!(refused(6, &inception()), "architecture: a cell of 7 vertices, but space.vertices is 6");
    let dense = cell(&["01111", "00111", "00011", "00001", "00000"], "313");
    assert_eq!(refused(7, &dense), "architecture: a cell of 10 edges after pruning, but there are at most 9");
    assert!(refused(7, &cell(&["00", "00"], "")).contains("no path leads from the cell's input to its output"));
    let other = Architecture::RandWire { stages: vec![] };
    let error = space(7).check(&other).unwrap_err().to_string();
    assert_eq!(error, "architecture: of the space randwire, but this space is nasbench101");
}

#[test]
fn every_cell_survives_the_generators_form() {
    let space = space(6);
    for (key, cell) in enumerate(5) {
        let graphs = space.disassemble(&architecture(&cell)).unwrap();
        assert_eq!((graphs.len(), graphs[0].dag.nodes(), graphs[0].operators.len()), (1, 6, 6));
        assert_eq!(graphs[0].dag.edge_count(), cell.dag().edge_count());
        let back = space.assemble(graphs).unwrap();
        assert_eq!(space.key(&back).unwrap(), CanonicalKey::official(key.0));
    }
    let full = inception();
    let space = super::tests::space(7);
    let graphs = space.disassemble(&architecture(&full)).unwrap();
    assert_eq!((graphs[0].dag.clone(), &graphs[0].operators[..]), (full.dag().clone(), &[0, 1, 0, 0, 0, 2, 0][..]));
    assert_eq!(space.assemble(graphs), Ok(architecture(&full)));
    let graph = LabelledGraph { dag: Dag::new(7, &[[0, 6]]).unwrap(), operators: vec![9, 0, 0, 3, 0, 0, 9] };
    assert_eq!(space.assemble(vec![graph.clone()]), Err(SpaceError::OperatorNumber { most: 2 }));
    // What stands on input and output means nothing.
    let graph = LabelledGraph { operators: vec![9, 0, 0, 2, 0, 0, 9], ..graph };
    assert!(space.assemble(vec![graph.clone()]).is_ok());
    assert!(
        space.assemble(vec![graph.clone(), graph]).unwrap_err().to_string().contains("2 graphs, but a cell is one")
    );
}

#[test]
fn neighbours_are_all_cells_one_edit_away() {
    let full = inception();
    let space = space(7);
    let found = space.neighbours(&architecture(&full)).unwrap();
    // Every edit on texts, made distinct by the exact canonical form.
    let (bits, names) = (full.adjacency(), full.operators().iter().map(|o| o.label()).collect::<Vec<_>>());
    let legal = |cell: &Cell101| prune(cell).filter(|pruned| pruned.dag().edge_count() <= 9);
    let mut expected = HashSet::new();
    let mut add = |bits: &str, labels: &[i8]| {
        let name = |label: &i8| match label {
            -2 => "output",
            -1 => "input",
            0 => "conv3x3-bn-relu",
            1 => "conv1x1-bn-relu",
            _ => "maxpool3x3",
        };
        let edited = Cell101::from_flat(bits, labels.iter().map(name)).unwrap();
        expected.extend(legal(&edited).map(|pruned| canonical_key(&labelled(&pruned))));
    };
    for place in (0..49).filter(|place| place / 7 < place % 7) {
        let mut edited: Vec<u8> = bits.bytes().collect();
        edited[place] = if edited[place] == b'0' { b'1' } else { b'0' };
        add(&String::from_utf8(edited).unwrap(), &names);
    }
    for (vertex, other) in (1..6).flat_map(|vertex| (0..3).map(move |other| (vertex, other))) {
        let mut labels = names.clone();
        labels[vertex] = other;
        add(&bits, &labels);
    }
    let own = canonical_key(&labelled(&full));
    expected.remove(&own);
    let keys: HashSet<CanonicalKey> =
        found.iter().map(|one| canonical_key(&labelled(&prune(space.cell(one).unwrap()).unwrap()))).collect();
    assert_eq!((keys.len(), &keys), (found.len(), &expected));
    assert!(found.len() > 10, "{}", found.len());
}

#[test]
fn a_single_edit_can_put_another_vertex_to_use() {
    let space = space(4);
    let smallest = architecture(&cell(&["01", "00"], ""));
    let keys: Vec<String> =
        space.neighbours(&smallest).unwrap().iter().map(|one| space.key(one).unwrap().to_string()).collect();
    let grown = hash(&cell(&["011", "001", "000"], "3")).to_string();
    assert_eq!(keys, [grown]);
}

#[test]
fn mutations_are_legal_new_and_of_the_published_rate() {
    let space = space(7);
    let origin = architecture(&inception());
    let (mut edges, mut operators, draws) = (0, 0, 3000);
    for n in 0..draws {
        let mutant = space.mutate(&origin, &mut stream(n)).unwrap();
        assert_ne!(space.key(&mutant), space.key(&origin));
        let mutant = space.cell(&mutant).unwrap();
        let pairs = inception().adjacency().bytes().zip(mutant.adjacency().bytes()).filter(|(a, b)| a != b).count();
        edges += pairs;
        operators += inception().operators().iter().zip(mutant.operators()).filter(|(a, b)| a != b).count();
    }
    // Three edges and one operator before rejection, which favours small edits (few edges are free) but forbids none at all.
    let (edges, operators) = (edges as f64 / draws as f64, operators as f64 / draws as f64);
    assert!((1.0..=3.2).contains(&edges), "{edges}");
    assert!((0.8..=1.5).contains(&operators), "{operators}");
}

#[test]
fn explorers_draw_legal_cells_of_their_kind() {
    let space = space(7);
    let drawn = |kind| (0..300).map(|n| space.explore(&mut stream(n), kind).unwrap()).collect::<Vec<_>>();
    let mut sizes = [0; 8];
    for architecture in drawn(ClassicalKind::Uniform) {
        sizes[space.cell(&architecture).unwrap().nodes()] += 1;
    }
    assert!(sizes[3..].iter().all(|&count| count > 20), "{sizes:?}");
    for kind in [ClassicalKind::Full, ClassicalKind::Er] {
        for architecture in drawn(kind) {
            assert_eq!(space.cell(&architecture).unwrap().nodes(), 7);
        }
    }
    assert!(space.explore(&mut stream(0), ClassicalKind::Ws).unwrap_err().to_string().contains("search.explorer"));
}
