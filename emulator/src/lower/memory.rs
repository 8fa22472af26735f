//! Loads, stores, atomics, asynchronous copies and `ldmatrix`.

use super::{Lowered, Lowering, Written, types::Type};
use crate::{
    program::{Address, Atomic, AtomicOp, AtomicType, Class, Op, Register, Shape, Signedness, Space, Word},
    ptx::syntax::Operand,
};

/// Suffixes of memory instructions that only steer caches, ordering and visibility.
const HINTS: [&str; 21] = [
    "nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "volatile", "relaxed", "weak", "acquire", "release", "acq_rel",
    "cta", "gpu", "sys", "cluster", "unified", "noftz", "mmio",
];
const SPACES: [&str; 9] = ["global", "const", "shared", "shared::cta", "local", "param", "param::entry", "v2", "v4"];

impl<'a> Lowering<'a> {
    pub(super) fn memory(&mut self, written: &Written<'a, '_>) -> Lowered {
        match written.name {
            "ld" | "ldu" => self.load(written),
            "st" => self.store(written),
            "atom" | "red" => self.atomic(written),
            "cp" => self.copy(written),
            "ldmatrix" => self.load_matrix(written),
            _ => self.is_space(written),
        }
    }

    fn load(&mut self, written: &Written<'a, '_>) -> Lowered {
        check_parts(written, &[])?;
        let (kind, count) = (written.kind()?, vector(written));
        let items = items(written.operand(0)?, count)?;
        let mut d = [Register::Word(Word(0)); 4];
        for (slot, item) in d.iter_mut().zip(items) {
            *slot = self.names.target(item, kind)?;
        }
        let space = space(written);
        let class = match space {
            Space::Parameter => Class::LoadParameter,
            Space::Shared => Class::LoadShared,
            Space::Local => Class::Local,
            _ => Class::LoadGlobal,
        };
        Ok((Op::Load { space, shape: shape(kind, count), d, address: self.address(written.operand(1)?)? }, class))
    }

    fn store(&mut self, written: &Written<'a, '_>) -> Lowered {
        check_parts(written, &[])?;
        let (kind, count) = (written.kind()?, vector(written));
        let items = items(written.operand(1)?, count)?;
        let mut a = [Register::Word(Word(0)); 4];
        for (slot, item) in a.iter_mut().zip(items) {
            *slot = self.names.source(item, kind)?;
        }
        let space = space(written);
        let class = match space {
            Space::Shared => Class::StoreShared,
            Space::Local => Class::Local,
            _ => Class::StoreGlobal,
        };
        Ok((Op::Store { space, shape: shape(kind, count), a, address: self.address(written.operand(0)?)? }, class))
    }

    fn atomic(&mut self, written: &Written<'a, '_>) -> Lowered {
        let (op, word) = atomic_op(written).map_or_else(|| written.unsupported(), Ok)?;
        check_parts(written, &[word])?;
        let (kind, count) = (written.kind()?, vector(written));
        let kind_of = atomic_type(kind).map_or_else(|| written.unsupported(), Ok)?;
        let float = !matches!(kind_of, AtomicType::Integer { .. });
        let allowed =
            if float { matches!(op, AtomicOp::Add | AtomicOp::Minimum | AtomicOp::Maximum) } else { kind.bits() >= 16 };
        if !allowed {
            return written.unsupported();
        }
        let returns = written.name == "atom";
        let at = usize::from(returns);
        let mut d = Vec::new();
        if returns {
            for item in items(written.operand(0)?, count)? {
                d.push(self.names.target(item, kind)?);
            }
        }
        let mut operands = Vec::new();
        for item in items(written.operand(at + 1)?, count)? {
            operands.push(self.names.source(item, kind)?);
        }
        let new = match op {
            AtomicOp::CompareAndSwap => Some(self.source(written, at + 2, kind)?),
            _ => None,
        };
        let address = self.address(written.operand(at)?)?;
        let atomic =
            Atomic { space: space(written), op, kind: kind_of, d: d.into(), address, operands: operands.into(), new };
        Ok((Op::Atomic(Box::new(atomic)), Class::Atomic))
    }

    fn copy(&mut self, written: &Written<'a, '_>) -> Lowered {
        let class = Class::AsyncCopy;
        match written.parts.as_slice() {
            ["async", "commit_group"] => return Ok((Op::CommitCopies, class)),
            ["async", "wait_all"] => return Ok((Op::WaitCopies { pending: None }, class)),
            ["async", "wait_group"] => {
                let Operand::Integer(pending) = *written.operand(0)? else {
                    return Err("the number of groups must be a constant".into());
                };
                return Ok((Op::WaitCopies { pending: Some(pending as u32) }, class));
            }
            ["async", "ca" | "cg", "shared" | "shared::cta", "global", rest @ ..]
                if rest.iter().all(|part| part.starts_with("L2::")) => {}
            _ => return written.unsupported(),
        }
        let Operand::Integer(bytes) = *written.operand(2)? else {
            return Err("the size must be a constant".into());
        };
        let right = if written.has("cg") { bytes == 16 } else { matches!(bytes, 4 | 8 | 16) };
        if !right {
            return Err(format!("cp.async of {bytes} bytes: .cg copies 16, .ca 4, 8 or 16"));
        }
        let (mut source_bytes, mut skip) = (None, None);
        if let (Some(operand), false) =
            (written.operands.get(3), written.has("L2::cache_hint") && written.operands.len() == 4)
        {
            match self.names.word(operand, Type::Unsigned(32)) {
                Ok(word) => source_bytes = Some(word),
                Err(_) => skip = Some(self.names.flag(operand)?.0),
            }
        }
        let (to, from) = (self.address(written.operand(0)?)?, self.address(written.operand(1)?)?);
        Ok((Op::CopyAsync { bytes: bytes as u8, to, from, source_bytes, skip }, class))
    }

    fn load_matrix(&mut self, written: &Written<'a, '_>) -> Lowered {
        written.only(&["sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta"])?;
        let count = if written.has("x4") {
            4
        } else if written.has("x2") {
            2
        } else {
            1
        };
        if written.kind()?.bits() != 16 || !written.has("m8n8") {
            return written.unsupported();
        }
        let mut d = [Word(0); 4];
        for (slot, item) in d.iter_mut().zip(items(written.operand(0)?, count)?) {
            *slot = self.names.target_word(item)?;
        }
        let address = self.address(written.operand(1)?)?;
        Ok((Op::LoadMatrix { count: count as u8, transposed: written.has("trans"), d, address }, Class::LoadShared))
    }

    fn is_space(&mut self, written: &Written<'a, '_>) -> Lowered {
        let space = match space(written) {
            Space::Generic => return written.unsupported(),
            space => space,
        };
        let d = self.flag_target(written, 0)?;
        Ok((Op::IsSpace { space, d, a: self.names.long(written.operand(1)?)? }, Class::Predicate))
    }

    fn address(&mut self, operand: &Operand<'a>) -> Result<Address, String> {
        let Operand::Address { base, offset } = *operand else {
            return Err(format!("{operand:?}: expected an address"));
        };
        let Some(name) = base else { return Ok(Address { base: None, offset }) };
        let (base, constant) = self.names.base(name)?;
        Ok(Address { base, offset: offset.wrapping_add(constant) })
    }
}

fn check_parts(written: &Written<'_, '_>, more: &[&str]) -> Result<(), String> {
    let hint = |part: &str| part.starts_with("L1::") || part.starts_with("L2::");
    let known = |part: &str| {
        HINTS.contains(&part)
            || SPACES.contains(&part)
            || more.contains(&part)
            || hint(part)
            || Type::read(part).is_some()
    };
    match written.parts.iter().find(|part| !known(part)) {
        Some(part) => Err(format!("`.{part}` is not supported on `{}`", written.name)),
        None => Ok(()),
    }
}

fn space(written: &Written<'_, '_>) -> Space {
    let named = written.parts.iter().find_map(|part| match *part {
        "global" => Some(Space::Global),
        "const" => Some(Space::Constant),
        "shared" | "shared::cta" => Some(Space::Shared),
        "local" => Some(Space::Local),
        "param" | "param::entry" => Some(Space::Parameter),
        _ => None,
    });
    named.unwrap_or(Space::Generic)
}

fn vector(written: &Written<'_, '_>) -> usize {
    match (written.has("v2"), written.has("v4")) {
        (true, _) => 2,
        (_, true) => 4,
        _ => 1,
    }
}

fn shape(kind: Type, count: usize) -> Shape {
    let sign = if kind.bits() < 64 { kind.sign() } else { Signedness::Unsigned };
    Shape { bytes: kind.bits() / 8, count: count as u8, sign }
}

/// The `count` items of a vector operand; a plain operand is its own only item.
fn items<'a, 'b>(operand: &'b Operand<'a>, count: usize) -> Result<&'b [Operand<'a>], String> {
    let items = match operand {
        Operand::Vector(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    if items.len() == count { Ok(items) } else { Err(format!("expected {count} registers, found {}", items.len())) }
}

fn atomic_op<'a>(written: &Written<'a, '_>) -> Option<(AtomicOp, &'a str)> {
    written.parts.iter().find_map(|&part| {
        let op = match part {
            "add" => AtomicOp::Add,
            "min" => AtomicOp::Minimum,
            "max" => AtomicOp::Maximum,
            "and" => AtomicOp::And,
            "or" => AtomicOp::Or,
            "xor" => AtomicOp::Xor,
            "exch" => AtomicOp::Exchange,
            "cas" => AtomicOp::CompareAndSwap,
            "inc" => AtomicOp::Increment,
            "dec" => AtomicOp::Decrement,
            _ => return None,
        };
        Some((op, part))
    })
}

fn atomic_type(kind: Type) -> Option<AtomicType> {
    Some(match kind {
        Type::Unsigned(bits) | Type::Signed(bits) => AtomicType::Integer { bits, sign: kind.sign() },
        Type::Float => AtomicType::Float,
        Type::Double => AtomicType::Double,
        Type::Half(kind) => AtomicType::Half(kind),
        Type::Flag | Type::Tf32 => return None,
    })
}
