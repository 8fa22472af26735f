//! Places handed out one after another in the arenas of values and of floats.

/// Elements that places are multiples of: 128 bytes of 16-bit storage, whole sectors in every storage.
const GRANULE: usize = 64;

/// What is handed out so far.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Arena {
    values: usize,
    floats: usize,
    /// Next free element of scratch, and the most there was in use.
    scratch: usize,
    scratch_end: usize,
}

impl Arena {
    /// Elements in the arena of values.
    pub(in super::super) fn values(&mut self, elements: usize) -> u64 {
        take(&mut self.values, elements)
    }

    /// Elements in the arena of floats.
    pub(in super::super) fn floats(&mut self, elements: usize) -> u64 {
        take(&mut self.floats, elements)
    }

    /// Starts scratch that lies where earlier scratch lay, behind all values. No more values after the first time.
    pub(in super::super) fn start_scratch(&mut self) {
        self.scratch = self.values;
    }

    /// Elements of scratch in the arena of values.
    pub(in super::super) fn scratch(&mut self, elements: usize) -> u64 {
        let at = take(&mut self.scratch, elements);
        self.scratch_end = self.scratch_end.max(self.scratch);
        at
    }

    /// Length of the arena of values.
    pub(in super::super) fn values_end(&self) -> usize {
        self.values.max(self.scratch_end)
    }

    /// Length of the arena of floats.
    pub(in super::super) fn floats_end(&self) -> usize {
        self.floats
    }
}

fn take(next: &mut usize, elements: usize) -> u64 {
    let at = *next;
    *next += elements.next_multiple_of(GRANULE);
    at as u64
}
