//! Checkpoints: safetensors files whose metadata hold the settings, so that a file explains itself.

use super::gran::Gran;
use super::parameters::{Layout, TensorSpec};
use super::{Generator, GeneratorError, GranConfig};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The metadata key. One key only: the file's bytes do not depend on a hash map's order.
const KEY: &str = "graphpnas-fast.generator";
/// Raised when old readers could not understand new files.
const VERSION: u32 = 1;
/// Largest file that is read, and most graphs of an architecture.
const MOST_BYTES: u64 = 1 << 30;
const MOST_COMPONENTS: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    components: Vec<GranConfig>,
}

fn refused(reason: impl Into<String>) -> GeneratorError {
    GeneratorError::Checkpoint(reason.into())
}

fn tensor_name(component: usize, tensor: &TensorSpec) -> String {
    format!("components.{component}.{}", tensor.name)
}

impl Generator {
    /// The checkpoint: a safetensors file with tensors `components.C.LAYER.weight` and so on, f32.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GeneratorError> {
        let components = self.components.iter().map(|gran| gran.config.clone()).collect();
        let header = serde_json::to_string(&Header { version: VERSION, components });
        let header = header.map_err(|error| refused(error.to_string()))?;
        let bytes: Vec<Vec<u8>> = self.components.iter().map(|gran| to_little_endian(&gran.parameters)).collect();
        let mut tensors = Vec::new();
        for (component, (gran, bytes)) in self.components.iter().zip(&bytes).enumerate() {
            for tensor in &gran.layout.tensors {
                let data = &bytes[4 * tensor.offset..4 * tensor.range().end];
                let view = TensorView::new(Dtype::F32, tensor.dimensions.clone(), data);
                tensors.push((tensor_name(component, tensor), view.map_err(|error| refused(error.to_string()))?));
            }
        }
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        serialize(tensors, Some(metadata)).map_err(|error| refused(error.to_string()))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`GeneratorError::Checkpoint`] for damaged or foreign bytes; names the tensor where one is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GeneratorError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| refused(error.to_string()))?;
        let header = read_header(bytes)?;
        let components = header.components.into_iter().enumerate();
        let components = components.map(|(component, config)| read_component(&file, component, config));
        Ok(Generator { components: components.collect::<Result<_, _>>()? })
    }

    /// Writes [`Generator::to_bytes`] to a file.
    pub fn save(&self, path: &Path) -> Result<(), GeneratorError> {
        let bytes = self.to_bytes()?;
        std::fs::write(path, bytes).map_err(|source| GeneratorError::File { path: path.to_owned(), source })
    }

    /// Reads a checkpoint file of at most 1 GiB.
    pub fn load(path: &Path) -> Result<Self, GeneratorError> {
        let failed = |source| GeneratorError::File { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MOST_BYTES {
            return Err(refused(format!("{} has {size} bytes, more than {MOST_BYTES}", path.display())));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Generator::from_bytes(&bytes).map_err(|error| match error {
            GeneratorError::Checkpoint(reason) => refused(format!("{}: {reason}", path.display())),
            other => other,
        })
    }
}

fn to_little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn read_header(bytes: &[u8]) -> Result<Header, GeneratorError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| refused(error.to_string()))?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let text = text.ok_or_else(|| refused(format!("the metadata have no entry \"{KEY}\"")))?;
    let header: Header = serde_json::from_str(text).map_err(|error| refused(format!("metadata \"{KEY}\": {error}")))?;
    if header.version != VERSION {
        return Err(refused(format!("format version {}, but this program reads version {VERSION}", header.version)));
    }
    if header.components.is_empty() || header.components.len() > MOST_COMPONENTS {
        return Err(refused(format!("{} components, but must be 1 to {MOST_COMPONENTS}", header.components.len())));
    }
    for config in &header.components {
        config.validate().map_err(|error| refused(error.to_string()))?;
    }
    Ok(header)
}

fn read_component(file: &SafeTensors, component: usize, config: GranConfig) -> Result<Gran, GeneratorError> {
    let layout = Layout::new(&config);
    let mut parameters = Vec::new();
    for tensor in &layout.tensors {
        read_tensor(file, &tensor_name(component, tensor), &tensor.dimensions, &mut parameters)?;
    }
    Ok(Gran { config, layout, parameters })
}

/// Appends a tensor's elements.
fn read_tensor(file: &SafeTensors, name: &str, dimensions: &[usize], to: &mut Vec<f32>) -> Result<(), GeneratorError> {
    let view = file.tensor(name).map_err(|_| refused(format!("tensor \"{name}\" is missing")))?;
    if view.dtype() != Dtype::F32 || view.shape() != dimensions {
        let (dtype, shape) = (view.dtype(), view.shape());
        return Err(refused(format!("tensor \"{name}\" is {dtype} {shape:?}, but must be F32 {dimensions:?}")));
    }
    let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let start = to.len();
    to.extend(values);
    match to[start..].iter().position(|value| !value.is_finite()) {
        Some(index) => Err(refused(format!("tensor \"{name}\": element {index} is not a finite number"))),
        None => Ok(()),
    }
}
