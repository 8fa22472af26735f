//! Accuracies -> the weights of the refit.

use super::replay::{Buffer, accuracy};
use crate::config::{RewardShaping, SearchConfig};
use crate::store::CandidateRecord;

/// The weight of every candidate in the buffer, in its order: for the best ones the shaped reward less its baseline, for
/// the worst ones a negative constant.
pub(super) fn weights(search: &SearchConfig, history: &[CandidateRecord], buffer: &Buffer) -> Vec<f64> {
    let mut weights: Vec<f64> = match search.reward {
        RewardShaping::Cdf => ranks(buffer.best.len()).map(|rank| rank.powf(search.rank_power)).collect(),
        RewardShaping::Accuracy => {
            let baseline = baseline(history, search.baseline);
            buffer.best.iter().filter_map(|candidate| accuracy(candidate)).map(|reward| reward - baseline).collect()
        }
    };
    weights.extend(buffer.worst.iter().map(|_| -search.worst_weight));
    weights
}

/// rank / size, from 1 for the best down to 1 / size: the empirical distribution function of the rewards in the buffer.
/// Equal rewards are told apart by their order.
fn ranks(size: usize) -> impl Iterator<Item = f64> {
    (0..size).map(move |better| (size - better) as f64 / size as f64)
}

/// Exponentially weighted moving average over the iterations of their mean accuracy. It starts at the first iteration's
/// mean; failures are left out. `keep` = 0 means no baseline, 0.
fn baseline(history: &[CandidateRecord], keep: f64) -> f64 {
    if keep == 0.0 {
        return 0.0;
    }
    let mut average: Option<f64> = None;
    for iteration in history.chunk_by(|first, second| first.iteration == second.iteration) {
        let rewards: Vec<f64> = iteration.iter().filter_map(accuracy).collect();
        if !rewards.is_empty() {
            let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
            average = Some(average.map_or(mean, |old| keep * old + (1.0 - keep) * mean));
        }
    }
    average.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::replay::buffer;
    use crate::search::toys::{config, evaluated};

    #[test]
    fn the_best_rank_is_one_and_the_last_one_over_the_size() {
        assert_eq!(ranks(4).collect::<Vec<_>>(), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(ranks(1).collect::<Vec<_>>(), [1.0]);
    }

    #[test]
    fn ranks_are_sharpened_and_the_worst_weigh_less_than_nothing() {
        let history = evaluated(&[(0, Some(0.1)), (0, Some(0.4)), (1, Some(0.2)), (2, Some(0.6)), (3, None)]);
        let mut search = config("").search;
        (search.keep_top, search.keep_worst, search.rank_power, search.worst_weight) = (2, 1, 2.0, 0.3);
        let buffer = buffer(&history, &search);
        assert_eq!(buffer.all().map(|candidate| candidate.number).collect::<Vec<_>>(), [3, 1, 0]);
        assert_eq!(weights(&search, &history, &buffer), [1.0, 0.25, -0.3]);
        search.keep_worst = 9;
        assert_eq!(weights(&search, &history, &super::super::replay::buffer(&history, &search)).len(), 4);
    }

    #[test]
    fn accuracies_lose_their_moving_average() {
        // Means 0.2, (none: all failed), 0.6; average 0.2, 0.2, 0.75 * 0.2 + 0.25 * 0.6 = 0.3.
        let history = evaluated(&[(0, Some(0.1)), (0, Some(0.3)), (1, None), (2, Some(0.6))]);
        let mut search = config("").search;
        search.reward = RewardShaping::Accuracy;
        search.baseline = 0.75;
        let buffer = Buffer { best: vec![&history[3], &history[1]], worst: Vec::new() };
        let weights = weights(&search, &history, &buffer);
        for (weight, expected) in weights.iter().zip([0.3, 0.0]) {
            assert!((weight - expected).abs() <= 1e-12, "{weight} {expected}");
        }
        assert_eq!(weights.len(), 2);
        search.baseline = 0.0;
        assert_eq!(super::weights(&search, &history, &buffer), [0.6, 0.3]);
    }
}
