//! The records of one grouped launch, on the device.

use super::super::device::{Buffer, Device};
use super::super::error::CudaError;
use super::super::storage::Storage;
use super::{Consumer, Edge, JoinEdge, Reader, Task, Work};
use bytemuck::{Pod, Zeroable};
use cudarc::driver::CudaView;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

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

/// What is copied to the device in one piece: the items and tasks of many tables.
type Piece = Arc<OnceLock<Buffer<u8>>>;

/// Bytes that parts of a piece begin on multiples of.
const ALIGNMENT: usize = 16;

/// Makes tables whose tasks share lists.
pub struct Tables {
    device: Arc<Device>,
    lists: Lists,
    memory: Arc<ListMemory>,
    /// What is not on the device yet.
    staged: RefCell<(Vec<u8>, Piece)>,
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
        Ok(Tables { device: device.clone(), lists, memory: Arc::new(memory), staged: RefCell::default() })
    }

    /// Checks tasks and copies them to the device.
    ///
    /// # Errors
    /// A task that points outside its arena or list; out of memory.
    pub fn table<T: Task>(&self, tasks: &[T]) -> Result<Table<T>, CudaError> {
        let table = self.stage(tasks)?;
        self.copy()?;
        Ok(table)
    }

    /// Checks tasks; [`copy`](Self::copy) copies them to the device, with all that were staged since the last time: one copy
    /// instead of hundreds.
    ///
    /// # Errors
    /// A task that points outside its arena or list.
    pub(in super::super) fn stage<T: Task>(&self, tasks: &[T]) -> Result<Table<T>, CudaError> {
        let (mut items, mut work) = (Vec::new(), Work::default());
        for (number, task) in tasks.iter().enumerate() {
            task.check(&self.lists)?;
            work += task.work(&self.lists);
            items.extend(
                (0..task.tiles(self.lists.storage)).map(|tile| Item { task: number as u32, tile: tile as u32 }),
            );
        }
        let (bytes, piece) = &mut *self.staged.borrow_mut();
        let mut put = |part: &[u8]| {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            bytes.extend(part);
            bytes.len() - part.len()..bytes.len()
        };
        Ok(Table {
            blocks: items.len(),
            items: put(bytemuck::cast_slice(&items)),
            tasks: put(bytemuck::cast_slice(tasks)),
            piece: piece.clone(),
            extents: self.lists.extents,
            storage: self.lists.storage,
            lists: self.memory.clone(),
            work,
            kind: PhantomData,
        })
    }

    /// Copies to the device what was staged.
    ///
    /// # Errors
    /// Out of memory.
    pub(in super::super) fn copy(&self) -> Result<(), CudaError> {
        let (bytes, piece) = self.staged.take();
        let copied = Buffer::copied(&self.device, &bytes)?;
        piece.get_or_init(|| copied);
        Ok(())
    }
}

/// The tasks of one grouped launch and what each of its blocks does. Everything they point at lies within `extents`.
pub struct Table<T> {
    blocks: usize,
    /// In bytes of the piece.
    items: Range<usize>,
    tasks: Range<usize>,
    piece: Piece,
    pub(in super::super) extents: Extents,
    pub(in super::super) storage: Storage,
    pub(in super::super) lists: Arc<ListMemory>,
    /// Of all tasks.
    pub(in super::super) work: Work,
    kind: PhantomData<T>,
}

impl<T> Table<T> {
    /// Blocks of the launch; 0: there is nothing to launch.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Items and tasks on the device; `None`: they were not copied there.
    pub(in super::super) fn parts(&self) -> Option<[CudaView<'_, u8>; 2]> {
        let piece = self.piece.get()?.memory();
        Some([piece.slice(self.items.clone()), piece.slice(self.tasks.clone())])
    }
}
