//! A generator from a checkpoint, whichever it is.

use super::{Draw, Generator, GeneratorError, LstmGenerator, Sampler};
use crate::graph::LabelledGraph;
use crate::random::Stream;
use std::path::Path;

/// The largest checkpoint that is read, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// A generator that a run left.
#[derive(Clone, Debug)]
pub enum Fitted {
    /// The graph generator.
    Gran(Generator),
    /// The LSTM.
    Lstm(LstmGenerator),
}

impl Fitted {
    /// Reads a checkpoint of either kind.
    ///
    /// # Errors
    /// [`GeneratorError::Checkpoint`] for damaged or foreign bytes: what the graph generator says of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GeneratorError> {
        match LstmGenerator::from_bytes(bytes) {
            Ok(lstm) => Ok(Fitted::Lstm(lstm)),
            Err(_) => Generator::from_bytes(bytes).map(Fitted::Gran),
        }
    }

    /// Reads a checkpoint file of at most 1 GiB.
    ///
    /// # Errors
    /// As [`Fitted::from_bytes`], or what the system says.
    pub fn load(path: &Path) -> Result<Self, GeneratorError> {
        let failed = |source| GeneratorError::File { path: path.to_owned(), source };
        let named = |reason| GeneratorError::Checkpoint(format!("{}: {reason}", path.display()));
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MOST_BYTES {
            return Err(named(format!("it has {size} bytes, more than {MOST_BYTES}")));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Fitted::from_bytes(&bytes).map_err(|error| match error {
            GeneratorError::Checkpoint(reason) => named(reason),
            other => other,
        })
    }

    /// Draws architectures; the sampler changes no result.
    pub fn sample(&self, stream: &mut Stream, count: usize, sampler: &mut Sampler) -> Vec<Draw> {
        match self {
            Fitted::Gran(generator) => generator.sample(stream, count, sampler),
            Fitted::Lstm(generator) => generator.sample(stream, count),
        }
    }

    /// Log-probability of an architecture as ordered graphs, natural logarithm.
    ///
    /// # Errors
    /// Graphs of another shape than the generator's.
    pub fn log_probability(&self, components: &[LabelledGraph]) -> Result<f64, GeneratorError> {
        match self {
            Fitted::Gran(generator) => generator.log_probability(components),
            Fitted::Lstm(generator) => generator.log_probability(components),
        }
    }
}
