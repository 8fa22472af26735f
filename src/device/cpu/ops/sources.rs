//! What the operations share that activate every input by itself: their inputs, and how the gradient of a value is
//! formed that such operations read.

use super::super::activate::{Activate, Gate, Term, TermSums, VectorMoments};
use super::super::gather::{Gather, Plane};
use super::super::layout::Layout;
use super::super::simd::Simd;
use super::classifier::HeadGradient;
use super::tile::{Images, OutputGradient, RawOutput, Tile};

/// An input: a value, how it is activated, and where the sums of its gradient go.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// The whole batch, blocked.
    pub values: *const f32,
    /// The value's own layout: it may have more channels than are read.
    pub layout: Layout,
    /// `(padded channels that are read)` each; 0 for channels that are not.
    pub scale: *const f32,
    pub shift: *const f32,
    /// `(padded channels)`: the batch's means where the value is normalised, else zeros.
    pub mean: *const f32,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// `(padded channels that are read)` each, added to: see [`TermSums`]. Backward only.
    pub sums: *mut f32,
    pub products: *mut f32,
    /// The whole batch, blocked, channels that are read: where the gradient goes. Backward only.
    pub gradient: *mut f32,
    /// Channels that are read.
    pub read: Layout,
}

impl Source {
    /// One block of the images of a tile.
    #[inline(always)]
    unsafe fn term<S: Simd>(&self, tile: Tile, block: usize) -> Term {
        let at = block * S::LANES;
        // SAFETY: the caller's.
        unsafe {
            Term {
                values: self.values.add(self.layout.plane(tile.first, block, tile.batch)),
                scale: self.scale.add(at),
                shift: self.shift.add(at),
                mean: self.mean.add(at),
                relu: self.relu,
            }
        }
    }

    /// Activates one block of a tile.
    #[inline(always)]
    pub(super) unsafe fn activate<S: Simd>(&self, (tile, block): (Tile, usize), add: bool, to: *mut f32) {
        let vectors = tile.images * self.read.pixels();
        // SAFETY: the caller's.
        unsafe { S::call(Activate { term: self.term::<S>(tile, block), add, to, vectors }) }
    }

    /// Adds up the sums of one block of a tile.
    #[inline(always)]
    pub(super) unsafe fn add_sums<S: Simd>(&self, (tile, block): (Tile, usize), gradient: *const f32) {
        let at = block * S::LANES;
        // SAFETY: the caller's.
        unsafe {
            S::call(TermSums {
                term: self.term::<S>(tile, block),
                gradient,
                vectors: tile.images * self.read.pixels(),
                sums: self.sums.add(at),
                products: self.products.add(at),
            });
        }
    }
}

/// The inputs of an operation that takes their sum, all read with one layout.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// Layout of the sum.
    pub layout: Layout,
    pub sources: &'a [Source],
}

impl Sources<'_> {
    /// Sums one block of the images of a tile of this layout into contiguous vectors.
    #[inline(always)]
    pub(super) unsafe fn gather<S: Simd>(&self, tile: Tile, block: usize, to: *mut f32) {
        for (number, source) in self.sources.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { source.activate::<S>((tile, block), number > 0, to) };
        }
    }

    /// Adds up every input's sums of one block of a tile.
    #[inline(always)]
    pub(super) unsafe fn add_sums<S: Simd>(&self, tile: Tile, block: usize, gradient: *const f32) {
        for source in self.sources {
            // SAFETY: the caller's.
            unsafe { source.add_sums::<S>((tile, block), gradient) };
        }
    }

    /// Where one block of a tile's gradient goes.
    #[inline(always)]
    pub(super) unsafe fn gradient(&self, tile: Tile, block: usize) -> *mut f32 {
        // SAFETY: the caller's: there is a source.
        unsafe { self.sources.get_unchecked(0).gradient.add(self.layout.plane(tile.first, block, tile.batch)) }
    }
}

impl RawOutput {
    /// Adds up the moments of one block of a tile, which is written already.
    #[inline(always)]
    pub(super) unsafe fn add_moments<S: Simd>(&self, images: Images, (tile, block): (Tile, usize)) {
        let at = block * S::LANES;
        // SAFETY: the caller's.
        unsafe {
            let Some(moments) = self.moments(tile.first == images.start) else { return };
            S::call(VectorMoments {
                values: self.to.add(self.layout.plane(tile.first, block, tile.batch)),
                vectors: tile.images * self.layout.pixels(),
                shift: moments.shift.add(at),
                sums: moments.sums.add(at),
                squares: moments.squares.add(at),
                first: moments.first,
            });
        }
    }
}

/// A consumer's gradient of the value, and what it is scaled with.
#[derive(Clone, Copy)]
pub(crate) struct Consumed {
    /// The whole batch, blocked.
    pub gradient: *const f32,
    /// Its layout: it may have fewer channels than the value.
    pub layout: Layout,
    /// `(padded channels of the value)`; 0 for channels that the consumer does not read.
    pub scale: *const f32,
}

/// The raw value, and what batch norm's backward and its ReLU make of it.
#[derive(Clone, Copy)]
pub(crate) struct OwnValue {
    /// The whole batch, blocked.
    pub values: *const f32,
    /// `(padded channels)` each: batch norm as `scale * x + shift`.
    pub scale: *const f32,
    pub shift: *const f32,
    /// Whether consumers apply a ReLU.
    pub relu: bool,
    /// `(padded channels)` each.
    pub of_value: *const f32,
    pub constant: *const f32,
}

/// How the gradient of a raw output is formed that any operations read.
#[derive(Clone, Copy)]
pub(crate) enum ValueGradient<'a> {
    /// As one weighted sum: no consumer activates its inputs.
    Sum(OutputGradient<'a>),
    /// From its consumers' gradients.
    Consumers {
        /// Layout of the value.
        layout: Layout,
        consumers: &'a [Consumed],
        /// `None`: neither batch norm nor ReLU.
        own: Option<OwnValue>,
        /// `(padded channels)` zeros.
        zeros: *const f32,
    },
    /// From the classifier's.
    Head(Layout, HeadGradient),
}

impl ValueGradient<'_> {
    /// Forms all blocks of a tile: `[block][row of the tile][lane]`.
    #[inline(always)]
    pub(crate) unsafe fn form<S: Simd>(&self, planes: &mut [Plane], tile: Tile, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                ValueGradient::Sum(gradient) => gradient.form::<S>(planes, tile, to),
                ValueGradient::Head(layout, head) => head.form::<S>(tile, layout, to),
                ValueGradient::Consumers { layout, consumers, own, zeros } => {
                    let vectors = tile.images * layout.pixels();
                    for block in 0..layout.blocks {
                        let to = to.add(block * vectors * S::LANES);
                        let planes = gradient_planes::<S>(planes, consumers, (tile, block));
                        S::call(Gather { planes, shift: *zeros, relu: false, to, vectors });
                        let Some(own) = own else { continue };
                        let at = block * S::LANES;
                        let term = Term {
                            values: own.values.add(layout.plane(tile.first, block, tile.batch)),
                            scale: own.scale.add(at),
                            shift: own.shift.add(at),
                            mean: *zeros,
                            relu: own.relu,
                        };
                        let (of_value, constant) = (own.of_value.add(at), own.constant.add(at));
                        S::call(Gate { term, of_value, constant, to, vectors });
                    }
                }
            }
        }
    }
}

/// The planes of the consumers that read this block.
#[inline(always)]
unsafe fn gradient_planes<'p, S: Simd>(
    planes: &'p mut [Plane],
    consumers: &[Consumed],
    (tile, block): (Tile, usize),
) -> &'p [Plane] {
    let mut count = 0;
    for consumer in consumers.iter().filter(|consumer| block < consumer.layout.blocks) {
        // SAFETY: the caller's.
        unsafe {
            let scale = consumer.scale.add(block * S::LANES);
            let values = consumer.gradient.add(consumer.layout.plane(tile.first, block, tile.batch));
            *planes.get_unchecked_mut(count) = Plane { values, scale, mean: scale };
        }
        count += 1;
    }
    &planes[..count]
}
