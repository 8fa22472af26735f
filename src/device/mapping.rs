//! Files as memory.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A whole file, read by the system as it is looked at and shared with other processes.
#[derive(Debug)]
pub struct Mapping(memmap2::Mmap);

impl Mapping {
    /// The file as it is now. It must not be changed in place while it is mapped: whoever writes a packed file writes it
    /// under another name and then renames it, which leaves the mapped one as it was.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<Mapping> {
        // SAFETY: nobody changes the file in place (see above), so the bytes behind the slice stay what they are.
        unsafe { memmap2::Mmap::map(file) }.map(Mapping)
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
