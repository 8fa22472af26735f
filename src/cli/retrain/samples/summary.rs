//! Mean and spread of what was trained.

use super::super::super::text::{counted, percent};
use super::kept::{Kept, Tested, Training};
use super::{GENERATOR, Group, Request};
use crate::report::statistics::{Difference, Summary};
use crate::space::Architecture;
use anyhow::Context;
use serde::Serialize;
use std::fmt::Write;

/// What all groups came to.
#[derive(Serialize)]
pub(super) struct Results {
    epochs: usize,
    test_images: usize,
    seeds: Vec<u64>,
    groups: Vec<GroupResult>,
    /// The generator's mean less that of each group of random networks.
    differences: Vec<GroupDifference>,
    /// Wall-clock time of all trainings.
    seconds: f64,
}

/// Accuracies from 0 to 1 of the test part; that of a network is its mean over the seeds.
#[derive(Serialize)]
struct GroupResult {
    name: &'static str,
    mean: Option<f64>,
    /// Of the networks' accuracies.
    standard_deviation: Option<f64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    /// Standard deviation of one network's accuracies over the seeds, the root of the mean of the variances.
    seed_deviation: Option<f64>,
    /// Trainings without an accuracy.
    failed: usize,
    networks: Vec<NetworkResult>,
}

#[derive(Serialize)]
struct NetworkResult {
    architecture: Architecture,
    parameters: u64,
    multiply_adds: u64,
    /// One a seed; none where the training failed.
    test_accuracies: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct GroupDifference {
    group: &'static str,
    difference: f64,
    standard_error: f64,
}

impl NetworkResult {
    fn summary(&self) -> Option<Summary> {
        Summary::of(&self.test_accuracies.iter().flatten().copied().collect::<Vec<f64>>())
    }
}

impl GroupResult {
    fn new(name: &'static str, networks: Vec<NetworkResult>) -> GroupResult {
        let summaries: Vec<Summary> = networks.iter().filter_map(NetworkResult::summary).collect();
        let of_networks = Summary::of(&summaries.iter().map(|summary| summary.mean).collect::<Vec<f64>>());
        let variances: Vec<f64> =
            summaries.iter().filter_map(|summary| Some(summary.standard_deviation?.powi(2))).collect();
        GroupResult {
            name,
            mean: of_networks.map(|summary| summary.mean),
            standard_deviation: of_networks.and_then(|summary| summary.standard_deviation),
            minimum: of_networks.map(|summary| summary.minimum),
            maximum: of_networks.map(|summary| summary.maximum),
            seed_deviation: Summary::of(&variances).map(|summary| summary.mean.sqrt()),
            failed: networks.iter().flat_map(|network| &network.test_accuracies).filter(|a| a.is_none()).count(),
            networks,
        }
    }

    fn summary(&self) -> Option<Summary> {
        let means = self.networks.iter().filter_map(|network| Some(network.summary()?.mean));
        Summary::of(&means.collect::<Vec<f64>>())
    }

    fn row(&self) -> String {
        let spread = |value: Option<f64>| value.map_or("-".into(), percent);
        let or_none = |value: Option<f64>| value.map_or("none".into(), percent);
        let failed = match self.failed {
            0 => String::new(),
            failed => format!("  ({} failed)", counted(failed, "training")),
        };
        format!(
            "{:<11}{:>8}  {:>9}  {:>18}  {:>9}  {:>9}  {:>11}{failed}\n",
            self.name,
            self.networks.len(),
            or_none(self.mean),
            spread(self.standard_deviation),
            or_none(self.minimum),
            or_none(self.maximum),
            spread(self.seed_deviation),
        )
    }
}

impl Results {
    /// Of the groups whose trainings are all kept.
    pub fn new(request: &Request, groups: &[Group], kept: &Kept) -> anyhow::Result<Results> {
        let (seeds, mut seconds) = (request.seeds(), 0.0);
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            let mut networks = Vec::with_capacity(group.networks.len());
            for (number, network) in group.networks.iter().enumerate() {
                let of_seed = |&seed: &u64| {
                    let group = group.name.into();
                    let training = Training { group, number, seed, candidate: network.candidate };
                    kept.find(&training, &network.architecture)
                };
                let tested: Vec<&Tested> = seeds.iter().filter_map(of_seed).collect();
                let first = tested.first().context("a training is missing")?;
                seconds += tested.iter().map(|tested| tested.seconds).sum::<f64>();
                networks.push(NetworkResult {
                    architecture: network.architecture.clone(),
                    parameters: first.parameters,
                    multiply_adds: first.multiply_adds,
                    test_accuracies: tested.iter().map(|tested| tested.test_accuracy).collect(),
                });
            }
            results.push(GroupResult::new(group.name, networks));
        }
        Ok(Results {
            epochs: request.config.retrain.training.epochs,
            test_images: request.bench.images()?.splits.test.len(),
            seeds,
            differences: differences(&results),
            groups: results,
            seconds,
        })
    }

    /// A table, then the differences.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<11}{:>8}  {:>9}  {:>18}  {:>9}  {:>9}  {:>11}\n",
            "", "networks", "mean", "standard deviation", "worst", "best", "over seeds"
        );
        self.groups.iter().for_each(|group| text.push_str(&group.row()));
        for GroupDifference { group, difference, standard_error } in &self.differences {
            let (points, error) = (100.0 * difference, 100.0 * standard_error);
            let _ = writeln!(text, "generator less {group}: {points:+.2} points, standard error {error:.2}");
        }
        let _ = writeln!(
            text,
            "test accuracy ({} images), {} each, {}; a network's is its mean over the seeds",
            self.test_images,
            counted(self.epochs, "epoch"),
            counted(self.seeds.len(), "seed"),
        );
        text
    }
}

/// The generator's mean less that of every group of several random networks.
fn differences(groups: &[GroupResult]) -> Vec<GroupDifference> {
    let generator = groups.iter().find(|group| group.name == GENERATOR).and_then(GroupResult::summary);
    let Some(generator) = generator else { return Vec::new() };
    let rivals = groups.iter().filter(|group| group.name != GENERATOR);
    let difference = |group: &GroupResult| {
        let Difference { difference, standard_error } = Difference::of(&generator, &group.summary()?)?;
        Some(GroupDifference { group: group.name, difference, standard_error })
    };
    rivals.filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dag;

    fn network(test_accuracies: &[Option<f64>]) -> NetworkResult {
        let architecture = Architecture::RandWire { stages: vec![Dag::new(1, &[]).unwrap()] };
        NetworkResult { architecture, parameters: 1, multiply_adds: 1, test_accuracies: test_accuracies.into() }
    }

    #[test]
    fn spreads_of_networks_and_seeds_are_told_apart() {
        let group = GroupResult::new(
            GENERATOR,
            vec![network(&[Some(0.5), Some(0.7)]), network(&[Some(0.8), None]), network(&[Some(0.6), Some(0.8)])],
        );
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() <= 1e-12;
        assert!(close(group.mean, 0.7) && close(group.minimum, 0.6) && close(group.maximum, 0.8));
        assert!(close(group.standard_deviation, 0.1));
        assert!(close(group.seed_deviation, 0.02f64.sqrt()));
        assert_eq!(group.failed, 1);
    }

    #[test]
    fn the_generator_is_held_against_each_kind_of_random_networks() {
        let of = |name, accuracies: &[f64]| {
            GroupResult::new(name, accuracies.iter().map(|&accuracy| network(&[Some(accuracy)])).collect())
        };
        let groups = [of("best", &[0.9]), of(GENERATOR, &[0.6, 0.8]), of("er", &[0.5, 0.5]), of("ws", &[])];
        let found = differences(&groups);
        assert_eq!(found.len(), 1, "one network has no spread, none has no mean");
        assert_eq!(found[0].group, "er");
        assert!((found[0].difference - 0.2).abs() <= 1e-12);
        assert!((found[0].standard_error - 0.1).abs() <= 1e-12);
    }
}
