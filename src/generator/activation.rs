//! Exponential, logistic sigmoid and hyperbolic tangent that vectorise, accurate to a few units in the last place of 1.
//! `FMA`: whether `f32::mul_add` is one instruction, as [`Vectorise`](crate::device::cpu::matrix::Vectorise) says.

/// `1.5 * 2^23`: adding it rounds to an integer and leaves that integer in the low bits.
const ROUND: f32 = 12_582_912.0;
/// `ln 2` in two parts; the first has few bits, so its small multiples are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`, for x clamped to [-87, 88]. NaN gives NaN. Polynomial of the Cephes library.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    let add = |a: f32, b: f32, c: f32| if FMA { a.mul_add(b, c) } else { a * b + c };
    let x = x.clamp(-87.0, 88.0);
    let shifted = add(x, std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = add(power, -LN2_LOW, add(power, -LN2_HIGH, x));
    let mut series = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        series = add(series, rest, coefficient);
    }
    let scale = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    (add(series * rest, rest, rest) + 1.0) * scale
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp::<FMA>(2.0 * x))
}

/// The gradient that a ReLU with this output passes on. By its bits, because the compiler makes a branch of the plain
/// choice.
#[inline(always)]
pub(super) fn relu_gradient(output: f32, given: f32) -> f32 {
    f32::from_bits(given.to_bits() & u32::from(output > 0.0).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_f64() {
        check::<false>();
        check::<true>();
    }

    fn check<const FMA: bool>() {
        for step in -200_000..=200_000 {
            let x = step as f32 * 1e-3;
            let wide = f64::from(x);
            let exact = wide.clamp(-87.0, 88.0).exp();
            assert!((f64::from(exp::<FMA>(x)) - exact).abs() <= 2e-7 * exact, "exp({x})");
            assert!((f64::from(sigmoid::<FMA>(x)) - 1.0 / (1.0 + (-wide).exp())).abs() <= 2e-7, "sigmoid({x})");
            assert!((f64::from(tanh::<FMA>(x)) - wide.tanh()).abs() <= 3e-7, "tanh({x})");
        }
        assert!([exp::<FMA>, sigmoid::<FMA>, tanh::<FMA>].iter().all(|f| f(f32::NAN).is_nan()));
    }

    #[test]
    fn relu_passes_gradients_of_positive_outputs() {
        for (output, given, expected) in [(1.0, -3.5, -3.5), (0.0, 2.0, 0.0), (-1.0, 2.0, 0.0), (1e-30, 2.0, 2.0)] {
            assert_eq!(relu_gradient(output, given), expected);
        }
        assert!(relu_gradient(1.0, f32::NAN).is_nan());
    }
}
