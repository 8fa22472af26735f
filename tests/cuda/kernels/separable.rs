//! `kernels/separable.cu`.

use super::{Windows, for_each, padded_rows, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use bytemuck::Zeroable;
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::{SeparableTask, SeparableWeight};

#[test]
fn depthwise_convolutions_of_activated_inputs_and_their_gradients() {
    let Some(device) = device() else { return };
    let shapes = (1usize..4, 1usize..40, 1usize..12, 1usize..12, proptest::sample::select(vec![3usize, 5]));
    for_each(40, (storages(), shapes, 1u32..5, 0u64..1000), |(storage, shape, group, seed)| {
        let (images, channels, in_height, in_width, size) = shape;
        let windows = Windows { images, in_height, in_width, size, stride: 1, shift: 0 };
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let (padded, taps) = (channels.next_multiple_of(8), size * size);
        let mut x = padded_rows(&mut numbers, windows.in_rows(), channels);
        let mut dy = padded_rows(&mut numbers, windows.rows(), channels);
        let weight = padded_rows(&mut numbers, taps, channels);
        let mut task = SeparableTask {
            images: images as u32,
            channels: padded as u32,
            height: in_height as u32,
            width: in_width as u32,
            size: size as u32,
            rows_per_group: 50 * group,
            ..SeparableTask::zeroed()
        };
        let (at_x, at_dy) = (memory.values(&mut x), memory.values(&mut dy));
        let (at_y, at_dx) = (memory.reserve_values(x.len()), memory.reserve_values(x.len()));
        task.weight = memory.parameters(&weight);
        task.weight_gradients = memory.reserve_floats(task.groups() as usize * weight.len());
        let loaded = memory.load(&device);
        let run = |input, output, flipped| {
            let task = SeparableTask { input, output, flipped, ..task };
            loaded.arenas.separable(&loaded.tables.table(&[task]).unwrap()).unwrap();
        };
        run(at_x, at_y, 0);
        run(at_dy, at_dx, 1);
        let of_weight = SeparableWeight(SeparableTask { input: at_x, output: at_dy, ..task });
        loaded.arenas.separable_weight(&loaded.tables.table(&[of_weight]).unwrap()).unwrap();
        loaded.assert_rest_unchanged();
        let mut y = vec![Sum::default(); x.len()];
        let mut dx = y.clone();
        let mut dw = vec![Sum::default(); weight.len()];
        windows.each(|row, tap, from| {
            for channel in 0..padded {
                let (to, from, tap) = (row * padded + channel, from * padded + channel, tap * padded + channel);
                y[to].add(x[from].into(), weight[tap].into());
                dx[from].add(dy[to].into(), weight[tap].into());
                dw[tap].add(dy[to].into(), x[from].into());
            }
        });
        let what = |which: &str| format!("{which} {storage} {windows:?} {channels} channels");
        let got = loaded.values(at_y, y.len());
        y.iter().zip(got).for_each(|(want, got)| want.assert_near(&what("output"), got, storage));
        let got = loaded.values(at_dx, dx.len());
        dx.iter().zip(got).for_each(|(want, got)| want.assert_near(&what("gradient"), got, storage));
        let partials = loaded.floats(task.weight_gradients, task.groups() as usize * dw.len());
        for (at, want) in dw.iter().enumerate() {
            let got = partials.chunks(dw.len()).map(|part| part[at]).sum();
            want.assert_near(&what("weight's gradient"), got, Storage::F32);
        }
    });
}
