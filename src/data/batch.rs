//! Filling of batches: normalisation and augmentation.

use super::Dataset;
use crate::net::ImageShape;
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;

/// ChaCha's words in a block; every image of an epoch has a block of its own in the epoch's stream.
const WORDS_PER_BLOCK: u128 = 16;

/// Random crops with the data set's padding and, where it allows, horizontal flips. An image's crop depends on the image
/// and on the fields here, not on its place in a batch nor on threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augment {
    /// The run's seed.
    pub seed: u64,
    /// The candidate that is trained.
    pub candidate: u64,
    /// The epoch.
    pub epoch: u64,
}

/// Which images to put into a batch, and how.
#[derive(Clone, Copy, Debug)]
pub struct BatchRequest<'a> {
    /// Image numbers.
    pub indices: &'a [u32],
    /// `None`: the images as they are.
    pub augment: Option<Augment>,
}

/// Where the pixels of a batch's image come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Black pixels around the image.
    pub padding: usize,
    /// Row of the padded image that becomes row 0, 0..=2 * padding.
    pub top: usize,
    /// Column of the padded image that becomes column 0 (before the flip), 0..=2 * padding.
    pub left: usize,
    /// Whether the crop is mirrored.
    pub flip: bool,
}

/// What a data set's images allow.
#[derive(Clone, Copy)]
struct Freedom {
    padding: usize,
    flip: bool,
}

impl View {
    /// The image as it is.
    fn unchanged(padding: usize) -> Self {
        View { padding, top: padding, left: padding, flip: false }
    }

    fn random(rng: &mut Stream, index: u32, freedom: Freedom) -> Self {
        let padding = freedom.padding;
        rng.set_word_pos(u128::from(index) * WORDS_PER_BLOCK);
        let top = rng.random_range(0..=2 * padding as u32) as usize;
        let left = rng.random_range(0..=2 * padding as u32) as usize;
        View { padding, top, left, flip: rng.random_bool(0.5) && freedom.flip }
    }

    /// Copies pixels, `(height, width, channels)`, normalised by the channel's table.
    fn copy(self, shape: ImageShape, table: &[[f32; 256]], pixels: &[u8], out: &mut [f32]) {
        let row_size = shape.width * shape.channels;
        for (y, out_row) in out.chunks_exact_mut(row_size).enumerate() {
            let row = (y + self.top).checked_sub(self.padding).filter(|&row| row < shape.height);
            let row = row.map_or(&[][..], |row| &pixels[row * row_size..][..row_size]);
            for (channel, table) in table.iter().enumerate() {
                let source = row.iter().skip(channel).step_by(shape.channels).map(|&pixel| table[usize::from(pixel)]);
                let source = source.skip(self.left.saturating_sub(self.padding));
                let black = std::iter::repeat(table[0]);
                let cropped = black.clone().take(self.padding.saturating_sub(self.left)).chain(source).chain(black);
                let target = out_row.iter_mut().skip(channel).step_by(shape.channels);
                if self.flip {
                    target.rev().zip(cropped).for_each(|(value, pixel)| *value = pixel);
                } else {
                    target.zip(cropped).for_each(|(value, pixel)| *value = pixel);
                }
            }
        }
    }
}

impl Dataset {
    /// Writes the normalised images, `(batch, height, width, channels)`, and their labels, `(batch)`.
    ///
    /// # Panics
    /// If a slice has another length, or there is no such image.
    pub fn fill_batch(&self, request: BatchRequest, images: &mut [f32], labels: &mut [u16]) {
        let shape = self.shape();
        let size = shape.channels * shape.height * shape.width;
        assert_eq!(images.len(), request.indices.len() * size, "pixels of the batch");
        assert_eq!(labels.len(), request.indices.len(), "labels of the batch");
        let views = self.views(request);
        for (((&index, view), image), label) in
            request.indices.iter().zip(views).zip(images.chunks_exact_mut(size)).zip(labels)
        {
            view.copy(shape, self.normalised(), self.image(index), image);
            *label = self.labels()[index as usize];
        }
    }

    /// How a batch's images are cropped and mirrored, one after the other.
    pub fn views(&self, request: BatchRequest) -> impl Iterator<Item = View> {
        let mut stream = request.augment.map(Augment::stream);
        let freedom = Freedom { padding: self.padding(), flip: self.flip() };
        let unchanged = View::unchanged(freedom.padding);
        let view = move |&index: &u32| stream.as_mut().map_or(unchanged, |stream| View::random(stream, index, freedom));
        request.indices.iter().map(view)
    }
}

impl Augment {
    fn stream(self) -> Stream {
        let Augment { seed, candidate, epoch } = self;
        StreamKey { seed, purpose: Purpose::Augment, candidate, epoch }.stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::Images;

    const FREE: Freedom = Freedom { padding: 2, flip: true };

    /// Two images of 3 rows, 4 columns and 2 channels, of ascending pixels: 0..24 and 24..48. Channel 1 of image i counts
    /// from 1. `normalised` undone, a value tells its pixel.
    fn dataset(flip: bool) -> Dataset {
        let shape = ImageShape { channels: 2, height: 3, width: 4 };
        let mut images = Images::made_up(shape, 2, (0..48).collect(), vec![1, 0]);
        images.facts.flip = flip;
        Dataset::new(images, &[0, 1])
    }

    fn denormalised(data: &Dataset, batch: &[f32]) -> Vec<i64> {
        let pixel = |(i, value): (usize, &f32)| (value * data.deviation()[i % 2] + data.mean()[i % 2]) * 255.0;
        batch.iter().enumerate().map(pixel).map(|value| value.round() as i64).collect()
    }

    fn filled(data: &Dataset, indices: &[u32], augment: Option<Augment>) -> (Vec<f32>, Vec<u16>) {
        let (mut images, mut labels) = (vec![f32::NAN; 24 * indices.len()], vec![9; indices.len()]);
        data.fill_batch(BatchRequest { indices, augment }, &mut images, &mut labels);
        (images, labels)
    }

    #[test]
    fn plain_images_are_normalised_channel_by_channel() {
        let data = dataset(true);
        let (batch, labels) = filled(&data, &[1, 0, 1], None);
        assert_eq!(labels, [0, 1, 0]);
        assert_eq!(denormalised(&data, &batch), (24..48).chain(0..24).chain(24..48).collect::<Vec<i64>>());
        // Channel 0 has the pixels 0, 2, ..., 46: mean 23, variance (24^2 - 1) / 12 * 4.
        let deviation = (575.0f64 / 3.0).sqrt();
        for (i, value) in batch[24..48].iter().enumerate() {
            let expected = ((i - i % 2) as f64 - 23.0) / deviation;
            assert!((f64::from(*value) - expected).abs() <= 1e-6, "{i}: {value} {expected}");
        }
        let (mut images, mut labels) = (vec![0.0; 48], vec![0; 2]);
        data.fill_batch(BatchRequest { indices: &[0, 1], augment: None }, &mut images, &mut labels);
        let mean: f32 = images.iter().sum::<f32>() / 48.0;
        let square: f32 = images.iter().map(|value| value * value).sum::<f32>() / 48.0;
        assert!(mean.abs() <= 1e-6 && (square - 1.0).abs() <= 1e-5, "{mean} {square}");
    }

    #[test]
    fn a_constant_channel_is_only_centred() {
        let shape = ImageShape { channels: 1, height: 1, width: 2 };
        let data = Dataset::new(Images::made_up(shape, 1, vec![51; 2], vec![0]), &[0]);
        assert_eq!(data.deviation(), [1.0]);
        assert!(data.normalised()[0][51].abs() <= 1e-7);
        assert!((data.normalised()[0][102] - 0.2).abs() <= 1e-7);
    }

    #[test]
    fn crops_and_flips_are_those_of_a_drawing() {
        let data = dataset(true);
        // Channel 0 of image 0 is   0  2  4  6      channel 1 the same plus 1.
        //                           8 10 12 14
        //                          16 18 20 22
        let first_channel = |view: View| -> Vec<i64> {
            let mut out = vec![f32::NAN; 24];
            view.copy(data.shape(), data.normalised(), data.image(0), &mut out);
            let pixels = denormalised(&data, &out);
            for pair in pixels.chunks(2) {
                assert!(pair[1] == pair[0] + 1 || pair == [0, 0]);
            }
            pixels.into_iter().step_by(2).collect()
        };
        let view = |top, left, flip| View { padding: 2, top, left, flip };
        assert_eq!(first_channel(view(2, 2, false)), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]);
        assert_eq!(first_channel(view(2, 2, true)), [6, 4, 2, 0, 14, 12, 10, 8, 22, 20, 18, 16]);
        assert_eq!(first_channel(view(1, 2, false)), [0, 0, 0, 0, 0, 2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(first_channel(view(4, 2, false)), [16, 18, 20, 22, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first_channel(view(2, 0, false)), [0, 0, 0, 2, 0, 0, 8, 10, 0, 0, 16, 18]);
        assert_eq!(first_channel(view(2, 3, false)), [2, 4, 6, 0, 10, 12, 14, 0, 18, 20, 22, 0]);
        assert_eq!(first_channel(view(3, 3, true)), [0, 14, 12, 10, 0, 22, 20, 18, 0, 0, 0, 0]);
        // Under more padding the same window lies further in, and the black may fill all of it.
        assert_eq!(first_channel(View { padding: 4, top: 5, left: 5, flip: true }), first_channel(view(3, 3, true)));
        assert_eq!(first_channel(View { padding: 4, top: 0, left: 8, flip: false }), [0; 12]);
    }

    #[test]
    fn an_image_is_augmented_alike_in_any_batch_and_differently_in_any_other_epoch() {
        let data = dataset(true);
        let augment = Augment { seed: 1, candidate: 2, epoch: 3 };
        let (both, _) = filled(&data, &[0, 1], Some(augment));
        let (swapped, _) = filled(&data, &[1, 0], Some(augment));
        let (alone, _) = filled(&data, &[1], Some(augment));
        assert!(both[..24] == swapped[24..] && both[24..] == swapped[..24] && both[24..] == alone);
        let views = |augment: Augment| -> Vec<View> {
            (0..50).map(|index| View::random(&mut augment.stream(), index, FREE)).collect()
        };
        for other in
            [Augment { seed: 2, ..augment }, Augment { candidate: 3, ..augment }, Augment { epoch: 4, ..augment }]
        {
            assert_ne!(views(augment), views(other));
        }
    }

    #[test]
    fn all_views_are_equally_likely() {
        let mut stream = Augment { seed: 1, candidate: 0, epoch: 0 }.stream();
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..50_000 {
            let view = View::random(&mut stream, index, FREE);
            *counts.entry((view.top, view.left, view.flip)).or_insert(0) += 1;
            assert!(!View::random(&mut stream, index, Freedom { flip: false, ..FREE }).flip);
        }
        assert_eq!(counts.len(), 50);
        // Chi-square of 49 degrees of freedom: 85.4 is exceeded with probability 0.001.
        let chi_square: f64 = counts.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_square <= 85.4, "{chi_square}");
    }
}
