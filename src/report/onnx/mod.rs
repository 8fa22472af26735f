//! A trained network as ONNX: the inference graph, from normalised images to logits.
//!
//! Batch normalisations become nodes of their own after the convolution they belong to (readers fold them into it);
//! sigmoids of the edge logits become constants; dropout is not there.

pub mod proto;

use crate::net::{
    BatchNorm, Op, OpKind, ParameterId, Plan, Pooling, ValueId, Weighting, Weights, WeightsError, Window,
};
use prost::Message;
use proto::*;
use std::collections::HashSet;

/// The version of ONNX's operators that is asked for: the oldest that has every one in its present form.
pub const OPSET: i64 = 13;
/// The version of the file format.
pub const IR_VERSION: i64 = 8;
/// Added to the running variance, as in training.
const EPSILON: f32 = 1e-5;

const IMAGES: &str = "images";
const LOGITS: &str = "logits";

/// The network as the bytes of an ONNX file. Its input `images` is `(N, channels, height, width)`, normalised; its output
/// `logits` is `(N, classes)`; N is free. `metadata` becomes `metadata_props` (see [`preprocessing`]).
///
/// # Errors
/// The weights are not those of the plan.
pub fn onnx(plan: &Plan, weights: &Weights, metadata: &[(String, String)]) -> Result<Vec<u8>, WeightsError> {
    weights.check(plan)?;
    let mut exporter = Exporter { plan, weights, graph: GraphProto::default(), constants: HashSet::new() };
    for op in &plan.ops {
        exporter.operation(op);
    }
    let image = plan.image;
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(GraphProto {
            name: "network".into(),
            input: vec![batch_of(IMAGES, &[image.channels, image.height, image.width])],
            output: vec![batch_of(LOGITS, &[plan.classes])],
            ..exporter.graph
        }),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: (metadata.iter())
            .map(|(key, value)| StringStringEntryProto { key: key.clone(), value: value.clone() })
            .collect(),
    };
    Ok(model.encode_to_vec())
}

/// Metadata that say what `images` are: pixels divided by 255, less the mean, over the standard deviation, by channel.
/// `classes` name the logits, in order.
pub fn preprocessing(mean: &[f64], standard_deviation: &[f64], classes: &[String]) -> Vec<(String, String)> {
    let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    vec![
        ("images".into(), "(pixel / 255 - mean) / std, NCHW".into()),
        ("mean".into(), list(mean)),
        ("std".into(), list(standard_deviation)),
        ("classes".into(), classes.join(",")),
    ]
}

struct Exporter<'a> {
    plan: &'a Plan,
    weights: &'a Weights,
    graph: GraphProto,
    /// Names of the initializers that are written already.
    constants: HashSet<String>,
}

/// A node to be added.
struct Node<'a> {
    operator: &'a str,
    /// Names the node.
    name: String,
    inputs: Vec<String>,
    output: String,
    attributes: Vec<AttributeProto>,
}

impl Exporter<'_> {
    fn operation(&mut self, op: &Op) {
        let to = self.value_name(op.output);
        match op.kind {
            OpKind::Stem { weight, stride } => {
                self.convolution(
                    IMAGES.into(),
                    op.output,
                    Convolution { weight, window: Window::new(3, stride), groups: 1 },
                );
            }
            OpKind::Node { weighting, depthwise, pointwise, stride } => {
                let sum = self.aggregate(op, weighting);
                let active = self.unary("Relu", sum, format!("{to}.relu"));
                let spatial = format!("{to}.depthwise");
                let groups = self.dimension(depthwise);
                let convolution = Convolution { weight: depthwise, window: Window::new(3, stride), groups };
                self.convolution_to(active, spatial.clone(), convolution);
                let convolution = Convolution { weight: pointwise, window: Window::new(1, 1), groups: 1 };
                self.convolution(spatial, op.output, convolution);
            }
            OpKind::Mean => {
                let inputs = self.names(&op.inputs);
                let name = self.before_norm(op.output);
                self.add(Node { operator: "Mean", name: to, inputs, output: name, attributes: vec![] });
                self.normalise(op.output);
            }
            OpKind::Pointwise { weight } => {
                let mean = self.aggregate(op, Weighting::Mean);
                self.convolution(mean, op.output, Convolution { weight, window: Window::new(1, 1), groups: 1 });
            }
            OpKind::Classifier { weight, bias, relu } => self.classifier(op, (weight, bias), relu),
            kind => self.activating(op, kind),
        }
    }

    /// The operations that activate every input by itself.
    fn activating(&mut self, op: &Op, kind: OpKind) {
        let to = self.value_name(op.output);
        match kind {
            OpKind::Convolution { weight, window } => {
                let sum = self.sum_of_first(op, self.plan.parameters[weight.0].dimensions[1]);
                match window.shift {
                    0 => self.convolution(sum, op.output, Convolution { weight, window, groups: 1 }),
                    _ => self.shifted_convolution(op, sum, (weight, window)),
                }
            }
            OpKind::Separable { depthwise, pointwise, window } => {
                let groups = self.dimension(depthwise);
                let sum = self.sum_of_first(op, groups);
                let spatial = format!("{to}.depthwise");
                self.convolution_to(sum, spatial.clone(), Convolution { weight: depthwise, window, groups });
                let convolution = Convolution { weight: pointwise, window: Window::new(1, 1), groups: 1 };
                self.convolution(spatial, op.output, convolution);
            }
            OpKind::Pool { pooling, window } => {
                let sum = self.sum_of_first(op, self.plan.values[op.output.0].channels);
                self.pool(op, sum, (pooling, window));
            }
            OpKind::Concatenation => {
                let (inputs, output) = (self.names(&op.inputs), self.before_norm(op.output));
                self.add(Node { operator: "Concat", name: to, inputs, output, attributes: vec![int("axis", 1)] });
                self.normalise(op.output);
            }
            _ => {
                let (inputs, output) = (self.names(&op.inputs), self.before_norm(op.output));
                self.add(Node { operator: "Sum", name: to, inputs, output, attributes: vec![] });
                self.normalise(op.output);
            }
        }
    }

    fn pool(&mut self, op: &Op, input: String, (pooling, window): (Pooling, Window)) {
        let mut attributes = self.window_attributes(op.inputs[0], window);
        let operator = match pooling {
            Pooling::Max => "MaxPool",
            Pooling::Average => {
                attributes.push(int("count_include_pad", 0));
                "AveragePool"
            }
        };
        let (name, output) = (self.value_name(op.output), self.before_norm(op.output));
        self.add(Node { operator, name, inputs: vec![input], output, attributes });
        self.normalise(op.output);
    }

    /// The sum of the first channels of the inputs.
    fn sum_of_first(&mut self, op: &Op, channels: usize) -> String {
        let to = self.value_name(op.output);
        let inputs: Vec<String> = (op.inputs.iter().enumerate())
            .map(|(position, &input)| {
                let name = self.value_name(input);
                match self.plan.values[input.0].channels == channels {
                    true => name,
                    false => self.slice(name, format!("{to}.input.{position}"), (1, 0, channels)),
                }
            })
            .collect();
        if let [only] = &inputs[..] {
            return only.clone();
        }
        let sum = format!("{to}.sum");
        self.add(Node { operator: "Sum", name: sum.clone(), inputs, output: sum.clone(), attributes: vec![] });
        sum
    }

    /// A convolution whose windows are moved down and right, which is one of an image without its first rows and columns.
    fn shifted_convolution(&mut self, op: &Op, input: String, (weight, window): (ParameterId, Window)) {
        let (to, shape) = (self.value_name(op.output), self.plan.values[op.inputs[0].0]);
        let rows = self.slice(input, format!("{to}.rows"), (2, window.shift, shape.height));
        let input = self.slice(rows, format!("{to}.columns"), (3, window.shift, shape.width));
        let mut attributes = vec![int("group", 1)];
        attributes.extend(self.window_attributes(op.inputs[0], window));
        let inputs = vec![input, self.parameter(weight)];
        let (name, output) = (self.module(weight), self.before_norm(op.output));
        self.add(Node { operator: "Conv", name, inputs, output, attributes });
        self.normalise(op.output);
    }

    /// Elements `start..end` of an axis.
    fn slice(&mut self, input: String, output: String, (axis, start, end): (usize, usize, usize)) -> String {
        let constant = |exporter: &mut Self, value: usize| {
            let name = format!("integer.{value}");
            if exporter.constants.insert(name.clone()) {
                exporter.graph.initializer.push(TensorProto {
                    dims: vec![1],
                    data_type: INT64,
                    name: name.clone(),
                    raw_data: (value as i64).to_le_bytes().into(),
                });
            }
            name
        };
        let mut inputs = vec![input];
        inputs.extend([start, end, axis].map(|value| constant(self, value)));
        let name = output.clone();
        self.add(Node { operator: "Slice", name, inputs, output: output.clone(), attributes: vec![] });
        output
    }

    fn classifier(&mut self, op: &Op, (weight, bias): (ParameterId, ParameterId), relu: bool) {
        let features = self.aggregate(op, Weighting::Mean);
        let active = match relu {
            true => self.unary("Relu", features, "features.relu".into()),
            false => features,
        };
        let pooled = self.unary("GlobalAveragePool", active, "features.pool".into());
        let flat = self.unary("Flatten", pooled, "features".into());
        let inputs = vec![flat, self.parameter(weight), self.parameter(bias)];
        let name = self.module(weight);
        let attributes = vec![int("transB", 1)];
        self.add(Node { operator: "Gemm", name, inputs, output: LOGITS.into(), attributes });
    }

    /// The sum that an operation begins with; an operation on one input reads it as it is.
    fn aggregate(&mut self, op: &Op, weighting: Weighting) -> String {
        let inputs = self.names(&op.inputs);
        let to = self.value_name(op.output);
        match weighting {
            Weighting::Sigmoid(logits) => {
                let terms = inputs.into_iter().enumerate().map(|(edge, input)| self.weighted(&to, logits, edge, input));
                let (inputs, sum) = (terms.collect(), format!("{to}.sum"));
                self.add(Node { operator: "Sum", name: sum.clone(), inputs, output: sum.clone(), attributes: vec![] });
                sum
            }
            Weighting::Mean if inputs.len() > 1 => {
                let mean = format!("{to}.mean");
                self.add(Node {
                    operator: "Mean",
                    name: mean.clone(),
                    inputs,
                    output: mean.clone(),
                    attributes: vec![],
                });
                mean
            }
            Weighting::Single | Weighting::Mean => inputs.into_iter().next().unwrap_or_else(|| IMAGES.into()),
        }
    }

    /// `sigmoid(logits[edge]) * input`
    fn weighted(&mut self, to: &str, logits: ParameterId, edge: usize, input: String) -> String {
        let logit = self.weights.tensors[logits.0].data[edge];
        let name = format!("{}.sigmoid.{edge}", self.plan.parameters[logits.0].name);
        self.constant(&name, &[], &[1.0 / (1.0 + (-logit).exp())]);
        let term = format!("{to}.term.{edge}");
        let inputs = vec![input, name];
        self.add(Node { operator: "Mul", name: term.clone(), inputs, output: term.clone(), attributes: vec![] });
        term
    }

    /// A convolution that writes a value of the plan, and that value's batch normalisation.
    fn convolution(&mut self, input: String, output: ValueId, convolution: Convolution) {
        self.convolution_to(input, self.before_norm(output), convolution);
        self.normalise(output);
    }

    fn convolution_to(&mut self, input: String, output: String, convolution: Convolution) {
        let Convolution { weight, window, groups } = convolution;
        let mut attributes = vec![int("group", groups)];
        attributes.extend(window_attributes(window, [window.border(); 2]));
        let inputs = vec![input, self.parameter(weight)];
        let name = self.module(weight);
        self.add(Node { operator: "Conv", name, inputs, output, attributes });
    }

    /// Windows over a value, which end where the last one does.
    fn window_attributes(&self, input: ValueId, window: Window) -> Vec<AttributeProto> {
        let shape = self.plan.values[input.0];
        let after = |size: usize| {
            let end = window.stride * (window.outputs(size) - 1) + window.shift + window.size;
            end.saturating_sub(size + window.border())
        };
        window_attributes(window, [after(shape.height), after(shape.width)]).into()
    }

    /// Applies the value's batch normalisation, so that every reader finds it applied.
    fn normalise(&mut self, value: ValueId) {
        let Some(BatchNorm { gamma, beta, running_mean, running_variance }) = self.plan.values[value.0].norm else {
            return;
        };
        let mut inputs = vec![self.before_norm(value)];
        inputs.extend([gamma, beta, running_mean, running_variance].map(|id| self.parameter(id)));
        let (name, normalised) = (self.module(gamma), self.value_name(value));
        let relu = self.plan.values[value.0].relu;
        let output = if relu { format!("{normalised}.norm") } else { normalised.clone() };
        let attributes = vec![float("epsilon", EPSILON)];
        self.add(Node { operator: "BatchNormalization", name, inputs, output: output.clone(), attributes });
        if relu {
            let name = format!("{normalised}.relu");
            self.add(Node { operator: "Relu", name, inputs: vec![output], output: normalised, attributes: vec![] });
        }
    }

    fn unary(&mut self, operator: &str, input: String, output: String) -> String {
        let name = output.clone();
        self.add(Node { operator, name, inputs: vec![input], output: output.clone(), attributes: vec![] });
        output
    }

    fn add(&mut self, node: Node) {
        self.graph.node.push(NodeProto {
            input: node.inputs,
            output: vec![node.output],
            name: node.name,
            op_type: node.operator.into(),
            attribute: node.attributes,
        });
    }

    /// Makes a tensor of the network a constant of the graph and returns its name.
    fn parameter(&mut self, id: ParameterId) -> String {
        let tensor = &self.weights.tensors[id.0];
        self.constant(&tensor.name, &tensor.dimensions, &tensor.data);
        tensor.name.clone()
    }

    fn constant(&mut self, name: &str, dimensions: &[usize], data: &[f32]) {
        if self.constants.insert(name.into()) {
            self.graph.initializer.push(TensorProto {
                dims: dimensions.iter().map(|&d| d as i64).collect(),
                data_type: FLOAT,
                name: name.into(),
                raw_data: data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            });
        }
    }

    fn names(&self, values: &[ValueId]) -> Vec<String> {
        values.iter().map(|&value| self.value_name(value)).collect()
    }

    fn value_name(&self, value: ValueId) -> String {
        format!("value.{}", value.0)
    }

    /// The name of a value as its operation writes it.
    fn before_norm(&self, value: ValueId) -> String {
        let name = self.value_name(value);
        if self.plan.values[value.0].norm.is_some() { format!("{name}.raw") } else { name }
    }

    /// The module a parameter belongs to: its name without `.weight`.
    fn module(&self, id: ParameterId) -> String {
        let name = &self.plan.parameters[id.0].name;
        name.rsplit_once('.').map_or(name.as_str(), |(module, _)| module).into()
    }

    fn dimension(&self, id: ParameterId) -> usize {
        self.plan.parameters[id.0].dimensions.first().copied().unwrap_or(1)
    }
}

/// A convolution.
struct Convolution {
    weight: ParameterId,
    window: Window,
    groups: usize,
}

/// Size and steps of windows, with a border before the image and so many rows and columns after it.
fn window_attributes(window: Window, after: [usize; 2]) -> [AttributeProto; 3] {
    let Window { size, stride, .. } = window;
    let border = window.border();
    let pads = [border, border, after[0], after[1]];
    [ints("kernel_shape", &[size; 2]), ints("pads", &pads), ints("strides", &[stride; 2])]
}

fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: Some(value as i64),
        kind: AttributeType::Int as i32,
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.iter().map(|&x| x as i64).collect(),
        kind: AttributeType::Ints as i32,
        ..AttributeProto::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(value), kind: AttributeType::Float as i32, ..AttributeProto::default() }
}

/// A float tensor with a free first dimension.
fn batch_of(name: &str, dimensions: &[usize]) -> ValueInfoProto {
    let known = dimensions.iter().map(|&d| Dimension::Value(d as i64));
    let dim = std::iter::once(Dimension::Parameter("N".into())).chain(known);
    let shape = TensorShapeProto { dim: dim.map(|value| DimensionProto { value: Some(value) }).collect() };
    let tensor_type = TensorTypeProto { elem_type: FLOAT, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
