//! Records of `kernels/mixture.cu`.

use super::super::batch::{Capacity, Lists};
use super::{Part, Record, doubles, record, rows};
use crate::device::cuda::records::NONE;
use bytemuck::{Pod, Zeroable};

/// Threads of a block.
const MIXTURE_THREADS: u64 = 128;

/// The distributions of rows and operators, see `kernels/mixture.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct MixtureTask {
    /// (nodes, pitch)
    pub theta: u64,
    /// (nodes, pitch)
    pub alpha: u64,
    /// (prefixes, operator_pitch) or [`NONE`].
    pub operators: u64,
    /// As `theta`.
    pub dtheta: u64,
    /// As `alpha`.
    pub dalpha: u64,
    /// As `operators`.
    pub doperators: u64,
    /// Doubles (prefixes, mixtures).
    pub log_weights: u64,
    /// Doubles (prefixes, mixtures).
    pub joint: u64,
    /// Doubles (prefixes, 2).
    pub scores: u64,
    /// Doubles (graphs).
    pub slopes: u64,
    /// Doubles (prefixes, draws).
    pub uniforms: u64,
    /// Factor of a row's log-probability in its graph's negative l.
    pub row_share: f64,
    /// Factor of an operator's.
    pub operator_share: f64,
    /// At most.
    pub prefixes: u32,
    /// Components.
    pub mixtures: u32,
    /// Of the logits.
    pub pitch: u32,
    /// Operators.
    pub operator_count: u32,
    /// Of the operators' logits.
    pub operator_pitch: u32,
    /// 1: the mean that gives the mixture weights has the new node's pair with itself.
    pub self_pair: u32,
    /// Random numbers of a prefix.
    pub draws: u32,
    /// 0.
    pub reserved: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl MixtureTask {
    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let (prefixes, mixtures) = (u64::from(self.prefixes), u64::from(self.mixtures));
        let logits = [capacity.nodes as u32, self.mixtures, self.pitch];
        let mut parts = vec![
            rows("theta", self.theta, logits),
            rows("alpha", self.alpha, logits),
            doubles("mixture weights", self.log_weights, prefixes * mixtures),
            doubles("joint probabilities", self.joint, prefixes * mixtures),
            doubles("scores", self.scores, 2 * prefixes),
        ];
        if self.operators != NONE {
            let columns = [self.prefixes, self.operator_count, self.operator_pitch];
            parts.push(rows("operators' logits", self.operators, columns));
        }
        parts
    }

    fn most(&self) -> Capacity {
        Capacity { prefixes: self.prefixes as usize, ..Capacity::default() }
    }
}

/// A use of [`MixtureTask`].
macro_rules! mixture {
    ($(#[$doc:meta])* $name:ident, $kernel:literal, $more:expr) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Pod, Zeroable)]
        pub struct $name(pub MixtureTask);

        impl Record for $name {
            const IMAGE: &'static str = "mixture";
            const NAME: &'static str = $kernel;
            const THREADS: usize = MIXTURE_THREADS as usize;

            fn blocks(&self) -> u64 {
                u64::from(self.0.prefixes).div_ceil(MIXTURE_THREADS / 32)
            }

            fn parts(&self, capacity: Capacity) -> Vec<Part> {
                let more: fn(&MixtureTask, Capacity) -> Vec<Part> = $more;
                self.0.parts(capacity).into_iter().chain(more(&self.0, capacity)).collect()
            }

            fn most(&self) -> Capacity {
                self.0.most()
            }

            fn with_lists(self, lists: Lists) -> Self {
                $name(MixtureTask { lists, ..self.0 })
            }
        }
    };
}

mixture!(
    /// Log-probabilities of the targets.
    Score,
    "score",
    |_, _| Vec::new()
);
mixture!(
    /// Gradients of the logits.
    ScoreGradient,
    "score_gradient",
    |task, capacity| {
        let logits = [capacity.nodes as u32, task.mixtures, task.pitch];
        let mut parts = vec![
            rows("gradient of theta", task.dtheta, logits),
            rows("gradient of alpha", task.dalpha, logits),
            doubles("slopes", task.slopes, capacity.graphs as u64),
        ];
        if task.operators != NONE {
            let columns = [task.prefixes, task.operator_count, task.operator_pitch];
            parts.push(rows("gradient of the operators' logits", task.doperators, columns));
        }
        parts
    }
);
mixture!(
    /// Draws of the targets.
    DrawRows,
    "draw",
    |task, _| vec![doubles("random numbers", task.uniforms, u64::from(task.prefixes) * u64::from(task.draws))]
);

/// Losses of graphs, see `kernels/mixture.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct GraphLoss {
    /// Doubles (prefixes, 2).
    pub scores: u64,
    /// Doubles (graphs).
    pub weights: u64,
    /// Doubles (graphs).
    pub losses: u64,
    /// Doubles (graphs).
    pub slopes: u64,
    /// As [`MixtureTask::row_share`].
    pub row_share: f64,
    /// As [`MixtureTask::operator_share`].
    pub operator_share: f64,
    /// At most.
    pub graphs: u32,
    /// 0.
    pub reserved: u32,
    /// Set by the launch.
    pub lists: Lists,
}

impl Record for GraphLoss {
    record!(GraphLoss, "mixture", "graph_loss", MIXTURE_THREADS as usize);

    fn blocks(&self) -> u64 {
        u64::from(self.graphs).div_ceil(MIXTURE_THREADS)
    }

    fn parts(&self, capacity: Capacity) -> Vec<Part> {
        let graphs = self.graphs.into();
        vec![
            doubles("scores", self.scores, 2 * capacity.prefixes as u64),
            doubles("weights", self.weights, graphs),
            doubles("losses", self.losses, graphs),
            doubles("slopes", self.slopes, graphs),
        ]
    }

    fn most(&self) -> Capacity {
        Capacity { graphs: self.graphs as usize, ..Capacity::default() }
    }
}
