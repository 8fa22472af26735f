//! `kernels/pooling.cu`.

use super::{Windows, for_each, padded_rows, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use bytemuck::Zeroable;
use graphpnas_fast::device::cuda::records::{NONE, PoolingBackward, PoolingTask};
use graphpnas_fast::device::cuda::{Device, Storage};
use std::sync::Arc;

fn check(device: &Arc<Device>, windows: Windows, (channels, largest): (usize, bool), storage: Storage, seed: u64) {
    let what = |which: &str| format!("{which} {storage} {windows:?} {channels} channels, largest: {largest}");
    let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
    let padded = channels.next_multiple_of(8);
    // Halves, so that many numbers are equal.
    let mut x: Vec<f32> =
        padded_rows(&mut numbers, windows.in_rows(), channels).iter().map(|x| (2.0 * x).round() / 2.0).collect();
    let mut dy = padded_rows(&mut numbers, windows.rows(), channels);
    let mut task = PoolingTask {
        images: windows.images as u32,
        channels: padded as u32,
        in_height: windows.in_height as u32,
        in_width: windows.in_width as u32,
        height: windows.height() as u32,
        width: windows.width() as u32,
        size: windows.size as u32,
        stride: windows.stride as u32,
        shift: windows.shift as u32,
        chosen: NONE,
        ..PoolingTask::zeroed()
    };
    (task.input, task.output_gradient) = (memory.values(&mut x), memory.values(&mut dy));
    (task.output, task.gradient) = (memory.reserve_values(dy.len()), memory.reserve_values(x.len()));
    if largest {
        task.chosen = memory.reserve_values(dy.len());
    }
    let loaded = memory.load(device);
    loaded.arenas.pool_windows(&loaded.tables.table(&[task]).unwrap()).unwrap();
    loaded.arenas.pool_windows_back(&loaded.tables.table(&[PoolingBackward(task)]).unwrap()).unwrap();
    loaded.assert_rest_unchanged();
    let mut under: Vec<Vec<usize>> = vec![Vec::new(); windows.rows()];
    windows.each(|row, _, from| under[row].push(from));
    let (mut y, mut dx) = (vec![Sum::default(); dy.len()], vec![Sum::default(); x.len()]);
    for (row, under) in under.iter().enumerate() {
        for channel in 0..padded {
            let at = |pixel: usize| pixel * padded + channel;
            let (to, gradient) = (&mut y[at(row)], f64::from(dy[at(row)]));
            if largest {
                let best =
                    under.iter().copied().reduce(|best, next| if x[at(next)] > x[at(best)] { next } else { best });
                to.add(1.0, x[at(best.unwrap())].into());
                dx[at(best.unwrap())].add(1.0, gradient);
                continue;
            }
            let share = 1.0 / under.len() as f64;
            for &pixel in under {
                to.add(share, x[at(pixel)].into());
                dx[at(pixel)].add(share, gradient);
            }
        }
    }
    let got = loaded.values(task.output, y.len());
    y.iter().zip(got).for_each(|(want, got)| want.assert_near(&what("output"), got, storage));
    let got = loaded.values(task.gradient, dx.len());
    dx.iter().zip(got).for_each(|(want, got)| want.assert_near(&what("gradient"), got, storage));
}

#[test]
fn pooling_under_windows_and_its_backward() {
    let Some(device) = device() else { return };
    let images = (1usize..4, 1usize..10, 1usize..10);
    let windows = (2usize..6, 1usize..3);
    for_each(40, (storages(), images, windows, (1usize..40, proptest::bool::ANY), 0u64..1000), |case| {
        let (storage, (images, in_height, in_width), (size, stride), kind, seed) = case;
        check(&device, Windows { images, in_height, in_width, size, stride, shift: 0 }, kind, storage, seed);
    });
}

/// A network that diverged shows.
#[test]
fn what_is_no_number_is_the_largest() {
    let Some(device) = device() else { return };
    for storage in Storage::ALL {
        let mut memory = Memory::new(storage);
        let mut x = vec![0.0; 9 * 8];
        (x[8], x[4 * 8 + 1]) = (f32::NAN, f32::NAN);
        let mut task = PoolingTask { images: 1, channels: 8, size: 3, stride: 1, ..PoolingTask::zeroed() };
        (task.in_height, task.in_width, task.height, task.width) = (3, 3, 3, 3);
        (task.input, task.output) = (memory.values(&mut x), memory.reserve_values(72));
        (task.chosen, task.gradient, task.output_gradient) = (memory.reserve_values(72), task.input, task.input);
        let loaded = memory.load(&device);
        loaded.arenas.pool_windows(&loaded.tables.table(&[task]).unwrap()).unwrap();
        let got = loaded.values(task.output, 72);
        for pixel in 0..9 {
            let near_first = pixel < 6;
            assert_eq!(got[pixel * 8].is_nan(), near_first, "{got:?}");
            assert!(got[pixel * 8 + 1].is_nan() && got[pixel * 8 + 2] == 0.0, "{got:?}");
        }
    }
}
