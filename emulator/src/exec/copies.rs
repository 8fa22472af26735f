//! `cp.async`: a copy is checked and its destination poisoned when it is issued; the bytes arrive when its group is waited for.

use super::rows::lanes;
use crate::program::LANES;

/// A copy that was issued and not yet waited for.
#[derive(Debug, Clone, Copy)]
pub struct Copy {
    pub lane: usize,
    pub to: u64,
    pub from: u64,
    /// Bytes written at the destination.
    pub bytes: usize,
    /// Bytes read; the rest is filled with zeros.
    pub source_bytes: usize,
    /// The group it was committed to.
    group: Option<u32>,
}

/// The outstanding copies of a warp's lanes, in the order of issue.
#[derive(Debug, Default)]
pub struct Copies {
    outstanding: Vec<Copy>,
    committed: [u32; LANES],
}

impl Copies {
    pub fn clear(&mut self) {
        self.outstanding.clear();
        self.committed = [0; LANES];
    }

    pub fn issue(&mut self, lane: usize, to: u64, from: u64, bytes: usize, source_bytes: usize) {
        self.outstanding.push(Copy { lane, to, from, bytes, source_bytes, group: None });
    }

    /// Closes a group of each lane of `mask`; an empty one counts too.
    pub fn commit(&mut self, mask: u32) {
        for copy in &mut self.outstanding {
            if mask >> copy.lane & 1 != 0 && copy.group.is_none() {
                copy.group = Some(self.committed[copy.lane]);
            }
        }
        for lane in lanes(mask) {
            self.committed[lane] += 1;
        }
    }

    /// Takes out the copies that must have arrived when at most `pending` groups (none at all: not even uncommitted copies) may be outstanding.
    pub fn take(&mut self, mask: u32, pending: Option<u32>) -> Vec<Copy> {
        let mut arrived = Vec::new();
        let committed = self.committed;
        self.outstanding.retain(|copy| {
            let due = match (pending, copy.group) {
                (None, _) => true,
                (Some(pending), Some(group)) => group + pending < committed[copy.lane],
                (Some(_), None) => false,
            };
            let takes = due && mask >> copy.lane & 1 != 0;
            if takes {
                arrived.push(*copy);
            }
            !takes
        });
        arrived
    }
}
