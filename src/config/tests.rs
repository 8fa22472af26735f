use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::from_toml(text, &[])
}

fn set(path: &str, value: &str) -> Vec<Override> {
    vec![(path.to_string(), value.to_string())]
}

/// Wrong configurations, each with what its one-line error must contain.
const WRONG: &[(&str, &[&str])] = &[
    ("[run", &["line 1", "column"]),
    ("[run]\nseed = 1\nseed = 2", &["line 3", "duplicate"]),
    ("[run]\n[run]", &["line 2", "duplicate"]),
    ("[run]\nseed == 1", &["line 2, column 7"]),
    ("[run]\nname = \"a", &["line 2"]),
    ("[space]\nnodes = 99999999999999999999", &["line 2"]),
    ("[serach]\nbudget = 1", &["[serach]", "[search]"]),
    ("[orcale]", &["[orcale]", "[oracle]"]),
    ("[search]\nserach = 1", &["`serach`", "[search]", "`reward`"]),
    ("[search]\nbuget = 1", &["`buget`", "`budget`"]),
    ("[space]\nnode = 12", &["`node`", "`nodes`"]),
    ("[space]\nhidden = 32", &["`hidden`", "[space]", "[generator]"]),
    ("budget = 4", &["`budget`", "[search]"]),
    ("nodess = 4", &["`nodess`", "[space]"]),
    ("space = 4", &["space = 4", "a section, [space]"]),
    ("[[space]]\nnodes = 4", &["space", "a section"]),
    ("[run]\nname = \"\"", &["run.name = \"\"", "letters"]),
    ("[run]\nname = \"../up\"", &["run.name", "letters"]),
    ("[run]\nname = \".hidden\"", &["run.name"]),
    ("[run]\nname = 7", &["run.name = 7"]),
    ("[run]\nseed = -1", &["run.seed = -1", "from 0"]),
    ("[run]\nseed = 1.5", &["run.seed = 1.5", "whole number"]),
    ("[run]\ndevice = \"gpu\"", &["run.device = \"gpu\"", "\"cuda:N\""]),
    ("[run]\ndevice = \"cuda:-1\"", &["run.device"]),
    ("[run]\nthreads = 5000", &["run.threads = 5000", "4096"]),
    ("[data]\nsource = \"cifar\"", &["data.source = \"cifar\"", "\"embedded\""]),
    ("[data]\nsource = true", &["data.source = true"]),
    ("[data]\npath = 3", &["data.path = 3", "folder"]),
    ("[data]\npath = \"/here\"", &["data.path", "\"embedded\" reads no files"]),
    ("[data]\nsource = \"folder\"", &["data.path = \"\"", "\"folder\""]),
    ("[data]\nsize = 4", &["data.size = 4", "8 to 1024"]),
    ("[data]\ncache = true", &["data.cache = true", "folder"]),
    ("[data]\ntraining_images = 50", &["oracle.batch = 64", "at most 50"]),
    ("[data]\nvalidation_images = 0", &["data.validation_images = 0"]),
    ("[data]\nvalidation_images = 9000", &["data.validation_images + data.test_images = 11000", "10000"]),
    ("[data]\nsource = \"fashion-mnist\"\nvalidation_images = 60000", &["data.validation_images = 60000"]),
    ("[space]\nkind = \"darts\"", &["space.kind = \"darts\"", "\"randwire\""]),
    ("[space]\nnodes = 1", &["space.nodes = 1", "2 to 128"]),
    ("[space]\nnodes = 129", &["space.nodes = 129", "2 to 128"]),
    ("[space]\nnodes = \"twelve\"", &["space.nodes = \"twelve\"", "whole number"]),
    ("[space]\nnodes = 30", &["generator.hidden = 32", "33", "space.nodes"]),
    ("[space]\nstages = 0", &["space.stages = 0", "1 to 6"]),
    ("[space]\nstages = 7", &["space.stages = 7"]),
    ("[space]\nchannels = 0", &["space.channels = 0"]),
    ("[space]\nstem_stride = 3", &["space.stem_stride = 3", "1 to 2"]),
    ("[space]\nhead = []", &["space.head = []"]),
    ("[generator]\nkind = \"lstm2\"", &["generator.kind", "\"gran\""]),
    ("[generator]\nhidden = 10", &["generator.hidden = 10", "11"]),
    ("[generator]\nlayers = 0", &["generator.layers = 0"]),
    ("[generator]\nmixtures = 0", &["generator.mixtures = 0"]),
    ("[generator]\nattention = \"yes\"", &["generator.attention = \"yes\"", "true or false"]),
    ("[generator]\nepochs = 0", &["generator.epochs = 0"]),
    ("[generator]\nlearning_rate = 0", &["generator.learning_rate = 0", "(0, 10]"]),
    ("[generator]\nlearning_rate = nan", &["generator.learning_rate = nan"]),
    ("[generator]\nlearning_rate = inf", &["generator.learning_rate = inf"]),
    ("[search]\nbudget = 0", &["search.budget = 0"]),
    ("[search]\nbudget = 4", &["search.samples_per_iteration = 8", "search.budget = 4"]),
    ("[search]\nkeep_top = 1", &["search.keep_top = 1", "from 2"]),
    ("[search]\nreward = \"rank\"", &["search.reward = \"rank\"", "\"cdf\" or \"accuracy\""]),
    ("[search]\nbaseline = 1.0", &["search.baseline = 1", "[0, 1)"]),
    ("[search]\nexploration = \"first\"", &["search.exploration = \"first\"", "iterations"]),
    ("[search]\nexploration = { schedule = \"constant\" }", &["search.exploration", "share"]),
    ("[search]\nexploration = { schedule = \"constant\", share = 2 }", &["search.exploration", "share = 2"]),
    ("[search]\nexploration = { schedule = \"first\", iterations = 0 }", &["search.exploration", "iterations = 0"]),
    ("[search]\nexploration = { schedule = \"first\", iterations = 1, share = 0.1 }", &["search.exploration"]),
    ("[search]\nexplorer = []", &["search.explorer = []", "not empty"]),
    ("[search]\nexplorer = \"ws\"", &["search.explorer = \"ws\"", "a list"]),
    ("[search]\nexplorer = [\"ws\", \"wx\"]", &["search.explorer", "\"wx\"", "\"ba\""]),
    ("[search]\nws_rewiring = 1.5", &["search.ws_rewiring = 1.5", "[0, 1]"]),
    ("[search]\nws_neighbours = 3", &["search.ws_neighbours = 3", "even"]),
    ("[search]\nws_neighbours = 8", &["search.ws_neighbours = 8", "space.nodes = 8"]),
    ("[search]\ner_probability = 0.0", &["search.er_probability = 0.0", "(0, 1]"]),
    ("[search]\nexplorer = [\"ba\"]\nba_edges = 8", &["search.ba_edges = 8", "space.nodes = 8"]),
    ("[search]\nexplorer = [\"ws\", \"full\"]", &["search.explorer", "\"full\"", "\"randwire\"", "\"ba\""]),
    ("[space]\nvertices = 8", &["space.vertices = 8", "3 to 7"]),
    ("[space]\nencoding = \"edges\"", &["space.encoding = \"edges\"", "\"line-graph\"", "\"edge-operators\""]),
    ("[space]\nkind = \"nasbench201\"", &["oracle.kind = \"training\"", "\"table\"", "\"nasbench201\""]),
    ("[space]\nkind = \"nasbench101\"", &["search.explorer", "\"ws\"", "\"uniform\", \"full\", \"er\""]),
    ("[space]\nkind = \"enas\"\n[oracle]\nkind = \"table\"", &["oracle.kind = \"table\"", "\"training\"", "\"enas\""]),
    (
        "[space]\nkind = \"enas\"\n[search]\nexplorer = [\"er\"]\n[generator]\nhidden = 9",
        &["generator.hidden = 9", "15", "space.layers"],
    ),
    ("[oracle]\nkind = \"supernet\"", &["oracle.kind = \"supernet\"", "\"enas\"", "\"randwire\""]),
    ("[oracle]\npath_generator = \"g\"", &["oracle.path_generator", "\"supernet\"", "leave it out"]),
    ("[oracle]\nstatistics_images = 1", &["oracle.statistics_images = 1", "from 2"]),
    ("[space]\nlayers = 0", &["space.layers = 0", "1 to 64"]),
    ("[oracle]\nkind = \"table\"", &["oracle.kind = \"table\"", "\"training\"", "\"randwire\""]),
    ("[oracle]\ntable = \"t.csv\"", &["oracle.table", "leave it out"]),
    ("[oracle]\ntable = 7", &["oracle.table = 7", "a file"]),
    (
        "[space]\nkind = \"nasbench201\"\n[oracle]\nkind = \"table\"",
        &["oracle.table = \"\"", "--set oracle.table=PATH"],
    ),
    (
        "[space]\nkind = \"nasbench201\"\n[oracle]\nkind = \"table\"\ntable = \"t.csv\"",
        &["search.explorer", "\"ws\"", "\"nasbench201\"", "\"uniform\", \"full\""],
    ),
    (
        "[space]\nkind = \"nasbench101\"\n[oracle]\nkind = \"table\"\ntable = \"t\"\n[search]\nexplorer = [\"er\"]\n\
         [generator]\nhidden = 9",
        &["generator.hidden = 9", "10", "space.vertices"],
    ),
    ("[oracle]\ndataset = \"mnist\"", &["oracle.dataset = \"mnist\"", "\"imagenet16-120\""]),
    ("[oracle]\ntable_epochs = 200", &["oracle.table_epochs = 200", "0 to 108"]),
    ("[oracle]\ndata_fraction = 0", &["oracle.data_fraction = 0", "(0, 1]"]),
    ("[oracle]\ndata_fraction = 0.001", &["oracle.batch = 64", "oracle.data_fraction"]),
    ("[oracle]\nepochs = 0", &["oracle.epochs = 0"]),
    ("[space]\nsecond_stem_stride = 3", &["space.second_stem_stride = 3", "0 to 2"]),
    ("[oracle]\nlearning_rate_end = 0.2", &["oracle.learning_rate_end = 0.2", "at most oracle.learning_rate = 0.1"]),
    ("[retrain]\nnesterov = true\nmomentum = 0.0", &["retrain.nesterov", "retrain.momentum", "above 0"]),
    ("[retrain]\nrestart_factor = 0", &["retrain.restart_factor = 0", "from 1"]),
    ("[oracle]\ngradient_clip = -1", &["oracle.gradient_clip = -1"]),
    ("[oracle]\nbatch = 1", &["oracle.batch = 1", "from 2"]),
    ("[oracle]\nmomentum = 1", &["oracle.momentum = 1", "[0, 1)"]),
    ("[oracle]\nweight_decay = -0.1", &["oracle.weight_decay = -0.1"]),
    ("[oracle]\nlabel_smoothing = 1979-05-27", &["oracle.label_smoothing = 1979-05-27"]),
    ("[retrain]\ndropout = 1.0", &["retrain.dropout = 1", "[0, 1)"]),
    ("[retrain]\naugmentation = 1", &["retrain.augmentation = 1"]),
    ("[retrain]\nbatch = 7000", &["retrain.batch = 7000", "5000"]),
    ("[retrain]\nlearning_rate = { a = 1 }", &["retrain.learning_rate"]),
];

#[test]
fn every_wrong_configuration_gets_one_line_that_names_the_culprit() {
    assert!(WRONG.len() >= 40);
    for (text, parts) in WRONG {
        let message = parse(text).expect_err(text).to_string();
        assert!(!message.contains('\n'), "{text}: {message}");
        for part in *parts {
            assert!(message.contains(part), "{text}: {message:?} does not say {part:?}");
        }
    }
}

#[test]
fn the_annotated_file_and_the_reference_hold_every_default() {
    let defaults = parse("").unwrap();
    let annotated = annotated(SpaceKind::Randwire);
    assert_eq!(parse(&annotated).unwrap(), defaults);
    assert_eq!(DataConfig::of(DataSource::Embedded), defaults.data);
    let fields = serde_json::to_value(&defaults).unwrap();
    for kind in [SpaceKind::Nasbench101, SpaceKind::Nasbench201, SpaceKind::Table] {
        let text = super::annotated(kind);
        let config = parse(&text).unwrap();
        assert_eq!((config.space.kind, config.run.name.as_str()), (kind, kind.name()));
        // Whatever is not at its default says so.
        let changed = text.lines().filter(|line| line.contains(" # default: ")).count();
        assert_eq!(differences(&config, &defaults).len() + 1, changed, "the run's name is no difference");
    }
    // Each key of the file must also be one of the configuration's, and the other way round.
    let tree: toml::Table = toml::from_str(&annotated).unwrap();
    for (section, keys) in &tree {
        let written: Vec<&String> = keys.as_table().unwrap().keys().collect();
        let mut read: Vec<&String> = fields[section].as_object().unwrap().keys().collect();
        read.sort();
        assert_eq!(written, read, "[{section}]");
        for key in written {
            assert!(reference().contains(&format!("| `{key}` |")), "{key}");
        }
    }
    assert_eq!(tree.len(), fields.as_object().unwrap().len());
}

#[test]
fn values_reach_their_fields() {
    let text = r#"
        [run]
        device = "cuda:3"
        [data]
        source = "fashion-mnist"
        path = "/data/fashion"
        [search]
        exploration = { schedule = "constant", share = 1 }
        explorer = ["ba", "ws", "ba"]
        ba_edges = 7
        reward = "accuracy"
        [retrain]
        epochs = 99
        learning_rate = 1"#;
    let config = parse(text).unwrap();
    assert_eq!(config.run.device, DeviceChoice::Cuda(3));
    assert_eq!(config.data.source, DataSource::FashionMnist);
    assert_eq!(config.data.path, Some(PathBuf::from("/data/fashion")));
    assert_eq!(config.search.exploration, Exploration::Constant { share: 1.0 });
    assert_eq!(config.search.explorer, [ClassicalKind::Ba, ClassicalKind::Ws, ClassicalKind::Ba]);
    assert_eq!(config.search.reward, RewardShaping::Accuracy);
    assert_eq!(
        (config.search.ba_edges, config.retrain.training.epochs, config.retrain.training.learning_rate),
        (7, 99, 1.0)
    );
    assert_eq!(config.oracle, parse("").unwrap().oracle);
    for (word, schedule) in [("none", Exploration::None), ("harmonic", Exploration::Harmonic)] {
        let config = parse(&format!("[search]\nexploration = \"{word}\"")).unwrap();
        assert_eq!(config.search.exploration, schedule);
    }
}

#[test]
fn a_configuration_survives_json() {
    let text = "[run]\ndevice = \"cuda\"\n[search]\nexploration = { schedule = \"constant\", share = 0.1 }";
    let config = parse(text).unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
}

#[test]
fn overrides_win_over_the_text_and_take_bare_words() {
    let text = "[search]\nbudget = 10\nsamples_per_iteration = 10";
    assert_eq!(Config::from_toml(text, &set("search.budget", "96")).unwrap().search.budget, 96);
    assert_eq!(Config::from_toml(text, &set("run.name", "fine-run")).unwrap().run.name, "fine-run");
    assert_eq!(Config::from_toml(text, &set("run.name", "2026")).unwrap().run.name, "2026");
    assert_eq!(Config::from_toml(text, &set("run.device", "cpu")).unwrap().run.device, DeviceChoice::Cpu);
    let explorer = Config::from_toml(text, &set("search.explorer", "[\"er\"]")).unwrap().search.explorer;
    assert_eq!(explorer, [ClassicalKind::Er]);
    // A wrong value in the text does not matter once it is replaced.
    assert_eq!(Config::from_toml("[run]\nseed = -1", &set("run.seed", "5")).unwrap().run.seed, 5);
    assert_eq!(split_override("search.budget = 96").unwrap(), ("search.budget".into(), "96".into()));
}

#[test]
fn wrong_overrides_name_the_culprit() {
    for (path, value, part) in [
        ("search.budget", "many", "search.budget = \"many\""),
        ("search.buget", "3", "`budget`"),
        ("serach.budget", "3", "[search]"),
        ("search.explorer", "[ws", "search.explorer = \"[ws\""),
        ("run.seed", "1\nname = 2", "run.seed"),
    ] {
        let message = Config::from_toml("", &set(path, value)).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    for text in ["search.budget", "budget=3", ""] {
        assert!(matches!(split_override(text), Err(ConfigError::Override(_))), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let message = Config::from_file(&path, &[]).unwrap_err().to_string();
    assert!(message.contains("absent.toml"), "{message}");
    std::fs::write(&path, b"[run]\nname = \"\xff\"").unwrap();
    let message = Config::from_file(&path, &[]).unwrap_err().to_string();
    assert!(message.contains("absent.toml") && message.contains("UTF-8 text (byte 14)"), "{message}");
    std::fs::write(&path, "[run]\nnmae = \"a\"").unwrap();
    let message = Config::from_file(&path, &[]).unwrap_err().to_string();
    assert!(message.contains("absent.toml") && message.contains("`name`"), "{message}");
}

#[test]
fn the_quick_start_configuration_is_right() {
    let config = Config::from_file(Path::new("randwire.toml"), &[]).unwrap();
    assert_eq!(config.space.kind, SpaceKind::Randwire);
    assert!(config.search.budget >= 40);
}

#[test]
fn the_paper_s_configurations_are_right() {
    let read = |name: &str| Config::from_file(&Path::new("configs").join(name), &[]).unwrap();
    let full = read("randwire-tiny-imagenet.toml");
    // The small regime and its training: method, section 5.
    assert_eq!((full.data.source, full.space.kind), (DataSource::TinyImagenet, SpaceKind::Randwire));
    assert_eq!((full.space.nodes, full.space.channels, full.space.stages, full.space.head), (32, 78, 3, 1280));
    let TrainingConfig { epochs, batch, learning_rate, momentum, weight_decay, label_smoothing, dropout, .. } =
        full.retrain.training;
    assert_eq!((epochs, batch, dropout), (250, 256, 0.0));
    assert_eq!((learning_rate, momentum, weight_decay, label_smoothing), (0.1, 0.9, 5e-5, 0.1));
    assert!(full.oracle.training.data_fraction <= 0.1);
    let smoke = read("randwire-tiny-imagenet-smoke.toml");
    assert_eq!((smoke.data.source, smoke.space.nodes, smoke.space.stages), (full.data.source, 32, 3));
    assert_eq!((smoke.search.explorer, smoke.generator.hidden), (full.search.explorer, full.generator.hidden));
}

#[test]
fn images_are_looked_for_beside_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "[data]\nsource = \"folder\"\npath = \"mine\"\ncache = \"/tmp/c\"").unwrap();
    let data = Config::from_file(&path, &[]).unwrap().data;
    assert_eq!((data.path, data.cache), (Some(folder.path().join("mine")), Some("/tmp/c".into())));
    let data = Config::from_file(&path, &set("data.path", "other.tar")).unwrap().data;
    assert_eq!(data.path, Some("other.tar".into()));
}

#[test]
fn the_supernets_configurations_are_right() {
    let read = |name: &str| Config::from_file(&Path::new("configs").join(name), &[]).unwrap();
    let (full, smoke, embedded) = (read("enas-cifar10.toml"), read("enas-cifar10-smoke.toml"), read("enas-smoke.toml"));
    for config in [&full, &smoke, &embedded] {
        assert_eq!((config.space.kind, config.oracle.kind), (SpaceKind::Enas, OracleKind::Supernet));
    }
    // Method, section 6.
    assert_eq!((full.space.layers, full.space.channels, full.data.validation_images), (12, 36, 5000));
    let TrainingConfig { epochs, batch, learning_rate, learning_rate_end, nesterov, .. } = full.oracle.training;
    assert_eq!((epochs, batch, learning_rate, learning_rate_end, nesterov), (310, 128, 0.05, 0.0005, true));
    // The smoke run has whatever decides which code runs.
    for (of_full, of_smoke) in
        [(&full.oracle.training, &smoke.oracle.training), (&full.retrain.training, &smoke.retrain.training)]
    {
        let path = |of: &TrainingConfig| (of.nesterov, of.augmentation, of.gradient_clip, of.restart_factor);
        assert_eq!(path(of_full), path(of_smoke));
        assert!([of_full, of_smoke].iter().all(|of| of.restart_epochs > 0 && of.dropout > 0.0));
    }
    assert_eq!((full.data.source, full.space.layers), (smoke.data.source, smoke.space.layers));
}

#[test]
fn the_benchmarks_configurations_are_right() {
    let read = |name: &str| Config::from_file(&Path::new("configs").join(name), &[]).unwrap();
    let config = read("nasbench101.toml");
    assert_eq!((config.space.kind, config.search.budget, config.search.keep_top), (SpaceKind::Nasbench101, 150, 15));
    // Samples first drawn at random, size of the buffer, epochs of a refit: method, section 3.
    for (name, dataset, random, keep_top, epochs) in [
        ("nasbench201-cifar10.toml", BenchmarkDataset::Cifar10, 30, 15, 70),
        ("nasbench201-cifar100.toml", BenchmarkDataset::Cifar100, 15, 10, 60),
        ("nasbench201-imagenet16-authors.toml", BenchmarkDataset::Imagenet16, 10, 5, 50),
    ] {
        let config = read(name);
        assert_eq!((config.space.kind, config.oracle.dataset), (SpaceKind::Nasbench201, dataset));
        assert_eq!(config.search.exploration, Exploration::First { iterations: random });
        assert_eq!((config.search.budget, config.search.samples_per_iteration), (100, 1));
        assert_eq!((config.search.keep_top, config.generator.epochs), (keep_top, epochs));
        assert_eq!(config.oracle.table.unwrap(), Path::new("configs/nasbench201.csv"));
    }
}

#[test]
fn better_settings_than_the_authors_say_what_they_change() {
    let read = |name: &str| Config::from_file(&Path::new("configs").join(name), &[]).unwrap();
    for (better, authors) in [
        ("nasbench201-imagenet16.toml", "nasbench201-imagenet16-authors.toml"),
        ("nasbench101-small.toml", "nasbench101.toml"),
    ] {
        let text = std::fs::read_to_string(Path::new("configs").join(better)).unwrap();
        let changed = differences(&read(authors), &read(better));
        assert!(!changed.is_empty());
        for key in changed {
            let name = key.split('.').nth(1).unwrap();
            let line = text.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            assert!(line.contains(" # "), "{better}: {line}: must say what the authors have");
        }
    }
}

#[test]
fn a_table_is_looked_for_beside_the_file_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let text = annotated(SpaceKind::Nasbench201);
    std::fs::write(&path, &text).unwrap();
    let table = |overrides: &[Override]| Config::from_file(&path, overrides).unwrap().oracle.table.unwrap();
    assert_eq!(table(&[]), folder.path().join("nasbench201.csv"));
    // What the command line names lies where the user stands.
    assert_eq!(table(&set("oracle.table", "other.csv")), Path::new("other.csv"));
    std::fs::write(&path, text.replace("nasbench201.csv", "/data/t.csv")).unwrap();
    assert_eq!(table(&[]), Path::new("/data/t.csv"));
}

#[test]
fn differences_name_the_keys_that_change_results() {
    let first = parse("").unwrap();
    let second = parse("[run]\nname = \"b\"\nthreads = 2\n[search]\nbudget = 50\n[oracle]\nepochs = 4").unwrap();
    // Where images are packed changes nothing.
    let second = Config { data: DataConfig { cache: Some("c".into()), ..second.data.clone() }, ..second };
    let mut keys = differences(&first, &second);
    keys.sort();
    assert_eq!(keys, ["oracle.epochs", "search.budget"]);
    assert!(differences(&first, &first).is_empty());
}

/// Lines that look like configurations, right and wrong.
fn toml_like() -> impl Strategy<Value = String> {
    let keys: Vec<&'static str> =
        keys::KEYS.iter().map(|key| key.name).chain(["serach", "", "a.b", "\"\"", "schedule"]).collect();
    let sections: Vec<&'static str> = keys::SECTIONS.iter().map(|&(name, _)| name).chain(["x", "", "[run]"]).collect();
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        "[a-z\"'{}\\[\\],=. \\\\0-9]{0,12}",
        prop::sample::select(vec![
            "true",
            "\"ws\"",
            "[\"ws\"]",
            "{ schedule = \"none\" }",
            "nan",
            "\"\"",
            "1979-05-27"
        ])
        .prop_map(String::from),
    ];
    let line = prop_oneof![
        prop::sample::select(sections).prop_map(|name| format!("[{name}]")),
        (prop::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_panics(text in toml_like(), value in "\\PC{0,20}") {
        for result in [parse(&text), Config::from_toml(&text, &set("search.exploration", &value))] {
            if let Err(error) = result {
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_readme_holds_the_reference_of_the_keys() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&reference()), "README.md: put the text of config::reference() under its heading");
}
