//! Builds [`syntax`](super::syntax) from tokens.

use super::{
    SyntaxError,
    lexer::{Kind, Token, tokens},
    syntax::{Instruction, Kernel, Location, Module, Operand, Parameter, Statement, Storage, Variable},
};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads a PTX module.
///
/// # Errors
/// The first place where the text is not PTX as nvcc writes it.
pub fn parse(source: &str) -> Result<Module<'_>> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0 };
    parser.module()
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn module(&mut self) -> Result<Module<'a>> {
        let mut module = Module::default();
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Word(".entry") => module.kernels.push(self.kernel()?),
                Kind::Word(".func") => self.skip_function()?,
                Kind::Word(".file") => module.files.push(self.file()?),
                Kind::Word(".section") => self.skip_section()?,
                Kind::Word(".global" | ".const" | ".shared" | ".extern") => {
                    if let Some(variable) = self.module_variable()? {
                        module.variables.push(variable);
                    }
                }
                Kind::Word(".version") => self.at += 2,
                Kind::Word(".target") => self.target(),
                Kind::Word(".address_size") => self.address_size()?,
                Kind::Word(".visible" | ".weak" | ".common") => self.at += 1,
                _ => return self.error("expected a module directive"),
            }
        }
        Ok(module)
    }

    fn target(&mut self) {
        self.at += 2;
        while self.peek() == Some(Kind::Mark(b',')) {
            self.at += 2;
        }
    }

    fn address_size(&mut self) -> Result<()> {
        self.at += 1;
        match self.integer()? {
            64 => Ok(()),
            other => self.error(format!(".address_size {other}: only 64 is supported")),
        }
    }

    fn file(&mut self) -> Result<(u64, &'a str)> {
        self.at += 1;
        let index = self.integer()?;
        let Some(Kind::Text(path)) = self.peek() else { return self.error("expected a file name") };
        self.at += 1;
        while self.peek() == Some(Kind::Mark(b',')) {
            self.at += 2;
        }
        Ok((index, path))
    }

    fn skip_section(&mut self) -> Result<()> {
        while self.peek().is_some() && self.peek() != Some(Kind::Mark(b'{')) {
            self.at += 1;
        }
        self.skip_braces()
    }

    /// Device functions are only reached by `call`, which is refused where it stands.
    fn skip_function(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                Some(Kind::Mark(b'{')) => return self.skip_braces(),
                Some(Kind::Mark(b';')) => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => self.at += 1,
                None => return self.error("a function has no body"),
            }
        }
    }

    fn skip_braces(&mut self) -> Result<()> {
        let mut depth = 0usize;
        while let Some(kind) = self.peek() {
            self.at += 1;
            match kind {
                Kind::Mark(b'{') => depth += 1,
                Kind::Mark(b'}') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        self.error("a `{` has no `}`")
    }

    /// A variable outside kernels; `.extern .func` yields none.
    fn module_variable(&mut self) -> Result<Option<Variable<'a>>> {
        let external = self.accept_word(".extern");
        self.accept_word(".visible");
        if self.peek() == Some(Kind::Word(".func")) {
            self.skip_function()?;
            return Ok(None);
        }
        let mut variable = self.variable()?;
        if external && variable.storage == Storage::Shared {
            variable.storage = Storage::DynamicShared;
        } else if external {
            return self.error(format!("`{}` is external: only shared memory may be", variable.name));
        }
        Ok(Some(variable))
    }

    /// `.shared .align 4 .b8 name[128] = {...};`
    fn variable(&mut self) -> Result<Variable<'a>> {
        let storage = match self.word()? {
            ".global" => Storage::Global,
            ".const" => Storage::Constant,
            ".shared" => Storage::Shared,
            ".local" => Storage::Local,
            other => return self.error(format!("`{other}`: expected a state space")),
        };
        let mut alignment = 0;
        let mut vector = 1;
        let element = loop {
            match self.word()? {
                ".align" => alignment = self.integer()? as usize,
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                word => match size_of_type(word) {
                    Some(size) => break size,
                    None if word.starts_with(".attribute") => self.skip_parentheses()?,
                    None => return self.error(format!("`{word}` is not a type of a variable")),
                },
            }
        };
        let name = self.word()?;
        let mut count = 1;
        while self.accept(b'[') {
            count *= if self.peek() == Some(Kind::Mark(b']')) { 0 } else { self.integer()? as usize };
            self.expect(b']')?;
        }
        let initial = if self.accept(b'=') { self.initial(element)? } else { Vec::new() };
        self.expect(b';')?;
        let size = element * vector * count;
        Ok(Variable {
            name,
            storage,
            alignment: alignment.max(element * vector),
            size: size.max(initial.len()),
            initial,
        })
    }

    fn initial(&mut self, element: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.accept(b'{') {
            while !self.accept(b'}') {
                bytes.extend(self.initial(element)?);
                self.accept(b',');
            }
            return Ok(bytes);
        }
        let negative = self.accept(b'-');
        let bits = match self.peek() {
            Some(Kind::Integer(value)) if negative => value.wrapping_neg(),
            Some(Kind::Integer(value) | Kind::Double(value)) => value,
            Some(Kind::Single(value)) => u64::from(value),
            _ => return self.error("only numbers may initialise a variable"),
        };
        self.at += 1;
        bytes.extend_from_slice(&bits.to_le_bytes()[..element]);
        Ok(bytes)
    }

    fn skip_parentheses(&mut self) -> Result<()> {
        self.expect(b'(')?;
        while !self.accept(b')') {
            if self.peek().is_none() {
                return self.error("a `(` has no `)`");
            }
            self.at += 1;
        }
        Ok(())
    }

    fn kernel(&mut self) -> Result<Kernel<'a>> {
        self.at += 1;
        let name = self.word()?;
        let mut parameters = Vec::new();
        if self.accept(b'(') {
            let mut offset = 0;
            while !self.accept(b')') {
                let parameter = self.parameter(offset)?;
                offset = parameter.offset + parameter.size;
                parameters.push(parameter);
                self.accept(b',');
            }
        }
        let max_threads = self.performance_directives()?;
        let body = self.body()?;
        Ok(Kernel { name, parameters, max_threads, body })
    }

    /// `.param .align 8 .b8 name[48]` or `.param .u64 .ptr .global .align 16 name`
    fn parameter(&mut self, end: usize) -> Result<Parameter<'a>> {
        if self.word()? != ".param" {
            return self.error("expected `.param`");
        }
        let (mut alignment, mut element, mut pointer) = (None, None, false);
        let name = loop {
            match self.word()? {
                ".align" if pointer => drop(self.integer()?),
                ".align" => alignment = Some(self.integer()? as usize),
                ".ptr" => pointer = true,
                ".global" | ".shared" | ".const" | ".local" => {}
                word => match size_of_type(word) {
                    Some(size) => element = Some(size),
                    None => break word,
                },
            }
        };
        let Some(element) = element else { return self.error(format!("parameter `{name}` has no type")) };
        let mut size = element;
        if self.accept(b'[') {
            size *= self.integer()? as usize;
            self.expect(b']')?;
        }
        let offset = end.next_multiple_of(alignment.unwrap_or(element).max(1));
        Ok(Parameter { name, offset, size })
    }

    /// `.maxntid 256, 1, 1` and its kin, up to the body.
    fn performance_directives(&mut self) -> Result<Option<u32>> {
        let mut max_threads = None;
        while let Some(Kind::Word(word)) = self.peek() {
            self.at += 1;
            let mut product = 1;
            while let Some(Kind::Integer(value)) = self.peek() {
                product *= value as u32;
                self.at += 1;
                self.accept(b',');
            }
            if matches!(word, ".maxntid" | ".reqntid") {
                max_threads = Some(product);
            }
        }
        Ok(max_threads)
    }

    fn body(&mut self) -> Result<Vec<Statement<'a>>> {
        self.expect(b'{')?;
        let (mut body, mut depth, mut location) = (Vec::new(), 0usize, None);
        loop {
            match self.peek() {
                Some(Kind::Mark(b'{')) => {
                    self.at += 1;
                    depth += 1;
                    body.push(Statement::OpenScope);
                }
                Some(Kind::Mark(b'}')) => {
                    self.at += 1;
                    if depth == 0 {
                        return Ok(body);
                    }
                    depth -= 1;
                    body.push(Statement::CloseScope);
                }
                Some(Kind::Mark(b';')) => self.at += 1,
                Some(Kind::Word(".loc")) => location = Some(self.location()?),
                Some(Kind::Word(".pragma")) => self.skip_statement(),
                Some(Kind::Word(word)) if word == ".reg" || word.starts_with(".reg.") => self.registers(&mut body)?,
                Some(Kind::Word(".shared" | ".local")) => body.push(Statement::Variable(self.variable()?)),
                Some(Kind::Word(name)) if self.peek_at(1) == Some(Kind::Mark(b':')) => self.label(name, &mut body)?,
                Some(Kind::Word(word)) if word.starts_with('.') => {
                    return self.error(format!("directive `{word}` is not supported inside a kernel"));
                }
                Some(_) => body.push(Statement::Instruction(self.instruction(location)?)),
                None => return self.error("a kernel's body has no `}`"),
            }
        }
    }

    fn skip_statement(&mut self) {
        while self.peek().is_some() && !self.accept(b';') {
            self.at += 1;
        }
    }

    fn label(&mut self, name: &'a str, body: &mut Vec<Statement<'a>>) -> Result<()> {
        self.at += 2;
        if !self.accept_word(".branchtargets") {
            body.push(Statement::Label(name));
            return Ok(());
        }
        let mut labels = vec![self.word()?];
        while self.accept(b',') {
            labels.push(self.word()?);
        }
        self.expect(b';')?;
        body.push(Statement::BranchTargets { name, labels });
        Ok(())
    }

    /// `.loc 1 10 3` and optionally `, function_name $L__info_string0, inlined_at 1 17 3`; ends with its line.
    fn location(&mut self) -> Result<Location> {
        let text_line = self.tokens[self.at].line;
        self.at += 1;
        let (file, line, _column) = (self.integer()?, self.integer()? as u32, self.integer()?);
        let mut inlined_at = None;
        while self.tokens.get(self.at).is_some_and(|token| token.line == text_line) {
            if self.accept_word("inlined_at") {
                inlined_at = Some((self.integer()?, self.integer()? as u32));
            }
            self.at += 1;
        }
        Ok(Location { file, line, inlined_at })
    }

    fn registers(&mut self, body: &mut Vec<Statement<'a>>) -> Result<()> {
        let kind = match self.word()?.strip_prefix(".reg") {
            Some(kind) if !kind.is_empty() => kind,
            _ => self.word()?,
        };
        loop {
            let name = self.word()?;
            let mut count = None;
            if self.accept(b'<') {
                count = Some(self.integer()? as u32);
                self.expect(b'>')?;
            }
            body.push(Statement::Registers { kind, name, count });
            if !self.accept(b',') {
                return self.expect(b';');
            }
        }
    }

    fn instruction(&mut self, location: Option<Location>) -> Result<Instruction<'a>> {
        let mut guard = None;
        if self.accept(b'@') {
            let negated = self.accept(b'!');
            guard = Some((self.word()?, negated));
        }
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let opcode = self.word()?;
        let mut operands = Vec::new();
        if opcode.starts_with("call") {
            self.skip_statement();
        } else if !self.accept(b';') {
            operands.push(self.operand()?);
            while self.accept(b',') {
                operands.push(self.operand()?);
            }
            self.expect(b';')?;
        }
        Ok(Instruction { guard, opcode, operands, line, location })
    }

    fn operand(&mut self) -> Result<Operand<'a>> {
        if self.accept(b'{') {
            let mut items = Vec::new();
            while !self.accept(b'}') {
                items.push(self.operand()?);
                self.accept(b',');
            }
            return Ok(Operand::Vector(items));
        }
        if self.accept(b'[') {
            return self.address();
        }
        if self.accept(b'!') {
            return Ok(Operand::Not(self.word()?));
        }
        if self.accept(b'-') {
            return Ok(Operand::Integer(self.integer()?.wrapping_neg()));
        }
        let operand = match self.peek() {
            Some(Kind::Integer(value)) => Operand::Integer(value),
            Some(Kind::Single(bits)) => Operand::Single(bits),
            Some(Kind::Double(bits)) => Operand::Double(bits),
            Some(Kind::Word(name)) => return self.named(name),
            _ => return self.error("expected an operand"),
        };
        self.at += 1;
        Ok(operand)
    }

    fn named(&mut self, name: &'a str) -> Result<Operand<'a>> {
        self.at += 1;
        if self.accept(b'|') {
            return Ok(Operand::Pair(name, self.word()?));
        }
        Ok(Operand::Name(name, self.offset()?))
    }

    fn address(&mut self) -> Result<Operand<'a>> {
        let base = match self.peek() {
            Some(Kind::Word(name)) => {
                self.at += 1;
                Some(name)
            }
            _ => None,
        };
        let offset = match self.peek() {
            Some(Kind::Integer(value)) => {
                self.at += 1;
                value as i64
            }
            _ => self.offset()?,
        };
        self.expect(b']')?;
        Ok(Operand::Address { base, offset })
    }

    /// `+16`, `+-16`, `-16` or nothing.
    fn offset(&mut self) -> Result<i64> {
        let plus = self.accept(b'+');
        let minus = self.accept(b'-');
        if !plus && !minus {
            return Ok(0);
        }
        let value = self.integer()? as i64;
        Ok(if minus { value.wrapping_neg() } else { value })
    }

    fn peek(&self) -> Option<Kind<'a>> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<Kind<'a>> {
        self.tokens.get(self.at + ahead).map(|token| token.kind)
    }

    fn word(&mut self) -> Result<&'a str> {
        match self.peek() {
            Some(Kind::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => self.error("expected a name"),
        }
    }

    fn integer(&mut self) -> Result<u64> {
        match self.peek() {
            Some(Kind::Integer(value)) => {
                self.at += 1;
                Ok(value)
            }
            _ => self.error("expected an integer"),
        }
    }

    fn accept(&mut self, mark: u8) -> bool {
        let found = self.peek() == Some(Kind::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Kind::Word(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: u8) -> Result<()> {
        if self.accept(mark) { Ok(()) } else { self.error(format!("expected `{}`", char::from(mark))) }
    }

    fn error<T>(&self, text: impl Into<String>) -> Result<T> {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        let found = token.map_or("the end".to_string(), |token| match token.kind {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Mark(mark) => format!("`{}`", char::from(mark)),
            other => format!("{other:?}"),
        });
        Err(SyntaxError { line: token.map_or(0, |token| token.line), text: format!("{}, found {found}", text.into()) })
    }
}

/// Bytes of a fundamental type such as `.f32`.
fn size_of_type(word: &str) -> Option<usize> {
    Some(match word {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" | ".f16" | ".bf16" => 2,
        ".b32" | ".u32" | ".s32" | ".f32" | ".f16x2" | ".bf16x2" => 4,
        ".b64" | ".u64" | ".s64" | ".f64" => 8,
        ".b128" => 16,
        _ => return None,
    })
}
