//! `thinkvla dataset export`, `import` and `encode`: the same episodes in other formats.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use thinkvla::contract::Contract;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::encode::encode;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::mcap::{self, ExportOptions, ImportOptions, SourceTopic, StampClock};
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
    /// Recordings: .mcap or .mcap.zstd files, or folders made by `ros2 bag record -s mcap`; each becomes an episode
    #[arg(required = true)]
    bags: Vec<PathBuf>,
    /// The dataset; created if it does not exist
    #[arg(long)]
    into: PathBuf,
    /// Folder with the contract.yaml of the robot, e.g. a dataset or a checkpoint; rows come at its rate
    #[arg(long)]
    contract: PathBuf,
    /// A column of numbers and its topics, e.g. observation.state=/joint_states,/tool_pose (JointState, PoseStamped,
    /// ActionChunk, Float32/64MultiArray); may be repeated. Some values of a topic: /joint_states:joint1,joint2. For an
    /// exported recording, COLUMN is enough
    #[arg(long = "vector", value_name = "COLUMN=TOPIC[:VALUE,VALUE][,TOPIC]", required = true)]
    vectors: Vec<Source>,
    /// A camera and its topic, e.g. top=/camera/top/image/compressed (CompressedImage, Image); may be repeated. For
    /// an exported recording, NAME is enough
    #[arg(long = "camera", value_name = "NAME=TOPIC")]
    cameras: Vec<Source>,
    /// Instruction of the episodes
    #[arg(long, required_unless_present = "task_topic")]
    task: Option<String>,
    /// Topic of the instruction (String); its first message counts
    #[arg(long)]
    task_topic: Option<String>,
    /// Largest age of the latest message at a row [s]
    #[arg(long, default_value_t = 0.2)]
    max_age: f64,
    /// Clock by which messages are read
    #[arg(long, value_enum, default_value_t = Times::Header)]
    clock: Times,
}

/// Arguments of `encode`.
#[derive(Debug, Args)]
pub struct EncodeArguments {
    /// Its folder
    root: PathBuf,
    /// The new dataset
    #[arg(long)]
    out: PathBuf,
    /// Quantisation: 12 is the best quality, 51 the smallest file
    #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u8).range(12..=51))]
    qp: u8,
}

/// Clock by which messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Times {
    /// Stamps of headers; recording times for topics without stamps
    Header,
    /// Recording times, for all topics
    Log,
}

/// NAME, or NAME=TOPIC[:VALUE,VALUE][,TOPIC].
#[derive(Debug, Clone)]
struct Source(mcap::ColumnSource);

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, listed) = text
            .split_once('=')
            .map_or((text, None), |(name, listed)| (name, Some(listed)));
        let mut topics: Vec<SourceTopic> = Vec::new();
        for part in listed.into_iter().flat_map(|listed| listed.split(',')).map(str::trim) {
            // After a topic and a colon come the names of its values; topics begin with a slash.
            match topics
                .last_mut()
                .filter(|topic| !topic.values.is_empty() && !part.starts_with('/'))
            {
                Some(topic) => topic.values.push(part.to_owned()),
                None => {
                    let (topic, value) = part
                        .split_once(':')
                        .map_or((part, None), |(topic, value)| (topic, Some(value)));
                    topics.push(SourceTopic {
                        name: topic.trim().to_owned(),
                        values: value.into_iter().map(|value| value.trim().to_owned()).collect(),
                    });
                }
            }
        }
        let empty = topics
            .iter()
            .any(|topic| topic.name.is_empty() || topic.values.iter().any(String::is_empty));
        if name.trim().is_empty() || empty {
            return Err(format!(
                "expected NAME=TOPIC, e.g. top=/camera/top/image/compressed, found {text}"
            ));
        }
        Ok(Self(mcap::ColumnSource {
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
        crate::print_line(&path.display().to_string());
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
        clock: match arguments.clock {
            Times::Header => StampClock::Header,
            Times::Log => StampClock::Log,
        },
        images: ImageMode::Jpeg(92),
    };
    let report = mcap::import_bags(&arguments.into, &contract, &options)?;
    report.repairs.iter().for_each(|repair| crate::print_line(repair));
    let episodes = report.frames.iter().zip(&report.cut_off);
    for ((bag, (frames, is_cut_off)), episode) in arguments.bags.iter().zip(episodes).zip(report.first_episode..) {
        let shortened = if *is_cut_off {
            ", shortened: the recording was cut off"
        } else {
            ""
        };
        crate::print_line(&format!(
            "episode {episode}: {frames} rows from {}{shortened}",
            bag.display()
        ));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(text: &str) -> Vec<(String, Vec<String>)> {
        let Source(source) = text.parse().unwrap();
        source
            .topics
            .into_iter()
            .map(|topic| (topic.name, topic.values))
            .collect()
    }

    #[test]
    fn topics_are_named_alone_or_with_some_of_their_values() {
        let found = topics("observation.state=/joint_states:joint1,joint2,/tool_pose, /b");
        let named = |topic: &str, values: &[&str]| {
            (
                topic.to_owned(),
                values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>(),
            )
        };
        let expected = [
            named("/joint_states", &["joint1", "joint2"]),
            named("/tool_pose", &[]),
            named("/b", &[]),
        ];
        assert_eq!(found, expected);
        assert_eq!(topics("action"), []);
        for wrong in ["", "=/a", "a=", "a=/b:", "a=/b,,/c", "a=/b:x,", "a=:x"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }
}
