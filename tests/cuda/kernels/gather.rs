//! `kernels/gather.cu`.

use super::{for_each, inputs, padded_rows, storages, weighted_sum};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::records::{GatherTask, SumsTask, rows_per_tile};

#[test]
fn gathers_are_weighted_sums() {
    let Some(device) = device() else { return };
    let shapes = proptest::collection::vec((1usize..300, 1usize..70, 0usize..6), 1..3);
    for_each(24, (storages(), shapes, 0u64..1000), |(storage, shapes, seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let mut tasks = Vec::new();
        let mut expected = Vec::new();
        for &(rows, channels, edges) in &shapes {
            let padded = channels.next_multiple_of(8);
            let (inputs, first_edge) = inputs(&mut memory, &mut numbers, edges, rows, channels);
            tasks.push(GatherTask {
                output: memory.reserve_values(rows * padded),
                first_edge,
                edges: edges as u32,
                rows: rows as u32,
                channels: padded as u32,
                rows_per_tile: rows_per_tile(padded as u32, storage),
                reserved: 0,
            });
            expected.push((0..rows * padded).map(|i| weighted_sum(&inputs, i, padded)).collect::<Vec<_>>());
        }
        let loaded = memory.load(&device);
        loaded.arenas.gather(&loaded.tables.table(&tasks).unwrap()).unwrap();
        for (task, expected) in tasks.iter().zip(&expected) {
            for (i, (got, want)) in loaded.values(task.output, expected.len()).iter().zip(expected).enumerate() {
                want.assert_near(&format!("{storage} {shapes:?} [{i}]"), *got, storage);
            }
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gather_sums_are_sums_over_rows() {
    let Some(device) = device() else { return };
    for_each(24, (storages(), 1usize..600, 1usize..70, 0usize..6, 0u64..1000), |case| {
        let (storage, rows, channels, edges, seed) = case;
        let padded = channels.next_multiple_of(8);
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let (inputs, first_edge) = inputs(&mut memory, &mut numbers, edges, rows, channels);
        let mut gradient = padded_rows(&mut numbers, rows, channels);
        let mut task = SumsTask {
            gradient: memory.values(&mut gradient),
            partials: 0,
            first_edge,
            edges: edges as u32,
            rows: rows as u32,
            channels: padded as u32,
            rows_per_tile: rows_per_tile(padded as u32, storage),
            reserved: 0,
        };
        let partial = (1 + edges) * padded;
        let floats = task.groups() as usize * partial;
        task.partials = memory.reserve_floats(floats);
        let loaded = memory.load(&device);
        loaded.arenas.gather_sums(&loaded.tables.table(&[task]).unwrap()).unwrap();
        let partials = loaded.floats(task.partials, floats);
        for i in 0..partial {
            let got: f32 = partials.chunks(partial).map(|group| group[i]).sum();
            let mut want = Sum::default();
            for row in 0..rows {
                let at = row * padded + i % padded;
                let factor = if i < padded { 1.0 } else { inputs[i / padded - 1].values[at].into() };
                want.add(gradient[at].into(), factor);
            }
            want.assert_near(&format!("{case:?} [{i}]"), got, graphpnas_fast::device::cuda::Storage::F32);
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn a_task_outside_its_arena_is_refused() {
    let Some(device) = device() else { return };
    let mut memory = Memory::new(graphpnas_fast::device::cuda::Storage::F32);
    let output = memory.reserve_values(64);
    let loaded = memory.load(&device);
    let task = GatherTask { output, first_edge: 0, edges: 0, rows: 8, channels: 8, rows_per_tile: 512, reserved: 0 };
    assert!(loaded.tables.table(&[task]).is_ok());
    for bad in [
        GatherTask { rows: 10, ..task },
        GatherTask { output: output + 1, ..task },
        GatherTask { edges: 1, ..task },
        GatherTask { channels: 7, ..task },
        GatherTask { output: u64::MAX - 7, ..task },
    ] {
        assert!(loaded.tables.table(&[bad]).is_err(), "{bad:?}");
    }
}
