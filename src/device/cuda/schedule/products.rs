//! Records of the matrix products.

use super::super::program::{Candidate, OpPlaces};
use super::super::records::{ClassifierTask, NONE, ProductTask};
use crate::net::OpKind;

fn classifier_weight(candidate: &Candidate) -> u64 {
    match candidate.plan.ops.last().map(|op| op.kind) {
        Some(OpKind::Classifier { weight, .. }) => candidate.parameters.offset(weight),
        _ => NONE,
    }
}

pub(super) fn logits(candidate: &Candidate, task: &ClassifierTask) -> ProductTask {
    let (a, b, c) = (task.features, classifier_weight(candidate), task.logits);
    ProductTask { a, b, c, moments: NONE, rows: task.images, columns: task.columns, depth: task.channels, split: 0 }
}

pub(super) fn features_gradient(candidate: &Candidate, task: &ClassifierTask) -> ProductTask {
    let (a, b, c) = (task.logits_gradient, classifier_weight(candidate), task.features_gradient);
    ProductTask { a, b, c, moments: NONE, rows: task.images, columns: task.channels, depth: task.columns, split: 0 }
}

pub(super) fn classifier_gradient(candidate: &Candidate, task: &ClassifierTask) -> ProductTask {
    let split = candidate.ops.last().map_or(1, |places| places.split);
    ProductTask {
        a: task.logits_gradient,
        b: task.features,
        c: candidate.classifier.weight_gradients,
        moments: NONE,
        rows: task.columns,
        columns: task.channels,
        depth: task.images,
        split,
    }
}

pub(super) fn forward(places: &OpPlaces, weight: u64) -> ProductTask {
    ProductTask {
        a: places.middle,
        b: weight,
        c: places.value,
        moments: places.moments,
        rows: places.rows,
        columns: places.channels,
        depth: places.in_channels,
        split: 0,
    }
}

pub(super) fn input_gradient(places: &OpPlaces, weight: u64) -> ProductTask {
    ProductTask {
        a: places.output_gradient,
        b: weight,
        c: places.gradient,
        moments: NONE,
        rows: places.rows,
        columns: places.in_channels,
        depth: places.channels,
        split: 0,
    }
}

pub(super) fn weight_gradient(places: &OpPlaces) -> ProductTask {
    ProductTask {
        a: places.output_gradient,
        b: places.middle,
        c: places.weight_gradients,
        moments: NONE,
        rows: places.channels,
        columns: places.in_channels,
        depth: places.rows,
        split: places.split,
    }
}
