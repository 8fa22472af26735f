//! f16 and bf16: conversions without branches, so that a warp's worth of them becomes vector code, and arithmetic that rounds once.

use super::{
    float::Comparer,
    rounding::fma_to_odd,
    rows::{Row, map1, map2, map3},
};
use crate::program::{Comparison, FloatOp, FloatUnary, HalfFormat, HalfKind, Rounding};

/// The NaN that devices return in both formats.
const NAN: u32 = 0x7FFF;

/// The value of a 16-bit pattern.
#[inline(always)]
pub fn to_f32(format: HalfFormat, bits: u32) -> f32 {
    match format {
        HalfFormat::F16 => f16_to_f32(bits),
        HalfFormat::Bf16 => f32::from_bits(bits << 16),
    }
}

/// Rounds to nearest even.
#[inline(always)]
pub fn from_f32(format: HalfFormat, value: f32) -> u32 {
    match format {
        HalfFormat::F16 => f32_to_f16(value),
        HalfFormat::Bf16 => f32_to_bf16(value),
    }
}

#[inline(always)]
fn f16_to_f32(bits: u32) -> f32 {
    let magnitude = (bits & 0x7FFF) << 13;
    // 2^112 moves the exponent from f16's bias to f32's, subnormals included.
    let scaled = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let special = if bits & 0x7C00 == 0x7C00 { magnitude | 0x7F80_0000 } else { scaled.to_bits() };
    f32::from_bits(special | (bits & 0x8000) << 16)
}

#[inline(always)]
fn f32_to_f16(value: f32) -> u32 {
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 16) & 0x8000, bits & 0x7FFF_FFFF);
    // Adding 0.5 leaves a subnormal's bits, rounded, at the bottom of the significand.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3F00_0000);
    let normal = magnitude.wrapping_sub(0x3800_0000).wrapping_add(0xFFF + ((magnitude >> 13) & 1)) >> 13;
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    let clipped = if magnitude >= 0x4780_0000 { 0x7C00 } else { finite };
    if magnitude > 0x7F80_0000 { NAN } else { sign | clipped }
}

#[inline(always)]
fn f32_to_bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16;
    if bits & 0x7FFF_FFFF > 0x7F80_0000 { NAN } else { rounded }
}

/// Rounds as a conversion asks, which may be towards zero.
pub fn from_f32_rounded(format: HalfFormat, value: f32, rounding: Rounding) -> u32 {
    let nearest = from_f32(format, value);
    if rounding == Rounding::Nearest || value.is_nan() || to_f32(format, nearest) == value {
        return nearest;
    }
    let above = to_f32(format, nearest) > value;
    let step = |grow: bool| if grow { nearest + 1 } else { nearest.wrapping_sub(1) };
    let negative = nearest & 0x8000 != 0;
    match (rounding, above) {
        (Rounding::Zero, true) if !negative => step(false),
        (Rounding::Zero, false) if negative => step(false),
        (Rounding::Down, true) if nearest & 0x7FFF == 0 => 0x8001,
        (Rounding::Up, false) if nearest & 0x7FFF == 0 => 0x0001,
        (Rounding::Down, true) => step(negative),
        (Rounding::Up, false) => step(!negative),
        _ => nearest,
    }
}

/// Rounds an f64 once.
pub fn from_f64(format: HalfFormat, value: f64) -> u32 {
    let single = value as f32;
    if f64::from(single) == value || !single.is_finite() {
        return from_f32(format, single);
    }
    // To odd in f32 first: the last bit remembers that something was cut off.
    let toward = super::rounding::to_f32(value, Rounding::Zero);
    from_f32(format, f32::from_bits(toward.to_bits() | 1))
}

/// Applies `f` to one half, or to both of a packed word.
#[inline(always)]
fn halves1(packed: bool, a: &Row, f: impl Fn(u32) -> u32) -> Row {
    if packed { map1(a, |a| f(a & 0xFFFF) | f(a >> 16) << 16) } else { map1(a, |a| f(a & 0xFFFF)) }
}

#[inline(always)]
fn halves2(packed: bool, a: &Row, b: &Row, f: impl Fn(u32, u32) -> u32) -> Row {
    if packed {
        map2(a, b, |a, b| f(a & 0xFFFF, b & 0xFFFF) | f(a >> 16, b >> 16) << 16)
    } else {
        map2(a, b, |a, b| f(a & 0xFFFF, b & 0xFFFF))
    }
}

/// `a op b`. f32 has more than twice the bits and two more, so rounding its result again is exact for these operations.
pub fn half2(op: FloatOp, kind: HalfKind, saturate: bool, a: &Row, b: &Row) -> Row {
    match kind.format {
        HalfFormat::F16 => half2_of(op, HalfFormat::F16, kind.packed, saturate, a, b),
        HalfFormat::Bf16 => half2_of(op, HalfFormat::Bf16, kind.packed, saturate, a, b),
    }
}

#[inline(always)]
fn half2_of(op: FloatOp, format: HalfFormat, packed: bool, saturate: bool, a: &Row, b: &Row) -> Row {
    let value = |bits| to_f32(format, bits);
    let clamp = |value: f32| if saturate { saturated(value) } else { value };
    let through = |f: fn(f32, f32) -> f32| halves2(packed, a, b, |a, b| from_f32(format, clamp(f(value(a), value(b)))));
    match op {
        FloatOp::Add => halves2(packed, a, b, |a, b| from_f32(format, clamp(value(a) + value(b)))),
        FloatOp::Subtract => halves2(packed, a, b, |a, b| from_f32(format, clamp(value(a) - value(b)))),
        FloatOp::Multiply => halves2(packed, a, b, |a, b| from_f32(format, clamp(value(a) * value(b)))),
        FloatOp::Divide => through(|a, b| a / b),
        FloatOp::Minimum => through(super::float::minimum),
        FloatOp::Maximum => through(super::float::maximum),
        FloatOp::MinimumNan => {
            through(|a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { super::float::minimum(a, b) })
        }
        FloatOp::MaximumNan => {
            through(|a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { super::float::maximum(a, b) })
        }
        FloatOp::CopySign => halves2(packed, a, b, |a, b| b & 0x7FFF | a & 0x8000),
    }
}

/// `a * b + c`, rounded once.
pub fn half_fma(kind: HalfKind, relu: bool, saturate: bool, a: &Row, b: &Row, c: &Row) -> Row {
    let format = kind.format;
    let one = |a: u32, b: u32, c: u32| {
        let (x, y, z) = (to_f32(format, a), to_f32(format, b), to_f32(format, c));
        let sum = fma_to_odd(x.into(), y.into(), z.into());
        let bits = from_f64(format, if saturate { saturated(sum as f32).into() } else { sum });
        let negative = bits & 0x8000 != 0 && bits & 0x7FFF <= nan_floor(format);
        if relu && negative { 0 } else { bits }
    };
    if kind.packed {
        map3(a, b, c, |a, b, c| one(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF) | one(a >> 16, b >> 16, c >> 16) << 16)
    } else {
        map3(a, b, c, |a, b, c| one(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF))
    }
}

/// The bits of infinity: above them are NaNs.
fn nan_floor(format: HalfFormat) -> u32 {
    match format {
        HalfFormat::F16 => 0x7C00,
        HalfFormat::Bf16 => 0x7F80,
    }
}

/// Clamps to [0, 1]; a NaN becomes 0.
pub fn saturated(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// Operations of one operand.
pub fn half1(op: FloatUnary, kind: HalfKind, a: &Row) -> Row {
    match op {
        FloatUnary::Negate => halves1(kind.packed, a, |a| a ^ 0x8000),
        FloatUnary::Absolute => halves1(kind.packed, a, |a| a & 0x7FFF),
        _ => halves1(kind.packed, a, |a| from_f32(kind.format, super::float::unary(op, to_f32(kind.format, a)))),
    }
}

/// One mask for the lower and one for the upper halves.
pub fn compare_packed(format: HalfFormat, comparison: Comparison, a: &Row, b: &Row) -> [u32; 2] {
    let comparer = Comparer::new(comparison);
    let mut masks = [0; 2];
    for (half, mask) in masks.iter_mut().enumerate() {
        let value = |bits: u32| to_f32(format, bits >> (16 * half) & 0xFFFF);
        *mask = super::rows::mask2(a, b, |a, b| comparer.holds(value(a), value(b)));
    }
    masks
}

/// `cvt.f16x2.f32`: `a` above `b`.
pub fn pack(format: HalfFormat, rounding: Rounding, relu: bool, a: &Row, b: &Row) -> Row {
    let one = |bits: u32| {
        let value = f32::from_bits(bits);
        from_f32_rounded(format, if relu && value <= 0.0 { 0.0 } else { value }, rounding)
    };
    if rounding == Rounding::Nearest && !relu {
        return map2(a, b, |a, b| from_f32(format, f32::from_bits(a)) << 16 | from_f32(format, f32::from_bits(b)));
    }
    map2(a, b, |a, b| one(a) << 16 | one(b))
}

#[cfg(test)]
mod tests {
    use super::{HalfFormat, Rounding, from_f32, from_f32_rounded, from_f64, to_f32};
    use half::{bf16, f16};
    use proptest::prelude::*;

    #[test]
    fn every_pattern_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let same =
                |got: f32, expected: f32| got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
            assert!(same(to_f32(HalfFormat::F16, bits.into()), f16::from_bits(bits).to_f32()), "{bits:#x}");
            assert!(same(to_f32(HalfFormat::Bf16, bits.into()), bf16::from_bits(bits).to_f32()), "{bits:#x}");
        }
    }

    fn near_half() -> impl Strategy<Value = f32> {
        prop_oneof![
            any::<f32>(),
            (any::<u16>(), -3..4i32).prop_map(|(bits, step)| {
                let exact = f16::from_bits(bits).to_f32();
                let middle = exact + (f16::from_bits(bits.wrapping_add(1)).to_f32() - exact) / 2.0;
                f32::from_bits(middle.to_bits().wrapping_add_signed(step))
            })
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn narrowing_rounds_to_nearest_even(value in near_half()) {
            prop_assume!(!value.is_nan());
            prop_assert_eq!(from_f32(HalfFormat::F16, value), u32::from(f16::from_f32(value).to_bits()));
            prop_assert_eq!(from_f32(HalfFormat::Bf16, value), u32::from(bf16::from_f32(value).to_bits()));
        }

        #[test]
        fn narrowing_from_f64_takes_the_nearest(value in near_half(), step in -2..3i64) {
            prop_assume!(value.is_finite());
            let value = value % 65000.0;
            let value = f64::from_bits(f64::from(value).to_bits().wrapping_add_signed(step));
            let got = f16::from_bits(from_f64(HalfFormat::F16, value) as u16);
            let distance = |half: f16| (half.to_f64() - value).abs();
            for neighbour in [got.to_bits().wrapping_sub(1), got.to_bits() + 1].map(f16::from_bits) {
                let farther = distance(neighbour) > distance(got);
                let tie = distance(neighbour) == distance(got) && got.to_bits().is_multiple_of(2);
                prop_assert!(farther || tie || !neighbour.is_finite() || neighbour.is_sign_positive() != got.is_sign_positive());
            }
        }

        #[test]
        fn rounding_to_zero_never_grows(value in near_half()) {
            prop_assume!(value.is_finite());
            let got = to_f32(HalfFormat::F16, from_f32_rounded(HalfFormat::F16, value, Rounding::Zero));
            prop_assert!(got.abs() <= value.abs());
            let next = f16::from_bits(f16::from_f32(got).to_bits() + 1).to_f32();
            prop_assert!(next.abs() > value.abs() || !next.is_finite());
        }
    }
}
