//! Open-loop evaluation against the rows of a dataset.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use thinkvla::eval::machine::Machine;
use thinkvla::eval::open_loop::{self, ComparedRows, RowResult};
use thinkvla::eval::viewer::Viewer;
use thinkvla::model::policy::Policy;
use thinkvla::training::checkpoint::Notes;
use thinkvla::training::data::mixture::HeldOutEpisodes;

/// Arguments of the comparison with a dataset.
#[derive(Debug, Args)]
pub struct OpenLoop {
    /// Compare the policy's chunks with the recorded ones of this LeRobot dataset, in place of the closed loop
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// Rows that are drawn from the dataset; all of them when not given
    #[arg(long, requires = "dataset", value_parser = clap::value_parser!(u64).range(1..))]
    rows: Option<u64>,
    /// Only rows of episodes that the checkpoint's own training held out of this dataset
    #[arg(long, requires = "dataset")]
    held_out: bool,
}

impl OpenLoop {
    /// Returns the dataset, where one is named.
    pub fn dataset(&self) -> Option<&Path> {
        self.dataset.as_deref()
    }
}

/// A report with the time it took and the machine it ran on.
#[derive(Debug, Serialize)]
struct Written {
    #[serde(flatten)]
    report: open_loop::OpenLoop,
    seconds: f64,
    machine: Machine,
}

/// Compares a checkpoint's chunks with the recorded ones.
pub fn run(common: &super::Arguments, dataset: &Path) -> anyhow::Result<()> {
    let [checkpoint] = common.checkpoint.as_slice() else {
        bail!("--checkpoint: expected one, found {}", common.checkpoint.join(", "));
    };
    let viewer = Viewer::new(Policy::load(Path::new(checkpoint), common.options())?)?;
    let out = &common.out;
    std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    let path = out.join("rows.jsonl");
    let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
    let mut file = BufWriter::new(file);
    let mut written = Ok(());
    let bar = ProgressBar::new_spinner();
    let drawn = ComparedRows {
        held_out: common
            .open
            .held_out
            .then(|| held_out(Path::new(checkpoint), dataset))
            .transpose()?,
        rows: common.open.rows,
        seed: common.seed,
    };
    let begun = Instant::now();
    let report = open_loop::compare(viewer, dataset, drawn, |row| {
        bar.inc(1);
        if written.is_ok() {
            written = line(&mut file, row);
        }
    })?;
    bar.finish_and_clear();
    written
        .and_then(|()| file.flush())
        .with_context(|| format!("write {}", path.display()))?;
    let (seconds, machine) = (begun.elapsed().as_secs_f64(), Machine::current());
    let text = format!("{report}\n{seconds:.0} s. Machine: {machine}.\n");
    let whole = Written {
        report,
        seconds,
        machine,
    };
    super::write(out, &whole, &text)
}

fn held_out(checkpoint: &Path, dataset: &Path) -> anyhow::Result<HeldOutEpisodes> {
    let of_run = Notes::read(checkpoint)?.held_out_of(dataset);
    let of_run = of_run.filter(|of| of.share > 0.0);
    of_run.with_context(|| {
        let (checkpoint, dataset) = (checkpoint.display(), dataset.display());
        format!("--held-out: the training of {checkpoint} held nothing out of {dataset}; see validation.share")
    })
}

fn line(file: &mut impl std::io::Write, row: &RowResult) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, row)?;
    file.write_all(b"\n")
}
