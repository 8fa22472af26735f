//! A reader of ONNX for tests without onnxruntime: it runs the nodes by their definitions in the ONNX standard, in f64,
//! one image at a time, and knows nothing of plans.

use crate::reference::Image;
use graphpnas_fast::report::onnx::proto::{AttributeProto, FLOAT, INT64, ModelProto, NodeProto};
use prost::Message;
use std::collections::HashMap;

#[derive(Clone)]
struct Constant {
    dimensions: Vec<usize>,
    data: Vec<f64>,
}

/// The logits of one image.
pub fn logits(file: &[u8], image: &Image) -> Vec<f64> {
    let graph = ModelProto::decode(file).unwrap().graph.unwrap();
    let constants: HashMap<String, Constant> = (graph.initializer.iter())
        .map(|tensor| {
            let data: Vec<f64> = match tensor.data_type {
                FLOAT => tensor.raw_data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
                INT64 => tensor.raw_data.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
                other => panic!("element type {other}"),
            };
            let dimensions: Vec<usize> = tensor.dims.iter().map(|&d| d as usize).collect();
            assert_eq!(data.len(), dimensions.iter().product::<usize>(), "{}", tensor.name);
            (tensor.name.clone(), Constant { dimensions, data })
        })
        .collect();
    let mut values = HashMap::from([(graph.input[0].name.clone(), image.clone())]);
    for node in &graph.node {
        let result = run(node, &values, &constants);
        assert!(values.insert(node.output[0].clone(), result).is_none(), "{} is written twice", node.output[0]);
    }
    values.remove(&graph.output[0].name).unwrap().data
}

fn run(node: &NodeProto, values: &HashMap<String, Image>, constants: &HashMap<String, Constant>) -> Image {
    let value = |index: usize| &values[&node.input[index]];
    let constant = |index: usize| &constants[&node.input[index]];
    let average = |factor: f64| {
        let mut sum = value(0).clone().map(|_| 0.0);
        for index in 0..node.input.len() {
            sum.data.iter_mut().zip(&value(index).data).for_each(|(s, x)| *s += factor * x);
        }
        sum
    };
    match node.op_type.as_str() {
        "Relu" => value(0).clone().map(|x| if x > 0.0 { x } else { 0.0 }),
        "Sum" => average(1.0),
        "Mean" => average(1.0 / node.input.len() as f64),
        "Mul" => {
            assert!(constant(1).dimensions.is_empty());
            value(0).clone().map(|x| x * constant(1).data[0])
        }
        "Concat" => {
            assert_eq!(integer(&node.attribute, "axis"), 1);
            let data: Vec<f64> = (0..node.input.len()).flat_map(|index| value(index).data.clone()).collect();
            let (height, width) = (value(0).height, value(0).width);
            Image { channels: data.len() / (height * width), height, width, data }
        }
        "Slice" => {
            let [start, end, axis] = [1, 2, 3].map(|index| constant(index).data[0] as usize);
            slice(value(0), start..end, axis)
        }
        "MaxPool" | "AveragePool" => pool(value(0), node),
        "Conv" => convolution(value(0), constant(1), &node.attribute),
        "BatchNormalization" => {
            let epsilon = node.attribute.iter().find(|a| a.name == "epsilon").unwrap().f.unwrap() as f64;
            let mut image = value(0).clone();
            let pixels = image.height * image.width;
            for (index, x) in image.data.iter_mut().enumerate() {
                let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|input| constant(input).data[index / pixels]);
                *x = scale * (*x - mean) / (variance + epsilon).sqrt() + shift;
            }
            image
        }
        "GlobalAveragePool" => {
            let pixels = value(0).height * value(0).width;
            let data: Vec<f64> = value(0).data.chunks(pixels).map(|c| c.iter().sum::<f64>() / pixels as f64).collect();
            Image { channels: data.len(), height: 1, width: 1, data }
        }
        "Flatten" => Image { channels: value(0).data.len(), height: 1, width: 1, data: value(0).data.clone() },
        "Gemm" => {
            assert_eq!(integer(&node.attribute, "transB"), 1);
            let (input, weight, bias) = (&value(0).data, constant(1), constant(2));
            assert_eq!(weight.dimensions, [bias.data.len(), input.len()]);
            let row = |out: usize| (0..input.len()).map(|k| weight.data[out * input.len() + k] * input[k]).sum::<f64>();
            let data: Vec<f64> = (0..bias.data.len()).map(|out| row(out) + bias.data[out]).collect();
            Image { channels: data.len(), height: 1, width: 1, data }
        }
        other => panic!("operator {other}"),
    }
}

fn integer(attributes: &[AttributeProto], name: &str) -> usize {
    attributes.iter().find(|a| a.name == name).unwrap().i.unwrap() as usize
}

fn convolution(input: &Image, weight: &Constant, attributes: &[AttributeProto]) -> Image {
    let list = |name: &str| &attributes.iter().find(|a| a.name == name).unwrap().ints;
    let groups = integer(attributes, "group");
    let (kernel, pads, strides) = (list("kernel_shape"), list("pads"), list("strides"));
    let [outputs, fan_in, kernel_height, kernel_width] = weight.dimensions[..] else { panic!("a 4-d weight") };
    assert_eq!((kernel_height as i64, kernel_width as i64), (kernel[0], kernel[1]));
    assert_eq!(fan_in * groups, input.channels);
    let extent = |size: usize, axis: usize| {
        ((size as i64 + pads[axis] + pads[axis + 2] - kernel[axis]) / strides[axis] + 1) as usize
    };
    let mut output = Image::zeros(outputs, extent(input.height, 0), extent(input.width, 1));
    let (height, width) = (output.height, output.width);
    for (out, plane) in output.data.chunks_mut(height * width).enumerate() {
        let first = out / (outputs / groups) * fan_in;
        for (tap, &w) in weight.data[out * fan_in * kernel_height * kernel_width..]
            [..fan_in * kernel_height * kernel_width]
            .iter()
            .enumerate()
        {
            let (k, place) = (tap / (kernel_height * kernel_width), tap % (kernel_height * kernel_width));
            let (dy, dx) = ((place / kernel_width) as i64 - pads[0], (place % kernel_width) as i64 - pads[1]);
            for (pixel, sum) in plane.iter_mut().enumerate() {
                let row = (pixel / width) as i64 * strides[0] + dy;
                let column = (pixel % width) as i64 * strides[1] + dx;
                if (0..input.height as i64).contains(&row) && (0..input.width as i64).contains(&column) {
                    let at = ((first + k) * input.height + row as usize) * input.width + column as usize;
                    *sum += w * input.data[at];
                }
            }
        }
    }
    output
}

/// Part of an axis: 1 are the channels, 2 the rows, 3 the columns.
fn slice(input: &Image, part: std::ops::Range<usize>, axis: usize) -> Image {
    let size = [input.channels, input.height, input.width];
    let ranges: [std::ops::Range<usize>; 3] =
        std::array::from_fn(|at| if at + 1 == axis { part.clone() } else { 0..size[at] });
    let mut output = Image::zeros(ranges[0].len(), ranges[1].len(), ranges[2].len());
    let mut to = output.data.iter_mut();
    for channel in ranges[0].clone() {
        for row in ranges[1].clone() {
            for column in ranges[2].clone() {
                *to.next().unwrap() = input.data[(channel * size[1] + row) * size[2] + column];
            }
        }
    }
    output
}

fn pool(input: &Image, node: &NodeProto) -> Image {
    let list = |name: &str| &node.attribute.iter().find(|a| a.name == name).unwrap().ints;
    let (kernel, pads, strides) = (list("kernel_shape"), list("pads"), list("strides"));
    let average = node.op_type == "AveragePool";
    if average {
        assert_eq!(integer(&node.attribute, "count_include_pad"), 0);
    }
    let extent = |size: usize, axis: usize| {
        ((size as i64 + pads[axis] + pads[axis + 2] - kernel[axis]) / strides[axis] + 1) as usize
    };
    let mut output = Image::zeros(input.channels, extent(input.height, 0), extent(input.width, 1));
    let (height, width) = (output.height as i64, output.width as i64);
    for (index, to) in output.data.iter_mut().enumerate() {
        let (channel, y, x) = (index as i64 / (height * width), index as i64 / width % height, index as i64 % width);
        let mut inside = Vec::new();
        for row in y * strides[0] - pads[0]..y * strides[0] - pads[0] + kernel[0] {
            for column in x * strides[1] - pads[1]..x * strides[1] - pads[1] + kernel[1] {
                if (0..input.height as i64).contains(&row) && (0..input.width as i64).contains(&column) {
                    let at = (channel * input.height as i64 + row) * input.width as i64 + column;
                    inside.push(input.data[at as usize]);
                }
            }
        }
        *to = match average {
            true => inside.iter().sum::<f64>() / inside.len() as f64,
            false => inside.into_iter().fold(f64::NEG_INFINITY, f64::max),
        };
    }
    output
}
