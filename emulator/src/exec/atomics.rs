//! Atomics, lane after lane in rising order.

use super::{
    access::for_each_space,
    block::Machine,
    fault::{Fault, Step},
    half,
    rows::lanes,
    warp::Warp,
};
use crate::{
    counters::GlobalAccess,
    memory::copy_small,
    program::{Atomic, AtomicOp, AtomicType, HalfKind, Signedness, Space},
};

impl Machine<'_> {
    pub fn atomic(&mut self, warp: &mut Warp, atomic: &Atomic, active: u32) -> Step {
        let addresses = self.addresses(warp, atomic.address);
        let size = atomic.kind.bytes();
        for_each_space(atomic.space, &addresses, active, |space, addresses, mask| {
            match space {
                Space::Shared => self.counters.shared_access(addresses, mask, size * atomic.operands.len()),
                Space::Global | Space::Generic => {
                    self.counters.global_access(GlobalAccess::Atomic, addresses, mask, size * atomic.operands.len());
                }
                _ => return Err(Fault::new("atomics work on global and shared memory only")),
            }
            for lane in lanes(mask) {
                for index in 0..atomic.operands.len() {
                    self.atomic_lane(warp, atomic, space, (lane, index), addresses[lane] + (size * index) as u64)?;
                }
            }
            Ok(())
        })
    }

    fn atomic_lane(
        &mut self,
        warp: &mut Warp,
        atomic: &Atomic,
        space: Space,
        (lane, index): (usize, usize),
        address: u64,
    ) -> Step {
        let size = atomic.kind.bytes();
        let operand = warp.registers.lane(atomic.operands[index], lane);
        let new = atomic.new.map_or(0, |new| warp.registers.lane(new, lane));
        let change = |old: [u8; 16]| {
            let value = apply(atomic, number(&old, size), operand, new);
            let mut bytes = [0; 16];
            copy_small(&mut bytes, &value.to_le_bytes()[..size]);
            bytes
        };
        let old = if space == Space::Shared {
            self.shared.update(self.who(lane), address, size, change)?
        } else {
            let old = self.memory.load(address, size).map_err(|fault| Fault::memory(lane, &fault))?;
            self.memory.store(address, size, &change(old)).map_err(|fault| Fault::memory(lane, &fault))?;
            old
        };
        if let Some(&d) = atomic.d.get(index) {
            warp.registers.set_lane(d, lane, number(&old, size));
        }
        Ok(())
    }
}

/// The first `size` bytes as a number.
fn number(bytes: &[u8; 16], size: usize) -> u64 {
    let mut padded = [0; 8];
    padded[..size].copy_from_slice(&bytes[..size]);
    u64::from_le_bytes(padded)
}

fn apply(atomic: &Atomic, old: u64, operand: u64, new: u64) -> u64 {
    match atomic.kind {
        AtomicType::Integer { bits, sign } => integer(atomic.op, bits, sign, old, operand, new),
        AtomicType::Float => {
            let (old, operand) = (f32::from_bits(old as u32), f32::from_bits(operand as u32));
            let value = match atomic.op {
                AtomicOp::Minimum => super::float::minimum(old, operand),
                AtomicOp::Maximum => super::float::maximum(old, operand),
                _ => old + operand,
            };
            value.to_bits().into()
        }
        AtomicType::Double => (f64::from_bits(old) + f64::from_bits(operand)).to_bits(),
        AtomicType::Half(kind) => half_add(atomic.op, kind, old as u32, operand as u32).into(),
    }
}

fn half_add(op: AtomicOp, kind: HalfKind, old: u32, operand: u32) -> u32 {
    let one = |shift: u32| {
        let value = |bits: u32| half::to_f32(kind.format, bits >> shift & 0xFFFF);
        let sum = match op {
            AtomicOp::Minimum => super::float::minimum(value(old), value(operand)),
            AtomicOp::Maximum => super::float::maximum(value(old), value(operand)),
            _ => value(old) + value(operand),
        };
        half::from_f32(kind.format, sum) << shift
    };
    if kind.packed { one(0) | one(16) } else { one(0) }
}

fn integer(op: AtomicOp, bits: u8, sign: Signedness, old: u64, operand: u64, new: u64) -> u64 {
    let unused = 64 - u32::from(bits);
    let mask = u64::MAX >> unused;
    let signed = |value: u64| ((value << unused) as i64) >> unused;
    let operand = operand & mask;
    let less = match sign {
        Signedness::Signed => signed(operand) < signed(old),
        Signedness::Unsigned => operand < old,
    };
    let value = match op {
        AtomicOp::Add => old.wrapping_add(operand),
        AtomicOp::Minimum => {
            if less {
                operand
            } else {
                old
            }
        }
        AtomicOp::Maximum => {
            if less {
                old
            } else {
                operand
            }
        }
        AtomicOp::And => old & operand,
        AtomicOp::Or => old | operand,
        AtomicOp::Xor => old ^ operand,
        AtomicOp::Exchange => operand,
        AtomicOp::CompareAndSwap => {
            if old == operand {
                new
            } else {
                old
            }
        }
        AtomicOp::Increment => {
            if old >= operand {
                0
            } else {
                old + 1
            }
        }
        AtomicOp::Decrement => {
            if old == 0 || old > operand {
                operand
            } else {
                old - 1
            }
        }
    };
    value & mask
}
