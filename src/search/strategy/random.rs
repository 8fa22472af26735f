//! Random search: the explorer proposes everything.

use super::{Context, Share, Situation, Strategy, Suggestion};
use crate::random::Stream;
use crate::search::SearchError;

/// Random search, also of one kind of classical random graphs.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomSearch;

impl Strategy for RandomSearch {
    fn prepare(&mut self, situation: &Situation, _: &Context) -> Result<Option<Share>, SearchError> {
        Ok(Some(Share { explored: situation.size, refit: None }))
    }

    fn draw(&self, _: &Situation, _: &mut Stream, _: usize) -> Vec<Suggestion> {
        Vec::new()
    }
}
