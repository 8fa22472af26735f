//! Instructions that the lanes of a warp carry out together: shuffles, votes, matches, reductions, warp barriers.

use super::{
    block::Machine,
    fault::{Fault, Step},
    integer::word2,
    rows::{FULL, Row, lanes, mask2},
    warp::Warp,
};
use crate::program::{Flag, IntegerOp, LANES, Op, Register, ShuffleMode, VoteMode, Word};

/// What became of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// These lanes wait for others; the rest is done.
    Wait(u32),
}

/// A shuffle's operands.
pub struct Shuffle {
    pub mode: ShuffleMode,
    pub d: Word,
    pub in_range: Option<Flag>,
    pub a: Word,
    pub b: Word,
    pub c: Word,
}

impl Machine<'_> {
    /// Carries out `op` for each group of lanes that is complete; the others wait.
    pub fn collective(&mut self, warp: &mut Warp, op: &Op, members: Word, active: u32) -> Step<Outcome> {
        let members = *warp.registers.word(members);
        let (mut left, mut waiting) = (active, 0);
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            let named = members[lane];
            if named >> lane & 1 == 0 {
                return Err(Fault::at_lane(lane, format!("the lane is not in its own member mask {named:#010x}")));
            }
            let group = mask2(&members, &[named; LANES], |a, b| a == b) & left & named;
            let needed = named & warp.live;
            if let Some(other) = lanes(needed & active & !group).next() {
                let text =
                    format!("lane {other} takes part with member mask {:#010x}, not {named:#010x}", members[other]);
                return Err(Fault::at_lane(lane, text));
            }
            if needed & !group == 0 {
                self.together(warp, op, group)?;
            } else {
                waiting |= group;
            }
            left &= !group;
        }
        Ok(if waiting == 0 { Outcome::Done } else { Outcome::Wait(waiting) })
    }

    /// Waits for all 32 lanes, as `.aligned` instructions do.
    pub fn whole_warp(&mut self, warp: &Warp, active: u32) -> Step<Outcome> {
        match (active == FULL, warp.live == FULL) {
            (true, _) => Ok(Outcome::Done),
            (false, true) => Ok(Outcome::Wait(active)),
            (false, false) => {
                let lane = active.trailing_zeros() as usize;
                Err(Fault::at_lane(
                    lane,
                    format!("needs all 32 lanes of the warp, {} are there", warp.live.count_ones()),
                ))
            }
        }
    }

    fn together(&mut self, warp: &mut Warp, op: &Op, group: u32) -> Step {
        match *op {
            Op::Shuffle { mode, d, in_range, a, b, c, .. } => {
                shuffle(warp, &Shuffle { mode, d, in_range, a, b, c }, group)?;
            }
            Op::VoteFlag { mode, d, a, negated, .. } => vote(warp, mode, d, voted(warp, a, negated), group),
            Op::VoteBallot { d, a, negated, .. } => {
                let ballot = voted(warp, a, negated) & group;
                warp.registers.set_word(d, [ballot; LANES], group);
            }
            Op::Match { all, d, agreed, a, .. } => match_lanes(warp, all, (d, agreed), a, group),
            Op::Reduce { op, d, a, .. } => reduce(warp, op, d, a, group),
            // A warp barrier is all that is left.
            _ => self.shared.synchronise_warp(warp.index),
        }
        Ok(())
    }
}

fn voted(warp: &Warp, a: Flag, negated: bool) -> u32 {
    let flag = warp.registers.flag(a);
    if negated { !flag } else { flag }
}

fn vote(warp: &mut Warp, mode: VoteMode, d: Flag, flag: u32, group: u32) {
    let votes = flag & group;
    let holds = match mode {
        VoteMode::All => votes == group,
        VoteMode::Any => votes != 0,
        VoteMode::Uniform => votes == 0 || votes == group,
    };
    warp.registers.set_flag(d, if holds { FULL } else { 0 }, group);
}

/// The lane each lane reads from, and whether it is in range (PTX ISA, `shfl.sync`).
fn shuffle_source(mode: ShuffleMode, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (distance, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let highest = lane & segment | clamp & !segment;
    let lowest = lane & segment;
    let (source, in_range) = match mode {
        ShuffleMode::Up => (lane.wrapping_sub(distance), lane as i32 - distance as i32 >= highest as i32),
        ShuffleMode::Down => (lane + distance, lane + distance <= highest),
        ShuffleMode::Butterfly => (lane ^ distance, lane ^ distance <= highest),
        ShuffleMode::Index => {
            let source = lowest | distance & !segment;
            (source, source <= highest)
        }
    };
    (if in_range { source } else { lane }, in_range)
}

fn shuffle(warp: &mut Warp, shuffle: &Shuffle, group: u32) -> Step {
    let registers = &warp.registers;
    let (a, b, c) = (*registers.word(shuffle.a), *registers.word(shuffle.b), *registers.word(shuffle.c));
    let (mut result, mut flags): (Row, u32) = ([0; LANES], 0);
    for lane in lanes(group) {
        let (source, in_range) = shuffle_source(shuffle.mode, lane as u32, b[lane], c[lane]);
        if group >> source & 1 == 0 {
            return Err(Fault::at_lane(lane, format!("shuffle reads lane {source}, which does not take part")));
        }
        result[lane] = a[source as usize];
        flags |= u32::from(in_range) << lane;
    }
    warp.registers.set_word(shuffle.d, result, group);
    if let Some(in_range) = shuffle.in_range {
        warp.registers.set_flag(in_range, flags, group);
    }
    Ok(())
}

fn match_lanes(warp: &mut Warp, all: bool, (d, agreed): (Word, Option<Flag>), a: Register, group: u32) {
    let value: [u64; LANES] = std::array::from_fn(|lane| warp.registers.lane(a, lane));
    let mut result = [0; LANES];
    for lane in lanes(group) {
        let same = mask2(&value, &[value[lane]; LANES], |a, b| a == b) & group;
        result[lane] = if all && same != group { 0 } else { same };
    }
    warp.registers.set_word(d, result, group);
    if let Some(agreed) = agreed {
        let everyone = result[group.trailing_zeros() as usize] == group;
        warp.registers.set_flag(agreed, if everyone { FULL } else { 0 }, group);
    }
}

fn reduce(warp: &mut Warp, op: IntegerOp, d: Word, a: Word, group: u32) {
    let a = *warp.registers.word(a);
    let mut values = lanes(group).map(|lane| [a[lane]; LANES]);
    if let Some(first) = values.next() {
        let total = values.fold(first, |total, value| word2(op, &total, &value));
        warp.registers.set_word(d, total, group);
    }
}

#[cfg(test)]
mod tests {
    use super::shuffle_source;
    use crate::program::ShuffleMode::{Butterfly, Down, Index, Up};

    /// `__shfl_*_sync` of a given width: the clamp and segment operand the CUDA headers pass.
    fn operand(width: u32, up: bool) -> u32 {
        (32 - width) << 8 | if up { 0 } else { 31 }
    }

    #[test]
    fn shuffles_stay_within_their_segment() {
        for width in [1, 2, 4, 8, 16, 32u32] {
            for lane in 0..32u32 {
                let base = lane / width * width;
                for delta in 0..32u32 {
                    let inside = |source: i64| source >= i64::from(base) && source < i64::from(base + width);
                    let expect = |source: i64| if inside(source) { (source as u32, true) } else { (lane, false) };
                    let (l, d) = (i64::from(lane), i64::from(delta));
                    assert_eq!(shuffle_source(Up, lane, delta, operand(width, true)), expect(l - d));
                    assert_eq!(shuffle_source(Down, lane, delta, operand(width, false)), expect(l + d));
                    assert_eq!(shuffle_source(Index, lane, delta, operand(width, false)), (base + delta % width, true));
                    let across = lane ^ delta;
                    // An earlier segment may be read by a butterfly, a later one not.
                    let expected = if across < base + width { (across, true) } else { (lane, false) };
                    assert_eq!(shuffle_source(Butterfly, lane, delta, operand(width, false)), expected);
                }
            }
        }
    }
}
