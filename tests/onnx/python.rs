//! The Python whose readers of ONNX the tests ask.

use std::path::PathBuf;
use std::process::Command;

/// Said where a test cannot run.
pub const SKIPPED: &str = "skipped: no Python with onnx and onnxruntime (set ONNX_PYTHON)";

/// A Python with onnx, onnxruntime and numpy, if there is one: its path in ONNX_PYTHON, or `.venv/bin/python`.
pub fn python() -> Option<PathBuf> {
    let path = std::env::var_os("ONNX_PYTHON").map_or_else(|| ".venv/bin/python".into(), PathBuf::from);
    let imports = Command::new(&path).args(["-c", "import numpy, onnx, onnxruntime"]).output().ok()?;
    imports.status.success().then_some(path)
}
