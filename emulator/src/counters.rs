//! What a profiler would count. All of it follows from the executed instructions, so it is the same on every run.

use std::collections::BTreeMap;

use crate::{
    memory::SECTOR,
    program::{Class, Kernel, LANES},
};

/// Banks of shared memory, each 4 bytes wide.
const BANKS: u64 = 32;

/// Accesses to one kind of memory in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Warp instructions.
    pub requests: u64,
    /// 32-byte sectors they asked for.
    pub sectors: u64,
    /// Bytes the lanes asked for.
    pub bytes: u64,
}

/// What a global access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobalAccess {
    Load,
    Store,
    Atomic,
}

/// Shared memory accesses: `wavefronts` equals `ideal` where no two lanes fall on different words of one bank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedTraffic {
    pub requests: u64,
    pub wavefronts: u64,
    pub ideal: u64,
}

/// The counts of one launch.
#[derive(Debug, Clone, Default)]
pub struct LaunchCounters {
    /// Lanes and warps that executed each instruction.
    executed: Vec<(u64, u64)>,
    pub load: Traffic,
    pub store: Traffic,
    pub atomic: Traffic,
    pub shared: SharedTraffic,
    /// Bytes of the distinct sectors that were read or written.
    pub unique_read_bytes: u64,
    pub unique_written_bytes: u64,
}

impl LaunchCounters {
    pub fn new(instructions: usize) -> Self {
        Self { executed: vec![(0, 0); instructions], ..Self::default() }
    }

    /// Counts an instruction for the lanes of `active`.
    #[inline(always)]
    pub fn count(&mut self, pc: usize, active: u32) {
        let executed = &mut self.executed[pc];
        executed.0 += u64::from(active.count_ones());
        executed.1 += 1;
    }

    /// Instructions executed, each once for every lane it took effect on.
    pub fn thread_instructions(&self) -> u64 {
        self.executed.iter().map(|executed| executed.0).sum()
    }

    /// Counts a global access of `bytes` a lane.
    #[inline]
    pub fn global_access(&mut self, access: GlobalAccess, addresses: &[u64; LANES], mask: u32, bytes: usize) {
        if mask == 0 {
            return;
        }
        let traffic = match access {
            GlobalAccess::Load => &mut self.load,
            GlobalAccess::Store => &mut self.store,
            GlobalAccess::Atomic => &mut self.atomic,
        };
        traffic.requests += 1;
        traffic.bytes += u64::from(mask.count_ones()) * bytes as u64;
        traffic.sectors += distinct(&addresses.map(|address| address / SECTOR), mask);
    }

    /// Counts a shared access of `bytes` a lane: 8-byte accesses go by half warps, 16-byte ones by quarters.
    #[inline]
    pub fn shared_access(&mut self, addresses: &[u64; LANES], mask: u32, bytes: usize) {
        let lanes = (128 / bytes.max(4)).min(LANES);
        self.shared.requests += 1;
        for first in (0..LANES).step_by(lanes) {
            let part = mask & (u32::MAX >> (LANES - lanes)) << first;
            if part != 0 {
                self.shared.ideal += 1;
                self.shared.wavefronts += wavefronts(addresses, part, bytes);
            }
        }
    }
}

/// How many different values the lanes of `mask` hold.
fn distinct(values: &[u64; LANES], mask: u32) -> u64 {
    let (mut count, mut previous, mut rising) = (0, None, true);
    for lane in crate::lanes(mask) {
        rising &= previous.is_none_or(|before| values[lane] >= before);
        count += u64::from(previous != Some(values[lane]));
        previous = Some(values[lane]);
    }
    if rising {
        return count;
    }
    let mut seen: Vec<u64> = crate::lanes(mask).map(|lane| values[lane]).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() as u64
}

/// The most different words any bank must deliver.
fn wavefronts(addresses: &[u64; LANES], mask: u32, bytes: usize) -> u64 {
    let mut words = [u64::MAX; BANKS as usize];
    let mut conflict = false;
    for_each_word(addresses, mask, bytes, |word| {
        let slot = &mut words[(word % BANKS) as usize];
        conflict |= *slot != u64::MAX && *slot != word;
        *slot = word;
    });
    if !conflict {
        return 1;
    }
    let mut all = Vec::new();
    for_each_word(addresses, mask, bytes, |word| all.push(word));
    all.sort_unstable();
    all.dedup();
    let mut load = [0u64; BANKS as usize];
    for word in all {
        load[(word % BANKS) as usize] += 1;
    }
    load.into_iter().max().unwrap_or(1)
}

#[inline(always)]
fn for_each_word(addresses: &[u64; LANES], mask: u32, bytes: usize, mut f: impl FnMut(u64)) {
    for lane in crate::lanes(mask) {
        for word in 0..(bytes as u64).div_ceil(4) {
            f(addresses[lane] / 4 + word);
        }
    }
}

/// The counts of a kernel over its launches.
#[derive(Debug, Clone, Default)]
pub struct KernelCounters {
    pub launches: u64,
    pub thread_instructions: u64,
    pub warp_instructions: u64,
    /// Thread instructions by class.
    pub classes: BTreeMap<&'static str, u64>,
    pub load: Traffic,
    pub store: Traffic,
    pub atomic: Traffic,
    pub shared: SharedTraffic,
    pub unique_read_bytes: u64,
    pub unique_written_bytes: u64,
}

impl KernelCounters {
    /// Adds a launch of `kernel`.
    pub fn add(&mut self, kernel: &Kernel, launch: &LaunchCounters) {
        self.launches += 1;
        for (instruction, &(threads, warps)) in kernel.code.iter().zip(&launch.executed) {
            self.thread_instructions += threads;
            self.warp_instructions += warps;
            if let Some((_, name)) = Class::NAMES.iter().find(|(class, _)| *class == instruction.class) {
                *self.classes.entry(name).or_default() += threads;
            }
        }
        add_traffic(&mut self.load, launch.load);
        add_traffic(&mut self.store, launch.store);
        add_traffic(&mut self.atomic, launch.atomic);
        self.shared.requests += launch.shared.requests;
        self.shared.wavefronts += launch.shared.wavefronts;
        self.shared.ideal += launch.shared.ideal;
        self.unique_read_bytes += launch.unique_read_bytes;
        self.unique_written_bytes += launch.unique_written_bytes;
    }

    fn json(&self) -> String {
        let classes: Vec<String> = self.classes.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
        format!(
            "{{\"launches\":{},\"thread_instructions\":{},\"warp_instructions\":{},\"classes\":{{{}}},\"global_load\":{},\"global_store\":{},\"global_atomic\":{},\"shared\":{{\"requests\":{},\"wavefronts\":{},\"ideal\":{}}},\"unique_read_bytes\":{},\"unique_written_bytes\":{}}}",
            self.launches,
            self.thread_instructions,
            self.warp_instructions,
            classes.join(","),
            traffic_json(self.load),
            traffic_json(self.store),
            traffic_json(self.atomic),
            self.shared.requests,
            self.shared.wavefronts,
            self.shared.ideal,
            self.unique_read_bytes,
            self.unique_written_bytes,
        )
    }
}

fn add_traffic(total: &mut Traffic, launch: Traffic) {
    total.requests += launch.requests;
    total.sectors += launch.sectors;
    total.bytes += launch.bytes;
}

fn traffic_json(traffic: Traffic) -> String {
    format!("{{\"requests\":{},\"sectors\":{},\"bytes\":{}}}", traffic.requests, traffic.sectors, traffic.bytes)
}

/// The counts of every kernel by name.
#[derive(Debug, Default)]
pub struct Counters(pub BTreeMap<String, KernelCounters>);

impl Counters {
    /// An object of one kernel's counts, or of all of them by kernel name; `{}` where there are none.
    pub fn json(&self, kernel: Option<&str>) -> String {
        match kernel {
            Some(name) => self.0.get(name).map_or("{}".into(), KernelCounters::json),
            None => {
                let all: Vec<String> =
                    self.0.iter().map(|(name, counters)| format!("\"{name}\":{}", counters.json())).collect();
                format!("{{{}}}", all.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GlobalAccess, LaunchCounters};

    fn global(address: impl Fn(u64) -> u64, bytes: usize) -> u64 {
        let mut counters = LaunchCounters::new(0);
        counters.global_access(GlobalAccess::Load, &std::array::from_fn(|lane| address(lane as u64)), u32::MAX, bytes);
        counters.load.sectors
    }

    fn shared(address: impl Fn(u64) -> u64, bytes: usize) -> (u64, u64) {
        let mut counters = LaunchCounters::new(0);
        counters.shared_access(&std::array::from_fn(|lane| address(lane as u64)), u32::MAX, bytes);
        (counters.shared.wavefronts, counters.shared.ideal)
    }

    #[test]
    fn coalesced_strided_and_scattered_loads() {
        assert_eq!(global(|lane| 4 * lane, 4), 4);
        assert_eq!(global(|lane| 16 * lane, 16), 16);
        assert_eq!(global(|lane| 32 * lane, 4), 32);
        assert_eq!(global(|_| 64, 4), 1);
        assert_eq!(global(|lane| 4 * (31 - lane), 4), 4);
        assert_eq!(global(|lane| 4 * (lane % 8) + 1024 * (lane % 2), 4), 2);
    }

    #[test]
    fn bank_conflicts() {
        assert_eq!(shared(|lane| 4 * lane, 4), (1, 1));
        assert_eq!(shared(|_| 0, 4), (1, 1));
        assert_eq!(shared(|lane| 8 * lane, 4), (2, 1));
        assert_eq!(shared(|lane| 128 * lane, 4), (32, 1));
        assert_eq!(shared(|lane| 132 * lane, 4), (1, 1));
        assert_eq!(shared(|lane| 2 * lane, 2), (1, 1));
        assert_eq!(shared(|lane| 16 * lane, 16), (4, 4));
        assert_eq!(shared(|lane| 128 * lane, 16), (32, 4));
    }
}
