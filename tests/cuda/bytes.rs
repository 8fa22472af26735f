//! How many bytes a training step moves, as the emulated device counts them: distinct sectors of each launch, which is what
//! a device moves whose caches hold a launch's working set.

use crate::network::{Case, dag, networks, shape, step};
use crate::support::device_alone;
use graphpnas_fast::device::cpu::Batch;
use graphpnas_fast::device::cuda::{Batches, Device, Storage};
use graphpnas_fast::net::{
    EnasShape, ImageShape, LayerOperator, NasBench101Shape, Op, OpKind, Plan, Pooling, VertexOperator, enas,
    nasbench101,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes that a step must move if every launch reads and writes its values, weights and gradients once, and nothing else.
fn minimum(plan: &Plan, images: usize, storage: Storage) -> f64 {
    let padded = |channels: usize| channels.next_multiple_of(8);
    let size = |value: usize| {
        let shape = plan.values[value];
        (images * shape.height * shape.width * padded(shape.channels)) as f64
    };
    let mut values = 0.0;
    for op in &plan.ops {
        let output = size(op.output.0);
        let inputs: f64 = op.inputs.iter().map(|input| size(input.0)).sum();
        let consumers = plan.ops.iter().flat_map(|reader| &reader.inputs).filter(|input| **input == op.output).count();
        let input_channels = op.inputs.first().map_or(0, |input| plan.values[input.0].channels);
        let input = op.inputs.first().map_or(0.0, |input| size(input.0));
        // The depthwise outputs, the head's weighted sum or the stem's windows, of which the products read rows.
        let rows = output / padded(plan.values[op.output.0].channels) as f64;
        let middle = rows * padded(if input_channels == 0 { 9 * plan.image.channels } else { input_channels }) as f64;
        values += match op.kind {
            // Windows written, read twice; output written; its gradient formed of the consumers' and the output, and read.
            OpKind::Stem { .. } if joined(plan, op) => 3.0 * middle + output + formed(plan, op, &size) + output,
            OpKind::Stem { .. } => 3.0 * middle + output + (consumers as f64 + 2.0) * output + output,
            // Inputs read, middle written, read; output written; gradient formed, read twice; middle read again, its
            // gradient written and read; inputs read again, their gradient written.
            OpKind::Node { .. } => {
                inputs
                    + 2.0 * middle
                    + output
                    + (consumers as f64 + 2.0) * output
                    + 2.0 * output
                    + 3.0 * middle
                    + inputs
                    + input
            }
            // Inputs read, output written; gradient formed and read; inputs read again.
            OpKind::Mean => inputs + output + (consumers as f64 + 1.0) * output + output + inputs,
            // Inputs read, middle written, read; output written, pooled; gradient formed, read twice; middle read, its
            // gradient written and read; inputs read again.
            OpKind::Pointwise { .. } => {
                inputs + 2.0 * middle + 2.0 * output + 2.0 * output + 2.0 * output + 3.0 * middle + inputs
            }
            OpKind::Classifier { .. } => 0.0,
            _ => operator(plan, op, &size),
        };
    }
    let parameters: usize =
        plan.parameters.iter().map(|parameter| parameter.dimensions.iter().product::<usize>()).sum();
    let pixels = images * plan.image.channels * plan.image.height * plan.image.width;
    // The optimiser reads and writes parameter and momentum, reads a partial gradient and writes the gradient.
    values * storage.bytes() as f64 + (4 * pixels) as f64 + (24 * parameters) as f64
}

/// Whether what reads an operation's output activates its inputs one by one.
fn joined(plan: &Plan, op: &Op) -> bool {
    plan.ops.iter().any(|reader| reader.kind.activates_inputs() && reader.inputs.contains(&op.output))
}

/// Elements that forming a gradient takes, where operations join their inputs, or where the classifier reads the value.
fn formed(plan: &Plan, op: &Op, size: &impl Fn(usize) -> f64) -> f64 {
    let output = size(op.output.0);
    if !joined(plan, op) {
        // Pooled; value read, gradient written.
        return 3.0 * output;
    }
    let readers = plan.ops.iter().flat_map(|reader| &reader.inputs).filter(|input| **input == op.output).count();
    let value = plan.values[op.output.0];
    // Readers that take the first channels only are not told from others: some of this is not needed.
    let ranges = readers as f64 * output * value.channels as f64 / value.channels.next_multiple_of(8) as f64;
    // With a batch norm: value read, gradient written; both read, gradient written again.
    ranges + if value.norm.is_some() { 5.0 * output } else { output }
}

/// Elements that an operation takes that activates its inputs one by one, there and back.
fn operator(plan: &Plan, op: &Op, size: &impl Fn(usize) -> f64) -> f64 {
    let (output, first) = (size(op.output.0), plan.values[op.inputs[0].0]);
    let inputs: f64 = op.inputs.iter().map(|input| size(input.0)).sum();
    let channels = |parameter: usize, which: usize| plan.parameters[parameter].dimensions[which].next_multiple_of(8);
    let rows = size(op.inputs[0].0) / first.channels.next_multiple_of(8) as f64;
    let of_kernels = match op.kind {
        // Joined inputs written, read; output written; its gradient read twice; joined inputs read again, their gradient
        // written.
        OpKind::Convolution { weight, window } => {
            let read = (1.0f64).min((window.size * window.size) as f64 / (window.stride * window.stride) as f64);
            (2.0 + 2.0 * read) * rows * channels(weight.0, 1) as f64 + 3.0 * output
        }
        // The same with the depthwise outputs between, read and written twice as often.
        OpKind::Separable { depthwise, .. } => 10.0 * rows * channels(depthwise.0, 0) as f64 + 3.0 * output,
        // Joined inputs written, read; output written, and which was the largest; both gradients.
        OpKind::Pool { pooling, .. } => {
            let joined = rows * plan.values[op.output.0].channels.next_multiple_of(8) as f64;
            3.0 * joined + output * if pooling == Pooling::Max { 4.0 } else { 2.0 }
        }
        _ => output,
    };
    inputs + of_kernels + formed(plan, op, size)
}

#[test]
fn a_step_of_a_randwire_network_moves_at_most_half_as_much_again_as_it_must() {
    let wiring = dag(4, &[[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]);
    check(&Case::new(&[wiring.clone(), wiring], &shape((14, 14), 16, &[1, 2]), 16, 1));
}

#[test]
fn a_step_of_a_network_of_operators_moves_at_most_half_as_much_again_as_it_must() {
    let image = ImageShape { channels: 2, height: 14, width: 14 };
    let shape = NasBench101Shape { image, channels: 24, stacks: 2, cells: 1, classes: 5 };
    let operators = [VertexOperator::Convolution3x3, VertexOperator::MaxPool3x3, VertexOperator::Convolution1x1];
    let cell = dag(5, &[[0, 1], [1, 2], [0, 3], [2, 4], [3, 4]]);
    check(&Case::of(nasbench101(&cell, &operators, &shape), 16, 1));
    use LayerOperator::{Convolution, Pool, Separable};
    let layers = [Convolution(3), Separable(5), Pool(Pooling::Average), Separable(3)];
    let shape = EnasShape { image, channels: 24, classes: 5 };
    check(&Case::of(enas(&layers, &dag(4, &[[0, 2], [0, 3]]), &shape), 16, 1));
}

fn check(case: &Case) {
    let Some(device) = device_alone() else { return };
    for storage in [Storage::F32, Storage::Bf16] {
        let (mut network, _) = networks(&device, std::slice::from_ref(case), storage);
        let batches = [Batch { pixels: &case.pixels, labels: &case.labels }];
        network.train(Batches::Pixels(&batches), step(&[])).unwrap();
        if device.take_emulated_counters().is_none() {
            eprintln!("a real device does not count bytes");
            return;
        }
        network.train(Batches::Pixels(&batches), step(&[])).unwrap();
        let counters: Value = serde_json::from_str(&device.take_emulated_counters().unwrap()).unwrap();
        let kernels = counters.as_object().unwrap();
        check_work(&device, kernels, || drop(network.train(Batches::Pixels(&batches), step(&[])).unwrap()));
        let number = |kernel: &Value, key: &str| kernel[key].as_f64().unwrap();
        let moved: f64 = kernels
            .values()
            .map(|kernel| number(kernel, "unique_read_bytes") + number(kernel, "unique_written_bytes"))
            .sum();
        let launches: f64 = kernels.values().map(|kernel| number(kernel, "launches")).sum();
        let minimum = minimum(&case.plan, case.labels.len(), storage);
        assert_eq!(launches as usize, network.launches_per_step());
        println!("{storage}: {launches} launches, {moved} bytes, {:.3} times as many as must be", moved / minimum);
        assert!(moved >= minimum && moved <= 1.5 * minimum, "{storage}: {moved} bytes, at least {minimum} needed");
    }
}

/// That what records say of the bytes that a kernel takes at least is about what the device counts. Records and
/// coefficients, which small networks have many of, are not part of it.
fn check_work(device: &Arc<Device>, counted: &Map<String, Value>, step: impl FnOnce()) {
    let times = device.kernel_times(|| {
        step();
        Ok(())
    });
    let mut stated: BTreeMap<String, f64> = BTreeMap::new();
    times.unwrap().iter().for_each(|time| *stated.entry(time.kernel.clone()).or_default() += time.work.bytes);
    let all: f64 = stated.values().sum();
    assert_eq!(stated.keys().collect::<Vec<_>>(), counted.keys().collect::<Vec<_>>());
    for (kernel, stated) in stated.into_iter().filter(|(_, bytes)| *bytes > 0.02 * all) {
        let bytes = |key: &str| counted[&kernel][key].as_f64().unwrap();
        let ratio = (bytes("unique_read_bytes") + bytes("unique_written_bytes")) / stated;
        println!("{kernel}: {stated} bytes stated, {ratio:.2} times as many counted");
        // The halves of a factorised reduction read the same value in one launch.
        assert!((0.85..=1.1).contains(&ratio), "{kernel}: {ratio}");
    }
}
