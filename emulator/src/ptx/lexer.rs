//! Splits PTX text into tokens.

use super::SyntaxError;

/// One token and the line it starts on, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token<'a> {
    pub kind: Kind<'a>,
    pub line: u32,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind<'a> {
    /// A register, label, opcode, directive or symbol; dots and `::` inside belong to it (`ld.global.nc.f32`, `%tid.x`, `shared::cta`).
    Word(&'a str),
    /// An integer; negative ones come as `-` and a number.
    Integer(u64),
    /// `0fXXXXXXXX`, the bits of an f32.
    Single(u32),
    /// `0dXXXXXXXXXXXXXXXX` or a decimal fraction, the bits of an f64.
    Double(u64),
    /// A quoted string, without its quotes.
    Text(&'a str),
    /// Any other single character.
    Mark(u8),
}

/// Splits `source` into tokens; comments and white space are dropped.
///
/// # Errors
/// A malformed number, or a string or comment without an end.
pub fn tokens(source: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut lexer = Lexer { source, bytes: source.as_bytes(), at: 0, line: 1 };
    let mut out = Vec::with_capacity(source.len() / 4);
    while let Some(token) = lexer.next()? {
        out.push(token);
    }
    Ok(out)
}

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error<T>(&self, text: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, text: text.into() })
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, SyntaxError> {
        self.skip_blank()?;
        let line = self.line;
        let kind = match self.peek(0) {
            0 => return Ok(None),
            b'"' => self.text()?,
            b'0'..=b'9' => self.number()?,
            c if starts_word(c) => self.word(),
            c => {
                self.at += 1;
                Kind::Mark(c)
            }
        };
        Ok(Some(Token { kind, line }))
    }

    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r', _) => self.at += 1,
                (b'/', b'/') => {
                    while !matches!(self.peek(0), 0 | b'\n') {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), SyntaxError> {
        let Some(length) = self.source[self.at..].find("*/") else { return self.error("a comment has no end") };
        self.line += self.source[self.at..self.at + length].matches('\n').count() as u32;
        self.at += length + 2;
        Ok(())
    }

    fn text(&mut self) -> Result<Kind<'a>, SyntaxError> {
        let start = self.at + 1;
        let Some(length) = self.source[start..].find('"') else { return self.error("a string has no end") };
        self.at = start + length + 1;
        Ok(Kind::Text(&self.source[start..start + length]))
    }

    fn word(&mut self) -> Kind<'a> {
        let start = self.at;
        loop {
            match self.peek(0) {
                c if continues_word(c) => self.at += 1,
                b':' if self.peek(1) == b':' && continues_word(self.peek(2)) => self.at += 2,
                _ => break,
            }
        }
        Kind::Word(&self.source[start..self.at])
    }

    fn number(&mut self) -> Result<Kind<'a>, SyntaxError> {
        let start = self.at;
        while self.peek(0).is_ascii_alphanumeric() || (self.peek(0) == b'.' && self.peek(1).is_ascii_digit()) {
            self.at += 1;
        }
        let text = &self.source[start..self.at];
        match number(text) {
            Some(kind) => Ok(kind),
            None => self.error(format!("`{text}` is not a number")),
        }
    }
}

fn starts_word(c: u8) -> bool {
    c.is_ascii_alphabetic() || matches!(c, b'_' | b'$' | b'%' | b'.')
}

fn continues_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'.' | b'%')
}

fn number(text: &str) -> Option<Kind<'static>> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0f") {
        return u32::from_str_radix(digits, 16).ok().map(Kind::Single);
    }
    if let Some(digits) = lower.strip_prefix("0d") {
        return u64::from_str_radix(digits, 16).ok().map(Kind::Double);
    }
    if lower.contains('.') {
        return lower.parse().ok().map(|value: f64| Kind::Double(value.to_bits()));
    }
    let digits = lower.trim_end_matches('u');
    let (digits, radix) = match (digits.strip_prefix("0x"), digits.strip_prefix("0b")) {
        (Some(hexadecimal), _) => (hexadecimal, 16),
        (_, Some(binary)) => (binary, 2),
        _ if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        _ => (digits, 10),
    };
    u64::from_str_radix(digits, radix).ok().map(Kind::Integer)
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    fn kinds(source: &str) -> Vec<Kind<'_>> {
        tokens(source).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn an_instruction_splits_into_its_words() {
        let expected = [
            Kind::Mark(b'@'),
            Kind::Mark(b'!'),
            Kind::Word("%p1"),
            Kind::Word("ld.shared::cta.f32"),
            Kind::Word("%f1"),
            Kind::Mark(b','),
            Kind::Mark(b'['),
            Kind::Word("%rd1"),
            Kind::Mark(b'+'),
            Kind::Mark(b'-'),
            Kind::Integer(4),
            Kind::Mark(b']'),
            Kind::Mark(b';'),
        ];
        assert_eq!(kinds("@!%p1 ld.shared::cta.f32 %f1, [%rd1+-4]; // tail"), expected);
    }

    #[test]
    fn labels_end_before_their_colon() {
        assert_eq!(kinds("$L__BB0_2:\n"), [Kind::Word("$L__BB0_2"), Kind::Mark(b':')]);
    }

    #[test]
    fn numbers_of_every_form() {
        let expected =
            [Kind::Single(0x3F80_0000), Kind::Double(1), Kind::Integer(0xFF), Kind::Integer(12), Kind::Integer(8)];
        assert_eq!(kinds("0f3F800000 0d0000000000000001 0xFFU 12U 010"), expected);
    }

    #[test]
    fn lines_are_counted_through_comments() {
        let all = tokens("/* a\nb */ x\n\ny").unwrap();
        assert_eq!(all.iter().map(|token| token.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_malformed_number_names_its_line() {
        let error = tokens("\n 0xZZ").unwrap_err();
        assert_eq!(error.to_string(), "PTX line 2: `0xzz` is not a number".replace("0xzz", "0xZZ"));
    }
}
