//! What a run leaves for people and for other programs: the page, drawings, the manifest and ONNX.

#[cfg(test)]
mod fixture;
mod html;
mod manifest;
mod markup;
pub mod onnx;
pub(crate) mod statistics;
pub mod svg;
mod time;

pub use html::{comparison_html, html};
pub use manifest::{
    DataFacts, DeviceFacts, FILE_NAME as MANIFEST_FILE_NAME, FileChecksum, Host, Manifest, ManifestError, Session,
};
pub use statistics::{Difference, Summary, last_third};
