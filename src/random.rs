//! Named random streams.
//!
//! Every stochastic thing draws from a stream keyed by (run seed, purpose, candidate, epoch), so results do not depend
//! on the order in which threads do their work, nor on kills and resumes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator behind every stream: ChaCha with 8 rounds.
pub type Stream = ChaCha8Rng;

/// What a stream is used for. The numbers are part of the reproducibility promise: never reuse or renumber one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Purpose {
    /// Splitting the data into training, validation and test parts.
    Split = 1,
    /// Synthetic images.
    Synthetic = 2,
    /// Random architectures drawn by the explorer.
    Explore = 3,
    /// Architectures drawn from the generator.
    Sample = 4,
    /// The generator's initial parameters.
    GeneratorInitialise = 5,
    /// The order of the replay buffer in a refit.
    GeneratorShuffle = 6,
    /// A network's initial weights.
    NetworkInitialise = 7,
    /// The order of the training images in an epoch.
    Shuffle = 8,
    /// Crops and flips.
    Augment = 9,
    /// Dropout masks.
    Dropout = 10,
    /// Which part of the training data an oracle sees.
    DataFraction = 11,
    /// Draws asked for by a user after the run (`sample`).
    UserSample = 12,
    /// The order in which a local search looks at neighbours.
    LocalSearch = 13,
    /// What a policy of independent decisions may decide.
    Policy = 14,
    /// An LSTM generator's initial parameters.
    LstmInitialise = 15,
    /// A supernet's initial weights and the networks that its steps train.
    Supernet = 16,
}

/// The key of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The run's seed.
    pub seed: u64,
    /// What the stream is used for.
    pub purpose: Purpose,
    /// The candidate (or iteration, or component) the stream belongs to; 0 where there is none.
    pub candidate: u64,
    /// The epoch (or round) the stream belongs to; 0 where there is none.
    pub epoch: u64,
}

impl StreamKey {
    /// The stream of this key. Different keys give independent streams: the key is ChaCha's 256-bit key itself.
    pub fn stream(self) -> Stream {
        let mut key = [0u8; 32];
        let words = [self.seed, self.purpose as u64, self.candidate, self.epoch];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn every_part_of_the_key_changes_the_stream() {
        let base = StreamKey { seed: 1, purpose: Purpose::Split, candidate: 2, epoch: 3 };
        let first = |key: StreamKey| key.stream().random::<u64>();
        assert_eq!(first(base), first(base));
        for other in [
            StreamKey { seed: 2, ..base },
            StreamKey { purpose: Purpose::Sample, ..base },
            StreamKey { candidate: 3, ..base },
            StreamKey { epoch: 2, ..base },
        ] {
            assert_ne!(first(base), first(other));
        }
    }
}
