//! What operations are about: the kinds, types, modes and places that [`Op`](super::Op) names.

use super::{Flag, Register, Word};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signedness {
    Signed,
    Unsigned,
}

/// Integer operations of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegerOp {
    Add,
    /// `add.sat.s32`
    AddSaturating,
    Subtract,
    /// `sub.sat.s32`
    SubtractSaturating,
    Multiply,
    MultiplyHigh(Signedness),
    Divide(Signedness),
    Remainder(Signedness),
    Minimum(Signedness),
    Maximum(Signedness),
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight(Signedness),
}

/// Integer operations of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    Negate,
    Absolute,
    Not,
    /// 1 where zero, else 0.
    LogicalNot,
    PopulationCount,
    LeadingZeros,
    ReverseBits,
    /// `bfind`: position of the highest significant bit, counted from below or (`shift`) as a left shift.
    FindHighest {
        sign: Signedness,
        shift: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermuteMode {
    Index,
    ForwardExtract,
    BackwardExtract,
    Replicate8,
    EdgeLeft,
    EdgeRight,
    Replicate16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// A NaN yields to a number.
    Minimum,
    Maximum,
    /// A NaN wins.
    MinimumNan,
    MaximumNan,
    /// The magnitude of `b` with the sign of `a`.
    CopySign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatUnary {
    Negate,
    Absolute,
    Reciprocal,
    /// `rcp.approx.ftz.f64`: of the upper half of the number, to the upper half of the result.
    ReciprocalUpper,
    SquareRoot,
    ReciprocalSquareRoot,
    Exponential2,
    Logarithm2,
    Sine,
    Cosine,
    HyperbolicTangent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    Nearest,
    /// To nearest, ties away from zero (`rna`).
    NearestAway,
    Zero,
    Down,
    Up,
}

/// What `.rn .ftz .sat` ask of an f32 operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloatMode {
    pub rounding: Rounding,
    /// Subnormal inputs and results become zero.
    pub flush: bool,
    /// The result is clamped to [0, 1].
    pub saturate: bool,
}

impl FloatMode {
    pub const PLAIN: Self = Self { rounding: Rounding::Nearest, flush: false, saturate: false };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfFormat {
    F16,
    Bf16,
}

/// A 16-bit format, alone or two in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfKind {
    pub format: HalfFormat,
    pub packed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordKind {
    Signed,
    Unsigned,
    SignedShort,
    UnsignedShort,
    Float,
    Half(HalfFormat),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongKind {
    Signed,
    Unsigned,
    Double,
}

/// A comparison; with a NaN among the operands it is false, and true where `unordered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    pub relation: Relation,
    pub unordered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Neither is a NaN.
    Number,
    /// One is a NaN.
    Nan,
}

/// Where a comparison's result goes: `d = result op with`, `complement = !result op with`.
#[derive(Debug, Clone, Copy)]
pub struct CompareTarget {
    pub d: Flag,
    pub complement: Option<Flag>,
    pub combine: Option<(LogicOp, Flag, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicOp {
    And,
    Or,
    Xor,
}

/// The type a conversion reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Integer {
        bits: u8,
        sign: Signedness,
    },
    Half(HalfFormat),
    Float,
    /// f32 with the low 13 bits of the significand cleared.
    Tf32,
    Double,
}

/// A conversion between numbers, of the less common kinds.
#[derive(Debug)]
pub struct Conversion {
    pub to: Number,
    pub from: Number,
    /// `Some` with an `i`: to an integral value.
    pub rounding: Rounding,
    pub integral: bool,
    pub saturate: bool,
    pub flush: bool,
    pub relu: bool,
    pub d: Register,
    pub a: Register,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Generic,
    Global,
    Constant,
    Shared,
    Local,
    Parameter,
}

/// The elements an access moves for each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub bytes: u8,
    pub count: u8,
    pub sign: Signedness,
}

impl Shape {
    /// Bytes a lane.
    pub fn total(self) -> usize {
        usize::from(self.bytes) * usize::from(self.count)
    }
}

/// `[base + offset]`
#[derive(Debug, Clone, Copy)]
pub struct Address {
    pub base: Option<Register>,
    pub offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtomicOp {
    Add,
    Minimum,
    Maximum,
    And,
    Or,
    Xor,
    Exchange,
    CompareAndSwap,
    /// Wraps to 0 above the operand.
    Increment,
    /// Wraps to the operand below 0.
    Decrement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtomicType {
    Integer { bits: u8, sign: Signedness },
    Float,
    Double,
    Half(HalfKind),
}

impl AtomicType {
    pub fn bytes(self) -> usize {
        match self {
            Self::Integer { bits, .. } => usize::from(bits) / 8,
            Self::Float | Self::Half(HalfKind { packed: true, .. }) => 4,
            Self::Half(_) => 2,
            Self::Double => 8,
        }
    }
}

/// An atomic of `operands.len()` consecutive elements.
#[derive(Debug)]
pub struct Atomic {
    pub space: Space,
    pub op: AtomicOp,
    pub kind: AtomicType,
    /// Where the old values go; none for `red`.
    pub d: Box<[Register]>,
    pub address: Address,
    pub operands: Box<[Register]>,
    /// The new value of a compare and swap.
    pub new: Option<Register>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteMode {
    All,
    Any,
    Uniform,
}

/// Element types a matrix product multiplies; sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixType {
    Half(HalfFormat),
    Tf32,
}

/// `D[16x8] = A[16xk] B[kx8] + C[16x8]`, fragments as in the PTX ISA.
#[derive(Debug)]
pub struct MatrixMultiply {
    pub element: MatrixType,
    pub k: usize,
    pub d: Box<[Word]>,
    pub a: Box<[Word]>,
    pub b: Box<[Word]>,
    pub c: Box<[Word]>,
    /// C and D are packed f16 instead of f32.
    pub half_sums: bool,
}

#[derive(Debug)]
pub struct Barrier {
    pub id: Word,
    /// Threads that take part; all of the block where none.
    pub threads: Option<Word>,
    /// All lanes of a warp must arrive at the same instruction.
    pub aligned: bool,
    pub kind: BarrierKind,
}

#[derive(Debug, Clone, Copy)]
pub enum BarrierKind {
    Wait,
    /// `bar.red.and`, `or`: `d` is the reduction of `a` over the block.
    ReduceFlag {
        all: bool,
        d: Flag,
        a: Flag,
        negated: bool,
    },
    /// `bar.red.popc`
    Count {
        d: Word,
        a: Flag,
        negated: bool,
    },
}
