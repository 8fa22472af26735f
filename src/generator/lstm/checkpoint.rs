//! Checkpoints of LSTM generators: safetensors files whose metadata hold the settings.

use super::super::GeneratorError;
use super::LstmGenerator;
use super::network::Network;
use super::parameters::LstmConfig;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The metadata key.
const KEY: &str = "graphpnas-fast.lstm";
/// Raised when old readers could not understand new files.
const VERSION: u32 = 1;
/// Most graphs of an architecture.
const MOST_COMPONENTS: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    components: Vec<LstmConfig>,
}

fn refused(reason: impl ToString) -> GeneratorError {
    GeneratorError::Checkpoint(reason.to_string())
}

impl LstmGenerator {
    /// The checkpoint: a safetensors file with tensors `components.C.NAME`, f32 (rows, hidden).
    pub fn to_bytes(&self) -> Result<Vec<u8>, GeneratorError> {
        let components = self.components.iter().map(|network| network.config.clone()).collect();
        let header = serde_json::to_string(&Header { version: VERSION, components }).map_err(refused)?;
        let bytes = |network: &Network| network.parameters.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes: Vec<Vec<u8>> = self.components.iter().map(bytes).collect();
        let mut tensors = Vec::new();
        for (component, (network, bytes)) in self.components.iter().zip(&bytes).enumerate() {
            for tensor in &network.layout.tensors {
                let data = &bytes[4 * tensor.offset..4 * tensor.range().end];
                let view = TensorView::new(Dtype::F32, tensor.dimensions.clone(), data).map_err(refused)?;
                tensors.push((format!("components.{component}.{}", tensor.name), view));
            }
        }
        serialize(tensors, Some(HashMap::from([(KEY.to_owned(), header)]))).map_err(refused)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`GeneratorError::Checkpoint`] for damaged or foreign bytes; names the tensor where one is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GeneratorError> {
        let file = SafeTensors::deserialize(bytes).map_err(refused)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(refused)?;
        let text = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
        let text = text.ok_or_else(|| refused(format!("the metadata have no entry \"{KEY}\"")))?;
        let header: Header = serde_json::from_str(text).map_err(refused)?;
        if header.version != VERSION {
            return Err(refused(format!(
                "format version {}, but this program reads version {VERSION}",
                header.version
            )));
        }
        if header.components.is_empty() || header.components.len() > MOST_COMPONENTS {
            return Err(refused(format!("{} components, but must be 1 to {MOST_COMPONENTS}", header.components.len())));
        }
        let components = header.components.into_iter().enumerate();
        let components = components.map(|(component, config)| read_component(&file, component, config));
        Ok(LstmGenerator { components: components.collect::<Result<_, _>>()? })
    }
}

fn read_component(file: &SafeTensors, component: usize, config: LstmConfig) -> Result<Network, GeneratorError> {
    config.validate().map_err(refused)?;
    let mut network = Network::new(config, |_| Vec::new());
    for tensor in &network.layout.tensors {
        let name = format!("components.{component}.{}", tensor.name);
        let view = file.tensor(&name).map_err(|_| refused(format!("tensor \"{name}\" is missing")))?;
        if view.dtype() != Dtype::F32 || view.shape() != tensor.dimensions {
            let (dtype, shape, right) = (view.dtype(), view.shape(), &tensor.dimensions);
            return Err(refused(format!("tensor \"{name}\" is {dtype} {shape:?}, but must be F32 {right:?}")));
        }
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let start = network.parameters.len();
        network.parameters.extend(values);
        if let Some(index) = network.parameters[start..].iter().position(|value| !value.is_finite()) {
            return Err(refused(format!("tensor \"{name}\": element {index} is not a finite number")));
        }
    }
    Ok(network)
}
