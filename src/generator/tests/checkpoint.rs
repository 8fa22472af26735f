//! Checkpoints come back bit for bit; damaged and foreign ones are refused.

use super::{small, stream};
use crate::generator::{Generator, InputLayout, Sampler};
use proptest::prelude::*;
use std::collections::HashMap;

fn generator() -> Generator {
    let components = vec![small(4, 2, Some(6), InputLayout::Released), small(5, 0, None, InputLayout::Plain)];
    Generator { components }
}

fn refusal(bytes: &[u8]) -> String {
    Generator::from_bytes(bytes).unwrap_err().to_string()
}

#[test]
fn comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generator.safetensors");
    let generator = generator();
    generator.save(&path).unwrap();
    let loaded = Generator::load(&path).unwrap();
    for (a, b) in generator.components.iter().zip(&loaded.components) {
        assert_eq!(a.config, b.config);
        assert_eq!(a.parameters, b.parameters);
    }
    assert_eq!(std::fs::read(&path).unwrap(), loaded.to_bytes().unwrap());
    assert_eq!(
        generator.sample(&mut stream(1), 5, &mut Sampler::new(1)),
        loaded.sample(&mut stream(1), 5, &mut Sampler::new(1))
    );
}

#[test]
fn names_file_and_fault() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.safetensors");
    assert!(Generator::load(&missing).unwrap_err().to_string().contains("missing.safetensors"));
    let damaged = folder.path().join("damaged.safetensors");
    let bytes = generator().to_bytes().unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
    let message = Generator::load(&damaged).unwrap_err().to_string();
    assert!(message.contains("damaged.safetensors") && message.contains("not a generator checkpoint"), "{message}");
}

/// A checkpoint whose header text is changed; the replacement must be as long as what it replaces.
fn edited(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = generator().to_bytes().unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn refuses_other_settings_versions_and_tensors() {
    for (from, to, expected) in [
        (r#"\"version\":1"#, r#"\"version\":2"#, "format version 2, but this program reads version 1"),
        (r#"\"nodes\":4"#, r#"\"nodes\":0"#, "generator.nodes is 0, but must be 1 to 128"),
        (r#"\"nodes\":4"#, r#"\"nodes\":9"#, "generator.hidden is 8, but graphs of 9 nodes need at least 12"),
        (
            r#"\"mixtures\":3"#,
            r#"\"mixtures\":2"#,
            r#"tensor "components.0.theta.2.weight" is F32 [3, 8], but must be F32 [2, 8]"#,
        ),
        (r#"\"layers\":2"#, r#"\"layers\":3"#, r#"tensor "components.0.rounds.2.message.0.weight" is missing"#),
        (r#"\"loss\""#, r#"\"lose\""#, "unknown field `lose`"),
        ("graphpnas-fast.generator", "graphpnas-fast.something", "the metadata have no entry"),
    ] {
        let message = refusal(&edited(from, to));
        assert!(message.contains(expected), "{message} instead of {expected}");
    }
    let mut generator = generator();
    generator.components[1].parameters[2] = f32::NAN;
    let message = refusal(&generator.to_bytes().unwrap());
    assert!(message.contains(r#"tensor "components.1.input.weight": element 2 is not a finite number"#), "{message}");
}

#[test]
fn refuses_foreign_safetensors() {
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    let bytes = safetensors::serialize([("weight", view)], None::<HashMap<String, String>>).unwrap();
    assert!(refusal(&bytes).contains("the metadata have no entry"));
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Generator::from_bytes(&bytes).is_err());
    }

    /// Any change gives an error or a working generator, never a panic.
    #[test]
    fn changed_bytes_do_not_panic(
        changes in prop::collection::vec((0usize..6000, any::<u8>()), 1..4),
        cut in prop::option::of(0usize..6000),
    ) {
        let mut bytes = generator().to_bytes().unwrap();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        if let Ok(generator) = Generator::from_bytes(&bytes) {
            prop_assert_eq!(generator.sample(&mut stream(1), 2, &mut Sampler::new(1)).len(), 2);
        }
    }
}
