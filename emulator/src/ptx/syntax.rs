//! The parts of a PTX module, as written.

/// A PTX module.
#[derive(Debug, Default)]
pub struct Module<'a> {
    pub kernels: Vec<Kernel<'a>>,
    /// Variables declared outside kernels.
    pub variables: Vec<Variable<'a>>,
    /// `.file` table: index and path.
    pub files: Vec<(u64, &'a str)>,
}

/// Where a variable lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    Global,
    Constant,
    Shared,
    /// `.extern .shared name[]`: begins where the static shared variables end.
    DynamicShared,
    Local,
}

/// A variable: its size is 0 for dynamic shared memory.
#[derive(Debug, Clone)]
pub struct Variable<'a> {
    pub name: &'a str,
    pub storage: Storage,
    pub alignment: usize,
    pub size: usize,
    /// Initial bytes; shorter than `size` where the rest is zero.
    pub initial: Vec<u8>,
}

/// A kernel parameter at its place in the parameter buffer.
#[derive(Debug, Clone)]
pub struct Parameter<'a> {
    pub name: &'a str,
    pub offset: usize,
    pub size: usize,
}

/// An `.entry` function.
#[derive(Debug)]
pub struct Kernel<'a> {
    pub name: &'a str,
    pub parameters: Vec<Parameter<'a>>,
    /// Product of `.maxntid` or `.reqntid`.
    pub max_threads: Option<u32>,
    pub body: Vec<Statement<'a>>,
}

/// A position in the CUDA source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub file: u64,
    pub line: u32,
    /// Where the function holding this line was inlined.
    pub inlined_at: Option<(u64, u32)>,
}

/// One statement of a kernel's body.
#[derive(Debug)]
pub enum Statement<'a> {
    OpenScope,
    CloseScope,
    Label(&'a str),
    /// `.reg .b32 %r<6>` (count 6) or `.reg .pred p` (no count).
    Registers {
        kind: &'a str,
        name: &'a str,
        count: Option<u32>,
    },
    Variable(Variable<'a>),
    /// `name: .branchtargets a, b, c;`
    BranchTargets {
        name: &'a str,
        labels: Vec<&'a str>,
    },
    Instruction(Instruction<'a>),
}

/// An instruction as written.
#[derive(Debug, Clone)]
pub struct Instruction<'a> {
    /// Guard predicate and whether it is negated.
    pub guard: Option<(&'a str, bool)>,
    /// The opcode with all its suffixes, e.g. `ld.global.nc.v4.f32`.
    pub opcode: &'a str,
    pub operands: Vec<Operand<'a>>,
    /// Line of the PTX text, from 1.
    pub line: u32,
    pub location: Option<Location>,
}

/// An operand as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand<'a> {
    /// A register, special register, label or symbol, with an offset (`table+16`).
    Name(&'a str, i64),
    Integer(u64),
    Single(u32),
    Double(u64),
    /// `!%p1`
    Not(&'a str),
    /// `%r1|%p1`
    Pair(&'a str, &'a str),
    /// `{%r1, %r2}`
    Vector(Vec<Operand<'a>>),
    /// `[%rd1+16]`, `[name+4]`, `[16]`
    Address {
        base: Option<&'a str>,
        offset: i64,
    },
}
