//! Texts from outside, damaged in every way: the parsers answer with an error, never with a panic.

use graphpnas_fast::net::Workload;
use graphpnas_fast::space::read_architecture;
use proptest::prelude::*;

const ARCHITECTURE: &str =
    r#"{"space": "randwire", "stages": [{"nodes": 4, "edges": [[0, 3], [1, 2]]}, {"nodes": 2, "edges": [[0, 1]]}]}"#;

const WORKLOAD: &str = r#"{"name": "w", "what": "a test", "image": {"channels": 3, "size": 8}, "channels": 4,
    "stem_stride": 1, "stage_strides": [2], "head": 8, "classes": 3, "batch": 4, "dropout": 0.1,
    "stages": [{"nodes": 4, "edges": [[0, 1], [1, 3], [0, 2]]}]}"#;

/// A text with some bytes replaced by other text.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\\[\\]{},:\"0-9a-z.eE+-]{0,4}",
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "null",
            "true",
            "[]",
            "{}",
            "\"\"",
            "18446744073709551616",
            "-1",
            "1e999",
            "\\u0000"
        ])
        .prop_map(String::from),
        "\\PC{0,3}",
    ];
    let change = (0..text.len(), 0usize..8, piece);
    prop::collection::vec(change, 1..4).prop_map(move |changes| {
        changes.into_iter().fold(text.to_string(), |text, (at, cut, piece)| {
            let at = (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
            let end = (at + cut..=text.len()).find(|&end| text.is_char_boundary(end)).unwrap_or(text.len());
            format!("{}{piece}{}", &text[..at], &text[end..])
        })
    })
}

#[test]
fn the_undamaged_texts_are_read() {
    assert!(read_architecture(ARCHITECTURE).is_ok());
    assert_eq!(Workload::from_json(WORKLOAD).unwrap().batch, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_read_of_a_damaged_architecture_is_legal(text in damaged(ARCHITECTURE)) {
        match read_architecture(&text) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            Ok(architecture) => {
                let again = serde_json::to_string(&architecture).unwrap();
                prop_assert_eq!(read_architecture(&again).unwrap(), architecture);
            }
        }
    }

    #[test]
    fn what_is_read_of_a_damaged_workload_can_be_costed(text in damaged(WORKLOAD)) {
        match Workload::from_json(&text) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            Ok(workload) => prop_assert!(workload.plan.trained_parameters() > 0 && workload.batch >= 2),
        }
    }

    #[test]
    fn bytes_of_any_kind_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(read_architecture(&text).is_err());
        prop_assert!(Workload::from_json(&text).is_err());
    }
}
