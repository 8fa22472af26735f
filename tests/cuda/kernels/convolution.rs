//! `kernels/convolution.cu`.

use super::{Windows, for_each, padded_rows, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use bytemuck::Zeroable;
use graphpnas_fast::device::cuda::records::{
    Convolution, ConvolutionInput, ConvolutionTask, ConvolutionWeight, MOMENT_ROWS,
};
use graphpnas_fast::device::cuda::{Device, Storage};
use std::sync::Arc;

fn check(
    device: &Arc<Device>,
    windows: Windows,
    (inputs, outputs): (usize, usize),
    storage: Storage,
    split: u32,
    seed: u64,
) {
    let what = |which: &str| format!("{which} {storage} {windows:?} {inputs} to {outputs} channels");
    let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
    let (in_channels, channels) = (inputs.next_multiple_of(8), outputs.next_multiple_of(8));
    let taps = windows.size * windows.size;
    let mut x = padded_rows(&mut numbers, windows.in_rows(), inputs);
    let mut dy = padded_rows(&mut numbers, windows.rows(), outputs);
    let weight: Vec<f32> =
        padded_rows(&mut numbers, channels * taps, inputs).iter().map(|&w| storage.round(w)).collect();
    let mut task = ConvolutionTask {
        images: windows.images as u32,
        in_channels: in_channels as u32,
        in_height: windows.in_height as u32,
        in_width: windows.in_width as u32,
        channels: channels as u32,
        height: windows.height() as u32,
        width: windows.width() as u32,
        size: windows.size as u32,
        stride: windows.stride as u32,
        shift: windows.shift as u32,
        split,
        ..ConvolutionTask::zeroed()
    };
    (task.input, task.output_gradient) = (memory.values(&mut x), memory.values(&mut dy));
    (task.gradient, task.output) = (memory.reserve_values(x.len()), memory.reserve_values(dy.len()));
    task.weight = memory.parameters(&weight);
    task.weight_gradients = memory.reserve_floats(task.splits() as usize * weight.len());
    task.moments = memory.reserve_floats(task.moment_floats() as usize);
    let loaded = memory.load(device);
    loaded.arenas.convolution(&loaded.tables.table(&[Convolution(task)]).unwrap()).unwrap();
    loaded.arenas.convolution_input(&loaded.tables.table(&[ConvolutionInput(task)]).unwrap()).unwrap();
    loaded.arenas.convolution_weight(&loaded.tables.table(&[ConvolutionWeight(task)]).unwrap()).unwrap();
    loaded.assert_rest_unchanged();
    let mut y = vec![Sum::default(); dy.len()];
    let mut dx = vec![Sum::default(); x.len()];
    let mut dw = vec![Sum::default(); weight.len()];
    windows.each(|row, tap, from| {
        for output in 0..channels {
            let gradient = f64::from(dy[row * channels + output]);
            for input in 0..in_channels {
                let at = (output * taps + tap) * in_channels + input;
                let (x, w) = (f64::from(x[from * in_channels + input]), f64::from(weight[at]));
                y[row * channels + output].add(x, w);
                dx[from * in_channels + input].add(gradient, w);
                dw[at].add(gradient, x);
            }
        }
    });
    let got = loaded.values(task.output, y.len());
    y.iter().zip(&got).for_each(|(want, &got)| want.assert_near(&what("output"), got, storage));
    let back = loaded.values(task.gradient, dx.len());
    dx.iter().zip(back).for_each(|(want, got)| want.assert_near(&what("input's gradient"), got, storage));
    let partials = loaded.floats(task.weight_gradients, task.splits() as usize * dw.len());
    for (at, want) in dw.iter().enumerate() {
        let got = partials.chunks(dw.len()).map(|part| part[at]).sum();
        want.assert_near(&what("weight's gradient"), got, Storage::F32);
    }
    // Moments are of the stored numbers.
    let moments = loaded.floats(task.moments, task.moment_floats() as usize);
    for (tile, moments) in moments.chunks(2 * channels).enumerate() {
        for channel in 0..channels {
            let of_tile = got.chunks(channels).skip(tile * MOMENT_ROWS as usize).take(MOMENT_ROWS as usize);
            let numbers: Vec<f64> = of_tile.map(|row| row[channel].into()).collect();
            let (mut sum, mut deviations) = (Sum::default(), Sum::default());
            numbers.iter().for_each(|&x| sum.add(1.0, x));
            let mean = sum.value / numbers.len() as f64;
            numbers.iter().for_each(|&x| deviations.add(x - mean, x - mean));
            sum.assert_near(&what("sum"), moments[channel], Storage::F32);
            deviations.assert_near(&what("deviations"), moments[channels + channel], Storage::F32);
        }
    }
}

#[test]
fn dense_convolutions_and_their_gradients() {
    let Some(device) = device() else { return };
    let images = (1usize..4, 1usize..9, 1usize..9);
    let windows = (1usize..6, 1usize..3, 0usize..2);
    let cases = (storages(), images, windows, (1usize..24, 1usize..24), 1u32..4, 0u64..1000);
    for_each(30, cases, |(storage, (images, in_height, in_width), (size, stride, shift), channels, splits, seed)| {
        let windows = Windows { images, in_height, in_width, size, stride, shift };
        check(&device, windows, channels, storage, 32 * splits, seed);
    });
}

#[test]
fn dense_convolutions_of_edge_cases() {
    let Some(device) = device() else { return };
    // One pixel, no input under a window at all; more than a block of rows, of channels and of columns of the weight.
    for ((images, in_height, in_width), (size, stride, shift), channels) in [
        ((1, 1, 1), (1, 2, 1), (1, 1)),
        ((1, 1, 1), (5, 1, 0), (3, 1)),
        ((2, 9, 7), (3, 1, 0), (16, 72)),
        ((1, 5, 5), (3, 1, 0), (72, 8)),
        ((1, 8, 9), (5, 2, 0), (8, 9)),
    ] {
        for storage in Storage::ALL {
            check(&device, Windows { images, in_height, in_width, size, stride, shift }, channels, storage, 32, 5);
        }
    }
}
