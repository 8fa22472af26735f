//! Record of `kernels/depthwise.cu`.

use super::super::storage::Storage;
use super::{BadTask, Checker, Lists, Task, Work, product, slices};
use bytemuck::{Pod, Zeroable};

/// Pixels of a tile.
const PIXELS: usize = 64;
/// Pixels of a forward tile with stride 2, whose window is larger.
const STRIDED_PIXELS: usize = 32;
/// Pixels on a tile's other side that shared memory has room for.
const HALO: usize = 192;
/// Tiles of a full group in the backward: a block adds up their sums.
const TILES_A_GROUP: u32 = 4;

/// Sizes of a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Images of the batch.
    pub images: u32,
    /// Padded channels.
    pub channels: u32,
    /// Rows of the input.
    pub in_height: u32,
    /// Columns of the input.
    pub in_width: u32,
    /// 1 or 2.
    pub stride: u32,
}

impl DepthwiseShape {
    /// Rows of the output.
    pub fn height(&self) -> u32 {
        (self.in_height - 1) / self.stride + 1
    }

    /// Columns of the output.
    pub fn width(&self) -> u32 {
        (self.in_width - 1) / self.stride + 1
    }
}

/// A tile of `2^rows * 2^columns` pixels of `2^images` images.
#[derive(Clone, Copy)]
struct Tile {
    rows: u32,
    columns: u32,
    images: u32,
}

impl Tile {
    /// As near to a square as the plane allows, then as many images as there is room for. `window` is how many pixels a
    /// number of pixels in a row touches on the other side.
    fn new(height: u32, width: u32, pixels: usize, window: impl Fn(usize) -> usize) -> Self {
        let log = |size: u32| size.next_power_of_two().trailing_zeros();
        let columns = log(width).min(3);
        let rows = log(height).min(pixels.trailing_zeros() - columns).min(3);
        let plane = window(1 << rows) * window(1 << columns);
        let room = (HALO / plane).min(pixels >> (rows + columns));
        Tile { rows, columns, images: room.max(1).ilog2() }
    }

    fn count(&self, height: u32, width: u32, images: u32) -> u32 {
        height.div_ceil(1 << self.rows) * width.div_ceil(1 << self.columns) * images.div_ceil(1 << self.images)
    }
}

/// Gather, ReLU and depthwise 3x3 convolution, and its backward.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct DepthwiseTask {
    /// `(images, height, width, channels)` values: written by the forward; its gradient, read by the backward.
    pub output: u64,
    /// `(images, in height, in width, channels)` values, written by the backward: gradient before the ReLU.
    pub gradient: u64,
    /// `(9, channels)` parameters.
    pub weight: u64,
    /// `(groups, 1 + edges, channels)` floats.
    pub sums: u64,
    /// `(groups, 9, channels)` floats.
    pub weight_gradients: u64,
    /// In the list of edges.
    pub first_edge: u32,
    /// How many.
    pub edges: u32,
    images: u32,
    channels: u32,
    in_height: u32,
    in_width: u32,
    height: u32,
    width: u32,
    stride: u32,
    log_rows: u32,
    log_columns: u32,
    log_images: u32,
    back_log_rows: u32,
    back_log_columns: u32,
    back_log_images: u32,
    tiles_a_group: u32,
}

impl DepthwiseTask {
    /// The task of a shape; offsets and edges are zero.
    pub fn new(shape: DepthwiseShape) -> Self {
        let DepthwiseShape { images, channels, in_height, in_width, stride } = shape;
        let (height, width) = (shape.height(), shape.width());
        let pixels = if stride == 1 { PIXELS } else { STRIDED_PIXELS };
        let tile = Tile::new(height, width, pixels, |size| (size - 1) * stride as usize + 3);
        let back = Tile::new(in_height, in_width, PIXELS, |size| match stride {
            1 => size + 2,
            _ => size.div_ceil(2) + 1,
        });
        DepthwiseTask {
            images,
            channels,
            in_height,
            in_width,
            height,
            width,
            stride,
            log_rows: tile.rows,
            log_columns: tile.columns,
            log_images: tile.images,
            back_log_rows: back.rows,
            back_log_columns: back.columns,
            back_log_images: back.images,
            tiles_a_group: TILES_A_GROUP,
            ..Zeroable::zeroed()
        }
    }

    /// Elements of an input and of the output, and inputs.
    fn sizes(&self) -> (f64, f64, f64) {
        let inputs = product([self.images, self.in_height, self.in_width, self.channels]);
        (inputs, product([self.images, self.height, self.width, self.channels]), self.edges.into())
    }

    fn back_tiles(&self) -> u32 {
        let tile = Tile { rows: self.back_log_rows, columns: self.back_log_columns, images: self.back_log_images };
        tile.count(self.in_height, self.in_width, self.images)
    }

    /// Groups of the backward's tiles, each with its own partial sums.
    pub fn groups(&self) -> u32 {
        self.back_tiles().div_ceil(self.tiles_a_group)
    }
}

impl Task for DepthwiseTask {
    fn tiles(&self, _: Storage) -> u64 {
        let tile = Tile { rows: self.log_rows, columns: self.log_columns, images: self.log_images };
        u64::from(tile.count(self.height, self.width, self.images)) * slices(self.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        let (inputs, outputs, edges) = self.sizes();
        let bytes = (edges * inputs + outputs) * lists.storage.bytes() as f64 + 36.0 * f64::from(self.channels);
        Work { bytes, flops: 2.0 * edges * inputs + 18.0 * outputs }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        let extents = &lists.extents;
        let check = Checker { record: "depthwise" };
        let (channels, images, groups) = (u64::from(self.channels), u64::from(self.images), u64::from(self.groups()));
        let pixels = |height: u32, width: u32| images * u64::from(height) * u64::from(width);
        check.channels(self.channels)?;
        let inputs = pixels(self.in_height, self.in_width) * channels;
        check.edges(lists, self.first_edge, self.edges, (inputs, self.channels))?;
        check.region("output", self.output, pixels(self.height, self.width) * channels, extents.values)?;
        check.region("gradient", self.gradient, inputs, extents.values)?;
        check.region("weight", self.weight, 9 * channels, extents.parameters)?;
        check.region("sums", self.sums, groups * (1 + u64::from(self.edges)) * channels, extents.floats)?;
        check.region("weight gradients", self.weight_gradients, groups * 9 * channels, extents.floats)
    }
}

/// The same task, for the backward.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct DepthwiseBackward(pub DepthwiseTask);

impl Task for DepthwiseBackward {
    fn tiles(&self, _: Storage) -> u64 {
        u64::from(self.0.groups()) * slices(self.0.channels)
    }

    fn work(&self, lists: &Lists) -> Work {
        let (inputs, outputs, edges) = self.0.sizes();
        let values = (edges + 1.0) * inputs + outputs;
        let floats = product([self.0.groups(), 10 + self.0.edges, self.0.channels]) + product([9, self.0.channels]);
        // The weighted sum again, both gradients of the convolution, the sums of the gradient and its products.
        let flops = 2.0 * edges * inputs + 36.0 * outputs + (1.0 + 2.0 * edges) * inputs;
        Work { bytes: values * lists.storage.bytes() as f64 + 4.0 * floats, flops }
    }

    fn check(&self, lists: &Lists) -> Result<(), BadTask> {
        self.0.check(lists)
    }
}
