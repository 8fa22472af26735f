//! Finding the PTX in what a program passes to `cuModuleLoadData`.
//!
//! A fatbin starts with a header (magic, version and header size, size of all entries) and holds entries (kind, header size, payload size,
//! flags), one for each architecture; see `fatbinary.h` of the CUDA toolkit. PTX alone is text that ends with a zero byte.

use std::ffi::{CStr, c_char};

const MAGIC: u32 = 0xBA55_ED50;
const KIND_PTX: u16 = 1;

/// An image without PTX that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("the fatbin holds no PTX: compile with code=compute_80 beside the cubins")]
    NoPtx,
    #[error("the fatbin's PTX is compressed: compile with --no-compress")]
    Compressed,
    #[error("the image is a cubin: the emulator needs PTX")]
    Cubin,
    #[error("the PTX is not UTF-8")]
    NotText,
    #[error("the fatbin is damaged: an entry of {0} bytes passes its end")]
    Damaged(usize),
}

/// The PTX of an image.
///
/// # Errors
/// There is none, or it cannot be read.
///
/// # Safety
/// `image` points to a complete fatbin, cubin or zero-terminated text.
pub unsafe fn ptx_of<'a>(image: *const c_char) -> Result<&'a str, ImageError> {
    // SAFETY: every image has at least four bytes: a magic number, or text with a zero after it, of which no prefix matches a magic.
    let first = unsafe { CStr::from_ptr(image) }.to_bytes();
    if first.starts_with(b"\x7FELF") {
        return Err(ImageError::Cubin);
    }
    if !first.starts_with(&MAGIC.to_le_bytes()) {
        return std::str::from_utf8(first).map_err(|_| ImageError::NotText);
    }
    // SAFETY: the magic says that this is a fatbin, whose header gives its size.
    let bytes = unsafe {
        let header = std::slice::from_raw_parts(image.cast::<u8>(), 16);
        let size = usize::from(u16_at(header, 6)) + u64_at(header, 8) as usize;
        std::slice::from_raw_parts(image.cast::<u8>(), size)
    };
    ptx_in_fatbin(bytes)
}

fn ptx_in_fatbin(bytes: &[u8]) -> Result<&str, ImageError> {
    let mut at = usize::from(u16_at(bytes, 6));
    let mut compressed = false;
    while at + 64 <= bytes.len() {
        let entry = &bytes[at..];
        let (header, size) = (u32_at(entry, 4) as usize, u64_at(entry, 8) as usize);
        let payload =
            entry.get(header..header.saturating_add(size)).ok_or(ImageError::Damaged(header.saturating_add(size)))?;
        if u16_at(entry, 0) == KIND_PTX {
            if u32_at(entry, 16) == 0 {
                let end = payload.iter().position(|&byte| byte == 0).unwrap_or(payload.len());
                return std::str::from_utf8(&payload[..end]).map_err(|_| ImageError::NotText);
            }
            compressed = true;
        }
        at += header + size;
    }
    Err(if compressed { ImageError::Compressed } else { ImageError::NoPtx })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(std::array::from_fn(|index| bytes.get(at + index).copied().unwrap_or(0)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes.get(at + index).copied().unwrap_or(0)))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes.get(at + index).copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::{ImageError, MAGIC, ptx_of};

    fn fatbin(kind: u16, compressed: u32, payload: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; 64];
        entry[..2].copy_from_slice(&kind.to_le_bytes());
        entry[4..8].copy_from_slice(&64u32.to_le_bytes());
        entry[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        entry[16..20].copy_from_slice(&compressed.to_le_bytes());
        entry.extend_from_slice(payload);
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[1, 0, 16, 0]);
        bytes.extend_from_slice(&(entry.len() as u64).to_le_bytes());
        bytes.extend(entry);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<&str, ImageError> {
        // SAFETY: the test's images are complete.
        unsafe { ptx_of(bytes.as_ptr().cast()) }
    }

    #[test]
    fn ptx_is_found_in_text_and_fatbin() {
        assert_eq!(read(b".version 9.0\0").unwrap(), ".version 9.0");
        assert_eq!(read(&fatbin(1, 0, b".version 9.0\0\0\0\0")).unwrap(), ".version 9.0");
    }

    #[test]
    fn images_without_readable_ptx_say_why() {
        assert_eq!(read(&fatbin(2, 0, b"cubin")), Err(ImageError::NoPtx));
        assert_eq!(read(&fatbin(1, 5, b"xx")), Err(ImageError::Compressed));
        assert_eq!(read(b"\x7FELF\0"), Err(ImageError::Cubin));
    }
}
