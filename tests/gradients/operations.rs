//! The operations that activate every input by itself.

use crate::case::{Case, Tally};
use graphpnas_fast::device::cpu::{InstructionSet, Step};
use graphpnas_fast::net::{After, ConvolutionShape, ImageShape, Plan, PlanBuilder, Pooling, ValueId, Window};
use graphpnas_fast::random::{Purpose, Stream, StreamKey};
use proptest::test_runner::{Config as ProptestConfig, RngSeed, TestRunner};
use rand::RngExt;
use std::cell::Cell;

const SETS: [InstructionSet; 2] = [InstructionSet::Portable, InstructionSet::Portable16];

fn builder((height, width): (usize, usize)) -> PlanBuilder {
    PlanBuilder::new(ImageShape { channels: 2, height, width }, 4)
}

fn convolution(inputs: usize, outputs: usize, size: usize, stride: usize) -> ConvolutionShape {
    ConvolutionShape { inputs, outputs, window: Window::new(size, stride) }
}

/// A stem and what `middle` makes of it, a pointwise convolution and the classifier.
fn network(
    size: (usize, usize),
    channels: usize,
    middle: impl FnOnce(&mut PlanBuilder, ValueId) -> Vec<ValueId>,
) -> Plan {
    let mut builder = builder(size);
    let stem = builder.stem(channels, 1, After::NormRelu);
    let outputs = middle(&mut builder, stem);
    let inputs = outputs.iter().map(|&value| builder.value(value).channels).min().unwrap();
    let last = builder.convolution("last", outputs, convolution(inputs, 9, 1, 1), After::Norm);
    builder.classifier(last, true);
    builder.finish()
}

fn check(plan: Plan, images: usize, seed: u64) {
    let case = Case::new(plan, images, seed);
    for set in [InstructionSet::best(), InstructionSet::Portable, InstructionSet::Portable16] {
        case.check_evaluation(set, 1 + images % 2);
    }
    case.check_gradients(InstructionSet::best(), 1).assert_badly_conditioned_at_most(0.01);
    for tally in case.check_gradients_on(SETS, 11) {
        tally.assert_badly_conditioned_at_most(0.01);
    }
}

#[test]
fn dense_convolutions() {
    for (number, (size, stride)) in [(1, 1), (3, 1), (5, 1), (1, 2), (3, 2), (5, 2)].into_iter().enumerate() {
        // An odd and an even side, channels that fill no block.
        let plan = network((7, 6), 5, |builder, stem| {
            vec![builder.convolution("a", vec![stem], convolution(5, 11, size, stride), After::NormRelu)]
        });
        check(plan, 3, number as u64);
    }
}

#[test]
fn separable_convolutions() {
    for (number, (size, stride)) in [(1, 1), (3, 1), (5, 1), (1, 2), (3, 2), (5, 2)].into_iter().enumerate() {
        let plan = network((6, 9), 5, |builder, stem| {
            vec![builder.separable("a", vec![stem], convolution(5, 11, size, stride), After::NormRelu)]
        });
        check(plan, 3, number as u64);
    }
}

#[test]
fn pools() {
    for pooling in [Pooling::Average, Pooling::Max] {
        for (number, (size, stride)) in [(3, 1), (3, 2), (2, 2), (5, 1)].into_iter().enumerate() {
            let plan = network((7, 6), 10, |builder, stem| {
                // Without a ReLU before it, so that the largest is unique.
                let input = builder.convolution("a", vec![stem], convolution(10, 9, 1, 1), After::Norm);
                vec![builder.pool(vec![input], 9, (pooling, Window::new(size, stride)))]
            });
            check(plan, 3, number as u64);
        }
    }
}

#[test]
fn factorised_reductions() {
    for side in [(4, 6), (5, 3)] {
        let plan = network(side, 5, |builder, stem| vec![builder.factorised_reduction("a", stem, 9)]);
        check(plan, 3, 1);
    }
}

#[test]
fn sums_of_inputs_of_different_widths_activations_and_norms() {
    let plan = network((4, 5), 12, |builder, stem| {
        let plain = builder.convolution("a", vec![stem], convolution(11, 17, 3, 1), After::Nothing);
        let normalised = builder.convolution("b", vec![stem, plain], convolution(12, 9, 1, 1), After::Norm);
        let separable = builder.separable("c", vec![plain, normalised], convolution(8, 9, 3, 1), After::NormRelu);
        let pooled = builder.pool(vec![plain, stem, separable], 9, (Pooling::Average, Window::new(3, 1)));
        vec![builder.sum("d", vec![normalised, separable, pooled], After::NormRelu), plain]
    });
    check(plan, 5, 1);
}

#[test]
fn concatenations_that_begin_within_blocks() {
    let plan = network((3, 4), 6, |builder, stem| {
        let widths = [3, 16, 8, 1];
        let parts: Vec<ValueId> = (widths.iter().enumerate())
            .map(|(number, &width)| {
                let after = [After::NormRelu, After::Norm, After::Nothing, After::NormRelu][number];
                builder.convolution(&format!("part.{number}"), vec![stem], convolution(6, width, 1, 1), after)
            })
            .collect();
        let all = builder.concatenation(parts.clone());
        let projection = builder.convolution("p", vec![stem], convolution(6, 28, 1, 1), After::NormRelu);
        let sum = builder.sum("s", vec![all, projection], After::Nothing);
        vec![builder.convolution("q", vec![sum], convolution(28, 5, 3, 1), After::NormRelu), parts[1]]
    });
    check(plan, 4, 1);
}

#[test]
fn a_single_channel_and_single_pixels() {
    for side in [(1, 1), (1, 4), (2, 2)] {
        let plan = network(side, 1, |builder, stem| {
            let a = builder.convolution("a", vec![stem], convolution(1, 1, 5, 1), After::NormRelu);
            let b = builder.separable("b", vec![a, stem], convolution(1, 1, 5, 2), After::Norm);
            vec![builder.pool(vec![b], 1, (Pooling::Max, Window::new(2, 2)))]
        });
        let case = Case::new(plan, 9, 3);
        case.check_evaluation(InstructionSet::best(), 1);
        case.check_gradients(InstructionSet::best(), 1).assert_badly_conditioned_at_most(0.5);
    }
}

/// The classifier's input, made of the stem, and whether it passes a ReLU.
type End = fn(&mut PlanBuilder, ValueId) -> (ValueId, bool);

#[test]
fn the_classifier_reads_any_value() {
    let ends: [End; 5] = [
        |builder, stem| (builder.sum("s", vec![stem], After::Norm), false),
        |builder, stem| (builder.sum("s", vec![stem], After::Norm), true),
        |builder, stem| (builder.pool(vec![stem], 5, (Pooling::Average, Window::new(3, 2))), false),
        |builder, stem| (builder.convolution("c", vec![stem], convolution(5, 10, 3, 2), After::NormRelu), false),
        |builder, stem| (builder.separable("c", vec![stem], convolution(5, 10, 5, 1), After::Nothing), true),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut builder = builder((5, 4));
        let stem = builder.stem(5, 1, After::Norm);
        let (last, relu) = end(&mut builder, stem);
        builder.classifier(last, relu);
        check(builder.finish(), 4, number as u64);
    }
}

/// A network of random operations on random inputs.
fn random_plan(stream: &mut Stream, size: (usize, usize), most_channels: usize) -> Plan {
    let mut builder = builder(size);
    let afters = [After::Nothing, After::Norm, After::NormRelu];
    let mut values = vec![builder.stem(stream.random_range(1..=most_channels), stream.random_range(1..=2), afters[2])];
    for layer in 0..stream.random_range(2..6) {
        let scope = format!("layers.{layer}");
        let first = values[stream.random_range(0..values.len())];
        let of = |builder: &PlanBuilder, id| (builder.value(id).height, builder.value(id).width);
        let place = of(&builder, first);
        let mut inputs: Vec<ValueId> =
            values.iter().copied().filter(|&id| of(&builder, id) == place && stream.random_bool(0.5)).collect();
        if inputs.is_empty() {
            inputs.push(first);
        }
        let channels = inputs.iter().map(|&id| builder.value(id).channels).min().unwrap();
        let read = stream.random_range(1..=channels);
        let (outputs, stride) = (stream.random_range(1..=most_channels), stream.random_range(1..=2));
        let after = afters[stream.random_range(0..3)];
        let size = [1, 3, 5][stream.random_range(0..3)];
        values.push(match stream.random_range(0..6) {
            0 => builder.convolution(&scope, inputs, convolution(read, outputs, size, stride), after),
            1 => builder.separable(&scope, inputs, convolution(read, outputs, size, stride), after),
            2 => builder.pool(inputs, read, (Pooling::Average, Window::new(3, stride))),
            3 => builder.pool(inputs, read, (Pooling::Max, Window::new(2, 2))),
            4 => {
                let same = |id: &ValueId| builder.value(*id).channels == channels;
                let inputs = inputs.into_iter().filter(same).collect();
                builder.sum(&scope, inputs, after)
            }
            _ => builder.concatenation(inputs),
        });
    }
    let last = values.pop().unwrap();
    let channels = builder.value(last).channels;
    let end = builder.convolution("end", vec![last], convolution(channels, 7, 1, 1), After::Norm);
    builder.classifier(end, stream.random_bool(0.5));
    builder.finish()
}

#[test]
fn random_networks() {
    let config = ProptestConfig {
        cases: 48,
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let total = Cell::new(Tally::default());
    let shapes = (0u64..100_000, 1usize..10, 1usize..10, 1usize..20, 2usize..20);
    let outcome = TestRunner::new(config).run(&shapes, |(seed, height, width, channels, images)| {
        let mut stream = StreamKey { seed, purpose: Purpose::Explore, candidate: 0, epoch: 0 }.stream();
        let case = Case::new(random_plan(&mut stream, (height, width), channels), images, seed);
        case.check_evaluation(InstructionSet::best(), 2);
        let mut sum = total.get();
        sum.add(case.check_gradients(InstructionSet::best(), 17));
        total.set(sum);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    total.get().assert_badly_conditioned_at_most(0.05);
}

#[test]
fn threads_change_nothing_and_steps_allocate_nothing() {
    for seed in 0..8 {
        let mut stream = StreamKey { seed, purpose: Purpose::Explore, candidate: 1, epoch: 0 }.stream();
        let case = Case::new(random_plan(&mut stream, (9, 8), 18), 50, seed);
        let step = Step { learning_rate: 0.05, momentum: 0.9, ..case.step() };
        let run = |threads: usize| {
            let mut network = case.network(threads, InstructionSet::best());
            let losses: Vec<u64> = (0..3).map(|_| network.train(case.batch(), step).loss.to_bits()).collect();
            let counted = allocation_counter::measure(|| {
                network.train(case.batch(), step);
                network.evaluate(case.batch(), 0.1);
            });
            assert_eq!(counted.count_total, 0, "{threads} threads");
            (losses, network.weights(), network.logits(50))
        };
        let one = run(1);
        for threads in [2, 3, 4] {
            assert!(run(threads) == one, "seed {seed}, {threads} threads");
        }
    }
}
