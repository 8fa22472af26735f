//! Progress on the standard error: a bar on a terminal, plain lines elsewhere, nothing when asked to be quiet.
//!
//! Everything here happens on the search loop's own thread, a few times a candidate; the workers never wait for it.

use super::output::remark;
use super::text::{counted, duration, percent};
use crate::config::ClassicalKind;
use crate::oracle::EpochReport;
use crate::search::{Event, Observer};
use crate::store::{CandidateRecord, Origin, SamplingRecord};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How progress is shown.
pub(super) enum Progress {
    /// Not at all.
    Quiet,
    /// Line by line.
    Lines(RefCell<Counts>),
    /// As a bar.
    Bar(ProgressBar, RefCell<Counts>),
}

/// What has been done.
pub(super) struct Counts {
    started: Instant,
    /// Candidates that had their outcome when this session began.
    before: usize,
    done: usize,
    budget: usize,
    best: Option<f64>,
}

impl Counts {
    fn new(best: Option<f64>) -> Self {
        Counts { started: Instant::now(), before: 0, done: 0, budget: 0, best }
    }

    fn begin(&mut self, done: usize, budget: usize) {
        *self = Counts { started: Instant::now(), before: done, done, budget, best: self.best };
    }

    /// Notes an outcome.
    fn count(&mut self, record: &CandidateRecord) {
        self.done += 1;
        let accuracy = record.outcome.as_ref().and_then(|outcome| outcome.validation_accuracy);
        self.best = self.best.into_iter().chain(accuracy).reduce(f64::max);
    }

    /// For instance `best 84.31 %, 12.5 a minute, about 3 min 1 s to go`. The rate is that of this session, refits
    /// included.
    fn pace(&self) -> String {
        let best = self.best.map_or("none yet".into(), percent);
        let done = self.done.saturating_sub(self.before);
        if done == 0 {
            return format!("best {best}");
        }
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let to_go = duration(self.budget.saturating_sub(self.done) as f64 / rate);
        format!("best {best}, {:.1} a minute, about {to_go} to go", 60.0 * rate)
    }
}

impl Progress {
    /// Shows progress as suits the standard error. `best`: the best accuracy so far.
    pub fn new(quiet: bool, best: Option<f64>) -> Self {
        let counts = RefCell::new(Counts::new(best));
        if quiet {
            return Progress::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Progress::Lines(counts);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template that indicatif does not take leaves its own.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {elapsed}  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Progress::Bar(bar, counts)
    }

    /// Says something that is no progress.
    pub fn remark(&self, line: &str) {
        match self {
            Progress::Quiet => {}
            Progress::Lines(_) => remark(line),
            Progress::Bar(bar, _) => bar.suspend(|| remark(line)),
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Progress::Bar(bar, _) = self {
            bar.finish_and_clear();
        }
    }

    /// The long training begins.
    pub fn training(&self, what: &str, epochs: usize) {
        match self {
            Progress::Quiet => {}
            Progress::Lines(_) => remark(&format!("training {what} on all training images, {}", epochs_text(epochs))),
            Progress::Bar(bar, _) => {
                bar.set_position(0);
                bar.set_length(epochs as u64);
                bar.set_message(format!("training {what} on all training images"));
            }
        }
    }

    /// An epoch of the long training is done.
    pub fn epoch(&self, report: &EpochReport) {
        let EpochReport { epoch, epochs, loss, images_per_s, .. } = *report;
        let state = format!("loss {loss:.4}, {images_per_s:.0} images/s");
        match self {
            Progress::Quiet => {}
            Progress::Lines(_) => remark(&format!("epoch {epoch}/{epochs}: {state}")),
            Progress::Bar(bar, _) => {
                bar.set_position(epoch as u64);
                bar.set_message(format!("epochs of the long training: {state}"));
            }
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: Event<'_>) {
        match self {
            Progress::Quiet => {}
            Progress::Lines(counts) => lines(&mut counts.borrow_mut(), event),
            Progress::Bar(bar, counts) => draw(bar, &mut counts.borrow_mut(), event),
        }
    }
}

fn lines(counts: &mut Counts, event: Event<'_>) {
    match event {
        Event::Started { evaluated, budget } => counts.begin(evaluated, budget),
        Event::RefitStarted { buffer, .. } => remark(&format!("fitting the generator to the best {buffer}")),
        Event::IterationStarted { iteration, candidates, sampling } => {
            remark(&iteration_text(iteration, candidates, sampling));
        }
        Event::CandidateDone { record } => {
            counts.count(record);
            let width = counts.budget.to_string().len();
            let (done, budget) = (counts.done, counts.budget);
            let elapsed = duration(counts.started.elapsed().as_secs_f64());
            let (result, pace) = (result_text(record), counts.pace());
            remark(&format!("{done:>width$}/{budget}  {elapsed}  {result}; {pace}"));
        }
        Event::RefitDone { .. } | Event::CandidateStarted { .. } => {}
    }
}

fn draw(bar: &ProgressBar, counts: &mut Counts, event: Event<'_>) {
    let phase = match event {
        Event::Started { evaluated, budget } => {
            counts.begin(evaluated, budget);
            "starting".into()
        }
        Event::RefitStarted { buffer, .. } => format!("fitting the generator to the best {buffer}"),
        Event::RefitDone { .. } => "drawing candidates".into(),
        Event::IterationStarted { candidates, .. } => format!("training {}", counted(candidates.len(), "candidate")),
        Event::CandidateStarted { number } => format!("training candidate {number}"),
        Event::CandidateDone { record } => {
            counts.count(record);
            result_text(record)
        }
    };
    bar.set_length(counts.budget as u64);
    bar.set_position(counts.done as u64);
    bar.set_message(format!("{}; {phase}", counts.pace()));
}

fn epochs_text(epochs: usize) -> String {
    counted(epochs, "epoch")
}

/// For instance `candidate 11 (generator): 84.31 %`.
fn result_text(record: &CandidateRecord) -> String {
    let result = record.outcome.as_ref().map_or("no outcome".into(), |outcome| match outcome.validation_accuracy {
        Some(accuracy) => percent(accuracy),
        None => format!("failed ({})", outcome.failure.as_deref().unwrap_or("no reason given")),
    });
    format!("candidate {} ({}): {result}", record.number, origin_text(record.origin))
}

fn origin_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Generator => "generator",
        Origin::Explorer(ClassicalKind::Ws) => "random, WS",
        Origin::Explorer(ClassicalKind::Er) => "random, ER",
        Origin::Explorer(ClassicalKind::Ba) => "random, BA",
        Origin::Explorer(ClassicalKind::Uniform) => "random, uniform",
        Origin::Explorer(ClassicalKind::Full) => "random, full",
    }
}

/// For instance `iteration 3: 8 candidates from the generator (12 drawn, 3 known already)`.
fn iteration_text(iteration: u64, candidates: &[CandidateRecord], sampling: &SamplingRecord) -> String {
    let generated = candidates.iter().filter(|candidate| candidate.origin == Origin::Generator).count();
    let mut parts = Vec::new();
    if generated > 0 || sampling.drawn > 0 {
        let SamplingRecord { drawn, invalid, duplicates, .. } = sampling;
        parts.push(format!("{generated} from the generator ({drawn} drawn, {invalid} invalid, {duplicates} known)"));
    }
    if candidates.len() > generated {
        parts.push(format!("{} random", candidates.len() - generated));
    }
    let filled = match sampling.filled_by_explorer {
        0 => String::new(),
        filled => format!("; the generator's draws ran out, so {filled} of these are random"),
    };
    format!("iteration {iteration}: {}: {}{filled}", counted(candidates.len(), "candidate"), parts.join(", "))
}
