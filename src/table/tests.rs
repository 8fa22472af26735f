//! Real benchmark files, where they are, and what can be wrong with such files.
//!
//! The real files are not part of the sources: tests that read them look into `../shared/data` beside the checkout and
//! are skipped where that is absent.

use super::measurement::{EvaluationData, Measurement, ModelMetrics};
use super::tfrecord::{Records, masked_crc};
use super::*;
use crate::config::BenchmarkDataset;
use crate::net::{ImageShape, NasBench101Shape, Plan, VertexOperator, nasbench101};
use crate::space::nasbench101::{Cell101, CellHash, Operator101, enumerate, prune};
use crate::space::nasbench201::{CELLS, Cell201};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use prost::Message;
use std::io::{Read, Write};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
}

fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// Ends a test that needs the real files where there are none.
macro_rules! need_real_files {
    () => {
        if !folder().is_dir() {
            println!("skipped: no such data");
            return;
        }
    };
}

/// A real file.
fn bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    file::open(&path(name)).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

const OFFICIAL: &str = "nasbench101-le4v-official-means.tfrecord";
const THREE_REPEATS: &str = "nasbench101-le4v-own-training.tfrecord";
const FIVE_VERTICES: &str = "nasbench101-le5v-own-training-4epochs.tfrecord";
const CELLS_201: &str = "nasbench201.csv";

/// Writes a file and reads it as a NAS-Bench-101 table.
fn read_as_101(content: &[u8]) -> Result<NasBench101Table, TableError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    std::fs::write(&path, content).unwrap();
    NasBench101Table::read(&path)
}

fn error_of(content: &[u8]) -> String {
    let error = read_as_101(content).unwrap_err().to_string();
    assert!(error.contains("table"), "{error}");
    error
}

fn hash_of(text: &str) -> CellHash {
    CellHash::from_hexadecimal(text).unwrap()
}

#[test]
fn the_official_numbers_are_those_of_the_csv_beside_them() {
    need_real_files!();
    let table = NasBench101Table::read(&path(OFFICIAL)).unwrap();
    assert_eq!((table.len(), table.all_epochs()), (91, &[4, 12, 36, 108][..]));
    let text = String::from_utf8(bytes("nasbench101-le4v-official-means.csv")).unwrap();
    let mut lines = 0;
    for line in text.lines().skip(1) {
        // hash,epochs,adjacency,"ops",parameters,train,validation,test
        let parts: Vec<&str> = line.split('"').collect();
        let (before, after): (Vec<&str>, Vec<&str>) = (parts[0].split(',').collect(), parts[2].split(',').collect());
        let budget = table.budget(before[1].parse().unwrap()).unwrap();
        let entry = table.entry(hash_of(before[0]), budget).unwrap();
        let number = |text: &str| text.parse::<f64>().unwrap();
        assert_eq!(entry.parameters, Some(after[1].parse().unwrap()), "{line}");
        assert!((entry.validation_accuracy - number(after[3])).abs() <= 1e-15, "{line}");
        assert!((entry.test_accuracy - number(after[4])).abs() <= 1e-15, "{line}");
        let cell = Cell101::from_flat(before[2], parts[1].split(',')).unwrap();
        let table = Table::NasBench101(Arc::new(table.clone()), budget);
        assert_eq!(table.query(&Architecture::NasBench101(cell)).unwrap(), entry);
        lines += 1;
    }
    assert_eq!(lines, 4 * 91);
}

/// Sums over all cells of the means over repeats, and the largest, computed by a Python script from the same files.
#[test]
fn repeats_are_averaged() {
    need_real_files!();
    let table = NasBench101Table::read(&path(THREE_REPEATS)).unwrap();
    let sums = [
        (4, 43.46704729398093, 43.18556345750887, 0.7361111044883728, 0.7312700351079305),
        (12, 69.928852836291, 69.27824538946153, 0.8834134538968405, 0.8702590862909952),
        (36, 79.56710753838223, 79.00293803215027, 0.9293536345163981, 0.918669859568278),
        (108, 81.85783926645915, 81.37015889088309, 0.9424746433893839, 0.9334935943285624),
    ];
    for (epochs, validation, test, most_validation, most_test) in sums {
        check_sums(&table, epochs, [validation, test, most_validation, most_test]);
    }
    assert_eq!((table.len(), table.all_epochs()), (91, &[4, 12, 36, 108][..]));
    let entry = table.entry(hash_of("01f0f1cf81ef9193f2946db78ea759ee"), table.budget(0).unwrap()).unwrap();
    assert!((entry.validation_accuracy - 0.9370325803756714).abs() <= 1e-15);
    assert!((entry.test_accuracy - 0.9299212098121643).abs() <= 1e-15);
    assert!((entry.cost.unwrap() - 2651.0992024739585).abs() <= 1e-9);
    assert_eq!(entry.parameters, Some(5_969_674));
    let table = NasBench101Table::read(&path(FIVE_VERTICES)).unwrap();
    assert_eq!((table.len(), table.all_epochs()), (2532, &[4][..]));
    check_sums(&table, 4, [1087.3996406309307, 1079.794470846653, 0.7701321840286255, 0.7625200152397156]);
}

fn check_sums(table: &NasBench101Table, epochs: u32, [validation, test, most_validation, most_test]: [f64; 4]) {
    let budget = table.budget(epochs).unwrap();
    let sum = |value: fn(Entry) -> f64| table.entries(budget).map(value).sum::<f64>();
    assert!((sum(|entry| entry.validation_accuracy) - validation).abs() <= 1e-9);
    assert!((sum(|entry| entry.test_accuracy) - test).abs() <= 1e-9);
    let optimum = Table::NasBench101(Arc::new(table.clone()), budget).optimum().unwrap();
    assert!((optimum.validation_accuracy - most_validation).abs() <= 1e-15);
    assert!((optimum.test_accuracy - most_test).abs() <= 1e-15);
    assert!(optimum.test_of_best_validation <= optimum.test_accuracy);
}

#[test]
fn the_small_tables_hold_their_spaces_exactly() {
    need_real_files!();
    for (name, vertices) in [(OFFICIAL, 4), (THREE_REPEATS, 4), (FIVE_VERTICES, 5)] {
        let table = NasBench101Table::read(&path(name)).unwrap();
        let cells = enumerate(vertices);
        assert_eq!(table.len(), cells.len());
        assert!(cells.iter().all(|(hash, _)| table.entry(*hash, 0).is_some()));
    }
}

#[test]
fn cells_and_budgets_that_are_not_there_are_named() {
    need_real_files!();
    let table = Arc::new(NasBench101Table::read(&path(OFFICIAL)).unwrap());
    let error = table.budget(50).unwrap_err().to_string();
    assert_eq!(error, format!("oracle.table_epochs = 50: {OFFICIAL} has accuracies after 4, 12, 36, 108 epochs"));
    let names = "input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,output";
    let cell = Cell101::from_flat("0100000100000100000100000", names.split(',')).unwrap();
    let table = Table::NasBench101(table, 3);
    let error = table.query(&Architecture::NasBench101(cell)).unwrap_err().to_string();
    assert_eq!(error, format!("the table {OFFICIAL} lacks the cell 0100000100000100000100000 \"{names}\""));
    let error = table.query(&Architecture::RandWire { stages: vec![] }).unwrap_err().to_string();
    assert!(error.contains("has no architectures of the space randwire"), "{error}");
}

/// Where the records of a file begin, and its end.
fn record_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(length) = bytes.get(starts[starts.len() - 1]..).and_then(|rest| rest.first_chunk::<8>()) {
        starts.push(starts[starts.len() - 1] + 16 + u64::from_le_bytes(*length) as usize);
    }
    starts
}

#[test]
fn truncated_files_are_refused_at_their_record() {
    let bytes = two_records();
    let starts = record_starts(&bytes);
    for end in 1..starts[2] {
        if starts.contains(&end) {
            continue;
        }
        let error = error_of(&bytes[..end]);
        let (record, start) = if end < starts[1] { (1, 0) } else { (2, starts[1]) };
        assert!(error.contains(&format!("record {record} at byte {start}: the file ends after")), "{end}: {error}");
    }
    assert!(error_of(&bytes[..0]).contains("it holds no record"));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&bytes).unwrap();
    let compressed = encoder.finish().unwrap();
    let (read, plain) = (read_as_101(&compressed).unwrap(), read_as_101(&bytes).unwrap());
    assert!(read.entries(0).eq(plain.entries(0)));
    let error = error_of(&compressed[..compressed.len() / 2]);
    assert!(error.contains("table: "), "{error}");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let two = two_records();
    let starts = record_starts(&two);
    assert_eq!(read_as_101(&two).unwrap().len(), 1);
    for place in 0..two.len() {
        let mut flipped = two.clone();
        flipped[place] ^= 1 << (place % 8);
        let error = error_of(&flipped);
        let in_record = |record: usize| place - starts[record];
        let expected = match place {
            _ if place < 12 => "is not a TFRecord file: the checksum of its first length is wrong".into(),
            _ if place < starts[1] => "record 1 at byte 0: the checksum of its payload is wrong".into(),
            _ if in_record(1) < 12 => format!("record 2 at byte {}: the checksum of its length", starts[1]),
            _ => format!("record 2 at byte {}: the checksum of its payload", starts[1]),
        };
        assert!(error.contains(&expected), "byte {place}: {error}");
    }
}

/// Two repeats of one cell.
fn two_records() -> Vec<u8> {
    let second = metrics(|metrics| metrics.evaluation_data[1].validation_accuracy = 0.95);
    [record(payload(&metrics(|_| ())).as_bytes()), record(payload(&second).as_bytes())].concat()
}

/// A file of one record with right checksums.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(payload);
    bytes.extend(masked_crc(payload).to_le_bytes());
    bytes
}

fn metrics(change: impl Fn(&mut ModelMetrics)) -> String {
    let end = EvaluationData {
        current_epoch: 108.0,
        training_time: 60.5,
        train_accuracy: 1.0,
        validation_accuracy: 0.9,
        test_accuracy: 0.8,
    };
    let start = EvaluationData { validation_accuracy: 0.1, test_accuracy: 0.1, training_time: 0.0, ..end };
    let mut metrics = ModelMetrics { evaluation_data: vec![start, end], trainable_parameters: 1234, total_time: 70.0 };
    change(&mut metrics);
    let mut text = STANDARD.encode(metrics.encode_to_vec());
    // As the official file breaks them.
    (76..text.len()).step_by(77).for_each(|place| text.insert(place, '\n'));
    text
}

fn payload(metrics: &str) -> String {
    let fields = ("043721b9c7fe8c5fad811d47d83132ec", 108, "0100", "input,output", metrics);
    serde_json::to_string(&fields).unwrap()
}

#[test]
fn a_record_with_right_checksums_and_wrong_content_is_refused() {
    let good = payload(&metrics(|_| ()));
    let table = read_as_101(&record(good.as_bytes())).unwrap();
    let entry = table.entry(hash_of("043721b9c7fe8c5fad811d47d83132ec"), 0).unwrap();
    let expected = Entry { validation_accuracy: 0.9, test_accuracy: 0.8, parameters: Some(1234), cost: Some(60.5) };
    assert_eq!(entry, expected);
    let end = |change: fn(&mut EvaluationData)| metrics(|metrics| change(&mut metrics.evaluation_data[1]));
    // Field 1 of the metrics as a number instead of a message; an evaluation longer than its message.
    let (wrong_type, too_long) = (STANDARD.encode([0x08, 0x01]), STANDARD.encode([0x0a, 0x7f, 0x09]));
    for (text, part) in [
        ("{}".to_string(), "no NAS-Bench-101 record: invalid type: map"),
        ("\u{7f}".into(), "no NAS-Bench-101 record"),
        (good.replace("108", "\"108\""), "no NAS-Bench-101 record: invalid type: string"),
        (good.replace("108", "-1"), "no NAS-Bench-101 record"),
        (good.replace("108", "0"), "trained for 0 epochs"),
        (good.replace("043721", "04372"), "is no cell's hash"),
        (good.replace("043721", "143721"), "its cell has the hash 043721b9c7fe8c5fad811d47d83132ec, not 143721"),
        (good.replace("0100", "01000"), "an adjacency matrix of 5 entries is no square"),
        (good.replace("0100", "0120"), "entry 2 of the adjacency matrix is neither 0 nor 1"),
        (good.replace("0100", "0110"), "adjacency[1] has an edge to node 0"),
        (good.replace("0100", "0000"), "its cell has the hash"),
        (good.replace("input,output", "input,maxpool3x3,output"), "3 ops for 2 nodes"),
        (good.replace("input,output", "output,input"), "ops[0] is \"output\""),
        (payload("A"), "its metrics are no base 64"),
        (payload("AAA*"), "its metrics are no base 64"),
        (payload("A==="), "its metrics are no base 64"),
        (payload("AA=A"), "its metrics are no base 64"),
        (payload(""), "its metrics hold no evaluation"),
        (payload(&wrong_type), "its metrics: "),
        (payload(&too_long), "its metrics: "),
        (payload(&metrics(|metrics| metrics.trainable_parameters = -5)), "-5 parameters"),
        (payload(&end(|end| end.validation_accuracy = 1.5)), "the validation accuracy is 1.5, not from 0 to 1"),
        (payload(&end(|end| end.validation_accuracy = f64::NAN)), "the validation accuracy is NaN"),
        (payload(&end(|end| end.test_accuracy = -0.1)), "the test accuracy is -0.1"),
        (payload(&end(|end| end.training_time = f64::INFINITY)), "a training time of inf s"),
    ] {
        let error = error_of(&record(text.as_bytes()));
        assert!(error.contains("record 1 at byte 0: ") && error.contains(part), "{text}\n{error}\n{part}");
        assert!(!error.contains(char::is_control), "{error}");
    }
    let other = payload(&metrics(|metrics| metrics.trainable_parameters = 1235));
    let two = [record(good.as_bytes()), record(other.as_bytes())].concat();
    assert!(error_of(&two).contains("1235 parameters, but 1234 in an earlier record of the cell"));
    let mut huge = (LARGEST_RECORD + 1).to_le_bytes().to_vec();
    huge.extend(masked_crc(&huge).to_le_bytes());
    assert!(error_of(&huge).contains("1048577 bytes, but at most 1048576 are read"));
}

#[test]
fn foreign_files_are_named_as_such() {
    need_real_files!();
    let folder = tempfile::tempdir().unwrap();
    let image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on, for long enough";
    for content in [&bytes(CELLS_201)[..], image, &[0; 64]] {
        assert!(error_of(content).contains("is not a TFRecord file"));
    }
    assert!(error_of(b"short").contains("record 1 at byte 0: the file ends after"));
    let message = |error: TableError| error.to_string();
    assert!(message(NasBench101Table::read(&folder.path().join("none")).unwrap_err()).contains("none: "));
    assert!(matches!(NasBench101Table::read(folder.path()), Err(TableError::Io { .. })));
    let error = message(NasBench201Table::read(&path(OFFICIAL), BenchmarkDataset::Cifar10).unwrap_err());
    assert!(error.contains("is not a CSV file: byte"), "{error}");
    let error = message(CellTable::read(&path(CELLS_201)).unwrap_err());
    assert!(error.contains("line 1: no column `adjacency` among arch,cellstr"), "{error}");
}

#[test]
fn the_compact_file_holds_the_same() {
    need_real_files!();
    let folder = tempfile::tempdir().unwrap();
    for name in [OFFICIAL, THREE_REPEATS] {
        let table = NasBench101Table::read(&path(name)).unwrap();
        let compact = folder.path().join(name);
        table.write(&compact).unwrap();
        let read = NasBench101Table::read(&compact).unwrap();
        for budget in 0..4 {
            assert!(read.entries(budget).eq(table.entries(budget)));
        }
        assert!(matches!(table.write(&compact), Err(TableError::Io { .. })), "an old file is kept");
    }
}

#[test]
fn a_damaged_compact_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let compact = folder.path().join("compact");
    read_as_101(&record(payload(&metrics(|_| ())).as_bytes())).unwrap().write(&compact).unwrap();
    let good = std::fs::read(&compact).unwrap();
    assert_eq!(good.len(), 24 + 4 + 16 + 8 + 28 + 4);
    for place in 0..good.len() {
        let mut flipped = good.clone();
        flipped[place] ^= 1 << (place % 8);
        let error = error_of(&flipped);
        let part = match place {
            0..8 => "is not a TFRecord file",
            8..12 => "this program reads format 1; make it anew with `data convert`",
            12..24 => "cells with",
            _ => "its checksum is wrong",
        };
        assert!(error.contains(part), "byte {place}: {error}");
    }
    for end in 8..good.len() {
        let error = error_of(&good[..end]);
        assert!(error.contains("within its header") || error.contains("cells with"), "{end}: {error}");
    }
    assert!(error_of(&[&good[..], b"x"].concat()).contains("cells with 1 budgets take 84"));
}

/// As many cells as NAS-Bench-101 has, hashes and accuracies made up.
#[test]
fn the_full_size_is_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let compact = folder.path().join("full");
    let (cells, hash) = (423_624u64, |n: u64| CellHash(md5_of(n)));
    let made = NasBench101Table::synthetic(&compact, (0..cells).map(|n| (hash(n), n as f64 / cells as f64)));
    made.write(&compact).unwrap();
    let size = std::fs::metadata(&compact).unwrap().len();
    assert_eq!(size, 24 + 4 + 52 * cells + 4);
    let table = NasBench101Table::read(&compact).unwrap();
    assert_eq!(table.len() as u64, cells);
    let hashes: Vec<CellHash> = (0..cells).step_by(4236).take(100).map(hash).collect();
    let found: f64 =
        hashes.iter().filter_map(|&hash| table.entry(hash, 0)).map(|entry| entry.validation_accuracy).sum();
    let expected: f64 = (0..cells).step_by(4236).take(100).map(|n| n as f64 / cells as f64).sum();
    assert!((found - expected).abs() <= 1e-12);
    assert!(table.entry(hash(cells), 0).is_none());
}

fn md5_of(n: u64) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(n.to_le_bytes()).into()
}

#[test]
fn nas_bench_201_is_read_to_the_digit() {
    need_real_files!();
    // Rows 0 and 6998 of the file, and the best validation accuracy with the best test accuracy, in percent.
    let row = |text: &str| text.parse::<Cell201>().unwrap();
    let first = row("|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|");
    let later = row("|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|");
    for (dataset, numbers) in [
        (BenchmarkDataset::Cifar10, [63.36399998046875, 69.55, 71.54000001464843, 80.02, 84.89199999023438, 89.16]),
        (
            BenchmarkDataset::Cifar100,
            [31.840000003051756, 31.259999963378906, 41.08000000305176, 40.819999969482424, 61.32, 61.18000002441406],
        ),
        (
            BenchmarkDataset::Imagenet16,
            [
                18.466666661580405,
                16.999999966939292,
                24.299999928792317,
                22.73333336385091,
                38.66666662597656,
                38.266666595458986,
            ],
        ),
    ] {
        let table = NasBench201Table::read(&path(CELLS_201), dataset).unwrap();
        assert_eq!(table.len(), CELLS);
        let (a, b) = (table.entry(first).unwrap(), table.entry(later).unwrap());
        let found = [a.validation_accuracy, a.test_accuracy, b.validation_accuracy, b.test_accuracy];
        let optimum = Table::NasBench201(Arc::new(table)).optimum().unwrap();
        let best = [optimum.validation_accuracy, optimum.test_accuracy];
        for (found, percent) in found.into_iter().chain(best).zip(numbers) {
            assert!((100.0 * found - percent).abs() <= 1e-12, "{found} {percent}");
        }
    }
}

#[test]
fn wrong_lines_of_nas_bench_201_are_named() {
    let good = "cellstr,cifar10-val,cifar10-test\n\
                |none~0|+|none~0|none~1|+|none~0|none~1|none~2|,10.5,11\n\
                |none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|,10.5,11\n";
    let parse = |text: &str| NasBench201Table::parse(Path::new("t.csv"), BenchmarkDataset::Cifar10, text);
    let table = parse(good).unwrap();
    assert_eq!(table.len(), 2);
    let missing: Cell201 = "|none~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|".parse().unwrap();
    let error = Table::NasBench201(Arc::new(table)).query(&Architecture::NasBench201(missing)).unwrap_err().to_string();
    assert_eq!(error, format!("the table t.csv lacks the cell {missing}"));
    for (text, part) in [
        (String::new(), "t.csv: line 1: no column `cellstr`"),
        (good.replace("10-val", "10-valid"), "line 1: no column `cifar10-val` among cellstr,cifar10-valid"),
        (good.replace("10.5", "x"), "line 2: \"x\" is no number"),
        (good.replace("10.5", "nan"), "line 2: \"nan\" is no number"),
        (good.replace("10.5", "101"), "line 2: 101 % validation accuracy"),
        (good.replace(",11\n|", "\n|"), "line 2: 2 fields for 3 columns"),
        (good.replace("skip_connect", "none"), "line 3: the cell |none~0|"),
        (good.replace("skip_connect", "skip"), "line 3: the operator from node 2 to node 3 is \"skip\""),
        (good.replace("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "\"none"), "line 2: a field's closing quote"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}\n{error}\n{part}");
    }
}

#[test]
fn a_table_of_the_users_own_is_read_and_checked() {
    let good = "name,adjacency,ops,validation,test,cost,parameters\n\
                a,011001000,\"in,conv,out\",0.5,0.25,12.5,1000\n\
                b,010000000,\"in, conv, out\",0.75,0.5,,\n";
    let parse = |text: &str| CellTable::parse("own.csv", text);
    let table = Arc::new(parse(good).unwrap());
    assert_eq!((table.len(), table.most_nodes(), table.sizes_differ()), (2, 3, false));
    let expected = Entry { validation_accuracy: 0.5, test_accuracy: 0.25, parameters: Some(1000), cost: Some(12.5) };
    assert_eq!(table.entry(0), expected);
    let expected = Entry { validation_accuracy: 0.75, test_accuracy: 0.5, parameters: None, cost: None };
    let table = Table::Cells(Arc::clone(&table));
    // The same cell with its nodes in another order.
    let swapped = crate::space::Cell::from_flat("001000000", ["in", "out", "conv"].into_iter()).unwrap();
    assert_eq!(table.query(&Architecture::Table(swapped)).unwrap(), expected);
    let missing = crate::space::Cell::from_flat("001000000", ["in", "out", "pool"].into_iter()).unwrap();
    let error = table.query(&Architecture::Table(missing)).unwrap_err().to_string();
    assert_eq!(error, "the table own.csv lacks the cell 001000000 \"in,out,pool\"");
    for (text, part) in [
        (good.replace("adjacency", "matrix"), "own.csv: line 1: no column `adjacency` among name,matrix,ops"),
        (good.replace("011001000", "01100100"), "line 2: an adjacency matrix of 8 entries is no square"),
        (good.replace("011001000", "000100000"), "line 2: adjacency[1] has an edge to node 0"),
        (good.replace("\"in,conv,out\"", "\"in,conv\""), "line 2: 2 ops for 3 nodes"),
        (good.replace("\"in,conv,out\"", "in,conv,out"), "line 2: 9 fields for 7 columns"),
        (
            good.replace("0.75", "75"),
            "line 3: the validation accuracy is 75, not from 0 to 1; divide percentages by 100",
        ),
        (good.replace("12.5", "dear"), "line 2: \"dear\" is no number"),
        (good.replace("010000000", "011001000"), "line 3: the cell is isomorphic to that of line 2"),
        (good.lines().next().unwrap().into(), "own.csv: 0 rows with 0 operators"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}\n{error}\n{part}");
    }
}

proptest! {
    #[test]
    fn no_payload_and_no_file_panics(content in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Measurement::read(&content).is_err());
        prop_assert!(read_as_101(&content).is_err());
        let compact = [&b"GPNASTAB\x01\0\0\0"[..], &content].concat();
        prop_assert!(read_as_101(&compact).is_err());
    }
}

/// The published network of a cell.
fn network(cell: &Cell101) -> Plan {
    let cell = prune(cell).unwrap();
    let operator = |operator: &Operator101| match operator {
        Operator101::Conv3x3 => Some(VertexOperator::Convolution3x3),
        Operator101::Conv1x1 => Some(VertexOperator::Convolution1x1),
        Operator101::MaxPool3x3 => Some(VertexOperator::MaxPool3x3),
        Operator101::Input | Operator101::Output => None,
    };
    let operators: Vec<VertexOperator> = cell.operators().iter().filter_map(operator).collect();
    let image = ImageShape { channels: 3, height: 32, width: 32 };
    let shape = NasBench101Shape { image, channels: 128, stacks: 3, cells: 3, classes: 10 };
    nasbench101(cell.dag(), &operators, &shape)
}

/// Isomorphic forms of a cell may differ by a few parameters, because the first vertices get the channels that cannot be
/// shared evenly; every record has the form that was trained.
#[test]
fn every_networks_parameters_are_those_of_the_benchmark() {
    need_real_files!();
    for (name, cells) in [
        ("nasbench101-le4v-official-means.tfrecord", 91),
        ("nasbench101-le4v-own-training.tfrecord", 91),
        ("nasbench101-le5v-own-training-4epochs.tfrecord", 2532),
    ] {
        let path = path(name);
        let mut records = Records::new(&path, file::open(&path).unwrap());
        let mut seen = std::collections::HashSet::new();
        while let Some(payload) = records.next().unwrap() {
            let measurement = Measurement::read(&payload).unwrap();
            if !seen.insert(measurement.hash) {
                continue;
            }
            let cell = measurement.cell().unwrap();
            assert_eq!(network(&cell).trained_parameters(), measurement.parameters, "{name}: {}", cell.describe());
        }
        assert_eq!(seen.len(), cells, "{name}");
    }
}
