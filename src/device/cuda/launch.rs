//! One typed launch for each kernel. A table's tasks were checked against the lengths of the arenas; a launch checks that
//! the arenas have those lengths, so that no kernel reads or writes outside them.

mod activating;
mod arenas;
mod optimise;

pub use arenas::Arenas;

use super::device::Device;
use super::error::CudaError;
use super::images::ResidentImages;
use super::records::{
    AugmentedWindows, BiasGradient, DepthwiseBackward, DepthwiseTask, FullyConnected, FullyConnectedGradient,
    GatherTask, GradientTask, HeadGradient, InputGradient, Loss, NormTask, Pointwise, Pool, SumsTask, THREADS, Table,
    Unpool, WeightGradient, WindowsTask, Work,
};
use super::storage::Storage;
use cudarc::driver::{CudaSlice, CudaView, LaunchConfig, PushKernelArg};
use std::sync::Arc;

/// Threads of the products.
const PRODUCT_THREADS: usize = 128;

/// What batch norms normalise with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistics {
    /// The running statistics.
    Running,
    /// The batch's; the running ones move towards them by this share of the way, above 0.
    Batch {
        /// At most 1.
        share: f32,
    },
}

/// A kernel and the file of kernels that it is in. Where values are involved there is one for each storage.
#[derive(Clone, Copy)]
struct Kernel {
    image: &'static str,
    name: &'static str,
}

impl Kernel {
    const WINDOWS: Kernel = Kernel { image: "windows", name: "windows" };
    const WINDOWS_AUGMENTED: Kernel = Kernel { image: "windows", name: "windows_augmented" };
    const GATHER: Kernel = Kernel { image: "gather", name: "gather" };
    const GATHER_SUMS: Kernel = Kernel { image: "gather", name: "gather_sums" };
    const DEPTHWISE: Kernel = Kernel { image: "depthwise", name: "depthwise" };
    const DEPTHWISE_BACKWARD: Kernel = Kernel { image: "depthwise", name: "depthwise_backward" };
    const PRODUCT: Kernel = Kernel { image: "product", name: "product" };
    const PRODUCT_INPUT: Kernel = Kernel { image: "product", name: "product_input" };
    const PRODUCT_WEIGHT: Kernel = Kernel { image: "product", name: "product_weight" };
    const NORMALISE: Kernel = Kernel { image: "normalise", name: "normalise" };
    const OUTPUT_GRADIENT: Kernel = Kernel { image: "normalise", name: "output_gradient" };
    const POOL: Kernel = Kernel { image: "classifier", name: "pool" };
    const LOSS: Kernel = Kernel { image: "classifier", name: "loss" };
    const BIAS_GRADIENT: Kernel = Kernel { image: "classifier", name: "bias_gradient" };
    const UNPOOL: Kernel = Kernel { image: "classifier", name: "unpool" };
    const HEAD_GRADIENT: Kernel = Kernel { image: "classifier", name: "head_gradient" };
}

/// An argument of a kernel.
enum Argument<'a> {
    Memory(&'a CudaSlice<u8>),
    U32(&'a u32),
    U64(&'a u64),
    F32(&'a f32),
}
use Argument::{F32, Memory, U32, U64};

/// Which kernel, and how many blocks and threads.
struct Call<'a> {
    device: &'a Device,
    kernel: Kernel,
    storage: Option<Storage>,
    blocks: usize,
    threads: usize,
    /// Items and tasks, which come before all other arguments.
    table: Option<[CudaView<'a, u8>; 2]>,
    work: Work,
}

impl Call<'_> {
    fn run(&self, arguments: &[Argument]) -> Result<(), CudaError> {
        if self.blocks == 0 {
            return Ok(());
        }
        let Kernel { image, name } = self.kernel;
        let name = self.storage.map_or(name.into(), |storage| format!("{name}_{storage}"));
        let function = self.device.function(image, &name)?;
        let mut builder = self.device.stream().launch_builder(&function);
        for part in self.table.iter().flatten() {
            builder.arg(part);
        }
        for argument in arguments {
            match argument {
                Memory(memory) => builder.arg(*memory),
                U32(value) => builder.arg(*value),
                U64(value) => builder.arg(*value),
                F32(value) => builder.arg(*value),
            };
        }
        let blocks = u32::try_from(self.blocks).map_err(|_| CudaError::Plan(format!("{} blocks", self.blocks)))?;
        let grid =
            LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (self.threads as u32, 1, 1), shared_mem_bytes: 0 };
        let launch = || {
            // SAFETY: the methods of `Arenas` give each kernel the arguments that it declares; tables are checked against the
            // arenas' lengths, and the arenas outlive the stream's work because freeing them is part of it.
            unsafe { builder.launch(grid) }.map(drop).map_err(CudaError::during("launching a kernel"))
        };
        self.device.launch(&name, self.work, launch)
    }
}

impl Arenas {
    fn device(&self) -> &Arc<Device> {
        self.floats.device()
    }

    /// The weights that products multiply with.
    fn product_weights(&self) -> &CudaSlice<u8> {
        match self.storage {
            Storage::F32 => self.parameters.memory(),
            Storage::F16 | Storage::Bf16 => self.weights.memory(),
        }
    }

    /// A launch over a table, if the arenas are as long as the table's tasks need.
    fn call<'a, T>(&'a self, kernel: Kernel, table: &'a Table<T>) -> Result<Call<'a>, CudaError> {
        let extents = table.extents;
        let (bytes, rounded) =
            (table.storage.bytes(), if table.storage == Storage::F32 { 0 } else { extents.parameters });
        let parts = [
            ("values", self.values.length(), extents.values * bytes),
            ("floats", self.floats.length(), extents.floats),
            ("parameters", self.parameters.length(), extents.parameters),
            ("momentum", self.momentum.length(), extents.parameters),
            ("gradients", self.gradients.length(), extents.parameters),
            ("weights", self.weights.length(), rounded * bytes),
            ("labels", self.labels.length(), extents.labels),
            ("chosen images", self.chosen.length(), extents.chosen),
            ("settings", self.settings.length(), 1),
        ];
        if let Some((what, length, needed)) = parts.into_iter().find(|(_, length, needed)| length < needed) {
            return Err(CudaError::Short { kernel: kernel.name, what, length, needed });
        }
        let missing = || CudaError::Plan("its tables were not copied to the device".into());
        Ok(Call {
            device: self.device(),
            kernel,
            storage: Some(table.storage),
            blocks: table.blocks(),
            threads: THREADS,
            table: Some(table.parts().ok_or_else(missing)?),
            work: table.work,
        })
    }

    fn product<'a, T>(&'a self, kernel: Kernel, table: &'a Table<T>) -> Result<Call<'a>, CudaError> {
        Ok(Call { threads: PRODUCT_THREADS, ..self.call(kernel, table)? })
    }

    /// For the classifier's products, which are f32 in every storage.
    fn full<'a, T>(&'a self, kernel: Kernel, table: &'a Table<T>) -> Result<Call<'a>, CudaError> {
        Ok(Call { storage: Some(Storage::F32), ..self.product(kernel, table)? })
    }

    /// For kernels that know no storage.
    fn plain<'a, T>(&'a self, kernel: Kernel, table: &'a Table<T>) -> Result<Call<'a>, CudaError> {
        Ok(Call { storage: None, ..self.call(kernel, table)? })
    }

    /// The stem's windows of images that lie in the floats.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn windows(&self, table: &Table<WindowsTask>) -> Result<(), CudaError> {
        self.call(Kernel::WINDOWS, table)?.run(&[Memory(self.floats.memory()), Memory(self.values.memory())])
    }

    /// Weighted sums of values.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn gather(&self, table: &Table<GatherTask>) -> Result<(), CudaError> {
        self.call(Kernel::GATHER, table)?.run(&[
            Memory(table.lists.edges.memory()),
            Memory(self.floats.memory()),
            Memory(self.values.memory()),
        ])
    }

    /// Channel sums of gradients and of their products with a gather's inputs.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn gather_sums(&self, table: &Table<SumsTask>) -> Result<(), CudaError> {
        self.call(Kernel::GATHER_SUMS, table)?.run(&[
            Memory(table.lists.edges.memory()),
            Memory(self.floats.memory()),
            Memory(self.values.memory()),
        ])
    }

    /// Weighted sum, ReLU and depthwise convolution.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn depthwise(&self, table: &Table<DepthwiseTask>) -> Result<(), CudaError> {
        self.call(Kernel::DEPTHWISE, table)?.run(&[
            Memory(table.lists.edges.memory()),
            Memory(self.parameters.memory()),
            Memory(self.floats.memory()),
            Memory(self.values.memory()),
        ])
    }

    /// Backward of [`depthwise`](Self::depthwise).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn depthwise_backward(&self, table: &Table<DepthwiseBackward>) -> Result<(), CudaError> {
        self.call(Kernel::DEPTHWISE_BACKWARD, table)?.run(&[
            Memory(table.lists.edges.memory()),
            Memory(self.parameters.memory()),
            Memory(self.floats.memory()),
            Memory(self.values.memory()),
        ])
    }

    /// Values times weights, and the results' moments.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn pointwise(&self, table: &Table<Pointwise>) -> Result<(), CudaError> {
        self.product(Kernel::PRODUCT, table)?.run(&[
            Memory(self.values.memory()),
            Memory(self.product_weights()),
            Memory(self.values.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Gradient of the values that [`pointwise`](Self::pointwise) read.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn input_gradient(&self, table: &Table<InputGradient>) -> Result<(), CudaError> {
        self.product(Kernel::PRODUCT_INPUT, table)?.run(&[
            Memory(self.values.memory()),
            Memory(self.product_weights()),
            Memory(self.values.memory()),
        ])
    }

    /// Gradient of the weights of [`pointwise`](Self::pointwise).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn weight_gradient(&self, table: &Table<WeightGradient>) -> Result<(), CudaError> {
        self.product(Kernel::PRODUCT_WEIGHT, table)?.run(&[
            Memory(self.values.memory()),
            Memory(self.values.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Logits from features.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn logits(&self, table: &Table<FullyConnected>) -> Result<(), CudaError> {
        self.full(Kernel::PRODUCT, table)?.run(&[
            Memory(self.floats.memory()),
            Memory(self.parameters.memory()),
            Memory(self.floats.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Gradient of the features from that of the logits.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn features_gradient(&self, table: &Table<FullyConnected>) -> Result<(), CudaError> {
        self.full(Kernel::PRODUCT_INPUT, table)?.run(&[
            Memory(self.floats.memory()),
            Memory(self.parameters.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Gradient of the classifier's weight.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn classifier_gradient(&self, table: &Table<FullyConnectedGradient>) -> Result<(), CudaError> {
        self.full(Kernel::PRODUCT_WEIGHT, table)?.run(&[
            Memory(self.floats.memory()),
            Memory(self.floats.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Batch norms, from moments or from running statistics.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn normalise(&self, table: &Table<NormTask>, statistics: Statistics) -> Result<(), CudaError> {
        let share = match statistics {
            Statistics::Running => 0.0,
            Statistics::Batch { share } => share,
        };
        self.plain(Kernel::NORMALISE, table)?.run(&[
            Memory(table.lists.readers.memory()),
            Memory(self.parameters.memory()),
            Memory(self.floats.memory()),
            F32(&share),
        ])
    }

    /// Backward of batch norms and edge weights.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn output_gradient(&self, table: &Table<GradientTask>) -> Result<(), CudaError> {
        self.plain(Kernel::OUTPUT_GRADIENT, table)?.run(&[
            Memory(table.lists.consumers.memory()),
            Memory(self.parameters.memory()),
            Memory(self.gradients.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Batch norm, ReLU, global average pool, dropout.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn pool(&self, table: &Table<Pool>, training: bool) -> Result<(), CudaError> {
        self.call(Kernel::POOL, table)?.run(&[
            Memory(self.values.memory()),
            Memory(self.floats.memory()),
            U32(&u32::from(training)),
        ])
    }

    /// Losses, and the logits' gradient.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn loss(&self, table: &Table<Loss>) -> Result<(), CudaError> {
        self.plain(Kernel::LOSS, table)?.run(&[
            Memory(self.parameters.memory()),
            Memory(self.labels.memory()),
            Memory(self.settings.memory()),
            Memory(self.floats.memory()),
        ])
    }

    /// Gradient of the classifier's bias.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn bias_gradient(&self, table: &Table<BiasGradient>) -> Result<(), CudaError> {
        self.plain(Kernel::BIAS_GRADIENT, table)?.run(&[Memory(self.floats.memory()), Memory(self.gradients.memory())])
    }

    /// Backward of [`pool`](Self::pool), up to the head's batch norm.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn unpool(&self, table: &Table<Unpool>) -> Result<(), CudaError> {
        self.plain(Kernel::UNPOOL, table)?.run(&[Memory(self.floats.memory())])
    }

    /// Gradient of the head's raw output.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn head_gradient(&self, table: &Table<HeadGradient>) -> Result<(), CudaError> {
        self.call(Kernel::HEAD_GRADIENT, table)?.run(&[Memory(self.floats.memory()), Memory(self.values.memory())])
    }

    /// The stem's windows of augmented images of a data set on the device; their sources count chosen images, which are
    /// some of the data set's.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn windows_augmented(&self, table: &Table<AugmentedWindows>, images: &ResidentImages) -> Result<(), CudaError> {
        self.call(Kernel::WINDOWS_AUGMENTED, table)?.run(&[
            Memory(images.pixels.memory()),
            Memory(self.chosen.memory()),
            Memory(images.table.memory()),
            Memory(self.values.memory()),
        ])
    }
}
