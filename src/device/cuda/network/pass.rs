//! The launches of a batch size, and how they are run again.

use super::super::program::Program;
use super::super::schedule::Schedule;
use cudarc::driver::CudaGraph;

/// The launches of one batch size.
pub(super) struct Session {
    pub program: Program,
    pub schedule: Schedule,
    /// By [`Pass::number`].
    pub replays: [Replay; 6],
}

/// How a pass is run: the first time kernel by kernel, because drivers load kernels when they are first launched, which
/// they may not do within a capture; the second time it is captured; from then on replayed.
#[derive(Default)]
pub(super) struct Replay {
    /// Kernels of the pass; 0 before the first time.
    pub launches: usize,
    pub graph: Option<CudaGraph>,
}

/// Which launches.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    pub kind: PassKind,
    /// Whether the images are those on the device.
    pub resident: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PassKind {
    Evaluation,
    /// Gradients may be clipped, or are not.
    Training {
        clips: bool,
    },
}

impl Pass {
    pub fn number(self) -> usize {
        let kind = match self.kind {
            PassKind::Evaluation => 0,
            PassKind::Training { clips } => 1 + usize::from(clips),
        };
        kind + 3 * usize::from(self.resident)
    }
}

impl Session {
    /// Kernels of its longest training step so far.
    pub fn launches_per_step(&self) -> usize {
        let training = self.replays.chunks(3).flat_map(|replays| &replays[1..]);
        training.map(|replay| replay.launches).max().unwrap_or(0)
    }
}
