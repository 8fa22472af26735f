//! Image files to pixels.

mod decode;
mod resize;

pub(super) use decode::decode;
pub(super) use resize::resized_and_cropped;

use thiserror::Error;

/// Largest picture that is decoded, in pixels.
const MOST_PIXELS: usize = 1 << 26;

/// Red, green and blue of every pixel, `(height, width, 3)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub height: usize,
    pub width: usize,
    pub pixels: Vec<u8>,
}

/// Why a picture was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PictureError {
    /// Neither format.
    #[error("begins with bytes {0:02x?}: neither JPEG nor PNG")]
    Format(Vec<u8>),
    /// The file ends before the picture does.
    #[error("truncated: the JPEG ends within the picture")]
    Truncated,
    /// libjpeg refuses it.
    #[error("a damaged JPEG: {0}")]
    Jpeg(String),
    /// The PNG decoder refuses it.
    #[error("a damaged PNG: {0}")]
    Png(String),
    /// Too many pixels.
    #[error("{width}x{height} pixels are more than {MOST_PIXELS}")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Not the data set's size.
    #[error("{width}x{height} pixels instead of {side}x{side}")]
    Shape {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// What both should be.
        side: usize,
    },
}
