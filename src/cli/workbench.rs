//! What a run works with: its data, its space and this machine.

use super::exit::UsageError;
use super::output::remark;
use crate::config::{Config, DeviceChoice, Precision};
use crate::data::{self, Dataset, Splits};
use crate::device::cpu::InstructionSet;
use crate::generator::Generator;
use crate::oracle::{Engine, TableOracle};
use crate::report::{DataFacts, DeviceFacts, FileChecksum};
use crate::space::{Space, space_of};
use crate::table::Table;
use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// What the checksum in the manifest is of: not the files, which may be compressed or not.
const DECODED: &str = "images and labels, decoded";

/// Data, space and threads of a configuration.
pub(super) struct Workbench {
    pub material: Material,
    pub space: Box<dyn Space>,
    /// Of everything that runs on the CPU.
    pub threads: usize,
    /// What networks are trained on.
    pub engine: Engine,
}

/// What rewards are made of.
pub(super) enum Material {
    /// Images, to train on.
    Images(Images),
    /// A table, to look up in, and the SHA-256 of its file.
    Table { oracle: TableOracle, sha256: String },
}

/// A data set and its parts.
pub(super) struct Images {
    pub dataset: Arc<Dataset>,
    pub splits: Arc<Splits>,
}

impl Images {
    fn load(config: &Config) -> anyhow::Result<Images> {
        let (dataset, splits) = data::load_and_say(&config.data, config.run.seed, &remark)?;
        Ok(Images { dataset: Arc::new(dataset), splits: Arc::new(splits) })
    }

    /// The images that the long training sees, ascending: all but the test part.
    pub fn all_training_images(&self) -> Vec<u32> {
        let mut images = [&self.splits.train[..], &self.splits.validation].concat();
        images.sort_unstable();
        images
    }
}

impl Material {
    fn load(config: &Config) -> anyhow::Result<Material> {
        if config.oracle.kind.trains() {
            return Ok(Material::Images(Images::load(config)?));
        }
        let oracle = TableOracle::new(Table::open(config)?);
        let sha256 = config.oracle.table.as_deref().map(sha256_of).transpose()?.unwrap_or_default();
        Ok(Material::Table { oracle, sha256 })
    }
}

/// The SHA-256 of a file, hexadecimal.
fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let name = || format!("cannot read {}", path.display());
    let (mut file, mut hash) = (File::open(path).with_context(name)?, Sha256::new());
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block).with_context(name)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(&block[..count]),
        }
    }
}

impl Workbench {
    /// Loads the data and sets up the space.
    ///
    /// # Errors
    /// A device that is not here, data that cannot be read, a space that cannot exist.
    pub fn new(config: &Config) -> anyhow::Result<Workbench> {
        let threads = threads(config.run.threads);
        let engine = open_device(device_of(config, config.run.device)?, config.run.precision, threads)?;
        let space = space_of(config)?;
        let material = Material::load(config)?;
        Ok(Workbench { material, space, threads, engine })
    }

    /// The same on the CPU for a run that is there already: what trained it does not matter, its data do.
    pub fn of_run(config: &Config) -> anyhow::Result<Workbench> {
        let mut config = config.clone();
        (config.run.device, config.run.threads) = (DeviceChoice::Cpu, 0);
        Workbench::new(&config)
    }

    /// The images.
    ///
    /// # Errors
    /// The rewards of this configuration come from a table.
    pub fn images(&self) -> anyhow::Result<&Images> {
        match &self.material {
            Material::Images(images) => Ok(images),
            Material::Table { oracle, .. } => {
                bail!("the networks of this run were looked up in {}: there is nothing to train", oracle.table().name())
            }
        }
    }

    /// What rewards come from, in a few words.
    pub fn data_name(&self) -> String {
        match &self.material {
            Material::Images(images) => images.dataset.name().into(),
            Material::Table { oracle, .. } => oracle.table().description(),
        }
    }

    /// The data in the manifest's terms.
    pub fn data_facts(&self) -> DataFacts {
        match &self.material {
            Material::Images(Images { dataset, splits }) => DataFacts {
                name: self.data_name(),
                training_images: splits.train.len(),
                validation_images: splits.validation.len(),
                test_images: splits.test.len(),
                classes: dataset.class_names().to_vec(),
                files: vec![FileChecksum { name: DECODED.into(), sha256: dataset.checksum().into() }],
            },
            Material::Table { oracle, sha256 } => DataFacts {
                name: self.data_name(),
                training_images: 0,
                validation_images: 0,
                test_images: 0,
                classes: vec![],
                files: vec![FileChecksum { name: oracle.table().name(), sha256: sha256.clone() }],
            },
        }
    }

    /// The device in the manifest's terms.
    pub fn device_facts(&self) -> DeviceFacts {
        let threads = self.threads;
        match &self.engine {
            Engine::Cpu { .. } => {
                DeviceFacts { name: "cpu".into(), instruction_set: InstructionSet::best().to_string(), threads }
            }
            Engine::Cuda(engine) => DeviceFacts {
                name: engine.device().name().unwrap_or_else(|_| "CUDA device".into()),
                instruction_set: format!("CUDA, {}", engine.storage()),
                threads,
            },
        }
    }
}

/// The device that a configuration's networks can be trained on: whatever trains every candidate can do that on a CUDA device.
///
/// # Errors
/// An explicit CUDA device for what the CUDA path cannot do.
pub(super) fn device_of(config: &Config, wanted: DeviceChoice) -> anyhow::Result<DeviceChoice> {
    match (only_on_cpu(config), wanted) {
        (None, _) => Ok(wanted),
        (Some(_), DeviceChoice::Auto | DeviceChoice::Cpu) => Ok(DeviceChoice::Cpu),
        (Some(why), DeviceChoice::Cuda(_)) => {
            Err(UsageError(format!("device {wanted}: {why}; choose `cpu` or `auto`")).into())
        }
    }
}

/// What of a configuration the CUDA path cannot do.
fn only_on_cpu(config: &Config) -> Option<&'static str> {
    (!config.oracle.kind.trains()).then_some("with oracle.kind = \"table\" networks are looked up, not trained")
}

/// `threads` of a configuration as a number: 0 is one for every core.
pub(super) fn threads(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    }
}

/// Opens the device that networks are trained on, and says so where it is not the one that was hoped for.
///
/// # Errors
/// An explicit CUDA device that cannot be used.
pub(super) fn open_device(device: DeviceChoice, precision: Precision, threads: usize) -> anyhow::Result<Engine> {
    match Engine::open(device, precision, threads, Generator::self_test) {
        Ok((engine, why)) => {
            why.iter().for_each(|why| remark(why));
            Ok(engine)
        }
        Err(error) => bail!(
            "device {device}: {error}; choose `cpu`, or `auto`, which takes the CPU where a CUDA device cannot be used"
        ),
    }
}
