//! How activations and weights lie in memory.
//!
//! Activations are channel-blocked: `[tile][channel block][image of the tile][row][column][lane]`. A block is as wide as
//! a vector, so that everything that is done per channel (batch norm, depthwise convolution, sums) keeps its
//! coefficients in registers while it walks contiguous pixels, and so that no row stride is a power of two that makes
//! cache lines collide. A tile is a few images: enough rows for the matrix product, few enough for the cache.

use crate::net::ValueShape;

/// Images whose partial sums are added up by one thread, in order. The partition is fixed, so that results do not depend
/// on the number of threads.
pub(crate) const GROUP_IMAGES: usize = 16;

/// Least number of matrix rows (pixels) in a tile, if a group has as many.
const TILE_ROWS: usize = 96;

/// The blocked layout of one value in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Channels that mean something; the rest of the last block is zero.
    pub channels: usize,
    /// Channel blocks.
    pub blocks: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Images in a full tile: a power of two, at most [`GROUP_IMAGES`], that does not shrink as images do.
    pub tile: usize,
    /// Lanes of a block.
    pub lanes: usize,
}

/// Channels rounded up to whole blocks.
pub(crate) fn padded(channels: usize, lanes: usize) -> usize {
    channels.div_ceil(lanes) * lanes
}

impl Layout {
    pub(crate) fn new(shape: ValueShape, lanes: usize) -> Self {
        let pixels = shape.height * shape.width;
        let mut tile = 1;
        while tile < GROUP_IMAGES && tile * pixels < TILE_ROWS {
            tile *= 2;
        }
        Layout {
            channels: shape.channels,
            blocks: shape.channels.div_ceil(lanes),
            height: shape.height,
            width: shape.width,
            tile,
            lanes,
        }
    }

    /// Pixels of one image.
    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Channels with padding.
    pub(crate) fn padded_channels(&self) -> usize {
        self.blocks * self.lanes
    }

    /// Floats of one image.
    pub(crate) fn image_floats(&self) -> usize {
        self.padded_channels() * self.pixels()
    }

    /// Where the plane (one channel block of one image) starts, in a batch of `batch` images.
    pub(crate) fn plane(&self, image: usize, block: usize, batch: usize) -> usize {
        let first = image / self.tile * self.tile;
        let images = self.tile.min(batch - first);
        first * self.image_floats() + (block * images + (image - first)) * self.pixels() * self.lanes
    }
}

/// How the columns of a weight matrix are split into panels: widths in blocks, each 1 to 3. Pairs, as far as they go: two
/// blocks by six rows fill twelve of sixteen vector registers and leave room for what is loaded. An odd rest makes the
/// last panel three wide.
pub(crate) fn panel_widths(blocks: usize) -> impl Iterator<Item = usize> {
    let last = match blocks {
        0 => None,
        _ if blocks.is_multiple_of(2) => None,
        1 => Some(1),
        _ => Some(3),
    };
    let pairs = (blocks - last.unwrap_or(0)) / 2;
    std::iter::repeat_n(2, pairs).chain(last)
}

/// Where element (row, column) of a matrix packed in panels lies: panel after panel, each `[row][column of the panel]`.
pub(crate) fn panel_index(rows: usize, blocks: usize, lanes: usize, row: usize, column: usize) -> usize {
    let mut first = 0;
    for width in panel_widths(blocks) {
        let columns = width * lanes;
        if column < first + columns {
            return first * rows + row * columns + column - first;
        }
        first += columns;
    }
    unreachable!("column {column} of a matrix of {blocks} blocks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_every_block_once() {
        for blocks in 1..200 {
            let widths: Vec<usize> = panel_widths(blocks).collect();
            assert_eq!(widths.iter().sum::<usize>(), blocks);
            assert!(widths.iter().all(|&w| (1..=3).contains(&w)));
            assert!(blocks == 1 || !widths.contains(&1));
        }
    }

    #[test]
    fn panel_index_is_a_bijection() {
        let (rows, blocks, lanes) = (5, 7, 8);
        let mut seen = vec![false; rows * blocks * lanes];
        for row in 0..rows {
            for column in 0..blocks * lanes {
                assert!(!std::mem::replace(&mut seen[panel_index(rows, blocks, lanes, row, column)], true));
            }
        }
    }

    #[test]
    fn planes_tile_a_batch_without_overlap() {
        let shape = ValueShape { channels: 20, height: 4, width: 4, norm: None, relu: false };
        let layout = Layout::new(shape, 8);
        for batch in [1, 7, 8, 19, 32] {
            let mut starts: Vec<usize> =
                (0..batch).flat_map(|i| (0..layout.blocks).map(move |b| layout.plane(i, b, batch))).collect();
            starts.sort_unstable();
            let expected: Vec<usize> = (0..batch * layout.blocks).map(|i| i * 16 * 8).collect();
            assert_eq!(starts, expected);
        }
    }

    #[test]
    fn tiles_do_not_shrink_as_images_do() {
        let tile =
            |side| Layout::new(ValueShape { channels: 8, height: side, width: side, norm: None, relu: false }, 8).tile;
        for side in 1..64 {
            assert!(tile(side) >= tile(side + 1) && GROUP_IMAGES.is_multiple_of(tile(side)));
        }
    }
}
