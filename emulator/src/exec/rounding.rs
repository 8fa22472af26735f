//! Rounding to narrower formats, exact in every direction.

use crate::program::Rounding;

/// `a + b` in f64 with the last bit set where the sum is inexact ("round to odd"): rounding it again to fewer bits is then as good as rounding the exact sum once.
pub fn add_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if !sum.is_finite() {
        return sum;
    }
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    nudge_to_odd(sum, error)
}

/// `a * b + c` in f64, rounded to odd.
pub fn fma_to_odd(a: f64, b: f64, c: f64) -> f64 {
    let product = a * b;
    let error = a.mul_add(b, -product);
    let sum = add_to_odd(product, c);
    if error == 0.0 || !sum.is_finite() || sum.to_bits() & 1 == 1 { sum } else { nudge_to_odd(sum, error) }
}

/// `a / b` in f64, rounded to odd.
pub fn divide_to_odd(a: f64, b: f64) -> f64 {
    let quotient = a / b;
    if !quotient.is_finite() || quotient == 0.0 {
        return quotient;
    }
    let remainder = (-quotient).mul_add(b, a);
    nudge_to_odd(quotient, if b < 0.0 { -remainder } else { remainder })
}

fn nudge_to_odd(value: f64, error: f64) -> f64 {
    if error == 0.0 || value.to_bits() & 1 == 1 {
        return value;
    }
    // An even last bit and a remainder: the exact value lies between this number and its odd neighbour on the remainder's side.
    let away = (error > 0.0) == (value > 0.0);
    f64::from_bits(if away { value.to_bits() + 1 } else { value.to_bits() - 1 })
}

/// Rounds to f32 in the given direction.
pub fn to_f32(value: f64, rounding: Rounding) -> f32 {
    let nearest = value as f32;
    if value.is_nan() || f64::from(nearest) == value {
        return nearest;
    }
    let above = f64::from(nearest) > value;
    let toward_zero =
        |nearest: f32| if nearest > 0.0 && above || nearest < 0.0 && !above { shrink(nearest) } else { nearest };
    match rounding {
        Rounding::Nearest | Rounding::NearestAway => nearest,
        Rounding::Zero => toward_zero(nearest),
        Rounding::Down => {
            if above {
                down(nearest)
            } else {
                nearest
            }
        }
        Rounding::Up => {
            if above {
                nearest
            } else {
                up(nearest)
            }
        }
    }
}

fn shrink(value: f32) -> f32 {
    f32::from_bits(value.to_bits() - 1)
}

fn down(value: f32) -> f32 {
    value.next_down()
}

fn up(value: f32) -> f32 {
    value.next_up()
}

/// Rounds to an integral value.
pub fn to_integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => value.round_ties_even(),
        Rounding::NearestAway => value.round(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    }
}

#[cfg(test)]
mod tests {
    use super::{add_to_odd, divide_to_odd, fma_to_odd, to_f32};
    use crate::program::Rounding;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fused_products_round_once(a: f32, b: f32, c: f32) {
            let expected = a.mul_add(b, c);
            let got = fma_to_odd(a.into(), b.into(), c.into()) as f32;
            prop_assert!(got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(), "{got} {expected}");
        }

        #[test]
        fn sums_and_quotients_round_once(a: f32, b: f32) {
            let same = |got: f32, expected: f32| got == expected || got.is_nan() && expected.is_nan();
            prop_assert!(same(add_to_odd(a.into(), b.into()) as f32, a + b));
            prop_assert!(same(divide_to_odd(a.into(), b.into()) as f32, a / b));
        }

        #[test]
        fn directed_rounding_brackets_the_value(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value.abs() < 1e38);
            let (low, high) = (to_f32(value, Rounding::Down), to_f32(value, Rounding::Up));
            prop_assert!(f64::from(low) <= value && value <= f64::from(high));
            prop_assert!(low == high || low.next_up() == high);
            let zero = to_f32(value, Rounding::Zero);
            prop_assert_eq!(zero, if value > 0.0 { low } else { high });
        }
    }
}
