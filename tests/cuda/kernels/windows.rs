//! `kernels/windows.cu`.

use super::{for_each, storages};
use crate::memory::{Loaded, Memory};
use crate::support::{Numbers, device};
use graphpnas_fast::config::{DataConfig, DataSource};
use graphpnas_fast::data::{self, Augment, BatchRequest};
use graphpnas_fast::device::cuda::records::{AugmentedWindows, Chosen, WindowsTask, window_depth};
use graphpnas_fast::device::cuda::{ResidentImages, Storage};

fn windows_task(images: usize, channels: usize, (in_height, in_width): (usize, usize), stride: usize) -> WindowsTask {
    WindowsTask {
        source: 0,
        output: 0,
        images: images as u32,
        channels: channels as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        height: ((in_height - 1) / stride + 1) as u32,
        width: ((in_width - 1) / stride + 1) as u32,
        stride: stride as u32,
        depth: window_depth(channels) as u32,
    }
}

/// Compares windows with those of images on the host, exactly: nothing is computed.
fn check(loaded: &Loaded, task: WindowsTask, images: &[f32], storage: Storage) {
    let [rows, columns, channels, depth] =
        [task.in_height, task.in_width, task.channels, task.depth].map(|number| number as usize);
    let stride = task.stride as usize;
    let count = (task.images * task.height * task.width) as usize;
    let got = loaded.values(task.output, count * depth);
    for (number, window) in got.chunks(depth).enumerate() {
        let (image, pixel) =
            (number / (task.height * task.width) as usize, number % (task.height * task.width) as usize);
        let (y, x) = (pixel / task.width as usize * stride, pixel % task.width as usize * stride);
        for (column, &value) in window.iter().enumerate() {
            let (tap, channel) = (column / channels, column % channels);
            let (in_y, in_x) = ((y + tap / 3).checked_sub(1), (x + tap % 3).checked_sub(1));
            let want = match (in_y, in_x) {
                (Some(y), Some(x)) if tap < 9 && y < rows && x < columns => {
                    storage.round(images[((image * rows + y) * columns + x) * channels + channel])
                }
                _ => 0.0,
            };
            assert_eq!(value, want, "{task:?} window {number} column {column}");
        }
    }
}

#[test]
fn windows_are_the_images_pixels() {
    let Some(device) = device() else { return };
    let shapes = (1usize..4, 1usize..4, (1usize..9, 1usize..9), 1usize..3);
    for_each(24, (storages(), shapes, 0u64..1000), |(storage, (images, channels, size, stride), seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let mut task = windows_task(images, channels, size, stride);
        let pixels: Vec<f32> = (0..images * channels * size.0 * size.1).map(|_| numbers.normal()).collect();
        task.source = memory.floats(&pixels);
        task.output = memory.reserve_values((task.images * task.height * task.width * task.depth) as usize);
        let loaded = memory.load(&device);
        loaded.arenas.windows(&loaded.tables.table(&[task]).unwrap()).unwrap();
        check(&loaded, task, &pixels, storage);
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn augmented_images_are_those_of_the_cpus_batches() {
    let Some(device) = device() else { return };
    let config = DataConfig { validation_images: 50, test_images: 50, ..DataConfig::of(DataSource::Synthetic) };
    let (data, _) = data::load(&config, 1).unwrap();
    let shape = data.shape();
    let indices = [3, 0, 7, 7, 12];
    for epoch in 0..3 {
        let augment = Some(Augment { seed: 5, candidate: 2, epoch });
        let request = BatchRequest { indices: &indices, augment };
        let size = shape.height * shape.width * shape.channels;
        let (mut pixels, mut labels) = (vec![0.0; indices.len() * size], vec![0; indices.len()]);
        data.fill_batch(request, &mut pixels, &mut labels);
        let mut task = windows_task(indices.len(), shape.channels, (shape.height, shape.width), 2);
        let mut memory = Memory::new(Storage::F32);
        task.output = memory.reserve_values((task.images * task.height * task.width * task.depth) as usize);
        memory.chosen =
            indices.iter().zip(data.views(request)).map(|(&index, view)| Chosen::new(index, view)).collect();
        let resident = ResidentImages::new(&device, shape, data.pixels(), data.normalised()).unwrap();
        let loaded = memory.load(&device);
        let table = loaded.tables.table(&[AugmentedWindows(task)]).unwrap();
        loaded.arenas.windows_augmented(&table, &resident).unwrap();
        check(&loaded, task, &pixels, Storage::F32);
    }
}
