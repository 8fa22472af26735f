//! Rows: one value for each lane of a warp.

// Loops over lane numbers, with all arrays indexed alike, are what becomes vector code.
#![allow(clippy::needless_range_loop)]

use crate::program::LANES;

/// 32 bits a lane.
pub type Row = [u32; LANES];
/// 64 bits a lane.
pub type LongRow = [u64; LANES];

/// All lanes.
pub const FULL: u32 = u32::MAX;

#[inline(always)]
pub fn map1<A: Copy, D: Copy + Default>(a: &[A; LANES], f: impl Fn(A) -> D) -> [D; LANES] {
    let mut d = [D::default(); LANES];
    for lane in 0..LANES {
        d[lane] = f(a[lane]);
    }
    d
}

#[inline(always)]
pub fn map2<A: Copy, B: Copy, D: Copy + Default>(a: &[A; LANES], b: &[B; LANES], f: impl Fn(A, B) -> D) -> [D; LANES] {
    let mut d = [D::default(); LANES];
    for lane in 0..LANES {
        d[lane] = f(a[lane], b[lane]);
    }
    d
}

#[inline(always)]
pub fn map3<A: Copy, B: Copy, C: Copy, D: Copy + Default>(
    a: &[A; LANES],
    b: &[B; LANES],
    c: &[C; LANES],
    f: impl Fn(A, B, C) -> D,
) -> [D; LANES] {
    let mut d = [D::default(); LANES];
    for lane in 0..LANES {
        d[lane] = f(a[lane], b[lane], c[lane]);
    }
    d
}

/// One bit for each lane where `f` holds.
#[inline(always)]
pub fn mask2<A: Copy>(a: &[A; LANES], b: &[A; LANES], f: impl Fn(A, A) -> bool) -> u32 {
    let mut mask = 0;
    for lane in 0..LANES {
        mask |= u32::from(f(a[lane], b[lane])) << lane;
    }
    mask
}

/// Writes the lanes of `mask`.
#[inline(always)]
pub fn blend<A: Copy>(d: &mut [A; LANES], value: [A; LANES], mask: u32) {
    if mask == FULL {
        *d = value;
        return;
    }
    for lane in 0..LANES {
        d[lane] = if mask >> lane & 1 != 0 { value[lane] } else { d[lane] };
    }
}

/// The lanes of a mask, lowest first.
pub fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < LANES as u32).then_some(lane as usize)
    })
}
