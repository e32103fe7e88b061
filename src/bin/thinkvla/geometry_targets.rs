//! Argument for the geometry targets that subcommands write for the rows they render.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use thinkvla::sim::collect::RowCallback;

/// Option for geometry targets.
#[derive(Debug, Args)]
pub struct GeometryTargets {
    /// Also write geometry targets of the pictures into this geometry.cache of `train` (geometry.points)
    #[arg(long, value_name = "CACHE")]
    geometry: Option<PathBuf>,
}

impl GeometryTargets {
    /// Opens the writer of the targets, where a cache is given.
    ///
    /// # Errors
    /// When the directory cannot be made, or the program was built without the feature `torch`.
    pub fn open(&self) -> anyhow::Result<Option<Arc<RowCallback>>> {
        let Some(cache) = &self.geometry else {
            return Ok(None);
        };
        #[cfg(feature = "torch")]
        return Ok(Some(thinkvla::training::geometry::rendered::writer(cache)?));
        #[cfg(not(feature = "torch"))]
        anyhow::bail!(
            "{}: expected a program built with the feature torch, found one without",
            cache.display()
        );
    }
}
