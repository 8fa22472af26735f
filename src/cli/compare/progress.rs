//! Progress of a comparison, run by run.

use crate::cli::output::remark;
use crate::cli::text::{duration, percent};
use crate::compare::Finished;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How progress is shown.
pub(super) enum Progress {
    Quiet,
    Lines(Instant),
    Bar(ProgressBar, Instant),
}

impl Progress {
    /// Shows progress as suits the standard error.
    pub fn new(quiet: bool, runs: usize) -> Self {
        if quiet {
            return Progress::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Progress::Lines(Instant::now());
        }
        let bar = ProgressBar::with_draw_target(Some(runs as u64), ProgressDrawTarget::stderr());
        // A template that indicatif does not take leaves its own.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {elapsed}  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Progress::Bar(bar, Instant::now())
    }

    /// A run is done.
    pub fn finished(&self, finished: &Finished) {
        let Finished { strategy, result, done, total } = finished;
        let text = |start: &Instant| {
            let elapsed = start.elapsed().as_secs_f64();
            let rate = *done as f64 / elapsed.max(1e-9);
            let to_go = duration((total - done) as f64 / rate);
            let (seed, accuracy) = (result.seed, percent(result.validation));
            format!("{strategy}, seed {seed}: {accuracy}; {rate:.2} runs/s, about {to_go} to go")
        };
        match self {
            Progress::Quiet => {}
            Progress::Lines(start) => {
                let width = total.to_string().len();
                remark(&format!(
                    "{done:>width$}/{total}  {}  {}",
                    duration(start.elapsed().as_secs_f64()),
                    text(start)
                ));
            }
            Progress::Bar(bar, start) => {
                bar.set_position(*done as u64);
                bar.set_message(text(start));
            }
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Progress::Bar(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}
