//! Names of registers, labels and symbols, by scope, and the registers that hold constants.

use std::collections::HashMap;

use super::types::Type;
use crate::{
    program::{Flag, Long, Register, RegisterFile, Special, Word},
    ptx::syntax::Operand,
};

#[derive(Clone, Copy)]
enum Named {
    Flag(Flag),
    Register(Register),
}

/// A label as a branch names it: the scope it stands in and its name.
struct LabelUse<'a> {
    scopes: Vec<usize>,
    name: &'a str,
}

/// Everything a kernel's text can name.
pub struct Names<'a> {
    file: RegisterFile,
    /// Register tables of the open scopes, innermost last, each with its number.
    scopes: Vec<(usize, HashMap<String, Named>)>,
    scope_count: usize,
    symbols: HashMap<&'a str, u64>,
    labels: HashMap<(usize, &'a str), u32>,
    label_uses: Vec<LabelUse<'a>>,
    targets: HashMap<&'a str, Vec<&'a str>>,
    words: HashMap<u32, Word>,
    longs: HashMap<u64, Long>,
    specials: HashMap<Special, Word>,
}

impl<'a> Names<'a> {
    pub fn new(symbols: &'a HashMap<String, u64>) -> Self {
        Self {
            file: RegisterFile::default(),
            scopes: vec![(0, HashMap::new())],
            scope_count: 1,
            symbols: symbols.iter().map(|(name, &address)| (name.as_str(), address)).collect(),
            labels: HashMap::new(),
            label_uses: Vec::new(),
            targets: HashMap::new(),
            words: HashMap::new(),
            longs: HashMap::new(),
            specials: HashMap::new(),
        }
    }

    pub fn into_registers(self) -> RegisterFile {
        self.file
    }

    pub fn open(&mut self) {
        self.scopes.push((self.scope_count, HashMap::new()));
        self.scope_count += 1;
    }

    pub fn close(&mut self) {
        if self.scopes.len() > 1 {
            self.scopes.pop();
        }
    }

    pub fn symbol(&mut self, name: &'a str, address: u64) {
        self.symbols.insert(name, address);
    }

    /// Declares one register, or `count` numbered ones.
    pub fn declare(&mut self, kind: &str, name: &str, count: Option<u32>) -> Result<(), String> {
        let Some(count) = count else {
            let named = self.fresh(kind)?;
            self.insert(name.to_string(), named);
            return Ok(());
        };
        for index in 0..count {
            let named = self.fresh(kind)?;
            self.insert(format!("{name}{index}"), named);
        }
        Ok(())
    }

    fn insert(&mut self, name: String, named: Named) {
        if let Some((_, table)) = self.scopes.last_mut() {
            table.insert(name, named);
        }
    }

    fn fresh(&mut self, kind: &str) -> Result<Named, String> {
        Ok(match kind {
            ".pred" => Named::Flag(self.fresh_flag()),
            ".b64" | ".u64" | ".s64" | ".f64" => Named::Register(Register::Long(self.fresh_long())),
            ".b8" | ".u8" | ".s8" | ".b16" | ".u16" | ".s16" | ".f16" | ".bf16" | ".b32" | ".u32" | ".s32" | ".f32"
            | ".f16x2" | ".bf16x2" => Named::Register(Register::Word(self.fresh_word())),
            _ => return Err(format!("registers of type `{kind}` are not supported")),
        })
    }

    pub fn fresh_word(&mut self) -> Word {
        self.file.words += 1;
        Word(self.file.words - 1)
    }

    fn fresh_long(&mut self) -> Long {
        self.file.longs += 1;
        Long(self.file.longs - 1)
    }

    pub fn fresh_flag(&mut self) -> Flag {
        self.file.flags += 1;
        Flag(self.file.flags - 1)
    }

    fn find(&self, name: &str) -> Option<Named> {
        self.scopes.iter().rev().find_map(|(_, table)| table.get(name).copied())
    }

    pub fn label(&mut self, name: &'a str, pc: u32) {
        let scope = self.scopes.last().map_or(0, |scope| scope.0);
        self.labels.insert((scope, name), pc);
    }

    pub fn branch_targets(&mut self, name: &'a str, labels: &[&'a str]) {
        self.targets.insert(name, labels.to_vec());
    }

    pub fn targets_of(&mut self, name: &str) -> Result<Vec<u32>, String> {
        let labels = self.targets.get(name).cloned().ok_or_else(|| format!("`{name}` is no list of branch targets"))?;
        Ok(labels.into_iter().map(|label| self.use_label(label)).collect())
    }

    /// A number that stands for a label until [`Names::resolve`].
    pub fn use_label(&mut self, name: &'a str) -> u32 {
        let scopes = self.scopes.iter().map(|scope| scope.0).collect();
        self.label_uses.push(LabelUse { scopes, name });
        self.label_uses.len() as u32 - 1
    }

    /// The instruction index of a label's use, or the name of a label that does not exist.
    pub fn resolve(&self, used: u32) -> Result<u32, String> {
        let Some(label) = self.label_uses.get(used as usize) else { return Err(format!("#{used}")) };
        let found = label.scopes.iter().rev().find_map(|&scope| self.labels.get(&(scope, label.name)));
        found.copied().ok_or_else(|| label.name.to_string())
    }

    pub fn flag_named(&mut self, name: &str) -> Result<Flag, String> {
        match self.find(name) {
            Some(Named::Flag(flag)) => Ok(flag),
            _ if name == "_" => Ok(self.fresh_flag()),
            Some(Named::Register(_)) => Err(format!("`{name}` is not a predicate")),
            None => Err(format!("predicate `{name}` is not declared")),
        }
    }

    /// A predicate operand and whether it is negated.
    pub fn flag(&mut self, operand: &Operand<'a>) -> Result<(Flag, bool), String> {
        match operand {
            Operand::Name(name, 0) => Ok((self.flag_named(name)?, false)),
            Operand::Not(name) => Ok((self.flag_named(name)?, true)),
            Operand::Integer(value) => {
                let flag = self.fresh_flag();
                self.file.flag_constants.push((flag, *value != 0));
                Ok((flag, false))
            }
            _ => Err("expected a predicate".into()),
        }
    }

    /// A source of either width.
    pub fn source(&mut self, operand: &Operand<'a>, kind: Type) -> Result<Register, String> {
        if let Operand::Name(name, 0) = operand
            && let Some(Named::Register(register)) = self.find(name)
        {
            return Ok(register);
        }
        let bits = self.constant_bits(operand, kind);
        match (kind.bits(), bits) {
            (64, Ok(bits)) => Ok(Register::Long(self.long_constant(bits))),
            (width, Ok(bits)) => Ok(Register::Word(self.word_constant(mask_to(bits as u32, width)))),
            (_, Err(_)) if self.special(operand).is_some() => self.special(operand).ok_or_else(String::new),
            (_, Err(text)) => Err(text),
        }
    }

    pub fn word(&mut self, operand: &Operand<'a>, kind: Type) -> Result<Word, String> {
        match self.source(operand, kind)? {
            Register::Word(word) => Ok(word),
            Register::Long(_) => Err(format!("{operand:?}: expected a register of at most 32 bits")),
        }
    }

    pub fn long(&mut self, operand: &Operand<'a>) -> Result<Long, String> {
        match self.source(operand, Type::Unsigned(64))? {
            Register::Long(long) => Ok(long),
            Register::Word(_) => Err(format!("{operand:?}: expected a 64-bit register")),
        }
    }

    /// A destination; `_` is a register nobody reads.
    pub fn target(&mut self, operand: &Operand<'a>, kind: Type) -> Result<Register, String> {
        let Operand::Name(name, 0) = operand else { return Err(format!("{operand:?}: expected a register")) };
        match self.find(name) {
            Some(Named::Register(register)) => Ok(register),
            _ if *name == "_" && kind.bits() == 64 => Ok(Register::Long(self.fresh_long())),
            _ if *name == "_" => Ok(Register::Word(self.fresh_word())),
            Some(Named::Flag(_)) => Err(format!("`{name}` is a predicate")),
            None => Err(format!("register `{name}` is not declared")),
        }
    }

    pub fn target_word(&mut self, operand: &Operand<'a>) -> Result<Word, String> {
        match self.target(operand, Type::Unsigned(32))? {
            Register::Word(word) => Ok(word),
            Register::Long(_) => Err(format!("{operand:?}: expected a register of at most 32 bits")),
        }
    }

    pub fn target_long(&mut self, operand: &Operand<'a>) -> Result<Long, String> {
        match self.target(operand, Type::Unsigned(64))? {
            Register::Long(long) => Ok(long),
            Register::Word(_) => Err(format!("{operand:?}: expected a 64-bit register")),
        }
    }

    /// The base of an address: a register or a constant folded into the offset.
    pub fn base(&mut self, name: &str) -> Result<(Option<Register>, i64), String> {
        match self.find(name) {
            Some(Named::Register(register)) => Ok((Some(register), 0)),
            Some(Named::Flag(_)) => Err(format!("`{name}` is a predicate")),
            None => match self.symbols.get(name) {
                Some(&address) => Ok((None, address as i64)),
                None => Err(format!("`{name}` is neither a register nor a variable")),
            },
        }
    }

    fn constant_bits(&self, operand: &Operand<'a>, kind: Type) -> Result<u64, String> {
        match *operand {
            Operand::Integer(value) => Ok(value),
            Operand::Single(bits) => Ok(u64::from(bits)),
            Operand::Double(bits) if kind == Type::Float => Ok(u64::from((f64::from_bits(bits) as f32).to_bits())),
            Operand::Double(bits) => Ok(bits),
            Operand::Name(name, offset) => match self.symbols.get(name) {
                Some(&address) => Ok(address.wrapping_add(offset as u64)),
                None => Err(format!("`{name}` is not a register, constant or variable that is known")),
            },
            _ => Err(format!("{operand:?}: expected a register or a constant")),
        }
    }

    pub fn word_constant(&mut self, bits: u32) -> Word {
        if let Some(&word) = self.words.get(&bits) {
            return word;
        }
        let word = self.fresh_word();
        self.words.insert(bits, word);
        self.file.word_constants.push((word, bits));
        word
    }

    fn long_constant(&mut self, bits: u64) -> Long {
        if let Some(&long) = self.longs.get(&bits) {
            return long;
        }
        let long = self.fresh_long();
        self.longs.insert(bits, long);
        self.file.long_constants.push((long, bits));
        long
    }

    fn special(&mut self, operand: &Operand<'a>) -> Option<Register> {
        let Operand::Name(name, 0) = operand else { return None };
        let special = special_named(name)?;
        if let Some(&word) = self.specials.get(&special) {
            return Some(Register::Word(word));
        }
        let word = self.fresh_word();
        self.specials.insert(special, word);
        self.file.specials.push((word, special));
        Some(Register::Word(word))
    }
}

fn mask_to(bits: u32, width: u8) -> u32 {
    match width {
        8 => bits & 0xFF,
        16 => bits & 0xFFFF,
        _ => bits,
    }
}

fn special_named(name: &str) -> Option<Special> {
    let axis = |rest: &str| match rest {
        ".x" => Some(0),
        ".y" => Some(1),
        ".z" => Some(2),
        _ => None,
    };
    if let Some(rest) = name.strip_prefix("%tid") {
        return axis(rest).map(Special::Thread);
    }
    if let Some(rest) = name.strip_prefix("%ntid") {
        return axis(rest).map(Special::BlockSize);
    }
    if let Some(rest) = name.strip_prefix("%ctaid") {
        return axis(rest).map(Special::Block);
    }
    if let Some(rest) = name.strip_prefix("%nctaid") {
        return axis(rest).map(Special::GridSize);
    }
    Some(match name {
        "%laneid" => Special::Lane,
        "%warpid" => Special::Warp,
        "%nwarpid" => Special::WarpCount,
        "%lanemask_eq" => Special::LanesEqual,
        "%lanemask_lt" => Special::LanesBelow,
        "%lanemask_le" => Special::LanesUpTo,
        "%lanemask_gt" => Special::LanesAbove,
        "%lanemask_ge" => Special::LanesFrom,
        "%dynamic_smem_size" => Special::DynamicShared,
        "%total_smem_size" => Special::TotalShared,
        "%smid" | "%gridid" => Special::Zero,
        _ => return None,
    })
}
