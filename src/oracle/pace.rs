//! What a training does step by step, whatever the device: how many steps, at which rate, on which images.

use super::OracleError;
use super::rate::learning_rate;
use crate::config::TrainingConfig;
use crate::data::{Augment, BatchRequest, epoch_order};
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;

/// Steps and learning rates.
#[derive(Clone, Copy)]
pub(super) struct Pace<'a> {
    settings: &'a TrainingConfig,
    /// Steps of an epoch.
    pub steps: usize,
    /// Most images in a step.
    pub batch: usize,
}

impl<'a> Pace<'a> {
    /// The pace on so many images.
    ///
    /// # Errors
    /// No images.
    pub(super) fn new(settings: &'a TrainingConfig, images: usize) -> Result<Self, OracleError> {
        // A batch of one image has no batch statistics worth the name.
        let steps = (images + settings.batch).saturating_sub(2) / settings.batch;
        match steps {
            0 => Err(OracleError::NoImages("train on")),
            _ => Ok(Pace { settings, steps, batch: settings.batch.min(images) }),
        }
    }

    /// The rate of a step of an epoch.
    pub(super) fn learning_rate(&self, epoch: usize, step: usize) -> f64 {
        learning_rate(self.settings, epoch * self.steps + step, self.steps)
    }
}

/// An epoch of one candidate: the order of the images, their crops, and the dropout factors.
pub(super) struct EpochStreams<'a> {
    settings: &'a TrainingConfig,
    order: Vec<u32>,
    augment: Option<Augment>,
    dropout: Stream,
}

impl<'a> EpochStreams<'a> {
    pub(super) fn new(
        settings: &'a TrainingConfig,
        indices: &[u32],
        seed: u64,
        (candidate, epoch): (u64, usize),
    ) -> Self {
        let epoch = epoch as u64;
        EpochStreams {
            settings,
            order: epoch_order(indices, seed, candidate, epoch),
            augment: settings.augmentation.then_some(Augment { seed, candidate, epoch }),
            dropout: StreamKey { seed, purpose: Purpose::Dropout, candidate, epoch }.stream(),
        }
    }

    /// The images of a step.
    pub(super) fn request(&self, step: usize) -> BatchRequest<'_> {
        let start = step * self.settings.batch;
        let end = (start + self.settings.batch).min(self.order.len());
        BatchRequest { indices: &self.order[start..end], augment: self.augment }
    }

    /// Whether features are dropped at all.
    pub(super) fn drops(&self) -> bool {
        self.settings.dropout > 0.0
    }

    /// Draws the next step's dropout factors.
    pub(super) fn draw_mask(&mut self, factors: &mut [f32]) {
        draw_mask(&mut self.dropout, self.settings.dropout, factors);
    }
}

/// Draws dropout factors: 0 with probability `dropout`, else 1 / (1 - dropout).
pub(super) fn draw_mask(stream: &mut Stream, dropout: f64, factors: &mut [f32]) {
    let kept = (1.0 / (1.0 - dropout)) as f32;
    factors.iter_mut().for_each(|factor| *factor = if stream.random_bool(dropout) { 0.0 } else { kept });
}
