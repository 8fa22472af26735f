//! Drawings of architectures: every stage a layered graph, its sources and sinks marked.

mod layout;
mod ordering;

pub use layout::{LAYER, Layout, Link, NODE, Point, Route};

use super::markup::Escaped;
use crate::graph::Dag;
use crate::space::{Architecture, Cell, CellOperator};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The drawing's rules for a file of its own, on white; the report's page has its own for the same classes.
const STYLE: &str = include_str!("drawing.css");

/// Radius of a node.
const RADIUS: f64 = 9.5;
/// Half the length of the bars that stand for a stage's input and output.
const BAR: f64 = 16.0;
/// Room between stages.
const GUTTER: f64 = 44.0;
/// Room around everything.
const MARGIN: f64 = 14.0;
/// Room for a stage's caption, and for the title and legend of a file of its own.
const CAPTION: f64 = 34.0;
const TITLE: f64 = 34.0;
const LEGEND: f64 = 26.0;
const LEGEND_WIDTH: f64 = 500.0;
/// The least width of a stage, so that captions do not run into each other.
const LEAST_WIDTH: f64 = 150.0;

/// One graph as an SVG file.
pub fn stage(dag: &Dag, title: &str) -> String {
    file(&Drawing::of_stages(std::slice::from_ref(dag), &[]), title)
}

/// A whole architecture as an SVG file.
pub fn architecture(architecture: &Architecture, title: &str) -> String {
    file(&Drawing::new(architecture), title)
}

/// A whole architecture as an `svg` element for a page that styles it.
pub fn inline(architecture: &Architecture, label: &str) -> String {
    let Drawing { body, width, height } = Drawing::new(architecture);
    format!(
        "<svg class=\"drawing\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" aria-label=\"{label}\">\n{body}</svg>\n",
        label = Escaped(label)
    )
}

/// Everything but the `svg` element around it.
struct Drawing {
    body: String,
    width: f64,
    height: f64,
}

impl Drawing {
    fn new(architecture: &Architecture) -> Self {
        match architecture {
            Architecture::RandWire { stages } => Drawing::of_stages(stages, &[]),
            Architecture::Enas(network) => {
                let operators: Vec<&str> = network.operator_names().collect();
                Drawing::of_stages(&[network.dag()], &operators)
            }
            Architecture::NasBench101(cell) => Drawing::of_cell(cell),
            Architecture::NasBench201(cell) => {
                cell.dag().map_or(Drawing { body: String::new(), width: 0.0, height: 0.0 }, |dag| {
                    Drawing::of_stages(&[dag], &[])
                })
            }
            Architecture::Table(cell) => Drawing::of_cell(cell),
        }
    }

    fn of_cell<O: CellOperator>(cell: &Cell<O>) -> Self {
        let operators: Vec<&str> = cell.operators().iter().map(CellOperator::name).collect();
        Drawing::of_stages(std::slice::from_ref(cell.dag()), &operators)
    }

    /// The stages side by side, each one's output led to the next one's input.
    ///
    /// `operators` are those of the nodes, where they have any.
    fn of_stages(stages: &[Dag], operators: &[&str]) -> Self {
        let mut body = String::new();
        let (mut left, mut bottom) = (MARGIN, 0.0f64);
        let mut previous: Option<Point> = None;
        for (index, dag) in stages.iter().enumerate() {
            let layout = Layout::new(dag);
            let width = layout.width.max(LEAST_WIDTH);
            let at = Point { x: left + (width - layout.width) / 2.0, y: CAPTION };
            let input = Point { x: at.x + layout.input.x, y: at.y + layout.input.y };
            if let Some(from) = previous {
                connect(&mut body, from, input, left - GUTTER / 2.0);
            }
            let facts = format!("{} nodes, {} edges, depth {}", dag.nodes(), dag.edge_count(), dag.depth());
            let caption = if stages.len() > 1 { format!("stage {}", index + 1) } else { String::new() };
            text(&mut body, "gp-caption", Point { x: left, y: 14.0 }, &caption);
            text(&mut body, "gp-facts", Point { x: left, y: 28.0 }, &facts);
            draw(&mut body, dag, operators, (&layout, at));
            previous = Some(Point { x: at.x + layout.output.x, y: at.y + layout.output.y });
            bottom = bottom.max(at.y + layout.height);
            left += width + GUTTER;
        }
        Drawing { body, width: left - GUTTER + MARGIN, height: bottom + 4.0 }
    }
}

/// The way from a stage's output, round through the gutter, to the next one's input.
fn connect(body: &mut String, from: Point, to: Point, gutter: f64) {
    let (low, high) = (from.y + 12.0, to.y - 12.0);
    let _ = writeln!(
        body,
        "<path class=\"gp-way\" d=\"M{:.1} {:.1}V{:.1}H{:.1}V{:.1}H{:.1}V{:.1}\"/>",
        from.x, from.y, low, gutter, high, to.x, to.y
    );
}

fn text(body: &mut String, class: &str, at: Point, text: &str) {
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", at.x, at.y, Escaped(text));
}

/// One stage, its top left corner at `at`.
fn draw(body: &mut String, dag: &Dag, operators: &[&str], (layout, at): (&Layout, Point)) {
    let _ = writeln!(body, "<g transform=\"translate({:.1} {:.1})\">", at.x, at.y);
    for (class, path) in strokes(&layout.routes) {
        let _ = writeln!(body, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    for end in [layout.input, layout.output] {
        let (x, y, width) = (end.x - BAR, end.y - 2.5, 2.0 * BAR);
        let _ = writeln!(
            body,
            "<rect class=\"gp-bar\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"5\" rx=\"2.5\"/>"
        );
    }
    for (node, point) in layout.nodes.iter().enumerate() {
        let mut class = String::from("gp-node");
        let inputs: Vec<String> = dag.predecessors(node).map(|from| from.to_string()).collect();
        let operator = operators.get(node).map_or(String::new(), |name| format!(" ({name})"));
        let mut facts = format!("node {node}{operator}: reads {}", inputs.join(", "));
        if inputs.is_empty() {
            class.push_str(" gp-source");
            facts.push_str("the stage's input");
        }
        if dag.successors(node).next().is_none() {
            class.push_str(" gp-sink");
        }
        let _ = writeln!(
            body,
            "<g class=\"{class}\"><title>{}</title><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\"/>\
             <text x=\"{x:.1}\" y=\"{baseline:.1}\">{node}</text></g>",
            Escaped(&facts),
            x = point.x,
            y = point.y,
            baseline = point.y + 3.3
        );
    }
    body.push_str("</g>\n");
}

/// One path for all edges that leave a node, one for the ways from the stage's input, one for those to its output: what
/// edges share is drawn once.
fn strokes(routes: &[Route]) -> Vec<(&'static str, String)> {
    let group = |link: Link| match link {
        Link::Input(_) => (0, 0),
        Link::Output(_) => (1, 0),
        Link::Edge { from, .. } => (2, from),
    };
    let mut groups: BTreeMap<(usize, usize), Vec<[Point; 2]>> = BTreeMap::new();
    for route in routes {
        let pieces = groups.entry(group(route.link)).or_default();
        for pair in route.points.windows(2) {
            let piece = [pair[0], pair[1]];
            if !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
    }
    let class = |kind: usize| if kind < 2 { "gp-end" } else { "gp-edge" };
    groups.into_iter().map(|((kind, _), pieces)| (class(kind), pieces.iter().map(curve).collect())).collect()
}

/// A curve from one point to another below it, upright at both.
fn curve([from, to]: &[Point; 2]) -> String {
    let middle = (from.y + to.y) / 2.0;
    format!("M{:.1} {:.1}C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}", from.x, from.y, from.x, to.x, to.x, to.y)
}

/// A drawing with title and legend, as a file.
fn file(drawing: &Drawing, title: &str) -> String {
    let Drawing { body, width, height } = drawing;
    let (width, height) = (width.max(LEGEND_WIDTH), TITLE + height + LEGEND);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#ffffff\"/>\n\
         <text class=\"gp-title\" x=\"{MARGIN}\" y=\"24\">{title}</text>\n\
         <g transform=\"translate(0 {TITLE})\">\n{body}</g>\n{legend}</svg>\n",
        title = Escaped(title),
        legend = legend(height - LEGEND / 2.0),
    )
}

/// What the marks mean, in one line at height `y`.
fn legend(y: f64) -> String {
    let mut body = String::new();
    let marks =
        [("gp-source", "source: reads the stage's input"), ("gp-sink", "sink: part of the stage's output, the mean")];
    let mut x = MARGIN + 6.0;
    for (class, meaning) in marks {
        let _ = writeln!(body, "<g class=\"gp-node {class}\"><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/></g>");
        text(&mut body, "gp-facts", Point { x: x + 11.0, y: y + 3.5 }, meaning);
        x += 210.0;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use roxmltree::Document;

    fn classes<'a>(document: &'a Document, class: &str) -> Vec<roxmltree::Node<'a, 'a>> {
        let has = |node: &roxmltree::Node| node.attribute("class").is_some_and(|c| c.split(' ').any(|c| c == class));
        document.descendants().filter(has).collect()
    }

    #[test]
    fn a_stage_shows_every_node_and_edge_and_marks_the_ends() {
        let dag = Dag::new(5, &[[0, 2], [1, 2], [1, 3], [0, 4]]).unwrap();
        let text = stage(&dag, "five <nodes> & \"four\" edges");
        let document = Document::parse(&text).unwrap();
        assert_eq!(classes(&document, "gp-title")[0].text(), Some("five <nodes> & \"four\" edges"));
        let strokes: Vec<&str> = classes(&document, "gp-edge").iter().filter_map(|node| node.attribute("d")).collect();
        // Nodes 0 and 1 have readers: 0 the nodes 2 and 4, 1 the nodes 2 and 3, all in the next layer.
        assert_eq!(strokes.iter().map(|d| d.matches('C').count()).collect::<Vec<_>>(), [2, 2]);
        let legend = 1;
        assert_eq!(classes(&document, "gp-node").len(), 5 + 2 * legend);
        assert_eq!(classes(&document, "gp-source").len(), 2 + legend);
        assert_eq!(classes(&document, "gp-sink").len(), 3 + legend);
        assert!(text.contains("node 2: reads 0, 1"));
    }

    #[test]
    fn all_of_an_architecture_lies_within_the_drawing() {
        let ring: Vec<[usize; 2]> = (0..31).map(|i| [i, i + 1]).chain((0..29).map(|i| [i, i + 3])).collect();
        // The largest graph there is, every third pair joined.
        let pairs = (0..128).flat_map(|from| (from + 1..128).map(move |to| [from, to]));
        let dense: Vec<[usize; 2]> = pairs.filter(|[from, to]| (7 * from + to) % 3 == 0).collect();
        let stages = vec![Dag::new(32, &ring).unwrap(), Dag::new(128, &dense).unwrap(), Dag::without_edges(1).unwrap()];
        let text = architecture(&Architecture::RandWire { stages }, "three stages");
        let document = Document::parse(&text).unwrap();
        assert_eq!(classes(&document, "gp-caption").len(), 3);
        let size = |name: &str| document.root_element().attribute(name).unwrap().parse::<f64>().unwrap();
        for circle in document.descendants().filter(|node| node.has_tag_name("circle")) {
            let number = |name: &str| circle.attribute(name).unwrap().parse::<f64>().unwrap();
            let mut place = (number("cx"), number("cy"));
            for group in circle.ancestors().filter_map(|node| node.attribute("transform")) {
                let numbers = group.trim_start_matches("translate(").trim_end_matches(')');
                let (x, y) = numbers.split_once(' ').unwrap();
                place = (place.0 + x.parse::<f64>().unwrap(), place.1 + y.parse::<f64>().unwrap());
            }
            let r = number("r");
            assert!(place.0 >= r && place.0 + r <= size("width"), "{place:?}");
            assert!(place.1 >= r && place.1 + r <= size("height"), "{place:?}");
        }
    }
}
