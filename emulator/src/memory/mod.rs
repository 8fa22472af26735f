//! Device memory: allocations far apart from each other, each byte knowing whether it was ever written.

mod lanes;

pub use lanes::{LaneFault, Words, bytes_of, put_bytes};

/// First address handed out.
const FIRST_ADDRESS: u64 = 0x10_0000_0000;
/// Least distance between two allocations, so that a stray index lands in none.
const GAP: u64 = 16 << 20;
/// Allocations start at a multiple of this many bytes, as on a device.
const ALIGNMENT: u64 = 256;
/// Bytes a memory transaction moves.
pub const SECTOR: u64 = 32;
/// What a copy to the host shows in place of bytes nobody wrote.
const POISON: u8 = 0xFF;

/// Per-byte states.
const UNWRITTEN: u8 = 0;
const WRITTEN: u8 = 1;
const FORBIDDEN: u8 = 2;

/// Why an access is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryFault {
    #[error(
        "{bytes} bytes at {address:#x} are out of bounds: {past} bytes past the start of an allocation of {length} bytes"
    )]
    OutOfBounds { address: u64, bytes: usize, past: u64, length: usize },
    #[error("address {address:#x} lies {below} bytes below an allocation of {length} bytes")]
    Below { address: u64, below: u64, length: usize },
    #[error("address {address:#x} was freed: {past} bytes into an allocation of {length} bytes")]
    Freed { address: u64, past: u64, length: usize },
    #[error("address {address:#x} is in no allocation")]
    Unallocated { address: u64 },
    #[error("address {address:#x} is not a multiple of {alignment} bytes")]
    Misaligned { address: u64, alignment: usize },
    #[error("reads uninitialised memory at {address:#x}, byte {offset} of an allocation of {length} bytes")]
    Uninitialised { address: u64, offset: usize, length: usize },
    #[error("address {address:#x} lies in a forbidden zone, byte {offset} of an allocation of {length} bytes")]
    Forbidden { address: u64, offset: usize, length: usize },
}

/// An allocation would exceed the memory of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: {requested} bytes requested, {free} free")]
pub struct OutOfMemory {
    pub requested: usize,
    pub free: usize,
}

struct Allocation {
    base: u64,
    bytes: Vec<u8>,
    state: Vec<u8>,
    /// For each sector the last launch that read it, and that wrote it.
    read_in: Vec<u32>,
    written_in: Vec<u32>,
}

impl Allocation {
    fn new(base: u64, length: usize) -> Self {
        let sectors = length.div_ceil(SECTOR as usize);
        Self {
            base,
            bytes: vec![0; length],
            state: vec![UNWRITTEN; length],
            read_in: vec![0; sectors],
            written_in: vec![0; sectors],
        }
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }
}

/// Sectors touched at least once by the running launch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UniqueSectors {
    pub read: u64,
    pub written: u64,
}

/// The memory of the emulated device.
pub struct DeviceMemory {
    /// By rising address.
    allocations: Vec<Allocation>,
    freed: Vec<(u64, usize)>,
    next: u64,
    used: usize,
    capacity: usize,
    /// Refuse reads of bytes nobody wrote.
    pub check_initialised: bool,
    launch: u32,
    unique: UniqueSectors,
    /// Index of the allocation found last.
    recent: usize,
}

impl DeviceMemory {
    /// Memory of `capacity` bytes, all free.
    pub fn new(capacity: usize) -> Self {
        Self {
            allocations: Vec::new(),
            freed: Vec::new(),
            next: FIRST_ADDRESS,
            used: 0,
            capacity,
            check_initialised: true,
            launch: 0,
            unique: UniqueSectors::default(),
            recent: 0,
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Changes the size of the memory; what is allocated stays.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub fn free_bytes(&self) -> usize {
        self.capacity.saturating_sub(self.used)
    }

    /// Allocates `length` bytes at an address never used before.
    ///
    /// # Errors
    /// The device has fewer bytes left.
    pub fn allocate(&mut self, length: usize) -> Result<u64, OutOfMemory> {
        let base = self.reserve(length)?;
        self.map(base, length)?;
        Ok(base)
    }

    /// An address for [`DeviceMemory::map`], without memory behind it yet.
    ///
    /// # Errors
    /// The whole device is smaller than `length`.
    pub fn reserve(&mut self, length: usize) -> Result<u64, OutOfMemory> {
        if length > self.capacity {
            return Err(OutOfMemory { requested: length, free: self.free_bytes() });
        }
        let base = self.next;
        self.next = (base + length as u64 + GAP).next_multiple_of(ALIGNMENT);
        Ok(base)
    }

    /// Puts memory behind a reserved address.
    ///
    /// # Errors
    /// The device has fewer bytes left.
    pub fn map(&mut self, base: u64, length: usize) -> Result<(), OutOfMemory> {
        if length > self.free_bytes() {
            return Err(OutOfMemory { requested: length, free: self.free_bytes() });
        }
        self.used += length;
        self.freed.retain(|freed| freed.0 != base);
        let at = self.allocations.partition_point(|allocation| allocation.base < base);
        self.allocations.insert(at, Allocation::new(base, length));
        Ok(())
    }

    /// Frees the allocation that starts at `address`; false where there is none.
    pub fn free(&mut self, address: u64) -> bool {
        match self.allocations.binary_search_by_key(&address, |allocation| allocation.base) {
            Ok(index) => {
                let allocation = self.allocations.remove(index);
                self.used -= allocation.bytes.len();
                self.freed.push((address, allocation.bytes.len()));
                true
            }
            Err(_) => false,
        }
    }

    /// Forbids (or allows again) access to `length` bytes, e.g. to the gaps in an arena.
    ///
    /// # Errors
    /// The bytes are not inside one allocation.
    pub fn forbid(&mut self, address: u64, length: usize, forbidden: bool) -> Result<(), MemoryFault> {
        let (index, offset) = self.locate(address, length)?;
        let state = if forbidden { FORBIDDEN } else { UNWRITTEN };
        self.allocations[index].state[offset..offset + length].fill(state);
        Ok(())
    }

    fn locate(&mut self, address: u64, length: usize) -> Result<(usize, usize), MemoryFault> {
        if let Some(allocation) = self.allocations.get(self.recent)
            && address >= allocation.base
            && address.saturating_add(length as u64) <= allocation.end()
        {
            return Ok((self.recent, (address - allocation.base) as usize));
        }
        let after = self.allocations.partition_point(|allocation| allocation.base <= address);
        let Some(index) = after.checked_sub(1) else { return Err(self.stray(address, length, after)) };
        let allocation = &self.allocations[index];
        if address.saturating_add(length as u64) > allocation.end() {
            return Err(self.stray(address, length, after));
        }
        self.recent = index;
        Ok((index, (address - allocation.base) as usize))
    }

    /// The most telling reason why `address` is not accessible; `after` is the index of the next higher allocation.
    fn stray(&self, address: u64, bytes: usize, after: usize) -> MemoryFault {
        let inside = |freed: &&(u64, usize)| address >= freed.0 && address < freed.0 + freed.1.max(1) as u64;
        if let Some(freed) = self.freed.iter().rev().find(inside) {
            return MemoryFault::Freed { address, past: address - freed.0, length: freed.1 };
        }
        if let Some(lower) = after.checked_sub(1).map(|index| &self.allocations[index])
            && address < lower.end() + GAP / 2
        {
            return MemoryFault::OutOfBounds { address, bytes, past: address - lower.base, length: lower.bytes.len() };
        }
        if let Some(upper) = self.allocations.get(after)
            && upper.base - address < GAP / 2
        {
            return MemoryFault::Below { address, below: upper.base - address, length: upper.bytes.len() };
        }
        MemoryFault::Unallocated { address }
    }

    /// Reads `length` (at most 16) bytes as a kernel does.
    ///
    /// # Errors
    /// The bytes are misaligned, not allocated, forbidden or were never written.
    #[inline]
    pub fn load(&mut self, address: u64, length: usize) -> Result<[u8; 16], MemoryFault> {
        aligned(address, length)?;
        let (index, offset) = self.locate(address, length)?;
        let allocation = &self.allocations[index];
        let state = &allocation.state[offset..offset + length];
        let bad = if self.check_initialised { |s: u8| s != WRITTEN } else { |s: u8| s == FORBIDDEN };
        if state.iter().fold(false, |any, &s| any | bad(s)) {
            return Err(refused(allocation, offset, length, self.check_initialised));
        }
        let mut out = [0; 16];
        copy_small(&mut out, &allocation.bytes[offset..offset + length]);
        let sector = offset / SECTOR as usize;
        if allocation.read_in[sector] != self.launch {
            self.allocations[index].read_in[sector] = self.launch;
            self.unique.read += 1;
        }
        Ok(out)
    }

    /// Writes `length` (at most 16) bytes as a kernel does.
    ///
    /// # Errors
    /// The bytes are misaligned, not allocated or forbidden.
    #[inline]
    pub fn store(&mut self, address: u64, length: usize, bytes: &[u8; 16]) -> Result<(), MemoryFault> {
        aligned(address, length)?;
        let (index, offset) = self.locate(address, length)?;
        let allocation = &mut self.allocations[index];
        let state = &mut allocation.state[offset..offset + length];
        if state.iter().fold(false, |any, &s| any | (s == FORBIDDEN)) {
            return Err(refused(allocation, offset, length, false));
        }
        state.fill(WRITTEN);
        copy_small(&mut allocation.bytes[offset..offset + length], &bytes[..length]);
        let sector = offset / SECTOR as usize;
        if allocation.written_in[sector] != self.launch {
            allocation.written_in[sector] = self.launch;
            self.unique.written += 1;
        }
        Ok(())
    }

    /// Copies from the host.
    ///
    /// # Errors
    /// The destination is not inside one allocation.
    pub fn write(&mut self, address: u64, source: &[u8]) -> Result<(), MemoryFault> {
        if source.is_empty() {
            return Ok(());
        }
        let (index, offset) = self.locate(address, source.len())?;
        let allocation = &mut self.allocations[index];
        allocation.bytes[offset..offset + source.len()].copy_from_slice(source);
        allocation.state[offset..offset + source.len()].fill(WRITTEN);
        Ok(())
    }

    /// Copies to the host; bytes nobody wrote arrive as 0xFF.
    ///
    /// # Errors
    /// The source is not inside one allocation.
    pub fn read(&mut self, address: u64, target: &mut [u8]) -> Result<(), MemoryFault> {
        if target.is_empty() {
            return Ok(());
        }
        let (index, offset) = self.locate(address, target.len())?;
        let allocation = &self.allocations[index];
        target.copy_from_slice(&allocation.bytes[offset..offset + target.len()]);
        for (byte, state) in target.iter_mut().zip(&allocation.state[offset..]) {
            if *state != WRITTEN {
                *byte = POISON;
            }
        }
        Ok(())
    }

    /// Copies within the device; what was never written stays so.
    ///
    /// # Errors
    /// Either end is not inside one allocation.
    pub fn copy(&mut self, to: u64, from: u64, length: usize) -> Result<(), MemoryFault> {
        if length == 0 {
            return Ok(());
        }
        let (source, source_offset) = self.locate(from, length)?;
        let range = source_offset..source_offset + length;
        let bytes = self.allocations[source].bytes[range.clone()].to_vec();
        let state = self.allocations[source].state[range].to_vec();
        let (target, offset) = self.locate(to, length)?;
        let allocation = &mut self.allocations[target];
        allocation.bytes[offset..offset + length].copy_from_slice(&bytes);
        allocation.state[offset..offset + length].copy_from_slice(&state);
        Ok(())
    }

    /// Sets `count` elements of `pattern`.
    ///
    /// # Errors
    /// The bytes are not inside one allocation.
    pub fn fill(&mut self, address: u64, pattern: &[u8], count: usize) -> Result<(), MemoryFault> {
        let length = pattern.len() * count;
        if length == 0 {
            return Ok(());
        }
        let (index, offset) = self.locate(address, length)?;
        let allocation = &mut self.allocations[index];
        for chunk in allocation.bytes[offset..offset + length].chunks_exact_mut(pattern.len()) {
            chunk.copy_from_slice(pattern);
        }
        allocation.state[offset..offset + length].fill(WRITTEN);
        Ok(())
    }

    /// Starts counting the sectors of a new launch.
    pub fn begin_launch(&mut self) {
        self.launch += 1;
        self.unique = UniqueSectors::default();
    }

    /// Distinct sectors touched since [`DeviceMemory::begin_launch`].
    pub fn unique_sectors(&self) -> UniqueSectors {
        self.unique
    }
}

#[inline]
fn aligned(address: u64, length: usize) -> Result<(), MemoryFault> {
    if address & (length as u64 - 1) != 0 {
        return Err(MemoryFault::Misaligned { address, alignment: length });
    }
    Ok(())
}

/// Copies 1, 2, 4, 8 or 16 bytes; a fixed length costs no call.
#[inline]
pub fn copy_small(to: &mut [u8], from: &[u8]) {
    match from.len() {
        4 => to[..4].copy_from_slice(&from[..4]),
        16 => to[..16].copy_from_slice(&from[..16]),
        8 => to[..8].copy_from_slice(&from[..8]),
        2 => to[..2].copy_from_slice(&from[..2]),
        length => to[..length].copy_from_slice(from),
    }
}

#[cold]
fn refused(allocation: &Allocation, offset: usize, length: usize, check_initialised: bool) -> MemoryFault {
    let bad = |state: u8| state == FORBIDDEN || check_initialised && state == UNWRITTEN;
    let first = (offset..offset + length).find(|&at| bad(allocation.state[at])).unwrap_or(offset);
    let (address, length) = (allocation.base + first as u64, allocation.bytes.len());
    match allocation.state[first] {
        FORBIDDEN => MemoryFault::Forbidden { address, offset: first, length },
        _ => MemoryFault::Uninitialised { address, offset: first, length },
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceMemory, MemoryFault};

    #[test]
    fn memory_is_limited_and_comes_back() {
        let mut memory = DeviceMemory::new(1000);
        let first = memory.allocate(600).unwrap();
        assert_eq!(memory.allocate(600).unwrap_err().to_string(), "out of memory: 600 bytes requested, 400 free");
        assert!(memory.free(first));
        assert!(!memory.free(first));
        assert_ne!(memory.allocate(600).unwrap(), first);
    }

    #[test]
    fn every_kind_of_stray_access_has_its_own_fault() {
        let mut memory = DeviceMemory::new(1 << 20);
        let (a, b) = (memory.allocate(64).unwrap(), memory.allocate(64).unwrap());
        memory.write(a, &[1; 64]).unwrap();
        assert!(matches!(memory.load(a + 64, 4), Err(MemoryFault::OutOfBounds { past: 64, length: 64, .. })));
        assert!(matches!(memory.load(b - 4, 4), Err(MemoryFault::Below { below: 4, .. })));
        assert!(matches!(memory.load(a + 2, 4), Err(MemoryFault::Misaligned { alignment: 4, .. })));
        assert!(matches!(memory.load(b, 4), Err(MemoryFault::Uninitialised { offset: 0, .. })));
        assert!(matches!(memory.load(16, 4), Err(MemoryFault::Unallocated { .. })));
        memory.free(a);
        assert!(matches!(memory.load(a + 8, 4), Err(MemoryFault::Freed { past: 8, .. })));
    }

    #[test]
    fn a_partly_written_word_is_uninitialised() {
        let mut memory = DeviceMemory::new(64);
        let a = memory.allocate(64).unwrap();
        memory.store(a, 2, &[7; 16]).unwrap();
        assert!(matches!(memory.load(a, 4), Err(MemoryFault::Uninitialised { offset: 2, .. })));
        memory.store(a + 2, 2, &[8; 16]).unwrap();
        assert_eq!(memory.load(a, 4).unwrap()[..4], [7, 7, 8, 8]);
    }

    #[test]
    fn copies_carry_the_unwritten_bytes_along() {
        let mut memory = DeviceMemory::new(64);
        let (a, b) = (memory.allocate(8).unwrap(), memory.allocate(8).unwrap());
        memory.write(a, &[1; 4]).unwrap();
        memory.write(b, &[2; 8]).unwrap();
        memory.copy(b, a, 8).unwrap();
        assert!(memory.load(b + 4, 4).is_err());
        let mut host = [0; 8];
        memory.read(b, &mut host).unwrap();
        assert_eq!(host, [1, 1, 1, 1, 255, 255, 255, 255]);
    }

    #[test]
    fn forbidden_zones_refuse_reads_and_writes() {
        let mut memory = DeviceMemory::new(64);
        let a = memory.allocate(64).unwrap();
        memory.fill(a, &[0], 64).unwrap();
        memory.forbid(a + 32, 16, true).unwrap();
        assert!(matches!(memory.store(a + 32, 4, &[0; 16]), Err(MemoryFault::Forbidden { offset: 32, .. })));
        assert!(memory.load(a + 28, 4).is_ok());
    }

    #[test]
    fn sectors_count_once_a_launch() {
        let mut memory = DeviceMemory::new(256);
        let a = memory.allocate(256).unwrap();
        memory.fill(a, &[0], 256).unwrap();
        memory.begin_launch();
        for offset in [0, 4, 28, 32, 0] {
            memory.load(a + offset, 4).unwrap();
        }
        assert_eq!((memory.unique_sectors().read, memory.unique_sectors().written), (2, 0));
        memory.begin_launch();
        memory.load(a, 4).unwrap();
        assert_eq!(memory.unique_sectors().read, 1);
    }
}
