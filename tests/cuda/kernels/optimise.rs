//! `kernels/optimise.cu`.

use super::{for_each, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use bytemuck::Zeroable;
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::{ClipTask, Settings, SquareTask, TensorTask};
use proptest::collection;
use proptest::prelude::any;

#[test]
fn sgd_adds_up_partial_gradients_and_steps() {
    let Some(device) = device() else { return };
    let cases = (storages(), 1usize..1500, 0usize..5, any::<bool>(), any::<bool>(), 0u64..1000);
    for_each(16, cases, |(storage, floats, splits, nesterov, clips, seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let floats = floats.next_multiple_of(8);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal()).collect() };
        let (values, moments, ready) = (draw(floats), draw(floats), draw(floats));
        let (partials, factor) = (draw(splits * floats), 0.25);
        let scale = 64.0;
        memory.settings = Settings {
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 0.01,
            loss_scale: scale,
            gradient_clip: if clips { 3.0 } else { 0.0 },
            nesterov: nesterov.into(),
            ..Settings::zeroed()
        };
        let settings = memory.settings;
        let task = TensorTask {
            offset: memory.changed_tensor(&values, &moments, &ready),
            partials: memory.floats(&partials),
            squares: memory.floats(&[0.0; 2]),
            factor: memory.floats(&[factor]),
            floats: floats as u32,
            splits: splits as u32,
        };
        let loaded = memory.load(&device);
        loaded.arenas.sgd(&loaded.tables.table(&[task]).unwrap()).unwrap();
        let range = task.offset as usize..task.offset as usize + floats;
        let gradients = loaded.arenas.gradients.read(range.clone()).unwrap();
        let momentum = loaded.arenas.momentum.read(range.clone()).unwrap();
        let parameters = loaded.arenas.parameters.read(range.clone()).unwrap();
        let factor = if clips { f64::from(factor) } else { 1.0 };
        for i in 0..floats {
            let mut gradient = Sum::default();
            match splits {
                // Whole, and without the loss's scale.
                _ if clips => gradient.add(ready[i].into(), 1.0),
                0 => gradient.add(ready[i].into(), 1.0 / f64::from(scale)),
                _ => partials.chunks(floats).for_each(|part| gradient.add(part[i].into(), 1.0 / f64::from(scale))),
            }
            gradient.assert_near("gradient", gradients[i], Storage::F32);
            let mut direction = Sum::default();
            direction.add_scaled(gradient, factor);
            direction.add(settings.weight_decay.into(), values[i].into());
            let mut moment = direction;
            moment.add(settings.momentum.into(), moments[i].into());
            moment.assert_near("momentum", momentum[i], Storage::F32);
            let mut step = moment;
            if nesterov {
                step = direction;
                step.add_scaled(moment, settings.momentum.into());
            }
            let mut value = Sum::default();
            value.add(1.0, values[i].into());
            value.add_scaled(step, -f64::from(settings.learning_rate));
            value.assert_near("parameter", parameters[i], Storage::F32);
        }
        if storage != Storage::F32 {
            let bytes = storage.bytes();
            let weights = loaded.arenas.weights.read(range.start * bytes..range.end * bytes).unwrap();
            let rounded: Vec<f32> = parameters.iter().map(|&value| storage.round(value)).collect();
            assert_eq!(storage.decode(&weights), rounded);
        }
        loaded.assert_rest_unchanged();
    });
}

/// Several networks of several tensors: the factor of each is that of its own gradient, as long as it is without the loss's
/// scale.
#[test]
fn gradients_are_clipped_network_by_network() {
    let Some(device) = device() else { return };
    let networks = collection::vec((collection::vec((1usize..1500, 0usize..4), 1..4), 0.1f64..2.0), 1..4);
    for_each(12, (networks, 0u64..1000), |(networks, seed)| {
        let (mut memory, mut numbers) = (Memory::new(Storage::F32), Numbers::new(seed));
        let (scale, longest) = (1024.0f32, 5.0f32);
        memory.settings = Settings { loss_scale: scale, gradient_clip: longest, ..Settings::zeroed() };
        let (mut tasks, mut clips, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for (tensors, length) in &networks {
            let count: usize = tensors.iter().map(|(floats, _)| TensorTask::tiles_of(floats.next_multiple_of(8))).sum();
            let (squares, factor) = (memory.reserve_floats(count), memory.reserve_floats(1));
            let elements: usize = tensors.iter().map(|(floats, _)| floats.next_multiple_of(8)).sum();
            // Gradients of about `length` times the longest.
            let size = length * f64::from(longest) * f64::from(scale) / (elements as f64).sqrt();
            let mut next = squares;
            for &(floats, splits) in tensors {
                let floats = floats.next_multiple_of(8);
                let mut draw =
                    |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal() * size as f32).collect() };
                let (ready, partials) = (draw(floats), draw(splits * floats));
                let offset = memory.changed_tensor(&ready, &ready, &ready);
                let partials_at = memory.floats(&partials);
                let (floats, splits) = (floats as u32, splits as u32);
                tasks.push(TensorTask { offset, partials: partials_at, squares: next, factor, floats, splits });
                next += TensorTask::tiles_of(floats as usize) as u64;
                wanted.push(if splits == 0 { ready } else { partials });
            }
            clips.push(ClipTask { squares, factor, count: count as u32, reserved: 0 });
        }
        let loaded = memory.load(&device);
        let squares: Vec<SquareTask> = tasks.iter().copied().map(SquareTask).collect();
        loaded.arenas.square_gradients(&loaded.tables.table(&squares).unwrap()).unwrap();
        loaded.arenas.clip_gradients(&loaded.tables.table(&clips).unwrap()).unwrap();
        for ClipTask { factor, .. } in clips {
            let mut squares = 0.0;
            for (task, parts) in tasks.iter().zip(&wanted).filter(|(task, _)| task.factor == factor) {
                let floats = task.floats as usize;
                let got = loaded.arenas.gradients.read(task.offset as usize..task.offset as usize + floats).unwrap();
                for i in 0..floats {
                    let mut gradient = Sum::default();
                    parts.chunks(floats).for_each(|part| gradient.add(part[i].into(), 1.0 / f64::from(scale)));
                    gradient.assert_near("gradient", got[i], Storage::F32);
                    squares += f64::from(got[i]).powi(2);
                }
            }
            let want = (f64::from(longest) / (squares.sqrt() + 1e-6)).min(1.0);
            let got = f64::from(loaded.floats(factor, 1)[0]);
            assert!((got - want).abs() <= 1e-6 * want, "factor {got}, not {want}");
        }
        loaded.assert_rest_unchanged();
    });
}

#[test]
fn weights_are_the_parameters_rounded() {
    let Some(device) = device() else { return };
    for storage in [Storage::F16, Storage::Bf16] {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(4));
        let values: Vec<f32> = (0..1000).map(|_| numbers.normal()).collect();
        let at = memory.parameters(&values) as usize * storage.bytes();
        let mut loaded = memory.load(&device);
        loaded.arenas.weights.clear().unwrap();
        loaded.arenas.round().unwrap();
        let weights = storage.decode(&loaded.arenas.weights.read(at..at + 1000 * storage.bytes()).unwrap());
        assert_eq!(weights, values.iter().map(|&value| storage.round(value)).collect::<Vec<_>>());
    }
}
