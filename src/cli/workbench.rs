//! What a run works with: its data, its space and this machine.

use crate::config::{Config, DataSource, DeviceChoice};
use crate::data::{self, Dataset, Splits};
use crate::device::cpu::InstructionSet;
use crate::report::{DataFacts, DeviceFacts, FileChecksum};
use crate::space::{Space, space_of};
use anyhow::bail;
use std::sync::Arc;

/// The classes of Fashion-MNIST, by label (Xiao et al. 2017, table 2).
const CLOTHES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// What the checksum in the manifest is of: not the files, which may be compressed or not.
const DECODED: &str = "images and labels, decoded";

/// Data, space and threads of a configuration.
pub(super) struct Workbench {
    pub dataset: Arc<Dataset>,
    pub splits: Arc<Splits>,
    pub space: Box<dyn Space>,
    pub threads: usize,
    source: DataSource,
}

impl Workbench {
    /// Loads the data and sets up the space.
    ///
    /// # Errors
    /// A device that is not here, data that cannot be read, a space that cannot exist.
    pub fn new(config: &Config) -> anyhow::Result<Workbench> {
        check_device(config.run.device)?;
        let space = space_of(config)?;
        let (dataset, splits) = data::load(&config.data, config.run.seed)?;
        let (threads, source) = (threads(config.run.threads), config.data.source);
        Ok(Workbench { dataset: Arc::new(dataset), splits: Arc::new(splits), space, threads, source })
    }

    /// The same for a run that is there already: what trained it does not matter, its data do.
    pub fn of_run(config: &Config) -> anyhow::Result<Workbench> {
        let mut config = config.clone();
        (config.run.device, config.run.threads) = (DeviceChoice::Auto, 0);
        Workbench::new(&config)
    }

    /// The data in the manifest's terms.
    pub fn data_facts(&self) -> DataFacts {
        DataFacts {
            name: self.dataset.name().into(),
            training_images: self.splits.train.len(),
            validation_images: self.splits.validation.len(),
            test_images: self.splits.test.len(),
            classes: self.classes(),
            files: vec![FileChecksum { name: DECODED.into(), sha256: self.dataset.checksum().into() }],
        }
    }

    /// The device in the manifest's terms.
    pub fn device_facts(&self) -> DeviceFacts {
        DeviceFacts { name: "cpu".into(), instruction_set: InstructionSet::best().to_string(), threads: self.threads }
    }

    /// Names of the classes, in the order of the logits.
    pub fn classes(&self) -> Vec<String> {
        match self.source {
            DataSource::Embedded | DataSource::FashionMnist => CLOTHES.map(String::from).into(),
            DataSource::Synthetic => (0..self.dataset.classes()).map(|class| format!("direction {class}")).collect(),
        }
    }

    /// The images that the long training sees, ascending: all but the test part.
    pub fn all_training_images(&self) -> Vec<u32> {
        let mut images = [&self.splits.train[..], &self.splits.validation].concat();
        images.sort_unstable();
        images
    }
}

/// `threads` of a configuration as a number: 0 is one for every core.
pub(super) fn threads(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    }
}

/// Refuses a device that this build cannot use.
pub(super) fn check_device(device: DeviceChoice) -> anyhow::Result<()> {
    match device {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(()),
        DeviceChoice::Cuda(_) => {
            bail!("device {device}: this build has no CUDA; choose `cpu`, or `auto`, which takes the CPU")
        }
    }
}
