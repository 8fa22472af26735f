//! Memory for one of the generator's kernels: numbers laid out with gaps, so that a kernel that writes where it should not is
//! seen, and a capacity beyond the batch.

use graphpnas_fast::device::cuda::Device;
use graphpnas_fast::device::cuda::generator::launch::Memory;
use graphpnas_fast::device::cuda::generator::{Capacity, PrefixGraphs};
use std::ops::Range;
use std::sync::Arc;

/// Elements between two pieces.
const GAP: usize = 8;

/// One arena on the host.
#[derive(Default)]
struct Arena<T> {
    elements: Vec<T>,
    written: Vec<Range<usize>>,
}

impl<T: Copy + From<f32>> Arena<T> {
    fn put(&mut self, data: impl ExactSizeIterator<Item = T>) -> u64 {
        let at = self.elements.len().next_multiple_of(8) + GAP;
        self.elements.resize(at, f32::NAN.into());
        self.elements.extend(data);
        self.elements.resize(self.elements.len().next_multiple_of(8) + GAP, f32::NAN.into());
        at as u64
    }

    /// Puts data that the kernel may change, up to `written` elements.
    fn change(&mut self, data: impl ExactSizeIterator<Item = T>, written: usize) -> u64 {
        let at = self.put(data);
        self.written.push(at as usize..at as usize + written);
        at
    }
}

/// A test's memory before it is copied to the device.
pub struct Stage {
    graphs: PrefixGraphs,
    floats: Arena<f32>,
    doubles: Arena<f64>,
}

impl Stage {
    pub fn new(graphs: PrefixGraphs) -> Self {
        Stage { graphs, floats: Arena::default(), doubles: Arena::default() }
    }

    /// More than the batch holds, as where a captured step is replayed for a smaller batch.
    pub fn capacity(&self) -> Capacity {
        let Capacity { graphs, prefixes, nodes, edges } = self.graphs.size();
        Capacity { graphs: graphs + 1, prefixes: prefixes + 3, nodes: nodes + 40, edges: edges + 70 }
    }

    pub fn floats(&mut self, data: &[f32]) -> u64 {
        self.floats.put(data.iter().copied())
    }

    /// Floats that the kernel may change.
    pub fn changed(&mut self, data: &[f32]) -> u64 {
        self.floats.change(data.iter().copied(), data.len())
    }

    /// Rows for the capacity, of which only the first are there.
    pub fn rows(&mut self, data: &[f32], most: usize, pitch: usize) -> u64 {
        let data: Vec<f32> = data.iter().copied().chain(std::iter::repeat(f32::NAN)).take(most * pitch).collect();
        self.floats(&data)
    }

    /// Rows for the capacity, of which the kernel may change those of the data.
    pub fn changed_rows(&mut self, data: &[f32], most: usize, pitch: usize) -> u64 {
        let all: Vec<f32> = data.iter().copied().chain(std::iter::repeat(f32::NAN)).take(most * pitch).collect();
        self.floats.change(all.into_iter(), data.len())
    }

    /// Floats to be written.
    pub fn reserve(&mut self, count: usize) -> u64 {
        self.changed(&vec![f32::NAN; count])
    }

    /// Rows for the capacity, of which only the first may be written.
    pub fn reserve_rows(&mut self, count: usize, most: usize, pitch: usize) -> u64 {
        self.floats.change(vec![f32::NAN; most * pitch].into_iter(), count * pitch)
    }

    pub fn doubles(&mut self, data: &[f64]) -> u64 {
        self.doubles.put(data.iter().copied())
    }

    /// Doubles for the capacity, of which only the first may be written.
    pub fn reserve_doubles(&mut self, count: usize, most: usize) -> u64 {
        self.doubles.change(vec![f64::NAN; most].into_iter(), count)
    }

    pub fn load(self, device: &Arc<Device>) -> Loaded {
        let (floats, doubles) = (self.floats.elements.len(), self.doubles.elements.len());
        let mut memory = Memory::new(device, self.capacity(), floats, doubles).unwrap();
        memory.floats.write(0, &self.floats.elements).unwrap();
        memory.doubles.write(0, &self.doubles.elements).unwrap();
        memory.write_batch(&self.graphs, (128, 0), [0.0; 2]).unwrap();
        Loaded { stage: self, memory }
    }
}

/// The memory of a test on the device.
pub struct Loaded {
    stage: Stage,
    pub memory: Memory,
}

impl Loaded {
    pub fn floats(&self, at: u64, count: usize) -> Vec<f32> {
        self.memory.floats.read(at as usize..at as usize + count).unwrap()
    }

    pub fn doubles(&self, at: u64, count: usize) -> Vec<f64> {
        self.memory.doubles.read(at as usize..at as usize + count).unwrap()
    }

    /// Asserts that no kernel wrote to what was not reserved.
    pub fn assert_rest_unchanged(&self) {
        let floats = self.memory.floats.read(0..self.memory.floats.len()).unwrap();
        let Stage { floats: arena, .. } = &self.stage;
        for (index, (before, after)) in arena.elements.iter().zip(&floats).enumerate() {
            let may_change = arena.written.iter().any(|range| range.contains(&index));
            assert!(may_change || before.to_bits() == after.to_bits(), "floats[{index}] is {after}, was {before}");
        }
        let doubles = self.memory.doubles.read(0..self.memory.doubles.len()).unwrap();
        let Stage { doubles: arena, .. } = &self.stage;
        for (index, (before, after)) in arena.elements.iter().zip(&doubles).enumerate() {
            let may_change = arena.written.iter().any(|range| range.contains(&index));
            assert!(may_change || before.to_bits() == after.to_bits(), "doubles[{index}] is {after}, was {before}");
        }
    }
}
