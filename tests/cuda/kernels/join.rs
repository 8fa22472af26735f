//! `kernels/join.cu`.

use super::{for_each, padded_rows, storages};
use crate::memory::{Loaded, Memory, Sum};
use crate::support::{Numbers, device};
use bytemuck::Zeroable;
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::{Join, JoinBack, JoinEdge, JoinTask, NONE, rows_per_tile};

/// An input on the host: a value, its norm and the range that is read.
struct Input {
    values: Vec<f32>,
    norm: Option<Vec<f32>>,
    edge: JoinEdge,
}

impl Input {
    /// An input of so many channels, of which a range is read; `kind` says whether it has a norm and a ReLU.
    fn new(
        memory: &mut Memory,
        numbers: &mut Numbers,
        rows: usize,
        channels: usize,
        (edge, kind): (JoinEdge, usize),
    ) -> Input {
        let mut values = padded_rows(numbers, rows, channels);
        let norm = (kind > 0).then(|| padded_rows(numbers, 2, channels));
        let edge = JoinEdge {
            value: memory.values(&mut values),
            norm: norm.as_ref().map_or(NONE, |norm| memory.floats(norm)),
            leading: channels.next_multiple_of(8) as u32,
            relu: u32::from(kind > 1),
            ..edge
        };
        memory.joins.push(edge);
        Input { values, norm, edge }
    }

    /// Adds what it gives to an element of the result.
    fn add_to(&self, sum: &mut Sum, row: usize, channel: usize) {
        let Some(at) = channel.checked_sub(self.edge.to as usize).filter(|&at| at < self.edge.count as usize) else {
            return;
        };
        let (leading, channel) = (self.edge.leading as usize, self.edge.from as usize + at);
        let mut activated = Sum::default();
        let (scale, shift) = self.norm.as_ref().map_or((1.0, 0.0), |norm| (norm[channel], norm[leading + channel]));
        activated.add(scale.into(), self.values[row * leading + channel].into());
        activated.add(1.0, shift.into());
        sum.add_scaled(if self.edge.relu == 1 { activated.relu() } else { activated }, 1.0);
    }
}

/// Sum of a tile's rows, and another sum over them, as `(2, channels)` floats a tile, are those of the stored numbers.
fn check_sums(loaded: &Loaded, task: JoinTask, got: &[f32], second: impl Fn(f64, f64, usize) -> (f64, f64)) {
    let (channels, tile_rows) = (task.channels as usize, task.rows_per_tile as usize);
    let tiles = (task.rows as usize).div_ceil(tile_rows);
    let sums = loaded.floats(task.sums, tiles * 2 * channels);
    for (tile, sums) in sums.chunks(2 * channels).enumerate() {
        for channel in 0..channels {
            let indices = (tile * tile_rows * channels..got.len().min((tile + 1) * tile_rows * channels))
                .skip(channel)
                .step_by(channels);
            let (mut sum, mut other) = (Sum::default(), Sum::default());
            indices.clone().for_each(|i| sum.add(1.0, got[i].into()));
            let mean = sum.value / indices.len() as f64;
            indices.for_each(|i| {
                let (a, b) = second(got[i].into(), mean, i);
                other.add(a, b);
            });
            sum.assert_near("sum", sums[channel], Storage::F32);
            other.assert_near("second sum", sums[channels + channel], Storage::F32);
        }
    }
}

fn task(rows: usize, channels: usize, edges: usize, storage: Storage) -> JoinTask {
    JoinTask {
        edges: edges as u32,
        rows: rows as u32,
        channels: channels.next_multiple_of(8) as u32,
        rows_per_tile: rows_per_tile(channels.next_multiple_of(8) as u32, storage),
        ..JoinTask::zeroed()
    }
}

/// Sums of inputs that may have more channels, and concatenations at any channel.
#[test]
fn inputs_are_activated_and_joined() {
    let Some(device) = device() else { return };
    let inputs = proptest::collection::vec((0usize..3, 1usize..40), 0..5);
    for_each(40, (storages(), 1usize..300, 1usize..70, inputs, 0u64..1000), |case| {
        let (storage, rows, channels, kinds, seed) = case.clone();
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let concatenated = seed % 2 == 0;
        let channels = if concatenated { kinds.iter().map(|(_, count)| count).sum::<usize>().max(1) } else { channels };
        let (mut inputs, mut to) = (Vec::new(), 0);
        for &(kind, more) in &kinds {
            let (all, count) = if concatenated { (more, more) } else { (channels + more - 1, channels) };
            let edge = JoinEdge { to, count: count as u32, ..JoinEdge::zeroed() };
            inputs.push(Input::new(&mut memory, &mut numbers, rows, all, (edge, kind)));
            to += if concatenated { more as u32 } else { 0 };
        }
        let mut task = task(rows, channels, inputs.len(), storage);
        let padded = task.channels as usize;
        task.output = memory.reserve_values(rows * padded);
        task.sums = memory.reserve_floats(rows.div_ceil(task.rows_per_tile as usize) * 2 * padded);
        let loaded = memory.load(&device);
        loaded.arenas.join(&loaded.tables.table(&[Join(task)]).unwrap()).unwrap();
        let got = loaded.values(task.output, rows * padded);
        for (i, got) in got.iter().enumerate() {
            let mut want = Sum::default();
            inputs.iter().for_each(|input| input.add_to(&mut want, i / padded, i % padded));
            want.assert_near(&format!("{case:?} [{i}]"), *got, storage);
        }
        check_sums(&loaded, task, &got, |x, mean, _| (x - mean, x - mean));
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_go_back_to_what_was_joined() {
    let Some(device) = device() else { return };
    let readers = proptest::collection::vec((0usize..20, 1usize..40), 0..5);
    for_each(40, (storages(), 1usize..300, 1usize..70, readers, 0usize..3, 0u64..1000), |case| {
        let (storage, rows, channels, readers, kind, seed) = case.clone();
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let mut inputs = Vec::new();
        for &(from, count) in &readers {
            // Readers that take all channels, from any of theirs on, or the first ones only.
            let (from, count) = if count % 2 == 0 { (from, channels) } else { (0, count.min(channels)) };
            let edge = JoinEdge { from: from as u32, count: count as u32, ..JoinEdge::zeroed() };
            inputs.push(Input::new(&mut memory, &mut numbers, rows, from + count + 3, (edge, 0)));
        }
        let mut task = task(rows, channels, inputs.len(), storage);
        let padded = task.channels as usize;
        let mut value = padded_rows(&mut numbers, rows, channels);
        let norm = padded_rows(&mut numbers, 2, channels);
        task.output = memory.reserve_values(rows * padded);
        (task.sums, task.norm) = (NONE, NONE);
        if kind > 0 {
            task.sums = memory.reserve_floats(rows.div_ceil(task.rows_per_tile as usize) * 2 * padded);
            (task.value, task.norm) = (memory.values(&mut value), memory.floats(&norm));
            task.relu = u32::from(kind > 1);
        }
        let loaded = memory.load(&device);
        loaded.arenas.join_back(&loaded.tables.table(&[JoinBack(task)]).unwrap()).unwrap();
        let got = loaded.values(task.output, rows * padded);
        for (i, got) in got.iter().enumerate() {
            let (row, channel) = (i / padded, i % padded);
            let normalised = f64::from(value[i]) * f64::from(norm[channel]) + f64::from(norm[padded + channel]);
            let mut want = Sum::default();
            if task.relu == 0 || normalised > 0.0 {
                inputs.iter().for_each(|input| input.add_to(&mut want, row, channel));
            }
            want.assert_near(&format!("{case:?} [{i}]"), *got, storage);
        }
        if kind > 0 {
            check_sums(&loaded, task, &got, |gradient, _, i| (gradient, value[i].into()));
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn a_range_outside_its_value_is_refused() {
    let Some(device) = device() else { return };
    let mut memory = Memory::new(Storage::F32);
    let output = memory.reserve_values(64);
    let edge = JoinEdge { value: output, norm: NONE, leading: 8, count: 8, ..JoinEdge::zeroed() };
    memory.joins = vec![
        edge,
        JoinEdge { from: 1, ..edge },
        JoinEdge { to: 1, ..edge },
        JoinEdge { leading: 16, ..edge },
        JoinEdge { norm: 8, ..edge },
    ];
    let edges = memory.joins.len() as u32;
    let loaded = memory.load(&device);
    let good = JoinTask { output, sums: NONE, norm: NONE, ..task(8, 8, 1, Storage::F32) };
    assert!(loaded.tables.table(&[Join(good)]).is_ok());
    for first_edge in 1..=edges {
        assert!(loaded.tables.table(&[Join(JoinTask { first_edge, ..good })]).is_err(), "{first_edge}");
    }
}
