//! Integer and bit operations, a warp at a time.

use super::rows::{LongRow, Row, map1, map2, map3};
use crate::program::{IntegerOp, PermuteMode, Signedness, UnaryOp};
use Signedness::{Signed, Unsigned};

/// 32-bit operations. Division by zero gives all ones, as devices do.
pub fn word2(op: IntegerOp, a: &Row, b: &Row) -> Row {
    match op {
        IntegerOp::Add => map2(a, b, u32::wrapping_add),
        IntegerOp::AddSaturating => map2(a, b, |a, b| (a as i32).saturating_add(b as i32) as u32),
        IntegerOp::Subtract => map2(a, b, u32::wrapping_sub),
        IntegerOp::SubtractSaturating => map2(a, b, |a, b| (a as i32).saturating_sub(b as i32) as u32),
        IntegerOp::Multiply => map2(a, b, u32::wrapping_mul),
        IntegerOp::MultiplyHigh(Signed) => map2(a, b, high_signed),
        IntegerOp::MultiplyHigh(Unsigned) => map2(a, b, high_unsigned),
        IntegerOp::Divide(Signed) => {
            map2(a, b, |a, b| if b == 0 { u32::MAX } else { (a as i32).wrapping_div(b as i32) as u32 })
        }
        IntegerOp::Divide(Unsigned) => map2(a, b, |a, b| a.checked_div(b).unwrap_or(u32::MAX)),
        IntegerOp::Remainder(Signed) => {
            map2(a, b, |a, b| if b == 0 { a } else { (a as i32).wrapping_rem(b as i32) as u32 })
        }
        IntegerOp::Remainder(Unsigned) => map2(a, b, |a, b| a.checked_rem(b).unwrap_or(a)),
        IntegerOp::Minimum(Signed) => map2(a, b, |a, b| (a as i32).min(b as i32) as u32),
        IntegerOp::Minimum(Unsigned) => map2(a, b, u32::min),
        IntegerOp::Maximum(Signed) => map2(a, b, |a, b| (a as i32).max(b as i32) as u32),
        IntegerOp::Maximum(Unsigned) => map2(a, b, u32::max),
        IntegerOp::And => map2(a, b, |a, b| a & b),
        IntegerOp::Or => map2(a, b, |a, b| a | b),
        IntegerOp::Xor => map2(a, b, |a, b| a ^ b),
        IntegerOp::ShiftLeft => map2(a, b, |a, b| if b > 31 { 0 } else { a << b }),
        IntegerOp::ShiftRight(Signed) => map2(a, b, |a, b| (a as i32 >> b.min(31)) as u32),
        IntegerOp::ShiftRight(Unsigned) => map2(a, b, |a, b| if b > 31 { 0 } else { a >> b }),
    }
}

fn high_signed(a: u32, b: u32) -> u32 {
    ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32
}

fn high_unsigned(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// 16-bit operations on words; the result is zero-extended.
pub fn short2(op: IntegerOp, a: &Row, b: &Row) -> Row {
    let signed = matches!(
        op,
        IntegerOp::Divide(Signed)
            | IntegerOp::Remainder(Signed)
            | IntegerOp::Minimum(Signed)
            | IntegerOp::Maximum(Signed)
    );
    let wide = match op {
        IntegerOp::ShiftRight(Signed) => map2(a, b, |a, b| (i32::from(a as i16) >> b.min(31)) as u32),
        IntegerOp::MultiplyHigh(Signed) => {
            map2(a, b, |a, b| ((i32::from(a as i16) * i32::from(b as i16)) >> 16) as u32)
        }
        IntegerOp::MultiplyHigh(Unsigned) => map2(a, b, |a, b| ((a & 0xFFFF) * (b & 0xFFFF)) >> 16),
        _ if signed => word2(op, &map1(a, |a| i32::from(a as i16) as u32), &map1(b, |b| i32::from(b as i16) as u32)),
        _ => word2(op, a, b),
    };
    map1(&wide, |d| d & 0xFFFF)
}

/// 64-bit operations, shifts aside.
pub fn long2(op: IntegerOp, a: &LongRow, b: &LongRow) -> LongRow {
    match op {
        IntegerOp::Add => map2(a, b, u64::wrapping_add),
        IntegerOp::Subtract => map2(a, b, u64::wrapping_sub),
        IntegerOp::Multiply => map2(a, b, u64::wrapping_mul),
        IntegerOp::MultiplyHigh(Signed) => {
            map2(a, b, |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64)
        }
        IntegerOp::MultiplyHigh(Unsigned) => map2(a, b, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
        IntegerOp::Divide(Signed) => {
            map2(a, b, |a, b| if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 })
        }
        IntegerOp::Divide(Unsigned) => map2(a, b, |a, b| a.checked_div(b).unwrap_or(u64::MAX)),
        IntegerOp::Remainder(Signed) => {
            map2(a, b, |a, b| if b == 0 { a } else { (a as i64).wrapping_rem(b as i64) as u64 })
        }
        IntegerOp::Remainder(Unsigned) => map2(a, b, |a, b| a.checked_rem(b).unwrap_or(a)),
        IntegerOp::Minimum(Signed) => map2(a, b, |a, b| (a as i64).min(b as i64) as u64),
        IntegerOp::Minimum(Unsigned) => map2(a, b, u64::min),
        IntegerOp::Maximum(Signed) => map2(a, b, |a, b| (a as i64).max(b as i64) as u64),
        IntegerOp::Maximum(Unsigned) => map2(a, b, u64::max),
        IntegerOp::And => map2(a, b, |a, b| a & b),
        IntegerOp::Or => map2(a, b, |a, b| a | b),
        IntegerOp::Xor => map2(a, b, |a, b| a ^ b),
        // Saturation exists for 32 bits only and shifts take a word: neither is lowered to this.
        IntegerOp::AddSaturating | IntegerOp::SubtractSaturating | IntegerOp::ShiftLeft | IntegerOp::ShiftRight(_) => {
            *a
        }
    }
}

/// 64-bit shifts.
pub fn long_shift(op: IntegerOp, a: &LongRow, b: &Row) -> LongRow {
    match op {
        IntegerOp::ShiftLeft => map2(a, b, |a, b| if b > 63 { 0 } else { a << b }),
        IntegerOp::ShiftRight(Signed) => map2(a, b, |a, b| (a as i64 >> b.min(63)) as u64),
        _ => map2(a, b, |a, b| if b > 63 { 0 } else { a >> b }),
    }
}

/// Operations of one operand on 8, 16 or 32 bits.
pub fn word1(op: UnaryOp, bits: u8, a: &Row) -> Row {
    let keep = u32::MAX >> (32 - u32::from(bits));
    let signed = move |a: u32| ((a << (32 - bits)) as i32) >> (32 - bits);
    match op {
        UnaryOp::Negate => map1(a, |a| a.wrapping_neg() & keep),
        UnaryOp::Absolute => map1(a, |a| signed(a).unsigned_abs() & keep),
        UnaryOp::Not => map1(a, |a| !a & keep),
        UnaryOp::LogicalNot => map1(a, |a| u32::from(a & keep == 0)),
        UnaryOp::PopulationCount => map1(a, |a| (a & keep).count_ones()),
        UnaryOp::LeadingZeros => map1(a, |a| (a & keep).leading_zeros() - (32 - u32::from(bits))),
        UnaryOp::ReverseBits => map1(a, |a| a.reverse_bits() >> (32 - bits)),
        UnaryOp::FindHighest { sign, shift } => map1(a, |a| find_highest(u64::from(a), 32, sign, shift)),
    }
}

/// Operations of one operand that keep 64 bits.
pub fn long1(op: UnaryOp, a: &LongRow) -> LongRow {
    match op {
        UnaryOp::Negate => map1(a, u64::wrapping_neg),
        UnaryOp::Absolute => map1(a, |a| (a as i64).unsigned_abs()),
        UnaryOp::Not => map1(a, |a| !a),
        UnaryOp::LogicalNot => map1(a, |a| u64::from(a == 0)),
        UnaryOp::ReverseBits => map1(a, u64::reverse_bits),
        UnaryOp::PopulationCount | UnaryOp::LeadingZeros | UnaryOp::FindHighest { .. } => {
            map1(&long_count(op, a), u64::from)
        }
    }
}

/// Counts and positions in 64 bits.
pub fn long_count(op: UnaryOp, a: &LongRow) -> Row {
    match op {
        UnaryOp::LeadingZeros => map1(a, u64::leading_zeros),
        UnaryOp::FindHighest { sign, shift } => map1(a, |a| find_highest(a, 64, sign, shift)),
        _ => map1(a, u64::count_ones),
    }
}

fn find_highest(a: u64, bits: u32, sign: Signedness, shift: bool) -> u32 {
    let negative = sign == Signed && a >> (bits - 1) & 1 != 0;
    let value = if negative { !a & (u64::MAX >> (64 - bits)) } else { a };
    match (value, shift) {
        (0, _) => u32::MAX,
        (_, true) => value.leading_zeros() - (64 - bits),
        (_, false) => 63 - value.leading_zeros(),
    }
}

/// `a * b + c`, low or high half of the product, in 16 or 32 bits.
pub fn multiply_add(high: Option<Signedness>, bits: u8, a: &Row, b: &Row, c: &Row) -> Row {
    let product = match (high, bits) {
        (None, _) => map2(a, b, u32::wrapping_mul),
        (Some(sign), 32) => word2(IntegerOp::MultiplyHigh(sign), a, b),
        (Some(sign), _) => short2(IntegerOp::MultiplyHigh(sign), a, b),
    };
    let keep = u32::MAX >> (32 - u32::from(bits));
    map2(&product, c, |product, c| product.wrapping_add(c) & keep)
}

/// 32 x 32 -> 64 bits.
pub fn multiply_wide(sign: Signedness, a: &Row, b: &Row) -> LongRow {
    match sign {
        Signed => map2(a, b, |a, b| (i64::from(a as i32) * i64::from(b as i32)) as u64),
        Unsigned => map2(a, b, |a, b| u64::from(a) * u64::from(b)),
    }
}

/// 16 x 16 -> 32 bits.
pub fn multiply_wide_short(sign: Signedness, a: &Row, b: &Row) -> Row {
    match sign {
        Signed => map2(a, b, |a, b| (i32::from(a as i16) * i32::from(b as i16)) as u32),
        Unsigned => map2(a, b, |a, b| (a & 0xFFFF) * (b & 0xFFFF)),
    }
}

/// `bfe`: `c` bits of `a` from bit `b` on.
pub fn extract_bits(sign: Signedness, a: u64, position: u32, length: u32, bits: u32) -> u64 {
    let (position, length) = (position & 0xFF, length & 0xFF);
    if length == 0 {
        return 0;
    }
    let top = position.saturating_add(length - 1).min(bits - 1);
    let fill = sign == Signed && a >> top & 1 != 0;
    let shifted = if position >= bits { 0 } else { a >> position };
    let kept = (top + 1).saturating_sub(position).min(bits);
    let mask = if kept >= 64 { u64::MAX } else { (1 << kept) - 1 };
    let value = if fill { shifted & mask | !mask } else { shifted & mask };
    let width = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    value & width
}

/// `bfi`: the low `length` bits of `a` put into `b` at `position`.
pub fn insert_bits(a: u64, b: u64, position: u32, length: u32, bits: u32) -> u64 {
    let (position, length) = (position & 0xFF, length & 0xFF);
    if position >= bits || length == 0 {
        return b;
    }
    let mask = if length >= 64 { u64::MAX } else { (1 << length) - 1 };
    let width = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    (b & !(mask << position) | (a & mask) << position) & width
}

/// `lop3`: `table` bit `4 a + 2 b + c`.
pub fn logic3(table: u8, a: &Row, b: &Row, c: &Row) -> Row {
    map3(a, b, c, |a, b, c| {
        let mut d = 0;
        for row in 0..8u32 {
            let pick = |value: u32, bit: u32| if row >> bit & 1 != 0 { value } else { !value };
            let term = pick(a, 2) & pick(b, 1) & pick(c, 0);
            d |= if table >> row & 1 != 0 { term } else { 0 };
        }
        d
    })
}

/// `shf`: the upper (left) or lower (right) half of `b:a` shifted.
pub fn funnel_shift(left: bool, clamp: bool, a: u32, b: u32, c: u32) -> u32 {
    let count = if clamp { c.min(32) } else { c & 31 };
    let joined = u64::from(b) << 32 | u64::from(a);
    if left { ((joined << count) >> 32) as u32 } else { (joined >> count) as u32 }
}

/// `prmt`: bytes of `b:a` picked by `c`.
pub fn permute(mode: PermuteMode, a: u32, b: u32, c: u32) -> u32 {
    let joined = u64::from(b) << 32 | u64::from(a);
    let byte = |index: u32| (joined >> (8 * (index & 7))) as u8;
    let low = c & 3;
    let picks: [u32; 4] = match mode {
        PermuteMode::Index => return permute_index(joined, c),
        PermuteMode::ForwardExtract => [low, low + 1, low + 2, low + 3],
        PermuteMode::BackwardExtract => [low, low.wrapping_sub(1), low.wrapping_sub(2), low.wrapping_sub(3)],
        PermuteMode::Replicate8 => [low; 4],
        PermuteMode::EdgeLeft => [0, 1, 2, 3].map(|i| low.max(i)),
        PermuteMode::EdgeRight => [0, 1, 2, 3].map(|i| low.min(i)),
        PermuteMode::Replicate16 => {
            let base = 2 * (c & 1);
            [base, base + 1, base, base + 1]
        }
    };
    u32::from_le_bytes(picks.map(byte))
}

fn permute_index(joined: u64, c: u32) -> u32 {
    let mut d = [0u8; 4];
    for (index, byte) in d.iter_mut().enumerate() {
        let selector = c >> (4 * index);
        let value = (joined >> (8 * (selector & 7))) as u8;
        *byte = if selector & 8 != 0 { ((value as i8) >> 7) as u8 } else { value };
    }
    u32::from_le_bytes(d)
}

/// `dp4a`: the dot product of four bytes, plus `c`.
pub fn dot_bytes(a_sign: Signedness, b_sign: Signedness, a: u32, b: u32, c: u32) -> u32 {
    let read = |sign, byte: u8| if sign == Signed { i32::from(byte as i8) } else { i32::from(byte) };
    let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes()).map(|(a, b)| read(a_sign, a) * read(b_sign, b));
    c.wrapping_add(products.sum::<i32>() as u32)
}

/// Sign- or zero-extends the low `bits` of a word.
pub fn extend(bits: u8, sign: Signedness, a: u32) -> u32 {
    let unused = 32 - u32::from(bits);
    match sign {
        Signed => (((a << unused) as i32) >> unused) as u32,
        Unsigned => (a << unused) >> unused,
    }
}
