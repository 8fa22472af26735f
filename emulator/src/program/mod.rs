//! A kernel ready to run: typed instructions over dense register numbers.
//!
//! Constants and special registers are registers too, filled when a warp starts, so an instruction never asks what kind of operand it has.

mod kinds;
mod op;

pub use kinds::*;
pub use op::Op;

use crate::ptx::syntax::Location;

/// Threads of a warp.
pub const LANES: usize = 32;

/// A register of up to 32 bits; 8- and 16-bit values are kept zero-extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub u32);

/// A 64-bit register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Long(pub u32);

/// A predicate register: one bit a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flag(pub u32);

/// A register of either width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    Word(Word),
    Long(Long),
}

/// A value that differs per thread or per block and is set before a block runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// `%tid`, by axis.
    Thread(u8),
    /// `%ntid`, by axis.
    BlockSize(u8),
    /// `%ctaid`, by axis.
    Block(u8),
    /// `%nctaid`, by axis.
    GridSize(u8),
    Lane,
    Warp,
    WarpCount,
    /// `%lanemask_eq`, `lt`, `le`, `gt`, `ge`.
    LanesEqual,
    LanesBelow,
    LanesUpTo,
    LanesAbove,
    LanesFrom,
    DynamicShared,
    TotalShared,
    /// Values that a deterministic run cannot give truthfully (`%smid`, `%gridid`): always 0.
    Zero,
}

/// How a kernel's registers are laid out and what some of them hold from the start.
#[derive(Debug, Default)]
pub struct RegisterFile {
    pub words: u32,
    pub longs: u32,
    pub flags: u32,
    pub word_constants: Vec<(Word, u32)>,
    pub long_constants: Vec<(Long, u64)>,
    pub flag_constants: Vec<(Flag, bool)>,
    pub specials: Vec<(Word, Special)>,
}

/// A lowered instruction.
#[derive(Debug)]
pub struct Instruction {
    pub op: Op,
    pub guard: Option<Guard>,
    pub class: Class,
}

/// The predicate under which an instruction takes effect.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    pub flag: Flag,
    pub negated: bool,
}

/// Where an instruction came from, for messages.
#[derive(Debug)]
pub struct Origin {
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// The instruction as written.
    pub text: String,
    pub location: Option<Location>,
}

/// What the counters call an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Integer,
    Float,
    Double,
    Half,
    Convert,
    Move,
    Predicate,
    Control,
    Barrier,
    Collective,
    LoadParameter,
    LoadGlobal,
    StoreGlobal,
    LoadShared,
    StoreShared,
    Local,
    Atomic,
    AsyncCopy,
    Matrix,
}

impl Class {
    /// Every class with the name the counters give it.
    pub const NAMES: [(Class, &'static str); 19] = [
        (Class::Integer, "integer"),
        (Class::Float, "float"),
        (Class::Double, "double"),
        (Class::Half, "half"),
        (Class::Convert, "convert"),
        (Class::Move, "move"),
        (Class::Predicate, "predicate"),
        (Class::Control, "control"),
        (Class::Barrier, "barrier"),
        (Class::Collective, "collective"),
        (Class::LoadParameter, "load_parameter"),
        (Class::LoadGlobal, "load_global"),
        (Class::StoreGlobal, "store_global"),
        (Class::LoadShared, "load_shared"),
        (Class::StoreShared, "store_shared"),
        (Class::Local, "local"),
        (Class::Atomic, "atomic"),
        (Class::AsyncCopy, "async_copy"),
        (Class::Matrix, "matrix"),
    ];
}

/// A parameter's place in the parameter buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    pub offset: usize,
    pub size: usize,
}

/// A kernel ready to run.
#[derive(Debug)]
pub struct Kernel {
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// Product of the declared block size limits.
    pub max_threads: Option<u32>,
    pub registers: RegisterFile,
    pub code: Vec<Instruction>,
    /// One for each instruction of `code`.
    pub origins: Vec<Origin>,
    /// Bytes of static shared memory; dynamic shared memory begins at `dynamic_shared`.
    pub static_shared: usize,
    pub dynamic_shared: usize,
    /// Bytes of local memory a thread.
    pub local: usize,
    /// `.file` table, for messages.
    pub files: Vec<(u64, String)>,
}

impl Kernel {
    /// Bytes of the parameter buffer.
    pub fn parameter_bytes(&self) -> usize {
        self.parameters.last().map_or(0, |last| last.offset + last.size)
    }

    /// `file.cu:12` of an instruction, with the place it was inlined at, or nothing without line information.
    pub fn source_of(&self, pc: usize) -> Option<String> {
        let location = self.origins.get(pc)?.location?;
        let file = |index: u64| {
            let path = self.files.iter().find(|file| file.0 == index).map_or("?", |file| file.1.as_str());
            path.rsplit('/').next().unwrap_or(path).to_string()
        };
        let inner = format!("{}:{}", file(location.file), location.line);
        Some(match location.inlined_at {
            Some((outer, line)) => format!("{inner} inlined at {}:{line}", file(outer)),
            None => inner,
        })
    }
}
