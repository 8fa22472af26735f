//! Memory of a matrix, on a boundary of cache lines so that no vector lies across two.

use bytemuck::{Pod, Zeroable};
use std::ops::{Deref, DerefMut};

/// Floats of a cache line.
const LINE: usize = 16;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats, as many as ever were asked for, rounded up to whole lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Vec<Line>);

impl Memory {
    /// Makes room for so many floats; new ones are zero, what is there stays.
    pub fn reserve(&mut self, floats: usize) {
        let lines = floats.div_ceil(LINE);
        if self.0.len() < lines {
            self.0.resize(lines, Line::zeroed());
        }
    }
}

impl Deref for Memory {
    type Target = [f32];
    #[inline(always)]
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for Memory {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

#[cfg(test)]
impl From<Vec<f32>> for Memory {
    fn from(values: Vec<f32>) -> Self {
        let mut memory = Memory::default();
        memory.reserve(values.len());
        memory[..values.len()].copy_from_slice(&values);
        memory
    }
}
