//! Fitting generators to weighted graphs, teacher-forced.

use super::adam::{Adam, PIECE};
use super::gran::{Gran, Score, Target, Workspace};
use super::loss::{factors, weighted};
use super::passes::Example;
use super::prefixes::{PrefixBatch, bits};
use super::shares::{Part, all_steps, surplus};
use super::weights::Weights;
use crate::device::cpu::gang::Gang;
use crate::device::cpu::matrix::{Sum, Vectorise, vectorise};
use std::ops::Range;

/// Nodes of the batched graph that go through the network at once, where there are so many: enough for the products to be
/// efficient, few enough to stay in the cache.
const TASK_NODES: usize = 128;

/// Most groups of a minibatch. Each has a gradient of its own, so more threads than this have nothing to do.
const MOST_GROUPS: usize = 8;

/// Graphs of a minibatch that is shared out prefix by prefix.
const PAIR: usize = 2;

/// The architectures of a step.
#[derive(Clone, Copy)]
pub(super) struct Minibatch<'a> {
    pub count: usize,
    /// The graph of a component (first number) of an architecture (second number).
    pub example: &'a (dyn Fn(usize, usize) -> Example<'a> + Sync),
}

/// Fits one generator.
pub(super) struct Trainer {
    pub gran: Gran,
    adam: Adam,
    weights: Weights,
    /// Of the last minibatch's loss.
    gradient: Vec<f32>,
    /// Whether the weights are those of the parameters.
    packed: bool,
}

/// Threads and their memory, for the steps of a fit.
pub(super) struct Crew {
    gang: Gang,
    memories: Vec<Memory>,
    /// The first `active` belong to the minibatch; the others keep their memory for a larger one.
    groups: Vec<Group>,
    active: usize,
}

/// Graphs of a minibatch whose gradients are added up in order. Which graphs, or prefixes of them, a group has depends on the
/// configuration and the minibatch only, never on the number of threads.
#[derive(Default)]
struct Group {
    component: usize,
    parts: Vec<Part>,
    gradient: Vec<f32>,
    loss: f64,
}

/// What a thread needs for the graphs that go through the network at once.
#[derive(Default)]
struct Memory {
    batch: PrefixBatch,
    rows: Vec<u128>,
    /// Target and score, later the coefficient, of every prefix.
    prefixes: Vec<(Target, Score)>,
    losses: Vec<f64>,
    /// Derivative of the minibatch's loss by each graph's l.
    slopes: Vec<f64>,
    workspace: Workspace,
}

impl Crew {
    /// `threads` threads, at least one; they change no result.
    pub fn new(threads: usize) -> Self {
        let gang = Gang::new(threads);
        let memories = (0..gang.threads()).map(|_| Memory::default()).collect();
        Crew { gang, memories, groups: Vec::new(), active: 0 }
    }

    /// Loss and gradient of every trainer, each on its own graph of every architecture of the minibatch. Returns the loss,
    /// summed over the trainers. The result does not depend on the number of threads.
    pub fn evaluate(&mut self, trainers: &mut [Trainer], minibatch: Minibatch) -> f64 {
        let loss = self.run_groups(trainers, minibatch);
        for groups in self.groups[..self.active].chunk_by_mut(|a, b| a.component == b.component) {
            trainers[groups[0].component].total_gradient(groups, &mut self.gang);
        }
        loss
    }

    /// The loss as [`Crew::run_groups`] gives it, then an optimiser step of every trainer.
    pub fn step(&mut self, trainers: &mut [Trainer], minibatch: Minibatch) -> f64 {
        let loss = self.run_groups(trainers, minibatch);
        for groups in self.groups[..self.active].chunk_by_mut(|a, b| a.component == b.component) {
            let component = groups.first().map_or(0, |group| group.component);
            trainers[component].step(groups, &mut self.gang);
        }
        loss
    }

    /// Losses and gradients of all groups. Returns the loss, summed over the trainers; it does not depend on the number of
    /// threads.
    fn run_groups(&mut self, trainers: &mut [Trainer], minibatch: Minibatch) -> f64 {
        self.prepare(trainers, minibatch);
        let shared = &*trainers;
        let groups = &mut self.groups[..self.active];
        self.gang.for_each_with(groups, &mut self.memories, |_, group, memory| {
            let trainer = &shared[group.component];
            group.run(trainer, minibatch, memory);
        });
        let mut loss = 0.0;
        for groups in groups.chunk_by(|a, b| a.component == b.component) {
            let [first, rest @ ..] = groups else { continue };
            loss += first.loss + rest.iter().map(|group| group.loss).sum::<f64>();
        }
        loss
    }

    /// Packs the weights and shares out the graphs.
    fn prepare(&mut self, trainers: &mut [Trainer], minibatch: Minibatch) {
        self.active = 0;
        for (component, trainer) in trainers.iter_mut().enumerate() {
            if !trainer.packed {
                trainer.weights.set(&trainer.gran, &mut self.gang, true);
                trainer.packed = true;
            }
            let tasks = minibatch.count.div_ceil(task_graphs(&trainer.gran, minibatch.count));
            let count = tasks.min(MOST_GROUPS);
            let bound = |group: usize| group * minibatch.count / count;
            self.groups.resize_with(self.groups.len().max(self.active + count), Group::default);
            let groups = &mut self.groups[self.active..][..count];
            for (index, group) in groups.iter_mut().enumerate() {
                group.belong_to(component, trainer.gran.layout.gradient_len());
                group.take(bound(index)..bound(index + 1), &trainer.gran);
            }
            if let [first, second] = groups
                && minibatch.count == PAIR
            {
                let examples = [0, 1].map(|index| (minibatch.example)(component, index));
                match surplus(&trainer.gran.config, examples) {
                    Some(part) if part.example == 0 => first.give(part, second),
                    Some(part) => second.give(part, first),
                    None => {}
                }
            }
            trainer.gradient.resize(trainer.gran.layout.gradient_len(), 0.0);
            self.active += count;
        }
    }
}

/// Graphs that go through the network at once.
fn task_graphs(gran: &Gran, minibatch: usize) -> usize {
    let config = &gran.config;
    let nodes: usize = (config.first_step()..config.nodes).map(|step| step + 1).sum();
    TASK_NODES.div_ceil(nodes.max(1)).min(minibatch.div_ceil(MOST_GROUPS)).max(1)
}

impl Trainer {
    pub fn new(gran: Gran, learning_rate: f64) -> Self {
        let adam = Adam::new(gran.parameters.len(), learning_rate);
        Trainer { gran, adam, weights: Weights::default(), gradient: Vec::new(), packed: false }
    }

    /// The optimiser's step on the sum of the groups' gradients.
    fn step(&mut self, groups: &mut [Group], gang: &mut Gang) {
        if self.gran.layout.has_composites() {
            self.total_gradient(groups, gang);
            let Trainer { gran, adam, weights, gradient, .. } = self;
            return weights.step(gran, adam, std::iter::once(&gradient[..]), gang);
        }
        let Trainer { gran, adam, weights, .. } = self;
        weights.step(gran, adam, groups.iter().map(|group| &group.gradient[..]), gang);
    }

    /// The gradient of the parameters, from those of the groups, the first of which is used up.
    fn total_gradient(&mut self, groups: &mut [Group], gang: &mut Gang) {
        let [first, rest @ ..] = groups else { return };
        gang.for_each_piece([&mut first.gradient], PIECE, |start, [sums]| {
            rest.iter().for_each(|group| vectorise(Add { from: &group.gradient[start..], to: &mut *sums }));
        });
        std::mem::swap(&mut self.gradient, &mut first.gradient);
        self.weights.unfold_gradient(&self.gran, &mut self.gradient);
    }

    /// Gradient of the last minibatch's loss.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient[..self.gran.parameters.len()]
    }
}

impl Group {
    /// Takes the group for a trainer. What no layer writes of its gradient is zero from here on.
    fn belong_to(&mut self, component: usize, gradient: usize) {
        if (self.component, self.gradient.len()) != (component, gradient) {
            self.component = component;
            self.gradient.clear();
            self.gradient.resize(gradient, 0.0);
        }
    }

    /// Takes these graphs of the minibatch as a whole.
    fn take(&mut self, examples: Range<usize>, gran: &Gran) {
        let steps = all_steps(&gran.config);
        self.parts.clear();
        // One more, so that what another group gives later needs no memory.
        self.parts.reserve(examples.len() + 1);
        self.parts.extend(examples.map(|example| Part { example, steps }));
    }

    /// Gives a part of what it has to another group.
    fn give(&mut self, part: Part, to: &mut Group) {
        let own = self.parts.iter_mut().filter(|own| own.example == part.example);
        own.for_each(|own| own.steps &= !part.steps);
        to.parts.push(part);
    }

    /// The loss of the group's graphs and its gradient.
    fn run(&mut self, trainer: &Trainer, minibatch: Minibatch, memory: &mut Memory) {
        self.loss = 0.0;
        let mut sum = Sum::Fresh;
        // What the other one of a pair gave goes along with the group's own graph.
        let size = if minibatch.count == PAIR { PAIR } else { task_graphs(&trainer.gran, minibatch.count) };
        let component = self.component;
        for parts in self.parts.chunks(size) {
            let parts = parts.iter().map(|part| ((minibatch.example)(component, part.example), part.steps));
            memory.prepare(&trainer.gran, parts.clone());
            let rhos = parts.map(|(example, _)| example.rho / minibatch.count as f64);
            self.loss += memory.run(trainer, rhos, (&mut self.gradient, sum));
            sum = Sum::Continued;
        }
    }
}

impl Memory {
    /// Takes in graphs, of each the prefixes of some steps.
    fn prepare<'a>(&mut self, gran: &Gran, parts: impl ExactSizeIterator<Item = (Example<'a>, u128)>) {
        let config = &gran.config;
        self.batch.clear(parts.len(), config.id_columns() > 0);
        self.workspace.clear_labels(parts.len());
        self.prefixes.clear();
        for (index, (Example { graph, .. }, steps)) in parts.enumerate() {
            if config.reads_labels() {
                self.workspace.labels_mut(index).extend_from_slice(&graph.operators);
            }
            self.rows.clear();
            self.rows.extend((0..config.nodes).map(|node| graph.dag.predecessor_bits(node)));
            for step in bits(steps) {
                self.batch.push(index, &self.rows, step..step + 1);
                let operator = graph.operators.get(config.shape().labels_of(step).start).copied().unwrap_or(0);
                self.prefixes.push((Target { row: self.rows[step], operator }, Score::default()));
            }
        }
    }

    /// The loss of the prepared graphs, given their weights; gives or adds its gradient.
    fn run(&mut self, trainer: &Trainer, rhos: impl ExactSizeIterator<Item = f64>, gradient: (&mut [f32], Sum)) -> f64 {
        let Trainer { gran, weights, .. } = trainer;
        gran.forward(weights, &self.batch, &mut self.workspace);
        self.losses.clear();
        self.losses.resize(rhos.len(), 0.0);
        for (index, (prefix, (target, score))) in self.batch.prefixes.iter().zip(&mut self.prefixes).enumerate() {
            *score = gran.score(&mut self.workspace, index, *prefix, *target);
            self.losses[prefix.graph] -= factors(&gran.config, target.row).dot(*score);
        }
        let mut loss = 0.0;
        self.slopes.clear();
        for (rho, l) in rhos.zip(&self.losses) {
            let weighted = weighted(rho, *l);
            loss += weighted.loss;
            self.slopes.push(weighted.slope);
        }
        for (prefix, (target, score)) in self.batch.prefixes.iter().zip(&mut self.prefixes) {
            *score = factors(&gran.config, target.row).times(-self.slopes[prefix.graph]);
        }
        gran.backward(weights, (&self.batch, &self.prefixes), &mut self.workspace, gradient);
        loss
    }
}

struct Add<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorise for Add<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.to.iter_mut().zip(self.from).for_each(|(to, from)| *to += from);
    }
}
