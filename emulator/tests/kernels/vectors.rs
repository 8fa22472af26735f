//! Warp-wide instructions against values worked out from their definitions, and matrix instructions against a plain product of the
//! matrices, which are put into fragments by the tables of the PTX ISA ("Matrix Fragments for mma.m16n8k16", "...m16n8k8", "ldmatrix").

use super::common::{Arg, Emulator};
use half::{bf16, f16};

const VECTORS: &str = include_str!("../ptx/vectors.ptx");

fn lanes(f: impl Fn(u32) -> u32) -> Vec<u32> {
    (0..32).map(f).collect()
}

/// Runs a kernel of one warp on an input of a word a lane.
fn warp(name: &str, input: &[u32], more: &[Arg], outputs: usize) -> Vec<u32> {
    let mut e = Emulator::new(VECTORS);
    let (x, y) = (e.words(input), e.empty(outputs));
    let args = [&[Arg::Pointer(x), Arg::Pointer(y)], more].concat();
    e.run(name, 1, 32, &args).unwrap_or_else(|error| panic!("{error}"));
    e.read_words(y, outputs)
}

#[test]
fn shuffles() {
    let x = lanes(|lane| 100 + 3 * lane);
    let at = |lane: u32| 100 + 3 * lane;
    for delta in 0..8u32 {
        let by = [Arg::Int(delta as i32)];
        // Up in segments of 8: the first `delta` lanes of each keep their own value.
        assert_eq!(warp("shuffle_up", &x, &by, 32), lanes(|l| at(if l % 8 >= delta { l - delta } else { l })));
        assert_eq!(warp("shuffle_down", &x, &by, 32), lanes(|l| at(if l % 16 + delta < 16 { l + delta } else { l })));
        assert_eq!(warp("shuffle_xor", &x, &by, 32), lanes(|l| at(l ^ delta)));
        assert_eq!(warp("shuffle_index", &x, &by, 32), lanes(|l| at(l / 4 * 4 + l * delta % 4)));
    }
}

/// The sum of the four modes of 3 lanes in widths 2, 4, 8 and 16, as ZLUDA's test `shfl_sync_mode_b32` gives it for a real device.
#[test]
fn shuffles_as_published() {
    let mut e = Emulator::new(VECTORS);
    let y = e.empty(32);
    e.run("shuffle_modes", 1, 32, &[Arg::Pointer(y)]).unwrap();
    let published = [
        9, 7, 8, 9, 21, 19, 20, 21, 33, 31, 32, 33, 45, 43, 44, 45, 73, 71, 72, 73, 85, 83, 84, 85, 97, 95, 96, 97,
        109, 107, 108, 109,
    ];
    assert_eq!(e.read_words(y, 32), published);
}

/// Register r of A and B holds 8 l + 2 r above and 8 l + 2 r + 1 below in lane l, C begins with 8 l: some of the values of ZLUDA's test
/// `mma_m16n8k16_f32_bf16_bf16_f32`.
#[test]
fn a_matrix_product_as_published() {
    let pair = |value: u32| {
        let bits = |value: u32| u32::from(bf16::from_f32(value as f32).to_bits());
        bits(value) << 16 | bits(value + 1)
    };
    let a: Vec<u32> = (0..128).map(|i| pair(i / 4 * 8 + i % 4 * 2)).collect();
    let b: Vec<u32> = (0..64).map(|i| pair(i / 2 * 8 + i % 2 * 2)).collect();
    let c: Vec<f32> = (0..128).map(|i| (i / 4 * 8 + i % 4) as f32).collect();
    let mut e = Emulator::new(VECTORS);
    let (a, b, c, d) = (e.words(&a), e.words(&b), e.floats(&c), e.empty(128));
    e.run("mma_bf16", 1, 32, &[a, b, c, d].map(Arg::Pointer)).unwrap();
    let got = e.read_floats(d, 128);
    let published = [
        (0, [4448.0, 11873.0, 4882.0, 13331.0]),
        (1, [19304.0, 26729.0, 21786.0, 30235.0]),
        (7, [154264.0, 178073.0, 160842.0, 185675.0]),
        (31, [785752.0, 907865.0, 792330.0, 915467.0]),
    ];
    for (lane, expected) in published {
        assert_eq!(got[4 * lane..4 * lane + 4], expected, "lane {lane}");
    }
}

#[test]
fn votes_of_half_warps() {
    let x = lanes(|lane| if lane < 16 { 5 + lane } else { 11 + lane });
    let got = warp("votes", &x, &[], 64);
    // Lanes 6 to 15 of the lower half exceed 10, and all of the upper half.
    assert_eq!(got[..32], lanes(|lane| if lane < 16 { 0xFFC0 } else { 0xFFFF_0000 }));
    assert_eq!(got[32..], lanes(|lane| if lane < 16 { 1 } else { 3 }));
}

#[test]
fn matches() {
    let got = warp("matches", &lanes(|lane| lane % 4), &[], 96);
    assert_eq!(got[..32], lanes(|lane| 0x1111_1111 << (lane % 4)));
    assert_eq!(got[32..], [0; 64]);
    let got = warp("matches", &[7; 32], &[], 96);
    assert_eq!((got[0], got[32], got[64]), (u32::MAX, u32::MAX, 1));
}

#[test]
fn reductions() {
    let x = lanes(|lane| lane.wrapping_sub(3));
    let got = warp("reductions", &x, &[], 128);
    assert_eq!(got[..32], [400; 32], "0 + ... + 31 - 3 * 32");
    assert_eq!(got[32..64], [(-3i32) as u32; 32]);
    assert_eq!(got[64..96], [x.iter().fold(0, |a, b| a ^ b); 32]);
    // 23 lanes exceed 5: not all, but some.
    assert_eq!(got[96..], [23 * 4 + 1; 32]);
}

#[test]
fn lanes_that_part_meet_again() {
    let x = lanes(|lane| lane * 11);
    let value = |lane: u32| {
        let looped = (0..lane % 5).fold((lane * 11) as i32, |v, _| v * 3 + 1);
        match lane % 3 {
            0 => looped + 7,
            1 => looped ^ 21,
            _ => -looped,
        }
    };
    let got = warp("reconverge", &x, &[], 64);
    let ballot = (0..32).fold(0, |mask, lane| mask | ((value(lane) & 1) as u32) << lane);
    assert_eq!(got[..32], [ballot; 32]);
    assert_eq!(got[32..], lanes(|lane| value(lane) as u32));
}

#[test]
fn lanes_of_a_warp_can_take_a_lock_in_turn() {
    let mut e = Emulator::new(VECTORS);
    e.checks.instruction_limit = 1 << 40;
    let (lock, sum) = (e.words(&[0]), e.words(&[0]));
    e.run("spin_lock", 2, 64, &[Arg::Pointer(lock), Arg::Pointer(sum)]).unwrap();
    assert_eq!((e.read_words(lock, 1), e.read_words(sum, 1)), (vec![0], vec![128]));
}

#[test]
fn load_matrix_spreads_rows_over_lanes() {
    // Element (row, column) of matrix m holds 1000 m + 10 row + column.
    let element = |m: u32, row: u32, column: u32| 1000 * m + 10 * row + column;
    let row_of =
        |lane: u32, pair: u32| element(lane / 8, lane % 8, 2 * pair) | element(lane / 8, lane % 8, 2 * pair + 1) << 16;
    let x: Vec<u32> = (0..128).map(|i| row_of(i / 4, i % 4)).collect();
    let run = |name| {
        let mut e = Emulator::new(VECTORS);
        let (x, y) = (e.words(&x), e.empty(128));
        e.run(name, 1, 32, &[Arg::Pointer(x), Arg::Pointer(y)]).unwrap();
        e.read_words(y, 128)
    };
    // Lane l holds elements (l / 4, 2 (l % 4)) and the next, of matrix r in register r.
    let expect = |f: &dyn Fn(u32, u32, u32) -> u32| -> Vec<u32> {
        (0..128)
            .map(|i| (i / 4, i % 4))
            .map(|(l, m)| f(m, l / 4, 2 * (l % 4)) | f(m, l / 4, 2 * (l % 4) + 1) << 16)
            .collect()
    };
    assert_eq!(run("load_matrix"), expect(&element));
    assert_eq!(run("load_matrix_transposed"), expect(&|m, row, column| element(m, column, row)));
}

/// Small integers: their products and sums are exact in every format.
fn entry(i: usize) -> f32 {
    ((i * 37 + 11) % 17) as f32 - 8.0
}

/// A 16 x `k` product in fragments. `word` packs what a register holds, `per` elements of it.
fn product(name: &str, k: usize, per: usize, word: impl Fn(&[f32]) -> u32) {
    let a = |row: usize, column: usize| entry(row * k + column);
    let b = |row: usize, column: usize| entry(1000 + row * 8 + column);
    let c = |row: usize, column: usize| entry(2000 + row * 8 + column);
    let (mut fa, mut fb, mut fc) = (Vec::new(), Vec::new(), Vec::new());
    for lane in 0..32 {
        let (group, thread) = (lane / 4, lane % 4);
        let span = |first: usize| first + thread * per..first + thread * per + per;
        for register in 0..4 {
            let row = group + if register % 2 == 1 { 8 } else { 0 };
            let first = if register >= 2 { k / 2 } else { 0 };
            fa.push(word(&span(first).map(|column| a(row, column)).collect::<Vec<_>>()));
        }
        for register in 0..2 {
            fb.push(word(&span(register * k / 2).map(|row| b(row, group)).collect::<Vec<_>>()));
        }
        for (row, column) in
            [(group, 2 * thread), (group, 2 * thread + 1), (group + 8, 2 * thread), (group + 8, 2 * thread + 1)]
        {
            fc.push(c(row, column));
        }
    }
    let mut e = Emulator::new(VECTORS);
    let (x, y, z, d) = (e.words(&fa), e.words(&fb), e.floats(&fc), e.empty(128));
    e.run(name, 1, 32, &[x, y, z, d].map(Arg::Pointer)).unwrap();
    let got = e.read_floats(d, 128);
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = (lane / 4 + i / 2 * 8, 2 * (lane % 4) + i % 2);
            let expected = c(row, column) + (0..k).map(|n| a(row, n) * b(n, column)).sum::<f32>();
            assert_eq!(got[4 * lane + i], expected, "{name} ({row}, {column})");
        }
    }
}

#[test]
fn matrix_products() {
    let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    product("mma_f16", 16, 2, |v| pair(f16::from_f32(v[0]).to_bits(), f16::from_f32(v[1]).to_bits()));
    product("mma_bf16", 16, 2, |v| pair(bf16::from_f32(v[0]).to_bits(), bf16::from_f32(v[1]).to_bits()));
    product("mma_tf32", 8, 1, |v| v[0].to_bits());
}

#[test]
fn structs_by_value_are_indexed_at_run_time() {
    let mut e = Emulator::new(VECTORS);
    let data = e.words(&lanes(|lane| lane));
    let mut parameters = Vec::new();
    for row in 0..4u64 {
        parameters.extend((data + 32 * row).to_le_bytes());
    }
    for length in [8i32, 1, 0, 3] {
        parameters.extend(length.to_le_bytes());
    }
    let y = e.empty(4);
    parameters.extend(y.to_le_bytes());
    e.run_with("by_value", [4, 1, 1], [1, 1, 1], parameters).unwrap();
    assert_eq!(e.read_words(y, 4), [28, 8, 0, 24 + 25 + 26]);
}

#[test]
fn module_variables_keep_their_values_between_launches() {
    let mut e = Emulator::new(VECTORS);
    let y = e.empty(4);
    e.run("variables", 1, 4, &[Arg::Pointer(y)]).unwrap();
    assert_eq!(e.read_words(y, 4), [15, 26, 37, 48]);
    e.run("variables", 1, 4, &[Arg::Pointer(y)]).unwrap();
    assert_eq!(e.read_words(y, 4), [19, 30, 41, 52]);
}

#[test]
fn asynchronous_copies_fill_up_with_zeros() {
    for n in [0usize, 5, 16, 63, 64] {
        let mut e = Emulator::new(VECTORS);
        let x: Vec<f32> = (0..64).map(|i| i as f32 + 1.0).collect();
        // No more than n words exist: reading further would be a fault.
        let (x_address, y) = (e.floats(&x[..n.max(1)]), e.empty(64));
        e.run("copy_with_zeros", 1, 16, &[Arg::Pointer(x_address), Arg::Pointer(y), Arg::Int(n as i32)]).unwrap();
        let expected: Vec<f32> = (0..64).map(|i| if i < n { x[i] } else { 0.0 }).collect();
        assert_eq!(e.read_floats(y, 64), expected);
    }
}
