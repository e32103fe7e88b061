//! A VGGT aggregator from a safetensors file.

use std::path::Path;

use super::aggregator::Aggregator;
use super::config::VggtConfig;
use crate::model::checkpoint::Placement;
use crate::model::checkpoint::weights::{Naming, Taking, WeightFiles, Weights};
use crate::model::config::Precision;
use crate::model::error::ModelError;

/// What the aggregator's keys begin with.
const PREFIX: &str = "aggregator.";

/// Reads the tensors `aggregator.*` of a file; its metadata says the sizes, and VGGT-1B's stand where it says none.
/// Other tensors, such as VGGT's heads, are left in the file. The default type is 32 bits.
///
/// # Errors
/// When the file cannot be read, its sizes cannot work, or any tensor `aggregator.*` is missing, extra, of another
/// shape or of another type: all are named at once.
pub fn load(file: &Path, placement: Placement) -> Result<Aggregator, ModelError> {
    let files = WeightFiles::of_files(&[file.to_owned()], Naming::HuggingFace)?.within(PREFIX);
    let config = VggtConfig::from_metadata(&files.metadata())?;
    let taking = Taking {
        backbone: placement.compute.unwrap_or(Precision::Float32).kind(),
        device: placement.device,
        tied: false,
    };
    let weights = Weights::new(&files, taking);
    let aggregator = Aggregator::from_source(&config, &weights)?;
    weights.finish()?;
    Ok(aggregator)
}

/// SHA-256 of a file of weights, in hexadecimal: names the teacher by its content.
///
/// # Errors
/// When the file cannot be read.
pub fn hash(file: &Path) -> Result<String, ModelError> {
    Ok(WeightFiles::of_files(&[file.to_owned()], Naming::HuggingFace)?.hash())
}
