//! Matrix instructions; where each lane holds what is the PTX ISA's "Matrix Fragments for mma".

use super::{
    block::Machine,
    collective::Outcome,
    fault::Step,
    half,
    rows::{FULL, Row},
    warp::Warp,
};
use crate::program::{Address, HalfFormat, LANES, MatrixMultiply, MatrixType, Word};

const ROWS: usize = 16;
const COLUMNS: usize = 8;
/// The greatest inner size.
const DEPTH: usize = 16;

impl Machine<'_> {
    /// `mma.sync`: products are exact in f32 and added to C in the order of k.
    pub fn multiply_matrices(&mut self, warp: &mut Warp, product: &MatrixMultiply, active: u32) -> Step<Outcome> {
        let outcome = self.whole_warp(warp, active)?;
        if outcome != Outcome::Done {
            return Ok(outcome);
        }
        let mut a = [[0f32; DEPTH]; ROWS];
        let mut b = [[0f32; COLUMNS]; DEPTH];
        gather_a(warp, product, &mut a);
        gather_b(warp, product, &mut b);
        let mut sums = read_sums(warp, product);
        for (sum, a) in sums.iter_mut().zip(&a) {
            for k in 0..product.k {
                for column in 0..COLUMNS {
                    sum[column] += a[k] * b[k][column];
                }
            }
        }
        write_sums(warp, product, &sums);
        Ok(Outcome::Done)
    }

    /// `ldmatrix`: lanes 8 m to 8 m + 7 hold the row addresses of matrix m.
    pub fn load_matrix(
        &mut self,
        warp: &mut Warp,
        count: usize,
        transposed: bool,
        d: &[Word; 4],
        address: Address,
        active: u32,
    ) -> Step<Outcome> {
        let outcome = self.whole_warp(warp, active)?;
        if outcome != Outcome::Done {
            return Ok(outcome);
        }
        let addresses = self.addresses(warp, address);
        let rows = if count == 4 { FULL } else { (1 << (8 * count)) - 1 };
        self.counters.shared_access(&addresses, rows, 16);
        for (matrix, &d) in d.iter().enumerate().take(count) {
            let mut elements = [[0u16; 8]; 8];
            for (row, elements) in elements.iter_mut().enumerate() {
                let lane = 8 * matrix + row;
                let bytes = self.shared.load(self.who(lane), addresses[lane], 16)?;
                for (element, bytes) in elements.iter_mut().zip(bytes.chunks_exact(2)) {
                    *element = u16::from_le_bytes([bytes[0], bytes[1]]);
                }
            }
            warp.registers.set_word(d, spread(&elements, transposed), FULL);
        }
        Ok(Outcome::Done)
    }

    /// `movmatrix`: transposes a matrix held as `ldmatrix` leaves it.
    pub fn transpose_matrix(&mut self, warp: &mut Warp, d: Word, a: Word, active: u32) -> Step<Outcome> {
        let outcome = self.whole_warp(warp, active)?;
        if outcome == Outcome::Done {
            let a = *warp.registers.word(a);
            let element = |row: usize, column: usize| (a[4 * row + column / 2] >> (16 * (column % 2))) as u16;
            let elements: [[u16; 8]; 8] = std::array::from_fn(|row| std::array::from_fn(|column| element(row, column)));
            warp.registers.set_word(d, spread(&elements, true), FULL);
        }
        Ok(outcome)
    }
}

/// Lane l gets elements 2 (l % 4) and the next of row l / 4.
fn spread(elements: &[[u16; 8]; 8], transposed: bool) -> Row {
    let at =
        |row: usize, column: usize| u32::from(if transposed { elements[column][row] } else { elements[row][column] });
    std::array::from_fn(|lane| {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        at(row, column) | at(row, column + 1) << 16
    })
}

fn halves(format: HalfFormat, word: u32) -> [f32; 2] {
    [half::to_f32(format, word & 0xFFFF), half::to_f32(format, word >> 16)]
}

/// Clears the bits tf32 does not have.
fn tf32(word: u32) -> f32 {
    f32::from_bits(word & !0x1FFF)
}

/// Register i of A holds row g + 8 (i % 2), from column (i / 2) * k / 2 on, for lane 4 g + t.
fn gather_a(warp: &Warp, product: &MatrixMultiply, a: &mut [[f32; DEPTH]; ROWS]) {
    for (register, &word) in product.a.iter().enumerate() {
        let values = warp.registers.word(word);
        for (lane, &value) in values.iter().enumerate() {
            let (group, thread) = (lane / 4, lane % 4);
            let row = group + 8 * (register % 2);
            match product.element {
                MatrixType::Tf32 => a[row][thread + 4 * (register / 2)] = tf32(value),
                MatrixType::Half(format) => {
                    let column = 2 * thread + 8 * (register / 2);
                    a[row][column..column + 2].copy_from_slice(&halves(format, value));
                }
            }
        }
    }
}

/// Register i of B holds column g, from row i * k / registers on.
fn gather_b(warp: &Warp, product: &MatrixMultiply, b: &mut [[f32; COLUMNS]; DEPTH]) {
    for (register, &word) in product.b.iter().enumerate() {
        let values = warp.registers.word(word);
        for (lane, &value) in values.iter().enumerate() {
            let (group, thread) = (lane / 4, lane % 4);
            match product.element {
                MatrixType::Tf32 => b[thread + 4 * register][group] = tf32(value),
                MatrixType::Half(format) => {
                    let [low, high] = halves(format, value);
                    b[2 * thread + 8 * register][group] = low;
                    b[2 * thread + 8 * register + 1][group] = high;
                }
            }
        }
    }
}

/// Row and column of sum `index` (0 to 3) of a lane.
fn sum_place(lane: usize, index: usize) -> (usize, usize) {
    (lane / 4 + 8 * (index / 2), 2 * (lane % 4) + index % 2)
}

fn read_sums(warp: &Warp, product: &MatrixMultiply) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0f32; COLUMNS]; ROWS];
    for lane in 0..LANES {
        for index in 0..4 {
            let (row, column) = sum_place(lane, index);
            sums[row][column] = if product.half_sums {
                halves(HalfFormat::F16, warp.registers.word(product.c[index / 2])[lane])[index % 2]
            } else {
                f32::from_bits(warp.registers.word(product.c[index])[lane])
            };
        }
    }
    sums
}

fn write_sums(warp: &mut Warp, product: &MatrixMultiply, sums: &[[f32; COLUMNS]; ROWS]) {
    for (register, &d) in product.d.iter().enumerate() {
        let row = std::array::from_fn(|lane| {
            let value = |index: usize| {
                let (row, column) = sum_place(lane, index);
                sums[row][column]
            };
            if product.half_sums {
                half::from_f32(HalfFormat::F16, value(2 * register))
                    | half::from_f32(HalfFormat::F16, value(2 * register + 1)) << 16
            } else {
                value(register).to_bits()
            }
        });
        warp.registers.set_word(d, row, FULL);
    }
}
