//! The types that opcodes name.

use crate::program::{HalfFormat, HalfKind, Number, Signedness};

/// A type suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `.bN` and `.uN`.
    Unsigned(u8),
    Signed(u8),
    Half(HalfKind),
    Float,
    Tf32,
    Double,
    Flag,
}

impl Type {
    pub fn read(part: &str) -> Option<Self> {
        let half = |format, packed| Some(Self::Half(HalfKind { format, packed }));
        match part {
            "pred" => Some(Self::Flag),
            "f16" => half(HalfFormat::F16, false),
            "f16x2" => half(HalfFormat::F16, true),
            "bf16" => half(HalfFormat::Bf16, false),
            "bf16x2" => half(HalfFormat::Bf16, true),
            "f32" => Some(Self::Float),
            "tf32" => Some(Self::Tf32),
            "f64" => Some(Self::Double),
            _ => {
                let sign = part.get(..1)?;
                let bits = part.get(1..)?.parse().ok().filter(|bits| matches!(bits, 8 | 16 | 32 | 64))?;
                match sign {
                    "b" | "u" => Some(Self::Unsigned(bits)),
                    "s" => Some(Self::Signed(bits)),
                    _ => None,
                }
            }
        }
    }

    /// Width in bits; 1 for predicates.
    pub fn bits(self) -> u8 {
        match self {
            Self::Unsigned(bits) | Self::Signed(bits) => bits,
            Self::Half(HalfKind { packed: false, .. }) => 16,
            Self::Half(_) | Self::Float | Self::Tf32 => 32,
            Self::Double => 64,
            Self::Flag => 1,
        }
    }

    pub fn sign(self) -> Signedness {
        if matches!(self, Self::Signed(_)) { Signedness::Signed } else { Signedness::Unsigned }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Self::Signed(_) | Self::Unsigned(_))
    }

    /// What a conversion sees; none for packed types and predicates.
    pub fn number(self) -> Option<Number> {
        match self {
            Self::Unsigned(bits) | Self::Signed(bits) => Some(Number::Integer { bits, sign: self.sign() }),
            Self::Half(HalfKind { format, packed: false }) => Some(Number::Half(format)),
            Self::Float => Some(Number::Float),
            Self::Tf32 => Some(Number::Tf32),
            Self::Double => Some(Number::Double),
            Self::Half(_) | Self::Flag => None,
        }
    }
}
