//! Fitting generators to weighted graphs, teacher-forced.

use super::adam::Adam;
use super::gran::{Gran, Score, Target, Workspace};
use super::loss::{factors, weighted};
use super::prefixes::PrefixBatch;
use crate::graph::LabelledGraph;
use std::sync::Mutex;

/// Nodes of the batched graph that one task is given at least, where there are so many: enough for the products to be
/// efficient, few enough to stay in the cache.
const TASK_NODES: usize = 128;

/// A graph and its weight in the loss.
#[derive(Clone, Copy)]
pub(super) struct Example<'a> {
    pub graph: &'a LabelledGraph,
    pub rho: f64,
}

/// Fits one generator.
pub(super) struct Trainer {
    pub gran: Gran,
    adam: Adam,
    /// The first `active` belong to the minibatch; the others keep their memory for a larger one.
    tasks: Vec<Task>,
    active: usize,
}

/// Some graphs of a minibatch: forward, loss, backward. Which graphs a task has depends on the configuration and the
/// minibatch only, never on the number of threads.
#[derive(Default)]
struct Task {
    batch: PrefixBatch,
    rows: Vec<u128>,
    /// Target and score, later the coefficient, of every prefix.
    prefixes: Vec<(Target, Score)>,
    rhos: Vec<f64>,
    losses: Vec<f64>,
    /// Derivative of the minibatch's loss by each graph's l.
    slopes: Vec<f64>,
    workspace: Workspace,
    gradient: Vec<f32>,
    loss: f64,
}

impl Trainer {
    pub fn new(gran: Gran, learning_rate: f64) -> Self {
        let adam = Adam::new(gran.parameters.len(), learning_rate);
        Trainer { gran, adam, tasks: Vec::new(), active: 0 }
    }

    /// Graphs of a task.
    fn task_graphs(&self) -> usize {
        let config = &self.gran.config;
        let nodes: usize = (config.first_step()..config.nodes).map(|step| step + 1).sum();
        TASK_NODES.div_ceil(nodes.max(1))
    }

    /// Sets up the tasks of a minibatch.
    fn prepare<'a>(&mut self, examples: impl Iterator<Item = Example<'a>> + Clone) {
        let size = self.task_graphs();
        let count = examples.clone().count();
        self.active = count.div_ceil(size);
        self.tasks.resize_with(self.active.max(self.tasks.len()), Task::default);
        for (index, task) in self.tasks[..self.active].iter_mut().enumerate() {
            task.prepare(&self.gran, examples.clone().skip(index * size).take(size), count);
        }
    }

    /// Adds up the tasks' losses and gradients, in order.
    fn reduce(&mut self) -> f64 {
        let Some((first, rest)) = self.tasks[..self.active].split_first_mut() else { return 0.0 };
        for task in rest {
            first.gradient.iter_mut().zip(&task.gradient).for_each(|(sum, value)| *sum += value);
            first.loss += task.loss;
        }
        first.loss
    }

    /// Gradient of the last minibatch's loss.
    #[cfg(test)]
    pub fn gradient(&self) -> &[f32] {
        self.tasks.first().map_or(&[], |first| &first.gradient)
    }

    fn update(&mut self) {
        if let Some(first) = self.tasks.first() {
            self.adam.step(&mut self.gran.parameters, &first.gradient);
        }
    }
}

impl Task {
    fn prepare<'a>(&mut self, gran: &Gran, examples: impl Iterator<Item = Example<'a>>, minibatch: usize) {
        let config = &gran.config;
        self.batch.clear();
        self.prefixes.clear();
        self.rhos.clear();
        for (index, Example { graph, rho }) in examples.enumerate() {
            self.rows.clear();
            self.rows.extend((0..config.nodes).map(|node| graph.dag.predecessor_bits(node)));
            self.batch.push(index, &self.rows, config.first_step()..config.nodes);
            let targets = (config.first_step()..config.nodes).map(|step| {
                let operator = graph.operators.get(step).copied().unwrap_or(0);
                (Target { row: self.rows[step], operator }, Score::default())
            });
            self.prefixes.extend(targets);
            self.rhos.push(rho / minibatch as f64);
        }
        self.gradient.resize(gran.parameters.len(), 0.0);
    }

    /// The loss of the task's graphs and its gradient.
    fn run(&mut self, gran: &Gran) {
        gran.forward(&self.batch, &mut self.workspace);
        let factors = factors(&gran.config);
        self.losses.clear();
        self.losses.resize(self.rhos.len(), 0.0);
        for (index, (prefix, (target, score))) in self.batch.prefixes.iter().zip(&mut self.prefixes).enumerate() {
            *score = gran.score(&mut self.workspace, index, *prefix, *target);
            self.losses[prefix.graph] -= factors.row * score.row + factors.operator * score.operator;
        }
        self.loss = 0.0;
        self.slopes.clear();
        for (rho, l) in self.rhos.iter().zip(&self.losses) {
            let weighted = weighted(*rho, *l);
            self.loss += weighted.loss;
            self.slopes.push(weighted.slope);
        }
        for (prefix, (_, score)) in self.batch.prefixes.iter().zip(&mut self.prefixes) {
            let slope = self.slopes[prefix.graph];
            *score = Score { row: -slope * factors.row, operator: -slope * factors.operator };
        }
        self.gradient.fill(0.0);
        gran.backward(&self.batch, &self.prefixes, &mut self.workspace, &mut self.gradient);
    }
}

/// Loss and gradient of every trainer, each on its own graph of every architecture of the minibatch. Returns the loss,
/// summed over the trainers. The result does not depend on the number of threads.
pub(super) fn evaluate<'a, I>(trainers: &mut [Trainer], threads: usize, examples: impl Fn(usize) -> I) -> f64
where
    I: Iterator<Item = Example<'a>> + Clone,
{
    for (component, trainer) in trainers.iter_mut().enumerate() {
        trainer.prepare(examples(component));
    }
    let tasks = trainers.iter_mut().flat_map(|Trainer { gran, tasks, active, .. }| {
        let gran: &Gran = gran;
        tasks[..*active].iter_mut().map(move |task| (gran, task))
    });
    share_out(threads, tasks, |(gran, task)| task.run(gran));
    trainers.iter_mut().map(Trainer::reduce).sum()
}

/// [`evaluate`], then an optimiser step of every trainer.
pub(super) fn step<'a, I>(trainers: &mut [Trainer], threads: usize, examples: impl Fn(usize) -> I) -> f64
where
    I: Iterator<Item = Example<'a>> + Clone,
{
    let loss = evaluate(trainers, threads, examples);
    trainers.iter_mut().for_each(Trainer::update);
    loss
}

/// Runs independent pieces of work on up to `threads` threads, this one included.
fn share_out<W: Send>(threads: usize, work: impl Iterator<Item = W> + Send, run: impl Fn(W) + Sync) {
    if threads <= 1 {
        return work.for_each(run);
    }
    let queue = Mutex::new(work);
    let next = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    std::thread::scope(|scope| {
        let worker = || {
            while let Some(piece) = next() {
                run(piece);
            }
        };
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
}
