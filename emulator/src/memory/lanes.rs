//! Accesses of a whole warp at once.
//!
//! Most warps touch one allocation, and most of those touch it in one piece: both cases are looked up and checked once. Whatever is out of the
//! ordinary goes lane by lane, which finds the exact fault.

use super::{Allocation, DeviceMemory, FORBIDDEN, MemoryFault, SECTOR, WRITTEN};
use crate::program::LANES;

/// What the lanes of a warp read or write, in words: `words[w][lane]`. Less than four bytes are zero-extended.
pub type Words = [[u32; LANES]; 4];

/// A fault and the lane that ran into it.
pub type LaneFault = (usize, MemoryFault);

impl DeviceMemory {
    /// Reads `length` (at most 16) bytes for each lane of `mask`.
    ///
    /// # Errors
    /// As [`DeviceMemory::load`], for the first lane at fault.
    #[inline]
    pub fn load_lanes(&mut self, addresses: &[u64; LANES], mask: u32, length: usize) -> Result<Words, LaneFault> {
        let mut words = [[0; LANES]; 4];
        let done = match self.common(addresses, mask, length) {
            Some(place) => match length {
                4 => self.gather::<4>(place, addresses, mask, &mut words),
                16 => self.gather::<16>(place, addresses, mask, &mut words),
                8 => self.gather::<8>(place, addresses, mask, &mut words),
                2 => self.gather::<2>(place, addresses, mask, &mut words),
                _ => self.gather::<1>(place, addresses, mask, &mut words),
            },
            None => false,
        };
        if !done {
            for lane in crate::lanes(mask) {
                let bytes = self.load(addresses[lane], length).map_err(|fault| (lane, fault))?;
                put_bytes(&mut words, lane, &bytes[..length]);
            }
        }
        Ok(words)
    }

    /// Writes `length` (at most 16) bytes for each lane of `mask`, in rising order of lanes.
    ///
    /// # Errors
    /// As [`DeviceMemory::store`], for the first lane at fault.
    #[inline]
    pub fn store_lanes(
        &mut self,
        addresses: &[u64; LANES],
        mask: u32,
        length: usize,
        words: &Words,
    ) -> Result<(), LaneFault> {
        let done = match self.common(addresses, mask, length) {
            Some(place) => match length {
                4 => self.scatter::<4>(place, addresses, mask, words),
                16 => self.scatter::<16>(place, addresses, mask, words),
                8 => self.scatter::<8>(place, addresses, mask, words),
                2 => self.scatter::<2>(place, addresses, mask, words),
                _ => self.scatter::<1>(place, addresses, mask, words),
            },
            None => false,
        };
        if !done {
            for lane in crate::lanes(mask) {
                self.store(addresses[lane], length, &bytes_of(words, lane)).map_err(|fault| (lane, fault))?;
            }
        }
        Ok(())
    }

    /// The allocation that all lanes fall into, where they are aligned.
    #[inline]
    fn common(&mut self, addresses: &[u64; LANES], mask: u32, length: usize) -> Option<usize> {
        let (mut low, mut high, mut odd) = (u64::MAX, 0, 0);
        for (lane, &address) in addresses.iter().enumerate() {
            let taken = if mask >> lane & 1 != 0 { u64::MAX } else { 0 };
            low = low.min(address | !taken);
            high = high.max(address & taken);
            odd |= address & taken;
        }
        if odd & (length as u64 - 1) != 0 || mask == 0 {
            return None;
        }
        self.locate(low, (high - low) as usize + length).ok().map(|(index, _)| index)
    }

    /// False where a byte may not be read.
    #[inline(always)]
    fn gather<const N: usize>(&mut self, index: usize, addresses: &[u64; LANES], mask: u32, words: &mut Words) -> bool {
        let (launch, check) = (self.launch, self.check_initialised);
        let allocation = &mut self.allocations[index];
        let mut good = true;
        let first = (addresses[0] - allocation.base.min(addresses[0])) as usize;
        if contiguous::<N>(addresses, mask) {
            let range = first..first + N * LANES;
            good = allocation.state[range.clone()].iter().fold(true, |good, &state| good & readable(state, check));
            for (lane, bytes) in allocation.bytes[range].chunks_exact(N).enumerate() {
                put_bytes(words, lane, bytes);
            }
            self.unique.read += stamp(&mut allocation.read_in, first, N * LANES, launch);
            return good;
        }
        let mut fresh = 0;
        for lane in crate::lanes(mask) {
            let at = (addresses[lane] - allocation.base) as usize;
            good &= allocation.state[at..at + N].iter().fold(true, |good, &state| good & readable(state, check));
            put_bytes(words, lane, &allocation.bytes[at..at + N]);
            fresh += stamp(&mut allocation.read_in, at, N, launch);
        }
        self.unique.read += fresh;
        good
    }

    /// False where a byte may not be written; then nothing was.
    #[inline(always)]
    fn scatter<const N: usize>(&mut self, index: usize, addresses: &[u64; LANES], mask: u32, words: &Words) -> bool {
        let launch = self.launch;
        let allocation = &mut self.allocations[index];
        if !writable::<N>(allocation, addresses, mask) {
            return false;
        }
        let mut fresh = 0;
        for lane in crate::lanes(mask) {
            let at = (addresses[lane] - allocation.base) as usize;
            let bytes = bytes_of(words, lane);
            allocation.bytes[at..at + N].copy_from_slice(&bytes[..N]);
            allocation.state[at..at + N].fill(WRITTEN);
            fresh += stamp(&mut allocation.written_in, at, N, launch);
        }
        self.unique.written += fresh;
        true
    }
}

#[inline(always)]
fn readable(state: u8, check_initialised: bool) -> bool {
    if check_initialised { state == WRITTEN } else { state != FORBIDDEN }
}

#[inline(always)]
fn writable<const N: usize>(allocation: &Allocation, addresses: &[u64; LANES], mask: u32) -> bool {
    crate::lanes(mask).all(|lane| {
        let at = (addresses[lane] - allocation.base) as usize;
        allocation.state[at..at + N].iter().fold(true, |good, &state| good & (state != FORBIDDEN))
    })
}

/// Whether the lanes, all of them, read one piece in order.
#[inline(always)]
fn contiguous<const N: usize>(addresses: &[u64; LANES], mask: u32) -> bool {
    let mut same = mask == u32::MAX;
    for (lane, &address) in addresses.iter().enumerate() {
        same &= address == addresses[0].wrapping_add((lane * N) as u64);
    }
    same
}

/// Notes the sectors of an access; returns how many the launch had not touched before.
#[inline(always)]
fn stamp(stamps: &mut [u32], at: usize, length: usize, launch: u32) -> u64 {
    let mut fresh = 0;
    for stamp in &mut stamps[at / SECTOR as usize..=(at + length - 1) / SECTOR as usize] {
        fresh += u64::from(*stamp != launch);
        *stamp = launch;
    }
    fresh
}

/// Puts 1, 2, 4, 8 or 16 bytes of a lane in place.
#[inline(always)]
pub fn put_bytes(words: &mut Words, lane: usize, bytes: &[u8]) {
    match *bytes {
        [a] => words[0][lane] = a.into(),
        [a, b] => words[0][lane] = u16::from_le_bytes([a, b]).into(),
        _ => {
            for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                word[lane] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
    }
}

/// The bytes of a lane.
#[inline(always)]
pub fn bytes_of(words: &Words, lane: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (word, bytes) in words.iter().zip(bytes.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&word[lane].to_le_bytes());
    }
    bytes
}
