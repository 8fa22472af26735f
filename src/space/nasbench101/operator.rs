//! The operators of NAS-Bench-101.

use super::super::cell::CellOperator;
use serde::{Deserialize, Serialize};

/// What stands on a vertex of a NAS-Bench-101 cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator101 {
    /// The first vertex.
    #[serde(rename = "input")]
    Input,
    /// 3x3 convolution, batch norm, ReLU.
    #[serde(rename = "conv3x3-bn-relu")]
    Conv3x3,
    /// 1x1 convolution, batch norm, ReLU.
    #[serde(rename = "conv1x1-bn-relu")]
    Conv1x1,
    /// 3x3 max pooling.
    #[serde(rename = "maxpool3x3")]
    MaxPool3x3,
    /// The last vertex.
    #[serde(rename = "output")]
    Output,
}

/// The operators of the vertices between input and output; their order is that of the official hash.
pub const INTERIOR: [Operator101; 3] = [Operator101::Conv3x3, Operator101::Conv1x1, Operator101::MaxPool3x3];

impl Operator101 {
    /// The label of the official hash.
    pub(super) fn label(self) -> i8 {
        match self {
            Operator101::Input => -1,
            Operator101::Output => -2,
            Operator101::Conv3x3 => 0,
            Operator101::Conv1x1 => 1,
            Operator101::MaxPool3x3 => 2,
        }
    }

    /// Its place among [`INTERIOR`]; 0 for input and output, whose operator is not free.
    pub(super) fn index(self) -> u8 {
        self.label().max(0) as u8
    }
}

impl CellOperator for Operator101 {
    fn name(&self) -> &str {
        match self {
            Operator101::Input => "input",
            Operator101::Conv3x3 => "conv3x3-bn-relu",
            Operator101::Conv1x1 => "conv1x1-bn-relu",
            Operator101::MaxPool3x3 => "maxpool3x3",
            Operator101::Output => "output",
        }
    }

    fn read(name: &str, node: usize, nodes: usize) -> Result<Self, String> {
        if node == 0 {
            return if name == "input" { Ok(Operator101::Input) } else { Err("\"input\", the first".into()) };
        }
        if node + 1 == nodes {
            return if name == "output" { Ok(Operator101::Output) } else { Err("\"output\", the last".into()) };
        }
        let found = INTERIOR.into_iter().find(|operator| operator.name() == name);
        found.ok_or_else(|| INTERIOR.map(|operator| format!("{:?}", operator.name())).join(" or "))
    }
}
