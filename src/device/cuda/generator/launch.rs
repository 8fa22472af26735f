//! One typed launch for each of the generator's kernels. A launch checks that all its record points at lies in memory, for
//! every batch that the capacity allows; a batch's lists are checked when they are copied.

use super::batch::{Capacity, Lists, PrefixGraphs, RowTarget, targets};
use super::records::{
    AdamTask, Dense, DenseInput, DenseWeight, Differences, DifferencesGradient, DrawRows, EdgeSums, EdgeSumsGradient,
    EdgesGradient, Features, Gate, GateGradient, GraphLoss, Gru, GruGradient, PRODUCT_THREADS, Part, Record, Score,
    ScoreGradient, SumTask, TableRecord,
};
use crate::device::cuda::error::CudaError;
use crate::device::cuda::records::{Item, THREADS};
use crate::device::cuda::{Buffer, Device};
use cudarc::driver::{CudaSlice, DeviceRepr, LaunchConfig, PushKernelArg};
use std::sync::Arc;

macro_rules! passed_by_value {
    ($($record:ty),*) => {
        $(
            // SAFETY: `repr(C)` of numbers without padding (`Pod`), laid out as the kernel's argument.
            unsafe impl DeviceRepr for $record {}
        )*
    };
}
passed_by_value!(
    AdamTask,
    Differences,
    DifferencesGradient,
    DrawRows,
    EdgeSums,
    EdgeSumsGradient,
    EdgesGradient,
    Features,
    Gate,
    GateGradient,
    GraphLoss,
    Gru,
    GruGradient,
    Score,
    ScoreGradient
);

/// All memory of one generator's kernels.
pub struct Memory {
    /// Parameters, states, gradients.
    pub floats: Buffer<f32>,
    /// Log-probabilities, losses, random numbers.
    pub doubles: Buffer<f64>,
    indices: Buffer<u32>,
    lists: Lists,
    capacity: Capacity,
}

/// The tasks of one grouped launch, checked against a [`Memory`] of some size.
pub struct TaskTable<T> {
    items: Buffer<Item>,
    tasks: Buffer<T>,
    needed: usize,
    most: Vec<Capacity>,
}

/// The two arenas' lengths.
#[derive(Clone, Copy)]
struct Lengths {
    floats: usize,
    doubles: usize,
}

impl Lengths {
    /// That parts lie in the arenas, on 16 bytes.
    fn check(self, kernel: &'static str, parts: &[Part]) -> Result<(), CudaError> {
        for part in parts {
            let length = if part.double { self.doubles } else { self.floats };
            let end = part.at.checked_add(part.length).and_then(|end| usize::try_from(end).ok()).unwrap_or(usize::MAX);
            if end > length {
                return Err(CudaError::Short { kernel, what: part.what, length, needed: end });
            }
            if !part.double && !part.at.is_multiple_of(4) {
                return Err(CudaError::Plan(format!("{kernel}: {} at {}, not on 16 bytes", part.what, part.at)));
            }
        }
        Ok(())
    }
}

impl Memory {
    /// Memory for batches of a capacity, all zero.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(device: &Arc<Device>, capacity: Capacity, floats: usize, doubles: usize) -> Result<Self, CudaError> {
        let (lists, words) = Lists::new(capacity);
        Ok(Memory {
            floats: Buffer::zeros(device, floats)?,
            doubles: Buffer::zeros(device, doubles)?,
            indices: Buffer::zeros(device, words)?,
            lists,
            capacity,
        })
    }

    /// The places of the batch's lists.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Copies a batch to the device, of a generator with so many nodes and operators, and Adam's factors.
    ///
    /// # Errors
    /// Lists that do not fit together or hold more than the capacity; the driver's.
    pub fn write_batch(
        &mut self,
        batch: &PrefixGraphs,
        (nodes, operators): (usize, usize),
        adam: [f32; 2],
    ) -> Result<(), CudaError> {
        let words = batch.pack((&self.lists, self.capacity, self.indices.len()), (nodes, operators), adam)?;
        self.indices.write(0, &words)
    }

    /// The first targets, drawn or written.
    ///
    /// # Errors
    /// The driver's.
    pub fn targets(&self, prefixes: usize) -> Result<Vec<RowTarget>, CudaError> {
        let (rows, operators) = (self.lists.target_rows as usize, self.lists.target_operators as usize);
        let rows = self.indices.read(rows..rows + 4 * prefixes)?;
        Ok(targets(&rows, &self.indices.read(operators..operators + prefixes)?))
    }

    fn device(&self) -> &Arc<Device> {
        self.floats.device()
    }

    fn lengths(&self) -> Lengths {
        Lengths { floats: self.floats.len(), doubles: self.doubles.len() }
    }

    fn check_most(&self, kernel: &'static str, most: Capacity) -> Result<(), CudaError> {
        match self.capacity.lacks(most) {
            Some((what, length, needed)) => Err(CudaError::Short { kernel, what, length, needed }),
            None => Ok(()),
        }
    }

    /// Checks tasks and copies them to the device.
    ///
    /// # Errors
    /// A task that points outside the memory; out of memory.
    pub fn table<T: TableRecord>(&self, tasks: &[T]) -> Result<TaskTable<T>, CudaError> {
        let mut items = Vec::new();
        for (number, task) in tasks.iter().enumerate() {
            self.lengths().check("a grouped launch", &task.parts())?;
            self.check_most("a grouped launch", task.most())?;
            items.extend((0..task.blocks()).map(|tile| Item { task: number as u32, tile: tile as u32 }));
        }
        Ok(TaskTable {
            items: Buffer::copied(self.device(), &items)?,
            tasks: Buffer::copied(self.device(), tasks)?,
            needed: self.floats.len(),
            most: tasks.iter().map(TableRecord::most).collect(),
        })
    }

    fn grouped<T>(
        &self,
        [image, name]: [&'static str; 2],
        threads: usize,
        table: &TaskTable<T>,
    ) -> Result<(), CudaError> {
        table.most.iter().try_for_each(|&most| self.check_most(name, most))?;
        if self.floats.len() < table.needed {
            let (length, needed) = (self.floats.len(), table.needed);
            return Err(CudaError::Short { kernel: name, what: "floats", length, needed });
        }
        let call = Call { device: self.device(), image, name, blocks: table.items.length() as u64, threads };
        let [items, tasks] = [table.items.memory(), table.tasks.memory()];
        call.run::<u32>(None, &[items, tasks, self.indices.memory(), self.floats.memory()])
    }

    /// Linear layers.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn dense(&self, table: &TaskTable<Dense>) -> Result<(), CudaError> {
        self.grouped(["dense", "dense"], PRODUCT_THREADS, table)
    }

    /// Gradients of the inputs of linear layers, and products of weights.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn dense_input(&self, table: &TaskTable<DenseInput>) -> Result<(), CudaError> {
        self.grouped(["dense", "dense_input"], PRODUCT_THREADS, table)
    }

    /// Gradients of the weights and biases of linear layers, in partial sums.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn dense_weight(&self, table: &TaskTable<DenseWeight>) -> Result<(), CudaError> {
        self.grouped(["dense", "dense_weight"], PRODUCT_THREADS, table)
    }

    /// Sums of partial gradients.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn sum_partials(&self, table: &TaskTable<SumTask>) -> Result<(), CudaError> {
        self.grouped(["adam", "sum_partials"], THREADS, table)
    }

    /// Launches a record's kernel with the memory that it uses.
    fn launch<R: Record + DeviceRepr>(&self, record: &R, memory: &[&CudaSlice<u8>]) -> Result<(), CudaError> {
        self.check_most(R::NAME, record.most())?;
        self.lengths().check(R::NAME, &record.parts(self.capacity))?;
        let record = record.with_lists(self.lists);
        let call = Call {
            device: self.device(),
            image: R::IMAGE,
            name: R::NAME,
            blocks: record.blocks(),
            threads: R::THREADS,
        };
        call.run(Some(&record), memory)
    }

    fn on_floats<R: Record + DeviceRepr>(&self, record: &R) -> Result<(), CudaError> {
        self.launch(record, &[self.indices.memory(), self.floats.memory()])
    }

    fn on_both<R: Record + DeviceRepr>(&self, record: &R) -> Result<(), CudaError> {
        self.launch(record, &[self.indices.memory(), self.floats.memory(), self.doubles.memory()])
    }

    /// What nodes start from.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn features(&self, record: &Features) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Sums of an edge network's hidden layer over the edges into each node.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn edge_sums(&self, record: &EdgeSums) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Backward of [`edge_sums`](Self::edge_sums).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn edge_sums_gradient(&self, record: &EdgeSumsGradient) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Backward of the first layers of a gated edge network.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn edges_gradient(&self, record: &EdgesGradient) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Sums of gated messages over the edges into each node.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn gate(&self, record: &Gate) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Backward of [`gate`](Self::gate), up to the products.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn gate_gradient(&self, record: &GateGradient) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// The GRU cell.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn gru(&self, record: &Gru) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Backward of [`gru`](Self::gru).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn gru_gradient(&self, record: &GruGradient) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Differences of states.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn differences(&self, record: &Differences) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Backward of [`differences`](Self::differences).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn differences_gradient(&self, record: &DifferencesGradient) -> Result<(), CudaError> {
        self.on_floats(record)
    }

    /// Log-probabilities of the targets.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn score(&self, record: &Score) -> Result<(), CudaError> {
        self.on_both(record)
    }

    /// Losses of graphs.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn graph_loss(&self, record: &GraphLoss) -> Result<(), CudaError> {
        self.launch(record, &[self.indices.memory(), self.doubles.memory()])
    }

    /// Gradients of the logits.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn score_gradient(&self, record: &ScoreGradient) -> Result<(), CudaError> {
        self.on_both(record)
    }

    /// Draws of the targets.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn draw(&self, record: &DrawRows) -> Result<(), CudaError> {
        self.on_both(record)
    }

    /// A step of Adam.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn adam(&self, record: &AdamTask) -> Result<(), CudaError> {
        self.on_floats(record)
    }
}

/// A kernel, and how many blocks and threads.
struct Call<'a> {
    device: &'a Device,
    image: &'static str,
    name: &'static str,
    blocks: u64,
    threads: usize,
}

impl Call<'_> {
    /// With a record, if there is one, and memory.
    fn run<R: DeviceRepr>(&self, record: Option<&R>, memory: &[&CudaSlice<u8>]) -> Result<(), CudaError> {
        if self.blocks == 0 {
            return Ok(());
        }
        let function = self.device.function(self.image, self.name)?;
        let mut builder = self.device.stream().launch_builder(&function);
        if let Some(record) = record {
            builder.arg(record);
        }
        for &part in memory {
            builder.arg(part);
        }
        let blocks = u32::try_from(self.blocks).map_err(|_| CudaError::Plan(format!("{} blocks", self.blocks)))?;
        let grid =
            LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (self.threads as u32, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the methods of `Memory` give each kernel the arguments that it declares; records are checked against the
        // arenas' lengths and lists against each other, and the arenas outlive the stream's work because freeing them is
        // part of it.
        unsafe { builder.launch(grid) }.map_err(CudaError::during("launching a kernel"))?;
        self.device.count_launch();
        Ok(())
    }
}
