//! Graphviz DOT text.

use super::LabelledGraph;
use std::fmt::Write;

/// The stages of an architecture, one after the other, as one directed graph in Graphviz's DOT language.
///
/// Each stage is a box. What enters a stage goes to its sources; its sinks join in what leaves it, which enters the next
/// stage. A node shows its number and, where it has an operator, that operator's name in `operator_names` (its number
/// where there is no name).
pub fn to_dot(title: &str, stages: &[LabelledGraph], operator_names: &[&str]) -> String {
    let mut text = format!("digraph {} {{\n", quoted(title));
    text.push_str("  rankdir=TB;\n  node [shape=circle];\n  join0 [shape=box, label=\"input\"];\n");
    for (stage, graph) in stages.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  subgraph cluster{stage} {{\n    label=\"stage {stage}\";");
        for node in 0..graph.dag.nodes() {
            let label = quoted(&label(graph, node, operator_names));
            let _ = writeln!(text, "    s{stage}n{node} [label={label}];");
        }
        for [from, to] in graph.dag.edges() {
            let _ = writeln!(text, "    s{stage}n{from} -> s{stage}n{to};");
        }
        text.push_str("  }\n");
        push_joints(&mut text, stage, graph, stage + 1 == stages.len());
    }
    text.push_str("}\n");
    text
}

/// The edges into and out of a stage, and the point where its sinks join.
fn push_joints(text: &mut String, stage: usize, graph: &LabelledGraph, last: bool) {
    let next = stage + 1;
    let shape = if last { "shape=box, label=\"output\"" } else { "shape=point" };
    let _ = writeln!(text, "  join{next} [{shape}];");
    for source in graph.dag.sources() {
        let _ = writeln!(text, "  join{stage} -> s{stage}n{source};");
    }
    for sink in graph.dag.sinks() {
        let _ = writeln!(text, "  s{stage}n{sink} -> join{next};");
    }
}

fn label(graph: &LabelledGraph, node: usize, operator_names: &[&str]) -> String {
    match graph.operators.get(node).map(|&operator| (operator, operator_names.get(usize::from(operator)))) {
        None => node.to_string(),
        Some((_, Some(name))) => format!("{node}: {name}"),
        Some((operator, None)) => format!("{node}: {operator}"),
    }
}

/// A DOT string: only the quote and the backslash have a meaning inside.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dag;

    #[test]
    fn two_stages_are_chained_by_their_sources_and_sinks() {
        let first = LabelledGraph { dag: Dag::new(3, &[[0, 1], [0, 2]]).unwrap(), operators: vec![] };
        let second = LabelledGraph { dag: Dag::without_edges(1).unwrap(), operators: vec![1] };
        let text = to_dot("a \"b\" \\", &[first, second], &["conv", "pool"]);
        let expected = r#"digraph "a \"b\" \\" {
  rankdir=TB;
  node [shape=circle];
  join0 [shape=box, label="input"];
  subgraph cluster0 {
    label="stage 0";
    s0n0 [label="0"];
    s0n1 [label="1"];
    s0n2 [label="2"];
    s0n0 -> s0n1;
    s0n0 -> s0n2;
  }
  join1 [shape=point];
  join0 -> s0n0;
  s0n1 -> join1;
  s0n2 -> join1;
  subgraph cluster1 {
    label="stage 1";
    s1n0 [label="0: pool"];
  }
  join2 [shape=box, label="output"];
  join1 -> s1n0;
  s1n0 -> join2;
}
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn an_operator_without_a_name_shows_its_number() {
        let graph = LabelledGraph { dag: Dag::without_edges(1).unwrap(), operators: vec![7] };
        assert!(to_dot("x", &[graph], &[]).contains("label=\"0: 7\""));
    }
}
