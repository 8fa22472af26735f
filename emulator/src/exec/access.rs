//! Loads, stores and asynchronous copies of a warp.

use super::{
    block::Machine,
    fault::{Fault, Step},
    rows::{LongRow, lanes, map1},
    step::flag_or_none,
    warp::Warp,
};
use crate::{
    counters::GlobalAccess,
    memory::copy_small,
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
        let total = shape.total();
        self.counters.global_access(GlobalAccess::Load, addresses, mask, total);
        for lane in lanes(mask) {
            let bytes = self.memory.load(addresses[lane], total).map_err(|fault| Fault::memory(lane, &fault))?;
            put(warp, shape, d, lane, &bytes);
        }
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
        let total = shape.total();
        self.counters.shared_access(addresses, mask, total);
        for lane in lanes(mask) {
            let bytes = self.shared.load(self.who(lane), addresses[lane], total)?;
            put(warp, shape, d, lane, &bytes);
        }
        Ok(())
    }

    fn load_local(&mut self, warp: &mut Warp, shape: Shape, d: &[Register; 4], addresses: &LongRow, mask: u32) -> Step {
        let total = shape.total();
        for lane in lanes(mask) {
            let at = self.local_place(addresses[lane], total, lane)?;
            let mut bytes = [0; 16];
            copy_small(&mut bytes, &warp.local[at..at + total]);
            put(warp, shape, d, lane, &bytes);
        }
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
        for lane in lanes(mask) {
            let at = addresses[lane] as usize;
            let Some(source) = self.parameters.get(at..at.saturating_add(total)) else {
                let text = format!(
                    "{total} bytes at parameter offset {at} are out of bounds: {} bytes were passed",
                    self.parameters.len()
                );
                return Err(Fault::at_lane(lane, text));
            };
            let mut bytes = [0; 16];
            copy_small(&mut bytes, source);
            put(warp, shape, d, lane, &bytes);
        }
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
            for lane in lanes(mask) {
                let bytes = take(warp, shape, a, lane);
                self.store_lane(warp, space, lane, addresses[lane], total, &bytes)?;
            }
            Ok(())
        })
    }

    fn store_lane(
        &mut self,
        warp: &mut Warp,
        space: Space,
        lane: usize,
        address: u64,
        total: usize,
        bytes: &[u8; 16],
    ) -> Step {
        match space {
            Space::Shared => self.shared.store(self.who(lane), address, total, bytes),
            Space::Local => {
                let at = self.local_place(address, total, lane)?;
                copy_small(&mut warp.local[at..at + total], &bytes[..total]);
                Ok(())
            }
            Space::Parameter | Space::Constant => Err(Fault::at_lane(lane, "writes to memory that is constant")),
            Space::Global | Space::Generic => {
                self.memory.store(address, total, bytes).map_err(|fault| Fault::memory(lane, &fault))
            }
        }
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

#[inline(always)]
fn put(warp: &mut Warp, shape: Shape, d: &[Register; 4], lane: usize, bytes: &[u8; 16]) {
    let size = usize::from(shape.bytes);
    for (index, &d) in d.iter().enumerate().take(usize::from(shape.count)) {
        warp.registers.set_lane(d, lane, element(&bytes[size * index..], size, shape.sign));
    }
}

/// An element of `size` bytes, extended to 64 bits.
#[inline(always)]
pub fn element(bytes: &[u8], size: usize, sign: Signedness) -> u64 {
    let mut padded = [0; 8];
    copy_small(&mut padded, &bytes[..size]);
    let value = u64::from_le_bytes(padded);
    let unused = 64 - 8 * size as u32;
    match sign {
        Signedness::Signed => (((value << unused) as i64) >> unused) as u64,
        Signedness::Unsigned => value,
    }
}

#[inline(always)]
fn take(warp: &Warp, shape: Shape, a: &[Register; 4], lane: usize) -> [u8; 16] {
    let size = usize::from(shape.bytes);
    let mut bytes = [0; 16];
    for (index, &a) in a.iter().enumerate().take(usize::from(shape.count)) {
        copy_small(&mut bytes[size * index..], &warp.registers.lane(a, lane).to_le_bytes()[..size]);
    }
    bytes
}
