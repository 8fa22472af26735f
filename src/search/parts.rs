//! What the loop needs of a space and of a generator.

use super::BoxError;
use crate::config::ClassicalKind;
use crate::graph::LabelledGraph;
use crate::random::Stream;
use crate::space::Architecture;
use std::sync::atomic::AtomicBool;

/// What the loop needs of a space.
pub trait SearchSpace {
    /// The architecture made of these graphs, one a component.
    ///
    /// # Errors
    /// Where the graphs make no legal architecture of the space.
    fn assemble(&self, components: Vec<LabelledGraph>) -> Result<Architecture, BoxError>;

    /// The graphs an architecture is made of: the inverse of [`SearchSpace::assemble`].
    ///
    /// # Errors
    /// Where the architecture is not of this space.
    fn disassemble(&self, architecture: &Architecture) -> Result<Vec<LabelledGraph>, BoxError>;

    /// A text that two architectures share exactly when they are isomorphic.
    ///
    /// # Errors
    /// Where the architecture is not of this space.
    fn key(&self, architecture: &Architecture) -> Result<String, BoxError>;

    /// A random legal architecture whose graphs are of this kind.
    ///
    /// # Errors
    /// Where the draw made no legal architecture.
    fn explore(&self, stream: &mut Stream, kind: ClassicalKind) -> Result<Architecture, BoxError>;

    /// All legal architectures one change away.
    ///
    /// # Errors
    /// Where the architecture is not of this space.
    fn neighbours(&self, architecture: &Architecture) -> Result<Vec<Architecture>, BoxError>;

    /// A random legal architecture close by.
    ///
    /// # Errors
    /// Where the architecture is not of this space, or the draw made no legal one.
    fn mutate(&self, architecture: &Architecture, stream: &mut Stream) -> Result<Architecture, BoxError>;
}

/// One draw from a generator.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// One graph a component; perhaps no legal architecture.
    pub components: Vec<LabelledGraph>,
    /// Natural logarithm of the probability of drawing them.
    pub log_probability: f64,
}

/// What the loop needs of a generator.
pub trait Proposer {
    /// Fits the generator to a replay buffer, from scratch or from where its last fit ended, and returns the mean loss of every epoch; `None` when `stop`
    /// was raised before it was done. Deterministic in everything but `stop`.
    ///
    /// `buffer` holds one list of components for each architecture, best first, and `weights` its weight, which may be
    /// negative. `iteration` keys the random streams.
    ///
    /// # Errors
    /// Where the buffer does not suit the generator.
    fn refit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, BoxError>;

    /// Whether a fit begins with the parameters of the last one.
    fn is_warm(&self) -> bool {
        false
    }

    /// Draws so many architectures from the generator as last fitted.
    fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw>;
}

impl<P: Proposer + ?Sized> Proposer for &mut P {
    fn refit(
        &mut self,
        buffer: &[Vec<LabelledGraph>],
        weights: &[f64],
        iteration: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, BoxError> {
        (**self).refit(buffer, weights, iteration, stop)
    }

    fn is_warm(&self) -> bool {
        (**self).is_warm()
    }

    fn sample(&self, stream: &mut Stream, count: usize) -> Vec<Draw> {
        (**self).sample(stream, count)
    }
}
