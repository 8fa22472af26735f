//! `kernels/depthwise.cu`.

use super::{Input, for_each, inputs, padded_rows, storages, weighted_sum};
use crate::memory::{Loaded, Memory, Sum};
use crate::support::{Numbers, device};
use graphpnas_fast::device::cuda::records::{DepthwiseBackward, DepthwiseShape, DepthwiseTask};
use graphpnas_fast::device::cuda::{Device, Storage};
use std::sync::Arc;

/// A convolution with everything it reads.
struct Case {
    shape: DepthwiseShape,
    storage: Storage,
    inputs: Vec<Input>,
    /// `(9, channels)`
    weight: Vec<f32>,
    /// Gradient of the output.
    gradient: Vec<f32>,
    task: DepthwiseTask,
    loaded: Loaded,
}

impl Case {
    fn new(device: &Arc<Device>, shape: DepthwiseShape, edges: usize, storage: Storage, seed: u64) -> Self {
        let (mut memory, mut numbers) = (Memory::new(storage), Numbers::new(seed));
        let channels = shape.channels as usize;
        let padded = channels.next_multiple_of(8);
        let shape = DepthwiseShape { channels: padded as u32, ..shape };
        let rows = (shape.images * shape.in_height * shape.in_width) as usize;
        let out_rows = (shape.images * shape.height() * shape.width()) as usize;
        let (inputs, first_edge) = inputs(&mut memory, &mut numbers, edges, rows, channels);
        let weight = padded_rows(&mut numbers, 9, channels);
        let mut gradient = padded_rows(&mut numbers, out_rows, channels);
        let mut task = DepthwiseTask::new(shape);
        let groups = task.groups() as usize;
        task.weight = memory.parameters(&weight);
        task.output = memory.values(&mut gradient);
        task.gradient = memory.reserve_values(rows * padded);
        task.sums = memory.reserve_floats(groups * (1 + edges) * padded);
        task.weight_gradients = memory.reserve_floats(groups * 9 * padded);
        (task.first_edge, task.edges) = (first_edge, edges as u32);
        Case { shape, storage, inputs, weight, gradient, task, loaded: memory.load(device) }
    }

    /// The gathered input at a pixel.
    fn input(&self, image: u32, y: i64, x: i64, channel: usize) -> Option<Sum> {
        let DepthwiseShape { in_height, in_width, channels, .. } = self.shape;
        let inside = (0..i64::from(in_height)).contains(&y) && (0..i64::from(in_width)).contains(&x);
        let row = (i64::from(image) * i64::from(in_height) + y) * i64::from(in_width) + x;
        inside.then(|| weighted_sum(&self.inputs, row as usize * channels as usize + channel, channels as usize))
    }

    /// Visits every output with every tap: (image, y, x, tap, input's y, input's x).
    fn taps(&self, mut visit: impl FnMut(usize, usize, (u32, i64, i64))) {
        let (shape, mut row) = (self.shape, 0);
        for image in 0..shape.images {
            for y in 0..shape.height() {
                for x in 0..shape.width() {
                    for tap in 0..9u32 {
                        let at = |position: u32, offset: u32| i64::from(position * shape.stride + offset) - 1;
                        visit(row, tap as usize, (image, at(y, tap / 3), at(x, tap % 3)));
                    }
                    row += 1;
                }
            }
        }
    }

    fn check_forward(&self, output: u64) {
        let channels = self.shape.channels as usize;
        let rows = self.gradient.len() / channels;
        for channel in 0..channels {
            let mut expected = vec![Sum::default(); rows];
            self.taps(|row, tap, (image, y, x)| {
                if let Some(input) = self.input(image, y, x, channel) {
                    expected[row].add_scaled(input.relu(), self.weight[tap * channels + channel].into());
                }
            });
            let got = self.loaded.values(output, self.gradient.len());
            for (row, want) in expected.iter().enumerate() {
                want.assert_near(&format!("{:?} output", self.shape), got[row * channels + channel], self.storage);
            }
        }
    }

    fn check_backward(&self) {
        let (shape, channels) = (self.shape, self.shape.channels as usize);
        let rows = (shape.images * shape.in_height * shape.in_width) as usize;
        let got = self.loaded.values(self.task.gradient, rows * channels);
        for channel in 0..channels {
            let mut gradients = vec![Sum::default(); rows];
            let mut weight_gradients = [Sum::default(); 9];
            self.taps(|row, tap, (image, y, x)| {
                let Some(input) = self.input(image, y, x, channel) else { return };
                let gradient = f64::from(self.gradient[row * channels + channel]);
                weight_gradients[tap].add_scaled(input.relu(), gradient);
                if input.value > 0.0 {
                    let at = (i64::from(image) * i64::from(shape.in_height) + y) * i64::from(shape.in_width) + x;
                    gradients[at as usize].add(gradient, self.weight[tap * channels + channel].into());
                }
            });
            for (row, want) in gradients.iter().enumerate() {
                want.assert_near(&format!("{shape:?} gradient"), got[row * channels + channel], self.storage);
            }
            for (tap, want) in weight_gradients.iter().enumerate() {
                let got = self.total(self.task.weight_gradients, 9 * channels, tap * channels + channel);
                want.assert_near(&format!("{shape:?} gradient of weight {tap}"), got, Storage::F32);
            }
            for sum in 0..=self.inputs.len() {
                let mut want = Sum::default();
                for (row, gradient) in gradients.iter().enumerate() {
                    let factor = sum.checked_sub(1).map_or(1.0, |e| self.inputs[e].values[row * channels + channel]);
                    want.add_scaled(*gradient, factor.into());
                }
                let got = self.total(self.task.sums, (1 + self.inputs.len()) * channels, sum * channels + channel);
                want.assert_near(&format!("{shape:?} sum {sum}"), got, Storage::F32);
            }
        }
    }

    /// Sum over groups of one of their partial sums.
    fn total(&self, at: u64, stride: usize, index: usize) -> f32 {
        let partials = self.loaded.floats(at, self.task.groups() as usize * stride);
        partials.chunks(stride).map(|group| group[index]).sum()
    }
}

fn check(device: &Arc<Device>, shape: DepthwiseShape, edges: usize, storage: Storage, seed: u64) {
    let case = Case::new(device, shape, edges, storage, seed);
    let backward = case.loaded.tables.table(&[DepthwiseBackward(case.task)]).unwrap();
    case.loaded.arenas.depthwise_backward(&backward).unwrap();
    case.check_backward();
    case.loaded.assert_rest_unchanged();
    // The forward writes where the backward read the output's gradient.
    case.loaded.arenas.depthwise(&case.loaded.tables.table(&[case.task]).unwrap()).unwrap();
    case.check_forward(case.task.output);
}

#[test]
fn convolutions_and_their_gradients() {
    let Some(device) = device() else { return };
    let shapes = (1u32..5, 1u32..40, 1u32..13, 1u32..13, 1u32..3);
    for_each(40, (storages(), shapes, 0usize..6, 0u64..1000), |(storage, shape, edges, seed)| {
        let (images, channels, in_height, in_width, stride) = shape;
        check(&device, DepthwiseShape { images, channels, in_height, in_width, stride }, edges, storage, seed);
    });
}

#[test]
fn convolutions_of_edge_cases() {
    let Some(device) = device() else { return };
    // One pixel; many images in a tile; more than one tile each way; more than one slice; many inputs.
    for (images, channels, in_height, in_width, stride, edges) in [
        (1, 1, 1, 1, 1, 1),
        (1, 1, 1, 1, 2, 1),
        (37, 3, 2, 2, 1, 2),
        (9, 8, 4, 4, 2, 1),
        (2, 41, 17, 9, 2, 1),
        (1, 8, 8, 8, 1, 11),
    ] {
        for storage in Storage::ALL {
            check(&device, DepthwiseShape { images, channels, in_height, in_width, stride }, edges, storage, 7);
        }
    }
}
