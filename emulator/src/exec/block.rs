//! Scheduling: warps of a block run in turn, each until all its lanes wait or have exited.

use super::{
    collective::Outcome,
    fault::{Fault, Step},
    shared::{SharedMemory, Who},
    warp::{Fragment, Geometry, Wait, Warp},
};
use crate::{
    counters::LaunchCounters,
    memory::DeviceMemory,
    program::{Kernel, Op},
};

/// Instructions after which a warp lets others run even if nothing stops it: it may be spinning on what they will write.
const TURN: u64 = 1 << 18;

/// Instructions that lanes ahead of spinning ones may run on their own, to release what the others spin on.
const LEAD: u64 = 1 << 12;

/// What the warps of a launch share.
pub struct Machine<'a> {
    pub kernel: &'a Kernel,
    pub memory: &'a mut DeviceMemory,
    pub parameters: &'a [u8],
    pub shared: SharedMemory,
    pub counters: LaunchCounters,
    pub geometry: Geometry,
    pub instruction_limit: u64,
    /// Warp instructions of the running block.
    pub instructions: u64,
    /// The running instruction and warp, for messages.
    pub pc: usize,
    pub warp: usize,
}

/// Runs one block to its end.
pub fn run_block(machine: &mut Machine<'_>, warps: &mut [Warp], block: [u32; 3]) -> Step {
    machine.shared.begin_block();
    machine.instructions = 0;
    for warp in warps.iter_mut() {
        warp.begin_block(&machine.kernel.registers, &machine.geometry, block);
    }
    loop {
        let mut progress = false;
        for warp in warps.iter_mut() {
            progress |= machine.run_warp(warp)?;
        }
        progress |= machine.release_barriers(warps)?;
        if warps.iter().all(|warp| warp.live == 0) {
            return Ok(());
        }
        if !progress {
            return Err(machine.stuck(warps));
        }
    }
}

impl Machine<'_> {
    /// Runs a warp until all its lanes wait, or its turn is over; false where it could not run at all.
    fn run_warp(&mut self, warp: &mut Warp) -> Step<bool> {
        let end = self.instructions + TURN;
        let mut progress = false;
        if std::mem::take(&mut warp.spinning)
            && let Some(fragment) = warp.take_furthest()
        {
            progress = true;
            self.run_fragment(warp, fragment, self.instructions + LEAD, true)?;
        }
        while let Some(fragment) = warp.take_ready() {
            progress = true;
            self.run_fragment(warp, fragment, end, false)?;
            if self.instructions >= end {
                warp.spinning = true;
                break;
            }
        }
        Ok(progress)
    }

    /// Runs lanes that stand together until they wait, exit or meet others; where `ahead`, whatever others do.
    fn run_fragment(&mut self, warp: &mut Warp, fragment: Fragment, end: u64, ahead: bool) -> Step {
        let kernel = self.kernel;
        let Fragment { mut pc, mut mask, .. } = fragment;
        self.warp = warp.index;
        let mut first = true;
        loop {
            let meets = !first && !ahead && !warp.fragments.is_empty() && warp.should_yield(pc);
            if meets || self.instructions >= end {
                warp.fragments.push(Fragment { pc, mask, wait: Wait::Ready });
                return self.check_limit();
            }
            first = false;
            self.instructions += 1;
            self.pc = pc as usize;
            let instruction = &kernel.code[pc as usize];
            let mut active = mask;
            if let Some(guard) = instruction.guard {
                let flag = warp.registers.flag(guard.flag);
                active &= if guard.negated { !flag } else { flag };
            }
            self.counters.count(pc as usize, active);
            match &instruction.op {
                Op::Branch { target } => {
                    if active == mask {
                        pc = *target;
                    } else {
                        if active != 0 {
                            warp.fragments.push(Fragment { pc: *target, mask: active, wait: Wait::Ready });
                            mask &= !active;
                        }
                        pc += 1;
                    }
                    continue;
                }
                Op::BranchIndexed { index, targets } if active != 0 => {
                    self.branch_indexed(warp, *warp.registers.word(*index), targets, active)?;
                    mask &= !active;
                }
                Op::Exit => {
                    warp.exit(active);
                    mask &= !active;
                }
                Op::Barrier(_) if active != 0 => {
                    warp.fragments.push(Fragment { pc, mask: active, wait: Wait::Barrier });
                    mask &= !active;
                }
                op if active != 0 => {
                    if let Outcome::Wait(waiting) = self.step(warp, op, active)? {
                        warp.fragments.push(Fragment { pc, mask: waiting, wait: Wait::Collective });
                        mask &= !waiting;
                    }
                }
                _ => {}
            }
            if mask == 0 {
                return Ok(());
            }
            pc += 1;
        }
    }

    fn branch_indexed(&self, warp: &mut Warp, index: [u32; 32], targets: &[u32], active: u32) -> Step {
        let mut left = active;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            let Some(&pc) = targets.get(index[lane] as usize) else {
                return Err(Fault::at_lane(lane, format!("branch index {} of {} targets", index[lane], targets.len())));
            };
            let same = super::rows::mask2(&index, &[index[lane]; 32], |a, b| a == b) & left;
            warp.fragments.push(Fragment { pc, mask: same, wait: Wait::Ready });
            left &= !same;
        }
        Ok(())
    }

    fn check_limit(&self) -> Step {
        if self.instructions > self.instruction_limit {
            return Err(Fault::new(format!(
                "the block has run {} warp instructions and is taken to hang (EMULATOR_INSTRUCTION_LIMIT)",
                self.instructions
            )));
        }
        Ok(())
    }

    /// The fault of a block in which nobody can go on.
    fn stuck(&mut self, warps: &[Warp]) -> Box<Fault> {
        let mut places: Vec<(Wait, u32, usize)> = Vec::new();
        for fragment in warps.iter().flat_map(|warp| &warp.fragments) {
            let count = fragment.mask.count_ones() as usize;
            match places.iter_mut().find(|place| (place.0, place.1) == (fragment.wait, fragment.pc)) {
                Some(place) => place.2 += count,
                None => places.push((fragment.wait, fragment.pc, count)),
            }
        }
        let describe = |&(wait, pc, count): &(Wait, u32, usize)| {
            let what = if wait == Wait::Barrier { "a barrier" } else { "a warp-wide instruction" };
            let origin = &self.kernel.origins[pc as usize];
            let source = self.kernel.source_of(pc as usize).map_or(String::new(), |source| format!(" ({source})"));
            format!("{count} threads wait at {what}, PTX line {}{source}", origin.line)
        };
        let mut fault = Fault::new(format!("deadlock: {}", places.iter().map(describe).collect::<Vec<_>>().join("; ")));
        if let Some((warp, fragment)) = warps.iter().find_map(|warp| warp.fragments.first().map(|first| (warp, first)))
        {
            self.warp = warp.index;
            fault.lane = Some(fragment.mask.trailing_zeros() as usize);
            fault.pc = Some(fragment.pc as usize);
        }
        fault
    }

    /// The thread a lane of the running warp is, as shared memory knows it.
    pub fn who(&self, lane: usize) -> Who {
        Who { warp: self.warp, lane }
    }
}
