//! `thinkvla dataset export`, `import` and `encode`: other forms of the same episodes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use thinkvla::contract::Contract;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::encode::encode;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::mcap::{self, ExportOptions, ImportOptions};
use thinkvla::dataset::storage::Disk;

use super::Episodes;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Its folder
    root: PathBuf,
    /// Folder for the .mcap files, one an episode
    #[arg(long)]
    out: PathBuf,
    /// An episode or FIRST..END (without END); all of them when not given
    #[arg(long)]
    episodes: Option<Episodes>,
    /// Time of the first row of each recording [s since 1970]
    #[arg(long, default_value_t = 0)]
    start: u32,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Recordings: .mcap files, or folders made by `ros2 bag record -s mcap`; each becomes an episode
    #[arg(required = true)]
    bags: Vec<PathBuf>,
    /// The dataset; made if it is not there
    #[arg(long)]
    into: PathBuf,
    /// Folder with the contract.yaml of the robot, e.g. a dataset or a checkpoint; rows come at its rate
    #[arg(long)]
    contract: PathBuf,
    /// A column of numbers and its topics, e.g. observation.state=/joint_states,/tool_pose (JointState, PoseStamped,
    /// ActionChunk, Float32/64MultiArray); several times
    #[arg(long = "vector", value_name = "COLUMN=TOPIC[,TOPIC]", required = true)]
    vectors: Vec<Source>,
    /// A camera and its topic, e.g. top=/camera/top/image/compressed (CompressedImage, Image); several times
    #[arg(long = "camera", value_name = "NAME=TOPIC")]
    cameras: Vec<Source>,
    /// Instruction of the episodes
    #[arg(long, required_unless_present = "task_topic")]
    task: Option<String>,
    /// Topic of the instruction (String); its first message counts
    #[arg(long)]
    task_topic: Option<String>,
    /// Age that the latest message may have at a row [s]
    #[arg(long, default_value_t = 0.2)]
    max_age: f64,
}

/// Arguments of `encode`.
#[derive(Debug, Args)]
pub struct EncodeArguments {
    /// Its folder
    root: PathBuf,
    /// The new dataset
    #[arg(long)]
    out: PathBuf,
    /// Quantisation: 12 keeps most, 51 least
    #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u8).range(12..=51))]
    qp: u8,
}

/// NAME=TOPIC[,TOPIC].
#[derive(Debug, Clone)]
struct Source(mcap::Source);

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, topics) = text.split_once('=').unwrap_or_default();
        let topics: Vec<_> = topics.split(',').map(|topic| topic.trim().to_owned()).collect();
        if name.is_empty() || topics.iter().any(String::is_empty) {
            return Err(format!(
                "expected NAME=TOPIC, e.g. top=/camera/top/image/compressed, found {text}"
            ));
        }
        Ok(Self(mcap::Source {
            name: name.trim().to_owned(),
            topics,
        }))
    }
}

/// Runs `export`.
///
/// # Errors
/// When the dataset cannot be read or a file cannot be written.
pub fn export(arguments: &ExportArguments) -> anyhow::Result<()> {
    let dataset = Dataset::open(&arguments.root)?;
    let all = 0..dataset.episodes().len();
    let options = ExportOptions {
        episodes: arguments.episodes.clone().map_or(all, |Episodes(range)| range),
        start_ns: u64::from(arguments.start) * 1_000_000_000,
    };
    for path in mcap::export_episodes(&dataset, &arguments.out, &options)? {
        crate::tell(&path.display().to_string());
    }
    Ok(())
}

/// Runs `import`.
///
/// # Errors
/// When a recording cannot be read or does not fit the dataset.
pub fn import(arguments: &ImportArguments) -> anyhow::Result<()> {
    let contract = Contract::load(&arguments.contract)?;
    let sources = |sources: &[Source]| sources.iter().map(|Source(source)| source.clone()).collect();
    let options = ImportOptions {
        bags: arguments.bags.clone(),
        vectors: sources(&arguments.vectors),
        cameras: sources(&arguments.cameras),
        task: arguments.task.clone(),
        task_topic: arguments.task_topic.clone(),
        max_age_s: arguments.max_age,
        images: ImageMode::Jpeg(92),
    };
    let report = mcap::import_bags(&arguments.into, &contract, &options)?;
    for (number, (bag, frames)) in arguments.bags.iter().zip(&report.frames).enumerate() {
        let episode = report.first_episode + number;
        crate::tell(&format!("episode {episode}: {frames} rows from {}", bag.display()));
    }
    Ok(())
}

/// Runs `encode`.
///
/// # Errors
/// When the dataset cannot be read or the disk refuses.
pub fn to_video(arguments: &EncodeArguments) -> anyhow::Result<()> {
    Ok(encode(
        &Disk,
        &Dataset::open(&arguments.root)?,
        &arguments.out,
        arguments.qp,
    )?)
}
