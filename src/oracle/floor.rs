//! The least time that a training step or an evaluation takes on a device, by the bytes that must be moved and the
//! arithmetic that must be done: what the headers of `kernels/*.cu` state as floors, summed over a plan.
//!
//! A floor is no prediction. Launches, caches that are too small and kernels short of their floor come on top.

use crate::net::{Op, OpKind, Plan};

/// Bytes of an activation in 16-bit storage.
const VALUE_BYTES: f64 = 2.0;
/// Channels are padded to multiples of this.
const PADDING: usize = 8;
/// For each parameter and step: weight and momentum read and written, a partial gradient read, the gradient written.
const OPTIMISER_BYTES: f64 = 24.0;
/// A training step does the forward's products twice more: for the gradients of inputs and of weights.
const TRAINING_PASSES: f64 = 3.0;

/// What a device can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roof {
    /// Of its memory.
    pub bytes_per_s: f64,
    /// Of its matrix units on 16-bit values, multiplications and additions.
    pub flop_per_s: f64,
}

/// NVIDIA's data sheet of the H100 SXM, dense.
pub const H100: Roof = Roof { bytes_per_s: 3.35e12, flop_per_s: 989e12 };

/// What a batch needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Bytes to and from the device's memory.
    pub bytes: f64,
    /// Multiplications and additions.
    pub flops: f64,
}

/// What an operation reads and writes, in bytes.
struct Traffic {
    /// All inputs.
    inputs: f64,
    /// The first input alone.
    input: f64,
    /// Rows that the product reads: depthwise outputs, or the stem's windows.
    middle: f64,
    output: f64,
    /// Operations that read the output.
    consumers: f64,
}

impl Traffic {
    fn of(plan: &Plan, op: &Op, images: f64) -> Traffic {
        let rows = |value: usize| images * (plan.values[value].height * plan.values[value].width) as f64;
        let bytes = |rows: f64, channels: usize| rows * channels.next_multiple_of(PADDING) as f64 * VALUE_BYTES;
        let size = |value: usize| bytes(rows(value), plan.values[value].channels);
        let depth = match op.kind {
            OpKind::Stem { .. } => Some(9 * plan.image.channels),
            OpKind::Node { .. } | OpKind::Pointwise { .. } => {
                op.inputs.first().map(|input| plan.values[input.0].channels)
            }
            _ => None,
        };
        Traffic {
            inputs: op.inputs.iter().map(|input| size(input.0)).sum(),
            input: op.inputs.first().map_or(0.0, |input| size(input.0)),
            middle: depth.map_or(0.0, |depth| bytes(rows(op.output.0), depth)),
            output: size(op.output.0),
            consumers: plan.ops.iter().flat_map(|reader| &reader.inputs).filter(|input| **input == op.output).count()
                as f64,
        }
    }

    /// Inputs read, the middle written and read, the output written.
    fn forward(&self) -> f64 {
        self.inputs + 2.0 * self.middle + self.output
    }

    /// The output's gradient formed of the consumers' and of the output, and read twice; the middle read again, its
    /// gradient written and read; the inputs read again, their gradient written.
    fn backward(&self) -> f64 {
        (self.consumers + 4.0) * self.output + 3.0 * self.middle + self.inputs + self.input
    }
}

/// What each operation of a training step (or of an evaluation) of so many images needs, and the optimiser.
fn needs(plan: &Plan, images: usize, training: bool) -> Vec<Need> {
    let count = images as f64;
    let passes = if training { TRAINING_PASSES } else { 1.0 };
    let need = |op: &Op| {
        let traffic = Traffic::of(plan, op, count);
        let bytes = traffic.forward() + if training { traffic.backward() } else { 0.0 };
        Need { bytes, flops: 2.0 * passes * count * plan.op_multiply_adds(op) as f64 }
    };
    let image = (plan.image.channels * plan.image.height * plan.image.width) as f64;
    let optimiser = if training { OPTIMISER_BYTES * plan.trained_parameters() as f64 } else { 0.0 };
    let rest = Need { bytes: count * image + optimiser, flops: 0.0 };
    plan.ops.iter().map(need).chain([rest]).collect()
}

/// What a training step on so many images needs.
pub fn training_need(plan: &Plan, images: usize) -> Need {
    total(&needs(plan, images, true))
}

fn total(needs: &[Need]) -> Need {
    let sum = |part: fn(&Need) -> f64| needs.iter().map(part).sum();
    Need { bytes: sum(|need| need.bytes), flops: sum(|need| need.flops) }
}

/// Least seconds of a training step on so many images: every operation takes its bytes' or its arithmetic's time.
pub fn training_floor(plan: &Plan, images: usize, roof: Roof) -> f64 {
    seconds(&needs(plan, images, true), roof)
}

/// Least seconds of an evaluation of so many images.
pub fn evaluation_floor(plan: &Plan, images: usize, roof: Roof) -> f64 {
    seconds(&needs(plan, images, false), roof)
}

fn seconds(needs: &[Need], roof: Roof) -> f64 {
    needs.iter().map(|need| (need.bytes / roof.bytes_per_s).max(need.flops / roof.flop_per_s)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dag;
    use crate::net::{ImageShape, RandWireShape, randwire};

    /// Stem 8 channels of 4x4, two nodes of 16 channels of 2x2 in a chain, head 8, 3 classes.
    fn plan() -> Plan {
        let shape = RandWireShape {
            image: ImageShape { channels: 1, height: 4, width: 4 },
            channels: 16,
            stem_stride: 1,
            second_stem_stride: None,
            stage_strides: vec![2],
            head: 8,
            classes: 3,
        };
        randwire(&[Dag::new(2, &[[0, 1]]).unwrap()], &shape)
    }

    #[test]
    fn bytes_and_flops_are_those_counted_by_hand() {
        let plan = plan();
        let need = training_need(&plan, 10);
        // Values of ten images, two bytes each: stem 16 rows of 8, nodes 4 rows of 16, head 4 rows of 8, logits 1 row of 8
        // (3 padded); middles: windows 16 rows of 16 (9 padded), depthwise outputs 4 rows of 8, then of 16, twice.
        let [stem, node, head, logits] = [16 * 8, 4 * 16, 4 * 8, 8].map(|values| f64::from(values * 10 * 2));
        let [windows, first, second, third] = [16 * 16, 4 * 8, 4 * 16, 4 * 16].map(|values| f64::from(values * 10 * 2));
        let forward = [
            2.0 * windows + stem,
            stem + 2.0 * first + node,
            node + 2.0 * second + node,
            node + 2.0 * third + head,
            head + logits,
        ];
        let backward = [
            5.0 * stem + 3.0 * windows,
            5.0 * node + 3.0 * first + 2.0 * stem,
            5.0 * node + 3.0 * second + 2.0 * node,
            5.0 * head + 3.0 * third + 2.0 * node,
            4.0 * logits + 2.0 * head,
        ];
        let bytes: f64 = forward.iter().chain(&backward).sum();
        let parameters = plan.trained_parameters() as f64;
        assert!((need.bytes - (bytes + 160.0 + 24.0 * parameters)).abs() <= 1e-6, "{}", need.bytes);
        let multiply_adds = 16 * 9 * 8 + 4 * (9 * 8 + 8 * 16) + 4 * (9 * 16 + 16 * 16) + 4 * 16 * 8 + 8 * 3;
        assert!((need.flops - f64::from(60 * multiply_adds)).abs() <= 1e-6, "{}", need.flops);
    }

    #[test]
    fn the_slower_of_bytes_and_arithmetic_decides() {
        let plan = plan();
        let need = training_need(&plan, 10);
        let by_bytes = training_floor(&plan, 10, Roof { bytes_per_s: 1.0, flop_per_s: 1e9 });
        let by_flops = training_floor(&plan, 10, Roof { bytes_per_s: 1e9, flop_per_s: 1.0 });
        assert!((by_bytes - need.bytes).abs() <= 1e-6 * need.bytes);
        assert!((by_flops - need.flops).abs() <= 1e-6 * need.flops);
        assert!(evaluation_floor(&plan, 10, H100) < training_floor(&plan, 10, H100) / 2.0);
    }
}
