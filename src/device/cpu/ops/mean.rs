//! The plain mean of values: a stage's output.

use super::super::simd::{Kernel, Simd};
use super::tile::{Images, Inputs, OutputGradient, Scratch, Statistics};

/// The forward on one group; the scales hold 1 / inputs.
pub(crate) struct MeanForward<'a> {
    pub images: Images,
    pub inputs: Inputs<'a>,
    pub to: *mut f32,
    pub scratch: &'a mut Scratch,
}

impl Kernel for MeanForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.inputs.layout;
        for tile in self.images.tiles(&layout) {
            for block in 0..layout.blocks {
                // SAFETY: operands and target hold a batch of the layout; groups are disjoint.
                unsafe {
                    let to = self.to.add(layout.plane(tile.first, block, tile.batch));
                    self.inputs.gather_tile::<S>(&mut self.scratch.planes, tile, block, to);
                }
            }
        }
    }
}

/// The backward on one group: sums the consumers' gradients.
pub(crate) struct MeanBackward<'a> {
    pub images: Images,
    pub inputs: Inputs<'a>,
    pub gradient: OutputGradient<'a>,
    /// Where the gradient goes. May be the output's own memory.
    pub to: *mut f32,
    pub statistics: Statistics,
    pub scratch: &'a mut Scratch,
}

impl Kernel for MeanBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.inputs.layout;
        let scratch = self.scratch;
        for tile in self.images.tiles(&layout) {
            for block in 0..layout.blocks {
                // SAFETY: operands and target hold a batch of the layout; groups are disjoint.
                unsafe {
                    let to = self.to.add(layout.plane(tile.first, block, tile.batch));
                    self.gradient.inputs.gather_tile::<S>(&mut scratch.planes, tile, block, to);
                    let planes = self.inputs.planes::<S>(&mut scratch.planes, tile.first, block, tile.batch);
                    self.statistics.add::<S>(planes, block, to, tile.images * layout.pixels());
                }
            }
        }
    }
}
