//! A kernel launch: every block in order, every failed check with its place.

use super::{
    block::{Machine, run_block},
    fault::{Fault, FaultKind},
    shared::SharedMemory,
    warp::{Geometry, Warp},
};
use crate::{
    counters::LaunchCounters,
    memory::{DeviceMemory, SECTOR},
    program::Kernel,
};

/// What a launch is asked to do.
#[derive(Debug, Clone)]
pub struct Launch {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: usize,
    /// The parameter buffer.
    pub parameters: Vec<u8>,
}

/// Which checks are made, and how long a block may run.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// Refuse uninitialised reads of shared memory, and races in it.
    pub shared: bool,
    /// Let kernels use local memory: on a device it means spilled registers or indexed arrays.
    pub allow_local: bool,
    /// Warp instructions after which a block is taken to hang.
    pub instruction_limit: u64,
}

/// A failed launch, as the driver reports it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LaunchError {
    pub kind: FaultKind,
    pub text: String,
}

/// Runs `kernel` to its end and returns what it did.
///
/// Blocks run one after the other on the calling thread: atomics then happen in a fixed order, and sums of floats come out the same each time.
///
/// # Errors
/// The first failed check, with kernel, block, thread, PTX line and source line.
pub fn launch(
    kernel: &Kernel,
    memory: &mut DeviceMemory,
    request: &Launch,
    checks: Checks,
) -> Result<LaunchCounters, LaunchError> {
    if kernel.local > 0 && !checks.allow_local {
        let text = format!(
            "kernel {}: uses {} bytes of local memory a thread (an indexed array or spilled registers); EMULATOR_ALLOW=local lets it run",
            kernel.name, kernel.local
        );
        return Err(LaunchError { kind: FaultKind::LaunchFailed, text });
    }
    let total_shared = kernel.static_shared.max(if request.dynamic_shared > 0 { kernel.dynamic_shared } else { 0 })
        + request.dynamic_shared;
    let geometry = Geometry {
        grid: request.grid,
        block: request.block,
        dynamic_shared: request.dynamic_shared as u32,
        total_shared: total_shared as u32,
    };
    memory.begin_launch();
    let mut warps: Vec<Warp> =
        (0..geometry.warps()).map(|index| Warp::new(index, &kernel.registers, &geometry, kernel.local)).collect();
    let mut machine = Machine {
        kernel,
        memory,
        parameters: &request.parameters,
        shared: SharedMemory::new(total_shared, warps.len(), checks.shared),
        counters: LaunchCounters::new(kernel.code.len()),
        geometry,
        instruction_limit: checks.instruction_limit,
        instructions: 0,
        pc: 0,
        warp: 0,
    };
    let [columns, rows, layers] = request.grid;
    for z in 0..layers {
        for y in 0..rows {
            for x in 0..columns {
                run_block(&mut machine, &mut warps, [x, y, z]).map_err(|fault| locate(&machine, [x, y, z], &fault))?;
            }
        }
    }
    let unique = machine.memory.unique_sectors();
    let mut counters = machine.counters;
    counters.unique_read_bytes = unique.read * SECTOR;
    counters.unique_written_bytes = unique.written * SECTOR;
    Ok(counters)
}

/// Puts the place before what went wrong.
fn locate(machine: &Machine<'_>, block: [u32; 3], fault: &Fault) -> LaunchError {
    let pc = fault.pc.unwrap_or(machine.pc);
    let kernel = machine.kernel;
    let mut text = format!("kernel {}: block {}", kernel.name, triple(block));
    if let Some(lane) = fault.lane {
        text += &format!(", thread {}", triple(machine.geometry.thread(machine.warp, lane)));
    }
    if let Some(origin) = kernel.origins.get(pc) {
        text += &format!(", PTX line {} `{}`", origin.line, origin.text);
    }
    if let Some(source) = kernel.source_of(pc) {
        text += &format!(" ({source})");
    }
    LaunchError { kind: fault.kind, text: format!("{text}: {}", fault.text) }
}

fn triple([x, y, z]: [u32; 3]) -> String {
    format!("({x}, {y}, {z})")
}
