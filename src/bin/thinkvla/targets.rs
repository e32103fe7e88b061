//! Geometry targets that verbs which render write beside their rows.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use thinkvla::sim::collect::Beside;

/// Where targets go, and whose they are.
#[derive(Debug, Args)]
pub struct Targets {
    /// Also write the points that the pictures show into this geometry.cache of `train`, with geometry.points
    #[arg(long, value_name = "CACHE", requires = "checkpoint")]
    geometry: Option<PathBuf>,
    /// The checkpoint that will be trained: its patches and its thinkvla.geometry.width are the targets'
    #[arg(long, requires = "geometry")]
    checkpoint: Option<PathBuf>,
}

impl Targets {
    /// What writes them.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or has no geometry, or the directory cannot be made.
    pub fn open(&self) -> anyhow::Result<Option<Arc<Beside>>> {
        let (Some(cache), Some(checkpoint)) = (&self.geometry, &self.checkpoint) else {
            return Ok(None);
        };
        #[cfg(feature = "torch")]
        return Ok(Some(thinkvla::sim::targets::writer(cache, checkpoint)?));
        #[cfg(not(feature = "torch"))]
        anyhow::bail!(
            "{} for {}: expected a program built with the feature torch, found one without",
            cache.display(),
            checkpoint.display()
        );
    }
}
