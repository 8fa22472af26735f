//! The right factor of a product, rearranged so that the kernel reads it from front to back.

use super::super::layout::panel_widths;
use super::super::simd::InstructionSet;
use super::{Vectorise, View, vectorise};
use std::ops::Range;

/// Columns and rows that are transposed at a time.
const BLOCK: usize = 8;

/// Depth of a block, so that a panel stays in the first-level cache.
const DEPTH: usize = 256;

/// A matrix (depth, columns) in panels of one to three vectors: each (depth, columns of the panel), the last one padded
/// with zeros. Keeps its memory when it is set anew.
#[derive(Clone, Debug)]
pub struct Packed {
    pub(super) set: InstructionSet,
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) panels: Vec<f32>,
}

impl Default for Packed {
    fn default() -> Self {
        Packed::new(InstructionSet::best())
    }
}

impl Packed {
    /// An empty matrix for the products of this instruction set.
    pub(crate) fn new(set: InstructionSet) -> Self {
        assert!(set.available(), "this processor has no {set}");
        Packed { set, depth: 0, columns: 0, panels: Vec::new() }
    }

    /// Rows.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Packs a matrix (depth, columns).
    pub fn set(&mut self, right: View) {
        self.reshape(right.rows, right.cols);
        vectorise(Pack { right, packed: self });
    }

    /// Packs the transpose of a matrix (columns, depth): a weight as PyTorch stores it.
    pub fn set_transposed(&mut self, right: View) {
        self.reshape(right.cols, right.rows);
        vectorise(PackTransposed { right, packed: self });
    }

    fn reshape(&mut self, depth: usize, columns: usize) {
        self.depth = depth;
        self.columns = columns;
        let lanes = self.set.lanes();
        self.panels.resize(depth * columns.div_ceil(lanes) * lanes, 0.0);
    }

    /// Panels: the columns that each holds, padding included.
    fn spans(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let lanes = self.set.lanes();
        let mut first = 0;
        panel_widths(self.columns.div_ceil(lanes)).map(move |width| {
            let span = first..first + width * lanes;
            first = span.end;
            span
        })
    }
}

/// Splits a depth into blocks of about the same size.
pub(super) fn depth_blocks(depth: usize) -> impl Iterator<Item = Range<usize>> {
    // An empty product still has to write its start.
    let size = depth.div_ceil(depth.div_ceil(DEPTH).max(1)).max(1);
    (0..depth.max(1)).step_by(size).map(move |start| start..depth.min(start + size))
}

struct Pack<'a> {
    right: View<'a>,
    packed: &'a mut Packed,
}

impl Vectorise for Pack<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Packed { depth, columns, .. } = *self.packed;
        for span in self.packed.spans() {
            let panel = &mut self.packed.panels[span.start * depth..span.end * depth];
            let inside = span.start..span.end.min(columns);
            match (inside == span, span.len()) {
                (true, 8) => copy::<8>(self.right, span.start, panel),
                (true, 16) => copy::<16>(self.right, span.start, panel),
                (true, 24) => copy::<24>(self.right, span.start, panel),
                (true, 32) => copy::<32>(self.right, span.start, panel),
                (true, 48) => copy::<48>(self.right, span.start, panel),
                _ => {
                    for (row, to) in panel.chunks_exact_mut(span.len()).enumerate() {
                        let (to, padding) = to.split_at_mut(inside.len());
                        to.copy_from_slice(&self.right.row(row)[inside.clone()]);
                        padding.fill(0.0);
                    }
                }
            }
        }
    }
}

/// Packs a panel without padding. The widths that there are, one to three vectors of 8 or 16, are constants here: a row is
/// too short for a call of the library's copy.
#[inline(always)]
fn copy<const WIDTH: usize>(right: View, column: usize, panel: &mut [f32]) {
    for (row, to) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
        to.copy_from_slice(&right.row(row)[column..column + WIDTH]);
    }
}

struct PackTransposed<'a> {
    right: View<'a>,
    packed: &'a mut Packed,
}

impl Vectorise for PackTransposed<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Packed { depth, columns, .. } = *self.packed;
        for span in self.packed.spans() {
            let width = span.len();
            let panel = &mut self.packed.panels[span.start * depth..span.end * depth];
            for first in (0..width).step_by(BLOCK) {
                let count = BLOCK.min(columns.saturating_sub(span.start + first));
                if count == BLOCK {
                    let rows: [&[f32]; BLOCK] =
                        std::array::from_fn(|lane| &self.right.row(span.start + first + lane)[..depth]);
                    transpose(rows, panel, first, width);
                } else {
                    for (k, to) in panel.chunks_exact_mut(width).enumerate() {
                        for (lane, value) in to[first..first + BLOCK].iter_mut().enumerate() {
                            *value = if lane < count { self.right.row(span.start + first + lane)[k] } else { 0.0 };
                        }
                    }
                }
            }
        }
    }
}

/// Writes `rows` as columns `first..first + BLOCK` of a panel `width` wide.
#[inline(always)]
fn transpose(rows: [&[f32]; BLOCK], panel: &mut [f32], first: usize, width: usize) {
    let depth = rows[0].len();
    let whole = depth / BLOCK * BLOCK;
    for k in (0..whole).step_by(BLOCK) {
        let mut block = [[0.0; BLOCK]; BLOCK];
        for (to, row) in block.iter_mut().zip(rows) {
            to.copy_from_slice(&row[k..k + BLOCK]);
        }
        for step in 0..BLOCK {
            let to = &mut panel[(k + step) * width + first..][..BLOCK];
            for (to, row) in to.iter_mut().zip(&block) {
                *to = row[step];
            }
        }
    }
    for k in whole..depth {
        for (to, row) in panel[k * width + first..][..BLOCK].iter_mut().zip(rows) {
            *to = row[k];
        }
    }
}
