//! `mov`, `cvt` and `cvta`.

use super::{Lowered, Lowering, Written, floating::rounding, types::Type};
use crate::{
    program::{Class, Conversion, HalfKind, Number, Op, Register, Rounding, Signedness, Space},
    ptx::syntax::Operand,
};

impl<'a> Lowering<'a> {
    pub(super) fn move_or_convert(&mut self, written: &Written<'a, '_>) -> Lowered {
        match written.name {
            "mov" => self.move_value(written),
            "cvta" => self.convert_address(written),
            _ => self.convert(written),
        }
    }

    fn move_value(&mut self, written: &Written<'a, '_>) -> Lowered {
        let kind = written.kind()?;
        let (to, from) = (written.operand(0)?, written.operand(1)?);
        let op = match (to, from) {
            (Operand::Vector(items), _) => self.unpack(items, from, kind)?,
            (_, Operand::Vector(items)) => self.pack(to, items, kind)?,
            _ if kind == Type::Flag => {
                let (a, negated) = self.names.flag(from)?;
                let d = self.names.flag(to)?.0;
                if negated { Op::FlagNot { d, a } } else { Op::MoveFlag { d, a } }
            }
            _ => match (self.names.target(to, kind)?, self.names.source(from, kind)?) {
                (Register::Word(d), Register::Word(a)) => Op::MoveWord { d, a },
                (Register::Long(d), Register::Long(a)) => Op::MoveLong { d, a },
                (Register::Long(d), Register::Word(a)) => Op::ExtendLong { bits: 32, sign: Signedness::Unsigned, d, a },
                (Register::Word(_), Register::Long(_)) => return Err("the operands differ in width".into()),
            },
        };
        Ok((op, Class::Move))
    }

    fn pack(&mut self, to: &Operand<'a>, items: &[Operand<'a>], kind: Type) -> Result<Op, String> {
        let part = part_type(kind, items.len())?;
        let parts = items.iter().map(|item| self.names.source(item, part)).collect::<Result<_, _>>()?;
        Ok(Op::Pack { d: self.names.target(to, kind)?, parts })
    }

    fn unpack(&mut self, items: &[Operand<'a>], from: &Operand<'a>, kind: Type) -> Result<Op, String> {
        let part = part_type(kind, items.len())?;
        let mut parts = Vec::new();
        for item in items {
            let dropped = *item == Operand::Name("_", 0);
            parts.push(if dropped { None } else { Some(self.names.target(item, part)?) });
        }
        Ok(Op::Unpack { a: self.names.source(from, kind)?, parts: parts.into() })
    }

    fn convert_address(&mut self, written: &Written<'a, '_>) -> Lowered {
        let space = match written.parts.iter().find(|part| !matches!(**part, "to" | "u64")) {
            Some(&"global") => Space::Global,
            Some(&"const") => Space::Constant,
            Some(&("shared" | "shared::cta")) => Space::Shared,
            Some(&"local") => Space::Local,
            Some(&("param" | "param::entry")) => Space::Parameter,
            _ => return written.unsupported(),
        };
        if written.kind()?.bits() != 64 {
            return written.unsupported();
        }
        let (d, a) = (self.long_target(written, 0)?, self.names.long(written.operand(1)?)?);
        let op = match (space, written.has("to")) {
            (Space::Global | Space::Constant, _) => Op::MoveLong { d, a },
            (_, true) => Op::FromGeneric { space, d, a },
            (_, false) => Op::ToGeneric { space, d, a },
        };
        Ok((op, Class::Move))
    }

    fn convert(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&[
            "rn",
            "rz",
            "rm",
            "rp",
            "rna",
            "rni",
            "rzi",
            "rmi",
            "rpi",
            "ftz",
            "sat",
            "relu",
            "pack",
            "satfinite",
        ])?;
        if written.has("pack") || written.has("satfinite") {
            return written.unsupported();
        }
        let [to, from] = written.types[..] else { return written.unsupported() };
        let class = Class::Convert;
        if let Type::Half(HalfKind { format, packed: true }) = to {
            if from != Type::Float || written.operands.len() != 3 {
                return written.unsupported();
            }
            let (a, b) = (self.word_source(written, 1, from)?, self.word_source(written, 2, from)?);
            let (rounding, relu) = (rounding(written), written.has("relu"));
            return Ok((Op::PackHalves { format, rounding, relu, d: self.word_target(written, 0)?, a, b }, class));
        }
        let (Some(to_number), Some(from_number)) = (to.number(), from.number()) else { return written.unsupported() };
        let d = self.names.target(written.operand(0)?, to)?;
        let a = self.source(written, 1, from)?;
        let integral = ["rni", "rzi", "rmi", "rpi"].iter().any(|part| written.has(part));
        let conversion = Conversion {
            to: to_number,
            from: from_number,
            rounding: rounding(written),
            integral,
            saturate: written.has("sat"),
            flush: written.has("ftz"),
            relu: written.has("relu"),
            d,
            a,
        };
        Ok((quick(&conversion).unwrap_or_else(|| Op::Convert(Box::new(conversion))), class))
    }
}

/// The common conversions as operations of their own.
fn quick(conversion: &Conversion) -> Option<Op> {
    if conversion.saturate || conversion.flush || conversion.relu {
        return None;
    }
    match (conversion.to, conversion.from, conversion.d, conversion.a) {
        (Number::Integer { bits: to, .. }, Number::Integer { bits: from, sign }, d, a) => Some(match (d, a) {
            (Register::Word(d), Register::Word(a)) => Op::Extend { bits: from.min(to), sign, keep: to, d, a },
            (Register::Word(d), Register::Long(a)) if from == 64 => Op::Narrow { bits: to, d, a },
            (Register::Long(d), Register::Word(a)) if to == 64 => Op::ExtendLong { bits: from, sign, d, a },
            (Register::Long(d), Register::Long(a)) if to == 64 && from == 64 => Op::MoveLong { d, a },
            _ => return None,
        }),
        (Number::Float, Number::Half(format), Register::Word(d), Register::Word(a)) => {
            Some(Op::HalfToFloat { format, d, a })
        }
        (Number::Half(format), Number::Float, Register::Word(d), Register::Word(a))
            if conversion.rounding == Rounding::Nearest && !conversion.integral =>
        {
            Some(Op::FloatToHalf { format, d, a })
        }
        _ => None,
    }
}

fn part_type(kind: Type, count: usize) -> Result<Type, String> {
    match kind.bits() / count.max(1) as u8 {
        bits @ (8 | 16 | 32) => Ok(Type::Unsigned(bits)),
        _ => Err(format!("{count} parts do not fit {} bits", kind.bits())),
    }
}
