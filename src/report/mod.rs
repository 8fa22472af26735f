//! What a run leaves for people and for other programs: the page, drawings, the manifest and ONNX.

pub mod onnx;
