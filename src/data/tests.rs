use super::*;
use std::collections::BTreeSet;

fn config(source: DataSource, validation_images: usize, test_images: usize) -> DataConfig {
    DataConfig { validation_images, test_images, ..DataConfig::of(source) }
}

/// Images of each class among these.
fn class_counts(data: &Dataset, indices: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; data.classes()];
    indices.iter().for_each(|&index| counts[usize::from(data.labels()[index as usize])] += 1);
    counts
}

#[test]
fn the_parts_are_disjoint_complete_stratified_and_ascending() {
    let (data, splits) = load(&config(DataSource::Embedded, 1500, 2005), 7).unwrap();
    let sizes = (splits.train.len(), splits.validation.len(), splits.test.len());
    assert_eq!(sizes, (6495, 1500, 2005));
    let all: BTreeSet<u32> = [&splits.train, &splits.validation, &splits.test].into_iter().flatten().copied().collect();
    assert_eq!(all, (0..10_000).collect());
    assert_eq!(class_counts(&data, &splits.validation), [150; 10]);
    assert_eq!(class_counts(&data, &splits.test), [201, 201, 201, 201, 201, 200, 200, 200, 200, 200]);
    for part in [&splits.train, &splits.validation, &splits.test] {
        assert!(part.is_sorted());
    }
}

#[test]
fn a_part_of_the_training_images_is_taken_and_the_held_out_ones_stay() {
    let all = config(DataSource::Embedded, 1500, 2005);
    let (_, whole) = load(&all, 7).unwrap();
    for (wanted, found) in [(123, 123), (4, 10), (6495, 6495), (9999, 6495)] {
        let (data, some) = load(&DataConfig { training_images: wanted, ..all.clone() }, 7).unwrap();
        assert_eq!((&some.validation, &some.test), (&whole.validation, &whole.test));
        assert!(some.train.len() == found && some.train.is_sorted(), "{wanted}: {}", some.train.len());
        assert!(some.train.iter().all(|image| whole.train.contains(image)));
        assert!(class_counts(&data, &some.train).iter().all(|&count| count >= found / 10 && count <= found / 10 + 1));
    }
}

#[test]
fn the_seed_decides_the_parts() {
    let parts = |seed| load(&config(DataSource::Embedded, 1000, 1000), seed).unwrap().1;
    assert_eq!(parts(1), parts(1));
    assert_ne!(parts(1), parts(2));
}

#[test]
fn normalisation_comes_from_the_training_part_alone() {
    let (data, splits) = load(&config(DataSource::Synthetic, 300, 300), 1).unwrap();
    let pixels: Vec<f64> =
        splits.train.iter().flat_map(|&index| data.image(index)).map(|&pixel| f64::from(pixel) / 255.0).collect();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let variance = pixels.iter().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
    assert!((f64::from(data.mean()[0]) - mean).abs() <= 1e-7);
    assert!((f64::from(data.deviation()[0]) - variance.sqrt()).abs() <= 1e-7);
    let everything =
        data.pixels().iter().map(|&pixel| f64::from(pixel) / 255.0).sum::<f64>() / data.pixels().len() as f64;
    assert!((everything - mean).abs() > 1e-6);
}

#[test]
fn the_checksum_is_of_the_data_and_not_of_the_split() {
    let checksum = |source, seed| load(&config(source, 100, 100), seed).unwrap().0.checksum().to_string();
    assert_eq!(checksum(DataSource::Embedded, 1), checksum(DataSource::Embedded, 2));
    assert_ne!(checksum(DataSource::Synthetic, 1), checksum(DataSource::Synthetic, 2));
    assert_eq!(checksum(DataSource::Synthetic, 1).len(), 64);
}

#[test]
fn impossible_parts_are_refused_by_key() {
    let refused = |source, validation, test| load(&config(source, validation, test), 1).err().unwrap().to_string();
    assert_eq!(
        refused(DataSource::Embedded, 0, 1000),
        "[data] validation_images = 0: at least one image must be held out"
    );
    assert!(refused(DataSource::Embedded, 1000, 0).contains("test_images = 0"));
    let message = refused(DataSource::Embedded, 9000, 1000);
    assert_eq!(
        message,
        "[data] validation_images = 9000 and test_images = 1000 of 10000 images leave class 0 none to train on"
    );
    // Five of the 1,200 synthetic images are left for four classes, then two.
    let (data, splits) = load(&config(DataSource::Synthetic, 600, 595), 1).unwrap();
    assert!(class_counts(&data, &splits.train).iter().all(|&count| count >= 1));
    assert!(refused(DataSource::Synthetic, 600, 598).contains("none to train on"));
    assert!(refused(DataSource::Synthetic, usize::MAX, usize::MAX).contains("none to train on"));
}

#[test]
fn the_official_test_part_stays_the_test_part() {
    let shape = crate::net::ImageShape { channels: 1, height: 1, width: 1 };
    let labels: Vec<u16> = (0..70).map(|index| index % 2).collect();
    let mut images = dataset::Images::made_up(shape, 2, (0..70).collect(), labels);
    images.facts.training = 60;
    let splits = Splits::new(&images, PartSizes { validation: 10, test: 7 }, |left| left, 3).unwrap();
    assert_eq!(splits.test, (60..70).collect::<Vec<u32>>());
    let rest: BTreeSet<u32> = splits.train.iter().chain(&splits.validation).copied().collect();
    assert_eq!((splits.validation.len(), rest), (10, (0..60).collect()));
}

#[test]
fn a_fraction_is_stratified_and_the_same_for_all() {
    let (data, splits) = load(&config(DataSource::Embedded, 1000, 1000), 1).unwrap();
    let part = data.fraction(&splits.train, 0.25, 1);
    assert_eq!(class_counts(&data, &part), [200; 10]);
    assert!(part.is_sorted() && part.iter().all(|index| splits.train.binary_search(index).is_ok()));
    assert_eq!(part.iter().collect::<BTreeSet<_>>().len(), 2000);
    assert_eq!(part, data.fraction(&splits.train, 0.25, 1));
    assert_ne!(part, data.fraction(&splits.train, 0.25, 2));
    assert_eq!(data.fraction(&splits.train, 1.0, 1), splits.train);
    for little in [1e-9, 0.0, f64::NAN] {
        assert_eq!(class_counts(&data, &data.fraction(&splits.train, little, 1)), [1; 10]);
    }
}

#[test]
fn every_epoch_has_its_own_order_of_the_same_images() {
    let train: Vec<u32> = (100..400).collect();
    let order = epoch_order(&train, 1, 2, 3);
    assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), train.iter().copied().collect());
    assert_eq!(order.len(), train.len());
    assert_eq!(order, epoch_order(&train, 1, 2, 3));
    for other in [epoch_order(&train, 2, 2, 3), epoch_order(&train, 1, 3, 3), epoch_order(&train, 1, 2, 4), train] {
        assert_ne!(order, other);
    }
}
