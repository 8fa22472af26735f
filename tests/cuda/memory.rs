//! Arenas for one kernel: numbers laid out with gaps, so that a kernel that writes where it should not is seen.

use graphpnas_fast::device::cuda::launch::Arenas;
use graphpnas_fast::device::cuda::records::{
    Chosen, Consumer, Edge, Extents, JoinEdge, Lists, Reader, Settings, Tables,
};
use graphpnas_fast::device::cuda::{Buffer, Device, Storage};
use std::ops::Range;
use std::sync::Arc;

/// Elements between two pieces.
const GAP: usize = 8;

/// What lies in gaps and in what is to be written.
const POISON: f32 = f32::NAN;

/// One arena on the host.
#[derive(Default)]
struct Arena {
    elements: Vec<f32>,
    written: Vec<Range<usize>>,
}

impl Arena {
    fn put(&mut self, data: &[f32]) -> u64 {
        let at = self.elements.len().next_multiple_of(8) + GAP;
        self.elements.resize(at, POISON);
        self.elements.extend(data);
        self.elements.resize(self.elements.len().next_multiple_of(8) + GAP, POISON);
        at as u64
    }

    fn reserve(&mut self, elements: usize) -> u64 {
        let at = self.put(&vec![POISON; elements]);
        self.written.push(at as usize..at as usize + elements);
        at
    }

    /// Asserts that nothing changed but what was reserved.
    fn assert_unchanged(&self, what: &str, now: &[f32]) {
        for (index, (before, after)) in self.elements.iter().zip(now).enumerate() {
            let may_change = self.written.iter().any(|range| range.contains(&index));
            assert!(may_change || before.to_bits() == after.to_bits(), "{what}[{index}] is {after}, was {before}");
        }
    }
}

/// The memory of a test before it is copied to the device.
pub struct Memory {
    pub storage: Storage,
    values: Arena,
    floats: Arena,
    parameters: Arena,
    gradients: Arena,
    momentum: Arena,
    pub labels: Vec<u32>,
    pub settings: Settings,
    pub edges: Vec<Edge>,
    pub joins: Vec<JoinEdge>,
    pub readers: Vec<Reader>,
    pub consumers: Vec<Consumer>,
    pub chosen: Vec<Chosen>,
}

impl Memory {
    pub fn new(storage: Storage) -> Self {
        Memory {
            storage,
            values: Arena::default(),
            floats: Arena::default(),
            parameters: Arena::default(),
            gradients: Arena::default(),
            momentum: Arena::default(),
            labels: Vec::new(),
            settings: bytemuck::Zeroable::zeroed(),
            edges: Vec::new(),
            joins: Vec::new(),
            readers: Vec::new(),
            consumers: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// Values; they are rounded to the storage's format in place.
    pub fn values(&mut self, data: &mut [f32]) -> u64 {
        data.iter_mut().for_each(|value| *value = self.storage.round(*value));
        self.values.put(data)
    }

    pub fn floats(&mut self, data: &[f32]) -> u64 {
        self.floats.put(data)
    }

    /// Parameters, with momentum and gradients of the same place.
    pub fn tensor(&mut self, parameters: &[f32], momentum: &[f32], gradients: &[f32]) -> u64 {
        self.momentum.put(momentum);
        self.gradients.put(gradients);
        self.parameters.put(parameters)
    }

    pub fn parameters(&mut self, data: &[f32]) -> u64 {
        self.tensor(data, data, data)
    }

    /// A tensor that the kernel changes, gradient and momentum too.
    pub fn changed_tensor(&mut self, parameters: &[f32], momentum: &[f32], gradients: &[f32]) -> u64 {
        let at = self.tensor(parameters, momentum, gradients);
        let range = at as usize..at as usize + parameters.len();
        for arena in [&mut self.parameters, &mut self.momentum, &mut self.gradients] {
            arena.written.push(range.clone());
        }
        at
    }

    pub fn reserve_values(&mut self, elements: usize) -> u64 {
        self.values.reserve(elements)
    }

    pub fn reserve_floats(&mut self, elements: usize) -> u64 {
        self.floats.reserve(elements)
    }

    /// Copies everything to the device.
    pub fn load(self, device: &Arc<Device>) -> Loaded {
        let storage = self.storage;
        let extents = Extents {
            values: self.values.elements.len(),
            floats: self.floats.elements.len(),
            parameters: self.parameters.elements.len(),
            labels: self.labels.len(),
            chosen: self.chosen.len(),
        };
        let weights = match storage {
            Storage::F32 => Vec::new(),
            Storage::F16 | Storage::Bf16 => storage.encode(&self.parameters.elements),
        };
        let arenas = Arenas {
            storage,
            values: Buffer::copied(device, &storage.encode(&self.values.elements)).unwrap(),
            floats: Buffer::copied(device, &self.floats.elements).unwrap(),
            parameters: Buffer::copied(device, &self.parameters.elements).unwrap(),
            momentum: Buffer::copied(device, &self.momentum.elements).unwrap(),
            gradients: Buffer::copied(device, &self.gradients.elements).unwrap(),
            weights: Buffer::copied(device, &weights).unwrap(),
            labels: Buffer::copied(device, &self.labels).unwrap(),
            chosen: Buffer::copied(device, &self.chosen).unwrap(),
            settings: Buffer::copied(device, &[self.settings]).unwrap(),
        };
        let (edges, joins) = (self.edges.clone(), self.joins.clone());
        let (readers, consumers) = (self.readers.clone(), self.consumers.clone());
        let tables = Tables::new(device, Lists { extents, storage, edges, joins, readers, consumers }).unwrap();
        Loaded { memory: self, arenas, tables }
    }
}

/// The memory of a test on the device.
pub struct Loaded {
    memory: Memory,
    pub arenas: Arenas,
    pub tables: Tables,
}

impl Loaded {
    fn all_values(&self) -> Vec<f32> {
        self.memory.storage.decode(&self.arenas.values.read(0..self.arenas.values.len()).unwrap())
    }

    pub fn values(&self, at: u64, elements: usize) -> Vec<f32> {
        self.all_values()[at as usize..][..elements].to_vec()
    }

    pub fn floats(&self, at: u64, elements: usize) -> Vec<f32> {
        self.arenas.floats.read(at as usize..at as usize + elements).unwrap()
    }

    /// Asserts that no kernel wrote to what was not reserved.
    pub fn assert_rest_unchanged(&self) {
        self.memory.values.assert_unchanged("values", &self.all_values());
        let read = |buffer: &Buffer<f32>| buffer.read(0..buffer.len()).unwrap();
        self.memory.floats.assert_unchanged("floats", &read(&self.arenas.floats));
        self.memory.parameters.assert_unchanged("parameters", &read(&self.arenas.parameters));
        self.memory.momentum.assert_unchanged("momentum", &read(&self.arenas.momentum));
        self.memory.gradients.assert_unchanged("gradients", &read(&self.arenas.gradients));
    }
}

/// A number in f64 with the size of the terms that made it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub value: f64,
    magnitude: f64,
    terms: usize,
}

impl Sum {
    /// Adds a product.
    pub fn add(&mut self, a: f64, b: f64) {
        self.value += a * b;
        self.magnitude += (a * b).abs();
        self.terms += 1;
    }

    /// Adds the product of a sum and a number.
    pub fn add_scaled(&mut self, other: Sum, factor: f64) {
        self.value += other.value * factor;
        self.magnitude += other.magnitude * factor.abs();
        self.terms += other.terms;
    }

    /// max(0, ...).
    pub fn relu(self) -> Sum {
        Sum { value: self.value.max(0.0), ..self }
    }

    /// Asserts that a device's number is the sum's, but for the rounding of its f32 terms and of the result to `storage`.
    pub fn assert_near(&self, what: &str, got: f32, storage: Storage) {
        let accumulated = (4.0 + (self.terms as f64).sqrt()) * f64::from(f32::EPSILON) * self.magnitude;
        // Below its smallest normal number a format has fewer digits.
        let smallest = if storage == Storage::F16 { 6e-8 } else { 1e-37 };
        let bound = 1.01 * storage.unit_roundoff() * self.value.abs() + accumulated + smallest;
        let error = (f64::from(got) - self.value).abs();
        assert!(error <= bound, "{what}: {got}, not {} (bound {bound:e})", self.value);
    }
}
