//! The best practices for research on neural architecture search, answered from the facts of the run.
//!
//! After M. Lindauer and F. Hutter, "Best Practices for Scientific Research on Neural Architecture Search", JMLR
//! 21(243), 2020; the questions are in our words.

use super::super::markup::Escaped;
use super::facts::Facts;
use super::format::counted;
use crate::config::{SpaceKind, TrainingConfig};
use std::fmt::Write;

/// How far a practice was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    Partly,
    No,
    NotInThisRun,
}

impl Answer {
    fn text(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::Partly => "partly",
            Answer::No => "no",
            Answer::NotInThisRun => "not in this run",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::Partly => "partly",
            Answer::No | Answer::NotInThisRun => "no",
        }
    }
}

/// One practice.
pub struct Item {
    pub practice: &'static str,
    pub answer: Answer,
    /// What the answer rests on.
    pub fact: String,
}

/// The section's content.
pub fn section(facts: &Facts) -> String {
    let mut html = String::from(
        "<p class=\"note\">After M. Lindauer and F. Hutter, <cite>Best Practices for Scientific Research on Neural \
         Architecture Search</cite>, JMLR 21(243), 2020. The answers are about this run alone and are filled from its \
         journal.</p>\n",
    );
    let groups = [("Code", code(facts)), ("Comparison", comparison(facts)), ("Details", details(facts))];
    for (title, items) in groups {
        let _ = writeln!(html, "<h3>{title}</h3>\n<ul class=\"checklist\">");
        for Item { practice, answer, fact } in items {
            let _ = writeln!(
                html,
                "<li><span class=\"answer {}\">{}</span><div><b>{practice}</b><br/>{}</div></li>",
                answer.class(),
                answer.text(),
                Escaped(fact)
            );
        }
        html.push_str("</ul>\n");
    }
    html
}

/// Code and hyperparameters released.
fn code(facts: &Facts) -> Vec<Item> {
    let manifest = facts.manifest;
    let program = format!("{} {}, open source under the MIT licence", manifest.program, manifest.version);
    let space = &facts.record.config.space;
    let retrain = training(&facts.record.config.retrain.training);
    let (answer, fact) = match &facts.record.finished {
        Some(_) if facts.tabular() => {
            (Answer::NotInThisRun, "Nothing was trained: the final numbers are the table\u{2019}s.".into())
        }
        Some(_) => (Answer::Yes, format!("{retrain}; seed {}. All keys stand below.", manifest.seed)),
        None => (Answer::NotInThisRun, format!("The final evaluation has not been run. It is set to {retrain}.")),
    };
    vec![
        item(
            "Code of the training pipeline of the final networks",
            Answer::Yes,
            format!("{program}; the subcommand retrain repeats the final training."),
        ),
        item(
            "Code of the search space",
            Answer::Yes,
            match space.kind {
                SpaceKind::Randwire => format!(
                    "In the same program: {} stages of {} nodes, {} channels in the first, stem stride {}{}, head {}.",
                    space.stages,
                    space.nodes,
                    space.channels,
                    space.stem_stride,
                    match space.second_stem_stride {
                        0 => String::new(),
                        stride => format!(" and {stride}"),
                    },
                    space.head
                ),
                SpaceKind::Enas => format!(
                    "In the same program: ENAS's macro space, {} layers of {} channels.",
                    space.layers, space.channels
                ),
                kind => format!("In the same program: the space {}.", kind.name()),
            },
        ),
        item("Hyperparameters and seeds of the final evaluation", answer, fact),
        item("Code of the search method", Answer::Yes, format!("{program}.")),
        item(
            "Hyperparameters and seeds of the search method",
            Answer::Yes,
            format!("Seed {}; every key of the configuration, defaults included, stands below.", manifest.seed),
        ),
    ]
}

fn training(config: &TrainingConfig) -> String {
    format!(
        "{}, batch {}, SGD at {} ({}), {} {}, weight decay {}, label smoothing {}{}",
        counted(config.epochs, "epoch"),
        config.batch,
        config.learning_rate,
        course(config),
        if config.nesterov { "Nesterov momentum" } else { "momentum" },
        config.momentum,
        config.weight_decay,
        config.label_smoothing,
        match config.gradient_clip {
            0.0 => String::new(),
            longest => format!(", gradients clipped to {longest}"),
        }
    )
}

/// How the learning rate falls.
fn course(config: &TrainingConfig) -> String {
    let to = match config.learning_rate_end {
        0.0 => "cosine".to_string(),
        end => format!("cosine to {end}"),
    };
    match config.restart_epochs {
        0 => to,
        epochs => format!("{to}, restarts after {epochs}, each cosine {} times the last", config.restart_factor),
    }
}

/// Fair comparison. What is compared in one run is the generator's networks with the explorer's.
fn comparison(facts: &Facts) -> Vec<Item> {
    let both = !facts.generator.is_empty() && !facts.explorer.is_empty();
    let when_both = |answer: Answer| if both { answer } else { Answer::NotInThisRun };
    let sizes = format!("{} of the explorer and {} of the generator", facts.explorer.len(), facts.generator.len());
    vec![
        item(
            "Same data, split, space and training for all that is compared",
            when_both(Answer::Yes),
            format!("Evaluated alike: {sizes}. No other method was run."),
        ),
        item(
            "Confounding factors controlled",
            when_both(Answer::Partly),
            format!(
                "Same program, device ({}) and threads; random streams are keyed by seed and network. Not controlled: \
                 when in the run the two kinds were evaluated.",
                facts.manifest.device.name
            ),
        ),
        item("Ablation studies", Answer::NotInThisRun, "One configuration, nothing left out or exchanged.".into()),
        item(
            "Same evaluation protocol for all that is compared",
            when_both(Answer::Yes),
            if facts.tabular() {
                "The same table for every network.".into()
            } else {
                format!(
                    "{} on a share of {} of the training images, then all validation images, for every network.",
                    counted(facts.record.config.oracle.training.epochs, "epoch"),
                    facts.record.config.oracle.training.data_fraction
                )
            },
        ),
        item(
            "Performance over time",
            if facts.evaluated.is_empty() { Answer::NotInThisRun } else { Answer::Yes },
            "The first chart: every network and the best so far, by the number of evaluations.".into(),
        ),
        item(
            "Comparison with random search",
            when_both(Answer::Partly),
            format!(
                "The explorer\u{2019}s networks are random graphs ({sizes}), but there is no separate random search of the same \
                 budget in this run."
            ),
        ),
        item(
            "Several runs with reported seeds",
            Answer::No,
            format!("One run, seed {}. Repeat it with other seeds before drawing conclusions.", facts.manifest.seed),
        ),
        item(
            "Tabular or surrogate benchmarks for depth",
            if facts.tabular() { Answer::Yes } else { Answer::NotInThisRun },
            if facts.tabular() {
                format!("Every accuracy was looked up in {}.", facts.manifest.data.name)
            } else {
                "Every accuracy is of a network that was really trained.".into()
            },
        ),
    ]
}

/// Details reported.
fn details(facts: &Facts) -> Vec<Item> {
    let manifest = facts.manifest;
    let (wall, remark) = super::cost::wall_clock(facts);
    let timed = if manifest.seconds().1 { Answer::Yes } else { Answer::Partly };
    let budget = facts.record.config.search.budget;
    let done = facts.evaluated.len() + facts.failed;
    let checked = manifest.data.files.len();
    vec![
        item(
            "How hyperparameters were tuned, and at what cost",
            Answer::No,
            "A run does not know what was tried before it. State it with any number you publish.".into(),
        ),
        item("Time of the whole method, end to end", timed, format!("{wall} ({remark}), in parts under Cost.")),
        item(
            "Hardware and software",
            if manifest.host.cpu == "unknown" { Answer::Partly } else { Answer::Yes },
            format!(
                "Processor: {}, {} cores, {}; device {}, kernels {}, {}; {} {}.",
                manifest.host.cpu,
                manifest.host.cores,
                manifest.host.system,
                manifest.device.name,
                manifest.device.instruction_set,
                counted(manifest.device.threads, "thread"),
                manifest.program,
                manifest.version
            ),
        ),
        item(
            "Budget, and what became of it",
            if facts.record.finished.is_some() { Answer::Yes } else { Answer::Partly },
            format!(
                "{done} of {budget} distinct networks evaluated, {} failed, {} proposed but not evaluated.",
                facts.failed, facts.pending
            ),
        ),
        item(
            "Data stated exactly",
            if checked > 0 { Answer::Yes } else { Answer::Partly },
            format!(
                "{}; {} with SHA-256 below. The split follows from the seed.",
                manifest.data.name,
                counted(checked, "file")
            ),
        ),
        item(
            "Test images used once, after the search",
            if facts.record.finished.is_some() { Answer::Yes } else { Answer::NotInThisRun },
            match &facts.record.finished {
                Some(last) if facts.tabular() => {
                    format!("The search saw validation accuracies only; network {} was chosen by them.", last.candidate)
                }
                Some(last) => format!("Network {} was retrained and tested once by the run.", last.candidate),
                None => "The final test has not been run.".into(),
            },
        ),
    ]
}

fn item(practice: &'static str, answer: Answer, fact: String) -> Item {
    Item { practice, answer, fact }
}
