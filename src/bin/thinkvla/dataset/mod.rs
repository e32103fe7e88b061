//! `thinkvla dataset`: inspects and edits datasets.

mod change;
mod conversions;
mod plots;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use thinkvla::dataset::verify::Depth;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of `thinkvla dataset`.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Describe a dataset
    Info {
        /// Its folder
        root: PathBuf,
    },
    /// Check every row and every picture; exit 1 when something is wrong
    Verify {
        /// Its folder
        root: PathBuf,
        /// Check only whether the files are complete
        #[arg(long, conflicts_with = "deep")]
        quick: bool,
        /// Decode the videos as well
        #[arg(long)]
        deep: bool,
    },
    /// Cut a dataset back to its longest valid beginning and report it; files that are cut off are kept in .cut
    ///
    /// A dataset without contract.yaml was written by another program: the command only reports what it would do, unless
    /// --apply is given.
    Repair {
        /// Its folder
        root: PathBuf,
        /// Report what would be done, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Change a dataset of another program too
        #[arg(long, conflicts_with = "dry_run")]
        apply: bool,
        /// Restore the files that the latest repair has set aside
        #[arg(long, conflicts_with_all = ["dry_run", "apply", "open"])]
        undo: bool,
        /// Treatment of an episode that was being recorded
        #[arg(long, value_enum, default_value_t = Open::Keep)]
        open: Open,
    },
    /// Print minimum, maximum, mean, deviation and quantiles of every value
    Stats {
        /// Its folder
        root: PathBuf,
        /// Compute them from the rows and write them into meta/stats.json
        #[arg(long)]
        write: bool,
    },
    /// Remove episodes; later ones are renumbered
    Delete {
        /// Its folder
        root: PathBuf,
        /// Episodes, e.g. 3 or 5..8 (without 8)
        #[arg(required = true)]
        episodes: Vec<Episodes>,
        #[command(flatten)]
        to: To,
    },
    /// Give episodes another instruction
    Relabel {
        /// Its folder
        root: PathBuf,
        /// The instruction
        #[arg(long)]
        task: String,
        /// Episodes, e.g. 3 or 5..8 (without 8); all of them when not given
        episodes: Vec<Episodes>,
        #[command(flatten)]
        to: To,
    },
    /// Merge datasets with the same columns, or convert one of v2.1 to v3.0
    Merge {
        /// Their folders
        #[arg(required = true)]
        roots: Vec<PathBuf>,
        /// The new dataset
        #[arg(long)]
        out: PathBuf,
    },
    /// Split a dataset into two
    Split {
        /// Its folder
        root: PathBuf,
        /// The first episode of the second
        #[arg(long)]
        at: usize,
        /// The two new datasets
        #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], required = true)]
        out: Vec<PathBuf>,
    },
    /// Draw trajectories, actions, timing and contact sheets as PNG files
    Plot(plots::PlotArguments),
    /// Write episodes as ROS 2 recordings (MCAP), for Foxglove and `ros2 bag play`
    Export(conversions::ExportArguments),
    /// Convert ROS 2 recordings (MCAP) to episodes
    Import(conversions::ImportArguments),
    /// Convert a dataset with pictures in its rows to one with H.264 videos
    Encode(conversions::EncodeArguments),
}

/// Treatment of an open episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Open {
    /// Leave it as it is; the recorder asks
    Keep,
    /// Save its frames as an episode
    Save,
    /// Throw it away
    Discard,
}

/// Conditions under which a repair is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apply {
    Never,
    ToOurs,
    ToAny,
}

impl Apply {
    fn of(dry_run: bool, apply: bool) -> Self {
        match (dry_run, apply) {
            (true, _) => Self::Never,
            (false, false) => Self::ToOurs,
            (false, true) => Self::ToAny,
        }
    }
}

/// Destination of a changed dataset.
#[derive(Debug, Args)]
struct To {
    /// Write a new dataset and leave this one; when not given, the new one takes its place and it is kept as ROOT.before
    #[arg(long)]
    out: Option<PathBuf>,
}

/// An episode, or a half-open range of them.
#[derive(Debug, Clone)]
struct Episodes(std::ops::Range<usize>);

impl FromStr for Episodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let range = match text.split_once("..") {
            Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| from..to),
            None => number(text).map(|one| one..one.saturating_add(1)),
        };
        range
            .filter(|range| !range.is_empty())
            .map(Self)
            .ok_or_else(|| format!("expected an episode or FIRST..END, e.g. 3 or 5..8, found {text}"))
    }
}

/// Runs the verb.
///
/// # Errors
/// When a dataset cannot be read or written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.verb {
        Verb::Info { root } => show::info(root)?,
        Verb::Verify { root, quick, deep } => {
            let depth = match (quick, deep) {
                (true, _) => Depth::Files,
                (_, true) => Depth::Videos,
                _ => Depth::Rows,
            };
            return show::verify(root, depth);
        }
        Verb::Repair { root, undo: true, .. } => change::undo_repair(root)?,
        Verb::Repair {
            root,
            dry_run,
            apply,
            open,
            ..
        } => change::repair(root, Apply::of(*dry_run, *apply), *open)?,
        Verb::Stats { root, write } => show::stats(root, *write)?,
        Verb::Delete { root, episodes, to } => change::delete(root, episodes, to.out.as_deref())?,
        Verb::Relabel {
            root,
            task,
            episodes,
            to,
        } => change::relabel(root, task, episodes, to.out.as_deref())?,
        Verb::Merge { roots, out } => change::merge(roots, out)?,
        Verb::Split { root, at, out } => change::split(root, *at, out)?,
        Verb::Plot(arguments) => plots::plot(arguments)?,
        Verb::Export(arguments) => conversions::export(arguments)?,
        Verb::Import(arguments) => conversions::import(arguments)?,
        Verb::Encode(arguments) => conversions::to_video(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
