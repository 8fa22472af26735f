//! JPEG by libjpeg's own decoder, so that the pixels are those that Pillow and torchvision see; and PNG.
//!
//! Grey becomes three equal channels and an alpha channel is left out, as in Pillow's `convert("RGB")`. Of 16 bits the
//! upper 8 are kept.

use super::{MOST_PIXELS, Picture, PictureError};
use std::io::{self, BufRead, Cursor, Read};

const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// What libjpeg says, through `mozjpeg`, when [`Whole`] is read beyond its end.
const READ_BEYOND: &str = "Input file read error";

/// Decodes a JPEG or PNG file.
///
/// # Errors
/// It is neither, or damaged, or too large.
pub(in crate::data) fn decode(file: &[u8]) -> Result<Picture, PictureError> {
    if file.starts_with(JPEG) {
        jpeg(file)
    } else if file.starts_with(PNG) {
        png(file)
    } else {
        Err(PictureError::Format(file.iter().copied().take(4).collect()))
    }
}

fn jpeg(file: &[u8]) -> Result<Picture, PictureError> {
    // `mozjpeg` reports libjpeg's errors by unwinding, without a panic's message. Nothing it works on outlives it.
    match std::panic::catch_unwind(|| decompress(file)) {
        Ok(decoded) => decoded,
        Err(reason) => Err(jpeg_error(reason.downcast_ref::<String>().map_or("unknown error", String::as_str))),
    }
}

fn decompress(file: &[u8]) -> Result<Picture, PictureError> {
    let refused = |error: io::Error| jpeg_error(&error.to_string());
    let header = mozjpeg::Decompress::new_reader(Whole(file)).map_err(refused)?;
    let (width, height) = header.size();
    check_size(width, height)?;
    let mut decoder = header.rgb().map_err(refused)?;
    let pixels: Vec<[u8; 3]> = decoder.read_scanlines().map_err(refused)?;
    decoder.finish().map_err(refused)?;
    Ok(Picture { height, width, pixels: pixels.into_flattened() })
}

fn jpeg_error(message: &str) -> PictureError {
    let message = message.trim_start_matches("libjpeg fatal error: ");
    if message.contains(READ_BEYOND) { PictureError::Truncated } else { PictureError::Jpeg(message.to_string()) }
}

fn check_size(width: usize, height: usize) -> Result<(), PictureError> {
    let fits = width.checked_mul(height).is_some_and(|pixels| pixels <= MOST_PIXELS);
    if fits { Ok(()) } else { Err(PictureError::Size { width, height }) }
}

/// A file in memory. To read beyond its end is an error: libjpeg would go on with grey pixels.
struct Whole<'a>(&'a [u8]);

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.is_empty() { Err(io::Error::other(READ_BEYOND)) } else { Ok(self.0) }
    }

    fn consume(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }
}

fn png(file: &[u8]) -> Result<Picture, PictureError> {
    let refused = |error: png::DecodingError| PictureError::Png(error.to_string());
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), png::Limits { bytes: 16 * MOST_PIXELS });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(refused)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let size = reader.output_buffer_size().ok_or(PictureError::Size { width, height })?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(refused)?;
    samples.truncate(frame.buffer_size());
    Ok(Picture { height, width, pixels: rgb(samples, frame.color_type.samples()) })
}

/// Red, green and blue of pixels with so many samples each: 1 is grey, 2 grey and alpha, 4 with alpha.
fn rgb(samples: Vec<u8>, per_pixel: usize) -> Vec<u8> {
    match per_pixel {
        3 => samples,
        4 => samples.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        _ => samples.chunks_exact(per_pixel.max(1)).flat_map(|pixel| [pixel[0]; 3]).collect(),
    }
}
