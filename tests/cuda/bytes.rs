//! How many bytes a training step moves, as the emulated device counts them: distinct sectors of each launch, which is what
//! a device moves whose caches hold a launch's working set.

use crate::network::{Case, dag, networks, shape, step};
use crate::support::device_alone;
use graphpnas_fast::device::cpu::Batch;
use graphpnas_fast::device::cuda::{Batches, Device, Storage};
use graphpnas_fast::net::{OpKind, Plan};
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
            kind => panic!("no kernel for {}", kind.describe()),
        };
    }
    let parameters: usize =
        plan.parameters.iter().map(|parameter| parameter.dimensions.iter().product::<usize>()).sum();
    let pixels = images * plan.image.channels * plan.image.height * plan.image.width;
    // The optimiser reads and writes parameter and momentum, reads a partial gradient and writes the gradient.
    values * storage.bytes() as f64 + (4 * pixels) as f64 + (24 * parameters) as f64
}

#[test]
fn a_step_moves_at_most_half_as_much_again_as_it_must() {
    let Some(device) = device_alone() else { return };
    let wiring = dag(4, &[[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]);
    let case = Case::new(&[wiring.clone(), wiring], &shape((14, 14), 16, &[1, 2]), 16, 1);
    for storage in [Storage::F32, Storage::Bf16] {
        let (mut network, _) = networks(&device, std::slice::from_ref(&case), storage);
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
        assert!((0.9..=1.1).contains(&ratio), "{kernel}: {ratio}");
    }
}
