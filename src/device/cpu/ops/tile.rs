//! What the operations share: the images at hand, operands, scratch memory, the gradient of an output.

use super::super::gather::{Gather, GradientSums, Plane};
use super::super::gemm::{Product, Segments, Strided};
use super::super::layout::{GROUP_IMAGES, Layout};
use super::super::moments::Moments;
use super::super::simd::Simd;

/// The images of one group, in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Images {
    /// First image.
    pub start: usize,
    /// After the last image.
    pub end: usize,
    /// Images in the batch.
    pub batch: usize,
}

/// Some images of a group that lie together in a value's layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    /// First image.
    pub first: usize,
    /// How many.
    pub images: usize,
    /// Images in the batch.
    pub batch: usize,
}

impl Tile {
    /// Its images as tiles of another layout, whose tiles are no larger.
    #[inline(always)]
    pub(crate) fn tiles(self, layout: &Layout) -> impl Iterator<Item = Tile> + use<> {
        Images { start: self.first, end: self.first + self.images, batch: self.batch }.tiles(layout)
    }
}

impl Images {
    /// The tiles of a layout, in order.
    #[inline(always)]
    pub(crate) fn tiles(self, layout: &Layout) -> impl Iterator<Item = Tile> + use<> {
        let (size, start, end, batch) = (layout.tile, self.start, self.end, self.batch);
        (0..(end - start).div_ceil(size)).map(move |number| {
            let first = start + number * size;
            Tile { first, images: size.min(end - first), batch }
        })
    }
}

/// A value (or its gradient) that is read, and what its channels are scaled with.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    /// The whole batch, blocked.
    pub values: *const f32,
    /// `(padded channels)`
    pub scale: *const f32,
    /// `(padded channels)`: the batch's means where the value is normalised, else zeros. Unused for a gradient.
    pub mean: *const f32,
}

/// The inputs of a gather.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// Layout of every input.
    pub layout: Layout,
    /// The inputs.
    pub operands: &'a [Operand],
    /// `(padded channels)`
    pub shift: *const f32,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Inputs<'_> {
    /// Sets `planes` to the inputs' planes of one block of one image (and the images behind it in its tile).
    #[inline(always)]
    pub(super) unsafe fn planes<'p, S: Simd>(
        &self,
        planes: &'p mut [Plane],
        image: usize,
        block: usize,
        batch: usize,
    ) -> &'p [Plane] {
        let offset = self.layout.plane(image, block, batch);
        for (plane, operand) in planes.iter_mut().zip(self.operands) {
            // SAFETY: the caller vouches that operands hold a batch of the layout.
            unsafe {
                let at = block * S::LANES;
                *plane = Plane {
                    values: operand.values.add(offset),
                    scale: operand.scale.add(at),
                    mean: operand.mean.add(at),
                };
            }
        }
        &planes[..self.operands.len()]
    }

    /// Gathers one block of all images of a tile of this layout into contiguous vectors.
    #[inline(always)]
    pub(crate) unsafe fn gather_tile<'p, S: Simd>(
        &self,
        planes: &'p mut [Plane],
        tile: Tile,
        block: usize,
        to: *mut f32,
    ) -> &'p [Plane] {
        // SAFETY: the caller's.
        unsafe {
            let planes = self.planes::<S>(planes, tile.first, block, tile.batch);
            let vectors = tile.images * self.layout.pixels();
            S::call(Gather { planes, shift: self.shift.add(block * S::LANES), relu: self.relu, to, vectors });
            planes
        }
    }
}

/// How the gradient of a raw output is formed: the gather of its consumers' gradients and of the output itself (batch
/// norm's backward is affine in both).
#[derive(Clone, Copy)]
pub(crate) struct OutputGradient<'a> {
    /// Consumers' gradients and, where the output is normalised, the output.
    pub inputs: Inputs<'a>,
}

impl OutputGradient<'_> {
    /// Forms all blocks of a tile: `[block][row of the tile][lane]`.
    #[inline(always)]
    pub(crate) unsafe fn form<S: Simd>(&self, planes: &mut [Plane], tile: Tile, to: *mut f32) {
        let rows = tile.images * self.inputs.layout.pixels();
        for block in 0..self.inputs.layout.blocks {
            // SAFETY: the caller's.
            unsafe { self.inputs.gather_tile::<S>(planes, tile, block, to.add(block * rows * S::LANES)) };
        }
    }
}

/// Where the channel sums of a gather's backward are added up.
#[derive(Clone, Copy)]
pub(crate) struct Statistics {
    /// `(padded channels)`: sums of the gradient.
    pub sums: *mut f32,
    /// `(inputs, padded channels)`: sums of gradient times input less its mean.
    pub products: *mut f32,
    /// Padded channels.
    pub channels: usize,
}

impl Statistics {
    /// Adds up the sums of one block of `vectors` pixels.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&self, planes: &[Plane], block: usize, gradient: *const f32, vectors: usize) {
        let at = block * S::LANES;
        // SAFETY: the caller's.
        unsafe {
            let (sums, products) = (self.sums.add(at), self.products.add(at));
            S::call(GradientSums { planes, gradient, vectors, sums, products, stride: self.channels });
        }
    }
}

/// The matrix `[block][row][lane]` of a tile.
#[inline(always)]
pub(crate) fn rows_of<P, S: Simd>(start: P, rows: usize) -> Strided<P> {
    Strided { start, row_stride: S::LANES, segment_stride: rows * S::LANES }
}

/// Where an operation's raw output goes, and the weight of the product that makes it.
#[derive(Clone, Copy)]
pub(crate) struct RawOutput {
    pub layout: Layout,
    /// `(in, out)` in panels.
    pub weight: *const f32,
    /// The whole batch, blocked.
    pub to: *mut f32,
    /// `(3, padded out)`: shift, sums and sums of squares of the group's outputs; null in evaluation.
    pub moments: *mut f32,
}

impl RawOutput {
    /// Where a product's moments go; `first` for the group's first product.
    #[inline(always)]
    pub(super) fn moments(&self, first: bool) -> Option<Moments> {
        let channels = self.layout.padded_channels();
        // SAFETY: three vectors of channels lie at the pointer.
        let at = |row| unsafe { self.moments.add(row * channels) };
        (!self.moments.is_null()).then(|| Moments { shift: at(0), sums: at(1), squares: at(2), first })
    }

    /// Multiplies a tile's rows, of `depth_blocks` blocks, with the weight.
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd>(&self, tile: Tile, a: Strided<*const f32>, depth_blocks: usize) {
        let first = tile.first.is_multiple_of(GROUP_IMAGES);
        let rows = tile.images * self.layout.pixels();
        // SAFETY: the caller's; tiles of different groups are disjoint.
        unsafe {
            S::call(Product {
                rows,
                depth: Segments::blocks::<S>(depth_blocks),
                column_blocks: self.layout.blocks,
                a,
                b: self.weight,
                c: rows_of::<_, S>(self.to.add(self.layout.plane(tile.first, 0, tile.batch)), rows),
                moments: self.moments(first),
            });
        }
    }
}

/// Floats that each part of [`Scratch`] needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScratchSizes {
    /// An image with a border.
    pub image: usize,
    /// A block of a tile of a node's inputs.
    pub gathered: usize,
    /// A row of a plane.
    pub zeros: usize,
    /// A tile of a node's pointwise inputs.
    pub rows: usize,
    /// A tile of outputs.
    pub outputs: usize,
    /// Planes of a gather.
    pub planes: usize,
    /// A tile's inputs with a border, all blocks.
    pub bordered: usize,
    /// The same for what the gradient of the inputs is formed from.
    pub bordered_gradient: usize,
}

impl ScratchSizes {
    /// Enough for both.
    pub(crate) fn max(self, other: ScratchSizes) -> ScratchSizes {
        ScratchSizes {
            image: self.image.max(other.image),
            gathered: self.gathered.max(other.gathered),
            zeros: self.zeros.max(other.zeros),
            rows: self.rows.max(other.rows),
            outputs: self.outputs.max(other.outputs),
            planes: self.planes.max(other.planes),
            bordered: self.bordered.max(other.bordered),
            bordered_gradient: self.bordered_gradient.max(other.bordered_gradient),
        }
    }
}

/// The memory that one worker needs beside the batch.
pub(crate) struct Scratch {
    /// An image with a border of zeros, which nobody writes.
    pub image: Vec<f32>,
    /// A gather's result.
    pub gathered: Vec<f32>,
    /// Zeros, which nobody writes.
    pub zeros: Vec<f32>,
    /// The pointwise convolution's inputs.
    pub rows: Vec<f32>,
    /// Their gradient.
    pub rows_gradient: Vec<f32>,
    /// The gradient of the outputs.
    pub outputs_gradient: Vec<f32>,
    /// The inputs of a gather.
    pub planes: Vec<Plane>,
    /// Planes with a border.
    pub bordered: Vec<f32>,
    /// Gradients in planes with a border.
    pub bordered_gradient: Vec<f32>,
}

// SAFETY: the pointers in `planes` are written anew before every use; they carry nothing from one thread to another.
unsafe impl Send for Scratch {}

impl Scratch {
    pub(crate) fn new(sizes: ScratchSizes) -> Self {
        let empty = Plane { values: std::ptr::null(), scale: std::ptr::null(), mean: std::ptr::null() };
        Scratch {
            image: vec![0.0; sizes.image],
            gathered: vec![0.0; sizes.gathered],
            zeros: vec![0.0; sizes.zeros],
            rows: vec![0.0; sizes.rows],
            rows_gradient: vec![0.0; sizes.rows],
            outputs_gradient: vec![0.0; sizes.outputs],
            planes: vec![empty; sizes.planes],
            bordered: vec![0.0; sizes.bordered],
            bordered_gradient: vec![0.0; sizes.bordered_gradient],
        }
    }
}
