//! Loops over slices, compiled once for every instruction set.

use super::super::simd::InstructionSet;

/// Work compiled once for the baseline processor and once for wide vectors; [`vectorise`] chooses when it runs.
///
/// The implementation and everything it calls must be `#[inline(always)]` to be compiled for wide vectors at all.
pub trait Vectorise {
    /// What the work returns.
    type Output;
    /// The work. `FMA` says whether `f32::mul_add` is one instruction here.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// Runs the work with the widest vectors this processor has.
pub fn vectorise<W: Vectorise>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::best() {
        // SAFETY: the processor has the features.
        InstructionSet::Avx512 => return unsafe { run_avx512(work) },
        // SAFETY: as above.
        InstructionSet::Avx2 => return unsafe { run_avx2(work) },
        _ => {}
    }
    portable(work)
}

/// The work for the baseline processor; every AArch64 has fused multiply-add.
fn portable<W: Vectorise>(work: W) -> W::Output {
    if cfg!(target_arch = "aarch64") { work.run::<true>() } else { work.run::<false>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn run_avx512<W: Vectorise>(work: W) -> W::Output {
    work.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Vectorise>(work: W) -> W::Output {
    work.run::<true>()
}
