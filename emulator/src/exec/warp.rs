//! A warp: its registers and where each of its lanes stands.

use super::{
    copies::Copies,
    rows::{FULL, LongRow, Row, blend},
};
use crate::program::{Flag, LANES, Long, Register, RegisterFile, Special, Word};

/// What registers hold before anything is written to them.
const UNSET: u32 = 0xDEAD_BEEF;

/// The registers of a warp, a row each.
#[derive(Clone)]
pub struct Registers {
    pub words: Vec<Row>,
    pub longs: Vec<LongRow>,
    pub flags: Vec<u32>,
}

impl Registers {
    #[inline(always)]
    pub fn word(&self, a: Word) -> &Row {
        &self.words[a.0 as usize]
    }

    #[inline(always)]
    pub fn long(&self, a: Long) -> &LongRow {
        &self.longs[a.0 as usize]
    }

    #[inline(always)]
    pub fn flag(&self, a: Flag) -> u32 {
        self.flags[a.0 as usize]
    }

    #[inline(always)]
    pub fn set_word(&mut self, d: Word, value: Row, mask: u32) {
        blend(&mut self.words[d.0 as usize], value, mask);
    }

    #[inline(always)]
    pub fn set_long(&mut self, d: Long, value: LongRow, mask: u32) {
        blend(&mut self.longs[d.0 as usize], value, mask);
    }

    #[inline(always)]
    pub fn set_flag(&mut self, d: Flag, value: u32, mask: u32) {
        let flag = &mut self.flags[d.0 as usize];
        *flag = *flag & !mask | value & mask;
    }

    /// One lane of a register of either width.
    #[inline(always)]
    pub fn lane(&self, a: Register, lane: usize) -> u64 {
        match a {
            Register::Word(a) => self.word(a)[lane].into(),
            Register::Long(a) => self.long(a)[lane],
        }
    }

    #[inline(always)]
    pub fn set_lane(&mut self, d: Register, lane: usize, value: u64) {
        match d {
            Register::Word(d) => self.words[d.0 as usize][lane] = value as u32,
            Register::Long(d) => self.longs[d.0 as usize][lane] = value,
        }
    }
}

/// What lanes of a fragment wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Ready,
    /// The other lanes a warp-wide instruction names.
    Collective,
    /// A barrier of the block.
    Barrier,
}

/// Lanes that stand at the same instruction.
#[derive(Debug, Clone, Copy)]
pub struct Fragment {
    pub pc: u32,
    pub mask: u32,
    pub wait: Wait,
}

/// The state of a warp.
pub struct Warp {
    pub index: usize,
    pub registers: Registers,
    /// What the registers hold when a block begins, the block's index aside.
    initial: Registers,
    /// Lanes that have not exited.
    pub live: u32,
    pub fragments: Vec<Fragment>,
    /// Carry flag of `add.cc`, one bit a lane.
    pub carry: u32,
    pub copies: Copies,
    /// Local memory, lane after lane.
    pub local: Vec<u8>,
    /// Its last turn ended without all lanes waiting: it may spin on what lanes further ahead hold.
    pub spinning: bool,
}

/// The launch a warp belongs to, as special registers show it.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared: u32,
    pub total_shared: u32,
}

impl Geometry {
    pub fn threads(&self) -> usize {
        self.block.iter().map(|&axis| axis as usize).product()
    }

    pub fn warps(&self) -> usize {
        self.threads().div_ceil(LANES)
    }

    /// Thread index by axis.
    pub fn thread(&self, warp: usize, lane: usize) -> [u32; 3] {
        let linear = (warp * LANES + lane) as u32;
        let [x, y, _] = self.block;
        [linear % x, linear / x % y, linear / (x * y)]
    }
}

impl Warp {
    pub fn new(index: usize, file: &RegisterFile, geometry: &Geometry, local: usize) -> Self {
        let initial = initial_registers(index, file, geometry);
        Self {
            index,
            registers: initial.clone(),
            initial,
            live: 0,
            fragments: Vec::new(),
            carry: 0,
            copies: Copies::default(),
            local: vec![0; local * LANES],
            spinning: false,
        }
    }

    /// Stands all threads of block `block` at the first instruction, whatever the warp did before.
    pub fn begin_block(&mut self, file: &RegisterFile, geometry: &Geometry, block: [u32; 3]) {
        self.registers.words.copy_from_slice(&self.initial.words);
        self.registers.longs.copy_from_slice(&self.initial.longs);
        self.registers.flags.copy_from_slice(&self.initial.flags);
        for &(word, special) in &file.specials {
            if let Special::Block(axis) = special {
                self.registers.words[word.0 as usize] = [block[usize::from(axis)]; LANES];
            }
        }
        let threads = geometry.threads() - self.index * LANES;
        self.live = if threads >= LANES { FULL } else { (1 << threads) - 1 };
        self.fragments.clear();
        self.fragments.push(Fragment { pc: 0, mask: self.live, wait: Wait::Ready });
        self.carry = 0;
        self.copies.clear();
        self.local.fill(0);
        self.spinning = false;
    }

    /// Takes the ready fragment to run next, joined with all that stand at the same instruction.
    ///
    /// The one furthest behind goes first, so that lanes that took different ways meet again where the ways do.
    pub fn take_ready(&mut self) -> Option<Fragment> {
        let pc = self.ready().min()?;
        Some(self.take_at(pc))
    }

    /// Takes the ready fragment that is furthest ahead.
    pub fn take_furthest(&mut self) -> Option<Fragment> {
        let pc = self.ready().max()?;
        Some(self.take_at(pc))
    }

    fn ready(&self) -> impl Iterator<Item = u32> {
        self.fragments.iter().filter(|fragment| fragment.wait == Wait::Ready).map(|fragment| fragment.pc)
    }

    fn take_at(&mut self, pc: u32) -> Fragment {
        let mut mask = 0;
        self.fragments.retain(|fragment| {
            let joins = fragment.pc == pc && fragment.wait != Wait::Barrier;
            mask |= if joins { fragment.mask } else { 0 };
            !joins
        });
        Fragment { pc, mask, wait: Wait::Ready }
    }

    /// Ends the lanes of `mask`. Whoever waits for lanes of the warp looks again: there are fewer to wait for.
    pub fn exit(&mut self, mask: u32) {
        self.live &= !mask;
        for fragment in self.fragments.iter_mut().filter(|fragment| fragment.wait == Wait::Collective) {
            fragment.wait = Wait::Ready;
        }
    }

    /// Whether a fragment that has come to `pc` should let others run or join it.
    pub fn should_yield(&self, pc: u32) -> bool {
        self.fragments.iter().any(|other| match other.wait {
            Wait::Ready => other.pc <= pc,
            Wait::Collective => other.pc == pc,
            Wait::Barrier => false,
        })
    }
}

fn initial_registers(warp: usize, file: &RegisterFile, geometry: &Geometry) -> Registers {
    let mut registers = Registers {
        words: vec![[UNSET; LANES]; file.words as usize],
        longs: vec![[u64::from(UNSET) << 32 | u64::from(UNSET); LANES]; file.longs as usize],
        flags: vec![0; file.flags as usize],
    };
    for &(word, value) in &file.word_constants {
        registers.words[word.0 as usize] = [value; LANES];
    }
    for &(long, value) in &file.long_constants {
        registers.longs[long.0 as usize] = [value; LANES];
    }
    for &(flag, value) in &file.flag_constants {
        registers.flags[flag.0 as usize] = if value { FULL } else { 0 };
    }
    for &(word, special) in &file.specials {
        registers.words[word.0 as usize] = std::array::from_fn(|lane| special_value(special, geometry, warp, lane));
    }
    registers
}

/// A special register's value; the block's index is set when a block begins.
fn special_value(special: Special, geometry: &Geometry, warp: usize, lane: usize) -> u32 {
    let bit = 1u32 << lane;
    match special {
        Special::Thread(axis) => geometry.thread(warp, lane)[usize::from(axis)],
        Special::BlockSize(axis) => geometry.block[usize::from(axis)],
        Special::GridSize(axis) => geometry.grid[usize::from(axis)],
        Special::Lane => lane as u32,
        Special::Warp => warp as u32,
        Special::WarpCount => geometry.warps() as u32,
        Special::LanesEqual => bit,
        Special::LanesBelow => bit - 1,
        Special::LanesUpTo => bit | (bit - 1),
        Special::LanesAbove => !(bit | (bit - 1)),
        Special::LanesFrom => !(bit - 1),
        Special::DynamicShared => geometry.dynamic_shared,
        Special::TotalShared => geometry.total_shared,
        Special::Block(_) | Special::Zero => 0,
    }
}
