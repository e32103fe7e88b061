//! Memory check before a run: refuses a run that does not fit into free memory.

use super::error::FinetuneError;
use super::settings::FinetuneSettings;
use crate::model::checkpoint::{CheckpointOptions, Manifest};
use crate::model::layers::device::machine_memory;
use crate::training::config::TrainingConfig;
use crate::training::memory::needed;

/// Checks that a run fits into memory; returns its estimated need in words.
///
/// # Errors
/// When it does not fit: states need and limit, and what to change.
pub fn fits(config: &TrainingConfig, settings: &FinetuneSettings) -> Result<String, FinetuneError> {
    let manifest = Manifest::read(&config.checkpoint, &CheckpointOptions::default())?;
    let needed = needed(config, &manifest)?;
    let free = machine_memory("MemAvailable").map(|bytes| bytes - settings.memory_reserve);
    let allowed = [settings.memory_limit, free].into_iter().flatten().reduce(f64::min);
    match allowed {
        Some(allowed) if needed.total() > allowed => Err(FinetuneError::Memory {
            needed: needed.to_string(),
            allowed_gb: allowed.max(0.0) / 1e9,
        }),
        _ => Ok(needed.to_string()),
    }
}
