//! The launches of a step, as many for one graph as for many.
//!
//! A training step runs [`forward`], [`loss`](scores), [`backward`] and [`update`]; a draw runs [`forward`] and
//! [`draws`](scores). All are lists of [`Operation`]s over fixed places, made once: what changes from batch to batch is in
//! the lists and counts that the kernels read, so a step can be captured and replayed.

mod backward;
mod forward;
mod scores;
mod update;

pub(super) use backward::{Gradients, backward};
pub(super) use forward::forward;
pub use scores::Shares;
pub(super) use scores::{draws, loss};
pub(super) use update::update;

use super::area::Area;
use super::batch::{Capacity, Lists};
use super::launch::{Memory, TaskTable};
use super::places::Places;
use super::records::{
    AdamTask, Count, Dense, DenseInput, DenseTask, DenseWeight, Differences, DifferencesGradient, DrawRows, EdgeSums,
    EdgeSumsGradient, EdgesGradient, Features, Gate, GateGradient, GraphLoss, Gru, GruGradient, NO_LIST, Score,
    ScoreGradient, SumTask,
};
use super::shape::{GranShape, Widths};
use crate::device::cuda::CudaError;
use crate::device::cuda::records::NONE;

/// What the operations are about.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub shape: &'a GranShape,
    pub widths: Widths,
    pub capacity: Capacity,
    pub places: &'a Places,
    pub lists: &'a Lists,
}

impl Scene<'_> {
    /// The most nodes, as records have it.
    fn nodes(&self) -> u32 {
        self.capacity.nodes as u32
    }

    /// The count that a head's rows are.
    fn head_count(head: usize) -> Count {
        if head < 2 { Count::Nodes } else { Count::Prefixes }
    }

    /// A head's input.
    fn head_input(&self, head: usize) -> Area {
        if head < 2 { self.places.differences } else { self.places.new_states }
    }

    fn has_operators(&self) -> bool {
        self.shape.operators > 0
    }
}

/// One launch.
pub(super) enum Operation {
    Dense(Vec<Dense>),
    DenseInput(Vec<DenseInput>),
    DenseWeight(Vec<DenseWeight>),
    SumPartials(Vec<SumTask>),
    Features(Features),
    EdgeSums(EdgeSums),
    EdgeSumsGradient(EdgeSumsGradient),
    EdgesGradient(EdgesGradient),
    Gate(Gate),
    GateGradient(GateGradient),
    Gru(Gru),
    GruGradient(GruGradient),
    Differences(Differences),
    DifferencesGradient(DifferencesGradient),
    Score(Score),
    GraphLoss(GraphLoss),
    ScoreGradient(ScoreGradient),
    Draw(DrawRows),
    Adam(AdamTask),
}

/// The tasks of an operation on the device, if it is a grouped launch.
enum Table {
    Dense(TaskTable<Dense>),
    DenseInput(TaskTable<DenseInput>),
    DenseWeight(TaskTable<DenseWeight>),
    SumPartials(TaskTable<SumTask>),
    None,
}

/// An operation that can be launched.
pub(super) struct Step {
    operation: Operation,
    table: Table,
}

impl Step {
    /// Checks an operation against the memory it is for.
    pub fn new(operation: Operation, memory: &Memory) -> Result<Self, CudaError> {
        let table = match &operation {
            Operation::Dense(tasks) => Table::Dense(memory.table(tasks)?),
            Operation::DenseInput(tasks) => Table::DenseInput(memory.table(tasks)?),
            Operation::DenseWeight(tasks) => Table::DenseWeight(memory.table(tasks)?),
            Operation::SumPartials(tasks) => Table::SumPartials(memory.table(tasks)?),
            _ => Table::None,
        };
        Ok(Step { operation, table })
    }

    pub fn launch(&self, memory: &Memory) -> Result<(), CudaError> {
        match (&self.operation, &self.table) {
            (_, Table::Dense(table)) => memory.dense(table),
            (_, Table::DenseInput(table)) => memory.dense_input(table),
            (_, Table::DenseWeight(table)) => memory.dense_weight(table),
            (_, Table::SumPartials(table)) => memory.sum_partials(table),
            (Operation::Features(record), _) => memory.features(record),
            (Operation::EdgeSums(record), _) => memory.edge_sums(record),
            (Operation::EdgeSumsGradient(record), _) => memory.edge_sums_gradient(record),
            (Operation::EdgesGradient(record), _) => memory.edges_gradient(record),
            (Operation::Gate(record), _) => memory.gate(record),
            (Operation::GateGradient(record), _) => memory.gate_gradient(record),
            (Operation::Gru(record), _) => memory.gru(record),
            (Operation::GruGradient(record), _) => memory.gru_gradient(record),
            (Operation::Differences(record), _) => memory.differences(record),
            (Operation::DifferencesGradient(record), _) => memory.differences_gradient(record),
            (Operation::Score(record), _) => memory.score(record),
            (Operation::GraphLoss(record), _) => memory.graph_loss(record),
            (Operation::ScoreGradient(record), _) => memory.score_gradient(record),
            (Operation::Draw(record), _) => memory.draw(record),
            (Operation::Adam(record), _) => memory.adam(record),
            _ => Ok(()),
        }
    }
}

/// `C = A B`, with both operands as the kernel wants them.
fn product(a: Area, b: Area, c: Area, live: Count) -> DenseTask {
    DenseTask {
        a: a.at,
        b: b.at,
        c: c.at,
        bias: NONE,
        mask: NONE,
        a_pitch: a.pitch as u32,
        b_pitch: b.pitch as u32,
        c_pitch: c.pitch as u32,
        mask_pitch: 0,
        rows: c.rows as u32,
        columns: c.columns as u32,
        depth: a.columns as u32,
        live: live as u32,
        bias_columns: 0,
        bias_rows: NO_LIST,
        split: 0,
        flags: 0,
    }
}

/// `C (rows, columns) = A (rows, depth) B (columns, depth)^T`
fn forward_product(a: Area, b: Area, c: Area, live: Count) -> DenseTask {
    assert!(a.rows == c.rows && b.rows == c.columns && a.columns == b.columns, "{a:?} {b:?} {c:?}");
    product(a, b, c, live)
}

/// `C (rows, columns) = A (rows, depth) B (depth, columns)`
fn input_product(a: Area, b: Area, c: Area, live: Count) -> DenseTask {
    assert!(a.rows == c.rows && b.columns == c.columns && a.columns == b.rows, "{a:?} {b:?} {c:?}");
    product(a, b, c, live)
}

/// With a bias for the first columns.
fn with_bias(task: DenseTask, bias: Area) -> DenseTask {
    DenseTask { bias: bias.at, bias_columns: bias.columns as u32, ..task }
}

/// With a ReLU where it is one.
fn rectified(task: DenseTask, rectify: bool) -> DenseTask {
    DenseTask { flags: if rectify { DenseTask::RECTIFY } else { 0 }, ..task }
}

/// Where the mask is positive, zero elsewhere.
fn masked(task: DenseTask, mask: Area) -> DenseTask {
    DenseTask { mask: mask.at, mask_pitch: mask.pitch as u32, ..task }
}
