//! f32 and f64 arithmetic and comparisons, a warp at a time.

use super::{
    rounding::{add_to_odd, divide_to_odd, fma_to_odd, to_f32},
    rows::{LongRow, Row, map1, map2, map3},
};
use crate::program::{Comparison, FloatMode, FloatOp, FloatUnary, LANES, Relation, Rounding};

/// The NaN that devices return.
const NAN: u32 = 0x7FFF_FFFF;

/// Bits of a result; every NaN is the same one.
#[inline(always)]
fn bits(value: f32) -> u32 {
    if value.is_nan() { NAN } else { value.to_bits() }
}

/// Subnormals become zeros of their sign.
#[inline(always)]
fn flushed(bits: u32) -> u32 {
    if bits & 0x7F80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// `a op b`.
pub fn float2(op: FloatOp, mode: FloatMode, a: &Row, b: &Row) -> Row {
    if mode != FloatMode::PLAIN {
        return float2_in_mode(op, mode, a, b);
    }
    let f = f32::from_bits;
    match op {
        FloatOp::Add => map2(a, b, |a, b| bits(f(a) + f(b))),
        FloatOp::Subtract => map2(a, b, |a, b| bits(f(a) - f(b))),
        FloatOp::Multiply => map2(a, b, |a, b| bits(f(a) * f(b))),
        FloatOp::Divide => map2(a, b, |a, b| bits(f(a) / f(b))),
        FloatOp::Minimum => map2(a, b, |a, b| bits(minimum(f(a), f(b)))),
        FloatOp::Maximum => map2(a, b, |a, b| bits(maximum(f(a), f(b)))),
        FloatOp::MinimumNan => {
            map2(a, b, |a, b| if f(a).is_nan() || f(b).is_nan() { NAN } else { bits(minimum(f(a), f(b))) })
        }
        FloatOp::MaximumNan => {
            map2(a, b, |a, b| if f(a).is_nan() || f(b).is_nan() { NAN } else { bits(maximum(f(a), f(b))) })
        }
        FloatOp::CopySign => map2(a, b, |a, b| b & 0x7FFF_FFFF | a & 0x8000_0000),
    }
}

/// The lesser; a NaN yields to a number and -0 is less than +0.
#[inline(always)]
pub fn minimum(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        b
    } else if b.is_nan() || a < b || a == b && a.is_sign_negative() {
        a
    } else {
        b
    }
}

/// The greater; a NaN yields to a number and +0 is greater than -0.
#[inline(always)]
pub fn maximum(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        b
    } else if b.is_nan() || a > b || a == b && a.is_sign_positive() {
        a
    } else {
        b
    }
}

fn float2_in_mode(op: FloatOp, mode: FloatMode, a: &Row, b: &Row) -> Row {
    let (mut a, mut b) = (*a, *b);
    if mode.flush {
        (a, b) = (map1(&a, flushed), map1(&b, flushed));
    }
    let value = |bits: u32| f64::from(f32::from_bits(bits));
    let directed = mode.rounding != Rounding::Nearest;
    let result = match op {
        FloatOp::Add if directed => map2(&a, &b, |a, b| bits(to_f32(add_to_odd(value(a), value(b)), mode.rounding))),
        FloatOp::Subtract if directed => {
            map2(&a, &b, |a, b| bits(to_f32(add_to_odd(value(a), -value(b)), mode.rounding)))
        }
        FloatOp::Multiply if directed => map2(&a, &b, |a, b| bits(to_f32(value(a) * value(b), mode.rounding))),
        FloatOp::Divide if directed => {
            map2(&a, &b, |a, b| bits(to_f32(divide_to_odd(value(a), value(b)), mode.rounding)))
        }
        _ => float2(op, FloatMode::PLAIN, &a, &b),
    };
    finish(mode, result)
}

fn finish(mode: FloatMode, mut result: Row) -> Row {
    if mode.flush {
        result = map1(&result, flushed);
    }
    if mode.saturate {
        result = map1(&result, |bits| super::half::saturated(f32::from_bits(bits)).to_bits());
    }
    result
}

/// `a * b + c`, rounded once.
pub fn float_fma(mode: FloatMode, a: &Row, b: &Row, c: &Row) -> Row {
    if mode == FloatMode::PLAIN {
        return fused(a, b, c);
    }
    let (mut a, mut b, mut c) = (*a, *b, *c);
    if mode.flush {
        (a, b, c) = (map1(&a, flushed), map1(&b, flushed), map1(&c, flushed));
    }
    let value = |bits: u32| f64::from(f32::from_bits(bits));
    let result = match mode.rounding {
        Rounding::Nearest => fused(&a, &b, &c),
        rounding => map3(&a, &b, &c, |a, b, c| bits(to_f32(fma_to_odd(value(a), value(b), value(c)), rounding))),
    };
    finish(mode, result)
}

fn fused(a: &Row, b: &Row, c: &Row) -> Row {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the two instruction sets were just found present.
        return unsafe { fused_vector(a, b, c) };
    }
    fused_lanes(a, b, c)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_vector(a: &Row, b: &Row, c: &Row) -> Row {
    fused_lanes(a, b, c)
}

#[inline(always)]
fn fused_lanes(a: &Row, b: &Row, c: &Row) -> Row {
    let mut d = [0; LANES];
    for lane in 0..LANES {
        d[lane] = bits(f32::from_bits(a[lane]).mul_add(f32::from_bits(b[lane]), f32::from_bits(c[lane])));
    }
    d
}

/// Operations of one operand.
pub fn float1(op: FloatUnary, flush: bool, a: &Row) -> Row {
    match (op, flush) {
        (FloatUnary::Negate, false) => map1(a, |a| a ^ 0x8000_0000),
        (FloatUnary::Absolute, false) => map1(a, |a| a & 0x7FFF_FFFF),
        (_, false) => map1(a, |a| bits(unary(op, f32::from_bits(a)))),
        (_, true) => map1(a, |a| flushed(bits(unary(op, f32::from_bits(flushed(a)))))),
    }
}

/// The f32 functions; the approximate ones are as exact as the host's library.
pub fn unary(op: FloatUnary, a: f32) -> f32 {
    match op {
        FloatUnary::Negate => -a,
        FloatUnary::Absolute => a.abs(),
        FloatUnary::Reciprocal | FloatUnary::ReciprocalUpper => 1.0 / a,
        FloatUnary::SquareRoot => a.sqrt(),
        FloatUnary::ReciprocalSquareRoot => (1.0 / f64::from(a).sqrt()) as f32,
        FloatUnary::Exponential2 => a.exp2(),
        FloatUnary::Logarithm2 => a.log2(),
        FloatUnary::Sine => a.sin(),
        FloatUnary::Cosine => a.cos(),
        FloatUnary::HyperbolicTangent => a.tanh(),
    }
}

/// f64: `a op b`.
pub fn double2(op: FloatOp, a: &LongRow, b: &LongRow) -> LongRow {
    map2(a, b, |a, b| {
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        let value = match op {
            FloatOp::Add => x + y,
            FloatOp::Subtract => x - y,
            FloatOp::Multiply => x * y,
            FloatOp::Divide => x / y,
            FloatOp::Minimum => x.min(y),
            FloatOp::Maximum => x.max(y),
            FloatOp::MinimumNan | FloatOp::MaximumNan if x.is_nan() || y.is_nan() => f64::NAN,
            FloatOp::MinimumNan => x.min(y),
            FloatOp::MaximumNan => x.max(y),
            FloatOp::CopySign => y.copysign(x),
        };
        value.to_bits()
    })
}

/// f64: `a * b + c`, rounded once.
pub fn double_fma(a: &LongRow, b: &LongRow, c: &LongRow) -> LongRow {
    map3(a, b, c, |a, b, c| f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c)).to_bits())
}

/// f64 functions.
pub fn double1(op: FloatUnary, a: &LongRow) -> LongRow {
    map1(a, |a| {
        let x = f64::from_bits(a);
        let value = match op {
            FloatUnary::Negate => return a ^ 1 << 63,
            FloatUnary::Absolute => return a & !(1 << 63),
            FloatUnary::Reciprocal => 1.0 / x,
            FloatUnary::ReciprocalUpper => return reciprocal_upper(a),
            FloatUnary::SquareRoot => x.sqrt(),
            FloatUnary::ReciprocalSquareRoot => 1.0 / x.sqrt(),
            FloatUnary::Exponential2 => x.exp2(),
            FloatUnary::Logarithm2 => x.log2(),
            FloatUnary::Sine => x.sin(),
            FloatUnary::Cosine => x.cos(),
            FloatUnary::HyperbolicTangent => x.tanh(),
        };
        value.to_bits()
    })
}

/// The reciprocal of a number of which only the upper 32 bits are read, rounded to as many; subnormal numbers are zero.
fn reciprocal_upper(bits: u64) -> u64 {
    const UPPER: u64 = !0 << 32;
    let flushed = |bits: u64| if f64::from_bits(bits).is_subnormal() { bits & 1 << 63 } else { bits };
    let value = 1.0 / f64::from_bits(flushed(bits & UPPER));
    let rounded = if value.is_finite() { value.to_bits() + (1 << 31) } else { value.to_bits() };
    flushed(rounded & UPPER)
}

/// A comparison as the set of orders it accepts.
#[derive(Clone, Copy)]
pub struct Comparer {
    less: bool,
    equal: bool,
    greater: bool,
    unordered: bool,
}

impl Comparer {
    pub fn new(comparison: Comparison) -> Self {
        let (less, equal, greater) = match comparison.relation {
            Relation::Equal => (false, true, false),
            Relation::NotEqual => (true, false, true),
            Relation::Less => (true, false, false),
            Relation::LessEqual => (true, true, false),
            Relation::Greater => (false, false, true),
            Relation::GreaterEqual => (false, true, true),
            Relation::Number => (true, true, true),
            Relation::Nan => (false, false, false),
        };
        Self { less, equal, greater, unordered: comparison.unordered }
    }

    #[inline(always)]
    pub fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        let (less, equal, greater) = (a < b, a == b, a > b);
        let ordered = less | equal | greater;
        self.less & less | self.equal & equal | self.greater & greater | self.unordered & !ordered
    }
}
