//! Between the sweeps: folding batch norms and edge weights into the gathers' coefficients, and reducing what the groups
//! have summed, always in the order of the groups.

use super::layout::GROUP_IMAGES;
use super::network::Memory;
use super::normalise::{ChannelSums, Coefficients, Moments, Norm, backward};
use super::program::Program;
use crate::net::{BatchNorm, OpKind, ParameterId, Weighting};

/// A program and its memory, for the serial work on a few hundred numbers at a time.
pub(super) struct Fold<'a> {
    pub program: &'a Program,
    pub memory: &'a mut Memory,
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

impl Fold<'_> {
    fn parameter(&self, id: ParameterId) -> &[f32] {
        let slot = self.program.parameters.slot(id);
        &self.memory.parameters[slot.offset..][..slot.floats]
    }

    /// The first group's part of a gradient: where what is computed serially goes.
    fn gradient(&mut self, id: ParameterId) -> &mut [f32] {
        let slot = self.program.parameters.slot(id);
        &mut self.memory.gradients[slot.offset..][..slot.floats]
    }

    fn norm_of(&self, number: usize) -> Option<BatchNorm> {
        self.program.plan.values[self.program.plan.ops[number].output.0].norm
    }

    /// What an operation multiplies one of its inputs with.
    fn edge_weight(&self, number: usize, position: usize) -> f32 {
        let op = &self.program.plan.ops[number];
        match op.kind {
            OpKind::Node { weighting: Weighting::Sigmoid(logits), .. } => sigmoid(self.parameter(logits)[position]),
            OpKind::Mean | OpKind::Pointwise { .. } | OpKind::Node { weighting: Weighting::Mean, .. } => {
                1.0 / op.inputs.len() as f32
            }
            OpKind::Node { weighting: Weighting::Single, .. } | OpKind::Classifier { .. } | OpKind::Stem { .. } => 1.0,
            OpKind::Convolution { .. }
            | OpKind::Separable { .. }
            | OpKind::Pool { .. }
            | OpKind::Sum
            | OpKind::Concatenation => 1.0,
        }
    }

    /// Folds the inputs' batch norms and edge weights into the forward gather's scales and shift.
    pub(super) fn inputs(&mut self, number: usize) {
        let program = self.program;
        let places = &program.ops[number];
        let (channels, padded) = (places.input.channels, places.input.padded_channels());
        if matches!(program.plan.ops[number].kind, OpKind::Classifier { .. } | OpKind::Stem { .. }) {
            return;
        }
        if program.plan.ops[number].kind.activates_inputs() {
            return self.activations(number);
        }
        for input in &places.inputs {
            self.memory.coefficients[input.shift..][..padded].fill(0.0);
        }
        for (position, input) in program.plan.ops[number].inputs.iter().enumerate() {
            let weight = self.edge_weight(number, position);
            let producer = program.producer[input.0];
            let norm = program.ops[producer].norm;
            let normalised = self.norm_of(producer).is_some();
            for channel in 0..channels {
                let coefficients = &mut self.memory.coefficients;
                let (scale, shift) = match normalised {
                    true => (coefficients[norm + channel], coefficients[norm + padded + channel]),
                    false => (1.0, 0.0),
                };
                coefficients[places.inputs[position].scale + channel] = weight * scale;
                coefficients[places.inputs[position].shift + channel] += weight * shift;
            }
        }
    }

    /// The inputs' batch norms, each by itself.
    fn activations(&mut self, number: usize) {
        let program = self.program;
        for (places, input) in program.ops[number].inputs.iter().zip(&program.plan.ops[number].inputs) {
            let producer = &program.ops[program.producer[input.0]];
            let (channels, padded) = (places.read.channels, producer.output.padded_channels());
            let coefficients = &mut self.memory.coefficients;
            for (from, to) in [(producer.norm, places.scale), (producer.norm + padded, places.shift)] {
                coefficients.copy_within(from..from + channels, to);
            }
        }
    }

    /// Where a value is not normalised, the batch norm that changes nothing.
    pub(super) fn identity_norms(&mut self) {
        for (number, places) in self.program.ops.iter().enumerate() {
            if self.norm_of(number).is_none() {
                self.memory.coefficients[places.norm..][..places.output.channels].fill(1.0);
            }
        }
    }

    /// Makes the output's batch norm from the batch's sums, and moves the running statistics by a share towards them.
    pub(super) fn batch_norm(&mut self, number: usize, images: usize, share: f32) {
        let Some(norm) = self.norm_of(number) else { return };
        let program = self.program;
        let places = &program.ops[number];
        let padded = places.output.padded_channels();
        let count = (images * places.output.pixels()) as f64;
        for channel in 0..places.output.channels {
            let mut moments = Moments::default();
            for (group, partials) in self.memory.partials.chunks_exact(program.partials).enumerate() {
                let members = images.saturating_sub(group * GROUP_IMAGES).min(GROUP_IMAGES) * places.output.pixels();
                let of = |row: usize| f64::from(partials[places.output_moments + row * padded + channel]);
                moments.add(Moments::shifted(members as f64, of(0), of(1), of(2)));
            }
            let (mean, variance) = (moments.mean, moments.variance());
            self.set_norm(number, norm, channel, mean, variance);
            let unbiased = variance * count / (count - 1.0).max(1.0);
            for (id, now) in [(norm.running_mean, mean), (norm.running_variance, unbiased)] {
                let running = &mut self.memory.parameters[program.parameters.slot(id).offset + channel];
                *running += share * (now as f32 - *running);
            }
        }
    }

    /// Makes the output's batch norm from the running statistics.
    pub(super) fn running_norm(&mut self, number: usize) {
        let Some(norm) = self.norm_of(number) else { return };
        for channel in 0..self.program.ops[number].output.channels {
            let mean = f64::from(self.parameter(norm.running_mean)[channel]);
            let variance = f64::from(self.parameter(norm.running_variance)[channel]);
            self.set_norm(number, norm, channel, mean, variance);
        }
    }

    fn set_norm(&mut self, number: usize, norm: BatchNorm, channel: usize, mean: f64, variance: f64) {
        let program = self.program;
        let places = &program.ops[number];
        let vector = |id| program.parameters.slot(id);
        let (gamma, beta) = (vector(norm.gamma), vector(norm.beta));
        let parameters = &self.memory.parameters;
        let values = Norm { gamma: &parameters[gamma.offset..], beta: &parameters[beta.offset..] };
        let floats = 4 * places.output.padded_channels();
        Coefficients::split(&mut self.memory.coefficients[places.norm..][..floats])
            .set(channel, &values, mean, variance);
    }

    /// Sums the groups' gradient sums of an operation, and from them forms the gradient of its edge logits.
    pub(super) fn gradient_totals(&mut self, number: usize, images: usize) {
        let program = self.program;
        let places = &program.ops[number];
        let (channels, padded) = (places.input.channels, places.input.padded_channels());
        let op = &program.plan.ops[number];
        let floats = places.sum_floats;
        let groups = program.groups(images);
        for float in 0..floats {
            let partials = self.memory.partials.chunks_exact(program.partials).take(groups);
            let total: f64 = partials.map(|group| f64::from(group[places.gradient_sums + float])).sum();
            self.memory.coefficients[places.gradient_totals + float] = total as f32;
        }
        let OpKind::Node { weighting: Weighting::Sigmoid(logits), .. } = op.kind else { return };
        for (position, input) in op.inputs.iter().enumerate() {
            let producer = program.producer[input.0];
            let norm = program.ops[producer].norm;
            let beta = self.norm_of(producer).map(|norm| self.parameter(norm.beta));
            let coefficients = &self.memory.coefficients;
            let of_channel = |channel: usize| {
                let sum = f64::from(coefficients[places.gradient_totals + channel]);
                let product = f64::from(coefficients[places.gradient_totals + (1 + position) * padded + channel]);
                match beta {
                    Some(beta) => f64::from(coefficients[norm + channel]) * product + f64::from(beta[channel]) * sum,
                    None => product,
                }
            };
            let of_weight: f64 = (0..channels).map(of_channel).sum();
            let weight = f64::from(self.edge_weight(number, position));
            self.gradient(logits)[position] = (of_weight * weight * (1.0 - weight)) as f32;
        }
    }

    /// Folds batch norm's backward and the consumers' edge weights into the coefficients of the output's gradient, and
    /// forms the gradients of gamma and beta.
    pub(super) fn output_gradient(&mut self, number: usize, images: usize) {
        let program = self.program;
        let places = &program.ops[number];
        let padded = places.output.padded_channels();
        let count = (images * places.output.pixels()) as f64;
        let norm = self.norm_of(number);
        for channel in 0..places.output.channels {
            let coefficient = |row: usize| self.memory.coefficients[places.norm + row * padded + channel];
            let [scale, mean, inverse] = match norm {
                Some(_) => [0, 2, 3].map(coefficient),
                None => [1.0, 0.0, 0.0],
            };
            for (consumer, &(operation, position)) in places.consumers.iter().enumerate() {
                if channel >= program.ops[operation].inputs[position].read.channels {
                    continue;
                }
                let weight = self.edge_weight(operation, position);
                self.memory.coefficients[places.gradient_scales + consumer * padded + channel] = scale * weight;
            }
            let Some(norm) = norm else { continue };
            let sums = self.consumers_sums(number, channel);
            self.gradient(norm.beta)[channel] = sums.gradient as f32;
            self.gradient(norm.gamma)[channel] = (sums.product * f64::from(inverse)) as f32;
            let rest = backward(mean, inverse, &sums, count);
            let own = places.gradient_scales + places.consumers.len() * padded + channel;
            self.memory.coefficients[own] = rest.of_value;
            self.memory.coefficients[places.gradient_shift + channel] = rest.constant;
        }
    }

    /// Sums over all consumers of the gradient behind the batch norm, and of its product with the raw value less its mean.
    fn consumers_sums(&self, number: usize, channel: usize) -> ChannelSums {
        let program = self.program;
        let places = &program.ops[number];
        let padded = places.output.padded_channels();
        let mut sums = ChannelSums::default();
        for (consumer, &(operation, position)) in places.consumers.iter().enumerate() {
            let coefficients = &self.memory.coefficients;
            let consumed = &program.ops[operation].inputs[position];
            if channel >= consumed.read.channels {
                continue;
            }
            let totals = &coefficients[program.ops[operation].gradient_totals..];
            let gradient = f64::from(totals[consumed.sums + channel]);
            let product = f64::from(totals[consumed.products + channel]);
            let weight = f64::from(self.edge_weight(operation, position));
            let scale = f64::from(coefficients[places.gradient_scales + consumer * padded + channel]);
            sums.gradient += weight * gradient;
            sums.product += weight * product;
            sums.scaled_gradient += scale * gradient;
            sums.scaled_product += scale * product;
        }
        sums
    }
}
