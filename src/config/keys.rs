//! The one table of every key: its default, its form and its meaning. It serves the parser, `init` and the reference.

use super::form::{Form, Interval};
use super::raw::syntax_error;
use super::{ConfigError, StrategyKind};
use toml::Value;

/// One key of the configuration.
pub(super) struct Key {
    /// The section it belongs to.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its default, as TOML.
    pub default: &'static str,
    /// Its type and range.
    pub form: Form,
    /// Its meaning, in one line.
    pub help: &'static str,
}

impl Key {
    /// The default as a value.
    pub(super) fn default_value(&self) -> Result<Value, ConfigError> {
        self.default.parse().map_err(|error| syntax_error(self.default, &error))
    }
}

/// The sections, in the order in which they are printed, each with what it is about.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("run", "The run as a whole."),
    ("data", "The images."),
    ("space", "The networks that the search may choose from."),
    ("generator", "The graph generator that learns from the candidates."),
    ("search", "How many candidates, who proposes them, and what the generator learns from."),
    (
        "oracle",
        "How a candidate gets its reward, the validation accuracy: it is trained, or looked up in a benchmark's table.",
    ),
    ("retrain", "How the best network is trained at the end."),
];

const fn key(section: &'static str, name: &'static str, default: &'static str, form: Form, help: &'static str) -> Key {
    Key { section, name, default, form, help }
}

const UNIT: Interval = Interval::closed(0.0, 1.0);
const FRACTION: Form = Form::Number(Interval::above(0.0, 1.0));
const BELOW_ONE: Form = Form::Number(Interval::below(0.0, 1.0));
const RATE: Form = Form::Number(Interval::above(0.0, 10.0));
const RATE_END: Form = Form::Number(Interval::closed(0.0, 10.0));
const RESTARTS: Form = Form::Integer(0, 100_000);
const FACTOR: Form = Form::Integer(1, 1000);
const CLIP: Form = Form::Number(Interval::closed(0.0, 1e6));
const DECAY: Form = Form::Number(UNIT);
const EPOCHS: Form = Form::Integer(1, 100_000);
/// Batch normalisation needs two images.
const BATCH: Form = Form::Integer(2, 65_536);
const IMAGES: Form = Form::Integer(1, 100_000_000);
const COUNT: Form = Form::Integer(1, 1_000_000_000);

const DATA_FRACTION: &str = "share of the training images that is used";
const TRAINING_EPOCHS: &str = "passes over them";
const TRAINING_BATCH: &str = "images in a step";
const LEARNING_RATE: &str = "learning rate at the start; it falls along a cosine";
const LEARNING_RATE_END: &str = "learning rate at the end of the cosine";
const RESTART_EPOCHS: &str = "after so many epochs the cosine begins anew (SGDR); 0: one cosine over all epochs";
const RESTART_FACTOR: &str = "restart_epochs: every further cosine is so many times as long as the one before";
const MOMENTUM: &str = "momentum of stochastic gradient descent";
const NESTEROV: &str = "whether the momentum is Nesterov's";
const GRADIENT_CLIP: &str = "a gradient, of all parameters together, that is longer is cut to this length; 0: none is";
const WEIGHT_DECAY: &str = "L2 penalty on every parameter";
const LABEL_SMOOTHING: &str = "share of the target that is spread over all classes";
const DROPOUT: &str = "probability that a feature before the classifier is dropped";
const AUGMENTATION: &str = "random crops (padding 2; cifar10 and tiny-imagenet 4; folder data.size / 16) and flips";

/// Every key, by section.
pub(super) const KEYS: &[Key] = &[
    key("run", "name", "\"randwire\"", Form::Name, "names the run and its default folder, runs/NAME"),
    key("run", "seed", "1", Form::Integer(0, i64::MAX), "seed of every random stream"),
    key("run", "device", "\"auto\"", Form::Device, "where networks are trained; auto: CUDA where there is one"),
    key(
        "run",
        "precision",
        "\"f32\"",
        Form::Choice(&["f32", "f16", "bf16"]),
        "CUDA: format of activations and of the products' weights; sums and parameters are f32 in all",
    ),
    key("run", "threads", "0", Form::Integer(0, 4096), "0: one for every core; changes no result"),
    key(
        "data",
        "source",
        "\"embedded\"",
        Form::Choice(&["embedded", "fashion-mnist", "cifar10", "tiny-imagenet", "folder", "synthetic"]),
        "embedded: 10,000 Fashion-MNIST images, compiled in and split anew; folder: your own JPEG and PNG files, a folder \
         a class, below train/ and test/ (or val/), or with no test part",
    ),
    key(
        "data",
        "path",
        "\"\"",
        Form::Path,
        "the data set's folder, archive (.tar, .tar.gz, .zip) or packed file (`data convert`), seen from the configuration \
         file's folder; \"\": where `data fetch` puts it",
    ),
    key(
        "data",
        "cache",
        "\"\"",
        Form::Path,
        "folder for the packed file that images are decoded into once; \"\": the user's cache; changes no result",
    ),
    key(
        "data",
        "size",
        "64",
        Form::Integer(8, 1024),
        "folder: pictures become squares of so many pixels a side (shorter side resized, then the middle)",
    ),
    key(
        "data",
        "training_images",
        "0",
        Form::Integer(0, 100_000_000),
        "images to train on, of those that are not held out, in proportion to the classes; 0: all; at most all",
    ),
    key("data", "validation_images", "3000", IMAGES, "images held out to score candidates"),
    key(
        "data",
        "test_images",
        "2000",
        IMAGES,
        "images held out for the final test; unused where a data set has its own",
    ),
    key(
        "space",
        "kind",
        "\"randwire\"",
        Form::Choice(&["randwire", "enas", "nasbench101", "nasbench201", "table"]),
        "randwire: one random graph a stage; enas: layers with operators and skips; nasbench101: cells, trained or looked up; \
         the others: cells that a table knows, table being any table of yours",
    ),
    key("space", "nodes", "8", Form::Integer(2, 128), "randwire: nodes of every stage's graph"),
    key(
        "space",
        "stages",
        "2",
        Form::Integer(1, 6),
        "randwire: stages; each halves the image and doubles the channels",
    ),
    key(
        "space",
        "channels",
        "8",
        Form::Integer(1, 4096),
        "randwire, nasbench101 (published: 128): channels of the first stage or stack; enas (published: 36): of every layer",
    ),
    key("space", "stem_stride", "1", Form::Integer(1, 2), "randwire: stride of the first convolution"),
    key(
        "space",
        "second_stem_stride",
        "0",
        Form::Integer(0, 2),
        "randwire: stride of a second convolution before the stages, of space.channels; 0: there is none (published, 224 px: \
         both strides 2)",
    ),
    key("space", "head", "128", Form::Integer(1, 65_536), "randwire: channels of the 1x1 convolution before the pool"),
    key("space", "vertices", "7", Form::Integer(3, 7), "nasbench101: the most vertices of a cell"),
    key("space", "stacks", "3", Form::Integer(1, 6), "nasbench101, trained: stacks; each doubles the channels"),
    key("space", "cells", "3", Form::Integer(1, 32), "nasbench101, trained: cells in a stack"),
    key("space", "layers", "12", Form::Integer(1, 64), "enas: layers; after each third the image is halved"),
    key(
        "space",
        "encoding",
        "\"line-graph\"",
        Form::Choice(&["line-graph", "edge-operators"]),
        "nasbench201: what the generator sees; line-graph: a node for every edge of the cell, with its operator, the wiring \
         fixed; edge-operators (the authors'): the cell's four nodes, operators on the edges, no edge for none; not for rnn",
    ),
    key("generator", "kind", "\"gran\"", Form::Choice(&["gran"]), "gran: graph network, mixture of Bernoullis"),
    key("generator", "hidden", "32", Form::Integer(4, 4096), "width of the node states; at least space.nodes + 3"),
    key("generator", "layers", "7", Form::Integer(1, 64), "rounds of message passing"),
    key("generator", "mixtures", "10", Form::Integer(1, 256), "mixture components of a row of the adjacency matrix"),
    key("generator", "attention", "true", Form::Flag, "whether messages pass an attention gate"),
    key(
        "generator",
        "condition_on_operators",
        "false",
        Form::Flag,
        "whether operators that are drawn enter the network, beside the edges",
    ),
    key("generator", "epochs", "70", EPOCHS, "passes over the replay buffer in a refit"),
    key("generator", "batch", "2", Form::Integer(1, 65_536), "graphs in a step"),
    key("generator", "learning_rate", "1e-3", RATE, "Adam's learning rate"),
    key(
        "generator",
        "warm",
        "false",
        Form::Flag,
        "whether a refit begins with the last one's parameters; a resumed run then repeats all its refits",
    ),
    key("generator", "rnn_hidden", "128", Form::Integer(1, 4096), "rnn: width of the LSTM's two layers"),
    key("search", "strategy", "\"graphpnas\"", Form::Choice(StrategyKind::NAMES), "who proposes networks"),
    key("search", "budget", "96", COUNT, "distinct architectures evaluated in all"),
    key("search", "samples_per_iteration", "8", COUNT, "distinct architectures proposed in an iteration"),
    key("search", "keep_top", "15", Form::Integer(2, 1_000_000_000), "replay buffer: the best so many of the history"),
    key("search", "keep_worst", "0", Form::Integer(0, 1_000_000_000), "the worst so many are unlearnt"),
    key("search", "worst_weight", "0.1", Form::Number(UNIT), "keep_worst: their weight, taken negatively"),
    key(
        "search",
        "reward",
        "\"cdf\"",
        Form::Choice(&["cdf", "accuracy"]),
        "weight of a buffered graph; cdf: its rank over the buffer's size",
    ),
    key(
        "search",
        "rank_power",
        "1.0",
        Form::Number(Interval::closed(0.0, 100.0)),
        "cdf only: exponent of the rank over the buffer's size",
    ),
    key(
        "search",
        "baseline",
        "0.5",
        BELOW_ONE,
        "accuracy only: weight of the old value in the moving baseline; 0: none",
    ),
    key(
        "search",
        "exploration",
        "{ schedule = \"first\", iterations = 3 }",
        Form::Exploration,
        "the share of an iteration that the explorer proposes, met on average",
    ),
    key(
        "search",
        "patience",
        "0",
        Form::Integer(0, 1_000_000_000),
        "graphpnas, rnn: after every so many iterations in a row without a new best one is the explorer's; 0: never",
    ),
    key(
        "search",
        "explorer",
        "[\"ws\", \"er\"]",
        Form::Choices(&["ws", "er", "ba", "uniform", "full"]),
        "what the explorer draws in turn; randwire: ws, er, ba (classical random graphs); enas: uniform (every network as \
         likely), er (skips with er_probability); nasbench101: uniform (the authors' \
         explorer: 3 to vertices vertices, an edge with probability 0.25), full (all vertices, 0.5), er (all vertices); \
         nasbench201: uniform (any operator but none), full (any operator); table: uniform (any row)",
    ),
    key("search", "ws_rewiring", "0.75", Form::Number(UNIT), "Watts-Strogatz: probability that an edge is rewired"),
    key("search", "ws_neighbours", "4", Form::Integer(2, 126), "Watts-Strogatz: neighbours in the ring, even"),
    key("search", "er_probability", "0.2", FRACTION, "Erdos-Renyi: probability of an edge"),
    key("search", "ba_edges", "5", Form::Integer(1, 127), "Barabasi-Albert: edges that a new node brings"),
    key(
        "search",
        "sampling_rounds",
        "20",
        Form::Integer(1, 1000),
        "rounds of draws from the generator before the explorer fills an iteration",
    ),
    key(
        "search",
        "sampling_growth",
        "5",
        Form::Integer(0, 1000),
        "round t = 0, 1, ... draws (growth * t + 1) graphs for each candidate wanted",
    ),
    key("search", "draws", "1", Form::Integer(1, 100_000), "draws for each one looked at, the most probable of them"),
    key(
        "search",
        "mutate_known",
        "0.0",
        Form::Number(UNIT),
        "graphpnas, rnn, reinforce: probability that a known draw is replaced with one of its new neighbours instead of dropped",
    ),
    key("search", "explorer_tries", "1000", COUNT, "explorer's draws of a kind before it counts as exhausted"),
    key(
        "search",
        "explorer_draws",
        "1",
        Form::Integer(1, 10_000),
        "of so many of the explorer's draws the one with the rarest choices is taken",
    ),
    key(
        "search",
        "population",
        "30",
        Form::Integer(2, 1_000_000),
        "regularized-evolution: the newest so many are alive",
    ),
    key("search", "tournament", "10", Form::Integer(1, 1_000_000), "regularized-evolution: rivals for a child"),
    key(
        "search",
        "improvement",
        "\"first\"",
        Form::Choice(&["best", "first"]),
        "local-search: goes to the best neighbour or the first better one",
    ),
    key("search", "policy_learning_rate", "0.1", RATE, "reinforce: Adam's learning rate"),
    key("search", "policy_baseline", "0.9", BELOW_ONE, "reinforce: weight of the old value in the moving baseline"),
    key(
        "oracle",
        "kind",
        "\"training\"",
        Form::Choice(&["training", "supernet", "table"]),
        "training: candidates are trained (randwire, enas, nasbench101); supernet: one network that shares its weights with \
         all of them is (enas); table: they are looked up (nasbench101, nasbench201, \
         table)",
    ),
    key(
        "oracle",
        "table",
        "\"\"",
        Form::File,
        "table: its file, seen from the configuration file's folder; CSV, NAS-Bench-101's TFRecord or what `data convert` makes",
    ),
    key(
        "oracle",
        "dataset",
        "\"cifar10\"",
        Form::Choice(&["cifar10", "cifar100", "imagenet16-120"]),
        "nasbench201: the data set whose accuracies count",
    ),
    key(
        "oracle",
        "table_epochs",
        "0",
        Form::Integer(0, 108),
        "nasbench101: the budget whose accuracies count, in epochs; 0: the largest of the table",
    ),
    key(
        "oracle",
        "statistics_images",
        "1000",
        Form::Integer(2, 100_000_000),
        "supernet: training images from which a candidate's batch-norm statistics are taken",
    ),
    key(
        "oracle",
        "path_generator",
        "\"\"",
        Form::File,
        "supernet: an earlier run's generator.safetensors, seen from the configuration file's folder, which draws the network of \
         every other step; \"\": the explorer draws all",
    ),
    key(
        "oracle",
        "candidates_per_batch",
        "0",
        Form::Integer(0, 65_536),
        "CUDA: networks trained, or scored, together; 0: as many as the device's memory holds; changes no result",
    ),
    key("oracle", "data_fraction", "1.0", FRACTION, DATA_FRACTION),
    key("oracle", "epochs", "3", EPOCHS, TRAINING_EPOCHS),
    key("oracle", "batch", "64", BATCH, TRAINING_BATCH),
    key("oracle", "learning_rate", "0.1", RATE, LEARNING_RATE),
    key("oracle", "learning_rate_end", "0.0", RATE_END, LEARNING_RATE_END),
    key("oracle", "restart_epochs", "0", RESTARTS, RESTART_EPOCHS),
    key("oracle", "restart_factor", "2", FACTOR, RESTART_FACTOR),
    key("oracle", "momentum", "0.9", BELOW_ONE, MOMENTUM),
    key("oracle", "nesterov", "false", Form::Flag, NESTEROV),
    key("oracle", "weight_decay", "5e-5", DECAY, WEIGHT_DECAY),
    key("oracle", "gradient_clip", "0.0", CLIP, GRADIENT_CLIP),
    key("oracle", "label_smoothing", "0.1", BELOW_ONE, LABEL_SMOOTHING),
    key("oracle", "dropout", "0.0", BELOW_ONE, DROPOUT),
    key("oracle", "augmentation", "false", Form::Flag, AUGMENTATION),
    key(
        "retrain",
        "channels",
        "0",
        Form::Integer(0, 4096),
        "channels of the network that is trained long, as space.channels; 0: those of the search",
    ),
    key("retrain", "data_fraction", "1.0", FRACTION, DATA_FRACTION),
    key("retrain", "epochs", "30", EPOCHS, TRAINING_EPOCHS),
    key("retrain", "batch", "64", BATCH, TRAINING_BATCH),
    key("retrain", "learning_rate", "0.1", RATE, LEARNING_RATE),
    key("retrain", "learning_rate_end", "0.0", RATE_END, LEARNING_RATE_END),
    key("retrain", "restart_epochs", "0", RESTARTS, RESTART_EPOCHS),
    key("retrain", "restart_factor", "2", FACTOR, RESTART_FACTOR),
    key("retrain", "momentum", "0.9", BELOW_ONE, MOMENTUM),
    key("retrain", "nesterov", "false", Form::Flag, NESTEROV),
    key("retrain", "weight_decay", "5e-5", DECAY, WEIGHT_DECAY),
    key("retrain", "gradient_clip", "0.0", CLIP, GRADIENT_CLIP),
    key("retrain", "label_smoothing", "0.1", BELOW_ONE, LABEL_SMOOTHING),
    key("retrain", "dropout", "0.0", BELOW_ONE, DROPOUT),
    key("retrain", "augmentation", "false", Form::Flag, AUGMENTATION),
];

/// The keys of a section, in the order in which they are printed.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> + '_ {
    KEYS.iter().filter(move |key| key.section == section)
}
