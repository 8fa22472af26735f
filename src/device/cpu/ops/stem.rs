//! The stem: a dense 3x3 convolution of the images, padding 1. One row of the output is a product of the image's windows
//! with the weight: a window's three rows are segments of neighbouring floats, so the windows are read where they lie.

use super::super::gemm::{Product, Segments, Strided, WeightGradient};
use super::super::layout::{Layout, padded};
use super::super::simd::{Kernel, Simd};
use super::sources::ValueGradient;
use super::tile::{Images, RawOutput, Scratch, rows_of};
use crate::net::ImageShape;

/// Rows of the weight's matrix, padded: `9 * channels`, ordered `(row, column, channel)`.
pub(crate) fn window_channels(image: ImageShape, lanes: usize) -> usize {
    padded(9 * image.channels, lanes)
}

/// Floats of an image with a border of one zero pixel.
pub(crate) fn bordered_image(image: ImageShape) -> usize {
    (image.height + 2) * (image.width + 2) * image.channels
}

/// The images and how windows step over them.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    /// `(batch, height, width, channels)`
    pub pixels: *const f32,
    pub image: ImageShape,
    pub stride: usize,
}

impl Windows {
    /// Copies an image into the inner part of a plane with a border.
    #[inline(always)]
    unsafe fn copy(&self, number: usize, to: *mut f32) {
        let ImageShape { channels, height, width } = self.image;
        // SAFETY: the caller vouches for the sizes.
        unsafe {
            let from = self.pixels.add(number * height * width * channels);
            for y in 0..height {
                let to = to.add(((y + 1) * (width + 2) + 1) * channels);
                std::ptr::copy_nonoverlapping(from.add(y * width * channels), to, width * channels);
            }
        }
    }

    /// The columns of a window.
    #[inline(always)]
    fn depth(&self) -> Segments {
        Segments { count: 3, length: 3 * self.image.channels }
    }

    /// The windows of one row of the output, as the rows of a matrix.
    #[inline(always)]
    unsafe fn of_row(&self, bordered: *const f32, y: usize) -> Strided<*const f32> {
        let segment_stride = (self.image.width + 2) * self.image.channels;
        // SAFETY: the caller's.
        let start = unsafe { bordered.add(y * self.stride * segment_stride) };
        Strided { start, row_stride: self.stride * self.image.channels, segment_stride }
    }
}

/// The forward on one group.
pub(crate) struct StemForward<'a> {
    pub images: Images,
    pub windows: Windows,
    pub output: RawOutput,
    pub scratch: &'a mut Scratch,
}

impl Kernel for StemForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (windows, output) = (self.windows, self.output);
        let bordered = self.scratch.image.as_mut_ptr();
        for tile in self.images.tiles(&output.layout) {
            let rows = tile.images * output.layout.pixels();
            for image in tile.first..tile.first + tile.images {
                // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
                unsafe {
                    windows.copy(image, bordered);
                    let to = output.to.add(output.layout.plane(image, 0, tile.batch));
                    for y in 0..output.layout.height {
                        S::call(Product {
                            rows: output.layout.width,
                            depth: windows.depth(),
                            column_blocks: output.layout.blocks,
                            a: windows.of_row(bordered, y),
                            b: output.weight,
                            c: rows_of::<_, S>(to.add(y * output.layout.width * S::LANES), rows),
                            moments: output.moments(image == self.images.start && y == 0),
                        });
                    }
                }
            }
        }
    }
}

/// The backward on one group: the gradient of the weight only.
pub(crate) struct StemBackward<'a> {
    pub images: Images,
    pub windows: Windows,
    pub output: Layout,
    pub gradient: ValueGradient<'a>,
    /// Added to.
    pub weight_gradient: *mut f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for StemBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (windows, output, scratch) = (self.windows, self.output, self.scratch);
        let bordered = scratch.image.as_mut_ptr();
        for tile in self.images.tiles(&output) {
            let rows = tile.images * output.pixels();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut scratch.planes, tile, outputs);
                for image in 0..tile.images {
                    windows.copy(tile.first + image, bordered);
                    for y in 0..output.height {
                        let row = (image * output.height + y) * output.width;
                        S::call(WeightGradient {
                            rows: output.width,
                            depth: windows.depth(),
                            column_blocks: output.blocks,
                            a: windows.of_row(bordered, y),
                            b: rows_of::<_, S>(outputs.add(row * S::LANES).cast_const(), rows),
                            c: self.weight_gradient,
                        });
                    }
                }
            }
        }
    }
}
