//! One decoded instruction for the active lanes of a warp.

use super::{
    block::Machine,
    collective::Outcome,
    convert::convert,
    fault::{Fault, Step},
    float::{self, Comparer},
    half, integer,
    rows::{FULL, Row, map1, map2, map3, mask2},
    warp::{Registers, Warp},
};
use crate::program::{
    CompareTarget, Comparison, Conversion, Flag, HalfFormat, LANES, LogicOp, LongKind, Op, Register, Signedness, Space,
    Word, WordKind,
};

impl Machine<'_> {
    /// Carries out everything but branches, exits and barriers.
    pub fn step(&mut self, warp: &mut Warp, op: &Op, active: u32) -> Step<Outcome> {
        match op {
            Op::Shuffle { members, .. }
            | Op::VoteFlag { members, .. }
            | Op::VoteBallot { members, .. }
            | Op::Match { members, .. }
            | Op::Reduce { members, .. }
            | Op::WarpBarrier { members } => return self.collective(warp, op, *members, active),
            Op::Multiply(product) => return self.multiply_matrices(warp, product, active),
            Op::TransposeMatrix { d, a } => return self.transpose_matrix(warp, *d, *a, active),
            Op::LoadMatrix { count, transposed, d, address } => {
                return self.load_matrix(warp, usize::from(*count), *transposed, d, *address, active);
            }
            Op::Load { space, shape, d, address } => self.load(warp, *space, *shape, d, *address, active)?,
            Op::Store { space, shape, a, address } => self.store(warp, *space, *shape, a, *address, active)?,
            Op::Atomic(atomic) => self.atomic(warp, atomic, active)?,
            Op::CopyAsync { bytes, to, from, source_bytes, skip } => {
                self.issue_copies(warp, usize::from(*bytes), (*to, *from), (*source_bytes, *skip), active)?;
            }
            Op::CommitCopies => warp.copies.commit(active),
            Op::WaitCopies { pending } => self.wait_copies(warp, *pending, active)?,
            Op::Carry { subtract, takes, gives, d, a, b } => {
                carry(warp, (*subtract, *takes, *gives), (*d, *a, *b), active);
            }
            Op::Trap => return Err(Fault::at_lane(active.trailing_zeros() as usize, "the kernel trapped")),
            Op::Nothing | Op::Branch { .. } | Op::BranchIndexed { .. } | Op::Exit | Op::Barrier(_) => {}
            _ => compute(&mut warp.registers, op, active),
        }
        Ok(Outcome::Done)
    }
}

/// Operations on registers only.
#[inline]
fn compute(r: &mut Registers, op: &Op, active: u32) {
    match *op {
        Op::MoveWord { d, a } => r.set_word(d, *r.word(a), active),
        Op::MoveLong { d, a } => r.set_long(d, *r.long(a), active),
        Op::MoveFlag { d, a } => r.set_flag(d, r.flag(a), active),
        Op::Word2 { op, d, a, b } => r.set_word(d, integer::word2(op, r.word(a), r.word(b)), active),
        Op::Short2 { op, d, a, b } => r.set_word(d, integer::short2(op, r.word(a), r.word(b)), active),
        Op::Long2 { op, d, a, b } => r.set_long(d, integer::long2(op, r.long(a), r.long(b)), active),
        Op::LongShift { op, d, a, b } => r.set_long(d, integer::long_shift(op, r.long(a), r.word(b)), active),
        Op::Word1 { op, bits, d, a } => r.set_word(d, integer::word1(op, bits, r.word(a)), active),
        Op::Long1 { op, d, a } => r.set_long(d, integer::long1(op, r.long(a)), active),
        Op::LongCount { op, d, a } => r.set_word(d, integer::long_count(op, r.long(a)), active),
        Op::MultiplyAdd { high, bits, d, a, b, c } => {
            r.set_word(d, integer::multiply_add(high, bits, r.word(a), r.word(b), r.word(c)), active);
        }
        Op::MultiplyAddLong { d, a, b, c } => {
            let sum = map3(r.long(a), r.long(b), r.long(c), |a, b, c| a.wrapping_mul(b).wrapping_add(c));
            r.set_long(d, sum, active);
        }
        Op::MultiplyWide { sign, d, a, b, c } => {
            let product = integer::multiply_wide(sign, r.word(a), r.word(b));
            let sum = c.map_or(product, |c| map2(&product, r.long(c), u64::wrapping_add));
            r.set_long(d, sum, active);
        }
        Op::MultiplyWideShort { sign, d, a, b, c } => {
            let product = integer::multiply_wide_short(sign, r.word(a), r.word(b));
            let sum = c.map_or(product, |c| map2(&product, r.word(c), u32::wrapping_add));
            r.set_word(d, sum, active);
        }
        Op::Float2 { op, mode, d, a, b } => r.set_word(d, float::float2(op, mode, r.word(a), r.word(b)), active),
        Op::FloatFma { mode, d, a, b, c } => {
            r.set_word(d, float::float_fma(mode, r.word(a), r.word(b), r.word(c)), active);
        }
        Op::Float1 { op, flush, d, a } => r.set_word(d, float::float1(op, flush, r.word(a)), active),
        Op::Double2 { op, d, a, b } => r.set_long(d, float::double2(op, r.long(a), r.long(b)), active),
        Op::DoubleFma { d, a, b, c } => r.set_long(d, float::double_fma(r.long(a), r.long(b), r.long(c)), active),
        Op::Double1 { op, d, a } => r.set_long(d, float::double1(op, r.long(a)), active),
        Op::Half2 { op, kind, saturate, d, a, b } => {
            r.set_word(d, half::half2(op, kind, saturate, r.word(a), r.word(b)), active);
        }
        Op::HalfFma { kind, relu, saturate, d, a, b, c } => {
            r.set_word(d, half::half_fma(kind, relu, saturate, r.word(a), r.word(b), r.word(c)), active);
        }
        Op::Half1 { op, kind, d, a } => r.set_word(d, half::half1(op, kind, r.word(a)), active),
        Op::SelectWord { d, a, b, flag } => {
            let (flag, value) = (r.flag(flag), *r.word(b));
            let mut chosen = value;
            super::rows::blend(&mut chosen, *r.word(a), flag);
            r.set_word(d, chosen, active);
        }
        Op::SelectLong { d, a, b, flag } => {
            let mut chosen = *r.long(b);
            super::rows::blend(&mut chosen, *r.long(a), r.flag(flag));
            r.set_long(d, chosen, active);
        }
        Op::FlagLogic { op, d, a, b } => r.set_flag(d, logic(op, r.flag(a), r.flag(b)), active),
        Op::FlagNot { d, a } => r.set_flag(d, !r.flag(a), active),
        Op::CompareWord { kind, comparison, target, a, b } => {
            let result = compare_word(kind, comparison, r.word(a), r.word(b));
            set_compared(r, target, result, active);
        }
        Op::CompareLong { kind, comparison, target, a, b } => {
            let comparer = Comparer::new(comparison);
            let result = match kind {
                LongKind::Signed => mask2(r.long(a), r.long(b), |a, b| comparer.holds(a as i64, b as i64)),
                LongKind::Unsigned => mask2(r.long(a), r.long(b), |a, b| comparer.holds(a, b)),
                LongKind::Double => {
                    mask2(r.long(a), r.long(b), |a, b| comparer.holds(f64::from_bits(a), f64::from_bits(b)))
                }
            };
            set_compared(r, target, result, active);
        }
        _ => compute_rare(r, op, active),
    }
}

/// The less frequent operations on registers.
fn compute_rare(r: &mut Registers, op: &Op, active: u32) {
    match op {
        Op::Pack { d, parts } => pack(r, *d, parts, active),
        Op::Unpack { a, parts } => unpack(r, *a, parts, active),
        &Op::ExtractBits { sign, d, a, b, c } => {
            let one = |a: u32, b, c| integer::extract_bits(sign, a.into(), b, c, 32) as u32;
            r.set_word(d, map3(r.word(a), r.word(b), r.word(c), one), active);
        }
        &Op::ExtractBitsLong { sign, d, a, b, c } => {
            let one = |a, b, c| integer::extract_bits(sign, a, b, c, 64);
            r.set_long(d, map3(r.long(a), r.word(b), r.word(c), one), active);
        }
        &Op::InsertBits { d, a, b, position, length } => {
            let (at, length) = (*r.word(position), *r.word(length));
            let places = map2(&at, &length, |at, length| (at, length));
            let one = |a: u32, b: u32, (at, length)| integer::insert_bits(a.into(), b.into(), at, length, 32) as u32;
            r.set_word(d, map3(r.word(a), r.word(b), &places, one), active);
        }
        &Op::InsertBitsLong { d, a, b, position, length } => {
            let (at, length) = (*r.word(position), *r.word(length));
            let places = map2(&at, &length, |at, length| (at, length));
            let one = |a, b, (at, length)| integer::insert_bits(a, b, at, length, 64);
            r.set_long(d, map3(r.long(a), r.long(b), &places, one), active);
        }
        &Op::Permute { mode, d, a, b, c } => {
            r.set_word(d, map3(r.word(a), r.word(b), r.word(c), |a, b, c| integer::permute(mode, a, b, c)), active);
        }
        &Op::Logic3 { table, d, a, b, c } => {
            r.set_word(d, integer::logic3(table, r.word(a), r.word(b), r.word(c)), active);
        }
        &Op::FunnelShift { left, clamp, d, a, b, c } => {
            let one = |a, b, c| integer::funnel_shift(left, clamp, a, b, c);
            r.set_word(d, map3(r.word(a), r.word(b), r.word(c), one), active);
        }
        &Op::DotBytes { a_sign, b_sign, d, a, b, c } => {
            let one = |a, b, c| integer::dot_bytes(a_sign, b_sign, a, b, c);
            r.set_word(d, map3(r.word(a), r.word(b), r.word(c), one), active);
        }
        &Op::ActiveMask { d } => r.set_word(d, [active; LANES], active),
        _ => convert_rows(r, op, active),
    }
}

fn convert_rows(r: &mut Registers, op: &Op, active: u32) {
    match op {
        &Op::Extend { bits, sign, keep, d, a } => {
            let mask = u32::MAX >> (32 - u32::from(keep));
            r.set_word(d, map1(r.word(a), |a| integer::extend(bits, sign, a) & mask), active);
        }
        &Op::ExtendLong { bits, sign, d, a } => {
            let extended = map1(r.word(a), |a| integer::extend(bits, sign, a));
            let wide = match sign {
                Signedness::Signed => map1(&extended, |a| i64::from(a as i32) as u64),
                Signedness::Unsigned => map1(&extended, u64::from),
            };
            r.set_long(d, wide, active);
        }
        &Op::Narrow { bits, d, a } => {
            let mask = u32::MAX >> (32 - u32::from(bits));
            r.set_word(d, map1(r.long(a), |a| a as u32 & mask), active);
        }
        &Op::HalfToFloat { format, d, a } => {
            let row = match format {
                HalfFormat::F16 => map1(r.word(a), |a| half::to_f32(HalfFormat::F16, a & 0xFFFF).to_bits()),
                HalfFormat::Bf16 => map1(r.word(a), |a| half::to_f32(HalfFormat::Bf16, a & 0xFFFF).to_bits()),
            };
            r.set_word(d, row, active);
        }
        &Op::FloatToHalf { format, d, a } => {
            let row = match format {
                HalfFormat::F16 => map1(r.word(a), |a| half::from_f32(HalfFormat::F16, f32::from_bits(a))),
                HalfFormat::Bf16 => map1(r.word(a), |a| half::from_f32(HalfFormat::Bf16, f32::from_bits(a))),
            };
            r.set_word(d, row, active);
        }
        &Op::PackHalves { format, rounding, relu, d, a, b } => {
            r.set_word(d, half::pack(format, rounding, relu, r.word(a), r.word(b)), active);
        }
        Op::Convert(conversion) => convert_lanes(r, conversion, active),
        &Op::ComparePacked { format, comparison, low, high, a, b } => {
            let [below, above] = half::compare_packed(format, comparison, r.word(a), r.word(b));
            set_compared(r, low, below, active);
            if let Some(high) = high {
                set_compared(r, CompareTarget { d: high, complement: None, combine: low.combine }, above, active);
            }
        }
        &Op::SetPacked { format, comparison, mask, d, a, b } => {
            let [below, above] = half::compare_packed(format, comparison, r.word(a), r.word(b));
            let yes = if mask { 0xFFFF } else { half::from_f32(format, 1.0) };
            let half = |mask: u32, lane: usize| (mask >> lane & 1) * yes;
            let lane = |lane: usize| half(below, lane) | half(above, lane) << 16;
            r.set_word(d, std::array::from_fn(lane), active);
        }
        &Op::ToGeneric { space, d, a } => {
            r.set_long(d, map1(r.long(a), |a| a | super::access::window(space)), active);
        }
        &Op::FromGeneric { space, d, a } => {
            r.set_long(d, map1(r.long(a), |a| a & !super::access::window(space)), active);
        }
        &Op::IsSpace { space, d, a } => {
            let space = if space == Space::Constant { Space::Global } else { space };
            let mask = mask2(r.long(a), &[0; LANES], |a, _| super::access::space_of(a) == space);
            r.set_flag(d, mask, active);
        }
        _ => {}
    }
}

fn logic(op: LogicOp, a: u32, b: u32) -> u32 {
    match op {
        LogicOp::And => a & b,
        LogicOp::Or => a | b,
        LogicOp::Xor => a ^ b,
    }
}

fn compare_word(kind: WordKind, comparison: Comparison, a: &Row, b: &Row) -> u32 {
    let comparer = Comparer::new(comparison);
    match kind {
        WordKind::Signed => mask2(a, b, |a, b| comparer.holds(a as i32, b as i32)),
        WordKind::Unsigned => mask2(a, b, |a, b| comparer.holds(a, b)),
        WordKind::SignedShort => mask2(a, b, |a, b| comparer.holds(a as i16, b as i16)),
        WordKind::UnsignedShort => mask2(a, b, |a, b| comparer.holds(a as u16, b as u16)),
        WordKind::Float => mask2(a, b, |a, b| comparer.holds(f32::from_bits(a), f32::from_bits(b))),
        WordKind::Half(format) => {
            mask2(a, b, |a, b| comparer.holds(half::to_f32(format, a & 0xFFFF), half::to_f32(format, b & 0xFFFF)))
        }
    }
}

fn set_compared(r: &mut Registers, target: CompareTarget, result: u32, active: u32) {
    let combined = |result: u32, r: &Registers| match target.combine {
        Some((op, flag, negated)) => logic(op, result, if negated { !r.flag(flag) } else { r.flag(flag) }),
        None => result,
    };
    let (direct, opposite) = (combined(result, r), combined(!result, r));
    r.set_flag(target.d, direct, active);
    if let Some(complement) = target.complement {
        r.set_flag(complement, opposite, active);
    }
}

fn pack(r: &mut Registers, d: Register, parts: &[Register], active: u32) {
    let width = match d {
        Register::Word(_) => 32,
        Register::Long(_) => 64,
    } / parts.len().max(1);
    for lane in super::rows::lanes(active) {
        let mask = u64::MAX >> (64 - width);
        let joined = parts.iter().enumerate().map(|(index, &part)| (r.lane(part, lane) & mask) << (width * index));
        let value = joined.fold(0, |value, part| value | part);
        r.set_lane(d, lane, value);
    }
}

fn unpack(r: &mut Registers, a: Register, parts: &[Option<Register>], active: u32) {
    let width = match a {
        Register::Word(_) => 32,
        Register::Long(_) => 64,
    } / parts.len().max(1);
    let mask = u64::MAX >> (64 - width);
    for lane in super::rows::lanes(active) {
        let value = r.lane(a, lane);
        for (index, part) in parts.iter().enumerate() {
            if let Some(part) = *part {
                r.set_lane(part, lane, value >> (width * index) & mask);
            }
        }
    }
}

fn convert_lanes(r: &mut Registers, conversion: &Conversion, active: u32) {
    for lane in super::rows::lanes(active) {
        let value = convert(conversion, r.lane(conversion.a, lane));
        r.set_lane(conversion.d, lane, value);
    }
}

fn carry(warp: &mut Warp, (subtract, takes, gives): (bool, bool, bool), (d, a, b): (Word, Word, Word), active: u32) {
    let (a, b) = (*warp.registers.word(a), *warp.registers.word(b));
    let (mut result, mut flags): (Row, u32) = ([0; LANES], 0);
    for lane in super::rows::lanes(active) {
        let incoming = u64::from(takes && warp.carry >> lane & 1 != 0);
        let (x, y) = (u64::from(a[lane]), u64::from(b[lane]));
        let sum = if subtract { x.wrapping_sub(y).wrapping_sub(incoming) } else { x + y + incoming };
        result[lane] = sum as u32;
        flags |= u32::from(sum >> 32 != 0) << lane;
    }
    warp.registers.set_word(d, result, active);
    if gives {
        warp.carry = warp.carry & !active | flags & active;
    }
}

/// The lanes of a predicate, all of them where there is none.
pub fn flag_or_none(warp: &Warp, flag: Option<Flag>) -> u32 {
    flag.map_or(0, |flag| warp.registers.flag(flag)) & FULL
}
