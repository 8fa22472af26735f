//! Wrong flags, configurations, data, run directories and architectures: each is answered with one line that names the
//! culprit, and with the right exit code.

use crate::support::{FILES, FINISHED, TINY, Workplace, copy, say};
use graphpnas_fast::config::Config;
use graphpnas_fast::store::Journal;
use std::path::Path;

const USAGE: i32 = 2;
const FAILED: i32 = 1;

/// Arguments, in which `{}` is the workplace and `{run}` a finished run, and parts of the answer, `{}` likewise.
type Case = (i32, &'static str, &'static [&'static str]);

/// Asserts one answer.
fn check(place: &Workplace, (code, arguments, parts): &Case) {
    let filled = |text: &str| text.replace("{run}", &FINISHED.arg("run")).replace("{}", &place.arg(""));
    let arguments: Vec<String> = arguments.split_whitespace().map(filled).collect();
    let said = say(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.code, Some(*code), "{arguments:?}: {said:?}");
    assert_eq!(said.stdout, "", "{arguments:?}");
    let line = said.stderr.strip_suffix('\n').unwrap_or(&said.stderr);
    assert!(line.starts_with("error: ") && !line.contains('\n'), "{arguments:?}: {line}");
    for part in *parts {
        assert!(line.contains(&filled(part)), "{arguments:?}: {line:?} does not say {part:?}");
    }
}

#[test]
fn flags() {
    let cases: &[Case] = &[
        (USAGE, "rnu", &["'rnu'"]),
        (USAGE, "run", &["<CONFIG>"]),
        (USAGE, "run {}tiny.toml --frobnicate", &["'--frobnicate'"]),
        (USAGE, "run {}tiny.toml extra", &["'extra'"]),
        (USAGE, "run {}tiny.toml --resume --resume", &["'--resume'", "multiple times"]),
        (USAGE, "run {}tiny.toml --device gpu", &["--device", "\"gpu\"", "cuda:N"]),
        (USAGE, "run {}tiny.toml --set search.budget", &["`search.budget`", "section.key=value"]),
        (USAGE, "run {}tiny.toml --set search.buget=9", &["`buget`", "`budget`"]),
        (USAGE, "run {}tiny.toml --set search.budget=many", &["search.budget = \"many\"", "whole number"]),
        (USAGE, "run {}tiny.toml --seed -1", &["'-1'"]),
        (USAGE, "run {}tiny.toml --seed 18446744073709551615", &["run.seed", "18446744073709551615"]),
        (USAGE, "run {}tiny.toml --threads many", &["'many'", "--threads"]),
        (USAGE, "run {}tiny.toml --threads 5000", &["run.threads = 5000", "4096"]),
        (FAILED, "run {}tiny.toml --device cuda:99", &["cuda:99", "`cpu`"]),
        (FAILED, "run {}tiny.toml --set run.device=cuda:98", &["cuda:98", "`auto`"]),
        (USAGE, "sample {run} -n 0", &["'0'", "-n"]),
        (USAGE, "sample {run} -n x", &["'x'", "-n"]),
        (USAGE, "sample {run} --seed 1.5", &["'1.5'", "--seed"]),
        (USAGE, "score {run}", &["<ARCH.json>"]),
        (USAGE, "eval {run}", &["--split"]),
        (USAGE, "eval {run} --split train", &["'train'", "validation, test"]),
        (USAGE, "export {run} --format png --out {}x", &["'png'", "onnx"]),
        (USAGE, "export {run} --format svg", &["--out"]),
        (USAGE, "export {run} --format svg --out {}x --best --arch {run}/best.json", &["--best", "--arch"]),
        (USAGE, "export {run} --format onnx --out {}x --arch {run}/best.json", &["--arch", "--weights FILE"]),
        (USAGE, "eval {run} --split test --arch {run}/best.json", &["--arch", "--weights FILE"]),
        (USAGE, "retrain {run} --epochs 0", &["'0'", "--epochs"]),
        (USAGE, "retrain {run} --learning-rate -1", &["'-1'"]),
        (USAGE, "retrain {run} --learning-rate nan", &["'nan'", "(0, 10]"]),
        (FAILED, "retrain {run} --device cuda:97", &["cuda:97", "`cpu`"]),
        (USAGE, "init darts", &["'darts'", "randwire"]),
        (USAGE, "doctor now", &["'now'"]),
    ];
    let place = Workplace::new();
    cases.iter().for_each(|case| check(&place, case));
}

/// The tiny configuration with one line changed, or another text altogether.
fn write(place: &Workplace, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(place.path(name), text).unwrap();
}

#[test]
fn configurations() {
    let place = Workplace::new();
    let changed = |name: &str, from: &str, to: &str| {
        assert!(TINY.contains(from), "{from}");
        write(&place, name, TINY.replace(from, to));
    };
    std::fs::create_dir(place.path("folder.toml")).unwrap();
    write(&place, "bytes.toml", b"[run]\nname = \"\xff\xfe\"\n");
    write(&place, "binary.toml", [0u8, 1, 2, 3]);
    changed("syntax.toml", "nodes = 5", "nodes = = 5");
    changed("section.toml", "[oracle]", "[orcale]");
    changed("outside.toml", "\n[run]", "budget = 3\n[run]");
    changed("key.toml", "keep_top", "keep_tops");
    changed("elsewhere.toml", "budget = 10", "budget = 10\nhidden = 3");
    changed("type.toml", "nodes = 5", "nodes = \"five\"");
    changed("range.toml", "data_fraction = 0.2", "data_fraction = 1.2");
    changed("hidden.toml", "hidden = 10", "hidden = 7");
    changed("odd.toml", "ws_neighbours = 2", "ws_neighbours = 3");
    changed("ring.toml", "ws_neighbours = 2", "ws_neighbours = 6");
    changed("budget.toml", "budget = 10", "budget = 2");
    changed("path.toml", "source = \"synthetic\"", "source = \"synthetic\"\npath = \"/data\"");
    changed("source.toml", "\"synthetic\"", "\"cifar\"");
    changed("schedule.toml", "\"first\", iterations = 1", "\"first\", iterations = 0");
    changed("name.toml", "\"tiny\"", "\"../tiny\"");
    changed("images.toml", "validation_images = 100", "validation_images = 1100");
    changed("twice.toml", "budget = 10", "budget = 10\nbudget = 11");
    let cases: &[Case] = &[
        (USAGE, "run {}absent.toml", &["{}absent.toml", "No such file"]),
        (USAGE, "run {}folder.toml", &["{}folder.toml", "directory"]),
        (USAGE, "run {}bytes.toml", &["{}bytes.toml", "UTF-8", "byte 14"]),
        (USAGE, "run {}binary.toml", &["{}binary.toml", "line 1"]),
        (USAGE, "run {}syntax.toml", &["{}syntax.toml", "line 9"]),
        (USAGE, "run {}section.toml", &["[orcale]", "[oracle]"]),
        (USAGE, "run {}outside.toml", &["`budget`", "[search]"]),
        (USAGE, "run {}key.toml", &["`keep_tops`", "`keep_top`"]),
        (USAGE, "run {}elsewhere.toml", &["`hidden`", "[generator]"]),
        (USAGE, "run {}type.toml", &["space.nodes = \"five\"", "whole number"]),
        (USAGE, "run {}range.toml", &["oracle.data_fraction = 1.2", "(0, 1]"]),
        (USAGE, "run {}hidden.toml", &["generator.hidden = 7", "at least 8"]),
        (USAGE, "run {}odd.toml", &["search.ws_neighbours = 3", "even"]),
        (USAGE, "run {}ring.toml", &["search.ws_neighbours = 6", "space.nodes = 5"]),
        (USAGE, "run {}budget.toml", &["search.samples_per_iteration = 3", "search.budget = 2"]),
        (USAGE, "run {}path.toml", &["data.path", "\"synthetic\" reads no files"]),
        (USAGE, "run {}source.toml", &["data.source = \"cifar\"", "\"embedded\""]),
        (USAGE, "run {}schedule.toml", &["search.exploration", "iterations = 0"]),
        (USAGE, "run {}name.toml", &["run.name = \"../tiny\""]),
        (USAGE, "run {}images.toml --out {}none", &["validation_images = 1100", "1200 images"]),
        (USAGE, "run {}twice.toml", &["line 20", "duplicate key"]),
    ];
    cases.iter().for_each(|case| check(&place, case));
    assert!(!place.path("none").exists(), "a refused run left a directory");
}

#[test]
fn data_files() {
    let place = Workplace::new();
    for folder in ["empty", "junk", "gzip", "short"] {
        std::fs::create_dir(place.path(folder)).unwrap();
        let text = TINY.replace("\"synthetic\"", &format!("\"fashion-mnist\"\npath = {:?}", place.path(folder)));
        write(&place, &format!("{folder}.toml"), text);
    }
    write(&place, "file.toml", TINY.replace("\"synthetic\"", "\"fashion-mnist\"\npath = \"/absent\""));
    write(&place, "junk/train-images-idx3-ubyte", "not an IDX file at all");
    write(&place, "gzip/train-images-idx3-ubyte.gz", b"\x1f\x8b\x08\0\0\0\0\0not deflated");
    let header = [[0, 0, 8, 3], 60_000u32.to_be_bytes(), 28u32.to_be_bytes(), 28u32.to_be_bytes()].concat();
    write(&place, "short/train-images-idx3-ubyte", header);
    // The images are looked at first, but both files must be there.
    ["junk", "gzip", "short"].iter().for_each(|folder| write(&place, &format!("{folder}/train-labels-idx1-ubyte"), ""));
    let cases: &[Case] = &[
        (FAILED, "run {}file.toml --out {}none", &["/absent", "train-images-idx3-ubyte"]),
        (FAILED, "run {}empty.toml --out {}none", &["{}empty", "train-images-idx3-ubyte"]),
        (FAILED, "run {}junk.toml --out {}none", &["{}junk/train-images-idx3-ubyte", "IDX"]),
        (FAILED, "run {}gzip.toml --out {}none", &["{}gzip/train-images-idx3-ubyte.gz", "gzip"]),
        (FAILED, "run {}short.toml --out {}none", &["{}short/train-images-idx3-ubyte", "truncated"]),
    ];
    cases.iter().for_each(|case| check(&place, case));
    assert!(!place.path("none").exists(), "a refused run left a directory");
}

/// A copy of the finished run with one file changed; `None`: removed.
fn damaged(place: &Workplace, name: &str, file: &str, content: Option<&[u8]>) {
    let run = place.path(name);
    copy(&FINISHED.path("run"), &run);
    match content {
        Some(content) => std::fs::write(run.join(file), content).unwrap(),
        None => std::fs::remove_file(run.join(file)).unwrap(),
    }
}

fn first_half(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    bytes[..bytes.len() / 2].to_vec()
}

#[test]
fn run_directories() {
    let place = Workplace::new();
    let finished = FINISHED.path("run");
    std::fs::create_dir(place.path("foreign")).unwrap();
    write(&place, "foreign/thesis.tex", "");
    write(&place, "file", "");
    let config = Config::from_toml(TINY, &[]).unwrap();
    drop(Journal::create(&place.path("young"), &config).unwrap());
    let _writer = Journal::create(&place.path("busy"), &config).unwrap();
    // A run of another space, for its generator and its weights.
    place.run("wide", &["--quiet", "--set", "space.nodes=6", "--set", "generator.hidden=12"]);
    damaged(&place, "empty-journal", FILES[0], Some(b""));
    damaged(&place, "junk-journal", FILES[0], Some(&b"junk ".repeat(2000)));
    damaged(&place, "half-journal", FILES[0], Some(&first_half(&finished.join(FILES[0]))));
    damaged(&place, "no-generator", "generator.safetensors", None);
    damaged(&place, "junk-generator", "generator.safetensors", Some(b"junk"));
    damaged(&place, "half-generator", "generator.safetensors", Some(&first_half(&finished.join(FILES[1]))));
    let wide = |name: &str| std::fs::read(place.path("wide").join(name)).unwrap();
    damaged(&place, "other-generator", "generator.safetensors", Some(&wide("generator.safetensors")));
    damaged(&place, "no-weights", "best.safetensors", None);
    damaged(&place, "junk-weights", "best.safetensors", Some(b"junk"));
    damaged(&place, "other-weights", "best.safetensors", Some(&wide("best.safetensors")));
    damaged(&place, "no-manifest", "manifest.json", None);
    damaged(&place, "junk-manifest", "manifest.json", Some(b"{\"program\": 1}"));
    let cases: &[Case] = &[
        (FAILED, "sample {}absent", &["{}absent does not exist"]),
        (FAILED, "sample {}foreign", &["{}foreign is not a run directory"]),
        (FAILED, "report {}file", &["{}file is not a run directory"]),
        (FAILED, "run {}tiny.toml --out {}foreign", &["{}foreign holds other files", "`thesis.tex`", "--out"]),
        (FAILED, "run {}tiny.toml --out {}foreign --resume", &["{}foreign holds other files"]),
        (FAILED, "run {}tiny.toml --out {}file", &["{}file"]),
        (FAILED, "run {}tiny.toml --out {run}", &["{run} holds a finished run", "report.html", "--out"]),
        (FAILED, "run {}tiny.toml --out {}young", &["{}young holds an unfinished run (0 of 10", "--resume"]),
        (
            FAILED,
            "run {}tiny.toml --out {run} --resume --set search.budget=11 --set oracle.epochs=9",
            &["{run} holds a run of another configuration", "search.budget", "oracle.epochs"],
        ),
        (FAILED, "run {}tiny.toml --out {}busy --resume --quiet", &["{}busy is in use"]),
        (FAILED, "sample {}young", &["{}young is unfinished (0 of 10", "generator", "--resume"]),
        (FAILED, "eval {}young --split test", &["{}young has no best network yet", "0 of 10"]),
        (FAILED, "export {}young --format svg --out {}x", &["{}young has no best network yet"]),
        (FAILED, "retrain {}young", &["{}young has no best network yet"]),
        (FAILED, "report {}young", &["{}young/manifest.json is missing"]),
        (FAILED, "sample {}empty-journal", &["{}empty-journal/journal.sqlite is not a journal"]),
        (FAILED, "run {}tiny.toml --out {}junk-journal --resume", &["{}junk-journal/journal.sqlite is not a journal"]),
        (FAILED, "report {}half-journal", &["{}half-journal/journal.sqlite is damaged"]),
        (FAILED, "sample {}no-generator", &["{}no-generator/generator.safetensors is missing", "--resume"]),
        (FAILED, "sample {}junk-generator", &["{}junk-generator/generator.safetensors"]),
        (FAILED, "score {}half-generator {run}/best.json", &["{}half-generator/generator.safetensors"]),
        (FAILED, "sample {}other-generator", &["{}other-generator does not suit its space", "6 nodes"]),
        (FAILED, "score {}other-generator {run}/best.json", &["{}other-generator does not suit its space", "draws 6"]),
        (FAILED, "eval {}no-weights --split test", &["{}no-weights/best.safetensors is missing", "--resume"]),
        (FAILED, "eval {}junk-weights --split test", &["{}junk-weights/best.safetensors", "safetensors file"]),
        (FAILED, "eval {}other-weights --split test", &["{}other-weights/best.safetensors: tensor `", "this network"]),
        (FAILED, "report {}no-manifest", &["{}no-manifest/manifest.json is missing"]),
        (FAILED, "report {}junk-manifest", &["{}junk-manifest/manifest.json", "integer `1`"]),
    ];
    cases.iter().for_each(|case| check(&place, case));
}

#[test]
fn architectures_and_other_files() {
    let place = Workplace::new();
    let texts: &[(&str, &[u8])] = &[
        ("empty.json", b""),
        ("junk.json", b"junk"),
        ("bytes.json", b"{\"space\": \"\xff\"}"),
        ("space.json", br#"{"space": "darts", "stages": []}"#),
        ("stages.json", br#"{"space": "randwire", "stages": [{"nodes": 5, "edges": []}]}"#),
        ("nodes.json", br#"{"space": "randwire", "stages": [{"nodes": 5, "edges": []}, {"nodes": 6, "edges": []}]}"#),
        ("down.json", br#"{"space": "randwire", "stages": [{"nodes": 5, "edges": [[0, 1], [3, 2]]}]}"#),
        ("twice.json", br#"{"space": "randwire", "stages": [{"nodes": 5, "edges": [[0, 1], [0, 1]]}]}"#),
        ("member.json", br#"{"space": "randwire", "stages": [], "ops": []}"#),
        ("cut.json", br#"{"space": "randwire", "stages": [{"nodes": 5,"#),
        ("workload.json", br#"{"name": "w"}"#),
        (
            "dropout.json",
            br#"{"name": "w", "what": "", "image": {"channels": 1, "size": 4}, "channels": 4, "stem_stride": 1,
                "stage_strides": [2], "head": 8, "classes": 3, "batch": 4, "dropout": -0.5,
                "stages": [{"nodes": 2, "edges": [[0, 1]]}]}"#,
        ),
    ];
    texts.iter().for_each(|(name, text)| write(&place, name, text));
    let cases: &[Case] = &[
        (FAILED, "score {run} {}absent.json", &["{}absent.json", "No such file"]),
        (FAILED, "score {run} {}", &["it is a directory"]),
        (FAILED, "score {run} {}empty.json", &["{}empty.json", "EOF"]),
        (FAILED, "score {run} {}junk.json", &["{}junk.json", "line 1"]),
        (FAILED, "score {run} {}bytes.json", &["{}bytes.json", "UTF-8", "byte 11"]),
        (FAILED, "score {run} {}space.json", &["{}space.json", "\"darts\"", "\"randwire\""]),
        (FAILED, "score {run} {}stages.json", &["{}stages.json", "1 stages", "has 2"]),
        (FAILED, "score {run} {}nodes.json", &["{}nodes.json", "stages[1] has 6 nodes", "has 5"]),
        (FAILED, "score {run} {}down.json", &["{}down.json", "stages[0]", "[3, 2]"]),
        (FAILED, "score {run} {}twice.json", &["{}twice.json", "[0, 1] is given twice"]),
        (FAILED, "score {run} {}member.json", &["{}member.json"]),
        (FAILED, "retrain {run} --arch {}cut.json", &["{}cut.json", "EOF"]),
        (FAILED, "export {run} --arch {}nodes.json --format dot --out {}x", &["{}nodes.json", "stages[1]"]),
        (FAILED, "eval {run} --arch {run}/best.json --weights {}absent --split test", &["{}absent", "No such file"]),
        (FAILED, "eval {run} --weights {}junk.json --split test", &["{}junk.json", "not a safetensors file"]),
        (FAILED, "export {run} --format svg --out {}absent/x.svg", &["{}absent/x.svg", "No such file"]),
        (FAILED, "export {run} --format svg --out {}", &["cannot write", "{}"]),
        (FAILED, "init randwire --out {}tiny.toml", &["{}tiny.toml", "exists"]),
        (FAILED, "profile {}absent.json", &["{}absent.json", "No such file"]),
        (FAILED, "profile {}workload.json", &["{}workload.json", "missing field"]),
        (FAILED, "profile {}dropout.json", &["{}dropout.json", "dropout = -0.5", "below 1"]),
    ];
    cases.iter().for_each(|case| check(&place, case));
    assert!(!place.path("x").exists());
}
