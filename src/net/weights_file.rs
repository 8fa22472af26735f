//! Weights as a safetensors file: `u64` little-endian header length, JSON header, then the tensors' bytes.

use super::{Plan, Tensor, Weights};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashSet;
use thiserror::Error;

/// Why weights do not fit a plan, or a file holds no weights.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum WeightsError {
    /// Damaged, truncated or something else.
    #[error("not a safetensors file: {0}")]
    Format(String),
    /// A tensor of the network is not there.
    #[error("tensor `{0}` is missing: these are the weights of another architecture")]
    Missing(String),
    /// A tensor that the network does not have.
    #[error("tensor `{0}` is not part of this network: these are the weights of another architecture")]
    Unknown(String),
    /// The right name, the wrong shape.
    #[error("tensor `{name}` has the shape {found:?}; this network needs {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its dimensions.
        found: Vec<usize>,
        /// The dimensions that the plan asks for.
        expected: Vec<usize>,
    },
    /// Other than 32-bit floats.
    #[error("tensor `{name}` holds {found}; only F32 is read")]
    Type {
        /// The tensor.
        name: String,
        /// Its element type, in safetensors' words.
        found: String,
    },
    /// A tensor whose elements do not fill its dimensions.
    #[error("tensor `{name}` has {found} elements; its shape {dimensions:?} needs {}", dimensions.iter().product::<usize>())]
    Length {
        /// The tensor.
        name: String,
        /// Its number of elements.
        found: usize,
        /// Its dimensions.
        dimensions: Vec<usize>,
    },
}

impl Weights {
    /// Says which tensor does not fit the plan, if any: [`Weights::fits`] with a reason.
    ///
    /// # Errors
    /// The first tensor, in the plan's order, that is missing, misplaced or of the wrong shape.
    pub fn check(&self, plan: &Plan) -> Result<(), WeightsError> {
        for (index, wanted) in plan.parameters.iter().enumerate() {
            let tensor = self.tensors.get(index).filter(|tensor| tensor.name == wanted.name);
            let tensor = tensor.ok_or_else(|| WeightsError::Missing(wanted.name.clone()))?;
            check_shape(tensor.name.as_str(), &tensor.dimensions, &wanted.dimensions)?;
            if tensor.data.len() != tensor.dimensions.iter().product::<usize>() {
                let (name, dimensions) = (tensor.name.clone(), tensor.dimensions.clone());
                return Err(WeightsError::Length { name, found: tensor.data.len(), dimensions });
            }
        }
        match self.tensors.get(plan.parameters.len()) {
            Some(extra) => Err(WeightsError::Unknown(extra.name.clone())),
            None => Ok(()),
        }
    }
}

fn check_shape(name: &str, found: &[usize], expected: &[usize]) -> Result<(), WeightsError> {
    if found == expected {
        return Ok(());
    }
    Err(WeightsError::Shape { name: name.into(), found: found.into(), expected: expected.into() })
}

/// The weights as safetensors, tensors in the plan's order. The bytes depend on nothing but the arguments (the
/// `safetensors` crate's own writer puts metadata in a hash map's order).
pub fn weights_to_safetensors(weights: &Weights, metadata: &[(String, String)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        let entries = metadata.iter().map(|(key, value)| (key.clone(), value.clone().into()));
        header.insert("__metadata__".into(), serde_json::Value::Object(entries.collect()));
    }
    let mut end = 0;
    for tensor in &weights.tensors {
        let start = end;
        end += 4 * tensor.data.len();
        let entry = serde_json::json!({"dtype": "F32", "shape": tensor.dimensions, "data_offsets": [start, end]});
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string();
    // The tensors start at a multiple of 8 bytes, as the format recommends.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    for tensor in &weights.tensors {
        bytes.extend(tensor.data.iter().flat_map(|x| x.to_le_bytes()));
    }
    bytes
}

/// Reads the weights of this plan; metadata is ignored.
///
/// # Errors
/// The file is not safetensors, or a tensor is missing, unknown, of another shape or not of 32-bit floats.
pub fn weights_from_safetensors(bytes: &[u8], plan: &Plan) -> Result<Weights, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Format(error.to_string()))?;
    let known: HashSet<&str> = plan.parameters.iter().map(|p| p.name.as_str()).collect();
    let mut names = file.names();
    names.sort_unstable();
    let mut tensors = Vec::with_capacity(plan.parameters.len());
    for wanted in &plan.parameters {
        let view = file.tensor(&wanted.name).map_err(|_| WeightsError::Missing(wanted.name.clone()))?;
        if view.dtype() != Dtype::F32 {
            return Err(WeightsError::Type { name: wanted.name.clone(), found: view.dtype().to_string() });
        }
        check_shape(&wanted.name, view.shape(), &wanted.dimensions)?;
        let (elements, _) = view.data().as_chunks::<4>();
        tensors.push(Tensor {
            name: wanted.name.clone(),
            dimensions: wanted.dimensions.clone(),
            data: elements.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        });
    }
    match names.iter().find(|name| !known.contains(*name as &str)) {
        Some(extra) => Err(WeightsError::Unknown(extra.to_string())),
        None => Ok(Weights { tensors }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{ImageShape, ParameterShape, Role};

    fn plan(parameters: &[(&str, &[usize])]) -> Plan {
        let parameter = |&(name, dimensions): &(&str, &[usize])| ParameterShape {
            name: name.into(),
            dimensions: dimensions.into(),
            role: Role::Weight,
        };
        let image = ImageShape { channels: 1, height: 2, width: 2 };
        let parameters = parameters.iter().map(parameter).collect();
        Plan { image, classes: 2, values: vec![], parameters, ops: vec![] }
    }

    fn weights(tensors: &[(&str, &[usize], &[f32])]) -> Weights {
        let tensor = |&(name, dimensions, data): &(&str, &[usize], &[f32])| Tensor {
            name: name.into(),
            dimensions: dimensions.into(),
            data: data.into(),
        };
        Weights { tensors: tensors.iter().map(tensor).collect() }
    }

    fn example() -> (Plan, Weights) {
        let data: &[f32] = &[1.5, -0.0, f32::MIN_POSITIVE, 3.0e38, -7.25, 0.1];
        (plan(&[("z.weight", &[2, 3]), ("a", &[1])]), weights(&[("z.weight", &[2, 3], data), ("a", &[1], &[4.0])]))
    }

    #[test]
    fn what_is_written_is_read_back_bit_for_bit() {
        let (plan, weights) = example();
        let metadata = [("author".to_string(), "a \"quoted\" name".to_string()), ("b".into(), "c".into())];
        let bytes = weights_to_safetensors(&weights, &metadata);
        assert_eq!(weights_from_safetensors(&bytes, &plan), Ok(weights.clone()));
        assert_eq!(bytes, weights_to_safetensors(&weights, &metadata));

        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["author"], "a \"quoted\" name");
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("z.weight").unwrap().shape(), [2, 3]);
        assert_eq!(file.tensor("a").unwrap().data(), 4.0f32.to_le_bytes());
    }

    #[test]
    fn weights_of_another_network_are_refused_by_name_and_shape() {
        let (_, weights) = example();
        let bytes = weights_to_safetensors(&weights, &[]);
        let reshaped = "tensor `z.weight` has the shape [2, 3]; this network needs [3, 2]";
        for (plan, message) in [
            (plan(&[("z.weight", &[2, 3]), ("b", &[1])]), "tensor `b` is missing"),
            (plan(&[("z.weight", &[2, 3])]), "tensor `a` is not part of this network"),
            (plan(&[("z.weight", &[3, 2]), ("a", &[1])]), reshaped),
        ] {
            let error = weights_from_safetensors(&bytes, &plan).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn damaged_files_and_other_types_are_refused() {
        let (plan, weights) = example();
        let bytes = weights_to_safetensors(&weights, &[]);
        for damaged in [&bytes[..0], &bytes[..7], &bytes[..bytes.len() - 1], b"PK\x03\x04 this is no safetensors file"]
        {
            assert!(matches!(weights_from_safetensors(damaged, &plan), Err(WeightsError::Format(_))));
        }
        let at = bytes.windows(3).position(|window| window == b"F32").unwrap();
        let mut integers = bytes;
        integers[at..at + 3].copy_from_slice(b"I32");
        let error = weights_from_safetensors(&integers, &plan).unwrap_err();
        assert_eq!(error, WeightsError::Type { name: "a".into(), found: "I32".into() });
    }

    #[test]
    fn check_agrees_with_fits() {
        let (plan, good) = example();
        assert_eq!(good.check(&plan), Ok(()));
        let mut extra = good.clone();
        extra.tensors.push(extra.tensors[0].clone());
        let mut short = good.clone();
        short.tensors[0].data.pop();
        let mut swapped = good.clone();
        swapped.tensors.swap(0, 1);
        let mut absent = good.clone();
        absent.tensors.pop();
        for wrong in [extra, short, swapped, absent] {
            assert!(!wrong.fits(&plan));
            assert!(wrong.check(&plan).is_err());
        }
        assert!(good.fits(&plan));
    }
}
