//! Imports recordings as episodes, one each, sampled by the times of their messages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::BagError;
use super::clock::StampClock;
use super::episode::Episode;
use super::exported::Exported;
use super::files;
use super::index::Indexed;
use crate::contract::Contract;
use crate::dataset::DatasetWriter;
use crate::dataset::feature::Feature;
use crate::dataset::frame::ImageMode;
use crate::dataset::info::{DEFAULTS, INFO, Info};
use crate::dataset::schema::{CameraSchema, DatasetSchema, PICTURES, ValueGroup, VectorSchema};
use crate::dataset::storage::Disk;
use crate::dataset::writer::own_contract;

/// Source of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSource {
    /// Name of a column of numbers, or of a camera.
    pub name: String,
    /// Topics whose values make the column, in order; one topic for a camera. If empty, the recording must be an
    /// exported one, which says where its columns are.
    pub topics: Vec<SourceTopic>,
}

/// Topic, and the values that are taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTopic {
    /// Name of the topic.
    pub name: String,
    /// Names of the values that are taken, in this order; all values if empty.
    pub values: Vec<String>,
}

/// Options of an import.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// Files, or folders of `ros2 bag record -s mcap`; each one an episode.
    pub bags: Vec<PathBuf>,
    /// Columns of numbers.
    pub vectors: Vec<ColumnSource>,
    /// Cameras.
    pub cameras: Vec<ColumnSource>,
    /// Instruction if no topic has it.
    pub task: Option<String>,
    /// Topic of the instruction (`std_msgs/msg/String`); its first message counts.
    pub task_topic: Option<String>,
    /// Maximum age of the message that a row holds (s).
    pub max_age_s: f64,
    /// Choice of the times of messages that count.
    pub clock: StampClock,
    /// Encoding of raw images; those that are JPEG or PNG stay as they are.
    pub images: ImageMode,
}

/// Result of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Repairs of what an interrupted save had left in the dataset, in words.
    pub repairs: Vec<String>,
    /// Index of the first episode that was added.
    pub first_episode: usize,
    /// Number of rows of each episode.
    pub frames: Vec<usize>,
    /// Whether each recording was cut off, so that its episode is shorter than what was recorded.
    pub cut_off: Vec<bool>,
}

/// Adds one episode per recording to the dataset in `root`, which is created if it is missing. Rows are sampled at the
/// contract's rate.
///
/// # Errors
/// When a recording lacks a file or a topic, one of its streams is interrupted or has a value that is not finite, or it
/// does not fit the dataset. Episodes imported before it are kept, and the error names the recording.
pub fn import_bags(root: &Path, contract: &Contract, options: &ImportOptions) -> Result<ImportReport, BagError> {
    let mut options = options.clone();
    for camera in &mut options.cameras {
        // Cameras may be called by their columns, as numbers are.
        if let Some(name) = camera.name.strip_prefix(PICTURES) {
            camera.name = name.to_owned();
        }
    }
    options.vectors.sort_by(|a, b| a.name.cmp(&b.name));
    options.cameras.sort_by(|a, b| a.name.cmp(&b.name));
    require_columns(&options)?;
    if root.join(INFO).exists() {
        own_contract(root)?;
    }
    let mut writer: Option<DatasetWriter> = None;
    let mut report = ImportReport::default();
    for path in &options.bags {
        let files = files::of_recording(path)?;
        let exported = Exported::of(&files)?;
        let options = exported.locate(&options, path)?;
        require_one_topic_a_camera(&options)?;
        let mut indexed = Indexed::read(path, &files, &options)?;
        let ticks = indexed.ticks(contract.data.fps)?;
        let known = DatasetSchema::of_arm(contract, options.images)?;
        let dataset = match &writer {
            Some(writer) => Some(writer.info().clone()),
            None if root.join(INFO).exists() => Some(Info::load(root)?),
            None => None,
        };
        arrange(&mut indexed, dataset.as_ref(), &exported, &known);
        let schema = schema(&indexed, known, &options);
        let episode = Episode {
            indexed: &indexed,
            options: &options,
            ticks,
        };
        episode.check()?;
        let writer = match &mut writer {
            Some(writer) => {
                require_same_columns(root, writer.info(), &schema.info())?;
                writer
            }
            empty => {
                let (opened, repairs) = open(root, contract, &schema)?;
                report.repairs = repairs;
                report.first_episode = opened.info().total_episodes;
                empty.insert(opened)
            }
        };
        report.frames.push(save(&episode, &files, writer)?);
        report.cut_off.push(indexed.is_cut_off);
    }
    Ok(report)
}

/// Puts the values of each column into an order that is known: publishers list joints in any order. That of the dataset
/// counts, or else that of the export or of the arm.
fn arrange(indexed: &mut Indexed, dataset: Option<&Info>, exported: &Exported, arm: &DatasetSchema) {
    for column in &mut indexed.columns {
        let of_dataset = dataset.and_then(|info| info.features.get(&column.name));
        let of_arm = arm.vectors.iter().find(|vector| vector.name == column.name);
        let orders = [
            of_dataset.map(Feature::value_names),
            exported.values(&column.name),
            of_arm.map(|vector| vector.values.clone()),
        ];
        orders.into_iter().flatten().any(|names| column.arrange(&names));
    }
}

/// Writes an episode; returns its number of rows. Nothing of it is kept when that fails.
fn save(episode: &Episode<'_>, files: &[PathBuf], writer: &mut DatasetWriter) -> Result<usize, BagError> {
    writer.begin(&episode.indexed.task)?;
    if let Err(error) = episode.write(files, writer) {
        writer.discard()?;
        return Err(error);
    }
    let source = episode.indexed.path.display().to_string();
    let notes: Map<String, Value> = [("imported_from".to_owned(), source.into())].into_iter().collect();
    Ok(writer.save(&notes)?.frames)
}

/// Checks that there is a column of numbers, and that each column is named once and by a name that LeRobot allows.
fn require_columns(options: &ImportOptions) -> Result<(), BagError> {
    let all = options.vectors.iter().chain(&options.cameras);
    let mut names: Vec<_> = all.map(|source| source.name.as_str()).collect();
    names.sort_unstable();
    if options.vectors.is_empty() || names.windows(2).any(|pair| pair.first() == pair.last()) {
        let problem = format!("columns {names:?}: expected at least one of numbers, each named once");
        return Err(BagError::Request(problem));
    }
    let own = DEFAULTS.map(|(name, _)| name);
    let mut vectors = options.vectors.iter().map(|source| source.name.as_str());
    let own_name = vectors.find(|name| own.contains(name));
    match own_name.or_else(|| names.into_iter().find(|name| name.contains('/'))) {
        None => Ok(()),
        Some(name) => Err(BagError::Request(format!(
            "column {name}: expected a name without a slash that is none of a dataset's own, {}",
            own.join(", ")
        ))),
    }
}

fn require_one_topic_a_camera(options: &ImportOptions) -> Result<(), BagError> {
    let topics = options.cameras.iter().flat_map(|camera| &camera.topics);
    let mut names: Vec<_> = topics.clone().map(|topic| topic.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != options.cameras.len() {
        let problem = format!("cameras: expected one topic each and each topic once, found {names:?}");
        return Err(BagError::Request(problem));
    }
    if let Some(topic) = topics.into_iter().find(|topic| !topic.values.is_empty()) {
        let problem = format!(
            "cameras: expected {} alone, found values {:?} of it",
            topic.name, topic.values
        );
        return Err(BagError::Request(problem));
    }
    Ok(())
}

/// Opens the dataset, or creates it; returns the repairs, too. Columns are compared first: a dataset that recordings do
/// not fit is not repaired.
fn open(root: &Path, contract: &Contract, schema: &DatasetSchema) -> Result<(DatasetWriter, Vec<String>), BagError> {
    let storage = Arc::new(Disk);
    if !root.join(INFO).exists() {
        let created = DatasetWriter::create(storage, root, schema, contract)?;
        return Ok((created, Vec::new()));
    }
    require_same_columns(root, &Info::load(root)?, &schema.info())?;
    let (writer, resumed) = DatasetWriter::resume(storage, root)?;
    if resumed.open.is_some() {
        let problem = format!(
            "{}: an episode is being recorded; save or discard it first",
            root.display()
        );
        return Err(BagError::Request(problem));
    }
    Ok((writer, resumed.repairs))
}

/// Checks that imported columns fit the dataset; the error names the first that does not.
fn require_same_columns(root: &Path, expected: &Info, found: &Info) -> Result<(), BagError> {
    let root = root.display();
    if expected.fps != found.fps {
        let (expected, found) = (expected.fps, found.fps);
        let problem = format!("{root}: expected its {expected} rows a second, found {found} in the contract");
        return Err(BagError::Request(problem));
    }
    let names = expected.features.keys().chain(found.features.keys());
    let differs = |name: &&String| expected.features.get(*name) != found.features.get(*name);
    let Some(name) = names.into_iter().find(differs) else {
        return Ok(());
    };
    let describe = |info: &Info| match info.features.get(name) {
        None => "no such column".to_owned(),
        Some(feature) => match feature.size() {
            Some((width, height)) => format!("pictures of {width}x{height} px"),
            None => format!("values {:?}", feature.value_names()),
        },
    };
    let problem = format!(
        "{root}: its columns are others: {name}: expected {}, found {}; name another folder",
        describe(expected),
        describe(found)
    );
    Err(BagError::Request(problem))
}

/// Layout of the dataset for a recording; columns with the same values as the arm's in `known` are described as there.
fn schema(indexed: &Indexed, known: DatasetSchema, options: &ImportOptions) -> DatasetSchema {
    let vectors = indexed.columns.iter().map(|column| {
        let values = column.names();
        let same = |vector: &&VectorSchema| vector.name == column.name && vector.values == values;
        known
            .vectors
            .iter()
            .find(same)
            .cloned()
            .unwrap_or_else(|| VectorSchema {
                name: column.name.clone(),
                groups: vec![ValueGroup {
                    name: "values",
                    values: 0..values.len(),
                    absolute: true,
                }],
                values: values.clone(),
            })
    });
    let cameras = options.cameras.iter().map(|camera| {
        let topic = camera.topics.first();
        let size = topic.and_then(|topic| indexed.sizes.get(&topic.name)).copied();
        let (width, height) = size.unwrap_or_default();
        CameraSchema {
            name: camera.name.clone(),
            width,
            height,
        }
    });
    let (vectors, cameras) = (vectors.collect(), cameras.collect());
    DatasetSchema {
        vectors,
        cameras,
        ..known
    }
}
