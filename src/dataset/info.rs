//! Description of a dataset, `meta/info.json`, and the paths of its files.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::episodes;
use super::error::DatasetError;
use super::feature::{Dtype, Feature};
use super::folder::no_dataset;
use super::names::Names;
use super::storage::{Storage, commit};
use crate::files::{self, json};

/// Path of the description of a dataset.
pub const INFO: &str = "meta/info.json";
/// Path of the statistics.
pub const STATS: &str = "meta/stats.json";
/// Path of the list of tasks (v3.0).
pub const TASKS: &str = "meta/tasks.parquet";
/// Path of the groups of values, which GR00T and StarVLA read.
pub const MODALITY: &str = "meta/modality.json";
/// Template of the paths of episode metadata (v3.0).
pub const EPISODES: &str = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
/// Template of the paths of rows (v3.0).
pub const DATA: &str = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
/// Template of the paths of rows (v2).
const DATA_V2: &str = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet";
/// Template of the paths of videos (v2).
const VIDEOS_V2: &str = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4";
/// Template of the paths of videos (v3.0).
pub const VIDEOS: &str = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4";
/// Number of files in a folder.
pub const CHUNK: usize = 1000;

/// Versions of LeRobot's layout that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Version {
    /// Several episodes per file, everything in parquet. The version that is written.
    #[serde(rename = "v3.0")]
    V3,
    /// One file per episode, lists in JSON lines.
    #[serde(rename = "v2.1")]
    V21,
    /// Like v2.1, without statistics of single episodes.
    #[serde(rename = "v2.0")]
    V20,
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Value::deserialize(deserializer)?;
        match found.as_str() {
            Some("v3.0" | "3.0") => Ok(Self::V3),
            Some("v2.1" | "2.1") => Ok(Self::V21),
            Some("v2.0" | "2.0") => Ok(Self::V20),
            _ => Err(D::Error::custom(format!(
                "codebase_version: expected \"v2.0\", \"v2.1\" or \"v3.0\", found {found}; convert the dataset with \
                 LeRobot, or write the version of its layout"
            ))),
        }
    }
}

/// Description of a dataset. Unknown fields are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Version of the layout.
    pub codebase_version: Version,
    /// Type of the robot.
    #[serde(default, deserialize_with = "robot")]
    pub robot_type: Option<String>,
    /// Number of episodes.
    #[serde(default = "untold", deserialize_with = "total")]
    pub total_episodes: usize,
    /// Number of rows.
    #[serde(default = "untold", deserialize_with = "total")]
    pub total_frames: usize,
    /// Number of different instructions.
    #[serde(default, deserialize_with = "count")]
    pub total_tasks: usize,
    /// Number of files in a folder.
    #[serde(default = "chunk", deserialize_with = "files_in_a_folder")]
    pub chunks_size: usize,
    /// Rows per second (Hz).
    pub fps: f64,
    /// Ranges of episodes by the name of their split, e.g. `0:50` for `train`.
    #[serde(default, deserialize_with = "ranges")]
    pub splits: BTreeMap<String, String>,
    /// Template of the paths of rows.
    #[serde(default, deserialize_with = "text")]
    pub data_path: String,
    /// Template of the paths of videos.
    #[serde(default)]
    pub video_path: Option<String>,
    /// Columns, by name.
    pub features: BTreeMap<String, Feature>,
    /// All other fields.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A total that a description does not give, until it is counted; none that is written is as large.
const UNTOLD: usize = usize::MAX;

fn untold() -> usize {
    UNTOLD
}

fn total<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer).map(|found| found.unwrap_or(UNTOLD))
}

fn chunk() -> usize {
    CHUNK
}

/// Reads a whole number; null becomes 0.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer).map(Option::unwrap_or_default)
}

fn files_in_a_folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer).map(|found| found.unwrap_or(CHUNK))
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads the type of the robot; what is not text, e.g. a list of robots, becomes text.
fn robot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(robot) => Some(robot),
        other => Some(other.to_string()),
    })
}

/// Reads a whole number, which may have a fraction of 0, or null.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let Some(found) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let value = found.as_f64().unwrap_or(f64::NAN);
    match (0.0..9e15).contains(&value) && value.fract() == 0.0 {
        true => Ok(Some(value as usize)),
        false => Err(D::Error::custom(format!("expected a whole number, found {found}"))),
    }
}

/// Reads ranges by name; entries that are not text are dropped.
fn ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let found = Value::deserialize(deserializer)?;
    let ranges = found.as_object().into_iter().flatten();
    let text = |(name, range): (&String, &Value)| Some((name.clone(), range.as_str()?.to_owned()));
    Ok(ranges.filter_map(text).collect())
}

/// Columns that every dataset has.
pub const DEFAULTS: [(&str, Dtype); 5] = [
    ("timestamp", Dtype::Float32),
    ("frame_index", Dtype::Int64),
    ("episode_index", Dtype::Int64),
    ("index", Dtype::Int64),
    ("task_index", Dtype::Int64),
];

impl Info {
    /// Describes a dataset without episodes. `fps` is written as a whole number, as LeRobot does.
    pub fn empty(robot_type: &str, fps: u32, features: BTreeMap<String, Feature>) -> Self {
        let defaults = DEFAULTS.map(|(name, dtype)| (name.to_owned(), Feature::scalar(dtype)));
        let rest = [("data_files_size_in_mb", 100), ("video_files_size_in_mb", 200)];
        let has_video = features.values().any(|feature| feature.dtype == Dtype::Video);
        Self {
            codebase_version: Version::V3,
            robot_type: Some(robot_type.to_owned()),
            total_episodes: 0,
            total_frames: 0,
            total_tasks: 0,
            chunks_size: CHUNK,
            fps: f64::from(fps),
            splits: BTreeMap::new(),
            data_path: DATA.into(),
            video_path: has_video.then(|| VIDEOS.into()),
            features: features.into_iter().chain(defaults).collect(),
            rest: rest
                .map(|(key, size)| (key.to_owned(), size.into()))
                .into_iter()
                .collect(),
        }
    }

    /// Reads the description of the dataset in `root`; totals that it lacks are counted.
    ///
    /// # Errors
    /// When the file is missing, is not JSON of this kind, or has impossible values.
    pub fn load(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(INFO);
        let mut info: Self = read_json(&path, files::CONFIGURATION).map_err(|error| match error {
            DatasetError::Io { ref cause, .. } if is_absent(cause) && root.exists() && !path.is_symlink() => {
                no_dataset(root)
            }
            other => other,
        })?;
        let (data, videos) = match info.codebase_version {
            Version::V3 => (DATA, VIDEOS),
            Version::V21 | Version::V20 => (DATA_V2, VIDEOS_V2),
        };
        if info.data_path.is_empty() {
            info.data_path = data.into();
        }
        if info.video_path.is_none() && info.videos().next().is_some() {
            info.video_path = Some(videos.into());
        }
        info.validate()
            .map_err(|problem| DatasetError::content(&path, problem))?;
        if [info.total_episodes, info.total_frames].contains(&UNTOLD) {
            let episodes = episodes::load_any(root, &info)?;
            info.total_episodes = episodes.len();
            info.total_frames = episodes.iter().map(|episode| episode.length).sum();
        }
        Ok(info)
    }

    /// Writes the description atomically.
    ///
    /// # Errors
    /// When writing fails.
    pub fn save(&self, storage: &dyn Storage, root: &Path) -> Result<(), DatasetError> {
        let path = root.join(INFO);
        let mut value = serde_json::to_value(self).map_err(|e| DatasetError::content(&path, e))?;
        if let (Some(fps), true) = (value.get_mut("fps"), self.fps.fract() == 0.0) {
            *fps = (self.fps as u64).into();
        }
        commit(storage, &path, &indented(&written(&value, &self.features)))
    }

    fn validate(&self) -> Result<(), String> {
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(format!("fps: expected a positive number, found {}", self.fps));
        }
        if self.chunks_size == 0 {
            return Err("chunks_size: expected at least 1, found 0".into());
        }
        for (name, feature) in &self.features {
            if name.contains('/') {
                return Err(format!("features: expected names without '/', found {name}"));
            }
            let values = feature.shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
            if values.is_none_or(|values| values > 1 << 28) {
                return Err(format!("shape of {name}: {:?} is too large", feature.shape));
            }
        }
        Ok(())
    }

    /// Columns of vectors, without the default columns.
    pub fn vectors(&self) -> impl Iterator<Item = (&str, &Feature)> {
        let all = self.features.iter().map(|(name, feature)| (name.as_str(), feature));
        all.filter(|(name, feature)| feature.is_vector() && !DEFAULTS.iter().any(|(default, _)| default == name))
    }

    /// Columns whose images are in video files, depth included.
    pub fn videos(&self) -> impl Iterator<Item = &str> {
        let videos = self
            .features
            .iter()
            .filter(|(_, feature)| feature.dtype == Dtype::Video);
        videos.map(|(name, _)| name.as_str())
    }

    /// Columns of colour or grey images.
    pub fn pictures(&self) -> impl Iterator<Item = (&str, &Feature)> {
        let all = self.features.iter().map(|(name, feature)| (name.as_str(), feature));
        all.filter(|(_, feature)| feature.is_picture())
    }
}

/// Returns whether an error says that there is no such file.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Reads a JSON file of at most `limit` bytes.
///
/// # Errors
/// When it is missing, larger, empty, truncated, or not JSON of this kind.
pub fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T, DatasetError> {
    let text = files::read_text(path, limit).map_err(DatasetError::io("read", path))?;
    parse_json(path, &text)
}

fn parse_json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, DatasetError> {
    json::parse(text).map_err(|e| DatasetError::content(path, json::explain(text.as_bytes(), &e)))
}

/// Formats JSON as LeRobot does, indented by four spaces.
pub fn pretty(value: &Value) -> Vec<u8> {
    indented(value)
}

fn indented(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Serialising a JSON value into memory cannot fail.
    drop(value.serialize(&mut serializer));
    bytes
}

/// JSON whose keys are sorted, except those of names, which stand for the order of the values.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Names(&'a Names),
    Value(&'a Value),
    Map(BTreeMap<&'a str, Written<'a>>),
}

/// Puts the names of the features in their own order into a description.
fn written<'a>(description: &'a Value, features: &'a BTreeMap<String, Feature>) -> Written<'a> {
    let feature = |(name, described): (&'a String, &'a Value)| {
        let names = features.get(name).map(|feature| &feature.names);
        let part = |(key, value): (&'a String, &'a Value)| match (key.as_str(), names) {
            ("names", Some(names)) => ("names", Written::Names(names)),
            (key, _) => (key, Written::Value(value)),
        };
        let parts = described.as_object().into_iter().flatten().map(part);
        (name.as_str(), Written::Map(parts.collect()))
    };
    let field = |(key, value): (&'a String, &'a Value)| match (key.as_str(), value.as_object()) {
        ("features", Some(all)) => ("features", Written::Map(all.iter().map(feature).collect())),
        (key, _) => (key, Written::Value(value)),
    };
    Written::Map(description.as_object().into_iter().flatten().map(field).collect())
}

/// Fills in a template such as `data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet`.
///
/// # Errors
/// When it has a field that `values` lacks, or leads out of the dataset.
pub fn expand(template: &str, values: &[(&str, &str)]) -> Result<PathBuf, DatasetError> {
    let wrong = |problem: &str| DatasetError::Request(format!("{template}: {problem}"));
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, behind) = after.split_once('}').ok_or_else(|| wrong("a '{' is not closed"))?;
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        let value = values.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        let value = value.ok_or_else(|| wrong(&format!("it names {{{name}}}, which is not known")))?;
        let width: usize = format.trim_end_matches('d').parse().unwrap_or(0);
        path.push_str(before);
        path.push_str(&format!("{value:0>width$}", width = width.min(12)));
        rest = behind;
    }
    path.push_str(rest);
    let path = PathBuf::from(path);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    inside
        .then_some(path)
        .ok_or_else(|| wrong("expected a path inside the dataset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_both_layouts_are_filled_in() {
        let path = expand(DATA, &[("chunk_index", "2"), ("file_index", "17")]).unwrap();
        assert_eq!(path, Path::new("data/chunk-002/file-017.parquet"));
        let old = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet";
        let path = expand(old, &[("episode_chunk", "0"), ("episode_index", "431")]).unwrap();
        assert_eq!(path, Path::new("data/chunk-000/episode_000431.parquet"));
    }

    #[test]
    fn templates_that_leave_the_dataset_or_name_the_unknown_are_refused() {
        for template in [
            "../{chunk_index}",
            "/etc/passwd",
            "data/{nobody}.parquet",
            "data/{chunk_index",
        ] {
            assert!(expand(template, &[("chunk_index", "0")]).is_err(), "{template}");
        }
        assert!(expand("videos/{video_key}/x", &[("video_key", "../..")]).is_err());
    }
}
