//! The explorer: classical random graphs, of each configured kind in turn.

use super::{BoxError, SearchError, SearchSpace};
use crate::config::{ClassicalKind, SearchConfig};
use crate::random::{Purpose, Stream, StreamKey};
use crate::space::Architecture;
use std::collections::HashSet;

/// Where an explorer's draw is wanted.
pub(super) struct Slot {
    /// The run's seed.
    pub seed: u64,
    /// The iteration.
    pub iteration: u64,
    /// The candidate's place in its iteration.
    pub place: u64,
    /// The candidate's number in the run; it says whose turn it is.
    pub number: u64,
}

/// A new architecture.
pub(super) struct Found {
    pub architecture: Architecture,
    pub key: String,
    pub kind: ClassicalKind,
}

/// Draws until an architecture is new. Where a kind gives none in `explorer_tries` draws, the next one has its turn.
///
/// # Errors
/// [`SearchError::Exhausted`] where no kind gives one.
pub(super) fn explore(
    space: &dyn SearchSpace,
    search: &SearchConfig,
    slot: &Slot,
    known: &HashSet<String>,
) -> Result<Found, SearchError> {
    let key = StreamKey { seed: slot.seed, purpose: Purpose::Explore, candidate: slot.iteration, epoch: slot.place };
    let mut stream = key.stream();
    let kinds = search.explorer.len().max(1);
    let first = (slot.number % kinds as u64) as usize;
    let mut last_error = None;
    for &kind in search.explorer.iter().cycle().skip(first).take(kinds) {
        for _ in 0..search.explorer_tries {
            match draw(space, &mut stream, kind) {
                Ok(found) if known.contains(&found.key) => {}
                Ok(found) => return Ok(found),
                Err(error) => last_error = Some(error.to_string()),
            }
        }
    }
    Err(SearchError::Exhausted { tries: search.explorer_tries, known: known.len(), last_error })
}

fn draw(space: &dyn SearchSpace, stream: &mut Stream, kind: ClassicalKind) -> Result<Found, BoxError> {
    let architecture = space.explore(stream, kind)?;
    let key = space.key(&architecture)?;
    Ok(Found { architecture, key, kind })
}
