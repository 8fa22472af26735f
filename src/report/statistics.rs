//! The few statistics that the report states.

/// Facts about a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, n - 1 in the denominator; `None` of a single value.
    pub standard_deviation: Option<f64>,
    /// Least value.
    pub minimum: f64,
    /// Middle value, or the mean of the two middle ones.
    pub median: f64,
    /// Greatest value.
    pub maximum: f64,
}

impl Summary {
    /// Of these values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&minimum, &maximum) = (sorted.first()?, sorted.last()?);
        let count = sorted.len();
        let mean = sorted.iter().sum::<f64>() / count as f64;
        let squares: f64 = sorted.iter().map(|x| (x - mean).powi(2)).sum();
        let standard_deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        Some(Summary { count, mean, standard_deviation, minimum, median, maximum })
    }
}

/// A difference of means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean of the first less mean of the second.
    pub difference: f64,
    /// Its standard error, the samples independent and of their own variances: sqrt(s1^2 / n1 + s2^2 / n2).
    pub standard_error: f64,
}

impl Difference {
    /// First less second; `None` unless both have at least two values.
    pub fn of(first: &Summary, second: &Summary) -> Option<Difference> {
        let variance = |summary: &Summary| Some(summary.standard_deviation?.powi(2) / summary.count as f64);
        let standard_error = (variance(first)? + variance(second)?).sqrt();
        Some(Difference { difference: first.mean - second.mean, standard_error })
    }
}

/// The last third of a sequence, rounded up.
pub fn last_third<T>(values: &[T]) -> &[T] {
    &values[values.len() - values.len().div_ceil(3)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12, "{found} {expected}");
    }

    #[test]
    fn a_summary_worked_by_hand() {
        // Deviations -3, -1, 1, 3: squares 20, over 3.
        let summary = Summary::of(&[8.0, 2.0, 6.0, 4.0]).unwrap();
        assert_eq!((summary.count, summary.minimum, summary.median, summary.maximum), (4, 2.0, 5.0, 8.0));
        near(summary.mean, 5.0);
        near(summary.standard_deviation.unwrap(), (20.0f64 / 3.0).sqrt());
        assert_eq!(Summary::of(&[3.0, 9.0, 1.0]).unwrap().median, 3.0);
        assert_eq!(Summary::of(&[1.0]).unwrap().standard_deviation, None);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_difference_worked_by_hand() {
        // Variances 2 (n = 2) and 20 / 3 (n = 4): 1 + 5 / 3.
        let first = Summary::of(&[7.0, 9.0]).unwrap();
        let second = Summary::of(&[2.0, 4.0, 6.0, 8.0]).unwrap();
        let found = Difference::of(&first, &second).unwrap();
        near(found.difference, 3.0);
        near(found.standard_error, (8.0f64 / 3.0).sqrt());
        assert_eq!(Difference::of(&first, &Summary::of(&[1.0]).unwrap()), None);
    }

    #[test]
    fn the_last_third_is_rounded_up() {
        assert_eq!(last_third(&[1, 2, 3, 4]), [3, 4]);
        assert_eq!(last_third(&[1, 2, 3]), [3]);
        assert_eq!(last_third(&[1]), [1]);
        assert!(last_third::<u8>(&[]).is_empty());
    }
}
