//! Local search (White et al. 2021): walk uphill over neighbours, and start anew where none is better.

use super::{Context, Share, Situation, Strategy, Suggestion};
use crate::config::Improvement;
use crate::random::{Purpose, Stream, StreamKey};
use crate::search::SearchError;
use crate::search::replay::accuracy;
use crate::space::Architecture;
use crate::store::{CandidateRecord, Origin};
use rand::seq::SliceRandom;
use std::collections::{HashMap, HashSet};

/// Local search. Walks start at the explorer's candidates, in their order. A walk looks at the neighbours of where it is,
/// in random order, and goes to the best of them all or to the first that is better (`search.improvement`); it ends where
/// none is better. A neighbour that was evaluated before costs nothing.
///
/// The walks are repeated from the history before every iteration: where they lack an accuracy, the candidates of the next
/// iteration are.
#[derive(Clone, Debug, Default)]
pub struct LocalSearch {
    /// What the walks lack, in their order.
    wanted: Vec<Unknown>,
    /// Starts of walks that are at their end, for good.
    ended: HashSet<u64>,
}

/// A neighbour without an accuracy.
#[derive(Clone, Debug)]
struct Unknown {
    architecture: Architecture,
    key: String,
}

impl Strategy for LocalSearch {
    fn prepare(&mut self, situation: &Situation, _: &Context) -> Result<Option<Share>, SearchError> {
        let walk = Walk { situation, known: known(situation.history) };
        self.wanted.clear();
        let mut keys = HashSet::new();
        for start in situation.history.iter().filter(|candidate| matches!(candidate.origin, Origin::Explorer(_))) {
            if self.wanted.len() >= situation.size {
                break;
            }
            if self.ended.contains(&start.number) {
                continue;
            }
            let unknown = walk.from(start)?;
            if unknown.is_empty() {
                self.ended.insert(start.number);
            }
            self.wanted.extend(unknown.into_iter().filter(|neighbour| keys.insert(neighbour.key.clone())));
        }
        self.wanted.truncate(situation.size);
        Ok(Some(Share { explored: situation.size - self.wanted.len(), refit: None }))
    }

    fn draw(&self, _: &Situation, _: &mut Stream, _: usize) -> Vec<Suggestion> {
        self.wanted.iter().map(|wanted| Suggestion::Architecture(wanted.architecture.clone())).collect()
    }
}

/// The accuracy of every key; failures are worse than any.
fn known(history: &[CandidateRecord]) -> HashMap<&str, f64> {
    history.iter().map(|candidate| (&*candidate.key, accuracy(candidate).unwrap_or(f64::NEG_INFINITY))).collect()
}

struct Walk<'a> {
    situation: &'a Situation<'a>,
    known: HashMap<&'a str, f64>,
}

/// A neighbour whose accuracy is known.
struct Known {
    architecture: Architecture,
    key: String,
    accuracy: f64,
}

/// A neighbour.
enum Neighbour {
    Known(Known),
    Unknown(Unknown),
}

impl Walk<'_> {
    /// Walks as far as the history reaches. What must be evaluated next; nothing where the walk is at its end.
    fn from(&self, start: &CandidateRecord) -> Result<Vec<Unknown>, SearchError> {
        let mut here = start.architecture.clone();
        let mut height = accuracy(start).unwrap_or(f64::NEG_INFINITY);
        for step in 0.. {
            let neighbours = self.neighbours(start.number, step, &here)?;
            let next = match self.situation.search.improvement {
                Improvement::First => first_better(neighbours, height),
                Improvement::Best => best(neighbours, height),
            };
            match next {
                Next::At(neighbour) => (here, height) = (neighbour.architecture, neighbour.accuracy),
                Next::Missing(unknown) => return Ok(unknown),
                Next::Top => break,
            }
        }
        Ok(Vec::new())
    }

    /// The neighbours, whose keys differ, in the random order of this step.
    fn neighbours(&self, number: u64, step: u64, of: &Architecture) -> Result<Vec<Neighbour>, SearchError> {
        let refused = |source| SearchError::Space { number, source };
        let seed = self.situation.seed;
        let key = StreamKey { seed, purpose: Purpose::LocalSearch, candidate: number, epoch: step };
        let mut neighbours = self.situation.space.neighbours(of).map_err(refused)?;
        neighbours.shuffle(&mut key.stream());
        let look_up = |architecture| {
            let key = self.situation.space.key(&architecture).map_err(refused)?;
            Ok(match self.known.get(&*key) {
                Some(&accuracy) => Neighbour::Known(Known { architecture, key, accuracy }),
                None => Neighbour::Unknown(Unknown { architecture, key }),
            })
        };
        neighbours.into_iter().map(look_up).collect()
    }
}

/// Where a walk goes from one place.
enum Next {
    At(Known),
    /// These must be evaluated before that is known.
    Missing(Vec<Unknown>),
    Top,
}

/// The first neighbour that is better than here; those before it must be known.
fn first_better(neighbours: Vec<Neighbour>, height: f64) -> Next {
    let mut missing = Vec::new();
    for neighbour in neighbours {
        match neighbour {
            Neighbour::Unknown(unknown) => missing.push(unknown),
            Neighbour::Known(known) if known.accuracy > height && missing.is_empty() => return Next::At(known),
            Neighbour::Known(known) if known.accuracy > height => break,
            Neighbour::Known(_) => {}
        }
    }
    if missing.is_empty() { Next::Top } else { Next::Missing(missing) }
}

/// The best neighbour where it is better than here; of equals the one with the lower key. All must be known.
fn best(neighbours: Vec<Neighbour>, height: f64) -> Next {
    let mut missing = Vec::new();
    let mut best: Option<Known> = None;
    for neighbour in neighbours {
        match neighbour {
            Neighbour::Unknown(unknown) => missing.push(unknown),
            Neighbour::Known(known) => {
                let better = |old: &Known| (known.accuracy, &old.key) > (old.accuracy, &known.key);
                if best.as_ref().is_none_or(better) {
                    best = Some(known);
                }
            }
        }
    }
    match best {
        _ if !missing.is_empty() => Next::Missing(missing),
        Some(known) if known.accuracy > height => Next::At(known),
        _ => Next::Top,
    }
}
