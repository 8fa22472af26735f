//! `run --device cuda`, and the commands after it, against `--device cpu`.

use super::{Workplace, findings, say};
use crate::support::device;
use graphpnas_fast::store::RunRecord;

/// Largest difference of two runs' accuracies and of their relative training losses; the candidates must be the same.
fn differences(got: &RunRecord, want: &RunRecord) -> (f64, f64) {
    let (got, want) = (findings(got), findings(want));
    assert_eq!(got.len(), want.len());
    let (mut accuracy, mut loss) = (0.0f64, 0.0f64);
    for ((got_key, got_accuracy, got_losses), (key, want_accuracy, losses)) in got.iter().zip(&want) {
        assert_eq!(got_key, key);
        assert_eq!(got_losses.len(), losses.len());
        accuracy = accuracy.max((got_accuracy.unwrap() - want_accuracy.unwrap()).abs());
        for (got, want) in got_losses.iter().zip(losses) {
            loss = loss.max((got - want).abs() / want);
        }
    }
    (accuracy, loss)
}

/// The tolerance: one of the 48 validation images, and a thousandth of a training loss.
#[test]
fn a_run_finds_the_same_candidates_as_on_the_cpu() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let on_cpu = place.finish("cpu", &["--device", "cpu"], &[]);
    let on_cuda = place.finish("cuda", &["--device", "cuda"], &[]);
    let (accuracy, loss) = differences(&on_cuda, &on_cpu);
    println!("f32: accuracies differ by {accuracy}, losses by {loss:e}");
    assert!(accuracy <= 1.01 / 48.0 && loss <= 1e-3, "{accuracy} {loss}");
    let [cuda, cpu] = [&on_cuda, &on_cpu].map(|record| record.finished.as_ref().unwrap());
    assert_eq!(cuda.candidate, cpu.candidate);
    assert!((cuda.test_accuracy - cpu.test_accuracy).abs() <= 1.01 / 32.0, "{cuda:?} {cpu:?}");
    let manifest = std::fs::read_to_string(place.path("cuda/manifest.json")).unwrap();
    assert!(manifest.contains("CUDA, f32"), "{manifest}");
    // Its weights are the same on either device.
    let run = place.path("cuda");
    let evaluate = |device: &str| {
        let said = say(&["eval", run.to_str().unwrap(), "--split", "test", "--device", device, "--json"], &[]);
        (said.json()["accuracy"].as_f64().unwrap(), said.json()["loss"].as_f64().unwrap())
    };
    let ((accuracy, loss), (of_cpu, loss_of_cpu)) = (evaluate("cuda"), evaluate("cpu"));
    assert!((accuracy - cuda.test_accuracy).abs() <= 1e-12 && (accuracy - of_cpu).abs() <= 1.01 / 32.0);
    assert!((loss - loss_of_cpu).abs() <= 1e-3 * loss_of_cpu, "{loss} {loss_of_cpu}");
}

/// The same tolerance, in the spaces of operators.
#[test]
fn runs_in_the_spaces_of_operators_find_the_same_candidates_as_on_the_cpu() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let shared = ["search.explorer=[\"uniform\"]", "search.ws_neighbours=4", "search.budget=3", "space.layers=4"];
    for (space, more) in [("enas", "space.channels=4"), ("nasbench101", "space.cells=1")] {
        let kind = format!("space.kind={space}");
        let sets = [&kind, more, "space.vertices=4"].into_iter().chain(shared).flat_map(|set| ["--set", set]);
        let sets: Vec<&str> = sets.collect();
        let of = |device: &str| {
            let out = format!("{space}-{device}");
            place.finish(&out, &[&["--device", device][..], &sets].concat(), &[])
        };
        let (on_cuda, on_cpu) = (of("cuda"), of("cpu"));
        let (accuracy, loss) = differences(&on_cuda, &on_cpu);
        println!("{space}: accuracies differ by {accuracy}, losses by {loss:e}");
        assert!(accuracy <= 1.01 / 48.0 && loss <= 1e-3, "{accuracy} {loss}");
        let manifest = std::fs::read_to_string(place.path(&format!("{space}-cuda/manifest.json"))).unwrap();
        assert!(manifest.contains("CUDA, f32"), "{manifest}");
    }
}

/// The same tolerance with a supernet: its candidates are scored, not trained.
#[test]
fn a_run_with_a_supernet_finds_the_same_candidates_as_on_the_cpu() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let shared = ["space.kind=enas", "space.layers=3", "search.explorer=[\"uniform\"]", "oracle.kind=supernet"];
    let more = ["oracle.statistics_images=20", "oracle.nesterov=true", "oracle.gradient_clip=5.0", "search.budget=4"];
    let sets: Vec<&str> = shared.into_iter().chain(more).flat_map(|set| ["--set", set]).collect();
    let of = |device: &str| place.finish(device, &[&["--device", device][..], &sets].concat(), &[]);
    let (on_cuda, on_cpu) = (of("cuda"), of("cpu"));
    let (accuracy, _) = differences(&on_cuda, &on_cpu);
    println!("supernet: accuracies differ by {accuracy}");
    assert!(accuracy <= 1.01 / 48.0, "{accuracy}");
    let manifest = std::fs::read_to_string(place.path("cuda/manifest.json")).unwrap();
    assert!(manifest.contains("CUDA, f32"), "{manifest}");
}

#[test]
fn how_many_are_trained_together_changes_nothing() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let of = |most: &str| {
        let together = format!("oracle.candidates_per_batch={most}");
        findings(&place.finish(most, &["--device", "cuda", "--set", &together], &[]))
    };
    let all = of("0");
    assert_eq!(of("1"), all);
    assert_eq!(of("2"), all);
}

/// The weight decay multiplies all weights by about -9 a step: every network diverges. That is recorded, network by network,
/// and the run goes on until it has nothing to learn from.
#[test]
fn networks_that_diverge_fail_as_on_the_cpu() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let decay = ["--set", "oracle.learning_rate=10", "--set", "oracle.weight_decay=1", "--set", "oracle.epochs=12"];
    for device in ["cpu", "cuda"] {
        let said = place.run(device, &[&["--device", device][..], &decay].concat(), &[]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains("only 0 of 6 candidates could be evaluated"), "{said:?}");
        for candidate in place.record(device).candidates {
            let failure = candidate.outcome.unwrap().failure.unwrap();
            assert!(failure.starts_with("training diverged: the loss is "), "{device}: {failure}");
        }
    }
}

/// The tolerance of 16 bits: nine of the 48 validation images, a twentieth of a training loss.
#[test]
fn a_run_in_16_bits_finds_similar_rewards() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let random = ["--set", "search.strategy=random"];
    let on_cpu = place.finish("cpu", &[&["--device", "cpu"][..], &random].concat(), &[]);
    for precision in ["f16", "bf16"] {
        let set = format!("run.precision={precision}");
        let more = [&["--device", "cuda", "--set", &set][..], &random].concat();
        let (accuracy, loss) = differences(&place.finish(precision, &more, &[]), &on_cpu);
        println!("{precision}: accuracies differ by {accuracy}, losses by {loss:e}");
        assert!(accuracy <= 9.01 / 48.0 && loss <= 0.05, "{precision}: {accuracy} {loss}");
    }
}

#[test]
fn a_dry_run_measures_the_device_that_the_run_will_use() {
    if device().is_none() {
        return;
    }
    let place = Workplace::new();
    let config = place.path("tiny.toml");
    let dry = |device: &str| {
        let said = say(&["run", config.to_str().unwrap(), "--dry-run", "--device", device, "--json"], &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.json()
    };
    let (cuda, cpu) = (dry("cuda"), dry("cpu"));
    assert!(cuda["device"].as_str().unwrap().contains("CUDA, f32"), "{cuda}");
    assert!(cpu["device"].as_str().unwrap().starts_with("CPU"), "{cpu}");
    // All three of an iteration go together, one network is trained long.
    let networks = |part: &str| cuda["measured"][part]["networks"].as_u64();
    assert_eq!([networks("candidates"), networks("retraining")], [Some(3), Some(1)]);
    let rates = ["training", "evaluation"].map(|rate| cuda["measured"]["retraining"][rate].as_f64().unwrap());
    assert!(rates.iter().all(|&rate| rate > 0.0), "{cuda}");
}
