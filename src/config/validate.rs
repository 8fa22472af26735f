//! Values that are right each for itself, but not together.

use super::{CellEncoding, ClassicalKind, Config, ConfigError, DataSource, OracleKind, SpaceKind, TrainingConfig};

/// Images of the data sets before any are held out; the synthetic ones are as many as are asked for.
const EMBEDDED_IMAGES: usize = 10_000;
const FASHION_MNIST_TRAINING_IMAGES: usize = 60_000;

/// Node states hold a node's row and its number one-hot, so this much width must be left beside the latter.
const STATE_MARGIN: usize = 3;

/// Edges of a NAS-Bench-201 cell, the nodes of its line graph, and its own nodes.
const NASBENCH201_EDGES: usize = 6;
const NASBENCH201_NODES: usize = 4;

/// Refuses values that contradict one another.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_budget(config)?;
    check_oracle(config)?;
    check_kinds(config)?;
    check_training("oracle", &config.oracle.training)?;
    check_training("retrain", &config.retrain.training)?;
    match config.space.kind {
        SpaceKind::Randwire => {
            check_data(config)?;
            check_state_width(config, config.space.nodes, "space.nodes")?;
            check_explorer(config)
        }
        SpaceKind::Enas => {
            check_data(config)?;
            check_state_width(config, config.space.layers, "space.layers")
        }
        SpaceKind::Nasbench101 => {
            if config.oracle.kind.trains() {
                check_data(config)?;
            }
            check_state_width(config, config.space.vertices, "space.vertices")
        }
        SpaceKind::Nasbench201 => match config.space.encoding {
            CellEncoding::LineGraph => check_state_width(config, NASBENCH201_EDGES, "the edges of a cell"),
            CellEncoding::EdgeOperators => check_state_width(config, NASBENCH201_NODES, "the nodes of a cell"),
        },
        // The table decides, when it is read.
        SpaceKind::Table => Ok(()),
    }
}

/// The explorers of a space.
fn explorers(kind: SpaceKind) -> &'static [ClassicalKind] {
    match kind {
        SpaceKind::Randwire => &[ClassicalKind::Ws, ClassicalKind::Er, ClassicalKind::Ba],
        SpaceKind::Enas => &[ClassicalKind::Uniform, ClassicalKind::Er],
        SpaceKind::Nasbench101 => &[ClassicalKind::Uniform, ClassicalKind::Full, ClassicalKind::Er],
        SpaceKind::Nasbench201 => &[ClassicalKind::Uniform, ClassicalKind::Full],
        SpaceKind::Table => &[ClassicalKind::Uniform],
    }
}

fn check_kinds(config: &Config) -> Result<(), ConfigError> {
    let known = explorers(config.space.kind);
    let Some(wrong) = config.search.explorer.iter().find(|kind| !known.contains(kind)) else { return Ok(()) };
    let names: Vec<String> = known.iter().map(|kind| format!("{:?}", kind.name())).collect();
    let (wrong, space) = (wrong.name(), config.space.kind.name());
    let names = names.join(", ");
    let message = format!("search.explorer: {wrong:?} is none of the explorers of space.kind = {space:?}, {names}");
    Err(ConfigError::Conflict(message))
}

/// Whether a space's networks can be trained, and whether tables know them.
fn sources_of_rewards(kind: SpaceKind) -> (bool, bool) {
    match kind {
        SpaceKind::Randwire | SpaceKind::Enas => (true, false),
        SpaceKind::Nasbench101 => (true, true),
        SpaceKind::Nasbench201 | SpaceKind::Table => (false, true),
    }
}

/// A space's rewards come from where they can.
fn check_oracle(config: &Config) -> Result<(), ConfigError> {
    let (oracle, space) = (&config.oracle, config.space.kind.name());
    let (trainable, tabulated) = sources_of_rewards(config.space.kind);
    let trained = oracle.kind.trains();
    refuse(oracle.kind == OracleKind::Supernet && config.space.kind != SpaceKind::Enas, || {
        format!("oracle.kind = \"supernet\": only the networks of space.kind = \"enas\" share weights, not {space:?}")
    })?;
    let paths = oracle.supernet.path_generator.is_some();
    refuse(paths && oracle.kind != OracleKind::Supernet, || {
        "oracle.path_generator: only oracle.kind = \"supernet\" reads it; leave it out".into()
    })?;
    refuse(!tabulated && !trained, || {
        format!("oracle.kind = \"table\": must be \"training\" for space.kind = {space:?}")
    })?;
    refuse(!trainable && trained, || {
        format!("oracle.kind = \"training\": must be \"table\" for space.kind = {space:?}")
    })?;
    refuse(!trained && oracle.table.is_none(), || {
        "oracle.table = \"\": must name a file for oracle.kind = \"table\", for instance by --set oracle.table=PATH"
            .into()
    })?;
    refuse(trained && oracle.table.is_some(), || {
        "oracle.table: only oracle.kind = \"table\" reads it; leave it out".into()
    })
}

fn refuse(wrong: bool, message: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if wrong { Err(ConfigError::Conflict(message())) } else { Ok(()) }
}

fn check_training(section: &str, training: &TrainingConfig) -> Result<(), ConfigError> {
    let TrainingConfig { learning_rate, learning_rate_end, momentum, nesterov, .. } = *training;
    refuse(learning_rate_end > learning_rate, || {
        format!(
            "{section}.learning_rate_end = {learning_rate_end}: must be at most {section}.learning_rate = {learning_rate}"
        )
    })?;
    refuse(nesterov && momentum == 0.0, || format!("{section}.nesterov = true: {section}.momentum must be above 0"))
}

fn check_budget(config: &Config) -> Result<(), ConfigError> {
    let (samples, budget) = (config.search.samples_per_iteration, config.search.budget);
    refuse(samples > budget, || {
        format!("search.samples_per_iteration = {samples}: must be at most search.budget = {budget}")
    })
}

fn check_state_width(config: &Config, nodes: usize, key: &str) -> Result<(), ConfigError> {
    let hidden = config.generator.hidden;
    let least = nodes + STATE_MARGIN;
    refuse(hidden < least, || format!("generator.hidden = {hidden}: must be at least {least}, {key} + {STATE_MARGIN}"))
}

fn check_explorer(config: &Config) -> Result<(), ConfigError> {
    let (search, nodes) = (&config.search, config.space.nodes);
    if search.explorer.contains(&ClassicalKind::Ws) {
        let neighbours = search.ws_neighbours;
        refuse(neighbours % 2 != 0, || format!("search.ws_neighbours = {neighbours}: must be even"))?;
        refuse(neighbours >= nodes, || {
            format!("search.ws_neighbours = {neighbours}: must be below space.nodes = {nodes}")
        })?;
    }
    let edges = search.ba_edges;
    refuse(search.explorer.contains(&ClassicalKind::Ba) && edges >= nodes, || {
        format!("search.ba_edges = {edges}: must be below space.nodes = {nodes}")
    })
}

fn check_data(config: &Config) -> Result<(), ConfigError> {
    let data = &config.data;
    let (images, held_out, keys) = match data.source {
        DataSource::Synthetic => return check_no_path(config),
        // How many images there are is seen when they are loaded.
        DataSource::Cifar10 | DataSource::TinyImagenet => return Ok(()),
        DataSource::Folder => {
            return refuse(data.path.is_none(), || {
                "data.path = \"\": must name a folder or an archive for data.source = \"folder\"".into()
            });
        }
        DataSource::Embedded => {
            check_no_path(config)?;
            let held_out = data.validation_images + data.test_images;
            (EMBEDDED_IMAGES, held_out, "data.validation_images + data.test_images")
        }
        DataSource::FashionMnist => (FASHION_MNIST_TRAINING_IMAGES, data.validation_images, "data.validation_images"),
    };
    refuse(held_out >= images, || format!("{keys} = {held_out}: must be below {images}, the images of data.source"))?;
    let training = data.trained_on(images - held_out);
    check_batch("oracle", &config.oracle.training, training)?;
    check_batch("retrain", &config.retrain.training, training)
}

fn check_no_path(config: &Config) -> Result<(), ConfigError> {
    refuse(config.data.path.is_some(), || {
        format!("data.path: data.source = \"{}\" reads no files; leave it out", config.data.source.name())
    })
}

/// A step needs a whole batch.
fn check_batch(section: &str, training: &TrainingConfig, images: usize) -> Result<(), ConfigError> {
    let (batch, used) = (training.batch, (images as f64 * training.data_fraction) as usize);
    refuse(batch > used, || {
        format!(
            "{section}.batch = {batch}: must be at most {used}, {section}.data_fraction of {images} training images"
        )
    })
}
