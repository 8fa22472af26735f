//! Images made from the seed, for tests: gratings of four directions.

use crate::data::dataset::{Facts, Images, Pixels};
use crate::net::ImageShape;
use crate::random::{Purpose, Stream, StreamKey};
use rand::RngExt;
use std::f64::consts::FRAC_1_SQRT_2;

const IMAGES: usize = 1200;
const SIDE: usize = 12;
/// Unit vectors across the stripes: a class each. Mirroring swaps the diagonals, so there is no flipping.
const DIRECTIONS: [[f64; 2]; 4] =
    [[1.0, 0.0], [FRAC_1_SQRT_2, FRAC_1_SQRT_2], [0.0, 1.0], [FRAC_1_SQRT_2, -FRAC_1_SQRT_2]];

/// 1200 grey images of 12x12, 300 for each of four classes. The class is the direction of stripes whose width, phase
/// and contrast vary, under noise. The expected image of every class is flat grey, so a linear classifier does
/// badly, but a small convolutional network soon learns.
pub(in crate::data) fn images(seed: u64) -> Images {
    let shape = ImageShape { channels: 1, height: SIDE, width: SIDE };
    let facts = Facts {
        name: "synthetic stripes".into(),
        shape,
        classes: (0..DIRECTIONS.len()).map(|class| format!("direction {class}")).collect(),
        flip: false,
        padding: 2,
        training: IMAGES,
    };
    let mut pixels = Vec::with_capacity(IMAGES * SIDE * SIDE);
    let mut labels = Vec::with_capacity(IMAGES);
    for image in 0..IMAGES {
        let class = image % DIRECTIONS.len();
        let key = StreamKey { seed, purpose: Purpose::Synthetic, candidate: image as u64, epoch: 0 };
        push_image(&mut pixels, DIRECTIONS[class], &mut key.stream());
        labels.push(class as u16);
    }
    Images { facts, pixels: Pixels::Memory(pixels), labels, known_checksum: None }
}

fn push_image(pixels: &mut Vec<u8>, direction: [f64; 2], rng: &mut Stream) {
    let period = rng.random_range(4.0..7.0);
    let phase = rng.random_range(0.0..1.0);
    let contrast = rng.random_range(30.0..90.0);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let across = column as f64 * direction[0] + row as f64 * direction[1];
            let noise = rng.random_range(-60.0..60.0);
            pixels.push((127.5 + contrast * triangle(across / period + phase) + noise).clamp(0.0, 255.0) as u8);
        }
    }
}

/// A wave of period 1 between -1 and 1. Unlike a sine it is the same number on every machine.
fn triangle(x: f64) -> f64 {
    4.0 * ((x - x.floor()) - 0.5).abs() - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = SIDE * SIDE;

    /// Share of the images of the second half for which `guess` gives the class.
    fn accuracy(all: &Images, guess: impl Fn(&[u8]) -> usize) -> f64 {
        let pairs = all.pixels.chunks_exact(PIXELS).zip(&all.labels).skip(IMAGES / 2);
        pairs.filter(|(image, label)| guess(image) == usize::from(**label)).count() as f64 / (IMAGES / 2) as f64
    }

    /// The direction in which neighbours differ least is along the stripes.
    fn by_differences(image: &[u8]) -> usize {
        let along: [[i32; 2]; 4] = [[0, 1], [1, -1], [1, 0], [1, 1]];
        let side = SIDE as i32;
        let pixel = |x: i32, y: i32| i64::from(image[(y * side + x) as usize]);
        let roughness = |[dx, dy]: [i32; 2]| -> i64 {
            let inside = (1..side - 1).flat_map(|y| (1..side - 1).map(move |x| (x, y)));
            inside.map(|(x, y)| (pixel(x, y) - pixel(x + dx, y + dy)).pow(2)).sum()
        };
        (0..4).min_by_key(|&class| roughness(along[class])).unwrap()
    }

    #[test]
    fn stripes_can_be_told_by_their_texture_but_not_by_their_mean() {
        let all = images(1);
        let mut means = [[0.0; PIXELS]; 4];
        for (image, &label) in all.pixels.chunks_exact(PIXELS).zip(&all.labels).take(IMAGES / 2) {
            for (mean, &pixel) in means[usize::from(label)].iter_mut().zip(image) {
                *mean += f64::from(pixel) / (IMAGES / 8) as f64;
            }
        }
        let distance = |image: &[u8], class: usize| -> f64 {
            means[class].iter().zip(image).map(|(m, &p)| (m - f64::from(p)).powi(2)).sum()
        };
        let by_mean = |image: &[u8]| (0..4).min_by(|&a, &b| distance(image, a).total_cmp(&distance(image, b))).unwrap();
        let (texture, mean) = (accuracy(&all, by_differences), accuracy(&all, by_mean));
        assert!((0.75..1.0).contains(&texture), "{texture}");
        assert!(mean <= 0.5, "{mean}");
    }

    #[test]
    fn the_seed_decides_all() {
        let (a, b, c) = (images(1), images(1), images(2));
        assert!(*a.pixels == *b.pixels && a.labels == b.labels);
        assert!(*a.pixels != *c.pixels);
        assert_eq!((a.pixels.len(), a.labels.len()), (IMAGES * PIXELS, IMAGES));
    }
}
