//! A dry run for people.

use super::super::text::{counted, duration};
use super::{DryRun, Spread};
use crate::config::Config;
use std::fmt::Write;

/// The whole account.
pub(super) fn text(run: &DryRun, config: &Config) -> String {
    let mut text = format!("{}: nothing is run or written\n", run.name);
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12}{value}");
    };
    if run.networks.is_some() {
        line("data", data(run));
    }
    match &run.networks {
        Some(networks) => line(
            "networks",
            format!(
                "{} drawn: {} parameters, {} multiply-adds an image",
                networks.drawn,
                millions(networks.parameters),
                millions(networks.multiply_adds)
            ),
        ),
        None => line("networks", "looked up in a table, which takes no time".into()),
    }
    line("measured", measured(run));
    for phase in &run.phases {
        line(phase.name, format!("{}  ({})", time(phase.seconds), phase.what));
    }
    line("total", format!("{}, estimated from the measured rates", time(run.total_seconds)));
    line("memory", format!("{} at most", megabytes(run.memory_mb)));
    let place = format!("{} in runs/{}", megabytes(run.disk.run_mb), config.run.name);
    let packed = match run.disk.packed_mb {
        0.0 => String::new(),
        packed => format!("; {} for the packed images, once", megabytes(packed)),
    };
    line("disk", format!("about {place}{packed}"));
    if let Some(h100) = &run.h100 {
        line(
            "H100",
            format!(
                "an estimate, not measured: candidates {}, retraining {}; {}",
                time(h100.candidates_seconds),
                time(h100.retraining_seconds),
                h100.estimate
            ),
        );
    }
    text
}

fn data(run: &DryRun) -> String {
    let data = &run.data;
    let published = if data.published { " (the published figures: the files are not here)" } else { "" };
    format!(
        "{}: {} images for training, {} for validation, {} for the test{published}",
        data.name, data.training_images, data.validation_images, data.test_images
    )
}

fn measured(run: &DryRun) -> String {
    let mut parts = vec![format!("{}, threads: {}", run.device, run.threads)];
    if let Some(rates) = &run.measured.candidates {
        let (training, evaluation) = (rates.training, rates.evaluation);
        let networks = counted(rates.networks, "network");
        parts.push(format!("{networks} at once {training:.0} images/s in training, {evaluation:.0} evaluated"));
    }
    if let Some(rates) = &run.measured.retraining {
        parts.push(format!("the long training {:.0} images/s", rates.training));
    }
    if run.measured.refits > 0 {
        parts.push(format!("an epoch of a refit {:.3} s", run.measured.refit_epoch_seconds));
    }
    format!("{} (in {})", parts.join("; "), time(run.measured.seconds))
}

/// `5.61 M (5.58 to 5.65)`
fn millions(Spread { least, median, most }: Spread) -> String {
    let million = |number: u64| number as f64 / 1e6;
    format!("{:.2} M ({:.2} to {:.2})", million(median), million(least), million(most))
}

fn megabytes(number: f64) -> String {
    if number < 1000.0 { format!("{number:.0} MB") } else { format!("{:.1} GB", number / 1000.0) }
}

/// A day has 24 hours here.
fn time(seconds: f64) -> String {
    let days = seconds / 86_400.0;
    if days < 2.0 { duration(seconds) } else { format!("{days:.1} days") }
}
