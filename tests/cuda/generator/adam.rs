//! Adam in `kernels/adam.cu`. Its sums of partial gradients are tested with the products that make them.

use super::{Stage, for_each, prefix_graphs};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::generator::records::AdamTask;

/// Several steps against the definition (Kingma and Ba 2015) in f64, and bit for bit against the CPU's operations in f32.
#[test]
fn steps_are_those_of_the_definition() {
    let Some(device) = device() else { return };
    for_each(8, (1usize..600, 0u64..1000), |(quads, seed)| {
        let floats = 8 * quads;
        let mut numbers = Numbers::new(seed);
        let mut draw = || -> Vec<f32> { (0..floats).map(|_| numbers.normal()).collect() };
        let (start, gradient) = (draw(), draw());
        let graphs = prefix_graphs(&[2], 0, 0);
        let mut stage = Stage::new(graphs.clone());
        let task = AdamTask {
            parameters: stage.changed(&start),
            gradient: stage.floats(&gradient),
            first: stage.changed(&vec![0.0; floats]),
            second: stage.changed(&vec![0.0; floats]),
            floats: floats as u64,
            keep: [0.9, 0.999],
            take: [0.1, 0.001],
        };
        let mut loaded = stage.load(&device);
        let rate = 1e-2;
        let mut exact: Vec<f64> = start.iter().map(|&p| p.into()).collect();
        let (mut m, mut v) = (vec![0.0; floats], vec![0.0; floats]);
        let (mut single, mut moments) = (start.clone(), vec![[0.0f32; 2]; floats]);
        for step in 1..4 {
            let settings = [rate / (1.0 - 0.9f64.powi(step)), (1.0 - 0.999f64.powi(step)).sqrt().recip()];
            loaded.memory.write_batch(&graphs, (128, 0), settings.map(|value| value as f32)).unwrap();
            loaded.memory.adam(&task).unwrap();
            for i in 0..floats {
                let g = f64::from(gradient[i]);
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (first, second) = (m[i] / (1.0 - 0.9f64.powi(step)), v[i] / (1.0 - 0.999f64.powi(step)));
                exact[i] -= rate * first / (second.sqrt() + 1e-8);
            }
            let [rate_now, scale] = settings.map(|value| value as f32);
            for ((p, g), [m, v]) in single.iter_mut().zip(&gradient).zip(&mut moments) {
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                *p -= rate_now * *m / (v.sqrt() * scale + 1e-8);
            }
            assert_eq!(loaded.floats(task.parameters, floats), single);
            for (got, want) in loaded.floats(task.parameters, floats).into_iter().zip(&exact) {
                assert!((f64::from(got) - want).abs() <= 1e-6 * (1.0 + want.abs()), "{got}, not {want}");
            }
        }
        loaded.assert_rest_unchanged();
    });
}
