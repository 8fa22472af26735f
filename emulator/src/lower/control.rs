//! Branches, exits and barriers.

use super::{Lowered, Lowering, Written, types::Type};
use crate::{
    program::{Barrier, BarrierKind, Class, Op},
    ptx::syntax::Operand,
};

const WORD: Type = Type::Unsigned(32);

impl<'a> Lowering<'a> {
    pub(super) fn control(&mut self, written: &Written<'a, '_>) -> Lowered {
        let op = match written.name {
            "bra" => Op::Branch { target: self.label(written.operand(0)?)? },
            "brx" => return self.indexed_branch(written),
            "ret" | "exit" => Op::Exit,
            "trap" => Op::Trap,
            "bar" | "barrier" => return self.barrier(written),
            _ => return Err("calls are not supported: the callee must be inlined".into()),
        };
        Ok((op, Class::Control))
    }

    fn label(&mut self, operand: &Operand<'a>) -> Result<u32, String> {
        match operand {
            Operand::Name(name, 0) => Ok(self.names.use_label(name)),
            _ => Err(format!("{operand:?}: expected a label")),
        }
    }

    fn indexed_branch(&mut self, written: &Written<'a, '_>) -> Lowered {
        let index = self.word_source(written, 0, WORD)?;
        let Operand::Name(list, 0) = *written.operand(1)? else { return Err("expected a list of labels".into()) };
        let targets = self.names.targets_of(list)?.into();
        Ok((Op::BranchIndexed { index, targets }, Class::Control))
    }

    fn barrier(&mut self, written: &Written<'a, '_>) -> Lowered {
        if written.parts.first() == Some(&"warp") {
            return Ok((Op::WarpBarrier { members: self.word_source(written, 0, WORD)? }, Class::Barrier));
        }
        written.only(&["cta", "sync", "red", "popc", "and", "or", "aligned"])?;
        let aligned = written.name == "bar" || written.has("aligned");
        let (mut at, mut target) = (0, None);
        if written.has("red") {
            target = Some(written.operand(0)?);
            at = 1;
        }
        let id = self.word_source(written, at, WORD)?;
        let counted = written.operands.len() > at + if target.is_some() { 2 } else { 1 };
        let threads = if counted { Some(self.word_source(written, at + 1, WORD)?) } else { None };
        let kind = match target {
            None => BarrierKind::Wait,
            Some(target) => {
                let (a, negated) = self.names.flag(written.operand(at + 1 + usize::from(counted))?)?;
                if written.has("popc") {
                    BarrierKind::Count { d: self.names.target_word(target)?, a, negated }
                } else {
                    BarrierKind::ReduceFlag { all: written.has("and"), d: self.names.flag(target)?.0, a, negated }
                }
            }
        };
        Ok((Op::Barrier(Box::new(Barrier { id, threads, aligned, kind })), Class::Barrier))
    }
}
