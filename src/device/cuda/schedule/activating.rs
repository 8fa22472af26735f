//! Records and tables of the operations that activate every input by itself.
//!
//! Forward, a level: join the inputs; windows (pooling, depthwise); products and dense convolutions. Backward: form the
//! gradient of the level's values from what joined them; batch norm's backward; the weights' gradients; then those of the
//! joined inputs, which may lie where the weights' gradients read.

use super::super::error::CudaError;
use super::super::launch::Arenas;
use super::super::program::{Candidate, OpPlaces};
use super::super::records::{
    Consumer, Convolution, ConvolutionInput, ConvolutionTask, ConvolutionWeight, Edge, GatherTask, GradientTask,
    HeadGradient, InputGradient, Join, JoinBack, JoinEdge, JoinTask, NONE, Pointwise, PoolingBackward, PoolingTask,
    ProductTask, SeparableTask, SeparableWeight, Table, Tables, WeightGradient, rows_per_tile,
};
use super::products::{forward, input_gradient, weight_gradient};
use super::tasks::{Builder, LevelTasks};
use crate::net::{OpKind, ParameterId};

/// Tasks of one level.
#[derive(Default)]
pub(super) struct ActivatingTasks {
    join: Vec<Join>,
    separable: Vec<SeparableTask>,
    pooling: Vec<PoolingTask>,
    convolution: Vec<ConvolutionTask>,
    join_back: Vec<JoinBack>,
    separable_back: Vec<SeparableTask>,
}

/// Tables of one level.
pub(super) struct ActivatingLevel {
    pub join: Table<Join>,
    pub convolution: Table<Convolution>,
    pub join_back: Table<JoinBack>,
    pub convolution_weight: Table<ConvolutionWeight>,
    pub convolution_input: Table<ConvolutionInput>,
    separable: Table<SeparableTask>,
    pool: Table<PoolingTask>,
    separable_weight: Table<SeparableWeight>,
    separable_back: Table<SeparableTask>,
    pool_back: Table<PoolingBackward>,
}

impl ActivatingLevel {
    pub(super) fn new(tables: &Tables, tasks: &ActivatingTasks) -> Result<Self, CudaError> {
        let convolutions = || tasks.convolution.iter().copied();
        let separable_weight = tasks.separable_back.iter().copied().zip(&tasks.separable);
        // The gradient of the output lies where the flipped convolution reads it.
        let separable_weight =
            separable_weight.map(|(back, task)| SeparableWeight(SeparableTask { output: back.input, ..*task }));
        Ok(ActivatingLevel {
            join: tables.stage(&tasks.join)?,
            convolution: tables.stage(&convolutions().map(Convolution).collect::<Vec<_>>())?,
            join_back: tables.stage(&tasks.join_back)?,
            convolution_weight: tables.stage(&convolutions().map(ConvolutionWeight).collect::<Vec<_>>())?,
            convolution_input: tables.stage(&convolutions().map(ConvolutionInput).collect::<Vec<_>>())?,
            separable: tables.stage(&tasks.separable)?,
            pool: tables.stage(&tasks.pooling)?,
            separable_weight: tables.stage(&separable_weight.collect::<Vec<_>>())?,
            separable_back: tables.stage(&tasks.separable_back)?,
            pool_back: tables.stage(&tasks.pooling.iter().copied().map(PoolingBackward).collect::<Vec<_>>())?,
        })
    }

    /// Launches pooling and the depthwise halves of separable convolutions.
    pub(super) fn windows(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.separable(&self.separable)?;
        arenas.pool_windows(&self.pool)
    }

    /// Launches their backward, after the gradients of all products' weights.
    pub(super) fn windows_back(&self, arenas: &Arenas) -> Result<(), CudaError> {
        arenas.separable_weight(&self.separable_weight)?;
        arenas.separable(&self.separable_back)?;
        arenas.pool_windows_back(&self.pool_back)
    }
}

/// What an evaluation launches in the place of a level's own: moments are not wanted.
pub(super) struct Evaluated {
    pub join: Table<Join>,
    pub pointwise: Table<Pointwise>,
    pub convolution: Table<Convolution>,
}

impl Evaluated {
    pub(super) fn new(tables: &Tables, tasks: &LevelTasks) -> Result<Self, CudaError> {
        let joins = tasks.activating.join.iter().map(|task| Join(JoinTask { sums: NONE, ..task.0 }));
        let products = tasks.pointwise.iter().map(|task| Pointwise(ProductTask { moments: NONE, ..task.0 }));
        let convolutions = tasks.activating.convolution.iter();
        let convolutions = convolutions.map(|task| Convolution(ConvolutionTask { moments: NONE, ..*task }));
        Ok(Evaluated {
            join: tables.stage(&joins.collect::<Vec<_>>())?,
            pointwise: tables.stage(&products.collect::<Vec<_>>())?,
            convolution: tables.stage(&convolutions.collect::<Vec<_>>())?,
        })
    }
}

impl Builder<'_> {
    /// The tasks of an operation that activates its inputs, or whose output is joined: the stem.
    pub(super) fn activating(&mut self, tasks: &mut LevelTasks, number: usize, op: usize) {
        let candidate = &self.program.candidates[number];
        let (places, kind) = (&candidate.ops[op], candidate.plan.ops[op].kind);
        // Without a batch norm, those that weight a value want their weights.
        if candidate.plan.values[candidate.plan.ops[op].output.0].norm.is_some() || candidate.is_weighted(op) {
            tasks.normalise.push(self.norm(number, op));
        }
        self.output_gradient(tasks, number, op);
        let weight = |weight: ParameterId| candidate.parameters.offset(weight);
        match kind {
            OpKind::Stem { weight: of, .. } => push_product(tasks, places, weight(of), None),
            OpKind::Convolution { weight: of, .. } => {
                tasks.activating.join.push(self.join(number, op, places.middle));
                match places.activating.convolution {
                    None => push_product(tasks, places, weight(of), Some(places.gradient)),
                    Some(task) => tasks.activating.convolution.push(ConvolutionTask {
                        input: places.middle,
                        gradient: places.gradient,
                        output: places.value,
                        output_gradient: places.output_gradient,
                        weight: weight(of),
                        weight_gradients: places.weight_gradients,
                        moments: places.moments,
                        ..task
                    }),
                }
            }
            OpKind::Separable { depthwise, pointwise, .. } => {
                tasks.activating.join.push(self.join(number, op, places.activating.joined));
                push_product(tasks, places, weight(pointwise), Some(places.middle_gradient));
                if let Some(task) = places.activating.separable {
                    let (input, weight_gradients) = (places.activating.joined, places.depthwise_gradients);
                    let task = SeparableTask { weight: weight(depthwise), weight_gradients, ..task };
                    tasks.activating.separable.push(SeparableTask { input, output: places.middle, ..task });
                    let (input, output) = (places.middle_gradient, places.gradient);
                    tasks.activating.separable_back.push(SeparableTask { input, output, flipped: 1, ..task });
                }
            }
            OpKind::Pool { .. } => {
                tasks.activating.join.push(self.join(number, op, places.middle));
                tasks.activating.pooling.extend(places.activating.pooling.map(|task| PoolingTask {
                    input: places.middle,
                    output: places.value,
                    chosen: places.activating.chosen.unwrap_or(NONE),
                    gradient: places.gradient,
                    output_gradient: places.output_gradient,
                    ..task
                }));
            }
            _ => tasks.activating.join.push(self.join(number, op, places.value)),
        }
    }

    /// The inputs of an operation, activated and joined.
    fn join(&mut self, number: usize, op: usize, output: u64) -> Join {
        let candidate = &self.program.candidates[number];
        let (places, kind) = (&candidate.ops[op], candidate.plan.ops[op].kind);
        let (first, mut end) = (self.lists.joins.len(), 0);
        for input in &candidate.plan.ops[op].inputs {
            let (value, from) = (candidate.plan.values[input.0], &candidate.ops[candidate.producer[input.0]]);
            let all = value.channels;
            let (to, count) = match kind {
                OpKind::Concatenation => (end, all),
                _ => (0, all.min(candidate.channels_read(op))),
            };
            end += all;
            self.lists.joins.push(JoinEdge {
                value: from.value,
                norm: if value.norm.is_some() { from.norm } else { NONE },
                leading: from.channels,
                from: 0,
                to: to as u32,
                count: count as u32,
                relu: value.relu.into(),
                reserved: 0,
            });
        }
        // A sum's moments are its own; the others' are those of what they make of the joined inputs.
        let sums = if kind == OpKind::Sum { places.moments } else { NONE };
        Join(self.join_task(
            first,
            JoinTask {
                output,
                sums,
                rows: places.in_rows,
                channels: places.in_channels,
                ..bytemuck::Zeroable::zeroed()
            },
        ))
    }

    fn join_task(&self, first: usize, task: JoinTask) -> JoinTask {
        JoinTask {
            first_edge: first as u32,
            edges: (self.lists.joins.len() - first) as u32,
            rows_per_tile: rows_per_tile(task.channels, self.program.storage),
            ..task
        }
    }

    /// What forms the gradient of an operation's output.
    fn output_gradient(&mut self, tasks: &mut LevelTasks, number: usize, op: usize) {
        let candidate = &self.program.candidates[number];
        let places = &candidate.ops[op];
        if !candidate.is_joined(op) {
            tasks.output_gradient.push(self.gradient(number, op));
            match candidate.is_weighted(op) {
                true => tasks.form_gradient.push(self.form_gradient(number, op)),
                // The classifier reads it.
                false => tasks.head_gradient.push(HeadGradient(self.classifier(number))),
            }
            return;
        }
        let value = candidate.plan.values[candidate.plan.ops[op].output.0];
        let back = self.join_back(candidate, op);
        tasks.activating.join_back.push(back);
        let (Some(norm), Some(&coefficients)) = (value.norm, places.gradient_coefficients.first()) else { return };
        let first = self.lists.consumers.len() as u32;
        let sums = places.activating.gradient_sums;
        self.lists.consumers.push(Consumer {
            sums,
            products: sums + u64::from(places.channels),
            coefficients,
            logit: NONE,
            groups: places.rows.div_ceil(back.0.rows_per_tile),
            stride: 2 * places.channels,
            weight: 1.0,
            reserved: 0,
        });
        tasks.output_gradient.push(GradientTask {
            norm: places.norm,
            gamma: candidate.parameters.offset(norm.gamma),
            beta: candidate.parameters.offset(norm.beta),
            own: places.own,
            rows: places.rows,
            channels: places.channels,
            first_consumer: first,
            consumers: 1,
        });
        let first_edge = self.lists.edges.len() as u32;
        self.lists.edges.push(Edge { value: places.activating.unnormalised_gradient, coefficients });
        self.lists.edges.push(Edge { value: places.value, coefficients: places.own });
        tasks.form_gradient.push(GatherTask {
            output: places.output_gradient,
            first_edge,
            edges: 2,
            rows: places.rows,
            channels: places.channels,
            rows_per_tile: back.0.rows_per_tile,
            reserved: 0,
        });
    }

    /// The gradient of a value from those of all that joined it.
    fn join_back(&mut self, candidate: &Candidate, op: usize) -> JoinBack {
        let places = &candidate.ops[op];
        let value = candidate.plan.values[candidate.plan.ops[op].output.0];
        let first = self.lists.joins.len();
        for &(consumer, position) in &places.consumers {
            let (reader, from) = (&candidate.plan.ops[consumer], &candidate.ops[consumer]);
            let before = reader.inputs[..position].iter().map(|input| candidate.plan.values[input.0].channels).sum();
            let (start, count): (usize, usize) = match reader.kind {
                OpKind::Concatenation => (before, value.channels),
                _ => (0, value.channels.min(candidate.channels_read(consumer))),
            };
            self.lists.joins.push(JoinEdge {
                value: from.gradient,
                norm: NONE,
                leading: from.in_channels,
                from: start as u32,
                to: 0,
                count: count as u32,
                relu: 0,
                reserved: 0,
            });
        }
        JoinBack(self.join_task(
            first,
            JoinTask {
                output: places.activating.unnormalised_gradient,
                sums: places.activating.gradient_sums,
                value: places.value,
                norm: if value.norm.is_some() { places.norm } else { NONE },
                rows: places.rows,
                channels: places.channels,
                relu: value.relu.into(),
                ..bytemuck::Zeroable::zeroed()
            },
        ))
    }
}

/// A product with the weight and its gradients; `gradient`: where that of the left operand goes, if it is wanted.
fn push_product(tasks: &mut LevelTasks, places: &OpPlaces, weight: u64, gradient: Option<u64>) {
    tasks.pointwise.push(Pointwise(forward(places, weight)));
    tasks.weight_gradient.push(WeightGradient(weight_gradient(places)));
    tasks.input_gradient.extend(gradient.map(|c| InputGradient(ProductTask { c, ..input_gradient(places, weight) })));
}
