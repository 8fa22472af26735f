//! The learning rate's course.

use crate::config::TrainingConfig;
use std::f64::consts::PI;

/// The rate of a step, counted over all epochs: a cosine from `learning_rate` to `learning_rate_end` over all steps, or
/// over those of each period, where it begins anew (SGDR, Loshchilov and Hutter 2017). `steps` are those of an epoch.
pub(super) fn learning_rate(settings: &TrainingConfig, step: usize, steps: usize) -> f64 {
    let Period { first, epochs } = Period::of(settings, step / steps);
    let progress = (step - first * steps) as f64 / (epochs * steps) as f64;
    let end = settings.learning_rate_end;
    end + (settings.learning_rate - end) * 0.5 * (1.0 + (PI * progress).cos())
}

/// The epochs of one cosine.
struct Period {
    first: usize,
    epochs: usize,
}

impl Period {
    /// That of an epoch. The last one may go on after the end of the training.
    fn of(settings: &TrainingConfig, epoch: usize) -> Period {
        if settings.restart_epochs == 0 {
            return Period { first: 0, epochs: settings.epochs };
        }
        let mut period = Period { first: 0, epochs: settings.restart_epochs };
        while epoch - period.first >= period.epochs {
            period.first += period.epochs;
            period.epochs = period.epochs.saturating_mul(settings.restart_factor);
        }
        period
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The rate after so many epochs, of ten steps each.
    fn after(settings: &str, epochs: f64) -> f64 {
        let config = Config::from_toml(&format!("[retrain]\n{settings}"), &[]).unwrap();
        learning_rate(&config.retrain.training, (epochs * 10.0).round() as usize, 10)
    }

    #[test]
    fn one_cosine_falls_over_all_epochs() {
        let settings = "learning_rate = 0.4\nepochs = 6\nlearning_rate_end = 0.1";
        for (epochs, rate) in [(0.0, 0.4), (2.0, 0.325), (3.0, 0.25), (4.0, 0.175), (6.0, 0.1)] {
            assert!((after(settings, epochs) - rate).abs() <= 1e-12, "{epochs}");
        }
    }

    /// ENAS's schedule: 310 epochs are five whole cosines.
    #[test]
    fn restarts_are_where_the_published_schedule_has_them() {
        let settings = "epochs = 310\nlearning_rate = 0.05\nlearning_rate_end = 0.0005\nrestart_epochs = 10";
        let middle = (0.05 + 0.0005) / 2.0;
        for (first, epochs) in [(0.0, 10.0), (10.0, 20.0), (30.0, 40.0), (70.0, 80.0), (150.0, 160.0)] {
            assert!((after(settings, first) - 0.05).abs() <= 1e-12, "{first}");
            assert!((after(settings, first + epochs / 2.0) - middle).abs() <= 1e-12, "{first}");
            let third = 0.0005 + (0.05 - 0.0005) * 0.75;
            assert!((after(settings, first + (epochs * 10.0 / 3.0).round() / 10.0) - third).abs() <= 3e-4, "{first}");
            let last = after(settings, first + epochs - 0.1);
            assert!(last > 0.0005 && last < 0.0005 + 0.05 * 3e-4, "{last}");
        }
    }

    #[test]
    fn periods_of_one_length_repeat() {
        let settings = "epochs = 9\nrestart_epochs = 3\nrestart_factor = 1";
        for epochs in [0.0, 0.7, 1.5, 2.9] {
            for period in [3.0, 6.0] {
                assert!((after(settings, epochs + period) - after(settings, epochs)).abs() <= 1e-12);
            }
        }
    }
}
