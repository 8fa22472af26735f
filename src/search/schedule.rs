//! How many of an iteration's candidates the explorer draws.

use super::replay::accuracy;
use crate::config::{Exploration, SearchConfig};
use crate::store::CandidateRecord;

/// The explorer's part of the `size` candidates of iteration `t`; everything in the first.
///
/// What the shares of the iterations up to this one add up to is rounded half up, and the iteration gets what that is more
/// than before it. So the explorer has its share on average, also where an iteration's own share is less than a candidate.
pub fn explored(search: &SearchConfig, t: u64, size: usize) -> usize {
    if t == 0 {
        return size;
    }
    if let Exploration::First { iterations } = search.exploration {
        return if t < iterations as u64 { size } else { 0 };
    }
    let shares: f64 = (1..t).map(|earlier| share(search.exploration, earlier)).sum();
    let before = shares * search.samples_per_iteration as f64;
    let after = before + share(search.exploration, t) * size as f64;
    ((after + 0.5).floor() - (before + 0.5).floor()).clamp(0.0, size as f64) as usize
}

/// The explorer's share of iteration `t`, from 1.
fn share(exploration: Exploration, t: u64) -> f64 {
    let t = t as f64;
    match exploration {
        Exploration::None | Exploration::First { .. } => 0.0,
        Exploration::Constant { share } => share,
        Exploration::Harmonic => 2.0 / (t + 2.0),
        Exploration::Exponential => (-t / 2.0).exp2(),
    }
}

/// Whether it is time to look elsewhere: with `search.patience` N, after every N iterations in a row without a new best
/// candidate. A generator that has learnt nothing but the surroundings of a mediocre optimum draws nothing else, however
/// large the budget.
pub(super) fn is_stuck(search: &SearchConfig, t: u64, history: &[CandidateRecord]) -> bool {
    let mut best: Option<(f64, u64)> = None;
    for (accuracy, candidate) in history.iter().filter_map(|candidate| Some((accuracy(candidate)?, candidate))) {
        if best.is_none_or(|(most, _)| accuracy > most) {
            best = Some((accuracy, candidate.iteration));
        }
    }
    let idle = best.map_or(0, |(_, iteration)| t.saturating_sub(iteration + 1));
    search.patience > 0 && idle > 0 && idle.is_multiple_of(search.patience)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::toys::{config, evaluated};

    fn with(exploration: Exploration, samples_per_iteration: usize) -> SearchConfig {
        SearchConfig { exploration, samples_per_iteration, ..config("").search }
    }

    #[test]
    fn every_schedule_gives_the_counts_worked_out_by_hand() {
        let counts = |exploration| (0..6).map(|t| explored(&with(exploration, 8), t, 8)).collect::<Vec<_>>();
        assert_eq!(counts(Exploration::None), [8, 0, 0, 0, 0, 0]);
        // 1.6, 3.2, 4.8, 6.4, 8 in all.
        assert_eq!(counts(Exploration::Constant { share: 0.2 }), [8, 2, 1, 2, 1, 2]);
        // 8 * 2 / (t + 2): 5.33, 9.33, 12.53, 15.2, 17.49 in all.
        assert_eq!(counts(Exploration::Harmonic), [8, 5, 4, 4, 2, 2]);
        // 8 * 2^(-t/2): 5.66, 9.66, 12.49, 14.49, 15.9 in all.
        assert_eq!(counts(Exploration::Exponential), [8, 6, 4, 2, 2, 2]);
        assert_eq!(counts(Exploration::First { iterations: 3 }), [8, 8, 8, 0, 0, 0]);
        assert_eq!(explored(&with(Exploration::Constant { share: 1.0 }, 8), 9, 3), 3);
    }

    /// With one candidate an iteration a share below one half once came to nothing.
    #[test]
    fn small_shares_are_met_on_average() {
        for size in [1, 2, 3, 8] {
            for share in [0.01, 0.1, 0.3, 0.5, 0.77, 1.0] {
                let search = with(Exploration::Constant { share }, size);
                let mut sum = 0;
                for t in 1..=200 {
                    let part = explored(&search, t, size);
                    sum += part;
                    assert!(part <= size);
                    let exact = share * size as f64 * t as f64;
                    assert!((sum as f64 - exact).abs() <= 0.5 + 1e-9, "{share} of {size}: {sum} by {t}");
                }
            }
        }
        let harmonic: usize = (1..100).map(|t| explored(&with(Exploration::Harmonic, 1), t, 1)).sum();
        // 2 (H(101) - 1.5) = 7.39
        assert_eq!(harmonic, 7);
    }

    #[test]
    fn a_search_is_stuck_after_every_so_many_iterations_without_a_new_best() {
        let history = evaluated(&[(0, Some(0.3)), (1, Some(0.6)), (2, None), (3, Some(0.6)), (4, Some(0.5))]);
        let mut search = config("").search;
        let stuck = |search: &SearchConfig| (2..9).map(|t| is_stuck(search, t, &history)).collect::<Vec<_>>();
        assert_eq!(stuck(&search), [false; 7]);
        search.patience = 3;
        // The best is of iteration 1: three idle ones before the fifth and six before the eighth.
        assert_eq!(stuck(&search), [false, false, false, true, false, false, true]);
        assert!(!is_stuck(&search, 7, &evaluated(&[(0, None)])));
    }
}
