//! How many of an iteration's candidates the explorer draws.

use crate::config::Exploration;

/// The explorer's part of `size` candidates in iteration `t`: its share, rounded half up; everything in the first.
pub fn explored(exploration: Exploration, t: u64, size: usize) -> usize {
    if t == 0 {
        return size;
    }
    let t = t as f64;
    let share = match exploration {
        Exploration::None => 0.0,
        Exploration::Constant { share } => share,
        Exploration::Harmonic => 2.0 / (t + 2.0),
        Exploration::Exponential => (-t / 2.0).exp2(),
        Exploration::First { iterations } => f64::from(u8::from(t < iterations as f64)),
    };
    ((share * size as f64).round() as usize).min(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_gives_the_counts_worked_out_by_hand() {
        let counts = |exploration| (0..6).map(|t| explored(exploration, t, 8)).collect::<Vec<_>>();
        assert_eq!(counts(Exploration::None), [8, 0, 0, 0, 0, 0]);
        assert_eq!(counts(Exploration::Constant { share: 0.2 }), [8, 2, 2, 2, 2, 2]);
        // 8 * 2 / (t + 2) = 5.33, 4, 3.2, 2.67, 2.29
        assert_eq!(counts(Exploration::Harmonic), [8, 5, 4, 3, 3, 2]);
        // 8 * 2^(-t/2) = 5.66, 4, 2.83, 2, 1.41
        assert_eq!(counts(Exploration::Exponential), [8, 6, 4, 3, 2, 1]);
        assert_eq!(counts(Exploration::First { iterations: 3 }), [8, 8, 8, 0, 0, 0]);
        assert_eq!(explored(Exploration::Constant { share: 1.0 }, 9, 3), 3);
    }
}
