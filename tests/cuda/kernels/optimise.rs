//! `kernels/optimise.cu`.

use super::{for_each, storages};
use crate::memory::{Memory, Sum};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::Storage;
use graphpnas_fast::device::cuda::records::{Settings, TensorTask};

#[test]
fn sgd_adds_up_partial_gradients_and_steps() {
    let Some(device) = device() else { return };
    for_each(16, (storages(), 1usize..1500, 0usize..5, 0u64..1000), |(storage, floats, splits, seed)| {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let floats = floats.next_multiple_of(8);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.normal()).collect() };
        let (values, moments, ready) = (draw(floats), draw(floats), draw(floats));
        let partials = draw(splits * floats);
        let scale = 64.0;
        memory.settings = Settings {
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 0.01,
            label_smoothing: 0.0,
            loss_scale: scale,
            reserved: [0.0; 3],
        };
        let settings = memory.settings;
        let task = TensorTask {
            offset: memory.changed_tensor(&values, &moments, &ready),
            partials: memory.floats(&partials),
            floats: floats as u32,
            splits: splits as u32,
        };
        let loaded = memory.load(&device);
        loaded.arenas.sgd(&loaded.tables.table(&[task]).unwrap()).unwrap();
        let range = task.offset as usize..task.offset as usize + floats;
        let gradients = loaded.arenas.gradients.read(range.clone()).unwrap();
        let momentum = loaded.arenas.momentum.read(range.clone()).unwrap();
        let parameters = loaded.arenas.parameters.read(range.clone()).unwrap();
        for i in 0..floats {
            let mut gradient = Sum::default();
            match splits {
                0 => gradient.add(ready[i].into(), 1.0 / f64::from(scale)),
                _ => partials.chunks(floats).for_each(|part| gradient.add(part[i].into(), 1.0 / f64::from(scale))),
            }
            gradient.assert_near("gradient", gradients[i], Storage::F32);
            let mut moment = gradient;
            moment.add(settings.weight_decay.into(), values[i].into());
            moment.add(settings.momentum.into(), moments[i].into());
            moment.assert_near("momentum", momentum[i], Storage::F32);
            let mut value = Sum::default();
            value.add(1.0, values[i].into());
            value.add_scaled(moment, -f64::from(settings.learning_rate));
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
