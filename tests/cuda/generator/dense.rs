//! `kernels/dense.cu`.

use super::{Stage, for_each, prefix_graphs};
use crate::memory::Sum;
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::generator::records::{
    Count, Dense, DenseInput, DenseTask, DenseWeight, NO_LIST, SumTask,
};
use graphpnas_fast::device::cuda::records::NONE;

/// A matrix with gaps between the rows, in which NaN lies.
struct Matrix {
    data: Vec<f32>,
    pitch: usize,
}

impl Matrix {
    fn random(numbers: &mut Numbers, rows: usize, columns: usize) -> Self {
        let pitch = columns + 8;
        let data = (0..rows * pitch).map(|i| if i % pitch < columns { numbers.normal() } else { f32::NAN });
        Matrix { data: data.collect(), pitch }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.pitch + column].into()
    }
}

fn task(live: Count) -> DenseTask {
    DenseTask {
        bias: NONE,
        mask: NONE,
        live: live as u32,
        bias_rows: NO_LIST,
        split: 256,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Rows, columns and depths around the edges of blocks and strips.
fn sizes() -> impl proptest::strategy::Strategy<Value = (usize, usize, usize, u64)> {
    (1usize..12, 1usize..12, 1usize..12, 0u64..1000)
}

#[test]
fn linear_layers() {
    let Some(device) = device() else { return };
    for_each(16, sizes(), |(size, columns, depth, seed)| {
        let (columns, depth) = (8 * columns, 8 * depth);
        let graphs = prefix_graphs(&[size.min(7), size / 2 + 1], 0, seed);
        let rows = graphs.rows.len();
        let mut numbers = Numbers::new(seed);
        let mut stage = Stage::new(graphs.clone());
        let most = stage.capacity().nodes;
        let (a, b) = (Matrix::random(&mut numbers, rows, depth), Matrix::random(&mut numbers, columns, depth));
        // Three kinds of bias: none, one row for all, a row of a table for every number of a node.
        let bias_columns = [0, columns, (columns / 2).next_multiple_of(8)][seed as usize % 3];
        let table: Vec<f32> = (0..8 * bias_columns).map(|_| numbers.normal()).collect();
        let rectify = seed % 2 == 0;
        let (c, bias) = (stage.reserve_rows(rows, most, columns), stage.floats(&table));
        let mut task = DenseTask {
            a: stage.rows(&a.data, most, a.pitch),
            b: stage.floats(&b.data),
            c,
            a_pitch: a.pitch as u32,
            b_pitch: b.pitch as u32,
            c_pitch: columns as u32,
            rows: most as u32,
            columns: columns as u32,
            depth: depth as u32,
            bias: if bias_columns > 0 { bias } else { NONE },
            bias_columns: bias_columns as u32,
            flags: if rectify { DenseTask::RECTIFY } else { 0 },
            ..task(Count::Nodes)
        };
        let loaded = stage.load(&device);
        if seed % 3 == 2 {
            task.bias_rows = loaded.memory.lists().numbers();
        }
        loaded.memory.dense(&loaded.memory.table(&[Dense(task)]).unwrap()).unwrap();
        let got = loaded.floats(c, rows * columns);
        let numbers_of: Vec<usize> = super::prefixes(&graphs).flat_map(|nodes| 0..nodes.len()).collect();
        for (i, got) in got.into_iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let mut want = Sum::default();
            (0..depth).for_each(|k| want.add(a.at(row, k), b.at(column, k)));
            if column < bias_columns {
                let line = if seed % 3 == 2 { numbers_of[row] } else { 0 };
                want.add(1.0, table[line * bias_columns + column].into());
            }
            let want = if rectify { want.relu() } else { want };
            want.assert_near(&format!("({size}, {columns}, {depth}, {seed})[{row}, {column}]"), got, Storage::F32);
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_of_inputs() {
    let Some(device) = device() else { return };
    for_each(16, sizes(), |(rows, columns, depth, seed)| {
        let (rows, columns, depth) = (8 * rows + seed as usize % 7, 8 * columns, 8 * depth);
        let mut numbers = Numbers::new(seed);
        let mut stage = Stage::new(prefix_graphs(&[], 0, 0));
        let (a, b) = (Matrix::random(&mut numbers, rows, depth), Matrix::random(&mut numbers, depth, columns));
        let mask = Matrix::random(&mut numbers, rows, columns);
        let before: Vec<f32> = (0..rows * columns).map(|_| numbers.normal()).collect();
        let (masked, accumulate) = (seed % 2 == 0, seed % 3 == 0);
        let c = stage.changed(&before);
        let at = stage.floats(&mask.data);
        let task = DenseTask {
            a: stage.floats(&a.data),
            b: stage.floats(&b.data),
            c,
            mask: if masked { at } else { NONE },
            a_pitch: a.pitch as u32,
            b_pitch: b.pitch as u32,
            c_pitch: columns as u32,
            mask_pitch: mask.pitch as u32,
            rows: rows as u32,
            columns: columns as u32,
            depth: depth as u32,
            flags: if accumulate { DenseTask::ACCUMULATE } else { 0 },
            ..task(Count::All)
        };
        let loaded = stage.load(&device);
        loaded.memory.dense_input(&loaded.memory.table(&[DenseInput(task)]).unwrap()).unwrap();
        for (i, got) in loaded.floats(c, rows * columns).into_iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let mut want = Sum::default();
            if !masked || mask.at(row, column) > 0.0 {
                (0..depth).for_each(|k| want.add(a.at(row, k), b.at(k, column)));
                if accumulate {
                    want.add(1.0, before[i].into());
                }
            }
            want.assert_near(&format!("({rows}, {columns}, {depth}, {seed})[{row}, {column}]"), got, Storage::F32);
        }
        loaded.assert_rest_unchanged();
    });
}

/// The gradient of a weight and of its bias, added up from partial sums.
#[test]
fn gradients_of_weights() {
    let Some(device) = device() else { return };
    for_each(16, sizes(), |(rows, columns, size, seed)| {
        let (rows, columns) = (8 * rows, 8 * columns);
        let graphs = prefix_graphs(&[size.min(8), 1], 0, seed);
        let depth = graphs.rows.len();
        let mut numbers = Numbers::new(seed);
        let mut stage = Stage::new(graphs);
        let most = stage.capacity().nodes;
        let split = [16, 32][seed as usize % 2];
        let (splits, used) = (most.div_ceil(split), depth.div_ceil(split));
        let (a, b) = (Matrix::random(&mut numbers, depth, rows), Matrix::random(&mut numbers, depth, columns));
        let partials = stage.reserve_rows(used * rows, splits * rows, columns);
        let bias = stage.reserve_rows(used, splits, rows);
        let (sum, bias_sum) = (stage.reserve(rows * columns), stage.reserve(rows));
        let task = DenseTask {
            a: stage.rows(&a.data, most, a.pitch),
            b: stage.rows(&b.data, most, b.pitch),
            c: partials,
            bias,
            a_pitch: a.pitch as u32,
            b_pitch: b.pitch as u32,
            c_pitch: columns as u32,
            rows: rows as u32,
            columns: columns as u32,
            depth: most as u32,
            split: split as u32,
            ..task(Count::Nodes)
        };
        let kept = columns - 3;
        let weight_sum = SumTask {
            partials,
            gradient: sum,
            floats: (rows * columns) as u32,
            stride: (rows * columns) as u32,
            live: Count::Nodes as u32,
            most: most as u32,
            split: split as u32,
            columns: columns as u32,
            used: kept as u32,
            reserved: 0,
        };
        let row = rows as u32;
        let of_bias = SumTask {
            partials: bias,
            gradient: bias_sum,
            floats: row,
            stride: row,
            columns: row,
            used: row,
            ..weight_sum
        };
        let loaded = stage.load(&device);
        let memory = &loaded.memory;
        memory.dense_weight(&memory.table(&[DenseWeight(task)]).unwrap()).unwrap();
        memory.sum_partials(&memory.table(&[weight_sum, of_bias]).unwrap()).unwrap();
        for (i, got) in loaded.floats(sum, rows * columns).into_iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let mut want = Sum::default();
            if column < kept {
                (0..depth).for_each(|k| want.add(a.at(k, row), b.at(k, column)));
            }
            want.assert_near(&format!("({rows}, {columns}, {depth}, {seed})[{row}, {column}]"), got, Storage::F32);
        }
        for (row, got) in loaded.floats(bias_sum, rows).into_iter().enumerate() {
            let mut want = Sum::default();
            (0..depth).for_each(|k| want.add(1.0, a.at(k, row)));
            want.assert_near(&format!("bias ({rows}, {columns}, {depth}, {seed})[{row}]"), got, Storage::F32);
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn a_task_outside_the_memory_is_refused() {
    let Some(device) = device() else { return };
    let mut stage = Stage::new(prefix_graphs(&[2], 0, 0));
    let at = stage.reserve(512);
    let loaded = stage.load(&device);
    let task = DenseTask {
        a: at,
        b: at + 64,
        c: at + 128,
        a_pitch: 8,
        b_pitch: 8,
        c_pitch: 8,
        rows: 8,
        columns: 8,
        depth: 8,
        ..task(Count::All)
    };
    assert!(loaded.memory.table(&[Dense(task)]).is_ok());
    for bad in [
        DenseTask { rows: 800, ..task },
        DenseTask { a: at + 1, ..task },
        DenseTask { b_pitch: 80, ..task },
        DenseTask { c: u64::MAX - 7, ..task },
        DenseTask { rows: 44, live: Count::Nodes as u32, c: at, ..task },
    ] {
        assert!(loaded.memory.table(&[Dense(bad)]).is_err(), "{bad:?}");
    }
}
