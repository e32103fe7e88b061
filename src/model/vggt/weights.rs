//! Loads a VGGT aggregator from a safetensors file.

use std::path::Path;

use super::aggregator::Aggregator;
use super::config::VggtConfig;
use crate::model::checkpoint::Placement;
use crate::model::checkpoint::weights::{Naming, TensorSelection, WeightFiles, Weights};
use crate::model::config::Precision;
use crate::model::error::ModelError;

/// Prefix of the aggregator's keys.
const PREFIX: &str = "aggregator.";

/// Reads the tensors `aggregator.*` of a file. Its metadata states the sizes; without them they are VGGT-1B's. Other
/// tensors, such as VGGT's heads, are ignored. The default type is 32 bits.
///
/// # Errors
/// When the file cannot be read, its sizes are invalid, or any tensor `aggregator.*` is missing, extra, of another
/// shape or of another type; all of these are reported together.
pub fn load(file: &Path, placement: Placement) -> Result<Aggregator, ModelError> {
    let files = WeightFiles::of_files(&[file.to_owned()], Naming::HuggingFace)?.within(PREFIX);
    let config = VggtConfig::from_metadata(&files.metadata())?;
    let taking = TensorSelection {
        backbone: placement.compute.unwrap_or(Precision::Float32).kind(),
        device: placement.device,
        tied: false,
    };
    let weights = Weights::new(&files, taking);
    let aggregator = Aggregator::from_source(&config, &weights)?;
    weights.finish()?;
    Ok(aggregator)
}

/// Returns the SHA-256 of a file of weights, in hexadecimal, which identifies the teacher.
///
/// # Errors
/// When the file cannot be read.
pub fn hash(file: &Path) -> Result<String, ModelError> {
    Ok(WeightFiles::of_files(&[file.to_owned()], Naming::HuggingFace)?.hash())
}
