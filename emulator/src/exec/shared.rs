//! Shared memory with a shadow that knows, for each byte, who wrote and read it and when.
//!
//! Time is a clock that only synchronisation moves: two accesses of different threads are ordered when a barrier of the block, or a
//! `__syncwarp` of the warp both belong to, lies between them; otherwise one of them being a write is a race. Blocks that run one after the
//! other on the same memory keep the clock running, so that the shadow of the one before is simply out of date.

use super::{
    fault::{Fault, FaultKind, Step},
    rows::{LongRow, lanes},
};
use crate::{
    memory::{Words, bytes_of, copy_small, put_bytes},
    program::LANES,
};

/// The thread of an access within its block.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    pub warp: usize,
    pub lane: usize,
}

impl Who {
    fn thread(self) -> u32 {
        (self.warp * 32 + self.lane) as u32
    }
}

/// The writer's mark on bytes that an asynchronous copy will fill.
const PENDING: u32 = 0x8000;
/// The writer's mark on bytes last changed by an atomic.
const ATOMIC: u32 = 0x4000;
/// Several lanes of the warp in the low bits read the byte.
const WARP_READERS: u32 = 0x8000;
/// Threads of several warps read the byte.
const MANY_READERS: u32 = 0xFFFF;
const THREAD: u32 = 0x3FFF;
/// What the destination of an asynchronous copy holds until the copy is waited for.
const POISON: u8 = 0xFF;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shadow {
    written_at: u32,
    read_at: u32,
    writer: u32,
    reader: u32,
}

/// Stands for four shadows that differ; no write leaves such a writer.
const SPLIT: Shadow = Shadow { written_at: u32::MAX, read_at: 0, writer: u32::MAX, reader: 0 };

/// How a write came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Plain,
    Atomic,
    Pending,
}

/// The shared memory of the running block.
pub struct SharedMemory {
    bytes: Vec<u8>,
    /// A shadow for each word of four bytes, or [`SPLIT`] where its bytes have shadows of their own.
    words: Vec<Shadow>,
    split: Vec<Shadow>,
    clock: u32,
    block_start: u32,
    barrier: u32,
    warp_barriers: Vec<u32>,
    /// Refuse reads of bytes nobody wrote, and races.
    pub check: bool,
}

impl SharedMemory {
    pub fn new(bytes: usize, warps: usize, check: bool) -> Self {
        Self {
            bytes: vec![POISON; bytes],
            words: vec![Shadow::default(); bytes.div_ceil(4)],
            split: vec![Shadow::default(); bytes.next_multiple_of(4)],
            clock: 0,
            block_start: 0,
            barrier: 0,
            warp_barriers: vec![0; warps],
            check,
        }
    }

    /// Forgets the block before.
    pub fn begin_block(&mut self) {
        self.bytes.fill(POISON);
        self.clock += 1;
        self.block_start = self.clock;
        self.barrier = self.clock;
        self.warp_barriers.fill(self.clock);
    }

    /// A barrier of the block orders everything before it.
    pub fn synchronise_block(&mut self) {
        self.clock += 1;
        self.barrier = self.clock;
    }

    /// `__syncwarp` orders what the warp's lanes did before it.
    pub fn synchronise_warp(&mut self, warp: usize) {
        self.clock += 1;
        self.warp_barriers[warp] = self.clock;
    }

    #[inline(always)]
    fn place(&self, address: u64, length: usize, lane: usize) -> Step<usize> {
        let at = address as usize;
        if address & (length as u64 - 1) == 0 && address < self.bytes.len() as u64 && length <= self.bytes.len() - at {
            return Ok(at);
        }
        Err(self.misplaced(address, length, lane))
    }

    #[cold]
    fn misplaced(&self, address: u64, length: usize, lane: usize) -> Box<Fault> {
        let aligned = address & (length as u64 - 1) == 0;
        let text = if aligned {
            format!("{length} bytes at shared address {address} are out of bounds: the block has {}", self.bytes.len())
        } else {
            format!("shared address {address:#x} is not a multiple of {length} bytes")
        };
        let mut fault = Fault::at_lane(lane, text);
        fault.kind = if aligned { FaultKind::IllegalAddress } else { FaultKind::MisalignedAddress };
        fault
    }

    /// Reads `length` (at most 16) bytes.
    #[inline]
    pub fn load(&mut self, who: Who, address: u64, length: usize) -> Step<[u8; 16]> {
        let at = self.place(address, length, who.lane)?;
        if self.check {
            self.note_read(who, at, length)?;
        }
        let mut out = [0; 16];
        copy_small(&mut out, &self.bytes[at..at + length]);
        Ok(out)
    }

    /// Writes `length` (at most 16) bytes.
    #[inline]
    pub fn store(&mut self, who: Who, address: u64, length: usize, bytes: &[u8; 16]) -> Step {
        let at = self.place(address, length, who.lane)?;
        if self.check {
            self.note_write(who, at, &bytes[..length], Mark::Plain)?;
        }
        copy_small(&mut self.bytes[at..at + length], &bytes[..length]);
        Ok(())
    }

    /// Reads `length` (at most 16) bytes for each lane of `mask`.
    pub fn load_lanes(&mut self, warp: usize, addresses: &LongRow, mask: u32, length: usize) -> Step<Words> {
        let mut words = [[0; LANES]; 4];
        for lane in lanes(mask) {
            let at = self.place(addresses[lane], length, lane)?;
            if self.check {
                self.note_read(Who { warp, lane }, at, length)?;
            }
            put_bytes(&mut words, lane, &self.bytes[at..at + length]);
        }
        Ok(words)
    }

    /// Writes `length` (at most 16) bytes for each lane of `mask`.
    pub fn store_lanes(&mut self, warp: usize, addresses: &LongRow, mask: u32, length: usize, words: &Words) -> Step {
        for lane in lanes(mask) {
            self.store(Who { warp, lane }, addresses[lane], length, &bytes_of(words, lane))?;
        }
        Ok(())
    }

    /// Reads, changes and writes back; atomics do not race with each other. Returns the old bytes.
    pub fn update(
        &mut self,
        who: Who,
        address: u64,
        length: usize,
        change: impl Fn([u8; 16]) -> [u8; 16],
    ) -> Step<[u8; 16]> {
        let at = self.place(address, length, who.lane)?;
        let mut old = [0; 16];
        copy_small(&mut old, &self.bytes[at..at + length]);
        let new = change(old);
        if self.check {
            self.refuse_unwritten(who, at, length)?;
            self.note_write(who, at, &new[..length], Mark::Atomic)?;
        }
        copy_small(&mut self.bytes[at..at + length], &new[..length]);
        Ok(old)
    }

    /// Marks the destination of an asynchronous copy: reading it before the copy is waited for is a fault.
    pub fn begin_copy(&mut self, who: Who, address: u64, length: usize) -> Step {
        let at = self.place(address, length, who.lane)?;
        if self.check {
            self.note_write(who, at, &[POISON; 16][..length], Mark::Pending)?;
        }
        self.bytes[at..at + length].fill(POISON);
        Ok(())
    }

    /// The copy has arrived, as a write of the thread that waited for it.
    pub fn finish_copy(&mut self, who: Who, address: u64, bytes: &[u8]) -> Step {
        let at = self.place(address, bytes.len(), who.lane)?;
        let done = Shadow { written_at: self.clock, read_at: 0, writer: who.thread(), reader: who.thread() };
        self.words[at / 4..(at + bytes.len()) / 4].fill(done);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// The time from which on accesses of `thread` are not ordered before the present of `who`.
    #[inline(always)]
    fn horizon(&self, who: Who, thread: u32) -> u32 {
        if (thread & THREAD) as usize / 32 == who.warp {
            self.barrier.max(self.warp_barriers[who.warp])
        } else {
            self.barrier
        }
    }

    /// Gives the bytes of a word shadows of their own.
    fn split_word(&mut self, word: usize) {
        if self.words[word] != SPLIT {
            self.split[4 * word..4 * word + 4].fill(self.words[word]);
            self.words[word] = SPLIT;
        }
    }

    /// Takes the shadows of a word's bytes together again where they agree.
    fn join_word(&mut self, word: usize) {
        let first = self.split[4 * word];
        if self.split[4 * word..4 * word + 4].iter().all(|&shadow| shadow == first) {
            self.words[word] = first;
        }
    }

    /// The shadow of one byte.
    fn shadow(&self, index: usize) -> Shadow {
        let shadow = self.words[index / 4];
        if shadow == SPLIT { self.split[index] } else { shadow }
    }

    fn refuse_unwritten(&self, who: Who, at: usize, length: usize) -> Step {
        (at..at + length).try_for_each(|index| self.refuse_unwritten_byte(who, index, self.shadow(index)))
    }

    #[cold]
    fn refuse_unwritten_byte(&self, who: Who, index: usize, shadow: Shadow) -> Step {
        if shadow.written_at < self.block_start {
            let text = format!("reads uninitialised shared memory at byte {index}: no write, or no barrier after it");
            return Err(Fault::at_lane(who.lane, text));
        }
        if shadow.writer & PENDING != 0 {
            let text = format!("reads shared memory at byte {index} while a cp.async to it has not been waited for");
            return Err(Fault::at_lane(who.lane, text));
        }
        Ok(())
    }

    #[inline(always)]
    fn note_read(&mut self, who: Who, at: usize, length: usize) -> Step {
        if length < 4 {
            return self.note_read_bytes(who, at, length);
        }
        for word in at / 4..(at + length) / 4 {
            let shadow = self.words[word];
            if shadow == SPLIT {
                self.note_read_bytes(who, 4 * word, 4)?;
            } else {
                self.words[word] = self.after_read(who, 4 * word, shadow)?;
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn note_read_bytes(&mut self, who: Who, at: usize, length: usize) -> Step {
        self.split_word(at / 4);
        for index in at..at + length {
            self.split[index] = self.after_read(who, index, self.split[index])?;
        }
        Ok(())
    }

    /// The shadow at `index` after a read, unless that is refused.
    #[inline(always)]
    fn after_read(&self, who: Who, index: usize, mut shadow: Shadow) -> Step<Shadow> {
        if shadow.written_at < self.block_start || shadow.writer & PENDING != 0 {
            self.refuse_unwritten_byte(who, index, shadow)?;
        }
        let thread = who.thread();
        if shadow.writer & THREAD != thread && shadow.written_at >= self.horizon(who, shadow.writer) {
            return Err(race(who, index, "wrote", shadow.writer & THREAD));
        }
        shadow.reader = if shadow.reader == thread || shadow.read_at < self.barrier {
            thread
        } else {
            self.joined_readers(who, shadow)
        };
        shadow.read_at = self.clock;
        Ok(shadow)
    }

    /// The readers of a byte that was read since the last barrier and is now read by another thread.
    #[inline(always)]
    fn joined_readers(&self, who: Who, shadow: Shadow) -> u32 {
        let group = WARP_READERS | who.warp as u32;
        if shadow.reader == MANY_READERS {
            return MANY_READERS;
        }
        let same_warp =
            shadow.reader == group || shadow.reader & WARP_READERS == 0 && shadow.reader as usize / 32 == who.warp;
        match same_warp {
            true if shadow.read_at >= self.warp_barriers[who.warp] => group,
            true => who.thread(),
            false => MANY_READERS,
        }
    }

    #[inline]
    fn note_write(&mut self, who: Who, at: usize, bytes: &[u8], mark: Mark) -> Step {
        let flag = match mark {
            Mark::Plain => 0,
            Mark::Atomic => ATOMIC,
            Mark::Pending => PENDING,
        };
        let thread = who.thread();
        let new = Shadow { written_at: self.clock, read_at: 0, writer: thread | flag, reader: thread };
        if bytes.len() < 4 {
            self.split_word(at / 4);
            for (offset, &byte) in bytes.iter().enumerate() {
                let index = at + offset;
                self.check_write(who, index, self.split[index], self.bytes[index] == byte, mark)?;
                self.split[index] = new;
            }
            self.join_word(at / 4);
            return Ok(());
        }
        for (offset, chunk) in bytes.chunks_exact(4).enumerate() {
            let word = at / 4 + offset;
            let (shadow, old) = (self.words[word], &self.bytes[4 * word..4 * word + 4]);
            if shadow == SPLIT {
                for (byte, new) in chunk.iter().enumerate() {
                    self.check_write(who, 4 * word + byte, self.split[4 * word + byte], old[byte] == *new, mark)?;
                }
            } else {
                self.check_write(who, 4 * word, shadow, old == chunk, mark)?;
            }
            self.words[word] = new;
        }
        Ok(())
    }

    #[inline(always)]
    fn check_write(&self, who: Who, index: usize, shadow: Shadow, unchanged: bool, mark: Mark) -> Step {
        let thread = who.thread();
        let recent_write = shadow.written_at >= self.horizon(who, shadow.writer) && shadow.writer & THREAD != thread;
        // Writing the value that is there already is harmless, and so are two atomics.
        let harmless = unchanged && mark == Mark::Plain && shadow.writer & PENDING == 0
            || mark == Mark::Atomic && shadow.writer & ATOMIC != 0;
        if recent_write && !harmless {
            return Err(race(who, index, "wrote", shadow.writer & THREAD));
        }
        if shadow.read_at < self.barrier || shadow.reader == thread {
            return Ok(());
        }
        let group = WARP_READERS | who.warp as u32;
        let own_warp =
            shadow.reader == group || shadow.reader & WARP_READERS == 0 && shadow.reader as usize / 32 == who.warp;
        if own_warp && shadow.read_at < self.warp_barriers[who.warp] {
            return Ok(());
        }
        if shadow.reader & WARP_READERS == 0 {
            return Err(race(who, index, "read", shadow.reader));
        }
        Err(Fault::at_lane(
            who.lane,
            format!("shared memory race at byte {index}: writes what other threads read, with no barrier between"),
        ))
    }
}

#[cold]
fn race(who: Who, index: usize, did: &str, thread: u32) -> Box<Fault> {
    let text = format!("shared memory race at byte {index}: thread {thread} {did} it with no barrier between");
    Fault::at_lane(who.lane, text)
}

#[cfg(test)]
mod tests {
    use super::{SharedMemory, Who};

    const A: Who = Who { warp: 0, lane: 0 };
    const B: Who = Who { warp: 0, lane: 1 };
    const C: Who = Who { warp: 1, lane: 0 };

    fn memory() -> SharedMemory {
        let mut memory = SharedMemory::new(64, 2, true);
        memory.begin_block();
        memory
    }

    #[test]
    fn a_read_needs_a_barrier_after_the_write_of_another_thread() {
        let mut memory = memory();
        memory.store(A, 0, 4, &[1; 16]).unwrap();
        assert!(memory.load(A, 0, 4).is_ok());
        let fault = memory.load(C, 0, 4).unwrap_err();
        assert_eq!(fault.text, "shared memory race at byte 0: thread 0 wrote it with no barrier between");
        memory.synchronise_block();
        assert!(memory.load(C, 0, 4).is_ok());
    }

    #[test]
    fn a_warp_barrier_orders_its_own_warp_only() {
        let mut memory = memory();
        memory.store(A, 0, 4, &[1; 16]).unwrap();
        assert!(memory.load(B, 0, 4).is_err());
        memory.synchronise_warp(0);
        assert!(memory.load(B, 0, 4).is_ok());
        assert!(memory.load(C, 0, 4).is_err());
    }

    #[test]
    fn a_write_needs_a_barrier_after_the_reads_of_others() {
        let mut memory = memory();
        memory.store(A, 0, 4, &[1; 16]).unwrap();
        memory.synchronise_block();
        for who in [A, B, C] {
            memory.load(who, 0, 4).unwrap();
        }
        assert!(memory.store(A, 0, 4, &[2; 16]).is_err());
        memory.synchronise_block();
        assert!(memory.store(A, 0, 4, &[2; 16]).is_ok());
    }

    #[test]
    fn equal_writes_do_not_race_and_different_ones_do() {
        let mut memory = memory();
        memory.store(A, 0, 4, &[1; 16]).unwrap();
        assert!(memory.store(C, 0, 4, &[1; 16]).is_ok());
        assert!(memory.store(A, 0, 4, &[2; 16]).is_err());
    }

    #[test]
    fn neighbouring_halves_of_a_word_are_independent() {
        let mut memory = memory();
        memory.store(A, 0, 2, &[1; 16]).unwrap();
        assert!(memory.store(C, 2, 2, &[2; 16]).is_ok());
        memory.synchronise_block();
        assert_eq!(memory.load(B, 0, 4).unwrap()[..4], [1, 1, 2, 2]);
    }

    #[test]
    fn what_a_block_leaves_is_uninitialised_for_the_next() {
        let mut memory = memory();
        memory.store(A, 0, 4, &[1; 16]).unwrap();
        memory.begin_block();
        assert_eq!(
            memory.load(A, 0, 4).unwrap_err().text,
            "reads uninitialised shared memory at byte 0: no write, or no barrier after it"
        );
    }

    #[test]
    fn a_copy_in_flight_cannot_be_read() {
        let mut memory = memory();
        memory.begin_copy(A, 16, 16).unwrap();
        assert!(memory.load(A, 20, 4).unwrap_err().text.contains("has not been waited for"));
        memory.finish_copy(A, 16, &[3; 16]).unwrap();
        assert_eq!(memory.load(A, 20, 4).unwrap()[0], 3);
        assert!(memory.load(C, 20, 4).is_err());
    }

    #[test]
    fn atomics_race_with_plain_accesses_only() {
        let mut memory = memory();
        memory.store(A, 0, 4, &[0; 16]).unwrap();
        memory.synchronise_block();
        let add = |old: [u8; 16]| [old[0] + 1; 16];
        memory.update(A, 0, 4, add).unwrap();
        memory.update(C, 0, 4, add).unwrap();
        assert!(memory.load(B, 0, 4).is_err());
    }
}
