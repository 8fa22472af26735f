//! The operations the executor knows, each naming its registers.

use super::{
    Address, Atomic, Barrier, CompareTarget, Comparison, Conversion, Flag, FloatMode, FloatOp, FloatUnary, HalfFormat,
    HalfKind, IntegerOp, LogicOp, Long, LongKind, MatrixMultiply, PermuteMode, Register, Rounding, Shape, ShuffleMode,
    Signedness, Space, UnaryOp, VoteMode, Word, WordKind,
};

/// An operation. `d` is the destination, `a`, `b`, `c` the sources in the order of the PTX ISA.
#[derive(Debug)]
pub enum Op {
    MoveWord {
        d: Word,
        a: Word,
    },
    MoveLong {
        d: Long,
        a: Long,
    },
    MoveFlag {
        d: Flag,
        a: Flag,
    },
    /// Joins equal parts, lowest first.
    Pack {
        d: Register,
        parts: Box<[Register]>,
    },
    /// Splits into equal parts, lowest first; `None` drops one.
    Unpack {
        a: Register,
        parts: Box<[Option<Register>]>,
    },

    Word2 {
        op: IntegerOp,
        d: Word,
        a: Word,
        b: Word,
    },
    /// 16-bit operands in words.
    Short2 {
        op: IntegerOp,
        d: Word,
        a: Word,
        b: Word,
    },
    Long2 {
        op: IntegerOp,
        d: Long,
        a: Long,
        b: Long,
    },
    LongShift {
        op: IntegerOp,
        d: Long,
        a: Long,
        b: Word,
    },
    Word1 {
        op: UnaryOp,
        bits: u8,
        d: Word,
        a: Word,
    },
    Long1 {
        op: UnaryOp,
        d: Long,
        a: Long,
    },
    /// A count or position in a 64-bit value.
    LongCount {
        op: UnaryOp,
        d: Word,
        a: Long,
    },
    MultiplyAdd {
        high: Option<Signedness>,
        bits: u8,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    MultiplyAddLong {
        d: Long,
        a: Long,
        b: Long,
        c: Long,
    },
    /// 32 x 32 -> 64 bits, plus `c`.
    MultiplyWide {
        sign: Signedness,
        d: Long,
        a: Word,
        b: Word,
        c: Option<Long>,
    },
    /// 16 x 16 -> 32 bits, plus `c`.
    MultiplyWideShort {
        sign: Signedness,
        d: Word,
        a: Word,
        b: Word,
        c: Option<Word>,
    },
    /// `add.cc`, `addc`, `sub.cc`, `subc`.
    Carry {
        subtract: bool,
        takes: bool,
        gives: bool,
        d: Word,
        a: Word,
        b: Word,
    },
    ExtractBits {
        sign: Signedness,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    ExtractBitsLong {
        sign: Signedness,
        d: Long,
        a: Long,
        b: Word,
        c: Word,
    },
    InsertBits {
        d: Word,
        a: Word,
        b: Word,
        position: Word,
        length: Word,
    },
    InsertBitsLong {
        d: Long,
        a: Long,
        b: Long,
        position: Word,
        length: Word,
    },
    Permute {
        mode: PermuteMode,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    Logic3 {
        table: u8,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    FunnelShift {
        left: bool,
        clamp: bool,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    DotBytes {
        a_sign: Signedness,
        b_sign: Signedness,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },

    Float2 {
        op: FloatOp,
        mode: FloatMode,
        d: Word,
        a: Word,
        b: Word,
    },
    FloatFma {
        mode: FloatMode,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    Float1 {
        op: FloatUnary,
        flush: bool,
        d: Word,
        a: Word,
    },
    Double2 {
        op: FloatOp,
        d: Long,
        a: Long,
        b: Long,
    },
    DoubleFma {
        d: Long,
        a: Long,
        b: Long,
        c: Long,
    },
    Double1 {
        op: FloatUnary,
        d: Long,
        a: Long,
    },
    Half2 {
        op: FloatOp,
        kind: HalfKind,
        saturate: bool,
        d: Word,
        a: Word,
        b: Word,
    },
    HalfFma {
        kind: HalfKind,
        relu: bool,
        saturate: bool,
        d: Word,
        a: Word,
        b: Word,
        c: Word,
    },
    Half1 {
        op: FloatUnary,
        kind: HalfKind,
        d: Word,
        a: Word,
    },

    CompareWord {
        kind: WordKind,
        comparison: Comparison,
        target: CompareTarget,
        a: Word,
        b: Word,
    },
    CompareLong {
        kind: LongKind,
        comparison: Comparison,
        target: CompareTarget,
        a: Long,
        b: Long,
    },
    /// Compares both halves, each into its own predicate.
    ComparePacked {
        format: HalfFormat,
        comparison: Comparison,
        low: CompareTarget,
        high: Option<Flag>,
        a: Word,
        b: Word,
    },
    /// Compares both halves into 1.0 or 0.0 (or all ones or zeros where `mask`) of the same format.
    SetPacked {
        format: HalfFormat,
        comparison: Comparison,
        mask: bool,
        d: Word,
        a: Word,
        b: Word,
    },
    SelectWord {
        d: Word,
        a: Word,
        b: Word,
        flag: Flag,
    },
    SelectLong {
        d: Long,
        a: Long,
        b: Long,
        flag: Flag,
    },
    FlagLogic {
        op: LogicOp,
        d: Flag,
        a: Flag,
        b: Flag,
    },
    FlagNot {
        d: Flag,
        a: Flag,
    },

    /// Sign- or zero-extends the low `bits`, then keeps `keep` bits.
    Extend {
        bits: u8,
        sign: Signedness,
        keep: u8,
        d: Word,
        a: Word,
    },
    ExtendLong {
        bits: u8,
        sign: Signedness,
        d: Long,
        a: Word,
    },
    Narrow {
        bits: u8,
        d: Word,
        a: Long,
    },
    HalfToFloat {
        format: HalfFormat,
        d: Word,
        a: Word,
    },
    /// Rounds to nearest even, with no saturation.
    FloatToHalf {
        format: HalfFormat,
        d: Word,
        a: Word,
    },
    /// `d = {a, b}`: `a` becomes the upper half.
    PackHalves {
        format: HalfFormat,
        rounding: Rounding,
        relu: bool,
        d: Word,
        a: Word,
        b: Word,
    },
    Convert(Box<Conversion>),

    Load {
        space: Space,
        shape: Shape,
        d: [Register; 4],
        address: Address,
    },
    Store {
        space: Space,
        shape: Shape,
        a: [Register; 4],
        address: Address,
    },
    Atomic(Box<Atomic>),
    CopyAsync {
        bytes: u8,
        to: Address,
        from: Address,
        source_bytes: Option<Word>,
        skip: Option<Flag>,
    },
    CommitCopies,
    /// Waits until at most `pending` groups are outstanding; `None`: for everything.
    WaitCopies {
        pending: Option<u32>,
    },
    LoadMatrix {
        count: u8,
        transposed: bool,
        d: [Word; 4],
        address: Address,
    },
    ToGeneric {
        space: Space,
        d: Long,
        a: Long,
    },
    FromGeneric {
        space: Space,
        d: Long,
        a: Long,
    },
    IsSpace {
        space: Space,
        d: Flag,
        a: Long,
    },

    Shuffle {
        mode: ShuffleMode,
        d: Word,
        in_range: Option<Flag>,
        a: Word,
        b: Word,
        c: Word,
        members: Word,
    },
    VoteFlag {
        mode: VoteMode,
        d: Flag,
        a: Flag,
        negated: bool,
        members: Word,
    },
    VoteBallot {
        d: Word,
        a: Flag,
        negated: bool,
        members: Word,
    },
    Match {
        all: bool,
        d: Word,
        agreed: Option<Flag>,
        a: Register,
        members: Word,
    },
    Reduce {
        op: IntegerOp,
        d: Word,
        a: Word,
        members: Word,
    },
    WarpBarrier {
        members: Word,
    },
    ActiveMask {
        d: Word,
    },
    /// `mma.sync` and the `wmma.mma` of the same size.
    Multiply(Box<MatrixMultiply>),
    /// Transposes an 8x8 matrix of 16-bit elements held by the warp.
    TransposeMatrix {
        d: Word,
        a: Word,
    },

    Branch {
        target: u32,
    },
    BranchIndexed {
        index: Word,
        targets: Box<[u32]>,
    },
    Exit,
    Trap,
    Barrier(Box<Barrier>),
    /// Fences, prefetches and hints: no effect where execution is in order.
    Nothing,
}
