//! `compare`: the same search by several strategies over several seeds.

mod progress;
mod seeds;
mod table;

use super::exit::{CommandResult, End, UsageError};
use super::files;
use super::interrupt::stop_flag;
use super::output::{json_text, print, print_json, remark};
use super::workbench::{device_of, open_device, threads};
use crate::compare::{Comparison, Contest, Entrant, RunResult, StrategyResult};
use crate::config::{Config, Override, split_override};
use crate::oracle::{Engine, Oracle};
use crate::report::comparison_html;
use crate::search::{BoxError, strategy_overrides};
use crate::space::space_of;
use anyhow::Context;
use clap::Args;
use progress::Progress;
pub(super) use seeds::Seeds;
use std::path::{Path, PathBuf};

/// The report's page and the results, in the directory of a comparison.
const PAGE: &str = "comparison.html";
const RESULTS: &str = "comparison.json";

/// Compare strategies: run each with every seed, print accuracies, tests and times
#[derive(Args)]
pub(super) struct CompareArguments {
    /// The configuration (TOML) of every run
    config: PathBuf,
    /// Strategies, divided by commas; the first is tested against each other one
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    strategies: Vec<String>,
    /// Seeds: ranges such as 21..30, both ends included, and single ones, divided by commas
    #[arg(long, value_name = "LIST")]
    seeds: Seeds,
    /// Distinct architectures a run evaluates [default: search.budget]
    #[arg(long, value_name = "N")]
    budget: Option<usize>,
    /// Directory for the journals (DIR/STRATEGY/SEED) and the report [default: journals in memory, the report in
    /// runs/NAME-comparison]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at the same time, 0: one for every core; changes no result [default: run.threads]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Replace a value of the configuration, for instance search.keep_top=10
    #[arg(long, value_name = "KEY=VALUE", value_parser = split_override)]
    set: Vec<Override>,
    /// Print the results as a JSON object
    #[arg(long)]
    json: bool,
    /// No progress, only the results
    #[arg(long)]
    quiet: bool,
}

impl CompareArguments {
    /// The configuration of a strategy's runs.
    fn config(&self, strategy: &str) -> anyhow::Result<Config> {
        let budget = self.budget.map(|budget| ("search.budget".to_string(), budget.to_string()));
        let own = strategy_overrides(strategy);
        let overrides: Vec<Override> = self.set.iter().cloned().chain(budget).chain(own).collect();
        Ok(Config::from_file(&self.config, &overrides)?)
    }

    fn entrants(&self) -> anyhow::Result<Vec<Entrant>> {
        let entrant = |name: &String| {
            let config = self.config(name)?;
            let space = space_of(&config)?;
            Ok(Entrant { name: name.clone(), config, space })
        };
        if let Some(twice) = (1..self.strategies.len()).find(|&i| self.strategies[..i].contains(&self.strategies[i])) {
            return Err(UsageError(format!("--strategies: {:?} is given twice", self.strategies[twice])).into());
        }
        self.strategies.iter().map(entrant).collect()
    }
}

pub(super) fn execute(arguments: &CompareArguments) -> CommandResult {
    let entrants = arguments.entrants()?;
    let config = &entrants.first().context("no strategy is named")?.config;
    let material = Material::new(config)?;
    let stop = stop_flag()?;
    let contest = Contest {
        entrants: &entrants,
        seeds: &arguments.seeds.0,
        oracle: &|config| material.oracle(config),
        directory: arguments.out.as_deref(),
        threads: threads(arguments.threads.unwrap_or(config.run.threads)),
        stop: &stop,
    };
    let progress = Progress::new(arguments.quiet, entrants.len() * arguments.seeds.0.len());
    let results = contest.run(|finished| progress.finished(&finished));
    progress.clear();
    let Some(results) = results? else {
        let kept = "with --out the runs that are done are kept, and the same command goes on";
        return Ok(End::Interrupted(kept.into()));
    };
    let comparison = compare(arguments, &entrants, results, material.optimum());
    let directory = match &arguments.out {
        Some(directory) => directory.clone(),
        None => Path::new("runs").join(format!("{}-comparison", config.run.name)),
    };
    let page = write(&directory, &comparison)?;
    if arguments.json {
        print_json(&comparison)?;
        remark(&format!("report: {}", page.display()));
    } else {
        print(&table::text(&comparison))?;
        print(&format!("report: {}\n", page.display()))?;
    }
    Ok(End::Done)
}

fn compare(
    arguments: &CompareArguments,
    entrants: &[Entrant],
    results: Vec<Vec<RunResult>>,
    optimum: Option<f64>,
) -> Comparison {
    let strategies = entrants.iter().zip(results);
    let strategies: Vec<StrategyResult> =
        strategies.filter_map(|(entrant, runs)| StrategyResult::new(entrant.name.clone(), runs, optimum)).collect();
    let config = entrants.first().map(|entrant| &entrant.config);
    Comparison {
        name: config.map(|config| config.run.name.clone()).unwrap_or_default(),
        budget: config.map_or(0, |config| config.search.budget),
        seeds: arguments.seeds.0.clone(),
        optimum,
        tests: Comparison::tests(&strategies),
        strategies,
    }
}

/// Writes page and results; the page's path.
fn write(directory: &Path, comparison: &Comparison) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    files::write(&directory.join(RESULTS), json_text(comparison)?.as_bytes())?;
    let page = directory.join(PAGE);
    files::write(&page, comparison_html(comparison).as_bytes())?;
    Ok(page)
}

/// What rewards are made of.
struct Material {
    table: Option<crate::table::Table>,
    /// What networks are trained on: one a thread on the CPU, those of one run at a time on a CUDA device.
    engine: Engine,
}

impl Material {
    fn new(config: &Config) -> anyhow::Result<Material> {
        let table = match config.oracle.kind {
            crate::config::OracleKind::Table => Some(crate::table::Table::open(config)?),
            crate::config::OracleKind::Training | crate::config::OracleKind::Supernet => None,
        };
        Ok(Material { table, engine: open_device(device_of(config, config.run.device)?, config.run.precision, 1)? })
    }

    /// The oracle of a run. Where networks are trained, the split of the images depends on the seed.
    fn oracle(&self, config: &Config) -> Result<Box<dyn Oracle>, BoxError> {
        if let Some(table) = &self.table {
            return Ok(Box::new(crate::oracle::TableOracle::new(table.clone())));
        }
        let (dataset, splits) = crate::data::load_and_say(&config.data, config.run.seed, &super::output::remark)?;
        let dataset = std::sync::Arc::new(dataset);
        Ok(Box::new(crate::oracle::TrainingOracle::new(config, dataset, &splits, &self.engine)?))
    }

    /// The best validation accuracy of the table.
    fn optimum(&self) -> Option<f64> {
        Some(self.table.as_ref()?.optimum()?.validation_accuracy)
    }
}
