//! `profile --ops`: where the time of a training step goes, operation by operation.

use super::{json_line, network, step};
use crate::cli::output::print;
use crate::device::cpu::{Batch, InstructionSet, Section, fma_peak};
use crate::net::{OpKind, Plan, Workload};
use anyhow::Result;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Steps whose least time is reported, section by section: sections are short, and whatever else runs only adds to them.
const STEPS: usize = 31;

/// One row of the table.
#[derive(Debug, Serialize)]
struct Row {
    operation: String,
    inputs: usize,
    output: [usize; 3],
    forward_us: f64,
    backward_us: f64,
    /// Of the products forward and backward, recomputation left out.
    gflop_per_s: f64,
    share_of_peak: f64,
    share_of_step: f64,
}

#[derive(Debug, Serialize)]
struct Table {
    workload: String,
    threads: usize,
    step_ms: f64,
    preparation_us: f64,
    update_us: f64,
    operations: Vec<Row>,
}

/// Measures and prints the table.
pub(super) fn run(workload: &Workload, threads: usize, json: bool) -> Result<()> {
    let table = measure(workload, threads);
    print(&if json { json_line(&table)? } else { text(&table) })
}

fn measure(workload: &Workload, threads: usize) -> Table {
    let mut network = network(workload, threads);
    let (pixels, labels) = (workload.images(), workload.labels());
    let batch = Batch { pixels: &pixels, labels: &labels };
    let operations = workload.plan.ops.len();
    let mut times = vec![Vec::with_capacity(STEPS); 2 * operations + 2];
    for _ in 0..3 {
        network.train(batch, step(None));
    }
    for _ in 0..STEPS {
        let mut last = Instant::now();
        network.train_observed(batch, step(None), &mut |section| {
            let now = Instant::now();
            times[index(section, operations)].push((now - last).as_secs_f64() * 1e6);
            last = now;
        });
    }
    let least: Vec<f64> = times.iter().map(|times| times.iter().copied().fold(f64::INFINITY, f64::min)).collect();
    let total: f64 = least.iter().sum();
    let peak = fma_peak(InstructionSet::best(), threads, Duration::from_millis(300));
    let row = |number: usize| {
        let op = &workload.plan.ops[number];
        let shape = workload.plan.values[op.output.0];
        let (forward_us, backward_us) = (least[number], least[operations + number]);
        let passes = if matches!(op.kind, OpKind::Stem { .. }) { 2.0 } else { 3.0 };
        let flops = 2.0 * passes * (workload.plan.op_multiply_adds(op) as usize * workload.batch) as f64;
        let rate = flops / (forward_us + backward_us) * 1e6;
        Row {
            operation: name(&workload.plan, number),
            inputs: op.inputs.len(),
            output: [shape.height, shape.width, shape.channels],
            forward_us,
            backward_us,
            gflop_per_s: rate / 1e9,
            share_of_peak: rate / peak,
            share_of_step: (forward_us + backward_us) / total,
        }
    };
    Table {
        workload: workload.name.clone(),
        threads,
        step_ms: total / 1e3,
        preparation_us: least[2 * operations],
        update_us: least[2 * operations + 1],
        operations: (0..operations).map(row).collect(),
    }
}

fn index(section: Section, operations: usize) -> usize {
    match section {
        Section::Forward(number) => number,
        Section::Backward(number) => operations + number,
        Section::Preparation => 2 * operations,
        Section::Update => 2 * operations + 1,
    }
}

/// What the weights' names begin with; operations without weights are called after what they do.
fn name(plan: &Plan, number: usize) -> String {
    let kind = plan.ops[number].kind;
    let weight = match kind {
        OpKind::Stem { weight, .. }
        | OpKind::Pointwise { weight }
        | OpKind::Classifier { weight, .. }
        | OpKind::Convolution { weight, .. } => Some(weight),
        OpKind::Node { depthwise, .. } | OpKind::Separable { depthwise, .. } => Some(depthwise),
        OpKind::Mean | OpKind::Pool { .. } | OpKind::Sum | OpKind::Concatenation => None,
    };
    let kind = kind.describe();
    let name = weight.map(|id| plan.parameters[id.0].name.as_str()).unwrap_or_default();
    let name = name.trim_end_matches(".weight").trim_end_matches(".depthwise");
    format!("{name} {kind}").trim_start().to_owned()
}

fn text(table: &Table) -> String {
    let mut lines = vec![
        format!(
            "{}, training, {} threads: {:.3} ms a step (sum of the least times of {STEPS} steps)",
            table.workload, table.threads, table.step_ms
        ),
        format!(
            "  {:<28} {:>6} {:>12} {:>10} {:>11} {:>8} {:>6} {:>6}",
            "operation", "inputs", "output", "forward us", "backward us", "GFLOP/s", "peak %", "step %"
        ),
    ];
    lines.extend(table.operations.iter().map(|row| {
        let [height, width, channels] = row.output;
        format!(
            "  {:<28} {:>6} {:>12} {:>10.0} {:>11.0} {:>8.1} {:>6.0} {:>6.1}",
            row.operation,
            row.inputs,
            format!("{height}x{width}x{channels}"),
            row.forward_us,
            row.backward_us,
            row.gflop_per_s,
            row.share_of_peak * 100.0,
            row.share_of_step * 100.0
        )
    }));
    lines.push(format!("  preparation {:.0} us, optimiser {:.0} us", table.preparation_us, table.update_us));
    lines.join("\n") + "\n"
}
