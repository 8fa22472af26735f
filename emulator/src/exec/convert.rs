//! The conversions that have no operation of their own.

use super::{
    half,
    rounding::{add_to_odd, to_f32, to_integral},
};
use crate::program::{Conversion, Number, Rounding, Signedness};

/// A number on its way between formats.
#[derive(Clone, Copy)]
enum Value {
    Integer(i128),
    Float(f64),
}

/// Converts the bits of one lane.
pub fn convert(conversion: &Conversion, bits: u64) -> u64 {
    let mut value = read(conversion.from, bits, conversion.flush);
    if let Value::Float(float) = value
        && conversion.integral
    {
        value = Value::Float(to_integral(float, conversion.rounding));
    }
    match conversion.to {
        Number::Integer { bits, sign } => to_integer(value, bits, sign, conversion.saturate),
        _ => write(conversion, value),
    }
}

fn read(from: Number, bits: u64, flush: bool) -> Value {
    match from {
        Number::Integer { bits: width, sign } => {
            let unused = 64 - u32::from(width);
            Value::Integer(match sign {
                Signedness::Signed => i128::from(((bits << unused) as i64) >> unused),
                Signedness::Unsigned => i128::from((bits << unused) >> unused),
            })
        }
        Number::Half(format) => Value::Float(half::to_f32(format, bits as u32 & 0xFFFF).into()),
        Number::Float | Number::Tf32 => {
            let value = f32::from_bits(bits as u32);
            Value::Float(if flush && value.is_subnormal() { 0.0f32.copysign(value) } else { value }.into())
        }
        Number::Double => Value::Float(f64::from_bits(bits)),
    }
}

/// Floats are clamped to the range of the integer and NaN becomes 0; integers wrap unless `saturate`.
fn to_integer(value: Value, width: u8, sign: Signedness, saturate: bool) -> u64 {
    let (low, high) = match sign {
        Signedness::Signed => (-(1i128 << (width - 1)), (1i128 << (width - 1)) - 1),
        Signedness::Unsigned => (0, (1i128 << width) - 1),
    };
    let integer = match value {
        Value::Integer(integer) if saturate => integer.clamp(low, high),
        Value::Integer(integer) => integer,
        Value::Float(float) => (float as i128).clamp(low, high),
    };
    (integer as u64) & (u64::MAX >> (64 - u32::from(width)))
}

fn write(conversion: &Conversion, value: Value) -> u64 {
    let mut float = match value {
        Value::Float(float) => float,
        // Above 2^53 a direct cast would round before the real rounding does.
        Value::Integer(integer) if conversion.to == Number::Double => integer as f64,
        Value::Integer(integer) => {
            let low = integer & 0xFFFF_FFFF;
            add_to_odd((integer - low) as f64, low as f64)
        }
    };
    if conversion.saturate {
        float = if float > 0.0 { float.min(1.0) } else { 0.0 };
    }
    if conversion.relu && float <= 0.0 {
        float = 0.0;
    }
    match conversion.to {
        Number::Half(format) if conversion.rounding == Rounding::Nearest => half::from_f64(format, float).into(),
        Number::Half(format) => {
            half::from_f32_rounded(format, to_f32(float, conversion.rounding), conversion.rounding).into()
        }
        Number::Tf32 => to_tf32(float as f32, conversion.rounding).into(),
        Number::Double if float.is_nan() => 0x7FFF_FFFF_FFFF_FFFF,
        Number::Double => float.to_bits(),
        _ => single(to_f32(float, conversion.rounding), conversion.flush).into(),
    }
}

fn single(value: f32, flush: bool) -> u32 {
    if value.is_nan() {
        0x7FFF_FFFF
    } else if flush && value.is_subnormal() {
        0.0f32.copysign(value).to_bits()
    } else {
        value.to_bits()
    }
}

/// Keeps 10 bits of the significand.
fn to_tf32(value: f32, rounding: Rounding) -> u32 {
    let bits = value.to_bits();
    if !value.is_finite() {
        return if value.is_nan() { 0x7FFF_FFFF } else { bits };
    }
    let rounded = match rounding {
        Rounding::Zero => bits,
        Rounding::NearestAway => bits + 0x1000,
        _ => bits + 0xFFF + (bits >> 13 & 1),
    };
    rounded & !0x1FFF
}
