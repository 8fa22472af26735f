//! The IDX format (LeCun's MNIST page): two zero bytes, the element type, the number of dimensions, the dimensions as
//! big-endian u32, the elements. Plain or in gzip.

use flate2::bufread::GzDecoder;
use std::borrow::Cow;
use std::io::Read;
use thiserror::Error;

/// Element type of unsigned bytes, the only one in use here.
const UNSIGNED_BYTE: u8 = 8;

/// Why a file was refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum IdxError {
    /// The gzip stream is broken.
    #[error("gzip: {0}")]
    Gzip(String),
    /// Something follows the gzip stream.
    #[error("{0} bytes follow the gzip stream")]
    AfterGzip(usize),
    /// There are more bytes than the file can have.
    #[error("more than {0} bytes")]
    Length(usize),
    /// It does not begin as an IDX file of bytes.
    #[error("begins with bytes {0:02x?}, an IDX file of bytes with 00 00 08 and its number of dimensions")]
    Magic(Vec<u8>),
    /// It has another number of dimensions.
    #[error("{found} dimensions instead of {expected}")]
    Dimensions {
        /// What the header says.
        found: u8,
        /// What it should say.
        expected: usize,
    },
    /// It ends within the dimensions.
    #[error("ends after {0} bytes, within the header")]
    Header(usize),
    /// Its dimensions are too large for any machine.
    #[error("dimensions {0:?} are too large")]
    Size(Vec<usize>),
    /// It has other dimensions.
    #[error("dimensions {found:?} instead of {expected:?}")]
    Shape {
        /// What the header says.
        found: Vec<usize>,
        /// What it should say.
        expected: Vec<usize>,
    },
    /// It ends too early.
    #[error("truncated: {found} elements instead of {expected}")]
    Truncated {
        /// Elements that are there.
        found: usize,
        /// What the dimensions ask for.
        expected: usize,
    },
    /// It goes on after the last element.
    #[error("{0} bytes follow the last element")]
    Trailing(usize),
    /// A label is not a class.
    #[error("label {label} of image {image} is not below {classes}")]
    Label {
        /// The label.
        label: u8,
        /// Which, from 0.
        image: usize,
        /// Number of classes.
        classes: usize,
    },
}

/// The contents of a file that may be in gzip; an error if they are longer than `limit` bytes.
pub(super) fn decompressed(bytes: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, IdxError> {
    let contents = if bytes.starts_with(&[0x1f, 0x8b]) { Cow::Owned(gunzip(bytes, limit)?) } else { bytes.into() };
    if contents.len() > limit {
        return Err(IdxError::Length(limit));
    }
    Ok(contents)
}

/// At most `limit + 1` bytes of a gzip stream; if it ends before, its own checksum has been verified.
fn gunzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, IdxError> {
    let mut decoder = GzDecoder::new(bytes);
    let mut contents = Vec::new();
    let read = decoder.by_ref().take(limit as u64 + 1).read_to_end(&mut contents);
    read.map_err(|error| IdxError::Gzip(error.to_string()))?;
    let rest = decoder.into_inner().len();
    if contents.len() <= limit && rest > 0 {
        return Err(IdxError::AfterGzip(rest));
    }
    Ok(contents)
}

/// Dimensions and elements of an IDX file of bytes with `D` dimensions.
pub(super) fn parse<const D: usize>(bytes: &[u8]) -> Result<([usize; D], &[u8]), IdxError> {
    let Some((&[0, 0, UNSIGNED_BYTE, found], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(IdxError::Magic(bytes[..bytes.len().min(4)].to_vec()));
    };
    if usize::from(found) != D {
        return Err(IdxError::Dimensions { found, expected: D });
    }
    let (header, elements) = rest.split_at_checked(4 * D).ok_or(IdxError::Header(bytes.len()))?;
    let mut dimensions = [0; D];
    for (dimension, bytes) in dimensions.iter_mut().zip(header.chunks_exact(4)) {
        *dimension = bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
    }
    let product = dimensions.iter().try_fold(1usize, |product, &dimension| product.checked_mul(dimension));
    let expected = product.ok_or_else(|| IdxError::Size(dimensions.to_vec()))?;
    match elements.len() {
        found if found < expected => Err(IdxError::Truncated { found, expected }),
        found if found > expected => Err(IdxError::Trailing(found - expected)),
        _ => Ok((dimensions, elements)),
    }
}

/// Dimensions must be these.
pub(super) fn expect_shape<const D: usize>(found: [usize; D], expected: [usize; D]) -> Result<(), IdxError> {
    if found == expected {
        return Ok(());
    }
    Err(IdxError::Shape { found: found.to_vec(), expected: expected.to_vec() })
}

/// Labels must be below the number of classes.
pub(super) fn check_labels(labels: &[u8], classes: usize) -> Result<(), IdxError> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        Some(image) => Err(IdxError::Label { label: labels[image], image, classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    /// Two images of 2x3.
    const IMAGES: [u8; 28] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255];

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn hand_made_files_are_read() {
        let (dimensions, elements) = parse::<3>(&IMAGES).unwrap();
        assert_eq!(dimensions, [2, 2, 3]);
        assert_eq!(elements, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255]);
        assert_eq!(parse::<1>(&[&[0, 0, 8, 1, 0, 0, 1, 1][..], &[7; 257]].concat()), Ok(([257], &[7; 257][..])));
        assert_eq!(parse::<1>(&[0, 0, 8, 1, 0, 0, 0, 0]), Ok(([0], &[][..])));
        assert_eq!(decompressed(&IMAGES, 28).unwrap(), &IMAGES[..]);
        assert_eq!(decompressed(&gzip(&IMAGES), 28).unwrap(), &IMAGES[..]);
    }

    #[test]
    fn every_kind_of_damage_has_its_error() {
        let changed = |at: usize, to: u8| {
            let mut bytes = IMAGES;
            bytes[at] = to;
            bytes
        };
        assert_eq!(parse::<3>(&[]), Err(IdxError::Magic(vec![])));
        assert_eq!(parse::<3>(&IMAGES[..3]), Err(IdxError::Magic(vec![0, 0, 8])));
        assert_eq!(parse::<3>(&changed(0, 1)), Err(IdxError::Magic(vec![1, 0, 8, 3])));
        assert_eq!(parse::<3>(&changed(2, 13)), Err(IdxError::Magic(vec![0, 0, 13, 3])));
        assert_eq!(parse::<1>(&IMAGES), Err(IdxError::Dimensions { found: 3, expected: 1 }));
        assert_eq!(parse::<3>(&IMAGES[..15]), Err(IdxError::Header(15)));
        assert_eq!(parse::<3>(&IMAGES[..16]), Err(IdxError::Truncated { found: 0, expected: 12 }));
        assert_eq!(parse::<3>(&IMAGES[..27]), Err(IdxError::Truncated { found: 11, expected: 12 }));
        assert_eq!(parse::<3>(&changed(7, 3)), Err(IdxError::Truncated { found: 12, expected: 18 }));
        assert_eq!(parse::<3>(&changed(7, 1)), Err(IdxError::Trailing(6)));
        let huge = [&[0, 0, 8, 3][..], &[0xff; 12]].concat();
        assert_eq!(parse::<3>(&huge), Err(IdxError::Size(vec![0xffff_ffff; 3])));
        let expected = IdxError::Shape { found: vec![2, 3], expected: vec![28, 28] };
        assert_eq!(expect_shape([2, 3], [28, 28]), Err(expected));
        assert_eq!(check_labels(&[0, 9, 10], 10), Err(IdxError::Label { label: 10, image: 2, classes: 10 }));
        assert_eq!(check_labels(&[0, 9], 10), Ok(()));
    }

    #[test]
    fn damaged_gzip_is_refused() {
        let good = gzip(&IMAGES);
        assert!(matches!(decompressed(&good[..good.len() - 1], 28), Err(IdxError::Gzip(_))));
        assert!(matches!(decompressed(&good[..5], 28), Err(IdxError::Gzip(_))));
        let mut flipped = good.clone();
        flipped[good.len() - 6] ^= 1; // within the stream's CRC-32
        assert!(matches!(decompressed(&flipped, 28), Err(IdxError::Gzip(_))));
        assert_eq!(decompressed(&[&good[..], b"more"].concat(), 28), Err(IdxError::AfterGzip(4)));
        assert_eq!(decompressed(&good, 27), Err(IdxError::Length(27)));
        assert_eq!(decompressed(&IMAGES, 27), Err(IdxError::Length(27)));
        // A small file that would fill the memory.
        let bomb = gzip(&vec![0; 50_000_000]);
        assert_eq!(decompressed(&bomb, 1000), Err(IdxError::Length(1000)));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0usize..4) {
            let prefix: &[u8] = [&[][..], &[0, 0, 8, 1], &[0, 0, 8, 3, 0, 0, 0], &[0x1f, 0x8b, 8, 0]][magic];
            let bytes = [prefix, &bytes].concat();
            if let Ok(contents) = decompressed(&bytes, 1 << 16) {
                prop_assert!(contents.len() <= 1 << 16);
            }
            if let Ok((dimensions, elements)) = parse::<1>(&bytes) {
                prop_assert_eq!(dimensions[0], elements.len());
            }
            if let Ok((dimensions, elements)) = parse::<3>(&bytes) {
                prop_assert_eq!(dimensions.iter().product::<usize>(), elements.len());
            }
        }

        #[test]
        fn what_is_written_is_read(n in 0usize..5, h in 0usize..5, w in 0usize..5, fill in any::<u8>(), zip in any::<bool>()) {
            let header = [n, h, w].into_iter().flat_map(|d| (d as u32).to_be_bytes());
            let elements = (0..n * h * w).map(|i| fill.wrapping_add(i as u8)).collect::<Vec<u8>>();
            let bytes: Vec<u8> = [0, 0, 8, 3].into_iter().chain(header).chain(elements.iter().copied()).collect();
            let file = if zip { gzip(&bytes) } else { bytes };
            let contents = decompressed(&file, 1000).unwrap();
            prop_assert_eq!(parse::<3>(&contents), Ok(([n, h, w], &elements[..])));
        }
    }
}
