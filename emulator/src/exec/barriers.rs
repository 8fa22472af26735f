//! Barriers of the block: who waits, when they may go on, and the reductions some carry.

use super::{
    block::Machine,
    fault::{Fault, Step},
    rows::FULL,
    warp::{Wait, Warp},
};
use crate::program::{Barrier, BarrierKind, LANES, Op};

impl Machine<'_> {
    /// Lets go every barrier whose threads have all arrived; false where none was.
    pub fn release_barriers(&mut self, warps: &mut [Warp]) -> Step<bool> {
        let mut released = false;
        for id in self.waited_for(warps) {
            let threads = self.expected(warps, id);
            let arrived = arrived(self, warps, id);
            match threads {
                Some(count) if arrived >= count as usize => released |= self.release(warps, id),
                None if arrived == live(warps) => {
                    self.refuse_divergence(warps, id)?;
                    released |= self.release(warps, id);
                }
                _ => {}
            }
        }
        if !released {
            self.refuse_divergence_within_warps(warps)?;
        }
        Ok(released)
    }

    fn barrier_at(&self, pc: u32) -> Option<&Barrier> {
        match &self.kernel.code[pc as usize].op {
            Op::Barrier(barrier) => Some(barrier),
            _ => None,
        }
    }

    /// Identifiers of barriers that anybody waits at.
    fn waited_for(&self, warps: &[Warp]) -> Vec<u32> {
        let mut ids = Vec::new();
        for_waiting(self, warps, |_, id, _| {
            if !ids.contains(&id) {
                ids.push(id);
            }
        });
        ids
    }

    /// The thread count the barrier names, rounded up to whole warps.
    fn expected(&self, warps: &[Warp], id: u32) -> Option<u32> {
        let mut threads = None;
        for (warp, fragment) in waiting(warps) {
            let Some(barrier) = self.barrier_at(fragment.0) else { continue };
            let lane = fragment.1.trailing_zeros() as usize;
            if warp.registers.word(barrier.id)[lane] == id
                && let Some(count) = barrier.threads
            {
                threads = Some(warp.registers.word(count)[lane].next_multiple_of(LANES as u32));
            }
        }
        threads
    }

    /// All threads of the block must have come to the same instruction.
    fn refuse_divergence(&mut self, warps: &[Warp], id: u32) -> Step {
        let mut first: Option<u32> = None;
        for (warp, (pc, mask)) in waiting(warps) {
            let Some(barrier) = self.barrier_at(pc) else { continue };
            let lane = mask.trailing_zeros() as usize;
            if !barrier.aligned || warp.registers.word(barrier.id)[lane] != id {
                continue;
            }
            match first {
                Some(other) if other != pc => return Err(self.divergent(warp.index, lane, pc, other)),
                _ => first = Some(pc),
            }
        }
        Ok(())
    }

    /// Lanes of one warp that wait at different barriers will wait for ever.
    fn refuse_divergence_within_warps(&mut self, warps: &[Warp]) -> Step {
        for warp in warps {
            let mut at: Vec<(u32, u32)> = Vec::new();
            for fragment in warp.fragments.iter().filter(|fragment| fragment.wait == Wait::Barrier) {
                at.push((fragment.pc, fragment.mask));
            }
            if let [(first, _), rest @ ..] = at.as_slice()
                && let Some(&(pc, mask)) = rest.iter().find(|other| other.0 != *first)
                && self.barrier_at(pc).is_some_and(|barrier| barrier.aligned)
            {
                return Err(self.divergent(warp.index, mask.trailing_zeros() as usize, pc, *first));
            }
        }
        Ok(())
    }

    fn divergent(&mut self, warp: usize, lane: usize, pc: u32, other: u32) -> Box<Fault> {
        self.warp = warp;
        let line = self.kernel.origins[other as usize].line;
        let source = self.kernel.source_of(other as usize).map_or(String::new(), |source| format!(" ({source})"));
        let text =
            format!("divergent barrier: threads of the same block wait at another barrier, PTX line {line}{source}");
        let mut fault = Fault::at_lane(lane, text);
        fault.pc = Some(pc as usize);
        fault
    }

    /// Carries out the barrier's reduction and moves its lanes on.
    fn release(&mut self, warps: &mut [Warp], id: u32) -> bool {
        self.shared.synchronise_block();
        let (mut count, mut present) = (0, 0);
        for_waiting(self, warps, |warp, at, (pc, mask)| {
            if at != id {
                return;
            }
            present += mask.count_ones();
            if let Some(Barrier {
                kind: BarrierKind::ReduceFlag { a, negated, .. } | BarrierKind::Count { a, negated, .. },
                ..
            }) = self.barrier_at(pc)
            {
                let flag = warp.registers.flag(*a);
                count += (mask & if *negated { !flag } else { flag }).count_ones();
            }
        });
        let mut released = false;
        for warp in warps.iter_mut() {
            for index in 0..warp.fragments.len() {
                let fragment = warp.fragments[index];
                let Some(barrier) = self.barrier_at(fragment.pc) else { continue };
                let lane = fragment.mask.trailing_zeros() as usize;
                if fragment.wait != Wait::Barrier || warp.registers.word(barrier.id)[lane] != id {
                    continue;
                }
                match barrier.kind {
                    BarrierKind::ReduceFlag { all, d, .. } => {
                        let holds = if all { count == present } else { count > 0 };
                        warp.registers.set_flag(d, if holds { FULL } else { 0 }, fragment.mask);
                    }
                    BarrierKind::Count { d, .. } => warp.registers.set_word(d, [count; LANES], fragment.mask),
                    BarrierKind::Wait => {}
                }
                warp.fragments[index].pc += 1;
                warp.fragments[index].wait = Wait::Ready;
                released = true;
            }
        }
        released
    }
}

/// Instruction and lanes of each fragment that waits at a barrier.
fn waiting(warps: &[Warp]) -> impl Iterator<Item = (&Warp, (u32, u32))> {
    warps.iter().flat_map(|warp| {
        let fragments = warp.fragments.iter().filter(|fragment| fragment.wait == Wait::Barrier);
        fragments.map(move |fragment| (warp, (fragment.pc, fragment.mask)))
    })
}

fn for_waiting(machine: &Machine<'_>, warps: &[Warp], mut f: impl FnMut(&Warp, u32, (u32, u32))) {
    for (warp, (pc, mask)) in waiting(warps) {
        if let Some(barrier) = machine.barrier_at(pc) {
            f(warp, warp.registers.word(barrier.id)[mask.trailing_zeros() as usize], (pc, mask));
        }
    }
}

fn live(warps: &[Warp]) -> usize {
    warps.iter().map(|warp| warp.live.count_ones() as usize).sum()
}

/// Threads that have arrived; a barrier that names a count counts whole warps.
fn arrived(machine: &Machine<'_>, warps: &[Warp], id: u32) -> usize {
    let counted = machine.expected(warps, id).is_some();
    let mut total = 0;
    for_waiting(machine, warps, |warp, at, (_, mask)| {
        if at == id {
            total += if counted && mask == warp.live { LANES } else { mask.count_ones() as usize };
        }
    });
    total
}
