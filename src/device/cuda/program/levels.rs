//! Levels: how many operations the longest way from the images to an operation has.

use crate::net::{OpKind, Plan};

/// All operations but the classifiers, level by level, as (candidate, operation).
pub(in super::super) fn levels(plans: &[Plan]) -> Vec<Vec<(usize, usize)>> {
    let mut levels: Vec<Vec<(usize, usize)>> = Vec::new();
    for (candidate, plan) in plans.iter().enumerate() {
        let mut of_value = vec![0; plan.values.len()];
        for (number, op) in plan.ops.iter().enumerate() {
            let level = op.inputs.iter().map(|input| of_value[input.0] + 1).max().unwrap_or(0);
            of_value[op.output.0] = level;
            if matches!(op.kind, OpKind::Classifier { .. }) {
                continue;
            }
            if levels.len() <= level {
                levels.resize(level + 1, Vec::new());
            }
            levels[level].push((candidate, number));
        }
    }
    levels
}
