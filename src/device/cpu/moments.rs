//! Batch statistics out of a product's registers.

use super::simd::Simd;

/// Where a product adds up the moments of its columns, each `(padded columns)`. What is summed is `c - shift`, so that
/// columns whose mean is far larger than their deviation lose no digits; the shift is one of their elements.
#[derive(Clone, Copy)]
pub(crate) struct Moments {
    pub shift: *mut f32,
    pub sums: *mut f32,
    pub squares: *mut f32,
    /// Whether nothing was summed yet: the product's first row becomes the shift.
    pub first: bool,
}

/// The moments of the columns of one panel, in registers.
pub(crate) struct ColumnMoments<S: Simd, const W: usize> {
    shift: [S::Vector; W],
    sums: [S::Vector; W],
    squares: [S::Vector; W],
}

impl<S: Simd, const W: usize> ColumnMoments<S, W> {
    /// Nothing summed yet; with the shift that is there, if something was summed before.
    ///
    /// # Safety
    /// The pointers are valid for the panel, the instruction set is available.
    #[inline(always)]
    pub(crate) unsafe fn new(moments: Option<Moments>, block: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let zeros = [S::zero(); W];
            let mut columns = ColumnMoments { shift: zeros, sums: zeros, squares: zeros };
            if let Some(moments) = moments.filter(|moments| !moments.first) {
                for (w, shift) in columns.shift.iter_mut().enumerate() {
                    *shift = S::load(moments.shift.add((block + w) * S::LANES));
                }
            }
            columns
        }
    }

    /// Takes and keeps the shift of a product that sums for the first time.
    ///
    /// # Safety
    /// As [`ColumnMoments::new`].
    #[inline(always)]
    pub(crate) unsafe fn set_shift(&mut self, moments: Moments, block: usize, shift: [S::Vector; W]) {
        self.shift = shift;
        for (w, value) in shift.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { S::store(moments.shift.add((block + w) * S::LANES), value) };
        }
    }

    /// A row of the product.
    ///
    /// # Safety
    /// The instruction set is available.
    #[inline(always)]
    pub(crate) unsafe fn take(&mut self, values: [S::Vector; W]) {
        for (w, value) in values.into_iter().enumerate() {
            // SAFETY: the caller vouches for the instruction set.
            unsafe {
                let value = S::sub(value, self.shift[w]);
                self.sums[w] = S::add(self.sums[w], value);
                self.squares[w] = S::mul_add(value, value, self.squares[w]);
            }
        }
    }

    /// Adds the sums to those in memory.
    ///
    /// # Safety
    /// As [`ColumnMoments::new`].
    #[inline(always)]
    pub(crate) unsafe fn add_to(self, moments: Option<Moments>, block: usize) {
        let Some(moments) = moments else { return };
        for w in 0..W {
            let at = (block + w) * S::LANES;
            for (total, part) in [(moments.sums, self.sums[w]), (moments.squares, self.squares[w])] {
                // SAFETY: the caller's.
                unsafe { S::store(total.add(at), S::add(S::load(total.add(at)), part)) };
            }
        }
    }
}
