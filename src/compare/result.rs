//! What came of the runs, as it is printed and written.

use super::{Paired, paired};
use crate::search::best;
use crate::store::RunRecord;
use serde::{Serialize, Serializer};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// Its seed.
    pub seed: u64,
    /// Validation accuracy of the incumbent: the best candidate by validation accuracy, of equals the first.
    pub validation: f64,
    /// Test accuracy of the incumbent, where the oracle knows it.
    pub test: Option<f64>,
    /// Architectures that the strategy drew.
    pub drawn: u64,
    /// Of these, illegal ones.
    pub invalid: u64,
    /// Of these, ones that were known.
    pub duplicates: u64,
    /// Candidates that the explorer had to supply because the strategy found nothing new.
    pub filled_by_explorer: u64,
    /// Candidates that could not be evaluated.
    pub failed: usize,
    /// Steps of the optimiser in the fits of a generator.
    pub refit_steps: u64,
    /// Seconds that these fits took.
    pub refit_seconds: f64,
    /// Seconds that the run took.
    pub seconds: f64,
    /// Validation accuracy of the incumbent after every candidate; 0 before the first success.
    pub curve: Vec<f64>,
}

impl RunResult {
    /// Of a run that is at its end; `None` where no candidate has an accuracy.
    pub fn new(record: &RunRecord, seconds: f64) -> Option<RunResult> {
        let outcome = best(&record.candidates)?.outcome.as_ref()?;
        let sampling = || record.iterations.iter().map(|iteration| iteration.sampling);
        let refits = || record.iterations.iter().filter_map(|iteration| iteration.refit.as_ref());
        let batch = record.config.generator.batch.max(1);
        let accuracies = record.candidates.iter().map(|c| c.outcome.as_ref().and_then(|o| o.validation_accuracy));
        let failed = accuracies.clone().filter(Option::is_none).count();
        let curve = accuracies.scan(0.0f64, |best, accuracy| {
            *best = best.max(accuracy.unwrap_or(0.0));
            Some(*best)
        });
        Some(RunResult {
            seed: record.config.run.seed,
            validation: outcome.validation_accuracy?,
            test: outcome.test_accuracy,
            drawn: sampling().map(|s| s.drawn).sum(),
            invalid: sampling().map(|s| s.invalid).sum(),
            duplicates: sampling().map(|s| s.duplicates).sum(),
            filled_by_explorer: sampling().map(|s| s.filled_by_explorer).sum(),
            failed,
            refit_steps: refits().map(|refit| (refit.losses.len() * refit.buffer.len().div_ceil(batch)) as u64).sum(),
            refit_seconds: refits().map(|refit| refit.seconds).sum(),
            seconds,
            curve: curve.collect(),
        })
    }
}

/// Mean and standard deviation (n - 1 in the denominator; 0 of a single value).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
}

impl Moments {
    /// Of these values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Moments> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        (!values.is_empty()).then_some(Moments { mean, std })
    }
}

/// One strategy, over its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrategyResult {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// Validation accuracy of the incumbents.
    pub validation: Moments,
    /// Test accuracy of the incumbents, where the oracle knows it.
    pub test: Option<Moments>,
    /// The best validation accuracy that there is less the incumbents', where the former is known.
    pub regret: Option<Moments>,
    /// Architectures drawn in a run, on average.
    pub drawn: f64,
    /// Of these, illegal ones.
    pub invalid: f64,
    /// Of these, ones that were known.
    pub duplicates: f64,
    /// Candidates of a run that the explorer had to supply.
    pub filled_by_explorer: f64,
    /// Steps of the optimiser a second of refitting; `None` where nothing is fitted.
    pub refit_steps_per_second: Option<f64>,
    /// Seconds of a run on one thread.
    pub seconds_per_run: f64,
    /// Mean validation accuracy of the incumbent after every candidate.
    pub curve: Vec<f64>,
    /// The runs, by seed as given.
    pub runs: Vec<RunResult>,
}

impl StrategyResult {
    /// Of these runs, one or more; `optimum` is the best validation accuracy that there is.
    pub fn new(name: String, runs: Vec<RunResult>, optimum: Option<f64>) -> Option<StrategyResult> {
        let column = |value: &dyn Fn(&RunResult) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
        let mean = |value: &dyn Fn(&RunResult) -> f64| column(value).iter().sum::<f64>() / runs.len() as f64;
        let validation = column(&|run| run.validation);
        let tests: Option<Vec<f64>> = runs.iter().map(|run| run.test).collect();
        let regrets = optimum.map(|optimum| validation.iter().map(|found| optimum - found).collect::<Vec<f64>>());
        let length = runs.iter().map(|run| run.curve.len()).min().unwrap_or(0);
        let steps: u64 = runs.iter().map(|run| run.refit_steps).sum();
        let refit_seconds: f64 = runs.iter().map(|run| run.refit_seconds).sum();
        Some(StrategyResult {
            validation: Moments::of(&validation)?,
            test: tests.and_then(|tests| Moments::of(&tests)),
            regret: regrets.and_then(|regrets| Moments::of(&regrets)),
            drawn: mean(&|run| run.drawn as f64),
            invalid: mean(&|run| run.invalid as f64),
            duplicates: mean(&|run| run.duplicates as f64),
            filled_by_explorer: mean(&|run| run.filled_by_explorer as f64),
            refit_steps_per_second: (steps > 0).then(|| steps as f64 / refit_seconds.max(1e-9)),
            seconds_per_run: mean(&|run| run.seconds),
            curve: (0..length).map(|query| mean(&|run| run.curve[query])).collect(),
            name,
            runs,
        })
    }
}

/// The first strategy against another, seed by seed, on the validation accuracy of the incumbents.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The other strategy.
    pub rival: String,
    /// Mean of the first less mean of the rival.
    pub difference: f64,
    /// Two-sided p of Wilcoxon's signed-rank test, exact.
    pub p: f64,
    /// Two-sided p of the paired t-test.
    pub p_t: Option<f64>,
    /// Seeds on which the first is better.
    pub wins: usize,
    /// Seeds on which both are equal.
    pub ties: usize,
}

/// All strategies, and the first against every other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The configuration's name.
    pub name: String,
    /// Distinct architectures a run.
    pub budget: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The best validation accuracy that there is, where it is known.
    pub optimum: Option<f64>,
    /// By name, in the given order.
    #[serde(serialize_with = "by_name")]
    pub strategies: Vec<StrategyResult>,
    /// The first strategy against the others, in their order.
    pub tests: Vec<Test>,
}

impl Comparison {
    /// The tests of the first of these strategies against the others.
    pub fn tests(strategies: &[StrategyResult]) -> Vec<Test> {
        let Some((first, rivals)) = strategies.split_first() else { return Vec::new() };
        let against = |rival: &StrategyResult| {
            let pairs = first.runs.iter().zip(&rival.runs);
            let differences: Vec<f64> = pairs.map(|(own, other)| own.validation - other.validation).collect();
            let Paired { p_signed_rank, p_t } = paired(&differences);
            Test {
                rival: rival.name.clone(),
                difference: first.validation.mean - rival.validation.mean,
                p: p_signed_rank,
                p_t,
                wins: differences.iter().filter(|&&difference| difference > 0.0).count(),
                ties: differences.iter().filter(|&&difference| difference == 0.0).count(),
            }
        };
        rivals.iter().map(against).collect()
    }
}

fn by_name<S: Serializer>(strategies: &[StrategyResult], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(strategies.iter().map(|strategy| (&strategy.name, strategy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, validation: f64) -> RunResult {
        RunResult {
            seed,
            validation,
            test: Some(validation - 0.01),
            drawn: 10,
            invalid: 1,
            duplicates: seed,
            filled_by_explorer: 0,
            failed: 0,
            refit_steps: 100,
            refit_seconds: 0.5,
            seconds: 2.0,
            curve: vec![validation / 2.0, validation],
        }
    }

    fn strategy(name: &str, validations: &[f64]) -> StrategyResult {
        let runs = validations.iter().zip(1..).map(|(&validation, seed)| run(seed, validation)).collect();
        StrategyResult::new(name.into(), runs, Some(0.9)).unwrap()
    }

    #[test]
    fn a_strategy_s_moments_worked_by_hand() {
        let result = strategy("a", &[0.5, 0.7, 0.6]);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() <= 1e-12, "{found} {expected}");
        near(result.validation.mean, 0.6);
        near(result.validation.std, 0.1);
        near(result.test.unwrap().mean, 0.59);
        near(result.regret.unwrap().mean, 0.3);
        near(result.duplicates, 2.0);
        near(result.refit_steps_per_second.unwrap(), 200.0);
        near(result.curve[0], 0.3);
        assert_eq!(Moments::of(&[2.0]), Some(Moments { mean: 2.0, std: 0.0 }));
        assert_eq!(Moments::of(&[]), None);
        assert!(StrategyResult::new("none".into(), vec![], None).is_none());
    }

    #[test]
    fn json_has_the_documented_form() {
        let strategies = vec![strategy("graphpnas", &[0.5, 0.7, 0.8]), strategy("rnn", &[0.4, 0.7, 0.6])];
        let tests = Comparison::tests(&strategies);
        let (name, budget, seeds) = ("x".to_string(), 2, vec![1, 2, 3]);
        let comparison = Comparison { name, budget, seeds, optimum: Some(0.9), strategies, tests };
        let json = serde_json::to_value(&comparison).unwrap();
        assert!((json["strategies"]["graphpnas"]["validation"]["mean"].as_f64().unwrap() - 2.0 / 3.0).abs() <= 1e-12);
        assert!(json["strategies"]["rnn"]["test"]["std"].is_f64());
        assert!(json["strategies"]["rnn"]["seconds_per_run"].as_f64() == Some(2.0));
        assert_eq!(json["strategies"]["rnn"]["runs"].as_array().unwrap().len(), 3);
        assert_eq!(json["tests"][0]["rival"], "rnn");
        assert!((json["tests"][0]["difference"].as_f64().unwrap() - 0.1).abs() <= 1e-12);
        // Two differences, both positive: each of four signs is as likely, and two are as extreme.
        assert!((json["tests"][0]["p"].as_f64().unwrap() - 0.5).abs() <= 1e-12);
        assert_eq!((&json["tests"][0]["wins"], &json["tests"][0]["ties"]), (&2.into(), &1.into()));
    }
}
