//! Turns parsed PTX into [`Kernel`]s: names become register numbers, opcodes typed operations, labels instruction indices.

mod arithmetic;
mod collective;
mod compare;
mod control;
mod convert;
mod floating;
mod memory;
mod names;
mod types;

use std::collections::HashMap;

use crate::{
    program::{Class, Guard, Instruction, Kernel, Op, Origin, Parameter},
    ptx::syntax::{self, Module, Operand, Statement, Storage, Variable},
};
use names::Names;
use types::Type;

/// Reasons that a message lists; of more it gives the number.
const LISTED: usize = 10;

/// A kernel that cannot be run, with the reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.0))]
pub struct LowerError(pub Vec<String>);

fn list(reasons: &[String]) -> String {
    let mut text = reasons[..reasons.len().min(LISTED)].join("\n");
    if reasons.len() > LISTED {
        text += &format!("\nand {} more", reasons.len() - LISTED);
    }
    text
}

type Lowered = Result<(Op, Class), String>;

/// Lowers every kernel of `module`. `symbols` holds the addresses of its global and constant variables; `source` is its text.
pub fn lower(
    module: &Module<'_>,
    source: &str,
    symbols: &HashMap<String, u64>,
) -> HashMap<String, Result<Kernel, LowerError>> {
    let lines: Vec<&str> = source.lines().collect();
    let one = |kernel| (String::from(kernel_name(kernel)), lower_kernel(module, kernel, &lines, symbols));
    module.kernels.iter().map(one).collect()
}

fn kernel_name<'a>(kernel: &syntax::Kernel<'a>) -> &'a str {
    kernel.name
}

fn lower_kernel(
    module: &Module<'_>,
    kernel: &syntax::Kernel<'_>,
    lines: &[&str],
    symbols: &HashMap<String, u64>,
) -> Result<Kernel, LowerError> {
    let mut lowering =
        Lowering { names: Names::new(symbols), code: Vec::new(), origins: Vec::new(), errors: Vec::new() };
    let layout = lowering.declare_memory(module, kernel);
    for statement in &kernel.body {
        lowering.statement(kernel.name, statement, lines);
    }
    lowering.finish();
    if !lowering.errors.is_empty() {
        return Err(LowerError(lowering.errors));
    }
    let parameters = kernel.parameters.iter().map(|p| Parameter { offset: p.offset, size: p.size }).collect();
    Ok(Kernel {
        name: kernel.name.into(),
        parameters,
        max_threads: kernel.max_threads,
        registers: lowering.names.into_registers(),
        code: lowering.code,
        origins: lowering.origins,
        static_shared: layout.static_shared,
        dynamic_shared: layout.dynamic_shared,
        local: layout.local,
        files: module.files.iter().map(|&(index, path)| (index, path.to_string())).collect(),
    })
}

/// Where a kernel's shared and local variables end.
struct Layout {
    static_shared: usize,
    dynamic_shared: usize,
    local: usize,
}

struct Lowering<'a> {
    names: Names<'a>,
    code: Vec<Instruction>,
    origins: Vec<Origin>,
    errors: Vec<String>,
}

impl<'a> Lowering<'a> {
    fn declare_memory(&mut self, module: &Module<'a>, kernel: &syntax::Kernel<'a>) -> Layout {
        for parameter in &kernel.parameters {
            self.names.symbol(parameter.name, parameter.offset as u64);
        }
        let inside = kernel.body.iter().filter_map(|statement| match statement {
            Statement::Variable(variable) => Some(variable),
            _ => None,
        });
        let used = |variable: &&Variable<'a>| kernel.body.iter().any(|statement| mentions(statement, variable.name));
        let outside =
            module.variables.iter().filter(|variable| variable.storage != Storage::DynamicShared).filter(used);
        let (mut shared, mut local) = (0usize, 0usize);
        for variable in inside.chain(outside) {
            let end = match variable.storage {
                Storage::Shared => &mut shared,
                Storage::Local => &mut local,
                _ => continue,
            };
            let start = end.next_multiple_of(variable.alignment);
            self.names.symbol(variable.name, start as u64);
            *end = start + variable.size;
        }
        let dynamic: Vec<_> = module.variables.iter().filter(|v| v.storage == Storage::DynamicShared).collect();
        let alignment = dynamic.iter().map(|variable| variable.alignment).max().unwrap_or(1).max(16);
        let dynamic_shared = shared.next_multiple_of(alignment);
        for variable in dynamic {
            self.names.symbol(variable.name, dynamic_shared as u64);
        }
        Layout { static_shared: shared, dynamic_shared, local }
    }

    fn statement(&mut self, kernel: &str, statement: &Statement<'a>, lines: &[&str]) {
        match statement {
            Statement::OpenScope => self.names.open(),
            Statement::CloseScope => self.names.close(),
            Statement::Label(label) => self.names.label(label, self.code.len() as u32),
            Statement::Registers { kind, name, count } => {
                if let Err(text) = self.names.declare(kind, name, *count) {
                    self.errors.push(format!("{kernel}: {text}"));
                }
            }
            Statement::BranchTargets { name, labels } => self.names.branch_targets(name, labels),
            Statement::Variable(_) => {}
            Statement::Instruction(instruction) => self.instruction(kernel, instruction, lines),
        }
    }

    fn instruction(&mut self, kernel: &str, instruction: &syntax::Instruction<'a>, lines: &[&str]) {
        let text = lines.get(instruction.line as usize - 1).map_or("", |line| line.trim()).to_string();
        let mut guard = None;
        let lowered = self.lower_guarded(instruction, &mut guard);
        match lowered {
            Ok((op, class)) => {
                self.code.push(Instruction { op, guard, class });
                self.origins.push(Origin { line: instruction.line, text, location: instruction.location });
            }
            Err(reason) => self.errors.push(format!("{kernel}: PTX line {}: `{text}`: {reason}", instruction.line)),
        }
    }

    fn lower_guarded(&mut self, instruction: &syntax::Instruction<'a>, guard: &mut Option<Guard>) -> Lowered {
        if let Some((name, negated)) = instruction.guard {
            *guard = Some(Guard { flag: self.names.flag_named(name)?, negated });
        }
        let written = Written::new(instruction);
        self.op(&written)
    }

    /// Chooses the group of operations an opcode belongs to.
    fn op(&mut self, written: &Written<'a, '_>) -> Lowered {
        match written.name {
            "mov" | "cvt" | "cvta" => self.move_or_convert(written),
            "ld" | "ldu" | "st" | "atom" | "red" | "cp" | "ldmatrix" | "isspacep" => self.memory(written),
            "setp" | "set" | "selp" | "slct" | "testp" => self.comparison(written),
            "shfl" | "vote" | "match" | "redux" | "activemask" | "mma" | "movmatrix" => self.collective(written),
            "bra" | "brx" | "ret" | "exit" | "trap" | "bar" | "barrier" | "call" => self.control(written),
            "membar" | "fence" | "prefetch" | "prefetchu" | "nanosleep" | "discard" | "applypriority"
            | "griddepcontrol" => Ok((Op::Nothing, Class::Control)),
            name if arithmetic::lowers(name) => self.arithmetic(written),
            _ => written.unsupported(),
        }
    }

    /// Ends a kernel that falls off its last statement, and replaces labels by instruction indices.
    fn finish(&mut self) {
        self.code.push(Instruction { op: Op::Exit, guard: None, class: Class::Control });
        self.origins.push(Origin { line: 0, text: "the end of the kernel".into(), location: None });
        for (instruction, origin) in self.code.iter_mut().zip(&self.origins) {
            let targets: &mut [u32] = match &mut instruction.op {
                Op::Branch { target } => std::slice::from_mut(target),
                Op::BranchIndexed { targets, .. } => targets,
                _ => continue,
            };
            for target in targets {
                match self.names.resolve(*target) {
                    Ok(pc) => *target = pc,
                    Err(label) => self.errors.push(format!("PTX line {}: label `{label}` is not defined", origin.line)),
                }
            }
        }
    }
}

fn mentions(statement: &Statement<'_>, name: &str) -> bool {
    let Statement::Instruction(instruction) = statement else { return false };
    instruction.operands.iter().any(|operand| match operand {
        Operand::Name(word, _) => *word == name,
        Operand::Address { base, .. } => *base == Some(name),
        _ => false,
    })
}

/// An instruction with its opcode taken apart.
struct Written<'a, 'b> {
    /// The part before the first dot.
    name: &'a str,
    /// The parts after it.
    parts: Vec<&'a str>,
    operands: &'b [Operand<'a>],
    types: Vec<Type>,
}

impl<'a, 'b> Written<'a, 'b> {
    fn new(instruction: &'b syntax::Instruction<'a>) -> Self {
        let mut parts = instruction.opcode.split('.');
        let name = parts.next().unwrap_or("");
        let parts: Vec<&str> = parts.collect();
        let types = parts.iter().filter_map(|part| Type::read(part)).collect();
        Self { name, parts, operands: &instruction.operands, types }
    }

    fn has(&self, part: &str) -> bool {
        self.parts.contains(&part)
    }

    /// The last type of the opcode: the one it operates on.
    fn kind(&self) -> Result<Type, String> {
        self.types.last().copied().ok_or_else(|| "the opcode names no type".to_string())
    }

    fn operand(&self, index: usize) -> Result<&'b Operand<'a>, String> {
        self.operands.get(index).ok_or_else(|| format!("operand {} is missing", index + 1))
    }

    /// The error of an opcode that is not known.
    fn unsupported<T>(&self) -> Result<T, String> {
        Err(format!("instruction `{}.{}` is not supported", self.name, self.parts.join(".")))
    }

    /// Refuses opcodes with parts outside `known` (types aside).
    fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.parts.iter().find(|part| !known.contains(part) && Type::read(part).is_none()) {
            Some(part) => Err(format!("`.{part}` is not supported on `{}`", self.name)),
            None => Ok(()),
        }
    }
}
