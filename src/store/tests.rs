use super::*;
use crate::config::{ClassicalKind, Config};
use crate::graph::Dag;
use crate::oracle::Outcome;
use crate::space::Architecture;
use proptest::prelude::*;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

fn config() -> Config {
    Config::from_toml("", &[]).unwrap()
}

fn candidate(number: u64, iteration: u64) -> CandidateRecord {
    let dag = Dag::new(4, &[[0, 1], [0, 3]]).unwrap();
    CandidateRecord {
        number,
        iteration,
        origin: if number.is_multiple_of(2) { Origin::Generator } else { Origin::Explorer(ClassicalKind::Ba) },
        architecture: Architecture::RandWire { stages: vec![dag.clone(), dag] },
        key: format!("{number:064x}"),
        log_probability: number.is_multiple_of(2).then_some(-0.1 * (number + 1) as f64),
        outcome: None,
    }
}

fn outcome(accuracy: Option<f64>) -> Outcome {
    Outcome {
        validation_accuracy: accuracy,
        test_accuracy: accuracy.map(|accuracy| accuracy - 0.01),
        cost: accuracy.map(|_| 1293.5),
        training_losses: vec![2.25, 0.1 + 0.2, f64::MIN_POSITIVE],
        failure: accuracy.is_none().then(|| "the loss of epoch 1 was NaN".to_string()),
        parameters: 123_456,
        multiply_adds: 1 << 40,
        seconds: 1.5,
    }
}

fn iteration(iteration: u64) -> IterationRecord {
    let refit = (iteration > 0).then(|| RefitRecord { buffer: vec![2, 0], losses: vec![1.0 / 3.0], seconds: 2.0 });
    let sampling = SamplingRecord { rounds: 1, drawn: 9, invalid: 2, duplicates: 3, filled_by_explorer: 1 };
    IterationRecord { iteration, refit, sampling }
}

/// A finished run of four candidates in two iterations, and the last fit.
fn complete() -> RunRecord {
    let mut candidates: Vec<CandidateRecord> = (0..4).map(|number| candidate(number, number / 2)).collect();
    for (index, record) in candidates.iter_mut().enumerate() {
        record.outcome = Some(outcome((index != 1).then_some(0.1 + 0.2 * index as f64)));
    }
    let finished = Some(FinalRecord {
        candidate: 3,
        training_losses: vec![0.5],
        validation_accuracy: None,
        test_accuracy: 0.875,
        seconds: 9.0,
    });
    RunRecord { config: config(), candidates, iterations: (0..3).map(iteration).collect(), finished }
}

/// Writes a record the way a search does.
fn write(directory: &Path, record: &RunRecord) -> Journal {
    let mut journal = Journal::create(directory, &record.config).unwrap();
    for iteration in &record.iterations {
        let of = record.candidates.iter().filter(|candidate| candidate.iteration == iteration.iteration);
        let pending: Vec<CandidateRecord> = of.cloned().map(|c| CandidateRecord { outcome: None, ..c }).collect();
        journal.begin_iteration(iteration, &pending).unwrap();
        for candidate in record.candidates.iter().filter(|c| c.iteration == iteration.iteration) {
            if let Some(outcome) = &candidate.outcome {
                journal.record_outcome(candidate.number, outcome).unwrap();
            }
        }
    }
    if let Some(end) = &record.finished {
        journal.finish(end).unwrap();
    }
    journal
}

fn run_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &complete());
    directory
}

fn journal_file(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join(JOURNAL_FILE)
}

#[test]
fn what_is_written_is_read_bit_for_bit() {
    let directory = run_directory();
    assert_eq!(Journal::read(directory.path()).unwrap(), complete());
    assert_eq!(Journal::open(directory.path()).unwrap().record().unwrap(), complete());
}

#[test]
fn a_copy_of_the_one_file_is_the_run() {
    let (directory, copy) = (run_directory(), tempfile::tempdir().unwrap());
    std::fs::copy(journal_file(&directory), journal_file(&copy)).unwrap();
    assert_eq!(Journal::read(copy.path()).unwrap(), complete());
}

#[test]
fn losses_that_are_no_numbers_are_kept_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let mut record = RunRecord { iterations: vec![iteration(0)], candidates: vec![candidate(0, 0)], ..complete() };
    record.finished = None;
    let losses = vec![1.0, f64::NAN, f64::INFINITY];
    record.candidates[0].outcome = Some(Outcome { training_losses: losses, ..outcome(None) });
    write(directory.path(), &record);
    let read = Journal::read(directory.path()).unwrap();
    let losses = &read.candidates[0].outcome.as_ref().unwrap().training_losses;
    assert!(losses.len() == 3 && losses[0] == 1.0 && losses[1].is_nan() && losses[2].is_nan());
    assert_eq!(fingerprint(&read), fingerprint(&record));
}

#[test]
fn readers_read_while_the_one_writer_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(directory.path(), &config()).unwrap();
    assert_eq!(Journal::read(directory.path()).unwrap().candidates.len(), 0);
    journal.begin_iteration(&iteration(0), &[candidate(0, 0)]).unwrap();
    assert_eq!(Journal::read(directory.path()).unwrap().candidates, [candidate(0, 0)]);
    let message = Journal::open(directory.path()).unwrap_err().to_string();
    assert!(message.contains("in use") && message.contains("another process"), "{message}");
    drop(journal);
    assert!(Journal::open(directory.path()).is_ok());
}

#[test]
fn changes_that_contradict_the_journal_are_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(directory.path(), &config()).unwrap();
    journal.begin_iteration(&iteration(0), &[candidate(0, 0)]).unwrap();
    journal.record_outcome(0, &outcome(Some(0.5))).unwrap();
    let before = journal.record().unwrap();
    let same_key = CandidateRecord { key: candidate(0, 0).key, ..candidate(2, 1) };
    let refused = [
        journal.begin_iteration(&iteration(0), &[]),
        journal.begin_iteration(&iteration(1), &[candidate(1, 1), same_key]),
        journal.begin_iteration(&iteration(1), &[candidate(1, 7)]),
        journal.record_outcome(0, &outcome(Some(0.6))),
        journal.record_outcome(5, &outcome(Some(0.6))),
        journal.finish(&FinalRecord { candidate: 9, ..complete().finished.unwrap() }),
    ];
    for result in refused {
        assert!(matches!(result, Err(StoreError::Refused { .. })), "{result:?}");
    }
    assert_eq!(journal.record().unwrap(), before);
}

#[test]
fn a_new_run_touches_nothing_that_is_there() {
    let directory = run_directory();
    assert!(matches!(Journal::create(directory.path(), &config()), Err(StoreError::Exists(_))));
    assert_eq!(Journal::read(directory.path()).unwrap(), complete());

    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("thesis.tex"), "").unwrap();
    let message = Journal::create(foreign.path(), &config()).unwrap_err().to_string();
    assert!(message.contains("`thesis.tex`"), "{message}");
    assert_eq!(std::fs::read_dir(foreign.path()).unwrap().count(), 1);
    let file = foreign.path().join("thesis.tex");
    assert!(matches!(Journal::create(&file, &config()), Err(StoreError::Io { .. })));
}

#[test]
fn the_leftovers_of_a_run_killed_at_birth_are_no_run() {
    let directory = tempfile::tempdir().unwrap();
    for leftover in ["journal.lock", "journal.sqlite.new", "journal.sqlite.new-journal"] {
        std::fs::write(directory.path().join(leftover), "half").unwrap();
    }
    assert_eq!(inspect(directory.path()).unwrap(), DirectoryState::Vacant);
    assert!(matches!(Journal::open(directory.path()), Err(StoreError::NotARun(_))));
    drop(Journal::create(directory.path(), &config()).unwrap());
    assert_eq!(inspect(directory.path()).unwrap(), DirectoryState::Run);
    assert!(Journal::read(directory.path()).unwrap().candidates.is_empty());
}

#[test]
fn directories_that_are_no_runs_are_named() {
    let absent = Path::new("no/such/directory");
    for result in [Journal::read(absent).map(drop), Journal::open(absent).map(drop)] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("no/such/directory is not a run directory"), "{message}");
    }
    assert_eq!(inspect(absent).unwrap(), DirectoryState::Vacant);
}

/// Changes the journal of a finished run and returns the error of reading it.
fn error_after(change: impl FnOnce(&Path)) -> String {
    let directory = run_directory();
    change(&journal_file(&directory));
    let message = Journal::read(directory.path()).unwrap_err().to_string();
    assert!(message.contains("journal.sqlite") && !message.contains('\n'), "{message}");
    message
}

fn sql(statement: &'static str) -> impl FnOnce(&Path) {
    move |path| {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        connection.execute_batch(statement).unwrap();
    }
}

#[test]
fn a_file_that_is_no_readable_journal_is_named_with_the_reason() {
    let message = error_after(sql("PRAGMA user_version = 7"));
    assert!(message.contains("format 7") && message.contains("reads format 2"), "{message}");
    for foreign in [
        error_after(sql("PRAGMA application_id = 5")),
        error_after(|path| std::fs::write(path, b"SQLite? Not at all. ".repeat(500)).unwrap()),
        error_after(|path| std::fs::write(path, b"").unwrap()),
    ] {
        assert!(foreign.contains("not a journal of this program"), "{foreign}");
    }
    for (statement, part) in [
        ("UPDATE run SET config = '{}'", "config of row 0"),
        ("UPDATE candidates SET origin = 'nobody' WHERE number = 2", "origin of row 2"),
        ("UPDATE candidates SET architecture = '{\"space\": 1}' WHERE number = 3", "architecture of row 3"),
        ("UPDATE candidates SET training_losses = '[1, \"a\"]' WHERE number = 1", "training_losses of row 1"),
        ("UPDATE candidates SET parameters = -1 WHERE number = 0", "damaged"),
        ("UPDATE candidates SET seconds = NULL", "damaged"),
        ("UPDATE iterations SET refit_buffer = '[-1]' WHERE iteration = 1", "refit_buffer of row 1"),
        ("DELETE FROM candidates WHERE number = 1", "candidate 1 is missing"),
        ("DELETE FROM iterations WHERE iteration = 0", "iteration 0 is missing"),
        ("DELETE FROM iterations WHERE iteration > 0", "iteration 1, which is missing"),
        ("UPDATE final SET candidate = 44", "44, is missing"),
        ("DELETE FROM run", "damaged"),
        ("DROP TABLE final", "final"),
    ] {
        let message = error_after(sql(statement));
        assert!(message.contains(part), "{statement}: {message}");
    }
    let truncated = error_after(|path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(truncated.contains("damaged"), "{truncated}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_damage_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read(journal_file(&run_directory())).unwrap());
        let (directory, mut bytes) = (tempfile::tempdir().unwrap(), WHOLE.clone());
        for (index, byte) in changes {
            let place = index.index(bytes.len());
            bytes[place] = byte;
        }
        std::fs::write(journal_file(&directory), bytes).unwrap();
        if let Err(error) = Journal::read(directory.path()) {
            prop_assert!(error.to_string().contains("journal.sqlite"));
        }
    }
}

#[test]
fn the_fingerprint_sees_everything_but_times_threads_and_name() {
    let base = fingerprint(&complete());
    assert_eq!(base.len(), 64);
    let changed = |change: fn(&mut RunRecord)| {
        let mut record = complete();
        change(&mut record);
        fingerprint(&record)
    };
    let same: [fn(&mut RunRecord); 5] = [
        |record| record.config.run.threads = 7,
        |record| record.config.run.name = "other".into(),
        |record| record.candidates[0].outcome.as_mut().unwrap().seconds = 7.0,
        |record| record.iterations[1].refit.as_mut().unwrap().seconds = 7.0,
        |record| record.finished.as_mut().unwrap().seconds = 7.0,
    ];
    for change in same {
        assert_eq!(changed(change), base);
    }
    let different: [fn(&mut RunRecord); 8] = [
        |record| record.config.run.seed = 7,
        |record| record.candidates[3].key.push('0'),
        |record| record.candidates[2].log_probability = Some(-0.2 - f64::EPSILON),
        |record| record.candidates[0].outcome.as_mut().unwrap().validation_accuracy = Some(0.1f64.next_up()),
        |record| record.candidates[1].outcome = None,
        |record| record.iterations[0].sampling.drawn += 1,
        |record| record.iterations[2].refit.as_mut().unwrap().losses[0] = 0.333_333_333_333,
        |record| record.finished = None,
    ];
    for change in different {
        assert_ne!(changed(change), base);
    }
}

/// Names the directory that the child process of the next test writes to.
const CHILD_DIRECTORY: &str = "GRAPHPNAS_TEST_JOURNAL";

/// The victim: writes iterations of three candidates until it is killed.
#[test]
#[ignore = "run by the next test, in a process of its own"]
fn write_until_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let mut journal = Journal::open(Path::new(&directory)).unwrap();
    let first = journal.record().unwrap().iterations.len() as u64;
    for index in first..first + 10_000 {
        let candidates: Vec<CandidateRecord> = (3 * index..3 * index + 3).map(|n| candidate(n, index)).collect();
        journal.begin_iteration(&iteration(index), &candidates).unwrap();
        for candidate in candidates {
            journal.record_outcome(candidate.number, &outcome(Some(0.5))).unwrap();
        }
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_journal() {
    let directory = tempfile::tempdir().unwrap();
    drop(Journal::create(directory.path(), &config()).unwrap());
    let mut before = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::write_until_killed", "--ignored"])
            .env(CHILD_DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let record = Journal::open(directory.path()).unwrap().record().unwrap();
        // Whole iterations, and outcomes without a gap up to the place of the kill.
        assert_eq!(record.candidates.len(), 3 * record.iterations.len());
        let evaluated = record.candidates.iter().take_while(|candidate| candidate.outcome.is_some()).count();
        assert!(evaluated >= before, "{evaluated} {before}");
        before = evaluated;
        complete_outcomes(directory.path(), &record);
    }
    assert!(before > 0, "the writer never came to write");
}

fn complete_outcomes(directory: &Path, record: &RunRecord) {
    let mut journal = Journal::open(directory).unwrap();
    for pending in record.candidates.iter().filter(|candidate| candidate.outcome.is_none()) {
        journal.record_outcome(pending.number, &outcome(Some(0.5))).unwrap();
    }
}
