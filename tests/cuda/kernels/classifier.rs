//! `kernels/classifier.cu`.

use super::{for_each, padded_rows, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use bytemuck::Zeroable;
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::{
    BiasGradient, ClassifierTask, HeadGradient, Loss, NONE, Pool, Settings, Unpool,
};

#[test]
fn pooling_and_its_backward() {
    let Some(device) = device() else { return };
    let shapes = (1usize..40, 1usize..20, 1usize..40);
    // Batch norm and ReLU, batch norm, or neither.
    for_each(36, (storages(), shapes, 0usize..3, 0u64..1000), |(storage, shape, kind, seed)| {
        let (images, pixels, channels) = shape;
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let padded = channels.next_multiple_of(8);
        let mut x = padded_rows(&mut numbers, images * pixels, channels);
        let mut norm = padded_rows(&mut numbers, 4, channels);
        let mask: Vec<f32> = (0..images * padded).map(|i| if i % 5 == 0 { 0.0 } else { 1.25 }).collect();
        let features_gradient = padded_rows(&mut numbers, images, channels);
        let (of_gradient, mut own) = (padded_rows(&mut numbers, 2, channels), padded_rows(&mut numbers, 2, channels));
        if kind == 2 {
            norm[..padded].fill(1.0);
            norm[padded..].fill(0.0);
            own.fill(0.0);
        }
        memory.labels = vec![0; images];
        let features = images * padded;
        let mut task = ClassifierTask {
            values: memory.values(&mut x),
            gradient: memory.reserve_values(images * pixels * padded),
            norm: if kind == 2 { NONE } else { memory.floats(&norm) },
            mask: memory.floats(&mask),
            features: memory.reserve_floats(features),
            features_gradient: memory.floats(&features_gradient),
            passing: memory.reserve_floats(features),
            passing_values: memory.reserve_floats(features),
            of_gradient: memory.floats(&of_gradient),
            own: if kind == 2 { NONE } else { memory.floats(&own) },
            relu: u32::from(kind == 0),
            images: images as u32,
            pixels: pixels as u32,
            channels: padded as u32,
            images_a_group: 16,
            ..ClassifierTask::zeroed()
        };
        task.sums = memory.reserve_floats(task.groups() as usize * 2 * padded);
        let mut loaded = memory.load(&device);
        let normalised = |row: usize, channel: usize| {
            let mut sum = Sum::default();
            sum.add(norm[channel].into(), x[row * padded + channel].into());
            sum.add(1.0, norm[padded + channel].into());
            sum
        };
        let activated = |row: usize, channel: usize| {
            let sum = normalised(row, channel);
            if kind == 0 { sum.relu() } else { sum }
        };
        loaded.arenas.pool(&loaded.tables.table(&[Pool(task)]).unwrap(), true).unwrap();
        let (got, passing) = (loaded.floats(task.features, features), loaded.floats(task.passing, features));
        let passing_values = loaded.floats(task.passing_values, features);
        loaded.assert_rest_unchanged();
        loaded.arenas.unpool(&loaded.tables.table(&[Unpool(task)]).unwrap()).unwrap();
        loaded.arenas.head_gradient(&loaded.tables.table(&[HeadGradient(task)]).unwrap()).unwrap();
        let (gradient, sums) = (
            loaded.values(task.gradient, images * pixels * padded),
            loaded.floats(task.sums, task.groups() as usize * 2 * padded),
        );
        for channel in 0..padded {
            let (mut total, mut with_value) = (Sum::default(), Sum::default());
            for image in 0..images {
                let (mut feature, mut count, mut values) = (Sum::default(), 0.0, Sum::default());
                let at = image * padded + channel;
                let of_pixel = f64::from(features_gradient[at]) * f64::from(mask[at]) / pixels as f64;
                for row in image * pixels..(image + 1) * pixels {
                    let value = f64::from(x[row * padded + channel]);
                    let passes = kind > 0 || normalised(row, channel).value > 0.0;
                    feature.add_scaled(activated(row, channel), f64::from(mask[at]) / pixels as f64);
                    let mut want = Sum::default();
                    want.add(own[channel].into(), value);
                    want.add(1.0, own[padded + channel].into());
                    if passes {
                        count += 1.0;
                        values.add(1.0, value);
                        want.add(of_pixel, of_gradient[channel].into());
                    }
                    want.assert_near("gradient", gradient[row * padded + channel], storage);
                }
                feature.assert_near("feature", got[at], Storage::F32);
                assert_eq!(f64::from(passing[at]), count);
                values.assert_near("passing values", passing_values[at], Storage::F32);
                total.add(of_pixel, count);
                with_value.add_scaled(values, of_pixel);
            }
            let sum = |which: usize| sums.chunks(2 * padded).map(|group| group[which * padded + channel]).sum();
            total.assert_near("sum", sum(0), Storage::F32);
            with_value.assert_near("product", sum(1), Storage::F32);
        }
        // In evaluation there is no dropout.
        loaded.arenas.floats.write(task.mask as usize, &vec![f32::NAN; images * padded]).unwrap();
        loaded.arenas.pool(&loaded.tables.table(&[Pool(task)]).unwrap(), false).unwrap();
        for (i, got) in loaded.floats(task.features, features).iter().enumerate() {
            let mut want = Sum::default();
            let rows = i / padded * pixels..(i / padded + 1) * pixels;
            rows.for_each(|row| want.add_scaled(activated(row, i % padded), 1.0 / pixels as f64));
            want.assert_near("feature", *got, Storage::F32);
        }
    });
}

#[test]
fn losses_and_their_gradients() {
    let Some(device) = device() else { return };
    for_each(24, (1usize..20, 1usize..70, 0u64..1000), |(images, classes, seed)| {
        let (mut memory, mut numbers) = (Memory::new(Storage::F32), Numbers::new(seed));
        let columns = classes.next_multiple_of(8);
        let (smoothing, scale) = (0.1f32, 8.0);
        memory.settings = Settings { label_smoothing: smoothing, loss_scale: scale, ..Settings::zeroed() };
        let mut logits = padded_rows(&mut numbers, images, classes);
        // Ties: the first of the largest wins.
        if classes > 2 {
            (logits[0], logits[1]) = (9.0, 9.0);
        }
        let bias = if seed % 2 == 0 { padded_rows(&mut numbers, 1, classes) } else { vec![0.0; columns] };
        memory.labels = (0..images).map(|i| (i * 5 + seed as usize) as u32 % classes as u32).collect();
        if seed % 3 == 0 {
            memory.labels[0] = u32::from(classes > 1);
        }
        let labels = memory.labels.clone();
        let (first, last) = (memory.reserve_floats(images * columns), memory.reserve_floats(images * columns));
        let mut task = ClassifierTask {
            logits: first,
            logits_gradient: last,
            bias: memory.changed_tensor(&bias, &bias, &bias),
            losses: memory.reserve_floats(images),
            correct: memory.reserve_floats(images),
            images: images as u32,
            classes: classes as u32,
            columns: columns as u32,
            pixels: 0,
            channels: 0,
            images_a_group: 16,
            ..ClassifierTask::zeroed()
        };
        task.labels = 0;
        let mut loaded = memory.load(&device);
        loaded.arenas.floats.write(task.logits as usize, &logits).unwrap();
        loaded.arenas.loss(&loaded.tables.table(&[Loss(task)]).unwrap()).unwrap();
        let (losses, correct) = (loaded.floats(task.losses, images), loaded.floats(task.correct, images));
        let gradients = loaded.floats(task.logits_gradient, images * columns);
        let with_bias = loaded.floats(task.logits, images * columns);
        for image in 0..images {
            let row: Vec<f64> = (0..classes).map(|c| f64::from(logits[image * columns + c] + bias[c])).collect();
            let label = labels[image] as usize;
            let log_sum = row.iter().map(|l| l.exp()).sum::<f64>().ln();
            let smoothing = f64::from(smoothing);
            let mean = row.iter().sum::<f64>() / classes as f64;
            let loss = log_sum - (1.0 - smoothing) * row[label] - smoothing * mean;
            assert!((f64::from(losses[image]) - loss).abs() <= 1e-5 * (1.0 + loss.abs()), "{} {loss}", losses[image]);
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let winner = row.iter().position(|&l| l == largest).unwrap();
            assert_eq!(correct[image], f32::from(u8::from(winner == label)), "{row:?} {label}");
            for c in 0..columns {
                let got = f64::from(gradients[image * columns + c]);
                let want = match c < classes {
                    true => {
                        let target = smoothing / classes as f64 + f64::from(u8::from(c == label)) * (1.0 - smoothing);
                        ((row[c] - log_sum).exp() - target) * f64::from(scale) / images as f64
                    }
                    false => 0.0,
                };
                assert!((got - want).abs() <= 1e-6 * f64::from(scale), "{got} {want}");
                if c < classes {
                    assert_eq!(f64::from(with_bias[image * columns + c]), row[c]);
                }
            }
        }
        loaded.arenas.bias_gradient(&loaded.tables.table(&[BiasGradient(task)]).unwrap()).unwrap();
        let range = task.bias as usize..task.bias as usize + columns;
        for (c, got) in loaded.arenas.gradients.read(range).unwrap().iter().enumerate() {
            let mut want = Sum::default();
            (0..images).for_each(|image| want.add(1.0, gradients[image * columns + c].into()));
            want.assert_near("bias", *got, Storage::F32);
        }
        loaded.assert_rest_unchanged();
    });
}
