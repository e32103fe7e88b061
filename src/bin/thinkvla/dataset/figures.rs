//! `thinkvla dataset plot`: pictures of a dataset for a person.

use std::path::PathBuf;

use clap::Args;
use thinkvla::dataset::Dataset;
use thinkvla::figures::plot_dataset;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct PlotArguments {
    /// Its folder
    root: PathBuf,
    /// Folder for the PNG files; ROOT/plots when not given
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the dataset cannot be read or a file cannot be written.
pub fn plot(arguments: &PlotArguments) -> anyhow::Result<()> {
    let out = arguments.out.clone().unwrap_or_else(|| arguments.root.join("plots"));
    for path in plot_dataset(&Dataset::open(&arguments.root)?, &out)? {
        crate::tell(&path.display().to_string());
    }
    Ok(())
}
