//! Evaluates candidates in parallel, one a thread.

use super::SearchError;
use crate::oracle::{Oracle, Outcome};
use crate::space::Architecture;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A candidate to evaluate.
pub(super) struct Task {
    pub number: u64,
    pub architecture: Architecture,
}

/// What a worker tells the loop.
pub(super) enum Progress {
    Started(u64),
    Done(u64, Outcome),
    Panicked(u64, String),
}

/// Evaluates all tasks on `threads` threads and hands every step of progress to `note`, on the caller's thread and in
/// the order in which it happens. Whether all tasks are done; `false` when `stop` was raised.
///
/// # Errors
/// A panic of the oracle, or the first error of `note`. No further evaluation begins then, but those under way are
/// finished and noted: nothing that could be kept is lost.
pub(super) fn evaluate(
    oracle: &dyn Oracle,
    tasks: &[Task],
    threads: usize,
    stop: &AtomicBool,
    mut note: impl FnMut(Progress) -> Result<(), SearchError>,
) -> Result<bool, SearchError> {
    let queue = Queue { oracle, tasks, next: AtomicUsize::new(0), failed: AtomicBool::new(false), stop };
    let mut done = 0;
    let mut error = None;
    std::thread::scope(|scope| {
        let progress = spawn(scope, &queue, threads.clamp(1, tasks.len().max(1)));
        for step in progress {
            let result = match step {
                Progress::Panicked(number, message) => Err(SearchError::OraclePanicked { number, message }),
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
        None => Ok(done == tasks.len()),
    }
}

struct Queue<'a> {
    oracle: &'a dyn Oracle,
    tasks: &'a [Task],
    /// The first task that no worker has taken.
    next: AtomicUsize,
    /// Raised by the loop: take no further task.
    failed: AtomicBool,
    /// Raised by the user.
    stop: &'a AtomicBool,
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
        let Some(task) = queue.tasks.get(queue.next.fetch_add(1, Ordering::Relaxed)) else { return };
        let _ = sender.send(Progress::Started(task.number));
        let evaluation = || queue.oracle.evaluate(&task.architecture, task.number, queue.stop);
        // The oracle is not used again after a panic: the loop ends with an error.
        let step = match catch_unwind(AssertUnwindSafe(evaluation)) {
            Ok(Some(outcome)) => Progress::Done(task.number, checked(outcome)),
            Ok(None) => return,
            Err(panic) => Progress::Panicked(task.number, panic_text(panic.as_ref())),
        };
        let _ = sender.send(step);
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
