//! The stem: a dense 3x3 convolution of the images, padding 1, as a product with the images' patches.

use super::super::gemm::{Strided, WeightGradient};
use super::super::layout::{Layout, padded};
use super::super::simd::{Kernel, Simd};
use super::tile::{Images, OutputGradient, RawOutput, Scratch, Tile, rows_of};
use crate::net::ImageShape;

/// Columns of the patch matrix, padded: `9 * channels`, ordered `(row, column, channel)`.
pub(crate) fn patch_channels(image: ImageShape, lanes: usize) -> usize {
    padded(9 * image.channels, lanes)
}

/// Where patches come from.
#[derive(Clone, Copy)]
pub(crate) struct Patches {
    /// `(batch, height, width, channels)`
    pub pixels: *const f32,
    pub image: ImageShape,
    pub stride: usize,
}

impl Patches {
    /// Writes the patches of a tile, a row a pixel of the output, row-major.
    #[inline(always)]
    unsafe fn write(&self, tile: Tile, output: &Layout, columns: usize, to: *mut f32) {
        let ImageShape { channels, height, width } = self.image;
        // SAFETY: the caller vouches for the sizes; source pixels are bounds-checked against the image.
        unsafe {
            let mut row = to;
            for image in tile.first..tile.first + tile.images {
                let pixels = self.pixels.add(image * height * width * channels);
                for y in 0..output.height {
                    for x in 0..output.width {
                        std::ptr::write_bytes(row, 0, columns);
                        for i in 0..3 {
                            let source = (y * self.stride + i).wrapping_sub(1);
                            if source >= height {
                                continue;
                            }
                            for j in 0..3 {
                                let column = (x * self.stride + j).wrapping_sub(1);
                                if column < width {
                                    let from = pixels.add((source * width + column) * channels);
                                    let to = row.add((3 * i + j) * channels);
                                    std::ptr::copy_nonoverlapping(from, to, channels);
                                }
                            }
                        }
                        row = row.add(columns);
                    }
                }
            }
        }
    }
}

/// The forward on one group.
pub(crate) struct StemForward<'a> {
    pub images: Images,
    pub patches: Patches,
    pub output: RawOutput,
    pub scratch: &'a mut Scratch,
}

impl Kernel for StemForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let columns = patch_channels(self.patches.image, S::LANES);
        for tile in self.images.tiles(&self.output.layout) {
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                self.patches.write(tile, &self.output.layout, columns, self.scratch.rows.as_mut_ptr());
                let start = self.scratch.rows.as_ptr();
                let a = Strided { start, row_stride: columns, block_stride: S::LANES };
                self.output.multiply::<S>(tile, a, columns / S::LANES);
            }
        }
    }
}

/// The backward on one group: the gradient of the weight only.
pub(crate) struct StemBackward<'a> {
    pub images: Images,
    pub patches: Patches,
    pub output: Layout,
    pub gradient: OutputGradient<'a>,
    /// Added to.
    pub weight_gradient: *mut f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for StemBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let columns = patch_channels(self.patches.image, S::LANES);
        let scratch = self.scratch;
        for tile in self.images.tiles(&self.output) {
            let rows = tile.images * self.output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                self.patches.write(tile, &self.output, columns, scratch.rows.as_mut_ptr());
                let outputs = scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut scratch.planes, tile, outputs);
                let start = scratch.rows.as_ptr();
                let gradient = WeightGradient {
                    rows,
                    depth_blocks: columns / S::LANES,
                    column_blocks: self.output.blocks,
                    a: Strided { start, row_stride: columns, block_stride: S::LANES },
                    b: rows_of::<_, S>(outputs.cast_const(), rows),
                    c: self.weight_gradient,
                };
                S::call(gradient);
            }
        }
    }
}
