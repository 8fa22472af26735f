//! One record of a NAS-Bench-101 file: a cell, trained once for some number of epochs.

use super::accuracy;
use crate::space::nasbench101::{Cell101, CellHash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

/// `EvaluationData` of the benchmark's `model_metrics.proto`, as far as it is needed. What the field after these is
/// differs between files; it is skipped.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EvaluationData {
    #[prost(double, tag = "1")]
    pub current_epoch: f64,
    /// Seconds.
    #[prost(double, tag = "2")]
    pub training_time: f64,
    #[prost(double, tag = "3")]
    pub train_accuracy: f64,
    #[prost(double, tag = "4")]
    pub validation_accuracy: f64,
    #[prost(double, tag = "5")]
    pub test_accuracy: f64,
}

/// `ModelMetrics`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelMetrics {
    /// At the start, half-way and at the end of the training.
    #[prost(message, repeated, tag = "1")]
    pub evaluation_data: Vec<EvaluationData>,
    #[prost(int32, tag = "2")]
    pub trainable_parameters: i32,
    /// Seconds.
    #[prost(double, tag = "3")]
    pub total_time: f64,
}

/// What one record says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measurement {
    pub hash: CellHash,
    pub epochs: u32,
    /// The adjacency matrix row by row.
    adjacency: String,
    /// Separated by commas.
    operators: String,
    pub parameters: u64,
    pub validation_accuracy: f64,
    pub test_accuracy: f64,
    /// Seconds of training.
    pub seconds: f64,
}

impl Measurement {
    /// Reads `[hash, epochs, adjacency, operators, metrics]`, the metrics in base 64.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(payload: &[u8]) -> Result<Self, String> {
        let (hash, epochs, adjacency, operators, metrics): (String, u32, String, String, String) =
            serde_json::from_slice(payload).map_err(|error| format!("no NAS-Bench-101 record: {error}"))?;
        let hash = CellHash::from_hexadecimal(&hash).ok_or_else(|| format!("{hash:.40?} is no cell's hash"))?;
        if epochs == 0 {
            return Err("trained for 0 epochs".into());
        }
        let metrics = base64(&metrics)?;
        let metrics = ModelMetrics::decode(&metrics[..]).map_err(|error| format!("its metrics: {error}"))?;
        let end = metrics.evaluation_data.last().ok_or("its metrics hold no evaluation")?;
        if !(end.training_time >= 0.0 && end.training_time.is_finite()) {
            return Err(format!("a training time of {} s", end.training_time));
        }
        let parameters = u64::try_from(metrics.trainable_parameters);
        Ok(Measurement {
            hash,
            epochs,
            adjacency,
            operators,
            parameters: parameters.map_err(|_| format!("{} parameters", metrics.trainable_parameters))?,
            validation_accuracy: accuracy(end.validation_accuracy, "validation")?,
            test_accuracy: accuracy(end.test_accuracy, "test")?,
            seconds: end.training_time,
        })
    }

    /// The cell it is about.
    pub fn cell(&self) -> Result<Cell101, String> {
        Cell101::from_flat(&self.adjacency, self.operators.split(',')).map_err(|error| error.to_string())
    }
}

/// Base 64 with line breaks (RFC 2045).
fn base64(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    STANDARD.decode(digits).map_err(|error| format!("its metrics are no base 64: {error}"))
}
