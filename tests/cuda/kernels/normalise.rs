//! `kernels/normalise.cu`.

use super::for_each;
use crate::memory::Memory;
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::launch::Statistics;
use graphpnas_fast::device::cuda::records::{Consumer, GradientTask, NONE, NormTask, Reader};

const EPSILON: f64 = 1e-5;

fn assert_close(what: &str, got: f32, want: f64, magnitude: f64) {
    let bound = 2e-6 * magnitude.max(want.abs());
    assert!((f64::from(got) - want).abs() <= bound, "{what}: {got}, not {want} (bound {bound:e})");
}

fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

/// `rows` numbers about a mean that is large against their deviation, and their moments for every `rows_per_tile`.
fn moments(numbers: &mut Numbers, rows: usize, channels: usize, rows_per_tile: usize) -> (Vec<f64>, Vec<f32>) {
    let values: Vec<f64> =
        (0..rows * channels).map(|i| f64::from(numbers.normal()) + 100.0 * (i % channels % 3) as f64).collect();
    let mut moments = Vec::new();
    for tile in values.chunks(rows_per_tile * channels) {
        let of = |channel: usize| tile.iter().skip(channel).step_by(channels);
        let sum = |channel: usize| of(channel).sum::<f64>();
        let count = (tile.len() / channels) as f64;
        moments.extend((0..channels).map(|channel| sum(channel) as f32));
        moments.extend((0..channels).map(|channel| {
            let mean = sum(channel) / count;
            of(channel).map(|x| (x - mean).powi(2)).sum::<f64>() as f32
        }));
    }
    (values, moments)
}

#[test]
fn batch_norms_from_moments_and_from_running_statistics() {
    let Some(device) = device() else { return };
    for_each(24, (1usize..400, 1usize..80, 0usize..12, 0u64..1000), |(rows, channels, readers, seed)| {
        let share = [0.1f32, 0.5, 1.0][seed as usize % 3];
        let channels = channels.next_multiple_of(8);
        let (mut memory, mut numbers) = (Memory::new(Storage::F32), Numbers::new(seed));
        let (values, tiles) = moments(&mut numbers, rows, channels, 64);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal()).collect() };
        let (gamma, beta, mean) = (draw(channels), draw(channels), draw(channels));
        let variance: Vec<f32> = draw(channels).iter().map(|v| 0.1 + v.abs()).collect();
        let logits = draw(readers);
        let at_logits = memory.parameters(&logits);
        for position in 0..readers {
            let learnt = position % 2 == 0;
            let coefficients = memory.reserve_floats(2 * channels);
            let logit = if learnt { at_logits + position as u64 } else { NONE };
            memory.readers.push(Reader { coefficients, logit, weight: 0.25, reserved: 0 });
        }
        let all_readers = memory.readers.clone();
        let mut task = NormTask {
            moments: memory.floats(&tiles),
            norm: memory.reserve_floats(4 * channels),
            gamma: memory.parameters(&gamma),
            beta: memory.parameters(&beta),
            running_mean: memory.changed_tensor(&mean, &mean, &mean),
            running_variance: memory.changed_tensor(&variance, &variance, &variance),
            rows: rows as u32,
            rows_per_tile: 64,
            channels: channels as u32,
            first_reader: 0,
            readers: readers as u32,
            reserved: 0,
        };
        let loaded = memory.load(&device);
        let statistics = |at: u64| loaded.arenas.parameters.read(at as usize..at as usize + channels).unwrap();
        let check = |task: NormTask, channel: usize, mean: f64, variance: f64| {
            let norm = loaded.floats(task.norm, 4 * channels);
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            let (scale, shift) = match task.gamma {
                NONE => (1.0, 0.0),
                _ => (
                    f64::from(gamma[channel]) * inverse,
                    f64::from(beta[channel]) - mean * f64::from(gamma[channel]) * inverse,
                ),
            };
            let size = (mean * scale).abs() + f64::from(beta[channel]).abs();
            if task.gamma != NONE {
                assert_close("scale", norm[channel], scale, 0.0);
                assert_close("shift", norm[channels + channel], shift, size);
                assert_close("mean", norm[2 * channels + channel], mean, 1.0);
                assert_close("1 / deviation", norm[3 * channels + channel], inverse, 0.0);
            }
            for (position, reader) in all_readers.iter().enumerate() {
                let weight = if reader.logit == NONE { 0.25 } else { sigmoid(logits[position]) };
                let got = loaded.floats(reader.coefficients, 2 * channels);
                assert_close("reader's scale", got[channel], weight * scale, 0.0);
                assert_close("reader's shift", got[channels + channel], weight * shift, weight * size);
            }
        };
        let table = loaded.tables.table(&[task]).unwrap();
        // Running statistics first: training moves them.
        loaded.arenas.normalise(&table, Statistics::Running).unwrap();
        (0..channels).for_each(|channel| check(task, channel, mean[channel].into(), variance[channel].into()));
        assert_eq!(
            (statistics(task.running_mean), statistics(task.running_variance)),
            (mean.clone(), variance.clone())
        );
        loaded.arenas.normalise(&table, Statistics::Batch { share }).unwrap();
        let (moved_mean, moved_variance) = (statistics(task.running_mean), statistics(task.running_variance));
        for channel in 0..channels {
            let of = || values.iter().skip(channel).step_by(channels);
            let batch_mean = of().sum::<f64>() / rows as f64;
            let deviations = of().map(|x| (x - batch_mean).powi(2)).sum::<f64>();
            let batch_variance = deviations / rows as f64;
            // One number has the variance 0, but for the rounding of its own sum.
            if rows > 1 {
                check(task, channel, batch_mean, batch_variance);
            }
            let unbiased = deviations / (rows as f64 - 1.0).max(1.0);
            let moved = |from: f32, to: f64| f64::from(from) + f64::from(share) * (to - f64::from(from));
            assert_close("running mean", moved_mean[channel], moved(mean[channel], batch_mean), 10.0);
            // The share of the batch's own error that arrives: for a tenth of it the magnitude is 1.
            let magnitude = 10.0 * f64::from(share);
            assert_close("running variance", moved_variance[channel], moved(variance[channel], unbiased), magnitude);
        }
        task.gamma = NONE;
        loaded.arenas.normalise(&loaded.tables.table(&[task]).unwrap(), Statistics::Batch { share }).unwrap();
        (0..channels).for_each(|channel| check(task, channel, 0.0, 1.0));
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn output_gradients_are_batch_norms_backward() {
    let Some(device) = device() else { return };
    for_each(24, (1usize..80, 0usize..6, 1usize..20, 0u64..1000), |(channels, consumers, groups, seed)| {
        let channels = channels.next_multiple_of(8);
        let rows = 50.0;
        let (mut memory, mut numbers) = (Memory::new(Storage::F32), Numbers::new(seed));
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal()).collect() };
        let norm: Vec<f32> = draw(4 * channels).iter().map(|v| v + 3.0).collect();
        let (logits, zeros) = (draw(consumers), vec![0.0; channels]);
        let at_logits = memory.changed_tensor(&logits, &logits, &logits);
        let mut partials = Vec::new();
        for position in 0..consumers {
            // The consumer has two inputs; the output is its second.
            let sums = draw(groups * 3 * channels);
            let at = memory.floats(&sums);
            let learnt = position % 2 == 0;
            let coefficients = memory.reserve_floats(2 * channels);
            memory.consumers.push(Consumer {
                sums: at,
                products: at + 2 * channels as u64,
                coefficients,
                logit: if learnt { at_logits + position as u64 } else { NONE },
                groups: groups as u32,
                stride: 3 * channels as u32,
                weight: 0.5,
                reserved: 0,
            });
            partials.push(sums);
        }
        let all_consumers = memory.consumers.clone();
        let task = GradientTask {
            norm: memory.floats(&norm),
            gamma: memory.changed_tensor(&zeros, &zeros, &zeros),
            beta: memory.changed_tensor(&zeros, &zeros, &zeros),
            own: memory.reserve_floats(2 * channels),
            rows: rows as u32,
            channels: channels as u32,
            first_consumer: 0,
            consumers: consumers as u32,
        };
        let loaded = memory.load(&device);
        loaded.arenas.output_gradient(&loaded.tables.table(&[task]).unwrap()).unwrap();
        let gradient =
            |at: u64, i: usize| loaded.arenas.gradients.read(at as usize + i..at as usize + i + 1).unwrap()[0];
        let own = loaded.floats(task.own, 2 * channels);
        let weight = |position: usize| {
            if all_consumers[position].logit == NONE { 0.5 } else { sigmoid(logits[position]) }
        };
        let total = |position: usize, which: usize, channel: usize| -> f64 {
            partials[position].chunks(3 * channels).map(|group| f64::from(group[which * channels + channel])).sum()
        };
        // Sums of up to 20 x 6 numbers of unit size, times scales of about 3.
        let magnitude = 40.0 * 8.0;
        for channel in 0..channels {
            let [scale, _, mean, inverse] = std::array::from_fn(|row| f64::from(norm[row * channels + channel]));
            let of_beta: f64 = (0..consumers).map(|c| weight(c) * total(c, 0, channel)).sum();
            let with_value: f64 = (0..consumers).map(|c| weight(c) * total(c, 2, channel)).sum();
            let of_gamma = (with_value - mean * of_beta) * inverse;
            assert_close("gamma", gradient(task.gamma, channel), of_gamma, magnitude * 5.0);
            assert_close("beta", gradient(task.beta, channel), of_beta, magnitude);
            let of_value = -scale * inverse * of_gamma / rows;
            assert_close("of value", own[channel], of_value, magnitude * 5.0);
            let constant = -scale * of_beta / rows - of_value * mean;
            assert_close("constant", own[channels + channel], constant, magnitude * 25.0);
            for (position, consumer) in all_consumers.iter().enumerate() {
                let got = loaded.floats(consumer.coefficients, 2 * channels);
                assert_close("consumer's scale", got[channel], weight(position) * scale, 1.0);
                assert_eq!(got[channels + channel], 0.0);
            }
        }
        for (position, consumer) in all_consumers.iter().enumerate().filter(|(_, consumer)| consumer.logit != NONE) {
            let of_weight: f64 = (0..channels)
                .map(|c| {
                    f64::from(norm[c]) * total(position, 2, c) + f64::from(norm[channels + c]) * total(position, 0, c)
                })
                .sum();
            let want = of_weight * weight(position) * (1.0 - weight(position));
            assert_close("logit", gradient(consumer.logit, 0), want, magnitude * channels as f64);
        }
        loaded.assert_rest_unchanged();
    });
}
