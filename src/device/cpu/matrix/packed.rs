//! The right factor of a product, rearranged so that the kernel reads it from front to back.

use super::super::layout::panel_widths;
use super::super::simd::{BLOCK, InstructionSet, Kernel, Simd};
use super::memory::Memory;
use super::{Vectorise, View, vectorise};
use std::ops::Range;

/// Depth of a block, so that a panel stays in the first-level cache.
const DEPTH: usize = 256;

/// A matrix (depth, columns) in panels of one to three vectors: each (depth, columns of the panel), the last one padded
/// with zeros. Keeps its memory when it is set anew.
#[derive(Clone, Debug)]
pub struct Packed {
    pub(super) set: InstructionSet,
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) panels: Memory,
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
        Packed { set, depth: 0, columns: 0, panels: Memory::default() }
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
        let set = self.set;
        // SAFETY: a packed matrix is made for an instruction set that is available; the kernel checks its pointers.
        unsafe { set.run(PackTransposed { right, packed: self }) }
    }

    fn reshape(&mut self, depth: usize, columns: usize) {
        self.depth = depth;
        self.columns = columns;
        let lanes = self.set.lanes();
        self.panels.reserve(depth * columns.div_ceil(lanes) * lanes);
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

/// Rows of a matrix of several panels that may be read as they lie: more of them, a power of two apart, would not stay in
/// the first-level cache together.
const IN_PLACE_DEPTH: usize = 32;

/// The right factor of a product (depth, columns): packed, or as it lies.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a> {
    pub(super) set: InstructionSet,
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) data: &'a [f32],
    /// Floats from row to row; `None`: packed.
    pub(super) stride: Option<usize>,
}

impl<'a> Factor<'a> {
    /// The matrix as it lies, if it need not be [`Packed`] to be read well: whole vectors, and one panel or few rows.
    pub fn in_place(right: View<'a>) -> Option<Self> {
        let View { data, rows, cols, stride } = right;
        let set = InstructionSet::best();
        let few = rows <= IN_PLACE_DEPTH || panel_widths(cols / set.lanes()).count() == 1;
        (cols.is_multiple_of(set.lanes()) && few).then_some(Factor {
            set,
            depth: rows,
            columns: cols,
            data,
            stride: Some(stride),
        })
    }
}

impl<'a> From<&'a Packed> for Factor<'a> {
    fn from(packed: &'a Packed) -> Self {
        let Packed { set, depth, columns, ref panels } = *packed;
        Factor { set, depth, columns, data: panels, stride: None }
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

impl Kernel for PackTransposed<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Packed { depth, columns, .. } = *self.packed;
        for span in self.packed.spans() {
            let width = span.len();
            let panel = &mut self.packed.panels[span.start * depth..span.end * depth];
            for first in (0..width).step_by(BLOCK) {
                let from = span.start + first;
                let count = BLOCK.min(columns.saturating_sub(from));
                let whole = if count == BLOCK { depth / BLOCK * BLOCK } else { 0 };
                for k in (0..whole).step_by(BLOCK) {
                    let (block, stride) = (&self.right.row(from)[k..], self.right.stride);
                    let to = &mut panel[k * width + first..];
                    // The block reaches as far as these.
                    let _ = (&self.right.row(from + BLOCK - 1)[k..k + BLOCK], &to[..(BLOCK - 1) * width + BLOCK]);
                    // SAFETY: the caller's; the block's ends were checked.
                    unsafe { S::transpose((block.as_ptr(), stride), (to.as_mut_ptr(), width)) };
                }
                for k in whole..depth {
                    for (lane, value) in panel[k * width + first..][..BLOCK].iter_mut().enumerate() {
                        *value = if lane < count { self.right.row(from + lane)[k] } else { 0.0 };
                    }
                }
            }
        }
    }
}
