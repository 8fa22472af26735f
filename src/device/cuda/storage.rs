//! How values are stored on the device.

use half::{bf16, f16};
use std::fmt;

/// Number format of values and of the products' weights. Sums, parameters and everything per channel are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// 32 bits, multiplied without tensor cores: for comparison with the CPU.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Storage {
    /// Every format.
    pub const ALL: [Storage; 3] = [Storage::F32, Storage::F16, Storage::Bf16];

    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::F16 | Storage::Bf16 => 2,
        }
    }

    /// Numbers in 16 bytes.
    pub fn vector(self) -> usize {
        16 / self.bytes()
    }

    /// Largest relative error of rounding a number of normal size to the format.
    pub fn unit_roundoff(self) -> f64 {
        match self {
            Storage::F32 => f64::from(f32::EPSILON) / 2.0,
            Storage::F16 => f16::EPSILON.to_f64() / 2.0,
            Storage::Bf16 => bf16::EPSILON.to_f64() / 2.0,
        }
    }

    /// The number's nearest in the format.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Storage::F32 => value,
            Storage::F16 => f16::from_f32(value).to_f32(),
            Storage::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }

    /// Numbers as they lie in memory.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Storage::F32 => bytemuck::cast_slice(values).to_vec(),
            Storage::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_bits().to_ne_bytes()).collect(),
            Storage::Bf16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_bits().to_ne_bytes()).collect(),
        }
    }

    /// The numbers that lie in memory so.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = || bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
        match self {
            Storage::F32 => bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect(),
            Storage::F16 => pairs().map(|bits| f16::from_bits(bits).to_f32()).collect(),
            Storage::Bf16 => pairs().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
            Storage::Bf16 => "bf16",
        })
    }
}
