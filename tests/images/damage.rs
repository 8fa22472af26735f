//! Damaged files, wrong labels, missing files: one line that names the file, and the line where there is one.

use crate::support::{Place, jpeg, records, small_tree};
use graphpnas_fast::config::DataSource;
use std::fs;
use std::process::Command;

/// Asserts that the data set is refused in one line with all these parts, in which `{}` is the place.
fn refused(place: &Place, source: DataSource, path: &str, parts: &[&str]) {
    let message = place.refused(source, place.path(path)).to_string();
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        let part = part.replace("{}", &place.arg(""));
        assert!(message.contains(&part), "{message:?} does not say {part:?}");
    }
    // Nothing is left of what could not be packed.
    let left = fs::read_dir(place.path("cache")).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "{message}");
}

/// A change of the small tree, and parts of the answer.
type Case = (fn(&Place), &'static [&'static str]);

#[test]
fn trees_of_tiny_imagenet() {
    const IMAGE: &str = "tree/train/n02/images/n02_1.JPEG";
    const NOTES: &str = "tree/val/val_annotations.txt";
    fn annotate(place: &Place, line: &str) {
        let text = fs::read_to_string(place.path(NOTES)).unwrap();
        place.write(NOTES, text + line);
    }
    let cases: &[Case] = &[
        (|place| place.write(IMAGE, &jpeg(64, 64, 1)[..500]), &["{}tree/train/n02/images/n02_1.JPEG: truncated"]),
        (
            |place| {
                let whole = jpeg(64, 64, 1);
                place.write(IMAGE, &whole[..whole.len() - 2]);
            },
            &["n02_1.JPEG: truncated"],
        ),
        (
            |place| place.write(IMAGE, b"no picture"),
            &["n02_1.JPEG: begins with bytes [6e, 6f, 20, 70]", "neither JPEG nor PNG"],
        ),
        (|place| place.write(IMAGE, b""), &["n02_1.JPEG: begins with bytes []"]),
        (
            |place| place.write(IMAGE, b"\xff\xd8\xff\xc3\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0 lossless"),
            &["n02_1.JPEG: a damaged JPEG: "],
        ),
        (|place| place.write(IMAGE, jpeg(64, 63, 1)), &["n02_1.JPEG: 64x63 pixels instead of 64x64"]),
        (|place| place.write(IMAGE, b"\x89PNG\r\n\x1a\nxxxx"), &["n02_1.JPEG: a damaged PNG: "]),
        (
            |place| annotate(place, "val_9.JPEG\tn01"),
            &["{}tree/val/val_annotations.txt, line 5", "there is no", "val_9.JPEG"],
        ),
        (|place| annotate(place, "val_0.JPEG\tn03"), &["val_annotations.txt, line 5", "\"n03\" is not in wnids.txt"]),
        (|place| annotate(place, "val_0.JPEG n01"), &["val_annotations.txt, line 5", "a tab"]),
        (|place| annotate(place, "val_0.JPEG\tn01"), &["val_annotations.txt, line 5", "second time"]),
        (|place| place.write(NOTES, b"val_0.JPEG\tn01\n\xff\tn01"), &["val_annotations.txt, line 2", "UTF-8"]),
        (|place| place.write(NOTES, ""), &["val_0.JPEG is not in", "val_annotations.txt"]),
        (|place| place.write("tree/val/images/val_7.JPEG", ""), &["val_7.JPEG is not in"]),
        (|place| fs::remove_file(place.path(NOTES)).unwrap(), &["there is no {}tree/val/val_annotations.txt"]),
        (|place| fs::remove_file(place.path("tree/wnids.txt")).unwrap(), &["there is no {}tree/wnids.txt"]),
        (|place| place.write("tree/wnids.txt", "n01\nn02\nn01"), &["wnids.txt, line 3", "n01 for the second time"]),
        (|place| place.write("tree/wnids.txt", "n01\n"), &["wnids.txt, line 1", "1 classes", "at least 2"]),
        (|place| place.write("tree/wnids.txt", "n01\nn02\nn03"), &["{}tree/train/n03/images/ has no files *.JPEG"]),
        (|place| place.write("tree/train/n04/x.txt", ""), &["{}tree/train/n04 is none of the classes of wnids.txt"]),
        (|place| fs::remove_dir_all(place.path("tree/train")).unwrap(), &["tree/train/n01/images/ has no files"]),
    ];
    for (change, parts) in cases {
        let place = Place::new();
        small_tree(&place);
        change(&place);
        refused(&place, DataSource::TinyImagenet, "tree", parts);
    }
    let place = Place::new();
    refused(
        &place,
        DataSource::TinyImagenet,
        "tree",
        &["there is no {}tree", "data.path", "`data fetch tiny-imagenet`"],
    );
}

#[test]
fn records_of_cifar10() {
    let cases: &[Case] = &[
        (|place| place.write("c/a.bin", &records(&[1, 2])[1..]), &["{}c/a.bin has 6145 bytes", "multiple of 3073"]),
        (|place| place.write("c/a.bin", ""), &["c/a.bin has 0 bytes"]),
        (|place| place.write("c/a.bin", records(&[1, 2, 10, 4])), &["{}c/a.bin, record 2", "label 10 is not below 10"]),
        (|place| place.write("c/a.txt", ""), &["{}c", "has no data_batch_1.bin to data_batch_5.bin, test_batch.bin"]),
        (|place| place.write("c/data_batch_3.bin", records(&[1, 2])), &["there is no {}c/data_batch_1.bin"]),
        (
            |place| {
                for batch in 1..6 {
                    place.write(&format!("c/cifar-10-batches-bin/data_batch_{batch}.bin"), records(&[1, 2]));
                }
            },
            &["there is no {}c/cifar-10-batches-bin/test_batch.bin"],
        ),
    ];
    for (change, parts) in cases {
        let place = Place::new();
        change(&place);
        refused(&place, DataSource::Cifar10, "c", parts);
    }
    let place = Place::new();
    place.write("one.bin", records(&[3, 11]));
    refused(&place, DataSource::Cifar10, "one.bin", &["{}one.bin, record 1", "label 11"]);
    place.write("one.tar.gz", [0x1f, 0x8b, 8, 0, 0, 0]);
    refused(&place, DataSource::Cifar10, "one.tar.gz", &["cannot read {}one.tar.gz"]);
    place.write("one.zip", b"PK\x03\x04 and no more");
    refused(&place, DataSource::Cifar10, "one.zip", &["cannot read {}one.zip"]);
}

#[test]
fn folders_of_pictures() {
    fn add(place: &Place, file: &str) {
        place.write(&format!("f/{file}"), jpeg(70, 50, 1));
    }
    let cases: &[Case] = &[
        (|place| add(place, "a/1.jpg"), &["has no folders, one for each of at least two classes"]),
        (
            |place| ["train/a/1.jpg", "train/b/1.txt"].iter().for_each(|file| add(place, file)),
            &["{}f/train/b/ has no files *.jpg"],
        ),
        (
            |place| ["train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"].iter().for_each(|file| add(place, file)),
            &["the folder {}f/test/c is none of the classes of train/"],
        ),
        (
            |place| {
                ["a/1.jpg", "b/1.jpg"].iter().for_each(|file| add(place, file));
                place.write("f/b/2.png", "");
            },
            &["{}f/b/2.png: begins with bytes []"],
        ),
    ];
    for (change, parts) in cases {
        let place = Place::new();
        change(&place);
        refused(&place, DataSource::Folder, "f", parts);
    }
    let place = Place::new();
    ["a/1.jpg", "b/1.jpg"].iter().for_each(|file| add(&place, file));
    place.write("f/b/2.jpg", jpeg(65_000, 1, 1));
    let mut config = place.config(DataSource::Folder, place.path("f"));
    config.size = 1024;
    let message = graphpnas_fast::data::load(&config, 1).err().unwrap().to_string();
    assert!(message.contains("f/b/2.jpg: 66560000x1024 pixels are more than 67108864"), "{message}");
}

/// The whole program answers with one line and the right exit code.
#[test]
fn exit_codes() {
    let place = Place::new();
    let tree = small_tree(&place);
    place.write("run.toml", "[data]\nsource = \"tiny-imagenet\"\nvalidation_images = 2\n");
    let (tree, cache) = (format!("data.path={}", tree.display()), format!("data.cache={}", place.arg("cache")));
    let run = |settings: &[&str], code: i32, part: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graphpnas-fast"));
        command.args(["run", &place.arg("run.toml"), "--out", &place.arg("out"), "--set", &cache]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or_default();
        assert!(output.status.code() == Some(code) && last.starts_with("error: ") && last.contains(part), "{said}");
        assert!(!place.path("out").exists());
    };
    run(&[&tree, "data.validation_images=9"], 2, "validation_images = 9");
    run(&["data.path=/nonexistent/tree"], 1, "there is no /nonexistent/tree");
    run(&["data.source=folder"], 2, "data.path = \"\"");
    run(&[&tree, "data.source=cifar10"], 1, "has no data_batch_1.bin");
    place.write("tree/val/val_annotations.txt", "val_0.JPEG\tn77\n");
    run(&[&tree], 1, "val_annotations.txt, line 1: the class \"n77\"");
    place.write("tree/train/n01/images/n01_0.JPEG", "GIF89a");
    place.write("tree/val/val_annotations.txt", "val_0.JPEG\tn01\nval_1.JPEG\tn01\nval_2.JPEG\tn01\nval_3.JPEG\tn02\n");
    run(&[&tree], 1, "n01_0.JPEG: begins with bytes [47, 49, 46, 38]");
}
