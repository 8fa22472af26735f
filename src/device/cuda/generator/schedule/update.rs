//! From partial gradients to new parameters.

use super::super::places::TrainingPlaces;
use super::super::records::{AdamTask, Count, Dense, DenseTask, DenseWeight};
use super::{Gradients, Operation, Scene, forward_product, product};
use crate::device::cuda::records::NONE;

/// Kept of the moments at a step.
const BETAS: [f64; 2] = [0.9, 0.999];

/// Adds up the gradients, takes those of the composites apart, and steps.
pub(in super::super) fn update(scene: &Scene, training: &TrainingPlaces, gradients: Gradients) -> Vec<Operation> {
    let mut operations = vec![Operation::DenseWeight(gradients.products), Operation::SumPartials(gradients.sums)];
    if scene.shape.attention.is_none() && !scene.shape.rounds.is_empty() {
        operations.extend(unfold(scene, training));
    }
    let floats = scene.places.parameters.floats as u64;
    operations.push(Operation::Adam(AdamTask {
        parameters: 0,
        gradient: floats,
        first: 2 * floats,
        second: 3 * floats,
        floats,
        keep: BETAS.map(|beta| beta as f32),
        take: BETAS.map(|beta| (1.0 - beta) as f32),
    }));
    operations
}

/// `d input = d composite (message)^T`, `d message = (input)^T d composite`.
fn unfold(scene: &Scene, training: &TrainingPlaces) -> [Operation; 2] {
    let places = scene.places;
    let rounds = || places.parameters.rounds.iter().zip(&training.rounds);
    let inputs = rounds().map(|(round, given)| {
        Dense(forward_product(given.composite, round.message, places.gradient(round.input), Count::All))
    });
    let messages = rounds().map(|(round, given)| {
        let to = places.gradient(round.message);
        let task = product(round.input, given.composite, to, Count::All);
        let depth = round.input.rows as u32;
        DenseWeight(DenseTask { bias: NONE, depth, split: depth.next_multiple_of(16), ..task })
    });
    [Operation::Dense(inputs.collect()), Operation::DenseWeight(messages.collect())]
}
