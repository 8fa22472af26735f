//! `setp`, `set`, `selp`, `slct`, `testp`.

use super::{Lowered, Lowering, Written, arithmetic::logic_op, types::Type};
use crate::{
    program::{
        Class, CompareTarget, Comparison, Flag, HalfKind, LongKind, Op, Register, Relation, Signedness, WordKind,
    },
    ptx::syntax::Operand,
};

impl<'a> Lowering<'a> {
    pub(super) fn comparison(&mut self, written: &Written<'a, '_>) -> Lowered {
        match written.name {
            "setp" => self.set_predicate(written),
            "set" => self.set_value(written),
            "selp" => self.select(written),
            _ => written.unsupported(),
        }
    }

    fn set_predicate(&mut self, written: &Written<'a, '_>) -> Lowered {
        let kind = written.kind()?;
        let comparison = comparison(written).map_or_else(|| written.unsupported(), Ok)?;
        let (first, second) = match written.operand(0)? {
            Operand::Pair(first, second) => (self.names.flag_named(first)?, Some(self.names.flag_named(second)?)),
            operand => (self.names.flag(operand)?.0, None),
        };
        let mut target = CompareTarget { d: first, complement: None, combine: None };
        if let Some(op) = written.parts.iter().find_map(|part| logic_op(part)) {
            let (flag, negated) = self.names.flag(written.operand(3)?)?;
            target.combine = Some((op, flag, negated));
        }
        if let Type::Half(HalfKind { format, packed: true }) = kind {
            let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
            let op = Op::ComparePacked { format, comparison, low: target, high: second, a, b };
            return Ok((op, Class::Predicate));
        }
        target.complement = second;
        Ok((self.compare(written, comparison, target, kind)?, Class::Predicate))
    }

    fn compare(
        &mut self,
        written: &Written<'a, '_>,
        comparison: Comparison,
        target: CompareTarget,
        kind: Type,
    ) -> Result<Op, String> {
        if kind.bits() == 64 {
            let (a, b) = (self.long_operand(written, 1, kind)?, self.long_operand(written, 2, kind)?);
            let kind = match kind {
                Type::Double => LongKind::Double,
                _ if signed(written, kind) => LongKind::Signed,
                _ => LongKind::Unsigned,
            };
            return Ok(Op::CompareLong { kind, comparison, target, a, b });
        }
        let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
        let kind = match kind {
            Type::Float => WordKind::Float,
            Type::Half(HalfKind { format, packed: false }) => WordKind::Half(format),
            Type::Signed(16) => WordKind::SignedShort,
            Type::Unsigned(16) => WordKind::UnsignedShort,
            Type::Signed(32) => WordKind::Signed,
            Type::Unsigned(32) => WordKind::Unsigned,
            _ => return written.unsupported(),
        };
        Ok(Op::CompareWord { kind, comparison, target, a, b })
    }

    fn long_operand(
        &mut self,
        written: &Written<'a, '_>,
        index: usize,
        kind: Type,
    ) -> Result<crate::program::Long, String> {
        match self.source(written, index, kind)? {
            Register::Long(long) => Ok(long),
            Register::Word(_) => Err(format!("operand {}: expected a 64-bit register", index + 1)),
        }
    }

    /// `set` on packed halves; the other forms do not occur in what nvcc writes for these architectures.
    fn set_value(&mut self, written: &Written<'a, '_>) -> Lowered {
        let comparison = comparison(written).map_or_else(|| written.unsupported(), Ok)?;
        let [result, Type::Half(HalfKind { format, packed: true })] = written.types[..] else {
            return written.unsupported();
        };
        let mask = match result {
            Type::Half(HalfKind { packed: true, .. }) => false,
            Type::Unsigned(32) | Type::Signed(32) => true,
            _ => return written.unsupported(),
        };
        let kind = Type::Half(HalfKind { format, packed: true });
        let (a, b) = (self.word_source(written, 1, kind)?, self.word_source(written, 2, kind)?);
        Ok((Op::SetPacked { format, comparison, mask, d: self.word_target(written, 0)?, a, b }, Class::Half))
    }

    fn select(&mut self, written: &Written<'a, '_>) -> Lowered {
        let kind = written.kind()?;
        let (flag, negated): (Flag, bool) = self.names.flag(written.operand(3)?)?;
        let (first, second) = if negated { (2, 1) } else { (1, 2) };
        let op = match (self.source(written, first, kind)?, self.source(written, second, kind)?) {
            (Register::Word(a), Register::Word(b)) => Op::SelectWord { d: self.word_target(written, 0)?, a, b, flag },
            (Register::Long(a), Register::Long(b)) => Op::SelectLong { d: self.long_target(written, 0)?, a, b, flag },
            _ => return Err("the operands differ in width".into()),
        };
        Ok((op, Class::Predicate))
    }
}

/// `lo`, `ls`, `hi` and `hs` compare without sign whatever the type says.
fn signed(written: &Written<'_, '_>, kind: Type) -> bool {
    kind.sign() == Signedness::Signed && !["lo", "ls", "hi", "hs"].iter().any(|part| written.has(part))
}

fn comparison(written: &Written<'_, '_>) -> Option<Comparison> {
    let (relation, unordered) = match *written.parts.first()? {
        "eq" => (Relation::Equal, false),
        "ne" => (Relation::NotEqual, false),
        "lt" | "lo" => (Relation::Less, false),
        "le" | "ls" => (Relation::LessEqual, false),
        "gt" | "hi" => (Relation::Greater, false),
        "ge" | "hs" => (Relation::GreaterEqual, false),
        "equ" => (Relation::Equal, true),
        "neu" => (Relation::NotEqual, true),
        "ltu" => (Relation::Less, true),
        "leu" => (Relation::LessEqual, true),
        "gtu" => (Relation::Greater, true),
        "geu" => (Relation::GreaterEqual, true),
        "num" => (Relation::Number, false),
        "nan" => (Relation::Nan, true),
        _ => return None,
    };
    Some(Comparison { relation, unordered })
}
