//! The records of one grouped launch, on the device.

use super::super::device::{Buffer, Device};
use super::super::error::CudaError;
use super::super::storage::Storage;
use super::{Consumer, Edge, JoinEdge, Reader, Task, Work};
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// What block number b works on: tile `tile` of task `task`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Item {
    /// Index in the table.
    pub task: u32,
    /// Which of the task's blocks.
    pub tile: u32,
}

/// Elements of the arenas that records point into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    /// Values, in the storage's format.
    pub values: usize,
    /// Everything in f32 that is not as large as the parameters.
    pub floats: usize,
    /// Parameters, their momentum, gradients and rounded copies.
    pub parameters: usize,
    /// Labels.
    pub labels: usize,
    /// Images chosen from the data set on the device.
    pub chosen: usize,
}

/// The lists that tasks name parts of, and the arenas that everything points into.
#[derive(Clone, Debug)]
pub struct Lists {
    /// Lengths of the arenas.
    pub extents: Extents,
    /// Format of the values.
    pub storage: Storage,
    /// Inputs of gathers.
    pub edges: Vec<Edge>,
    /// Ranges of channels that are joined.
    pub joins: Vec<JoinEdge>,
    /// Readers of outputs.
    pub readers: Vec<Reader>,
    /// Consumers of outputs, in the backward.
    pub consumers: Vec<Consumer>,
}

/// The lists on the device.
pub(in super::super) struct ListMemory {
    pub edges: Buffer<Edge>,
    pub joins: Buffer<JoinEdge>,
    pub readers: Buffer<Reader>,
    pub consumers: Buffer<Consumer>,
}

/// Makes tables whose tasks share lists.
pub struct Tables {
    device: Arc<Device>,
    lists: Lists,
    memory: Arc<ListMemory>,
}

impl Tables {
    /// Copies lists to the device.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(device: &Arc<Device>, lists: Lists) -> Result<Self, CudaError> {
        let memory = ListMemory {
            edges: Buffer::copied(device, &lists.edges)?,
            joins: Buffer::copied(device, &lists.joins)?,
            readers: Buffer::copied(device, &lists.readers)?,
            consumers: Buffer::copied(device, &lists.consumers)?,
        };
        Ok(Tables { device: device.clone(), lists, memory: Arc::new(memory) })
    }

    /// Checks tasks and copies them to the device.
    ///
    /// # Errors
    /// A task that points outside its arena or list; out of memory.
    pub fn table<T: Task>(&self, tasks: &[T]) -> Result<Table<T>, CudaError> {
        let (mut items, mut work) = (Vec::new(), Work::default());
        for (number, task) in tasks.iter().enumerate() {
            task.check(&self.lists)?;
            work += task.work(&self.lists);
            items.extend(
                (0..task.tiles(self.lists.storage)).map(|tile| Item { task: number as u32, tile: tile as u32 }),
            );
        }
        Ok(Table {
            items: Buffer::copied(&self.device, &items)?,
            tasks: Buffer::copied(&self.device, tasks)?,
            extents: self.lists.extents,
            storage: self.lists.storage,
            lists: self.memory.clone(),
            work,
        })
    }
}

/// The tasks of one grouped launch and what each of its blocks does. Everything they point at lies within `extents`.
pub struct Table<T> {
    pub(in super::super) items: Buffer<Item>,
    pub(in super::super) tasks: Buffer<T>,
    pub(in super::super) extents: Extents,
    pub(in super::super) storage: Storage,
    pub(in super::super) lists: Arc<ListMemory>,
    /// Of all tasks.
    pub(in super::super) work: Work,
}

impl<T> Table<T> {
    /// Blocks of the launch; 0: there is nothing to launch.
    pub fn blocks(&self) -> usize {
        self.items.length()
    }
}
