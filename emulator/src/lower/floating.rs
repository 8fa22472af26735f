//! Floating-point arithmetic in f16, bf16, f32 and f64.

use super::{Lowered, Lowering, Written, types::Type};
use crate::program::{Class, FloatMode, FloatOp, FloatUnary, HalfKind, Op, Rounding};

/// Suffixes that choose precision or rounding, besides types.
const FLOAT_PARTS: [&str; 11] = ["rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full", "noftz", "NaN", "relu"];

impl<'a> Lowering<'a> {
    pub(super) fn float(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&FLOAT_PARTS)?;
        let mode = float_mode(written);
        let d = self.word_target(written, 0)?;
        let a = self.word_source(written, 1, Type::Float)?;
        if let Some(op) = unary_float(written.name) {
            self.require_nearest(written, mode)?;
            return Ok((Op::Float1 { op, flush: mode.flush, d, a }, Class::Float));
        }
        if written.name == "mad" {
            return self.fused(written);
        }
        let op = binary_float(written).map_or_else(|| written.unsupported(), Ok)?;
        let b = self.word_source(written, 2, Type::Float)?;
        Ok((Op::Float2 { op, mode, d, a, b }, Class::Float))
    }

    pub(super) fn double(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&FLOAT_PARTS)?;
        self.require_nearest(written, float_mode(written))?;
        let gross = written.has("ftz") && written.has("approx");
        if written.has("sat") || gross && written.name != "rcp" {
            return written.unsupported();
        }
        let d = self.long_target(written, 0)?;
        let a = self.names.long(written.operand(1)?)?;
        if gross {
            return Ok((Op::Double1 { op: FloatUnary::ReciprocalUpper, d, a }, Class::Double));
        }
        if let Some(op) = unary_float(written.name) {
            return Ok((Op::Double1 { op, d, a }, Class::Double));
        }
        let op = binary_float(written).map_or_else(|| written.unsupported(), Ok)?;
        Ok((Op::Double2 { op, d, a, b: self.names.long(written.operand(2)?)? }, Class::Double))
    }

    pub(super) fn half(&mut self, written: &Written<'a, '_>, kind: HalfKind) -> Lowered {
        written.only(&FLOAT_PARTS)?;
        self.require_nearest(written, float_mode(written))?;
        let d = self.word_target(written, 0)?;
        let a = self.word_source(written, 1, Type::Half(kind))?;
        if let Some(op) = unary_float(written.name) {
            return Ok((Op::Half1 { op, kind, d, a }, Class::Half));
        }
        if written.has("relu") {
            return written.unsupported();
        }
        let op = binary_float(written).map_or_else(|| written.unsupported(), Ok)?;
        let b = self.word_source(written, 2, Type::Half(kind))?;
        Ok((Op::Half2 { op, kind, saturate: written.has("sat"), d, a, b }, Class::Half))
    }

    pub(super) fn fused(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&FLOAT_PARTS)?;
        let mode = float_mode(written);
        match written.kind()? {
            Type::Float => {
                let (d, a, b, c) = self.word_operands3_of(written, Type::Float)?;
                Ok((Op::FloatFma { mode, d, a, b, c }, Class::Float))
            }
            Type::Half(kind) => {
                self.require_nearest(written, mode)?;
                let (d, a, b, c) = self.word_operands3_of(written, Type::Half(kind))?;
                let (relu, saturate) = (written.has("relu"), mode.saturate);
                Ok((Op::HalfFma { kind, relu, saturate, d, a, b, c }, Class::Half))
            }
            Type::Double => {
                self.require_nearest(written, mode)?;
                let (a, b) = (self.names.long(written.operand(1)?)?, self.names.long(written.operand(2)?)?);
                let c = self.names.long(written.operand(3)?)?;
                Ok((Op::DoubleFma { d: self.long_target(written, 0)?, a, b, c }, Class::Double))
            }
            _ => written.unsupported(),
        }
    }

    fn require_nearest(&self, written: &Written<'a, '_>, mode: FloatMode) -> Result<(), String> {
        if mode.rounding == Rounding::Nearest { Ok(()) } else { written.unsupported() }
    }
}

fn unary_float(name: &str) -> Option<FloatUnary> {
    Some(match name {
        "neg" => FloatUnary::Negate,
        "abs" => FloatUnary::Absolute,
        "rcp" => FloatUnary::Reciprocal,
        "sqrt" => FloatUnary::SquareRoot,
        "rsqrt" => FloatUnary::ReciprocalSquareRoot,
        "ex2" => FloatUnary::Exponential2,
        "lg2" => FloatUnary::Logarithm2,
        "sin" => FloatUnary::Sine,
        "cos" => FloatUnary::Cosine,
        "tanh" => FloatUnary::HyperbolicTangent,
        _ => return None,
    })
}

fn binary_float(written: &Written<'_, '_>) -> Option<FloatOp> {
    Some(match (written.name, written.has("NaN")) {
        ("min", true) => FloatOp::MinimumNan,
        ("max", true) => FloatOp::MaximumNan,
        (_, true) => return None,
        ("add", _) => FloatOp::Add,
        ("sub", _) => FloatOp::Subtract,
        ("mul", _) => FloatOp::Multiply,
        ("div", _) => FloatOp::Divide,
        ("min", _) => FloatOp::Minimum,
        ("max", _) => FloatOp::Maximum,
        ("copysign", _) => FloatOp::CopySign,
        _ => return None,
    })
}

fn float_mode(written: &Written<'_, '_>) -> FloatMode {
    FloatMode { rounding: rounding(written), flush: written.has("ftz"), saturate: written.has("sat") }
}

/// The rounding a float instruction names; to nearest where it names none.
pub(super) fn rounding(written: &Written<'_, '_>) -> Rounding {
    let named = written.parts.iter().find_map(|part| match *part {
        "rz" | "rzi" => Some(Rounding::Zero),
        "rm" | "rmi" => Some(Rounding::Down),
        "rp" | "rpi" => Some(Rounding::Up),
        "rna" => Some(Rounding::NearestAway),
        _ => None,
    });
    named.unwrap_or(Rounding::Nearest)
}
