//! Evaluates candidates in parallel: one a thread, or as many together as the oracle likes.

use super::SearchError;
use crate::oracle::{Candidate, Oracle, OracleError, Outcome};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// What a worker tells the loop.
pub(super) enum Progress {
    Started(u64),
    Done(u64, Outcome),
    Failed(OracleError),
    Panicked(u64, String),
}

/// Evaluates all candidates on `threads` threads and hands every step of progress to `note`, on the caller's thread and in
/// the order in which it happens. Whether all are done; `false` when `stop` was raised.
///
/// # Errors
/// A panic of the oracle, a failed device, or the first error of `note`. No further evaluation begins then, but those under
/// way are finished and noted: nothing that could be kept is lost.
pub(super) fn evaluate(
    oracle: &dyn Oracle,
    candidates: &[Candidate],
    threads: usize,
    stop: &AtomicBool,
    mut note: impl FnMut(Progress) -> Result<(), SearchError>,
) -> Result<bool, SearchError> {
    let queue = Queue { oracle, candidates, next: Mutex::new(0), failed: AtomicBool::new(false), stop };
    let mut done = 0;
    let mut error = None;
    std::thread::scope(|scope| {
        let progress = spawn(scope, &queue, oracle.groups_at_once(threads).clamp(1, candidates.len().max(1)));
        for step in progress {
            let result = match step {
                Progress::Panicked(number, message) => Err(SearchError::OraclePanicked { number, message }),
                Progress::Failed(source) => Err(SearchError::Device { source }),
                step => {
                    done += usize::from(matches!(step, Progress::Done(..)));
                    note(step)
                }
            };
            if let Err(failure) = result {
                queue.failed.store(true, Ordering::Relaxed);
                error.get_or_insert(failure);
            }
        }
    });
    match error {
        Some(error) => Err(error),
        None => Ok(done == candidates.len()),
    }
}

struct Queue<'a> {
    oracle: &'a dyn Oracle,
    candidates: &'a [Candidate],
    /// The first candidate that no worker has taken.
    next: Mutex<usize>,
    /// Raised by the loop: take no further candidate.
    failed: AtomicBool,
    /// Raised by the user.
    stop: &'a AtomicBool,
}

impl<'a> Queue<'a> {
    /// The next candidates to evaluate together; none: all are taken.
    fn take(&self) -> &'a [Candidate] {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = &self.candidates[*next..];
        let size = if waiting.is_empty() { 0 } else { self.oracle.group_size(waiting).clamp(1, waiting.len()) };
        *next += size;
        &waiting[..size]
    }
}

/// Starts the workers. The channel closes when all of them have ended.
fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    queue: &'scope Queue<'scope>,
    threads: usize,
) -> Receiver<Progress> {
    let (sender, receiver) = channel();
    for _ in 0..threads {
        let sender = sender.clone();
        scope.spawn(move || work(queue, &sender));
    }
    receiver
}

fn work(queue: &Queue, sender: &Sender<Progress>) {
    while !queue.stop.load(Ordering::Relaxed) && !queue.failed.load(Ordering::Relaxed) {
        let group = queue.take();
        let Some(first) = group.first() else { return };
        group.iter().for_each(|candidate| drop(sender.send(Progress::Started(candidate.number))));
        let evaluation = || queue.oracle.evaluate(group, queue.stop);
        // The oracle is not used again after a panic: the loop ends with an error.
        match catch_unwind(AssertUnwindSafe(evaluation)) {
            Ok(Ok(Some(outcomes))) => {
                for (candidate, outcome) in group.iter().zip(outcomes) {
                    let _ = sender.send(Progress::Done(candidate.number, checked(outcome)));
                }
            }
            Ok(Ok(None)) => return,
            Ok(Err(error)) => drop(sender.send(Progress::Failed(error))),
            Err(panic) => drop(sender.send(Progress::Panicked(first.number, panic_text(panic.as_ref())))),
        }
    }
}

/// An outcome has either an accuracy in 0..=1 or a reason why not.
fn checked(mut outcome: Outcome) -> Outcome {
    let Some(accuracy) = outcome.validation_accuracy else {
        outcome.failure.get_or_insert_with(|| "no accuracy, and no reason given".into());
        return outcome;
    };
    // SQLite keeps no sign of zero, and ranks must be the same after a resume.
    outcome.validation_accuracy = Some(accuracy.abs());
    if !(0.0..=1.0).contains(&accuracy) {
        outcome.validation_accuracy = None;
        outcome.failure.get_or_insert_with(|| format!("the validation accuracy was {accuracy}"));
    }
    outcome
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic without a text".into())
}
