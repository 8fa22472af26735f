//! What goes wrong while a kernel runs.

use crate::memory::MemoryFault;

/// The kind of a fault, as the driver reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    IllegalAddress,
    MisalignedAddress,
    /// Everything a device would show as wrong values, a hang or a failed launch.
    LaunchFailed,
}

/// A failed check, before it is known where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The lane that failed; the lowest active one where all did.
    pub lane: Option<usize>,
    /// Index of the instruction where it is not the running one.
    pub pc: Option<usize>,
    pub text: String,
}

impl Fault {
    pub fn new(text: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind: FaultKind::LaunchFailed, lane: None, pc: None, text: text.into() })
    }

    pub fn at_lane(lane: usize, text: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind: FaultKind::LaunchFailed, lane: Some(lane), pc: None, text: text.into() })
    }

    pub fn memory(lane: usize, fault: &MemoryFault) -> Box<Self> {
        let kind = match fault {
            MemoryFault::Misaligned { .. } => FaultKind::MisalignedAddress,
            MemoryFault::Uninitialised { .. } => FaultKind::LaunchFailed,
            _ => FaultKind::IllegalAddress,
        };
        Box::new(Self { kind, lane: Some(lane), pc: None, text: fault.to_string() })
    }
}

impl From<crate::memory::LaneFault> for Box<Fault> {
    fn from((lane, fault): crate::memory::LaneFault) -> Self {
        Fault::memory(lane, &fault)
    }
}

/// The result of an execution step.
pub type Step<T = ()> = Result<T, Box<Fault>>;
