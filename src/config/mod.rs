//! TOML -> checked tree (every key known, in its range, present) -> validated configuration.
//!
//! A new key is one line in [`keys`] and one field here; what joins several keys is checked in [`validate`].

mod device;
mod difference;
mod error;
mod form;
mod keys;
mod raw;
mod search;
mod text;
mod validate;

#[cfg(test)]
mod tests;

pub use difference::differences;
pub use error::ConfigError;
pub use raw::{Override, split_override};
pub use search::{ClassicalKind, Exploration, Improvement, RewardShaping, SearchConfig, StrategyKind};
pub use text::{annotated, reference};

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A validated configuration: every default filled in, every number in its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `[run]`
    pub run: RunConfig,
    /// `[data]`
    pub data: DataConfig,
    /// `[space]`
    pub space: SpaceConfig,
    /// `[generator]`
    pub generator: GeneratorConfig,
    /// `[search]`
    pub search: SearchConfig,
    /// `[oracle]`
    pub oracle: OracleConfig,
    /// `[retrain]`
    pub retrain: RetrainConfig,
}

impl Config {
    /// Reads a configuration. Overrides replace the text's values before anything is checked; their values are TOML,
    /// and bare words are taken as text.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line.
    pub fn from_toml(text: &str, overrides: &[Override]) -> Result<Config, ConfigError> {
        let tree = raw::checked_tree(text, overrides)?;
        let config = toml::Value::Table(tree)
            .try_into::<Config>()
            .map_err(|error| ConfigError::Conflict(error.message().replace('\n', "; ")))?;
        validate::check(&config)?;
        Ok(config)
    }

    /// The space of the networks that are trained long: the search's, with the channels of `[retrain]`.
    pub fn retrained_space(&self) -> SpaceConfig {
        let channels = if self.retrain.channels == 0 { self.space.channels } else { self.retrain.channels };
        SpaceConfig { channels, ..self.space.clone() }
    }

    /// Reads a configuration file, as [`Config::from_toml`] does.
    ///
    /// # Errors
    /// As there, with the file's name; also when it cannot be read.
    ///
    /// A relative `oracle.table`, `oracle.path_generator`, `data.path` or `data.cache` of the file is one beside the file.
    pub fn from_file(path: &Path, overrides: &[Override]) -> Result<Config, ConfigError> {
        let unreadable = |reason: String| ConfigError::Read { path: path.to_path_buf(), reason };
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| unreadable(format!("it is not UTF-8 text (byte {})", error.valid_up_to())))?;
        let read = Config::from_toml(text, overrides).map(|mut config| {
            // What the command line names is seen from where the user stands.
            for (key, named) in [
                ("oracle.table", &mut config.oracle.table),
                ("oracle.path_generator", &mut config.oracle.supernet.path_generator),
                ("data.path", &mut config.data.path),
                ("data.cache", &mut config.data.cache),
            ] {
                if !overrides.iter().any(|(overridden, _)| overridden == key) {
                    *named = named.take().map(|file| beside(path, file));
                }
            }
            config
        });
        read.map_err(|error| ConfigError::InFile { path: path.to_path_buf(), error: Box::new(error) })
    }
}

/// A path that a configuration file names, seen from the file's folder.
fn beside(configuration: &Path, path: PathBuf) -> PathBuf {
    configuration.parent().map_or(path.clone(), |folder| folder.join(path))
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Names the run and its default folder, `runs/<name>`.
    pub name: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// Where networks are trained.
    pub device: DeviceChoice,
    /// How values are stored on a CUDA device.
    #[serde(default)]
    pub precision: Precision,
    /// Threads; 0: one for every core. Changes no result.
    pub threads: usize,
}

/// How values are stored on a CUDA device; sums and parameters are f32 in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

/// `auto`, `cpu`, `cuda` (the first) or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// CUDA where there is a device and a kernel image, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// This CUDA device or an error.
    Cuda(u32),
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Which data set.
    pub source: DataSource,
    /// The data set's folder, archive or packed file; `None`: the usual place.
    pub path: Option<PathBuf>,
    /// Folder for the packed file that the images are decoded into once; `None`: the user's cache. Changes no result.
    pub cache: Option<PathBuf>,
    /// Side of the squares that the pictures of a `folder` are resized and cropped to, in pixels.
    pub size: usize,
    /// Most images to train on, validation images aside; 0: all.
    #[serde(default)]
    pub training_images: usize,
    /// Images held out for validation (the reward).
    pub validation_images: usize,
    /// Images held out for the final test; ignored where the data set has a test part of its own.
    pub test_images: usize,
}

/// The data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSource {
    /// The 10,000 official Fashion-MNIST test images, compiled in and split anew.
    Embedded,
    /// Fashion-MNIST's IDX files.
    FashionMnist,
    /// Images made from the seed, for tests.
    Synthetic,
    /// CIFAR-10's binary version.
    #[serde(rename = "cifar10")]
    Cifar10,
    /// Tiny-ImageNet's official tree.
    TinyImagenet,
    /// JPEG and PNG files, a folder a class.
    Folder,
}

impl DataSource {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            DataSource::Embedded => "embedded",
            DataSource::FashionMnist => "fashion-mnist",
            DataSource::Synthetic => "synthetic",
            DataSource::Cifar10 => "cifar10",
            DataSource::TinyImagenet => "tiny-imagenet",
            DataSource::Folder => "folder",
        }
    }

    /// Whether it reads files.
    pub fn has_files(self) -> bool {
        !matches!(self, DataSource::Embedded | DataSource::Synthetic)
    }
}

impl DataConfig {
    /// How many of so many images that are not held out are trained on.
    pub fn trained_on(&self, images: usize) -> usize {
        if self.training_images == 0 { images } else { images.min(self.training_images) }
    }

    /// This data set from its usual place, everything else at its default.
    pub fn of(source: DataSource) -> DataConfig {
        DataConfig {
            source,
            path: None,
            cache: None,
            size: 64,
            training_images: 0,
            validation_images: 3000,
            test_images: 2000,
        }
    }
}

/// `[space]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceConfig {
    /// Which space.
    pub kind: SpaceKind,
    /// Nodes of every stage's graph.
    pub nodes: usize,
    /// Number of stages; stage s has `channels << s` channels and halves the image.
    pub stages: usize,
    /// Channels of the first stage or stack, or of every layer.
    pub channels: usize,
    /// Stride of the stem convolution, 1 or 2.
    pub stem_stride: usize,
    /// RandWire: stride of a second convolution before the stages; 0: there is none.
    #[serde(default)]
    pub second_stem_stride: usize,
    /// Channels of the 1x1 convolution before the pool.
    pub head: usize,
    /// NAS-Bench-101: the most vertices of a cell.
    pub vertices: usize,
    /// NAS-Bench-101, where its networks are trained: stacks of cells, with a pool between two of them.
    pub stacks: usize,
    /// NAS-Bench-101, where its networks are trained: cells in a stack.
    pub cells: usize,
    /// ENAS: layers.
    pub layers: usize,
    /// NAS-Bench-201: what the generator sees of a cell.
    pub encoding: CellEncoding,
}

/// The search spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpaceKind {
    /// One random graph a stage.
    Randwire,
    /// A chain of layers with operators, and skips between them.
    Enas,
    /// Cells with operators on the vertices.
    Nasbench101,
    /// Cells with operators on the edges.
    Nasbench201,
    /// The cells of the user's own table.
    Table,
}

impl SpaceKind {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            SpaceKind::Randwire => "randwire",
            SpaceKind::Enas => "enas",
            SpaceKind::Nasbench101 => "nasbench101",
            SpaceKind::Nasbench201 => "nasbench201",
            SpaceKind::Table => "table",
        }
    }
}

/// What the generator sees of a cell whose operators are on its edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellEncoding {
    /// A node for every edge of the cell, with its operator; the wiring is fixed.
    LineGraph,
    /// The cell's own nodes, with operators on its edges; where the operator is `none` there is no edge.
    EdgeOperators,
}

/// `[generator]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorConfig {
    /// Which generator.
    pub kind: GeneratorKind,
    /// Width of the node states.
    pub hidden: usize,
    /// Rounds of message passing.
    pub layers: usize,
    /// Mixture components.
    pub mixtures: usize,
    /// Whether messages pass an attention gate.
    pub attention: bool,
    /// Passes over the replay buffer in a refit.
    pub epochs: usize,
    /// Graphs in a step.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Whether a refit begins with the parameters of the last one instead of fresh ones.
    pub warm: bool,
    /// Whether earlier operators enter the network.
    pub condition_on_operators: bool,
    /// Width of the LSTM of `rnn`.
    pub rnn_hidden: usize,
}

/// The generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorKind {
    /// The attention graph network with a mixture of Bernoullis.
    Gran,
}

/// `[oracle]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OracleConfig {
    /// Where rewards come from.
    pub kind: OracleKind,
    /// The table's file; `None` where networks are trained.
    pub table: Option<PathBuf>,
    /// Which data set's accuracies of a NAS-Bench-201 table count.
    pub dataset: BenchmarkDataset,
    /// Which budget of a NAS-Bench-101 table counts, in epochs; 0: the largest.
    pub table_epochs: u32,
    /// Candidates trained together on a CUDA device; 0: as many as its memory holds. Changes no result.
    #[serde(default)]
    pub candidates_per_batch: usize,
    /// Of the supernet only.
    #[serde(flatten)]
    pub supernet: SupernetConfig,
    /// How a candidate, or the supernet, is trained.
    #[serde(flatten)]
    pub training: TrainingConfig,
}

impl OracleKind {
    /// Whether there are networks and images to train them on.
    pub fn trains(self) -> bool {
        self != OracleKind::Table
    }
}

/// What only a supernet needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SupernetConfig {
    /// Training images from which a candidate's batch-norm statistics are taken before it is scored.
    pub statistics_images: usize,
    /// The generator that every other step's network is drawn from; `None`: the explorer draws all.
    #[serde(default)]
    pub path_generator: Option<PathBuf>,
}

/// Where rewards come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OracleKind {
    /// Every candidate is trained.
    Training,
    /// One network that shares its weights with all candidates is trained; candidates are scored with them.
    Supernet,
    /// Every candidate is looked up.
    Table,
}

/// The data sets of NAS-Bench-201.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BenchmarkDataset {
    /// CIFAR-10
    #[serde(rename = "cifar10")]
    Cifar10,
    /// CIFAR-100
    #[serde(rename = "cifar100")]
    Cifar100,
    /// ImageNet16-120
    #[serde(rename = "imagenet16-120")]
    Imagenet16,
}

impl BenchmarkDataset {
    /// The columns of validation and test accuracy in a NAS-Bench-201 table.
    pub fn columns(self) -> (&'static str, &'static str) {
        match self {
            BenchmarkDataset::Cifar10 => ("cifar10-val", "cifar10-test"),
            BenchmarkDataset::Cifar100 => ("cifar100-val", "cifar100-test"),
            BenchmarkDataset::Imagenet16 => ("imagenet-val", "imagenet-test"),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            BenchmarkDataset::Cifar10 => "CIFAR-10",
            BenchmarkDataset::Cifar100 => "CIFAR-100",
            BenchmarkDataset::Imagenet16 => "ImageNet16-120",
        }
    }
}

/// `[retrain]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainConfig {
    /// Channels of the network that is trained long, as [`SpaceConfig::channels`]; 0: those of the search.
    #[serde(default)]
    pub channels: usize,
    /// How it is trained.
    #[serde(flatten)]
    pub training: TrainingConfig,
}

/// `[oracle]` and `[retrain]`: how a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// Share of the training images that is used, in (0, 1].
    pub data_fraction: f64,
    /// Passes over them.
    pub epochs: usize,
    /// Images in a step.
    pub batch: usize,
    /// Learning rate at the start; it falls along a cosine.
    pub learning_rate: f64,
    /// Learning rate at the end of the cosine.
    #[serde(default)]
    pub learning_rate_end: f64,
    /// Epochs after which the cosine begins anew; 0: never.
    #[serde(default)]
    pub restart_epochs: usize,
    /// Every further cosine is so many times as long as the one before.
    #[serde(default = "restart_factor")]
    pub restart_factor: usize,
    /// SGD's momentum.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    #[serde(default)]
    pub nesterov: bool,
    /// L2 penalty on every parameter.
    pub weight_decay: f64,
    /// Longest gradient, of all parameters together; longer ones are scaled down. 0: any.
    #[serde(default)]
    pub gradient_clip: f64,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Probability that a feature before the classifier is dropped.
    pub dropout: f64,
    /// Random crops and flips.
    pub augmentation: bool,
}

/// Where a journal of an earlier version does not say.
fn restart_factor() -> usize {
    2
}
