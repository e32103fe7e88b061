//! Memory check before a run: refuses a run that does not fit into free memory.

use super::settings::FinetuneSettings;
use crate::model::checkpoint::{CheckpointOptions, Manifest};
use crate::model::layers::device::machine_memory;
use crate::training::config::TrainingConfig;
use crate::training::memory::needed;

/// Checks that a run fits into memory; returns its estimated need in words.
///
/// # Errors
/// When it does not fit: states need and limit, and what to change.
pub fn fits(config: &TrainingConfig, settings: &FinetuneSettings) -> Result<String, String> {
    let manifest = Manifest::read(&config.checkpoint, &CheckpointOptions::default()).map_err(|e| e.to_string())?;
    let needed = needed(config, &manifest).map_err(|e| e.to_string())?;
    let free = machine_memory("MemAvailable").map(|bytes| bytes - settings.memory_reserve);
    let allowed = [settings.memory_limit, free].into_iter().flatten().reduce(f64::min);
    match allowed {
        Some(allowed) if needed.total() > allowed => Err(format!(
            "memory: expected {needed} to fit, found {:.2} GB (free, less the parameter memory_reserve, and at most \
             memory_limit); train less (mode ADDED, or LORA), lower data.batch and raise data.accumulate in the template, \
             or end other processes",
            allowed.max(0.0) / 1e9
        )),
        _ => Ok(needed.to_string()),
    }
}
