//! `thinkvla dataset plot`: pictures of a dataset for a person.

use std::path::PathBuf;

use clap::Args;
use thinkvla::contract::FILE_NAME;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::edit::beside;
use thinkvla::figures::plot_dataset;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct PlotArguments {
    /// Its folder
    root: PathBuf,
    /// Folder for the PNG files; when not given, ROOT/plots, or ROOT.plots beside a dataset without contract.yaml
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the dataset cannot be read or a file cannot be written.
pub fn plot(arguments: &PlotArguments) -> anyhow::Result<()> {
    let root = &arguments.root;
    let dataset = Dataset::open(root)?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None if root.join(FILE_NAME).exists() => root.join("plots"),
        // Datasets of other programs are only read.
        None => beside(&std::path::absolute(root)?, "plots")?,
    };
    for path in plot_dataset(&dataset, &out)? {
        crate::print_line(&path.display().to_string());
    }
    Ok(())
}
