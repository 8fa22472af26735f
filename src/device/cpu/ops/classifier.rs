//! Batch norm, ReLU (perhaps), global average pool, dropout, the fully connected layer and the loss.

use super::super::gemm::{Product, Segments, Strided, WeightGradient};
use super::super::layout::Layout;
use super::super::simd::{Kernel, Simd};
use super::tile::{Images, Tile};

/// Memory of the classifier for a whole batch.
#[derive(Clone, Copy)]
pub(crate) struct ClassifierBuffers {
    /// `(batch, padded features)`: pooled features, after dropout.
    pub features: *mut f32,
    /// `(batch, padded features)`: first pixels that pass the ReLU, then the features' gradient over pixels.
    pub gradient: *mut f32,
    /// `(batch, padded features)`: pixels that pass the ReLU.
    pub passing: *mut f32,
    /// `(batch, padded features)`: the sum of those pixels' raw values less their mean over the batch.
    pub passing_values: *mut f32,
    /// `(batch, padded classes)`
    pub logits: *mut f32,
}

/// What the classifier reads.
#[derive(Clone, Copy)]
pub(crate) struct ClassifierInput {
    pub layout: Layout,
    /// The head's raw output.
    pub values: *const f32,
    /// `(padded channels)`: batch norm as `scale * x + shift`.
    pub scale: *const f32,
    pub shift: *const f32,
    /// `(padded channels)`: the batch norm's mean.
    pub mean: *const f32,
    /// Whether a ReLU follows the batch norm.
    pub relu: bool,
    /// `(batch, channels)`: 0 or 1 / (1 - p); null without dropout.
    pub mask: *const f32,
    /// Blocks of the padded classes.
    pub class_blocks: usize,
    /// Classes.
    pub classes: usize,
}

/// Labels and how they become targets.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// `(batch)`
    pub labels: *const u16,
    /// Share of the target spread over all classes.
    pub label_smoothing: f32,
}

/// The forward on one group: logits, the loss of each image and whether its label has the largest logit.
pub(crate) struct ClassifierForward {
    pub images: Images,
    pub input: ClassifierInput,
    pub buffers: ClassifierBuffers,
    /// `(features, classes)` in panels.
    pub weight: *const f32,
    /// `(padded classes)`
    pub bias: *const f32,
    pub target: Target,
    /// `(batch)`
    pub losses: *mut f32,
    /// `(batch)`: 1 or 0.
    pub correct: *mut u32,
}

impl Kernel for ClassifierForward {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let features = self.input.layout.padded_channels();
        let columns = self.input.class_blocks * S::LANES;
        let images = self.images.end - self.images.start;
        // SAFETY: the buffers hold the batch; groups are disjoint.
        unsafe {
            for image in self.images.start..self.images.end {
                self.pool::<S>(image);
            }
            let logits = self.buffers.logits.add(self.images.start * columns);
            let start = self.buffers.features.add(self.images.start * features).cast_const();
            let product = Product {
                rows: images,
                depth: Segments::blocks::<S>(self.input.layout.blocks),
                column_blocks: self.input.class_blocks,
                a: Strided { start, row_stride: features, segment_stride: S::LANES },
                b: self.weight,
                c: Strided { start: logits, row_stride: columns, segment_stride: S::LANES },
                moments: None,
            };
            S::call(product);
            for image in 0..images {
                let row = std::slice::from_raw_parts_mut(logits.add(image * columns), self.input.classes);
                for (class, logit) in row.iter_mut().enumerate() {
                    *logit += *self.bias.add(class);
                }
                let label = usize::from(*self.target.labels.add(self.images.start + image));
                *self.losses.add(self.images.start + image) = loss(row, label, self.target.label_smoothing);
                let best = *row.get_unchecked(label);
                let wins = row.iter().enumerate().all(|(class, &l)| l < best || class >= label && l <= best);
                *self.correct.add(self.images.start + image) = u32::from(wins);
            }
        }
    }
}

impl ClassifierForward {
    /// Pools one image: the mean over pixels of `relu(scale x + shift)`, and what the backward needs.
    #[inline(always)]
    unsafe fn pool<S: Simd>(&self, image: usize) {
        let layout = &self.input.layout;
        let pixels = layout.pixels();
        let channels = layout.padded_channels();
        // SAFETY: the caller's.
        unsafe {
            let one = S::splat(1.0);
            let share = S::splat(1.0 / pixels as f32);
            for block in 0..layout.blocks {
                let at = block * S::LANES;
                let from = self.input.values.add(layout.plane(image, block, self.images.batch));
                let (scale, shift) = (S::load(self.input.scale.add(at)), S::load(self.input.shift.add(at)));
                let mean = S::load(self.input.mean.add(at));
                let (mut sum, mut passing, mut values) = (S::zero(), S::zero(), S::zero());
                for pixel in 0..pixels {
                    let value = S::load(from.add(pixel * S::LANES));
                    let normalised = S::mul_add(value, scale, shift);
                    if self.input.relu {
                        sum = S::add(sum, S::relu(normalised));
                        passing = S::add(passing, S::where_positive(normalised, one));
                        values = S::add(values, S::where_positive(normalised, S::sub(value, mean)));
                    } else {
                        sum = S::add(sum, normalised);
                        passing = S::add(passing, one);
                        values = S::add(values, S::sub(value, mean));
                    }
                }
                let mut feature = S::mul(sum, share);
                if !self.input.mask.is_null() {
                    feature = S::mul(feature, S::load(self.input.mask.add(image * channels + at)));
                }
                S::store(self.buffers.features.add(image * channels + at), feature);
                S::store(self.buffers.passing.add(image * channels + at), passing);
                S::store(self.buffers.passing_values.add(image * channels + at), values);
            }
        }
    }
}

/// Cross-entropy with label smoothing: `log sum exp - (1 - s) logit[label] - s mean(logits)`.
#[inline(always)]
fn loss(logits: &[f32], label: usize, smoothing: f32) -> f32 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &l| m.max(l));
    let sum: f32 = logits.iter().map(|&l| (l - largest).exp()).sum();
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    largest + sum.ln() - (1.0 - smoothing) * logits[label] - smoothing * mean
}

/// The backward on one group.
pub(crate) struct ClassifierBackward {
    pub images: Images,
    pub input: ClassifierInput,
    pub buffers: ClassifierBuffers,
    /// `(classes, features)` in panels: the transpose.
    pub weight_transposed: *const f32,
    pub target: Target,
    /// Gradients, added to.
    pub weight_gradient: *mut f32,
    pub bias_gradient: *mut f32,
    /// `(padded features)`, added to: sums of the gradient behind the batch norm.
    pub sums: *mut f32,
    /// `(padded features)`, added to: sums of its product with the raw values less their mean.
    pub products: *mut f32,
}

impl Kernel for ClassifierBackward {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let features = self.input.layout.padded_channels();
        let columns = self.input.class_blocks * S::LANES;
        let (first, images) = (self.images.start, self.images.end - self.images.start);
        // SAFETY: the buffers hold the batch; groups are disjoint.
        unsafe {
            let logits = self.buffers.logits.add(first * columns);
            for image in 0..images {
                let row = std::slice::from_raw_parts_mut(logits.add(image * columns), self.input.classes);
                let label = usize::from(*self.target.labels.add(first + image));
                loss_gradient(row, label, self.target.label_smoothing, 1.0 / self.images.batch as f32);
                for (class, value) in row.iter().enumerate() {
                    *self.bias_gradient.add(class) += value;
                }
            }
            let logits = Strided { start: logits.cast_const(), row_stride: columns, segment_stride: S::LANES };
            let start = self.buffers.gradient.add(first * features);
            let product = Product {
                rows: images,
                depth: Segments::blocks::<S>(self.input.class_blocks),
                column_blocks: self.input.layout.blocks,
                a: logits,
                b: self.weight_transposed,
                c: Strided { start, row_stride: features, segment_stride: S::LANES },
                moments: None,
            };
            S::call(product);
            let start = self.buffers.features.add(first * features).cast_const();
            let gradient = WeightGradient {
                rows: images,
                depth: Segments::blocks::<S>(self.input.layout.blocks),
                column_blocks: self.input.class_blocks,
                a: Strided { start, row_stride: features, segment_stride: S::LANES },
                b: logits,
                c: self.weight_gradient,
            };
            S::call(gradient);
            self.unpool::<S>();
        }
    }
}

impl ClassifierBackward {
    /// The gradient of each pixel that passes the ReLU, and the batch norm's sums.
    #[inline(always)]
    unsafe fn unpool<S: Simd>(&self) {
        let layout = &self.input.layout;
        let channels = layout.padded_channels();
        // SAFETY: the caller's.
        unsafe {
            let share = S::splat(1.0 / layout.pixels() as f32);
            for block in 0..layout.blocks {
                let at = block * S::LANES;
                let (mut sum, mut product) = (S::zero(), S::zero());
                for image in self.images.start..self.images.end {
                    let offset = image * channels + at;
                    let mut gradient = S::mul(S::load(self.buffers.gradient.add(offset)), share);
                    if !self.input.mask.is_null() {
                        gradient = S::mul(gradient, S::load(self.input.mask.add(offset)));
                    }
                    S::store(self.buffers.gradient.add(offset), gradient);
                    sum = S::mul_add(gradient, S::load(self.buffers.passing.add(offset)), sum);
                    product = S::mul_add(gradient, S::load(self.buffers.passing_values.add(offset)), product);
                }
                S::store(self.sums.add(at), S::add(S::load(self.sums.add(at)), sum));
                S::store(self.products.add(at), S::add(S::load(self.products.add(at)), product));
            }
        }
    }
}

/// Turns logits into the gradient of `share * loss`.
#[inline(always)]
fn loss_gradient(logits: &mut [f32], label: usize, smoothing: f32, share: f32) {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &l| m.max(l));
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    let spread = smoothing / logits.len() as f32;
    for logit in logits.iter_mut() {
        *logit = (*logit / sum - spread) * share;
    }
    logits[label] -= (1.0 - smoothing) * share;
}

/// How the head's raw output's gradient is formed: batch norm's backward of the pooled gradient where the ReLU passes.
#[derive(Clone, Copy)]
pub(crate) struct HeadGradient {
    /// Whether there is a ReLU; without one every pixel passes.
    pub relu: bool,
    /// The head's raw output.
    pub values: *const f32,
    /// `(padded channels)`: batch norm as `scale * x + shift`.
    pub scale: *const f32,
    pub shift: *const f32,
    /// `(batch, padded channels)`: gradient of every pixel that passes.
    pub gradient: *const f32,
    /// `(padded channels)`: the backward is `of_gradient * g + of_value * x + constant`.
    pub of_gradient: *const f32,
    pub of_value: *const f32,
    pub constant: *const f32,
}

impl HeadGradient {
    /// Forms all blocks of a tile: `[block][row of the tile][lane]`.
    #[inline(always)]
    pub(super) unsafe fn form<S: Simd>(&self, tile: Tile, layout: &Layout, to: *mut f32) {
        let pixels = layout.pixels();
        let channels = layout.padded_channels();
        // SAFETY: the caller's.
        unsafe {
            let mut to = to;
            for block in 0..layout.blocks {
                let at = block * S::LANES;
                let (scale, shift) = (S::load(self.scale.add(at)), S::load(self.shift.add(at)));
                let (of_value, constant) = (S::load(self.of_value.add(at)), S::load(self.constant.add(at)));
                for image in tile.first..tile.first + tile.images {
                    let gradient = S::load(self.gradient.add(image * channels + at));
                    let passing = S::mul(gradient, S::load(self.of_gradient.add(at)));
                    let from = self.values.add(layout.plane(image, block, tile.batch));
                    for pixel in 0..pixels {
                        let value = S::load(from.add(pixel * S::LANES));
                        let rest = S::mul_add(value, of_value, constant);
                        let passing = match self.relu {
                            true => S::where_positive(S::mul_add(value, scale, shift), passing),
                            false => passing,
                        };
                        S::store(to, S::add(passing, rest));
                        to = to.add(S::LANES);
                    }
                }
            }
        }
    }
}
