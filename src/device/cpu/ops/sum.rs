//! The plain sum of activated inputs.

use super::super::simd::{Kernel, Simd};
use super::sources::{Sources, ValueGradient};
use super::tile::{Images, RawOutput, Scratch};

/// The forward on one group.
pub(crate) struct SumForward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub output: RawOutput,
}

impl Kernel for SumForward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.output.layout;
        for tile in self.images.tiles(&layout) {
            for block in 0..layout.blocks {
                // SAFETY: operands and target hold a batch of the layout; groups are disjoint.
                unsafe {
                    let to = self.output.to.add(layout.plane(tile.first, block, tile.batch));
                    self.inputs.gather::<S>(tile, block, to);
                    self.output.add_moments::<S>(self.images, (tile, block));
                }
            }
        }
    }
}

/// The backward on one group.
pub(crate) struct SumBackward<'a> {
    pub images: Images,
    pub inputs: Sources<'a>,
    pub gradient: ValueGradient<'a>,
    pub scratch: &'a mut Scratch,
}

impl Kernel for SumBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let layout = self.inputs.layout;
        for tile in self.images.tiles(&layout) {
            let floats = tile.images * layout.image_floats();
            // SAFETY: scratch and operands have the sizes of the layouts; groups are disjoint.
            unsafe {
                let outputs = self.scratch.outputs_gradient.as_mut_ptr();
                self.gradient.form::<S>(&mut self.scratch.planes, tile, outputs);
                let to = self.inputs.gradient(tile, 0);
                std::ptr::copy_nonoverlapping(outputs, to, floats);
                for block in 0..layout.blocks {
                    let gradient = to.add(block * tile.images * layout.pixels() * S::LANES);
                    self.inputs.add_sums::<S>(tile, block, gradient);
                }
            }
        }
    }
}
