//! Instructions the lanes of a warp carry out together.

use super::{Lowered, Lowering, Written, types::Type};
use crate::{
    program::{
        Class, HalfFormat, HalfKind, IntegerOp, MatrixMultiply, MatrixType, Op, ShuffleMode, Signedness, VoteMode, Word,
    },
    ptx::syntax::Operand,
};

const WORD: Type = Type::Unsigned(32);

impl<'a> Lowering<'a> {
    pub(super) fn collective(&mut self, written: &Written<'a, '_>) -> Lowered {
        match written.name {
            "activemask" => Ok((Op::ActiveMask { d: self.word_target(written, 0)? }, Class::Collective)),
            "mma" => self.multiply_matrices(written),
            "movmatrix" => self.transpose_matrix(written),
            _ if !written.has("sync") => written.unsupported(),
            "shfl" => self.shuffle(written),
            "vote" => self.vote(written),
            "match" => self.match_lanes(written),
            _ => self.reduce(written),
        }
    }

    fn shuffle(&mut self, written: &Written<'a, '_>) -> Lowered {
        let mode = match written.parts.as_slice() {
            ["sync", "up", "b32"] => ShuffleMode::Up,
            ["sync", "down", "b32"] => ShuffleMode::Down,
            ["sync", "bfly", "b32"] => ShuffleMode::Butterfly,
            ["sync", "idx", "b32"] => ShuffleMode::Index,
            _ => return written.unsupported(),
        };
        let (d, in_range) = self.word_and_flag(written)?;
        let (a, b) = (self.word_source(written, 1, WORD)?, self.word_source(written, 2, WORD)?);
        let (c, members) = (self.word_source(written, 3, WORD)?, self.word_source(written, 4, WORD)?);
        Ok((Op::Shuffle { mode, d, in_range, a, b, c, members }, Class::Collective))
    }

    /// `%r1|%p1` or `%r1`.
    fn word_and_flag(&mut self, written: &Written<'a, '_>) -> Result<(Word, Option<crate::program::Flag>), String> {
        match written.operand(0)? {
            Operand::Pair(word, flag) => {
                Ok((self.names.target_word(&Operand::Name(word, 0))?, Some(self.names.flag_named(flag)?)))
            }
            operand => Ok((self.names.target_word(operand)?, None)),
        }
    }

    fn vote(&mut self, written: &Written<'a, '_>) -> Lowered {
        let (a, negated) = self.names.flag(written.operand(1)?)?;
        let members = self.word_source(written, 2, WORD)?;
        let mode = match written.parts.as_slice() {
            ["sync", "ballot", "b32"] => {
                let d = self.word_target(written, 0)?;
                return Ok((Op::VoteBallot { d, a, negated, members }, Class::Collective));
            }
            ["sync", "all", "pred"] => VoteMode::All,
            ["sync", "any", "pred"] => VoteMode::Any,
            ["sync", "uni", "pred"] => VoteMode::Uniform,
            _ => return written.unsupported(),
        };
        Ok((Op::VoteFlag { mode, d: self.flag_target(written, 0)?, a, negated, members }, Class::Collective))
    }

    fn match_lanes(&mut self, written: &Written<'a, '_>) -> Lowered {
        let all = match written.parts.first() {
            Some(&"all") => true,
            Some(&"any") => false,
            _ => return written.unsupported(),
        };
        let (d, agreed) = self.word_and_flag(written)?;
        let a = self.source(written, 1, written.kind()?)?;
        Ok((Op::Match { all, d, agreed, a, members: self.word_source(written, 2, WORD)? }, Class::Collective))
    }

    fn reduce(&mut self, written: &Written<'a, '_>) -> Lowered {
        let (sign, unsigned) = (written.kind()?.sign(), Signedness::Unsigned);
        let op = match (written.parts.get(1).copied(), written.kind()?.bits()) {
            (Some("add"), 32) => IntegerOp::Add,
            (Some("min"), 32) => IntegerOp::Minimum(sign),
            (Some("max"), 32) => IntegerOp::Maximum(sign),
            (Some("and"), 32) if sign == unsigned => IntegerOp::And,
            (Some("or"), 32) if sign == unsigned => IntegerOp::Or,
            (Some("xor"), 32) if sign == unsigned => IntegerOp::Xor,
            _ => return written.unsupported(),
        };
        let (a, members) = (self.word_source(written, 1, WORD)?, self.word_source(written, 2, WORD)?);
        Ok((Op::Reduce { op, d: self.word_target(written, 0)?, a, members }, Class::Collective))
    }

    fn multiply_matrices(&mut self, written: &Written<'a, '_>) -> Lowered {
        let ["sync", "aligned", shape, "row", "col", sum, a_type, b_type, c_type] = written.parts[..] else {
            return written.unsupported();
        };
        let half_sums = sum == "f16";
        let (element, k) = match (shape, a_type) {
            ("m16n8k16", "f16") => (MatrixType::Half(HalfFormat::F16), 16),
            ("m16n8k16", "bf16") => (MatrixType::Half(HalfFormat::Bf16), 16),
            ("m16n8k8", "f16") => (MatrixType::Half(HalfFormat::F16), 8),
            ("m16n8k8", "bf16") => (MatrixType::Half(HalfFormat::Bf16), 8),
            ("m16n8k8", "tf32") => (MatrixType::Tf32, 8),
            ("m16n8k4", "tf32") => (MatrixType::Tf32, 4),
            _ => return written.unsupported(),
        };
        let right_sums = sum == c_type && (sum == "f32" || half_sums && a_type == "f16");
        if a_type != b_type || !right_sums {
            return written.unsupported();
        }
        let per_word = if element == MatrixType::Tf32 { 1 } else { 2 };
        let (a_words, b_words) = (16 * k / 32 / per_word, 8 * k / 32 / per_word);
        let sum_words = if half_sums { 2 } else { 4 };
        let d = self.fragment(written, 0, sum_words, true)?;
        let a = self.fragment(written, 1, a_words, false)?;
        let b = self.fragment(written, 2, b_words, false)?;
        let c = self.fragment(written, 3, sum_words, false)?;
        Ok((Op::Multiply(Box::new(MatrixMultiply { element, k, d, a, b, c, half_sums })), Class::Matrix))
    }

    fn fragment(
        &mut self,
        written: &Written<'a, '_>,
        index: usize,
        words: usize,
        target: bool,
    ) -> Result<Box<[Word]>, String> {
        let items = match written.operand(index)? {
            Operand::Vector(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        if items.len() != words {
            return Err(format!("operand {}: expected {words} registers, found {}", index + 1, items.len()));
        }
        let one = |item| if target { self.names.target_word(item) } else { self.names.word(item, WORD) };
        items.iter().map(one).collect()
    }

    fn transpose_matrix(&mut self, written: &Written<'a, '_>) -> Lowered {
        if written.parts != ["sync", "aligned", "m8n8", "trans", "b16"] {
            return written.unsupported();
        }
        let a = self.word_source(written, 1, Type::Half(HalfKind { format: HalfFormat::F16, packed: true }))?;
        Ok((Op::TransposeMatrix { d: self.word_target(written, 0)?, a }, Class::Matrix))
    }
}
