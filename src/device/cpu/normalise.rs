//! The serial arithmetic between sweeps: batch norm's coefficients, forward and backward, a few hundred numbers at a
//! time.

/// PyTorch's default.
pub(crate) const EPSILON: f64 = 1e-5;

/// Share of a batch in the running statistics: PyTorch's default.
pub(crate) const RUNNING_SHARE: f32 = 0.1;

/// The parts of a batch norm, each `(channels)`, without padding.
pub(crate) struct Norm<'a> {
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
}

/// A batch norm as `scale * x + shift`, with what its backward needs; each `(padded channels)`.
pub(crate) struct Coefficients<'a> {
    pub scale: &'a mut [f32],
    pub shift: &'a mut [f32],
    pub mean: &'a mut [f32],
    pub inverse_deviation: &'a mut [f32],
}

impl<'a> Coefficients<'a> {
    /// Splits `(4, padded channels)` floats.
    pub(crate) fn split(floats: &'a mut [f32]) -> Self {
        let quarter = floats.len() / 4;
        let (scale, rest) = floats.split_at_mut(quarter);
        let (shift, rest) = rest.split_at_mut(quarter);
        let (mean, inverse_deviation) = rest.split_at_mut(quarter);
        Coefficients { scale, shift, mean, inverse_deviation }
    }

    /// Sets one channel from its mean and (biased) variance.
    pub(crate) fn set(&mut self, channel: usize, norm: &Norm, mean: f64, variance: f64) {
        let inverse = 1.0 / (variance + EPSILON).sqrt();
        let scale = f64::from(norm.gamma[channel]) * inverse;
        self.scale[channel] = scale as f32;
        self.shift[channel] = (f64::from(norm.beta[channel]) - mean * scale) as f32;
        self.mean[channel] = mean as f32;
        self.inverse_deviation[channel] = inverse as f32;
    }
}

/// Count, mean and sum of squared deviations of some numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    pub count: f64,
    pub mean: f64,
    deviations: f64,
}

impl Moments {
    /// From the sums of `count` numbers less `shift`, and of their squares.
    pub(crate) fn shifted(count: f64, shift: f64, sum: f64, squares: f64) -> Self {
        if count == 0.0 {
            return Moments::default();
        }
        Moments { count, mean: shift + sum / count, deviations: squares - sum * sum / count }
    }

    /// Takes in other numbers (Chan, Golub & LeVeque 1979).
    pub(crate) fn add(&mut self, other: Moments) {
        let count = self.count + other.count;
        if other.count == 0.0 {
            return;
        }
        let difference = other.mean - self.mean;
        self.deviations += other.deviations + difference * difference * self.count * other.count / count;
        self.mean += difference * other.count / count;
        self.count = count;
    }

    /// The biased variance.
    pub(crate) fn variance(&self) -> f64 {
        let variance = self.deviations / self.count;
        // Rounding may take it below zero; a NaN must stay one.
        if variance < 0.0 { 0.0 } else { variance }
    }
}

/// The sums that one channel of batch norm's backward starts from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChannelSums {
    /// Of the output's gradient: the gradient of beta.
    pub gradient: f64,
    /// Of the output's gradient times the input less its mean: over the deviation, the gradient of gamma.
    pub product: f64,
    /// The first sum, of the gradient as it is scaled on its way to the input.
    pub scaled_gradient: f64,
    /// The second sum, of the gradient as it is scaled on its way to the input.
    pub scaled_product: f64,
}

/// What one channel of batch norm's backward adds to the scaled gradient: `of_value * x + constant`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Projection {
    pub of_value: f32,
    pub constant: f32,
}

/// Batch norm's backward (Ioffe & Szegedy 2015) over `count` elements: with `x^ = (x - mean) / deviation` and the scaled
/// gradient `s = gamma / deviation * g`, `dx = s - mean(s) - x^ mean(s x^)`.
///
/// The sums are those of `s` with its scale as rounded, and the constant follows the rounded `of_value`: `dx` is
/// orthogonal to 1 and to `x`, and what does not cancel shows in the gradients of the weights before it.
pub(crate) fn backward(mean: f32, inverse_deviation: f32, sums: &ChannelSums, count: f64) -> Projection {
    let inverse = f64::from(inverse_deviation);
    let of_value = (-inverse * inverse * sums.scaled_product / count) as f32;
    let constant = -sums.scaled_gradient / count - f64::from(of_value) * f64::from(mean);
    Projection { of_value, constant: constant as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(x: &[f64], gamma: f64, beta: f64) -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        x.iter().map(|v| gamma * (v - mean) / (variance + EPSILON).sqrt() + beta).collect()
    }

    #[test]
    fn backward_agrees_with_central_differences() {
        let x = [0.3, -1.2, 2.0, 0.7, -0.4];
        let g = [0.9, -0.3, 0.2, 1.1, -0.8];
        let (gamma, beta) = (1.3, -0.2);
        let loss =
            |x: &[f64], gamma, beta| -> f64 { normalised(x, gamma, beta).iter().zip(&g).map(|(y, g)| y * g).sum() };
        let moments = Moments::shifted(5.0, 0.0, x.iter().sum(), x.iter().map(|v| v * v).sum());
        let (mean, inverse) = (moments.mean, 1.0 / (moments.variance() + EPSILON).sqrt());
        let gradient = g.iter().sum::<f64>();
        let product = g.iter().zip(&x).map(|(g, x)| g * (x - mean)).sum::<f64>();
        let scale = gamma * inverse;
        let (scaled_gradient, scaled_product) = (scale * gradient, scale * product);
        let sums = ChannelSums { gradient, product, scaled_gradient, scaled_product };
        let got = backward(mean as f32, inverse as f32, &sums, 5.0);
        let h = 1e-5;
        for i in 0..5 {
            let (mut up, mut down) = (x, x);
            up[i] += h;
            down[i] -= h;
            let want = (loss(&up, gamma, beta) - loss(&down, gamma, beta)) / (2.0 * h);
            let dx = scale * g[i] + f64::from(got.of_value) * x[i] + f64::from(got.constant);
            assert!((dx - want).abs() <= 1e-6, "{dx} {want}");
        }
        let want = (loss(&x, gamma + h, beta) - loss(&x, gamma - h, beta)) / (2.0 * h);
        assert!((sums.product * inverse - want).abs() <= 1e-6);
        let want = (loss(&x, gamma, beta + h) - loss(&x, gamma, beta - h)) / (2.0 * h);
        assert!((sums.gradient - want).abs() <= 1e-6);
    }

    #[test]
    fn moments_of_groups_are_those_of_all_numbers() {
        let numbers = [1000.25, 1000.5, 999.75, 1001.0, 998.5, 1000.0, 1002.0];
        let mean = numbers.iter().sum::<f64>() / 7.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 7.0;
        let mut moments = Moments::default();
        for group in [&numbers[..3], &[], &numbers[3..4], &numbers[4..]] {
            let shift = group.first().copied().unwrap_or(0.0);
            let less = group.iter().map(|x| x - shift);
            moments.add(Moments::shifted(group.len() as f64, shift, less.clone().sum(), less.map(|x| x * x).sum()));
        }
        assert!((moments.mean - mean).abs() <= 1e-12 && (moments.variance() - variance).abs() <= 1e-12);
    }
}
