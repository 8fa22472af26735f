//! Instructions on registers against Rust's own arithmetic, on random and on awkward operands.

use super::common::{Arg, Emulator};
use half::{bf16, f16};
use proptest::prelude::*;

/// Three 64-bit operands a lane; 32-bit instructions see their lower halves.
type Operands = [u64; 3];

/// A kernel of one instruction: `%r1` to `%r3` and `%rd1` to `%rd3` hold the operands, `%r9` or `%rd9` the result, `%p1` any predicate.
fn kernel(instruction: &str) -> String {
    let result = if instruction.contains("%rd9") { "" } else { "cvt.u64.u32 %rd9, %r9;" };
    format!(
        ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 x, .param .u64 y)\n{{
        .reg .b32 %r<10>;\n.reg .b64 %rd<20>;\n.reg .pred %p<4>;\n.reg .b16 %rs<4>;
        ld.param.u64 %rd10, [x];\nld.param.u64 %rd11, [y];\nmov.u32 %r0, %tid.x;
        mul.wide.u32 %rd12, %r0, 24;\nadd.s64 %rd10, %rd10, %rd12;\nmul.wide.u32 %rd12, %r0, 8;\nadd.s64 %rd11, %rd11, %rd12;
        ld.global.u64 %rd1, [%rd10];\nld.global.u64 %rd2, [%rd10+8];\nld.global.u64 %rd3, [%rd10+16];
        cvt.u32.u64 %r1, %rd1;\ncvt.u32.u64 %r2, %rd2;\ncvt.u32.u64 %r3, %rd3;
        cvt.u16.u32 %rs1, %r1;\ncvt.u16.u32 %rs2, %r2;\nmov.u32 %r9, 0;
        {instruction}\n{result}\nst.global.u64 [%rd11], %rd9;\nret;\n}}\n"
    )
}

/// The instruction's results for a warp of operands.
fn execute(instruction: &str, operands: &[Operands]) -> Vec<u64> {
    let mut e = Emulator::new(&kernel(instruction));
    let x = e.upload(&operands.iter().flatten().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    let y = e.empty(2 * operands.len());
    e.run("k", 1, operands.len() as u32, &[Arg::Pointer(x), Arg::Pointer(y)]).unwrap_or_else(|error| panic!("{error}"));
    let words = e.read_words(y, 2 * operands.len());
    words.chunks_exact(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32).collect()
}

/// Random bits, and the numbers near which arithmetic goes wrong, in 32 and 64 bits, as integers and as floats.
fn awkward() -> impl Strategy<Value = u64> {
    let floats = [
        0.0f32,
        -0.0,
        1.0,
        -1.5,
        f32::INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        1e-40,
        65504.0,
        65520.0,
        2147483648.0,
        1e30,
    ];
    let integers =
        [0u64, 1, 2, 31, 32, 33, 63, 64, u64::MAX, 1 << 31, (1 << 31) - 1, 1 << 63, 0xFFFF_FFFF, 0x8000, 0x7FFF];
    prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        0..70u64,
        prop::sample::select(integers.to_vec()),
        prop::sample::select(floats.to_vec()).prop_map(|value| value.to_bits().into()),
        (-1000f32..1000.0).prop_map(|value| value.to_bits().into()),
        (-1000f64..1000.0).prop_map(f64::to_bits),
    ]
}

fn operands() -> impl Strategy<Value = Vec<Operands>> {
    prop::collection::vec([awkward(), awkward(), awkward()], 32)
}

type Oracle = fn(u64, u64, u64) -> u64;

/// An instruction and what it computes from its three operands.
type Case = (&'static str, Oracle);

fn check(cases: &[Case], operands: &[Operands]) -> Result<(), TestCaseError> {
    for (instruction, oracle) in cases {
        for (got, &[a, b, c]) in execute(instruction, operands).into_iter().zip(operands) {
            prop_assert_eq!(got, oracle(a, b, c), "{} of {:#x}, {:#x}, {:#x}", instruction, a, b, c);
        }
    }
    Ok(())
}

fn w(value: u32) -> u64 {
    value.into()
}

fn i(value: u64) -> i32 {
    value as u32 as i32
}

fn f(value: u64) -> f32 {
    f32::from_bits(value as u32)
}

/// Bits of an f32 result, with the one NaN that devices return.
fn fw(value: f32) -> u64 {
    if value.is_nan() { 0x7FFF_FFFF } else { w(value.to_bits()) }
}

const INTEGERS: [Case; 40] = [
    ("add.s32 %r9, %r1, %r2;", |a, b, _| w((a as u32).wrapping_add(b as u32))),
    ("add.sat.s32 %r9, %r1, %r2;", |a, b, _| w(i(a).saturating_add(i(b)) as u32)),
    ("sub.s32 %r9, %r1, %r2;", |a, b, _| w((a as u32).wrapping_sub(b as u32))),
    ("mul.lo.s32 %r9, %r1, %r2;", |a, b, _| w((a as u32).wrapping_mul(b as u32))),
    ("mul.hi.u32 %r9, %r1, %r2;", |a, b, _| (a as u32 as u64 * (b as u32 as u64)) >> 32),
    ("mul.hi.s32 %r9, %r1, %r2;", |a, b, _| w(((i64::from(i(a)) * i64::from(i(b))) >> 32) as u32)),
    ("mul.wide.s32 %rd9, %r1, %r2;", |a, b, _| (i64::from(i(a)) * i64::from(i(b))) as u64),
    ("mul.wide.u32 %rd9, %r1, %r2;", |a, b, _| (a as u32 as u64) * (b as u32 as u64)),
    ("mul.wide.s16 %r9, %rs1, %rs2;", |a, b, _| w((i32::from(a as i16) * i32::from(b as i16)) as u32)),
    ("mad.lo.s32 %r9, %r1, %r2, %r3;", |a, b, c| w((a as u32).wrapping_mul(b as u32).wrapping_add(c as u32))),
    ("mad.wide.u32 %rd9, %r1, %r2, %rd3;", |a, b, c| ((a as u32 as u64) * (b as u32 as u64)).wrapping_add(c)),
    ("mad.lo.s64 %rd9, %rd1, %rd2, %rd3;", |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
    ("mul.hi.u64 %rd9, %rd1, %rd2;", |a, b, _| ((u128::from(a) * u128::from(b)) >> 64) as u64),
    ("div.u32 %r9, %r1, %r2;", |a, b, _| w((a as u32).checked_div(b as u32).unwrap_or(u32::MAX))),
    ("rem.u32 %r9, %r1, %r2;", |a, b, _| w((a as u32).checked_rem(b as u32).unwrap_or(a as u32))),
    ("div.s64 %rd9, %rd1, %rd2;", |a, b, _| if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 }),
    ("min.s32 %r9, %r1, %r2;", |a, b, _| w(i(a).min(i(b)) as u32)),
    ("max.u32 %r9, %r1, %r2;", |a, b, _| w((a as u32).max(b as u32))),
    ("min.s64 %rd9, %rd1, %rd2;", |a, b, _| (a as i64).min(b as i64) as u64),
    ("shl.b32 %r9, %r1, %r2;", |a, b, _| w((a as u32).checked_shl(b as u32).unwrap_or(0))),
    ("shr.u32 %r9, %r1, %r2;", |a, b, _| w((a as u32).checked_shr(b as u32).unwrap_or(0))),
    ("shr.s32 %r9, %r1, %r2;", |a, b, _| w((i(a) >> (b as u32).min(31)) as u32)),
    ("shl.b64 %rd9, %rd1, %r2;", |a, b, _| a.checked_shl(b as u32).unwrap_or(0)),
    ("shr.s64 %rd9, %rd1, %r2;", |a, b, _| (a as i64 >> (b as u32).min(63)) as u64),
    ("abs.s32 %r9, %r1;", |a, _, _| w(i(a).unsigned_abs())),
    ("neg.s64 %rd9, %rd1;", |a, _, _| (a as i64).wrapping_neg() as u64),
    ("not.b32 %r9, %r1;", |a, _, _| w(!(a as u32))),
    ("popc.b64 %r9, %rd1;", |a, _, _| w(a.count_ones())),
    ("clz.b32 %r9, %r1;", |a, _, _| w((a as u32).leading_zeros())),
    ("brev.b32 %r9, %r1;", |a, _, _| w((a as u32).reverse_bits())),
    ("bfind.u32 %r9, %r1;", |a, _, _| w((a as u32).checked_ilog2().unwrap_or(u32::MAX))),
    ("lop3.b32 %r9, %r1, %r2, %r3, 0x96;", |a, b, c| w((a ^ b ^ c) as u32)),
    ("lop3.b32 %r9, %r1, %r2, %r3, 0xCA;", |a, b, c| w((a & b | !a & c) as u32)),
    ("prmt.b32 %r9, %r1, %r2, 0x6420;", |a, b, _| {
        w((a & 0xFF | a >> 8 & 0xFF00 | (b & 0xFF) << 16 | (b & 0xFF_0000) << 8) as u32)
    }),
    ("prmt.b32 %r9, %r1, %r2, 0x8888;", |a, _, _| w(if a & 0x80 != 0 { u32::MAX } else { 0 })),
    ("shf.l.wrap.b32 %r9, %r1, %r2, %r3;", |a, b, c| w((((b << 32 | a & 0xFFFF_FFFF) << (c & 31)) >> 32) as u32)),
    ("shf.r.clamp.b32 %r9, %r1, %r2, %r3;", |a, b, c| w(((b << 32 | a & 0xFFFF_FFFF) >> (c as u32).min(32)) as u32)),
    ("add.cc.u32 %r9, %r1, %r2;\naddc.u32 %r9, 0, 0;", |a, b, _| u64::from((a as u32).checked_add(b as u32).is_none())),
    ("mov.b64 {%r8, %r9}, %rd1;", |a, _, _| a >> 32),
    ("mov.b32 %r9, {%rs2, %rs1};", |a, b, _| b & 0xFFFF | (a & 0xFFFF) << 16),
];

const FLOATS: [Case; 24] = [
    ("add.f32 %r9, %r1, %r2;", |a, b, _| fw(f(a) + f(b))),
    ("sub.rn.f32 %r9, %r1, %r2;", |a, b, _| fw(f(a) - f(b))),
    ("mul.f32 %r9, %r1, %r2;", |a, b, _| fw(f(a) * f(b))),
    ("div.rn.f32 %r9, %r1, %r2;", |a, b, _| fw(f(a) / f(b))),
    ("fma.rn.f32 %r9, %r1, %r2, %r3;", |a, b, c| fw(f(a).mul_add(f(b), f(c)))),
    ("add.sat.f32 %r9, %r1, %r2;", |a, b, _| fw(if f(a) + f(b) > 0.0 { (f(a) + f(b)).min(1.0) } else { 0.0 })),
    ("neg.f32 %r9, %r1;", |a, _, _| w(a as u32 ^ 1 << 31)),
    ("abs.f32 %r9, %r1;", |a, _, _| w(a as u32 & !(1 << 31))),
    ("sqrt.rn.f32 %r9, %r1;", |a, _, _| fw(f(a).sqrt())),
    ("rcp.rn.f32 %r9, %r1;", |a, _, _| fw(1.0 / f(a))),
    ("copysign.f32 %r9, %r1, %r2;", |a, b, _| w(f(b).copysign(f(a)).to_bits())),
    ("add.f64 %rd9, %rd1, %rd2;", |a, b, _| (f64::from_bits(a) + f64::from_bits(b)).to_bits()),
    ("fma.rn.f64 %rd9, %rd1, %rd2, %rd3;", |a, b, c| {
        f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c)).to_bits()
    }),
    ("setp.lt.f32 %p1, %r1, %r2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| u64::from(f(a) < f(b))),
    ("setp.neu.f32 %p1, %r1, %r2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| u64::from(f(a) != f(b))),
    ("setp.geu.f32 %p1, %r1, %r2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| {
        u64::from(f(a) >= f(b) || f(a).is_nan() || f(b).is_nan())
    }),
    ("setp.nan.f32 %p1, %r1, %r2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| u64::from(f(a).is_nan() || f(b).is_nan())),
    ("setp.le.s32 %p1|%p2, %r1, %r2;\nselp.b32 %r9, 1, 0, %p2;", |a, b, _| u64::from(i(a) > i(b))),
    ("setp.hi.u64 %p1, %rd1, %rd2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| u64::from(a > b)),
    ("setp.gt.s16 %p1, %rs1, %rs2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| u64::from(a as i16 > b as i16)),
    ("setp.gt.u32 %p2, %r3, 40;\nsetp.ne.and.s32 %p1, %r1, %r2, !%p2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, c| {
        u64::from(a as u32 != b as u32 && c as u32 <= 40)
    }),
    ("min.f32 %r9, %r1, %r2;", |a, b, _| {
        fw(if f(a) == f(b) { f32::from_bits(a as u32 | b as u32) } else { f(a).min(f(b)) })
    }),
    ("max.f32 %r9, %r1, %r2;", |a, b, _| {
        fw(if f(a) == f(b) { f32::from_bits(a as u32 & b as u32) } else { f(a).max(f(b)) })
    }),
    ("max.NaN.f32 %r9, %r1, %r2;", |a, b, _| {
        fw(if f(a).is_nan() || f(b).is_nan() {
            f32::NAN
        } else if f(a) == f(b) {
            f32::from_bits(a as u32 & b as u32)
        } else {
            f(a).max(f(b))
        })
    }),
];

/// Bits of an f16 result.
fn hw(value: f16) -> u64 {
    if value.is_nan() { 0x7FFF } else { value.to_bits().into() }
}

fn bw(value: bf16) -> u64 {
    if value.is_nan() { 0x7FFF } else { value.to_bits().into() }
}

fn h(value: u64) -> f32 {
    f16::from_bits(value as u16).to_f32()
}

fn bf(value: u64) -> f32 {
    bf16::from_bits(value as u16).to_f32()
}

const CONVERSIONS: [Case; 34] = [
    ("cvt.s64.s32 %rd9, %r1;", |a, _, _| i64::from(i(a)) as u64),
    ("cvt.u64.u32 %rd9, %r1;", |a, _, _| a & 0xFFFF_FFFF),
    ("cvt.u32.u64 %r9, %rd1;", |a, _, _| a & 0xFFFF_FFFF),
    ("cvt.s32.s8 %r9, %r1;", |a, _, _| w(i32::from(a as i8) as u32)),
    ("cvt.u32.u16 %r9, %rs1;", |a, _, _| a & 0xFFFF),
    ("cvt.s32.s16 %r9, %rs1;", |a, _, _| w(i32::from(a as i16) as u32)),
    ("cvt.sat.u8.s32 %r9, %r1;", |a, _, _| w(i(a).clamp(0, 255) as u32)),
    ("cvt.rn.f32.s32 %r9, %r1;", |a, _, _| fw(i(a) as f32)),
    ("cvt.rn.f32.u32 %r9, %r1;", |a, _, _| fw(a as u32 as f32)),
    ("cvt.rn.f32.u64 %r9, %rd1;", |a, _, _| fw(a as f32)),
    ("cvt.rn.f32.s64 %r9, %rd1;", |a, _, _| fw(a as i64 as f32)),
    ("cvt.rn.f64.u64 %rd9, %rd1;", |a, _, _| (a as f64).to_bits()),
    ("cvt.rzi.s32.f32 %r9, %r1;", |a, _, _| w(f(a) as i32 as u32)),
    ("cvt.rzi.u32.f32 %r9, %r1;", |a, _, _| w(f(a) as u32)),
    ("cvt.rzi.s64.f64 %rd9, %rd1;", |a, _, _| f64::from_bits(a) as i64 as u64),
    ("cvt.rni.s32.f32 %r9, %r1;", |a, _, _| w(f(a).round_ties_even() as i32 as u32)),
    ("cvt.rmi.f32.f32 %r9, %r1;", |a, _, _| fw(f(a).floor())),
    ("cvt.rpi.f32.f32 %r9, %r1;", |a, _, _| fw(f(a).ceil())),
    ("cvt.sat.f32.f32 %r9, %r1;", |a, _, _| fw(if f(a) > 0.0 { f(a).min(1.0) } else { 0.0 })),
    ("cvt.rn.f32.f64 %r9, %rd1;", |a, _, _| fw(f64::from_bits(a) as f32)),
    ("cvt.f32.f16 %r9, %rs1;", |a, _, _| w(h(a).to_bits())),
    ("cvt.rn.f16.f32 %r9, %r1;", |a, _, _| hw(f16::from_f32(f(a)))),
    ("cvt.rn.bf16.f32 %r9, %r1;", |a, _, _| bw(bf16::from_f32(f(a)))),
    ("cvt.rn.f16x2.f32 %r9, %r1, %r2;", |a, b, _| hw(f16::from_f32(f(a))) << 16 | hw(f16::from_f32(f(b)))),
    ("cvt.rn.bf16x2.f32 %r9, %r1, %r2;", |a, b, _| bw(bf16::from_f32(f(a))) << 16 | bw(bf16::from_f32(f(b)))),
    ("add.f16 %r9, %rs1, %rs2;", |a, b, _| hw(f16::from_f32(h(a) + h(b)))),
    ("mul.bf16 %r9, %rs1, %rs2;", |a, b, _| bw(bf16::from_f32(bf(a) * bf(b)))),
    ("add.f16x2 %r9, %r1, %r2;", |a, b, _| {
        hw(f16::from_f32(h(a) + h(b))) | hw(f16::from_f32(h(a >> 16) + h(b >> 16))) << 16
    }),
    ("sub.bf16x2 %r9, %r1, %r2;", |a, b, _| {
        bw(bf16::from_f32(bf(a) - bf(b))) | bw(bf16::from_f32(bf(a >> 16) - bf(b >> 16))) << 16
    }),
    ("setp.gt.f16 %p1, %rs1, %rs2;\nselp.b32 %r9, 1, 0, %p1;", |a, b, _| u64::from(h(a) > h(b))),
    ("set.le.f16x2.f16x2 %r9, %r1, %r2;", |a, b, _| {
        let half = |holds: bool| if holds { 0x3C00 } else { 0 };
        half(h(a) <= h(b)) | half(h(a >> 16) <= h(b >> 16)) << 16
    }),
    ("neg.f16x2 %r9, %r1;", |a, _, _| w(a as u32 ^ 0x8000_8000)),
    ("bfe.u32 %r9, %r1, 5, 7;", |a, _, _| a >> 5 & 0x7F),
    ("bfi.b32 %r9, %r1, %r2, 8, 8;", |a, b, _| w(b as u32 & !0xFF00 | (a as u32 & 0xFF) << 8)),
];

/// The device keeps a NaN's bits where it widens; Rust's comparison of bits would not tell.
fn without_nan(bits: u64) -> u64 {
    let half = |bits: u64| {
        if f16::from_bits(bits as u16).is_nan() || bf16::from_bits(bits as u16).is_nan() {
            0x3C00
        } else {
            bits & 0xFFFF
        }
    };
    half(bits) | half(bits >> 16) << 16 | bits & !0xFFFF_FFFF
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn integers(operands in operands()) {
        check(&INTEGERS, &operands)?;
    }

    #[test]
    fn floats(operands in operands()) {
        let doubles_without_nan = |value: u64| if f64::from_bits(value).is_nan() { 0 } else { value };
        let operands: Vec<Operands> = operands.into_iter().map(|values| values.map(doubles_without_nan)).collect();
        let nan_sum = |[a, b, c]: &Operands| {
            let (a, b, c) = (f64::from_bits(*a), f64::from_bits(*b), f64::from_bits(*c));
            (a + b).is_nan() || a.mul_add(b, c).is_nan()
        };
        let operands: Vec<Operands> = operands.into_iter().map(|values| if nan_sum(&values) { [1, 2, 3] } else { values }).collect();
        check(&FLOATS, &operands)?;
    }

    #[test]
    fn conversions(operands in operands()) {
        let operands: Vec<Operands> = operands.into_iter().map(|values| values.map(without_nan)).collect();
        check(&CONVERSIONS, &operands)?;
    }

    /// Fused in halves: the exact product and sum, whose nearest half no other half may beat.
    #[test]
    fn fused_halves_round_once(operands in operands()) {
        let operands: Vec<Operands> = operands.into_iter().map(|values| values.map(without_nan)).collect();
        for (got, [a, b, c]) in execute("fma.rn.f16 %r9, %rs1, %rs2, %r3;", &operands).into_iter().zip(operands) {
            // Up to 22 bits of product and 11 of summand, at most 64 apart: i128 in units of 2^-48 holds them.
            let units = |value: f32| (f64::from(value) * f64::from(1 << 24)) as i128;
            if !(h(a).is_finite() && h(b).is_finite() && h(c).is_finite()) {
                continue;
            }
            let exact = units(h(a)) * units(h(b)) + (units(h(c)) << 24);
            let distance = |half: f16| ((units(half.to_f32()) << 24) - exact).abs();
            let got = f16::from_bits(got as u16);
            if !got.is_finite() {
                prop_assert!(exact.abs() >= units(65520.0) << 24);
                continue;
            }
            for neighbour in [got.to_bits().wrapping_sub(1), got.to_bits() + 1].map(f16::from_bits) {
                let tie = distance(neighbour) == distance(got) && got.to_bits().is_multiple_of(2);
                let other_sign = neighbour.is_sign_positive() != got.is_sign_positive();
                prop_assert!(!neighbour.is_finite() || other_sign || tie || distance(neighbour) > distance(got), "{} {}", got, exact);
            }
        }
    }
}

/// Single values that ZLUDA's PTX tests expect of a real device.
#[test]
fn published_values() {
    let (x, y, z) = (0x1234_5678, 0x9ABC_DEF0, 0x8E2D_A590);
    let published: [(&str, Operands, u64); 15] = [
        ("shf.l.clamp.b32 %r9, %r1, %r2, %r3;", [x, y, 12], 0xCDEF_0123),
        ("shf.r.clamp.b32 %r9, %r1, %r2, %r3;", [x, y, 12], 0xEF01_2345),
        ("shf.l.clamp.b32 %r9, %r1, %r2, %r3;", [x, y, 44], 0x1234_5678),
        ("shf.r.clamp.b32 %r9, %r1, %r2, %r3;", [x, y, 44], 0x9ABC_DEF0),
        ("shf.l.wrap.b32 %r9, %r1, %r2, %r3;", [x, y, 44], 0xCDEF_0123),
        ("shf.r.wrap.b32 %r9, %r1, %r2, %r3;", [x, y, 44], 0xEF01_2345),
        ("prmt.b32 %r9, %r1, %r2, %r3;", [0x70C5_07D6, 0x6FBD_4B5C, 30212], 0x6FBD_D65C),
        ("dp4a.s32.s32 %r9, %r1, %r2, %r3;", [z, 0xEDEA_EE14, 0x248A_9F70], 613_065_134),
        ("fma.rn.bf16x2 %r9, %r1, %r2, %r3;", [0x4000_4040, 0x4040_4080, 0x40A0_4040], 0x4130_4170),
        ("fma.rn.f16x2 %r9, %r1, %r2, %r3;", [0x4000_4040, 0x4040_4080, 0x40A0_4040], 1_183_860_456),
        ("bfe.u32 %r9, %r1, %r2, %r3;", [0xF8C1_22A0, 16, 8], 0xC1),
        ("bfi.b32 %r9, %r1, %r2, 0, 2;", [2, 5, 0], 6),
        ("copysign.f32 %r9, %r1, %r2;", [0x0BDA_2A2C, 0xE31A_8FD7, 0], 0x631A_8FD7),
        ("clz.b32 %r9, %r1;", [0x052D_13AB, 0, 0], 5),
        ("mul.ftz.f32 %r9, %r1, %r2;", [0x8040_0000, 0x3F00_0000, 0], 0x8000_0000),
    ];
    for (instruction, operands, expected) in published {
        assert_eq!(execute(instruction, &[operands]), [expected], "{instruction}");
    }
}

/// The approximate functions stay within the bounds the PTX ISA states for them, or better.
#[test]
fn approximations_are_close() {
    type Function = fn(f64) -> f64;
    let cases: [(&str, Function); 8] = [
        ("ex2.approx.f32 %r9, %r1;", f64::exp2),
        ("lg2.approx.f32 %r9, %r1;", f64::log2),
        ("rcp.approx.f32 %r9, %r1;", f64::recip),
        ("rsqrt.approx.f32 %r9, %r1;", |a| 1.0 / a.sqrt()),
        ("sqrt.approx.f32 %r9, %r1;", f64::sqrt),
        ("tanh.approx.f32 %r9, %r1;", f64::tanh),
        ("sin.approx.f32 %r9, %r1;", f64::sin),
        ("cos.approx.f32 %r9, %r1;", f64::cos),
    ];
    let operands: Vec<Operands> = (1..=32).map(|n| [(n as f32 * 0.17).to_bits().into(), 0, 0]).collect();
    for (instruction, exact) in cases {
        for (got, [a, _, _]) in execute(instruction, &operands).into_iter().zip(&operands) {
            let expected = exact(f(*a).into());
            let error = (f64::from(f(got)) - expected).abs();
            assert!(
                error <= 2f64.powi(-22) * expected.abs().max(1.0),
                "{instruction} of {}: {} for {expected}",
                f(*a),
                f(got)
            );
        }
    }
}

/// The reciprocal that f64 divisions start from: 20 bits of the result, from the upper half of the number.
#[test]
fn gross_reciprocals() {
    let values = [1.0, -1.0, 3.0, 1e-3, -7.25e5, 1e300, 1e-300, std::f64::consts::PI];
    let operands = values.map(|value: f64| [value.to_bits(), 0, 0]);
    for (got, value) in execute("rcp.approx.ftz.f64 %rd9, %rd1;", &operands).into_iter().zip(values) {
        assert_eq!(got as u32, 0, "the lower half for {value}");
        let error = (f64::from_bits(got) * value - 1.0).abs();
        assert!(error <= 2f64.powi(-19), "{} for {value}", f64::from_bits(got));
    }
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e-310, -1e-310, 1e308];
    let operands = special.map(|value: f64| [value.to_bits(), 0, 0]);
    let want = [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 0.0];
    let got = execute("rcp.approx.ftz.f64 %rd9, %rd1;", &operands);
    assert_eq!(got, want.map(f64::to_bits));
    // What lies in the lower half is not read.
    let [low, zero] = [0x3FF8_0000_FFFF_FFFF, 0x3FF8_0000_0000_0000].map(|bits: u64| [bits, 0, 0]);
    let got = execute("rcp.approx.ftz.f64 %rd9, %rd1;", &[low, zero]);
    assert_eq!(got[0], got[1]);
    assert!(f64::from_bits(execute("rcp.approx.ftz.f64 %rd9, %rd1;", &[[f64::NAN.to_bits(), 0, 0]])[0]).is_nan());
}
