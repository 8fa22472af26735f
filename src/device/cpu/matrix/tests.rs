//! Products against their definition in f64, on every instruction set.

use super::super::simd::InstructionSet;
use super::*;
use crate::random::{Purpose, StreamKey};
use rand::RngExt;

fn matrix(rows: usize, cols: usize, seed: u64) -> Matrix {
    let key = StreamKey { seed, purpose: Purpose::Synthetic, candidate: rows as u64, epoch: cols as u64 };
    let mut stream = key.stream();
    let data: Vec<f32> = (0..rows * cols).map(|_| stream.random::<f32>() - 0.5).collect();
    Matrix { rows, cols, memory: Memory::from(data) }
}

fn sets() -> impl Iterator<Item = InstructionSet> {
    let all = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable, InstructionSet::Portable16];
    all.into_iter().filter(|set| set.available())
}

fn packed(set: InstructionSet, right: View) -> Packed {
    let mut packed = Packed::new(set);
    packed.set(right);
    packed
}

fn transposed(set: InstructionSet, right: View) -> Packed {
    let mut packed = Packed::new(set);
    packed.set_transposed(right);
    packed
}

/// Compares with the product in f64; `term` gives the products of the two factors' elements.
fn check(out: &Matrix, depth: usize, term: impl Fn(usize, usize, usize) -> f64, start: impl Fn(usize, usize) -> f64) {
    for row in 0..out.rows() {
        for col in 0..out.cols() {
            let expected = start(row, col) + (0..depth).map(|k| term(row, col, k)).sum::<f64>();
            let got = f64::from(out.row(row)[col]);
            assert!((got - expected).abs() <= 1e-5, "[{row}, {col}]: {got} instead of {expected}");
        }
    }
}

const SHAPES: [[usize; 3]; 9] = [
    [1, 1, 1],
    [6, 16, 16],
    [7, 17, 5],
    [13, 300, 33],
    [300, 24, 10],
    [29, 40, 56],
    [600, 3, 80],
    [0, 5, 3],
    [5, 0, 18],
];

#[test]
fn products_agree_with_the_definition_in_f64() {
    let at = |m: &Matrix, row: usize, col: usize| f64::from(m.row(row)[col]);
    for set in sets() {
        let panels = &mut Panels(Packed::new(set));
        for [rows, inputs, outputs] in SHAPES {
            let (x, w, dy) = (matrix(rows, inputs, 1), matrix(outputs, inputs, 2), matrix(rows, outputs, 3));
            let bias = matrix(1, outputs, 4);

            let mut y = matrix(rows, outputs, 5);
            let right = transposed(set, w.view());
            multiply(x.view(), &right, Start::Bias(bias.data()), &mut y.view_mut());
            check(&y, inputs, |r, c, k| at(&x, r, k) * at(&w, c, k), |_, c| at(&bias, 0, c));
            let mut rectified = matrix(rows, outputs, 6);
            multiply_rectified(x.view(), &right, Start::Bias(bias.data()), &mut rectified.view_mut());
            for (rectified, y) in rectified.data().iter().zip(y.data()) {
                assert_eq!(*rectified, y.max(0.0));
            }
            multiply(x.view(), &right, Start::Zero, &mut y.view_mut());
            check(&y, inputs, |r, c, k| at(&x, r, k) * at(&w, c, k), |_, _| 0.0);

            let before = matrix(rows, inputs, 6);
            let mut dx = before.clone();
            multiply(dy.view(), &packed(set, w.view()), Start::Output, &mut dx.view_mut());
            check(&dx, outputs, |r, c, k| at(&dy, r, k) * at(&w, k, c), |r, c| at(&before, r, c));

            let before = matrix(outputs, inputs, 7);
            let mut dw = before.clone();
            transposed_product(dy.view(), x.view(), Sum::Continued, &mut dw.view_mut(), panels);
            check(&dw, rows, |r, c, k| at(&dy, k, r) * at(&x, k, c), |r, c| at(&before, r, c));
            dw.data_mut().fill(f32::NAN);
            transposed_product(dy.view(), x.view(), Sum::Fresh, &mut dw.view_mut(), panels);
            check(&dw, rows, |r, c, k| at(&dy, k, r) * at(&x, k, c), |_, _| 0.0);
        }
    }
}

#[test]
fn views_of_columns_and_rows_leave_the_rest_alone() {
    for set in sets() {
        let (x, w) = (matrix(9, 20, 1), matrix(8, 20, 2));
        let before = matrix(12, 11, 3);
        let mut y = before.clone();
        let mut part = y.view_mut().rows(2..11).columns(1..9);
        let right = transposed(set, w.view().columns(13..20));
        multiply(x.view().columns(3..10), &right, Start::Zero, &mut part);
        for row in 0..12 {
            for col in 0..11 {
                let inside = (2..11).contains(&row) && (1..9).contains(&col);
                let expected = match inside {
                    true => (0..7).map(|k| x.row(row - 2)[3 + k] * w.row(col - 1)[13 + k]).sum(),
                    false => before.row(row)[col],
                };
                assert!((y.row(row)[col] - expected).abs() <= 1e-5);
            }
        }
    }
}

#[test]
fn sums_of_no_rows_are_zero_or_what_was_there() {
    let (dy, x, before) = (matrix(0, 5, 1), matrix(0, 7, 2), matrix(5, 7, 3));
    let mut dw = before.clone();
    transposed_product(dy.view(), x.view(), Sum::Continued, &mut dw.view_mut(), &mut Panels::default());
    assert_eq!(dw.data(), before.data());
    transposed_product(dy.view(), x.view(), Sum::Fresh, &mut dw.view_mut(), &mut Panels::default());
    assert!(dw.data().iter().all(|value| *value == 0.0));
}

#[test]
fn column_sums_start_anew_or_add_to_what_is_there() {
    let dy = matrix(5, 3, 1);
    for (sum, before) in [(Sum::Continued, 1.0), (Sum::Fresh, 0.0)] {
        let mut sums = [1.0; 3];
        column_sums(dy.view(), sum, &mut sums);
        for (col, sum) in sums.iter().enumerate() {
            let expected = before + (0..5).map(|row| dy.row(row)[col]).sum::<f32>();
            assert!((sum - expected).abs() <= 1e-6);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    for set in sets() {
        for outputs in [5, 20, 48, 64] {
            let (x, w) = (matrix(23, 300, 1), matrix(outputs, 300, 2));
            let right = transposed(set, w.view());
            let (mut all, mut one) = (Matrix::default(), Matrix::default());
            all.reshape(23, outputs);
            one.reshape(1, outputs);
            multiply(x.view(), &right, Start::Zero, &mut all.view_mut());
            for row in 0..23 {
                multiply(x.view().rows(row..row + 1), &right, Start::Zero, &mut one.view_mut());
                assert_eq!(one.row(0), all.row(row));
            }
        }
    }
}

#[test]
fn what_is_read_in_place_gives_what_it_gives_packed() {
    let set = InstructionSet::best();
    for [rows, depth, from, columns, whole] in [[29, 24, 0, 128, 144], [7, 100, 0, 16, 16], [13, 32, 8, 32, 65]] {
        let (left, right) = (matrix(rows, depth, 1), matrix(depth, whole, 2));
        let part = right.view().columns(from..from + columns);
        let (mut packed_out, mut out) = (matrix(rows, columns, 3), matrix(rows, columns, 4));
        multiply(left.view(), &packed(set, part), Start::Zero, &mut packed_out.view_mut());
        multiply(left.view(), Factor::in_place(part).unwrap(), Start::Zero, &mut out.view_mut());
        assert_eq!(out.data(), packed_out.data());
        let dy = matrix(depth, 24, 5);
        let mut dw = matrix(24, columns, 6);
        transposed_product(dy.view(), part, Sum::Fresh, &mut dw.view_mut(), &mut Panels::default());
        let at = |m: &Matrix, row: usize, col: usize| f64::from(m.row(row)[col]);
        check(&dw, depth, |r, c, k| at(&dy, k, r) * at(&right, k, from + c), |_, _| 0.0);
    }
}
