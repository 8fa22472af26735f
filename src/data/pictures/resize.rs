//! Resizing as Pillow does it with its bilinear filter (and torchvision's `Resize` and `CenterCrop` on Pillow images):
//! a triangle as wide as the reduction, horizontally, then vertically, weights in fixed point, bytes in between.

use super::{MOST_PIXELS, Picture, PictureError};

/// Bits of a weight's fraction (Pillow's PRECISION_BITS for 8-bit images).
const FRACTION_BITS: u32 = 32 - 8 - 2;

/// The picture with its shorter side brought to `side`, then its middle, `side x side`.
///
/// # Errors
/// It is so long that the resized one would be too large.
pub(in crate::data) fn resized_and_cropped(picture: Picture, side: usize) -> Result<Picture, PictureError> {
    let (height, width) = (picture.height.max(1), picture.width.max(1));
    let (new_height, new_width) =
        if width <= height { (side * height / width, side) } else { (side, side * width / height) };
    if new_height * new_width > MOST_PIXELS {
        return Err(PictureError::Size { height: new_height, width: new_width });
    }
    Ok(cropped(resized(picture, new_height, new_width), side))
}

fn resized(mut picture: Picture, height: usize, width: usize) -> Picture {
    if picture.width != width {
        picture = horizontally(&picture, width);
    }
    if picture.height != height {
        picture = vertically(&picture, height);
    }
    picture
}

/// The weights of the inputs that one output is made of.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of every output, from `from` inputs to `to` outputs.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let reciprocal = 1.0 / support;
    let one = f64::from(1u32 << FRACTION_BITS);
    let tap = |output: usize| {
        let centre = (output as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(from);
        let weight = |input: usize| (1.0 - ((input as f64 - centre + 0.5) * reciprocal).abs()).max(0.0);
        let weights: Vec<f64> = (first..last).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let weights = weights.iter().map(|weight| (0.5 + weight / sum * one) as i32).collect();
        Tap { first, weights }
    };
    (0..to).map(tap).collect()
}

fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (FRACTION_BITS - 1);

fn horizontally(picture: &Picture, width: usize) -> Picture {
    let taps = taps(picture.width, width);
    let mut pixels = Vec::with_capacity(picture.height * width * 3);
    for row in picture.pixels.chunks_exact(3 * picture.width) {
        for tap in &taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[3 * tap.first..].chunks_exact(3).zip(&tap.weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += i32::from(value) * weight);
            }
            pixels.extend(sums.map(rounded));
        }
    }
    Picture { width, height: picture.height, pixels }
}

fn vertically(picture: &Picture, height: usize) -> Picture {
    let row_size = 3 * picture.width;
    let mut pixels = Vec::with_capacity(height * row_size);
    for tap in taps(picture.height, height) {
        let mut sums = vec![HALF; row_size];
        for (row, weight) in picture.pixels[tap.first * row_size..].chunks_exact(row_size).zip(&tap.weights) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += i32::from(value) * weight);
        }
        pixels.extend(sums.into_iter().map(rounded));
    }
    Picture { height, width: picture.width, pixels }
}

/// The middle; an odd rest is shared as Python's `round` shares it, to the even neighbour.
fn cropped(picture: Picture, side: usize) -> Picture {
    let start = |size: usize| {
        let rest = size.saturating_sub(side);
        if rest % 4 == 3 { rest.div_ceil(2) } else { rest / 2 }
    };
    let (top, left) = (start(picture.height), start(picture.width));
    let rows = picture.pixels.chunks_exact(3 * picture.width).skip(top).take(side);
    let pixels = rows.flat_map(|row| &row[3 * left..3 * (left + side)]).copied().collect();
    Picture { height: side, width: side, pixels }
}
