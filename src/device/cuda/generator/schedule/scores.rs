//! Log-probabilities, losses and draws from the heads' outputs.

use super::super::records::{DrawRows, GraphLoss, MixtureTask, Score, ScoreGradient};
use super::{Operation, Scene};
use crate::device::cuda::records::NONE;

/// Factors of the log-probabilities of rows and operators in a graph's negative l.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Of rows.
    pub row: f64,
    /// Of operators.
    pub operator: f64,
}

/// Losses of all graphs, and the gradients of the heads' outputs.
pub(in super::super) fn loss(scene: &Scene, shares: Shares) -> Vec<Operation> {
    let task = mixture(scene, shares);
    let doubles = scene.places.doubles;
    let graphs = GraphLoss {
        scores: doubles.scores,
        weights: doubles.weights,
        losses: doubles.losses,
        slopes: doubles.slopes,
        row_share: shares.row,
        operator_share: shares.operator,
        graphs: scene.capacity.graphs as u32,
        reserved: 0,
        lists: *scene.lists,
    };
    vec![Operation::Score(Score(task)), Operation::GraphLoss(graphs), Operation::ScoreGradient(ScoreGradient(task))]
}

/// Draws and their log-probabilities.
pub(in super::super) fn draws(scene: &Scene) -> Vec<Operation> {
    let task = mixture(scene, Shares { row: 1.0, operator: 1.0 });
    vec![Operation::Draw(DrawRows(task)), Operation::Score(Score(task))]
}

/// Log-probabilities of the targets.
pub(in super::super) fn mixture(scene: &Scene, shares: Shares) -> MixtureTask {
    let places = scene.places;
    let output = |head: usize| places.heads.get(head).map_or(NONE, |head| head.layers[2].at);
    let gradient = |head: usize| {
        let heads = places.training.as_ref().map(|training| &training.heads);
        heads.and_then(|heads| heads.get(head)).map_or(NONE, |head| head.layers[2].at)
    };
    let doubles = places.doubles;
    MixtureTask {
        theta: output(0),
        alpha: output(1),
        operators: output(2),
        dtheta: gradient(0),
        dalpha: gradient(1),
        doperators: gradient(2),
        log_weights: doubles.log_weights,
        joint: doubles.joint,
        scores: doubles.scores,
        slopes: doubles.slopes,
        uniforms: doubles.uniforms,
        row_share: shares.row,
        operator_share: shares.operator,
        prefixes: scene.capacity.prefixes as u32,
        mixtures: scene.shape.mixtures as u32,
        pitch: places.heads[0].layers[2].pitch as u32,
        operator_count: scene.shape.operators as u32,
        operator_pitch: places.heads.get(2).map_or(0, |head| head.layers[2].pitch as u32),
        self_pair: u32::from(scene.shape.self_pair),
        draws: super::super::places::uniforms(scene.shape) as u32,
        reserved: 0,
        lists: *scene.lists,
    }
}
