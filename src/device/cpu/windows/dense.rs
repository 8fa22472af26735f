//! Dense convolution as a matrix product whose left operand is never formed: a register tile's rows are windows, each
//! with a pointer of its own, so that tiles go on across the ends of lines and images; a line of a window is a run of
//! neighbouring floats. Rows of the weight's matrix are `(channel block, row, column, lane)`.

use super::super::gemm::Strided;
use super::super::layout::panel_widths;
use super::super::moments::{ColumnMoments, Moments};
use super::super::simd::{Kernel, Simd};
use super::Grid;

/// Where the windows of some images lie: `(blocks, images)` planes with border.
#[derive(Clone, Copy)]
pub(crate) struct WindowRows {
    pub grid: Grid,
    pub images: usize,
    pub blocks: usize,
    pub start: *const f32,
}

impl WindowRows {
    #[inline(always)]
    fn rows(&self) -> usize {
        self.images * self.grid.outputs()
    }

    /// Rows of the weight's matrix.
    #[inline(always)]
    fn depth<S: Simd>(&self) -> usize {
        self.blocks * self.grid.window.size * self.grid.window.size * S::LANES
    }

    /// Floats from one line of a plane to the next.
    #[inline(always)]
    fn pitch<S: Simd>(&self) -> usize {
        self.grid.bordered().1 * S::LANES
    }

    /// Floats from one channel block to the next.
    #[inline(always)]
    fn block_stride<S: Simd>(&self) -> usize {
        self.images * self.grid.bordered_pixels() * S::LANES
    }

    /// Where the first window of a line of an image's output begins.
    #[inline(always)]
    unsafe fn line<S: Simd>(&self, image: usize, y: usize) -> *const f32 {
        let (rows, columns) = self.grid.bordered();
        let window = self.grid.window;
        let row = image * rows + window.stride * y + window.shift;
        // SAFETY: the caller's.
        unsafe { self.start.add((row * columns + window.shift) * S::LANES) }
    }
}

/// Walks over windows in the order of the outputs.
struct Cursor<'a> {
    rows: &'a WindowRows,
    image: usize,
    y: usize,
    x: usize,
    at: *const f32,
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    unsafe fn new<S: Simd>(rows: &'a WindowRows) -> Self {
        // SAFETY: the caller's: there is a first window.
        Cursor { rows, image: 0, y: 0, x: 0, at: unsafe { rows.line::<S>(0, 0) } }
    }

    /// The window at hand; goes on to the next.
    #[inline(always)]
    unsafe fn next<S: Simd>(&mut self) -> *const f32 {
        let here = self.at;
        let grid = &self.rows.grid;
        self.x += 1;
        if self.x < grid.output.1 {
            // SAFETY: the window lies in the same line.
            self.at = unsafe { self.at.add(grid.window.stride * S::LANES) };
            return here;
        }
        self.x = 0;
        self.y += 1;
        if self.y == grid.output.0 {
            self.y = 0;
            self.image += 1;
        }
        if self.image < self.rows.images {
            // SAFETY: the image is there.
            self.at = unsafe { self.rows.line::<S>(self.image, self.y) };
        }
        here
    }
}

/// `c = windows * b`, optionally with the moments of `c`'s columns.
#[derive(Clone, Copy)]
pub(crate) struct WindowProduct {
    pub a: WindowRows,
    /// `(depth, columns)` in panels.
    pub b: *const f32,
    pub column_blocks: usize,
    /// `(rows, columns)`; its segments are blocks.
    pub c: Strided<*mut f32>,
    /// Where moments are added up. `first`: the first row becomes the shift.
    pub moments: Option<Moments>,
}

/// The pointers must be valid for the shapes given, and `c` must overlap nothing else.
impl Kernel for WindowProduct {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            let depth = self.a.depth::<S>();
            let mut block = 0;
            for width in panel_widths(self.column_blocks) {
                let b = self.b.add(block * S::LANES * depth);
                match width {
                    3 => self.panel::<S, 4, 3>(b, block),
                    2 => self.panel::<S, 6, 2>(b, block),
                    _ => self.panel::<S, 8, 1>(b, block),
                }
                block += width;
            }
        }
    }
}

impl WindowProduct {
    /// All rows of a panel of `W` vectors, `R` at a time.
    #[inline(always)]
    unsafe fn panel<S: Simd, const R: usize, const W: usize>(&self, b: *const f32, block: usize) {
        // SAFETY: the caller's.
        unsafe {
            let rows = self.a.rows();
            let mut cursor = Cursor::new::<S>(&self.a);
            let mut columns = ColumnMoments::<S, W>::new(self.moments, block);
            let mut row = 0;
            while row + R <= rows {
                self.tile::<S, R, W>((b, block, row), &mut cursor, &mut columns);
                row += R;
            }
            if rows - row >= 4 {
                self.tile::<S, 4, W>((b, block, row), &mut cursor, &mut columns);
                row += 4;
            }
            match rows - row {
                1 => self.tile::<S, 1, W>((b, block, row), &mut cursor, &mut columns),
                2 => self.tile::<S, 2, W>((b, block, row), &mut cursor, &mut columns),
                3 => self.tile::<S, 3, W>((b, block, row), &mut cursor, &mut columns),
                _ => {}
            }
            columns.add_to(self.moments, block);
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const W: usize>(
        &self,
        (b, block, row): (*const f32, usize, usize),
        cursor: &mut Cursor,
        columns: &mut ColumnMoments<S, W>,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mut starts = [std::ptr::null(); R];
            for start in &mut starts {
                *start = cursor.next::<S>();
            }
            let tile = self.multiply::<S, R, W>(&starts, b);
            let c = self.c.start.add(row * self.c.row_stride + block * self.c.segment_stride);
            for (r, values) in tile.iter().enumerate() {
                for (w, &value) in values.iter().enumerate() {
                    S::store(c.add(r * self.c.row_stride + w * self.c.segment_stride), value);
                }
            }
            if let Some(moments) = self.moments {
                if moments.first && row == 0 {
                    columns.set_shift(moments, block, tile[0]);
                }
                tile.into_iter().for_each(|values| columns.take(values));
            }
        }
    }

    /// `R` windows times a panel. A run's length is a variable on purpose: unrolled, the loop keeps more loads in flight
    /// than there are registers.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const R: usize, const W: usize>(
        &self,
        starts: &[*const f32; R],
        b: *const f32,
    ) -> [[S::Vector; W]; R] {
        // SAFETY: the caller's.
        unsafe {
            let mut tile = [[S::zero(); W]; R];
            let size = self.a.grid.window.size;
            let (pitch, block_stride) = (self.a.pitch::<S>(), self.a.block_stride::<S>());
            let (run, mut b) = (size * S::LANES, b);
            for block in 0..self.a.blocks {
                for line in 0..size {
                    let first = block * block_stride + line * pitch;
                    for k in first..first + run {
                        let mut vectors = [S::zero(); W];
                        for (w, vector) in vectors.iter_mut().enumerate() {
                            *vector = S::load(b.add(w * S::LANES));
                        }
                        b = b.add(W * S::LANES);
                        for (start, values) in starts.iter().zip(tile.iter_mut()) {
                            let scalar = S::splat(*start.add(k));
                            for (value, &vector) in values.iter_mut().zip(&vectors) {
                                *value = S::mul_add(scalar, vector, *value);
                            }
                        }
                    }
                }
            }
            tile
        }
    }
}

/// Rows (pixels) whose products are summed in registers before they are added to a weight's gradient: what a panel of
/// them takes stays in the first cache.
const GRADIENT_ROWS: usize = 192;

/// Rows of the weight's gradient in a register tile.
const GRADIENT_DEPTH: usize = 4;

/// `c += transpose(windows) * b`: the gradient of the weight from the inputs and the outputs' gradient.
#[derive(Clone, Copy)]
pub(crate) struct WindowWeightGradient {
    pub a: WindowRows,
    /// `(rows, columns)`, rows a vector apart; its segments are blocks.
    pub b: Strided<*const f32>,
    pub column_blocks: usize,
    /// `(depth, columns)` in panels; added to.
    pub c: *mut f32,
}

/// Some lines of all outputs, counted through the images.
#[derive(Clone, Copy)]
struct Lines {
    first: usize,
    end: usize,
}

/// The pointers must be valid for the shapes given, and `c` must overlap nothing else.
impl Kernel for WindowWeightGradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let lines = self.a.images * self.a.grid.output.0;
        let step = GRADIENT_ROWS.div_ceil(self.a.grid.output.1);
        for first in (0..lines).step_by(step) {
            let lines = Lines { first, end: lines.min(first + step) };
            let mut block = 0;
            for width in panel_widths(self.column_blocks) {
                // SAFETY: the caller's.
                unsafe {
                    match width {
                        3 => self.panel::<S, 3>(block, lines),
                        2 => self.panel::<S, 2>(block, lines),
                        _ => self.panel::<S, 1>(block, lines),
                    }
                }
                block += width;
            }
        }
    }
}

impl WindowWeightGradient {
    #[inline(always)]
    unsafe fn panel<S: Simd, const W: usize>(&self, block: usize, lines: Lines) {
        let size = self.a.grid.window.size;
        // SAFETY: the caller's.
        unsafe {
            let mut c = self.c.add(block * S::LANES * self.a.depth::<S>());
            for plane in 0..self.a.blocks {
                for line in 0..size {
                    let first = plane * self.a.block_stride::<S>() + line * self.a.pitch::<S>();
                    for k in (0..size * S::LANES).step_by(GRADIENT_DEPTH) {
                        self.tile::<S, W>((first + k, block), lines, c);
                        c = c.add(GRADIENT_DEPTH * W * S::LANES);
                    }
                }
            }
        }
    }

    /// Four rows of the weight's gradient: those that meet the windows' floats from `at` on.
    #[inline(always)]
    unsafe fn tile<S: Simd, const W: usize>(&self, (at, block): (usize, usize), lines: Lines, c: *mut f32) {
        let (height, width) = self.a.grid.output;
        let step = self.a.grid.window.stride * S::LANES;
        // SAFETY: the caller's.
        unsafe {
            let mut tile = [[S::zero(); W]; GRADIENT_DEPTH];
            let first = lines.first * width * S::LANES;
            let mut b = self.b.start.add(block * self.b.segment_stride + first);
            for line in lines.first..lines.end {
                let mut a = self.a.line::<S>(line / height, line % height).add(at);
                for _ in 0..width {
                    let mut vectors = [S::zero(); W];
                    for (w, vector) in vectors.iter_mut().enumerate() {
                        *vector = S::load(b.add(w * self.b.segment_stride));
                    }
                    for (k, values) in tile.iter_mut().enumerate() {
                        let scalar = S::splat(*a.add(k));
                        for (value, &vector) in values.iter_mut().zip(&vectors) {
                            *value = S::mul_add(scalar, vector, *value);
                        }
                    }
                    a = a.add(step);
                    b = b.add(S::LANES);
                }
            }
            for (k, values) in tile.into_iter().enumerate() {
                for (w, value) in values.into_iter().enumerate() {
                    let at = c.add((k * W + w) * S::LANES);
                    S::store(at, S::add(S::load(at), value));
                }
            }
        }
    }
}
