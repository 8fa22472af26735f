//! Tests of paired differences.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Two-sided p values of a sample of differences: how probable one as far from zero is where signs are a matter of chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Wilcoxon's signed-rank test; 1 where all differences are zero.
    pub p_signed_rank: f64,
    /// The paired t-test; `None` for fewer than two differences, or equal ones.
    pub p_t: Option<f64>,
}

/// Tests these differences.
///
/// Wilcoxon's test is exact, ties included: zeros are left out, equal sizes have their mean rank, and the distribution of the
/// rank sum over all signs is worked out by dynamic programming. The t-test is for comparison; its distribution function is
/// that of the crate statrs.
pub fn paired(differences: &[f64]) -> Paired {
    Paired { p_signed_rank: signed_rank(differences), p_t: t_test(differences) }
}

fn signed_rank(differences: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    sizes.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Twice the ranks, which are whole numbers even for ties: places p..q (from 1) have the mean (p + q) / 2.
    let mut ranks: Vec<usize> = Vec::with_capacity(sizes.len());
    for equal in sizes.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = ranks.len() + 1;
        ranks.extend(std::iter::repeat_n(first + first + equal.len() - 1, equal.len()));
    }
    let total: usize = ranks.iter().sum();
    let positive: usize = ranks.iter().zip(&sizes).filter(|(_, size)| **size > 0.0).map(|(rank, _)| rank).sum();
    let smaller = positive.min(total - positive);
    let lower: f64 = rank_sums(&ranks, total)[..=smaller].iter().sum();
    (2.0 * lower).min(1.0)
}

/// Probability of every sum of ranks that are taken or left by the toss of a coin.
fn rank_sums(ranks: &[usize], total: usize) -> Vec<f64> {
    let mut probabilities = vec![0.0; total + 1];
    probabilities[0] = 1.0;
    let mut reached = 0;
    for &rank in ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= rank { probabilities[sum - rank] } else { 0.0 };
            probabilities[sum] = 0.5 * (probabilities[sum] + with);
        }
    }
    probabilities
}

fn t_test(differences: &[f64]) -> Option<f64> {
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let distribution =
        StudentsT::new(0.0, 1.0, count - 1.0).ok().filter(|_| differences.len() > 1 && variance > 0.0)?;
    Some((2.0 * distribution.cdf(-(mean / (variance / count).sqrt()).abs())).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    }

    /// Every assignment of signs, one by one.
    fn by_enumeration(differences: &[f64]) -> f64 {
        let sizes: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
        let rank = |size: f64| {
            let below = sizes.iter().filter(|other| other.abs() < size.abs()).count() as f64;
            let equal = sizes.iter().filter(|other| other.abs() == size.abs()).count() as f64;
            below + (equal + 1.0) / 2.0
        };
        let ranks: Vec<f64> = sizes.iter().map(|&size| rank(size)).collect();
        let half: f64 = ranks.iter().sum::<f64>() / 2.0;
        let distance = |positive: f64| (positive - half).abs();
        let observed: f64 = ranks.iter().zip(&sizes).filter(|(_, size)| **size > 0.0).map(|(rank, _)| rank).sum();
        let all = 1u32 << ranks.len();
        let extreme = (0..all).filter(|signs| {
            let positive: f64 =
                ranks.iter().enumerate().filter(|(i, _)| signs >> i & 1 == 1).map(|(_, rank)| rank).sum();
            distance(positive) >= distance(observed) - 1e-9
        });
        extreme.count() as f64 / f64::from(all)
    }

    #[test]
    fn agrees_with_published_values() {
        // Wilcoxon's own table: of 8 pairs a rank sum of 3 has the two-sided probability 10/256.
        near(paired(&[-3.0, 1.0, 2.0, -4.0, -5.0, -6.0, -7.0, -8.0]).p_signed_rank, 10.0 / 256.0, 1e-12);
        near(paired(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).p_signed_rank, 2.0 / 64.0, 1e-12);
        // scipy.stats.ttest_1samp([1, 2, 3, 4], 0): t = 3.8729833, p = 0.0304662.
        near(paired(&[1.0, 2.0, 3.0, 4.0]).p_t.unwrap(), 0.030_466_2, 1e-6);
        // Student's t with 1 degree of freedom is Cauchy's distribution: p = 1 - 2 atan(t) / pi, here t = 3.
        near(paired(&[1.0, 2.0]).p_t.unwrap(), 1.0 - 2.0 * 3f64.atan() / std::f64::consts::PI, 1e-9);
        for same in [&[][..], &[0.0, 0.0], &[1.0]] {
            assert_eq!(paired(same).p_t, None);
            assert_eq!(paired(same).p_signed_rank, 1.0);
        }
    }

    #[test]
    fn many_differences_come_close_to_the_normal_law() {
        // z = (W - n (n + 1) / 4) / sqrt(n (n + 1) (2 n + 1) / 24)
        let differences: Vec<f64> = (1..=200).map(|n| if n % 5 < 2 { -f64::from(n) } else { f64::from(n) }).collect();
        let positive: f64 = differences.iter().filter(|d| **d > 0.0).sum();
        let z = (positive - 200.0 * 201.0 / 4.0) / (200.0f64 * 201.0 * 401.0 / 24.0).sqrt();
        let normal = statrs::distribution::Normal::new(0.0, 1.0).unwrap();
        let expected = 2.0 * normal.cdf(-z.abs());
        let found = paired(&differences).p_signed_rank;
        assert!((found / expected - 1.0).abs() <= 0.05, "{found} {expected}");
    }

    proptest! {
        #[test]
        fn the_exact_law_is_that_of_all_signs(differences in prop::collection::vec(-4i8..=4, 0..12)) {
            let differences: Vec<f64> = differences.into_iter().map(f64::from).collect();
            let found = paired(&differences).p_signed_rank;
            prop_assert!((found - by_enumeration(&differences)).abs() <= 1e-9);
            let flipped: Vec<f64> = differences.iter().map(|d| -d).collect();
            prop_assert!((paired(&flipped).p_signed_rank - found).abs() <= 1e-12);
        }
    }
}
