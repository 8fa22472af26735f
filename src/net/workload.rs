//! Exactly specified work: a network file with a deterministic fill, so that engines can be compared digit by digit.

use super::plan::{ImageShape, Plan, Role};
use super::randwire::{RandWireShape, randwire};
use super::weights::{Tensor, Weights};
use crate::graph::Dag;
use serde::Deserialize;
use thiserror::Error;

/// Why a workload file was refused.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// Not JSON, or not of this shape.
    #[error("not a workload: {0}")]
    Json(#[from] serde_json::Error),
    /// A number out of its range.
    #[error("{key} = {value} is not in {low}..={high}")]
    Range {
        /// Which number.
        key: &'static str,
        /// What it is.
        value: usize,
        /// Least value.
        low: usize,
        /// Greatest value.
        high: usize,
    },
    /// A dropout that is no probability, or drops everything.
    #[error("dropout = {0:?} is not at least 0 and below 1")]
    Dropout(f64),
    /// Not one stride a stage.
    #[error("{stages} stages but {strides} stage_strides")]
    Strides {
        /// Number of stages.
        stages: usize,
        /// Number of strides.
        strides: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    channels: usize,
    size: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    what: String,
    image: Image,
    channels: usize,
    stem_stride: usize,
    stage_strides: Vec<usize>,
    head: usize,
    classes: usize,
    batch: usize,
    dropout: f64,
    stages: Vec<Dag>,
}

/// A workload: a RandWire network and a batch.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// What it resembles.
    pub what: String,
    /// The network.
    pub plan: Plan,
    /// Images in a batch.
    pub batch: usize,
    /// Probability that a feature is dropped in training.
    pub dropout: f64,
}

impl Workload {
    /// Reads a workload file's text.
    pub fn from_json(text: &str) -> Result<Workload, WorkloadError> {
        let file: File = serde_json::from_str(text)?;
        let (stages, strides) = (file.stages.len(), file.stage_strides.len());
        for (key, value, low, high) in [
            ("image.channels", file.image.channels, 1, 64),
            ("image.size", file.image.size, 1, 1024),
            ("channels", file.channels, 2, 4096),
            ("stem_stride", file.stem_stride, 1, 2),
            ("head", file.head, 1, 65_536),
            ("classes", file.classes, 2, 65_535),
            ("batch", file.batch, 2, 65_536),
            ("number of stages", stages, 1, 8),
        ] {
            check(key, value, low, high)?;
        }
        if stages != strides {
            return Err(WorkloadError::Strides { stages, strides });
        }
        for &stride in &file.stage_strides {
            check("stage stride", stride, 1, 2)?;
        }
        if !(0.0..1.0).contains(&file.dropout) {
            return Err(WorkloadError::Dropout(file.dropout));
        }
        let side = file.image.size;
        let shape = RandWireShape {
            image: ImageShape { channels: file.image.channels, height: side, width: side },
            channels: file.channels,
            stem_stride: file.stem_stride,
            second_stem_stride: None,
            stage_strides: file.stage_strides,
            head: file.head,
            classes: file.classes,
        };
        let plan = randwire(&file.stages, &shape);
        Ok(Workload { name: file.name, what: file.what, plan, batch: file.batch, dropout: file.dropout })
    }

    /// The weights that every engine starts from: tensor number t of the convolution and fully connected weights is
    /// uniform in +-sqrt(6 / fan_in), from stream t.
    pub fn weights(&self) -> Weights {
        let mut stream = 0;
        let tensors = self.plan.parameters.iter().map(|parameter| {
            let count: usize = parameter.dimensions.iter().product();
            let data = match parameter.role {
                Role::Weight => {
                    stream += 1;
                    let fan_in: usize = parameter.dimensions[1..].iter().product();
                    let bound = (6.0 / fan_in as f64).sqrt();
                    (0..count as u64).map(|k| ((2.0 * uniform(stream, k) - 1.0) * bound) as f32).collect()
                }
                Role::Gamma | Role::RunningVariance => vec![1.0; count],
                Role::Bias | Role::EdgeLogits | Role::Beta | Role::RunningMean => vec![0.0; count],
            };
            Tensor { name: parameter.name.clone(), dimensions: parameter.dimensions.clone(), data }
        });
        Weights { tensors: tensors.collect() }
    }

    /// The images, `(batch, height, width, channels)`: uniform with variance 1, filled in `(batch, channels, height,
    /// width)` order.
    pub fn images(&self) -> Vec<f32> {
        let ImageShape { channels, height, width } = self.plan.image;
        let mut pixels = Vec::with_capacity(self.batch * channels * height * width);
        for image in 0..self.batch {
            for pixel in 0..height * width {
                for channel in 0..channels {
                    let element = (image * channels + channel) * height * width + pixel;
                    pixels.push(((2.0 * uniform(1_000_000, element as u64) - 1.0) * 3f64.sqrt()) as f32);
                }
            }
        }
        pixels
    }

    /// The labels, uniform over the classes.
    pub fn labels(&self) -> Vec<u16> {
        let classes = self.plan.classes as f64;
        (0..self.batch as u64).map(|k| (uniform(1_000_001, k) * classes).floor() as u16).collect()
    }
}

fn check(key: &'static str, value: usize, low: usize, high: usize) -> Result<(), WorkloadError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(WorkloadError::Range { key, value, low, high }) }
}

/// Element k of a stream, uniform in [0, 1): the top 24 bits of splitmix64.
fn uniform(stream: u64, k: u64) -> f64 {
    let mut z = (stream << 32).wrapping_add(k).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ z >> 31) >> 40) as f64 / f64::from(1u32 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_dropout(dropout: &str) -> Result<Workload, WorkloadError> {
        let stage = r#"{"nodes": 2, "edges": [[0, 1]]}"#;
        Workload::from_json(&format!(
            r#"{{"name": "w", "what": "x", "image": {{"channels": 1, "size": 4}}, "channels": 4, "stem_stride": 1,
                "stage_strides": [2], "head": 8, "classes": 3, "batch": 4, "dropout": {dropout}, "stages": [{stage}]}}"#
        ))
    }

    #[test]
    fn dropout_is_a_probability_below_one() {
        for (text, value) in [("0", 0.0), ("0.25", 0.25), ("0.999", 0.999)] {
            assert_eq!(with_dropout(text).unwrap().dropout, value);
        }
        for text in ["-0.001", "-5.0", "1.0", "1.005", "1e300"] {
            let error = with_dropout(text).unwrap_err().to_string();
            assert_eq!(error, format!("dropout = {text} is not at least 0 and below 1"));
        }
        assert!(matches!(with_dropout("NaN"), Err(WorkloadError::Json(_))));
    }
}
