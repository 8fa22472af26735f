//! Which images are trained on, validated on and tested on. Every choice is stratified: each class is represented in
//! proportion, and which of its images are chosen is random.

use super::dataset::Images;
use super::{DataError, Dataset};
use crate::random::{Purpose, Stream, StreamKey};
use rand::seq::SliceRandom;

/// The parts of a data set: image numbers, ascending. No image is in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splits {
    /// Trained on.
    pub train: Vec<u32>,
    /// Decide the reward.
    pub validation: Vec<u32>,
    /// Looked at once, at the end.
    pub test: Vec<u32>,
}

/// Images to hold out.
#[derive(Clone, Copy)]
pub(super) struct PartSizes {
    pub validation: usize,
    /// Unused where there is an official test part.
    pub test: usize,
}

impl Splits {
    /// Splits the training part into training, validation and (unless there is an official one) test images. Of the images
    /// that are left so many are trained on as `trained_on` says, at least one of every class.
    pub(super) fn new(
        images: &Images,
        sizes: PartSizes,
        trained_on: impl Fn(usize) -> usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        let available = images.facts.training;
        let test = (available == images.labels.len()).then_some(sizes.test);
        let held_out = [("validation_images", Some(sizes.validation)), ("test_images", test)];
        if let Some((key, _)) = held_out.into_iter().find(|(_, size)| *size == Some(0)) {
            return Err(DataError::EmptyPart { key });
        }
        let labels = &images.labels[..available];
        let too_many = |class| DataError::NoTrainingImages {
            validation: sizes.validation,
            test: test.unwrap_or(0),
            available,
            class,
        };
        if sizes.validation.saturating_add(test.unwrap_or(0)) > available {
            return Err(too_many(0));
        }
        let mut rng = StreamKey { seed, purpose: Purpose::Split, candidate: 0, epoch: 0 }.stream();
        let mut strata = Strata::new(labels, 0..available as u32, images.facts.classes.len(), &mut rng);
        let test = match test {
            Some(count) => strata.take(count, 0),
            None => (available as u32..images.labels.len() as u32).collect(),
        };
        let validation = strata.take(sizes.validation, 0);
        match strata.classes.iter().position(Vec::is_empty) {
            Some(class) => Err(too_many(class)),
            None => Ok(Splits { train: strata.take_of_rest(trained_on), validation, test }),
        }
    }
}

impl Dataset {
    /// The part of the training images that an oracle with this `data_fraction` (in 0..=1) sees: the same for all
    /// candidates of a run, at least one image of every class, ascending.
    pub fn fraction(&self, train: &[u32], data_fraction: f64, seed: u64) -> Vec<u32> {
        let mut rng = StreamKey { seed, purpose: Purpose::DataFraction, candidate: 0, epoch: 0 }.stream();
        let count = (train.len() as f64 * data_fraction.clamp(0.0, 1.0)).round() as usize;
        Strata::new(self.labels(), train.iter().copied(), self.classes(), &mut rng).take(count, 1)
    }
}

/// The training images in the order of one epoch of one candidate.
pub fn epoch_order(train: &[u32], seed: u64, candidate: u64, epoch: u64) -> Vec<u32> {
    let mut order = train.to_vec();
    order.shuffle(&mut StreamKey { seed, purpose: Purpose::Shuffle, candidate, epoch }.stream());
    order
}

/// Images by class, shuffled within each.
struct Strata {
    classes: Vec<Vec<u32>>,
}

impl Strata {
    fn new(labels: &[u16], indices: impl Iterator<Item = u32>, classes: usize, rng: &mut Stream) -> Self {
        let mut strata = vec![Vec::new(); classes];
        indices.for_each(|index| strata[usize::from(labels[index as usize])].push(index));
        strata.iter_mut().for_each(|class| class.shuffle(rng));
        Strata { classes: strata }
    }

    /// Removes `count` images, in proportion to the classes but at least `least` of each where there are as many.
    fn take(&mut self, count: usize, least: usize) -> Vec<u32> {
        let sizes: Vec<usize> = self.classes.iter().map(Vec::len).collect();
        let taken = self.classes.iter_mut().zip(quotas(&sizes, count)).flat_map(|(class, quota)| {
            let keep = class.len() - quota.max(least).min(class.len());
            class.split_off(keep)
        });
        sorted(taken.collect())
    }

    /// So many of all that are left.
    fn take_of_rest(mut self, count: impl Fn(usize) -> usize) -> Vec<u32> {
        let left = self.classes.iter().map(Vec::len).sum();
        self.take(count(left), 1)
    }
}

fn sorted(mut indices: Vec<u32>) -> Vec<u32> {
    indices.sort_unstable();
    indices
}

/// `count` shared out in proportion to the sizes (`count` is at most their sum): largest remainders get what is left,
/// the lower class first.
fn quotas(sizes: &[usize], count: usize) -> Vec<usize> {
    let total = sizes.iter().sum::<usize>().max(1);
    let mut quotas: Vec<usize> = sizes.iter().map(|size| size * count / total).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * count % total));
    let left = count - quotas.iter().sum::<usize>();
    by_remainder.into_iter().take(left).for_each(|class| quotas[class] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotas_go_to_the_largest_remainders() {
        assert_eq!(quotas(&[10, 10, 10], 7), [3, 2, 2]);
        assert_eq!(quotas(&[1, 2, 7], 5), [1, 1, 3]); // 0.5, 1.0, 3.5: the lower class first
        assert_eq!(quotas(&[0, 4], 4), [0, 4]);
        assert_eq!(quotas(&[0, 0], 0), [0, 0]);
    }

    proptest! {
        #[test]
        fn quotas_are_fair_and_complete(sizes in prop::collection::vec(0usize..1000, 1..20), share in 0.0f64..=1.0) {
            let total: usize = sizes.iter().sum();
            let count = (total as f64 * share) as usize;
            let quotas = quotas(&sizes, count);
            prop_assert_eq!(quotas.iter().sum::<usize>(), count);
            for (quota, size) in quotas.iter().zip(&sizes) {
                prop_assert!(quota <= size);
                let exact = *size as f64 * count as f64 / total.max(1) as f64;
                prop_assert!((*quota as f64 - exact).abs() < 1.0);
            }
        }
    }
}
