//! Loads, stores and asynchronous copies of a warp.

use super::{
    block::Machine,
    fault::{Fault, Step},
    integer,
    rows::{LongRow, Row, lanes, map1, map2},
    step::flag_or_none,
    warp::{Registers, Warp},
};
use crate::{
    counters::GlobalAccess,
    memory::{Words, bytes_of, put_bytes},
    program::{Address, Flag, LANES, Register, Shape, Signedness, Space, Word},
};

/// Generic addresses carry the space in their top byte; global memory has 0 there.
const WINDOW_SHIFT: u32 = 56;

/// The bits that turn an address within `space` into a generic one.
pub fn window(space: Space) -> u64 {
    let number: u64 = match space {
        Space::Generic | Space::Global | Space::Constant => 0,
        Space::Shared => 1,
        Space::Local => 2,
        Space::Parameter => 3,
    };
    number << WINDOW_SHIFT
}

/// The space a generic address points into.
pub fn space_of(address: u64) -> Space {
    match address >> WINDOW_SHIFT {
        1 => Space::Shared,
        2 => Space::Local,
        3 => Space::Parameter,
        _ => Space::Global,
    }
}

impl Machine<'_> {
    /// The address of each lane.
    pub fn addresses(&self, warp: &Warp, address: Address) -> LongRow {
        let offset = address.offset as u64;
        match address.base {
            None => [offset; LANES],
            // A 32-bit base addresses shared, local or parameter memory.
            Some(Register::Word(base)) => {
                map1(warp.registers.word(base), |base| u64::from(base.wrapping_add(offset as u32)))
            }
            Some(Register::Long(base)) => map1(warp.registers.long(base), |base| base.wrapping_add(offset)),
        }
    }

    pub fn load(
        &mut self,
        warp: &mut Warp,
        space: Space,
        shape: Shape,
        d: &[Register; 4],
        address: Address,
        active: u32,
    ) -> Step {
        let addresses = self.addresses(warp, address);
        for_each_space(space, &addresses, active, |space, addresses, mask| match space {
            Space::Shared => self.load_shared(warp, shape, d, addresses, mask),
            Space::Local => self.load_local(warp, shape, d, addresses, mask),
            Space::Parameter => self.load_parameter(warp, shape, d, addresses, mask),
            _ => self.load_global(warp, shape, d, addresses, mask),
        })
    }

    fn load_global(
        &mut self,
        warp: &mut Warp,
        shape: Shape,
        d: &[Register; 4],
        addresses: &LongRow,
        mask: u32,
    ) -> Step {
        self.counters.global_access(GlobalAccess::Load, addresses, mask, shape.total());
        let words = self.memory.load_lanes(addresses, mask, shape.total())?;
        put(&mut warp.registers, shape, d, &words, mask);
        Ok(())
    }

    fn load_shared(
        &mut self,
        warp: &mut Warp,
        shape: Shape,
        d: &[Register; 4],
        addresses: &LongRow,
        mask: u32,
    ) -> Step {
        self.counters.shared_access(addresses, mask, shape.total());
        let words = self.shared.load_lanes(warp.index, addresses, mask, shape.total())?;
        put(&mut warp.registers, shape, d, &words, mask);
        Ok(())
    }

    fn load_local(&mut self, warp: &mut Warp, shape: Shape, d: &[Register; 4], addresses: &LongRow, mask: u32) -> Step {
        let mut words = [[0; LANES]; 4];
        for lane in lanes(mask) {
            let at = self.local_place(addresses[lane], shape.total(), lane)?;
            put_bytes(&mut words, lane, &warp.local[at..at + shape.total()]);
        }
        put(&mut warp.registers, shape, d, &words, mask);
        Ok(())
    }

    fn load_parameter(
        &mut self,
        warp: &mut Warp,
        shape: Shape,
        d: &[Register; 4],
        addresses: &LongRow,
        mask: u32,
    ) -> Step {
        let total = shape.total();
        let mut words = [[0; LANES]; 4];
        // Nearly always all lanes read the same.
        let same = addresses.iter().fold(true, |same, &address| same & (address == addresses[0]));
        for lane in lanes(if same { mask & mask.wrapping_neg() } else { mask }) {
            let at = addresses[lane] as usize;
            let Some(source) = self.parameters.get(at..at.saturating_add(total)) else {
                let text = format!(
                    "{total} bytes at parameter offset {at} are out of bounds: {} bytes were passed",
                    self.parameters.len()
                );
                return Err(Fault::at_lane(lane, text));
            };
            put_bytes(&mut words, lane, source);
        }
        if same {
            let lane = mask.trailing_zeros() as usize;
            words = words.map(|word| [word[lane]; LANES]);
        }
        put(&mut warp.registers, shape, d, &words, mask);
        Ok(())
    }

    fn local_place(&self, address: u64, total: usize, lane: usize) -> Step<usize> {
        let size = self.kernel.local;
        match usize::try_from(address) {
            Ok(at) if at.saturating_add(total) <= size && at.is_multiple_of(total) => Ok(lane * size + at),
            _ => Err(Fault::at_lane(
                lane,
                format!("{total} bytes at local address {address} are not inside the thread's {size} bytes"),
            )),
        }
    }

    pub fn store(
        &mut self,
        warp: &mut Warp,
        space: Space,
        shape: Shape,
        a: &[Register; 4],
        address: Address,
        active: u32,
    ) -> Step {
        let addresses = self.addresses(warp, address);
        let total = shape.total();
        for_each_space(space, &addresses, active, |space, addresses, mask| {
            match space {
                Space::Shared => self.counters.shared_access(addresses, mask, total),
                Space::Local | Space::Parameter => {}
                _ => self.counters.global_access(GlobalAccess::Store, addresses, mask, total),
            }
            let words = take(&warp.registers, shape, a);
            match space {
                Space::Shared => self.shared.store_lanes(warp.index, addresses, mask, total, &words),
                Space::Local => self.store_local(warp, addresses, mask, total, &words),
                Space::Parameter | Space::Constant => {
                    Err(Fault::at_lane(mask.trailing_zeros() as usize, "writes to memory that is constant"))
                }
                Space::Global | Space::Generic => Ok(self.memory.store_lanes(addresses, mask, total, &words)?),
            }
        })
    }

    fn store_local(&mut self, warp: &mut Warp, addresses: &LongRow, mask: u32, total: usize, words: &Words) -> Step {
        for lane in lanes(mask) {
            let at = self.local_place(addresses[lane], total, lane)?;
            warp.local[at..at + total].copy_from_slice(&bytes_of(words, lane)[..total]);
        }
        Ok(())
    }

    /// `cp.async`: see [`super::copies`].
    pub fn issue_copies(
        &mut self,
        warp: &mut Warp,
        bytes: usize,
        (to, from): (Address, Address),
        (source_bytes, skip): (Option<Word>, Option<Flag>),
        active: u32,
    ) -> Step {
        let (to, from) = (self.addresses(warp, to), self.addresses(warp, from));
        let skipped = flag_or_none(warp, skip);
        let mut reads = 0;
        for lane in lanes(active) {
            let mut length = source_bytes.map_or(bytes, |word| warp.registers.word(word)[lane] as usize);
            if length > bytes {
                return Err(Fault::at_lane(lane, format!("cp.async reads {length} bytes to write {bytes}")));
            }
            if skipped >> lane & 1 != 0 {
                length = 0;
            }
            if length > 0 {
                reads |= 1 << lane;
                self.read_source(lane, from[lane], bytes, length)?;
            }
            self.shared.begin_copy(self.who(lane), to[lane], bytes)?;
            warp.copies.issue(lane, to[lane], from[lane], bytes, length);
        }
        self.counters.global_access(GlobalAccess::Load, &from, reads, bytes);
        self.counters.shared_access(&to, active, bytes);
        Ok(())
    }

    /// The first `length` of `bytes` bytes at a source that must be aligned to `bytes`.
    fn read_source(&mut self, lane: usize, from: u64, bytes: usize, length: usize) -> Step<[u8; 16]> {
        if !from.is_multiple_of(bytes as u64) {
            let fault = crate::memory::MemoryFault::Misaligned { address: from, alignment: bytes };
            return Err(Fault::memory(lane, &fault));
        }
        let mut out = [0; 16];
        let mut at = 0;
        while at < length {
            let piece = largest_piece(length - at);
            let read = self.memory.load(from + at as u64, piece).map_err(|fault| Fault::memory(lane, &fault))?;
            out[at..at + piece].copy_from_slice(&read[..piece]);
            at += piece;
        }
        Ok(out)
    }

    pub fn wait_copies(&mut self, warp: &mut Warp, pending: Option<u32>, active: u32) -> Step {
        for copy in warp.copies.take(active, pending) {
            let mut bytes = [0; 16];
            if copy.source_bytes > 0 {
                bytes = self.read_source(copy.lane, copy.from, copy.bytes, copy.source_bytes)?;
            }
            self.shared.finish_copy(self.who(copy.lane), copy.to, &bytes[..copy.bytes])?;
        }
        Ok(())
    }
}

/// The largest power of two that is at most `length` and 16.
fn largest_piece(length: usize) -> usize {
    1 << length.min(16).ilog2()
}

/// Calls `f` with the lanes of each space; generic addresses are taken out of their windows.
pub fn for_each_space(
    space: Space,
    addresses: &LongRow,
    active: u32,
    mut f: impl FnMut(Space, &LongRow, u32) -> Step,
) -> Step {
    if space != Space::Generic {
        return f(space, addresses, active);
    }
    let mut left = active;
    while left != 0 {
        let space = space_of(addresses[left.trailing_zeros() as usize]);
        let mask =
            lanes(left).filter(|&lane| space_of(addresses[lane]) == space).fold(0, |mask, lane| mask | 1 << lane);
        f(space, &map1(addresses, |address| address & !window(space)), mask)?;
        left &= !mask;
    }
    Ok(())
}

/// Writes loaded elements to their registers, extended to the registers' width.
#[inline(always)]
fn put(registers: &mut Registers, shape: Shape, d: &[Register; 4], words: &Words, mask: u32) {
    for (index, &d) in d.iter().enumerate().take(usize::from(shape.count)) {
        match (d, shape.bytes) {
            (Register::Word(d), 4) => registers.set_word(d, words[index], mask),
            (Register::Long(d), 8) => registers.set_long(d, join(&words[2 * index], &words[2 * index + 1]), mask),
            (d, _) => put_narrow(registers, shape, d, &element(words, index, usize::from(shape.bytes)), mask),
        }
    }
}

/// Elements below the width of their register.
fn put_narrow(registers: &mut Registers, shape: Shape, d: Register, value: &Row, mask: u32) {
    let value = map1(value, |value| integer::extend(8 * shape.bytes.min(4), shape.sign, value));
    match (d, shape.sign) {
        (Register::Word(d), _) => registers.set_word(d, value, mask),
        (Register::Long(d), Signedness::Unsigned) => registers.set_long(d, map1(&value, u64::from), mask),
        (Register::Long(d), Signedness::Signed) => {
            registers.set_long(d, map1(&value, |v| i64::from(v as i32) as u64), mask)
        }
    }
}

fn join(low: &Row, high: &Row) -> LongRow {
    map2(low, high, |low, high| u64::from(low) | u64::from(high) << 32)
}

/// Element `index` of `size` bytes; its upper bits are those of its neighbours.
fn element(words: &Words, index: usize, size: usize) -> Row {
    let shift = 8 * (index * size % 4);
    map1(&words[index * size / 4], |word| word >> shift)
}

/// The words a store writes.
#[inline(always)]
fn take(registers: &Registers, shape: Shape, a: &[Register; 4]) -> Words {
    let mut words = [[0; LANES]; 4];
    for (index, &a) in a.iter().enumerate().take(usize::from(shape.count)) {
        let low = match a {
            Register::Word(a) => *registers.word(a),
            Register::Long(a) => map1(registers.long(a), |value| value as u32),
        };
        match (shape.bytes, a) {
            (4, _) => words[index] = low,
            (8, Register::Long(a)) => {
                words[2 * index] = low;
                words[2 * index + 1] = map1(registers.long(a), |value| (value >> 32) as u32);
            }
            (size, _) => {
                let (at, bits) = (index * usize::from(size), 8 * u32::from(size));
                let kept = map1(&low, |value| value & (u32::MAX >> (32 - bits.min(32))));
                words[at / 4] = map2(&words[at / 4], &kept, |word, value| word | value << (8 * (at % 4)));
            }
        }
    }
    words
}
