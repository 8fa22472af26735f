//! Arithmetic: integers, bits and predicates here, floating point in [`floating`](super::floating).

use super::{Lowered, Lowering, Written, types::Type};
use crate::program::{Class, Flag, IntegerOp, LogicOp, Long, Op, PermuteMode, Register, Signedness, UnaryOp, Word};

/// The instructions lowered here and in [`floating`](super::floating).
const NAMES: &str = "abs add addc and bfe bfi bfind brev clz cnot copysign cos createpolicy div dp4a ex2 fma lg2 lop3 mad max \
                     min mul neg not or popc prmt rcp rem rsqrt shf shl shr sin sqrt sub subc tanh xor";

/// Whether this is where `name` is lowered.
pub(super) fn lowers(name: &str) -> bool {
    NAMES.split_whitespace().any(|known| known == name)
}

impl<'a> Lowering<'a> {
    pub(super) fn arithmetic(&mut self, written: &Written<'a, '_>) -> Lowered {
        match written.name {
            "fma" => return self.fused(written),
            "prmt" => return self.permute(written),
            "lop3" => return self.logic3(written),
            "shf" => return self.funnel(written),
            "bfe" | "bfi" => return self.bit_field(written),
            "addc" | "subc" => return self.carry(written),
            "createpolicy" => return self.policy(written),
            "dp4a" => return self.dot(written),
            _ => {}
        }
        match written.kind()? {
            Type::Flag => self.predicate_logic(written),
            kind if kind.is_integer() => self.integer(written, kind),
            Type::Half(kind) => self.half(written, kind),
            Type::Float => self.float(written),
            Type::Double => self.double(written),
            _ => written.unsupported(),
        }
    }

    fn predicate_logic(&mut self, written: &Written<'a, '_>) -> Lowered {
        let d = self.flag_target(written, 0)?;
        let (a, _) = self.names.flag(written.operand(1)?)?;
        if written.name == "not" {
            return Ok((Op::FlagNot { d, a }, Class::Predicate));
        }
        let op = logic_op(written.name).map_or_else(|| written.unsupported(), Ok)?;
        let (b, _) = self.names.flag(written.operand(2)?)?;
        Ok((Op::FlagLogic { op, d, a, b }, Class::Predicate))
    }

    fn integer(&mut self, written: &Written<'a, '_>, kind: Type) -> Lowered {
        if written.has("cc") {
            return self.carry(written);
        }
        if let Some(op) = unary_integer(written, kind) {
            return self.unary(op, written, kind);
        }
        match written.name {
            "mul" | "mad" => return self.multiply(written, kind),
            "copysign" => return written.unsupported(),
            _ => {}
        }
        written.only(&["sat"])?;
        let op = binary_integer(written, kind).map_or_else(|| written.unsupported(), Ok)?;
        self.binary(op, written, kind)
    }

    fn unary(&mut self, op: UnaryOp, written: &Written<'a, '_>, kind: Type) -> Lowered {
        written.only(&["shiftamt"])?;
        let counts = matches!(op, UnaryOp::PopulationCount | UnaryOp::LeadingZeros | UnaryOp::FindHighest { .. });
        let op = match (kind.bits(), counts) {
            (64, true) => {
                Op::LongCount { op, d: self.word_target(written, 0)?, a: self.names.long(written.operand(1)?)? }
            }
            (64, false) => Op::Long1 { op, d: self.long_target(written, 0)?, a: self.names.long(written.operand(1)?)? },
            (bits, _) => {
                Op::Word1 { op, bits, d: self.word_target(written, 0)?, a: self.word_source(written, 1, kind)? }
            }
        };
        Ok((op, Class::Integer))
    }

    fn binary(&mut self, op: IntegerOp, written: &Written<'a, '_>, kind: Type) -> Lowered {
        let shift = matches!(op, IntegerOp::ShiftLeft | IntegerOp::ShiftRight(_));
        let count = Type::Unsigned(32);
        let op = match kind.bits() {
            64 if shift => Op::LongShift {
                op,
                d: self.long_target(written, 0)?,
                a: self.names.long(written.operand(1)?)?,
                b: self.word_source(written, 2, count)?,
            },
            64 => {
                let (d, a) = (self.long_target(written, 0)?, self.names.long(written.operand(1)?)?);
                Op::Long2 { op, d, a, b: self.names.long(written.operand(2)?)? }
            }
            bits => {
                let (d, a) = (self.word_target(written, 0)?, self.word_source(written, 1, kind)?);
                let b = self.word_source(written, 2, if shift { count } else { kind })?;
                if bits == 32 { Op::Word2 { op, d, a, b } } else { Op::Short2 { op, d, a, b } }
            }
        };
        Ok((op, Class::Integer))
    }

    fn multiply(&mut self, written: &Written<'a, '_>, kind: Type) -> Lowered {
        let adds = written.name.starts_with("mad");
        if written.has("sat") {
            return written.unsupported();
        }
        let (sign, bits) = (kind.sign(), kind.bits());
        let op = match (written.has("wide"), written.has("hi"), bits) {
            (true, _, 32) => {
                let c = if adds { Some(self.names.long(written.operand(3)?)?) } else { None };
                let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
                Op::MultiplyWide { sign, d: self.long_target(written, 0)?, a, b, c }
            }
            (true, _, 16) => {
                let c = if adds { Some(self.word_source(written, 3, Type::Unsigned(32))?) } else { None };
                let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
                Op::MultiplyWideShort { sign, d: self.word_target(written, 0)?, a, b, c }
            }
            (false, high, 16 | 32) if adds => Op::MultiplyAdd {
                high: high.then_some(sign),
                bits,
                d: self.word_target(written, 0)?,
                a: self.word_source(written, 1, kind)?,
                b: self.word_source(written, 2, kind)?,
                c: self.word_source(written, 3, kind)?,
            },
            (false, false, 64) if adds => Op::MultiplyAddLong {
                d: self.long_target(written, 0)?,
                a: self.names.long(written.operand(1)?)?,
                b: self.names.long(written.operand(2)?)?,
                c: self.names.long(written.operand(3)?)?,
            },
            (false, high, _) if !adds => {
                let op = if high { IntegerOp::MultiplyHigh(sign) } else { IntegerOp::Multiply };
                return self.binary(op, written, kind);
            }
            _ => return written.unsupported(),
        };
        Ok((op, Class::Integer))
    }

    fn carry(&mut self, written: &Written<'a, '_>) -> Lowered {
        let subtract = written.name.starts_with("sub");
        if written.kind()?.bits() != 32 || !matches!(written.name, "add" | "addc" | "sub" | "subc") {
            return written.unsupported();
        }
        let kind = Type::Unsigned(32);
        let (takes, gives) = (written.name.ends_with('c'), written.has("cc"));
        let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
        Ok((Op::Carry { subtract, takes, gives, d: self.word_target(written, 0)?, a, b }, Class::Integer))
    }

    fn dot(&mut self, written: &Written<'a, '_>) -> Lowered {
        let sign = |index: usize| written.types.get(index).map_or(Signedness::Unsigned, |kind| kind.sign());
        let (d, a, b, c) = self.word_operands3(written)?;
        Ok((Op::DotBytes { a_sign: sign(0), b_sign: sign(1), d, a, b, c }, Class::Integer))
    }

    /// A cache policy only steers caches: any value will do.
    fn policy(&mut self, written: &Written<'a, '_>) -> Lowered {
        let a = self.names.long(&crate::ptx::syntax::Operand::Integer(0))?;
        Ok((Op::MoveLong { d: self.long_target(written, 0)?, a }, Class::Move))
    }

    fn permute(&mut self, written: &Written<'a, '_>) -> Lowered {
        let mode = match written.parts.as_slice() {
            ["b32"] => PermuteMode::Index,
            ["b32", "f4e"] => PermuteMode::ForwardExtract,
            ["b32", "b4e"] => PermuteMode::BackwardExtract,
            ["b32", "rc8"] => PermuteMode::Replicate8,
            ["b32", "ecl"] => PermuteMode::EdgeLeft,
            ["b32", "ecr"] => PermuteMode::EdgeRight,
            ["b32", "rc16"] => PermuteMode::Replicate16,
            _ => return written.unsupported(),
        };
        let (d, a, b, c) = self.word_operands3(written)?;
        Ok((Op::Permute { mode, d, a, b, c }, Class::Integer))
    }

    fn logic3(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&[])?;
        let crate::ptx::syntax::Operand::Integer(table) = *written.operand(4)? else {
            return Err("the table must be a constant".into());
        };
        let (d, a, b, c) = self.word_operands3(written)?;
        Ok((Op::Logic3 { table: table as u8, d, a, b, c }, Class::Integer))
    }

    fn funnel(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&["l", "r", "wrap", "clamp"])?;
        let (d, a, b, c) = self.word_operands3(written)?;
        Ok((Op::FunnelShift { left: written.has("l"), clamp: written.has("clamp"), d, a, b, c }, Class::Integer))
    }

    fn bit_field(&mut self, written: &Written<'a, '_>) -> Lowered {
        let (kind, count) = (written.kind()?, Type::Unsigned(32));
        let sign = kind.sign();
        let op = match (written.name, kind.bits()) {
            ("bfe", 32) => {
                let (d, a, b, c) = self.word_operands3(written)?;
                Op::ExtractBits { sign, d, a, b, c }
            }
            ("bfe", 64) => Op::ExtractBitsLong {
                sign,
                d: self.long_target(written, 0)?,
                a: self.names.long(written.operand(1)?)?,
                b: self.word_source(written, 2, count)?,
                c: self.word_source(written, 3, count)?,
            },
            ("bfi", 32) => Op::InsertBits {
                d: self.word_target(written, 0)?,
                a: self.word_source(written, 1, count)?,
                b: self.word_source(written, 2, count)?,
                position: self.word_source(written, 3, count)?,
                length: self.word_source(written, 4, count)?,
            },
            ("bfi", 64) => Op::InsertBitsLong {
                d: self.long_target(written, 0)?,
                a: self.names.long(written.operand(1)?)?,
                b: self.names.long(written.operand(2)?)?,
                position: self.word_source(written, 3, count)?,
                length: self.word_source(written, 4, count)?,
            },
            _ => return written.unsupported(),
        };
        Ok((op, Class::Integer))
    }

    fn word_operands3(&mut self, written: &Written<'a, '_>) -> Result<(Word, Word, Word, Word), String> {
        self.word_operands3_of(written, Type::Unsigned(32))
    }

    pub(super) fn word_operands3_of(
        &mut self,
        written: &Written<'a, '_>,
        kind: Type,
    ) -> Result<(Word, Word, Word, Word), String> {
        let d = self.word_target(written, 0)?;
        let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
        Ok((d, a, b, self.word_source(written, 3, kind)?))
    }

    pub(super) fn word_source(&mut self, written: &Written<'a, '_>, index: usize, kind: Type) -> Result<Word, String> {
        self.names.word(written.operand(index)?, kind)
    }

    pub(super) fn word_target(&mut self, written: &Written<'a, '_>, index: usize) -> Result<Word, String> {
        self.names.target_word(written.operand(index)?)
    }

    pub(super) fn long_target(&mut self, written: &Written<'a, '_>, index: usize) -> Result<Long, String> {
        self.names.target_long(written.operand(index)?)
    }

    pub(super) fn flag_target(&mut self, written: &Written<'a, '_>, index: usize) -> Result<Flag, String> {
        Ok(self.names.flag(written.operand(index)?)?.0)
    }

    pub(super) fn source(&mut self, written: &Written<'a, '_>, index: usize, kind: Type) -> Result<Register, String> {
        self.names.source(written.operand(index)?, kind)
    }
}

pub(super) fn logic_op(name: &str) -> Option<LogicOp> {
    match name {
        "and" => Some(LogicOp::And),
        "or" => Some(LogicOp::Or),
        "xor" => Some(LogicOp::Xor),
        _ => None,
    }
}

fn unary_integer(written: &Written<'_, '_>, kind: Type) -> Option<UnaryOp> {
    Some(match written.name {
        "neg" => UnaryOp::Negate,
        "abs" => UnaryOp::Absolute,
        "not" => UnaryOp::Not,
        "cnot" => UnaryOp::LogicalNot,
        "popc" => UnaryOp::PopulationCount,
        "clz" => UnaryOp::LeadingZeros,
        "brev" => UnaryOp::ReverseBits,
        "bfind" => UnaryOp::FindHighest { sign: kind.sign(), shift: written.has("shiftamt") },
        _ => return None,
    })
}

fn binary_integer(written: &Written<'_, '_>, kind: Type) -> Option<IntegerOp> {
    let sign = kind.sign();
    Some(match (written.name, written.has("sat")) {
        ("add", true) if kind == Type::Signed(32) => IntegerOp::AddSaturating,
        ("sub", true) if kind == Type::Signed(32) => IntegerOp::SubtractSaturating,
        (_, true) => return None,
        ("add", _) => IntegerOp::Add,
        ("sub", _) => IntegerOp::Subtract,
        ("div", _) => IntegerOp::Divide(sign),
        ("rem", _) => IntegerOp::Remainder(sign),
        ("min", _) => IntegerOp::Minimum(sign),
        ("max", _) => IntegerOp::Maximum(sign),
        ("and", _) => IntegerOp::And,
        ("or", _) => IntegerOp::Or,
        ("xor", _) => IntegerOp::Xor,
        ("shl", _) => IntegerOp::ShiftLeft,
        ("shr", _) => IntegerOp::ShiftRight(sign),
        _ => return None,
    })
}
