//! `kernels/product.cu`.

use super::{for_each, padded_rows, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::{
    FullyConnected, FullyConnectedGradient, InputGradient, MOMENT_ROWS, NONE, Pointwise, ProductTask, WeightGradient,
};
use proptest::strategy::Strategy;

fn shapes() -> impl Strategy<Value = (usize, usize, usize)> {
    (1usize..150, 1usize..90, 1usize..90)
}

/// Rows, columns and depth, the latter two as they are padded.
fn task((rows, columns, depth): (usize, usize, usize)) -> ProductTask {
    let (columns, depth) = (columns.next_multiple_of(8) as u32, depth.next_multiple_of(8) as u32);
    ProductTask { a: 0, b: 0, c: 0, moments: NONE, rows: rows as u32, columns, depth, split: 0 }
}

/// Compares C, whose element (row, column) is the sum over `depth` of the operands' elements.
fn check(
    what: &str,
    got: &[f32],
    task: ProductTask,
    storage: Storage,
    term: impl Fn(usize, usize, usize) -> (f32, f32),
) {
    for row in 0..task.rows as usize {
        for column in 0..task.columns as usize {
            let mut want = Sum::default();
            for k in 0..task.depth as usize {
                let (a, b) = term(row, column, k);
                want.add(a.into(), b.into());
            }
            let got = got[row * task.columns as usize + column];
            want.assert_near(&format!("{what} {storage} {task:?} ({row}, {column})"), got, storage);
        }
    }
}

#[test]
fn pointwise_convolutions_and_their_moments() {
    let Some(device) = device() else { return };
    for_each(30, (storages(), shapes(), 0u64..1000), |(storage, shape, seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let mut task = task(shape);
        let (rows, columns, depth) = (task.rows as usize, task.columns as usize, task.depth as usize);
        let mut a = padded_rows(&mut numbers, rows, shape.2);
        let weight: Vec<f32> = padded_rows(&mut numbers, columns, shape.2).iter().map(|&w| storage.round(w)).collect();
        let tiles = task.rows.div_ceil(MOMENT_ROWS) as usize;
        (task.a, task.b) = (memory.values(&mut a), memory.parameters(&weight));
        (task.c, task.moments) = (memory.reserve_values(rows * columns), memory.reserve_floats(tiles * 2 * columns));
        let loaded = memory.load(&device);
        loaded.arenas.pointwise(&loaded.tables.table(&[Pointwise(task)]).unwrap()).unwrap();
        let got = loaded.values(task.c, rows * columns);
        check("pointwise", &got, task, storage, |row, column, k| (a[row * depth + k], weight[column * depth + k]));
        // Moments are of the stored numbers.
        let moments = loaded.floats(task.moments, tiles * 2 * columns);
        for (tile, moments) in moments.chunks(2 * columns).enumerate() {
            for column in 0..columns {
                let of_tile = got.chunks(columns).skip(tile * MOMENT_ROWS as usize).take(MOMENT_ROWS as usize);
                let numbers: Vec<f64> = of_tile.map(|row| row[column].into()).collect();
                let (mut sum, mut deviations) = (Sum::default(), Sum::default());
                numbers.iter().for_each(|&x| sum.add(1.0, x));
                let mean = sum.value / numbers.len() as f64;
                numbers.iter().for_each(|&x| deviations.add(x - mean, x - mean));
                sum.assert_near("sum", moments[column], Storage::F32);
                deviations.assert_near("deviations", moments[columns + column], Storage::F32);
            }
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_of_the_left_operand() {
    let Some(device) = device() else { return };
    for_each(30, (storages(), shapes(), 0u64..1000), |(storage, shape, seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let mut task = task(shape);
        let (rows, columns, depth) = (task.rows as usize, task.columns as usize, task.depth as usize);
        let mut a = padded_rows(&mut numbers, rows, shape.2);
        let weight: Vec<f32> = padded_rows(&mut numbers, depth, shape.1).iter().map(|&w| storage.round(w)).collect();
        (task.a, task.b) = (memory.values(&mut a), memory.parameters(&weight));
        task.c = memory.reserve_values(rows * columns);
        let loaded = memory.load(&device);
        loaded.arenas.input_gradient(&loaded.tables.table(&[InputGradient(task)]).unwrap()).unwrap();
        let got = loaded.values(task.c, rows * columns);
        check("input", &got, task, storage, |row, column, k| (a[row * depth + k], weight[k * columns + column]));
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn gradients_of_weights_in_splits() {
    let Some(device) = device() else { return };
    for_each(30, (storages(), shapes(), 1usize..4, 0u64..1000), |(storage, shape, split, seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        // The depth is a number of rows: not padded. The result's rows are channels: padded.
        let (depth, columns, rows) = shape;
        let task = task((rows.next_multiple_of(8), columns, depth));
        let mut task = ProductTask { depth: depth as u32, split: 32 * split as u32, ..task };
        let (rows, columns) = (task.rows as usize, task.columns as usize);
        let (mut a, mut b) = (padded_rows(&mut numbers, depth, shape.2), padded_rows(&mut numbers, depth, shape.1));
        (task.a, task.b) = (memory.values(&mut a), memory.values(&mut b));
        task.c = memory.reserve_floats(task.splits() as usize * rows * columns);
        let loaded = memory.load(&device);
        loaded.arenas.weight_gradient(&loaded.tables.table(&[WeightGradient(task)]).unwrap()).unwrap();
        let partials = loaded.floats(task.c, task.splits() as usize * rows * columns);
        let total = |i: usize| partials.chunks(rows * columns).map(|part| part[i]).sum();
        let got: Vec<f32> = (0..rows * columns).map(total).collect();
        check("weight", &got, task, Storage::F32, |row, column, k| (a[k * rows + row], b[k * columns + column]));
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn fully_connected_layers_are_f32_in_every_storage() {
    let Some(device) = device() else { return };
    for storage in Storage::ALL {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(3));
        let (images, features, classes) = (37usize, 24usize, 16usize);
        let rows = |numbers: &mut Numbers, rows, columns| padded_rows(numbers, rows, columns);
        let (x, weight) = (rows(&mut numbers, images, features), rows(&mut numbers, classes, features));
        let gradient = rows(&mut numbers, images, classes);
        let (at_x, at_gradient, b) = (memory.floats(&x), memory.floats(&gradient), memory.parameters(&weight));
        let logits =
            ProductTask { a: at_x, b, c: memory.reserve_floats(images * classes), ..task((images, classes, features)) };
        let back = ProductTask {
            a: at_gradient,
            b,
            c: memory.reserve_floats(images * features),
            ..task((images, features, classes))
        };
        let of_weight = ProductTask {
            a: at_gradient,
            b: at_x,
            c: memory.reserve_floats(classes * features),
            depth: images as u32,
            split: 1024,
            ..task((classes, features, 8))
        };
        let loaded = memory.load(&device);
        loaded.arenas.logits(&loaded.tables.table(&[FullyConnected(logits)]).unwrap()).unwrap();
        loaded.arenas.features_gradient(&loaded.tables.table(&[FullyConnected(back)]).unwrap()).unwrap();
        let table = loaded.tables.table(&[FullyConnectedGradient(of_weight)]).unwrap();
        loaded.arenas.classifier_gradient(&table).unwrap();
        let got = loaded.floats(logits.c, images * classes);
        check("logits", &got, logits, Storage::F32, |i, c, k| (x[i * features + k], weight[c * features + k]));
        let got = loaded.floats(back.c, images * features);
        check("features", &got, back, Storage::F32, |i, f, k| (gradient[i * classes + k], weight[k * features + f]));
        let got = loaded.floats(of_weight.c, classes * features);
        check("weight", &got, of_weight, Storage::F32, |c, f, k| (gradient[k * classes + c], x[k * features + f]));
        loaded.assert_rest_unchanged();
    }
}
