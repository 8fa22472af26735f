//! Reading PTX text: [`lexer`] splits it into tokens, [`syntax`] into kernels, declarations and statements. Nothing here knows what an instruction means.

pub mod lexer;
mod parser;
pub mod syntax;

pub use parser::parse;

/// PTX that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {text}")]
pub struct SyntaxError {
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// What was found and what would be right.
    pub text: String,
}
