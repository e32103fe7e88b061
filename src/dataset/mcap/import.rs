//! Makes episodes out of recordings: each recording becomes one, sampled on the times in the headers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::messages::decode_text;
use super::sample::{Stale, Ticks, held, values};
use super::streams::{Numbers, numbers, picture, picture_stamp};
use super::{BagError, bag};
use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::dataset::DatasetWriter;
use crate::dataset::frame::{Frame, ImageMode, Picture};
use crate::dataset::info::INFO;
use crate::dataset::layout::{CameraLayout, Group, Layout, Vector};
use crate::dataset::storage::Disk;

/// Where a column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A column of numbers, or the name of a camera.
    pub name: String,
    /// Topics whose values make it, one after another; one topic for a camera.
    pub topics: Vec<String>,
}

/// What becomes of recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// Files, or folders of `ros2 bag record -s mcap`; each one an episode.
    pub bags: Vec<PathBuf>,
    /// Columns of numbers.
    pub vectors: Vec<Source>,
    /// Cameras.
    pub cameras: Vec<Source>,
    /// Instruction, where no topic tells it.
    pub task: Option<String>,
    /// Topic of the instruction (`std_msgs/msg/String`); its first message counts.
    pub task_topic: Option<String>,
    /// How old the message that a row holds may be [s].
    pub max_age_s: f64,
    /// How raw pictures are written; those that are JPEG or PNG stay as they are.
    pub images: ImageMode,
}

/// What became of recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// Number of the first episode that was added.
    pub first_episode: usize,
    /// Rows of each.
    pub frames: Vec<usize>,
}

/// Adds an episode for each recording to the dataset in `root`, which is made if it is not there. Rows come at the
/// contract's rate.
///
/// # Errors
/// When a recording lacks a topic, a stream in it is interrupted, or it does not fit the dataset: what was imported before
/// is kept, and the error names the recording.
pub fn import_bags(root: &Path, contract: &Contract, options: &ImportOptions) -> Result<ImportReport, BagError> {
    let names = options
        .vectors
        .iter()
        .chain(&options.cameras)
        .map(|source| source.name.as_str());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    if options.vectors.is_empty() || names.windows(2).any(|pair| pair.first() == pair.last()) {
        let problem = format!("columns {names:?}: expected at least one of numbers, each named once");
        return Err(BagError::Request(problem));
    }
    let mut topics: Vec<_> = options.cameras.iter().flat_map(|camera| &camera.topics).collect();
    topics.sort_unstable();
    topics.dedup();
    if topics.len() != options.cameras.len() {
        let problem = format!("cameras: expected one topic each and each topic once, found {topics:?}");
        return Err(BagError::Request(problem));
    }
    let mut options = options.clone();
    options.vectors.sort_by(|a, b| a.name.cmp(&b.name));
    options.cameras.sort_by(|a, b| a.name.cmp(&b.name));
    let options = &options;
    let mut writer = None;
    let mut report = ImportReport {
        first_episode: 0,
        frames: Vec::new(),
    };
    for path in &options.bags {
        let files = bag::files(path)?;
        let indexed = Indexed::read(path, &files, options)?;
        let ticks = indexed.ticks(contract.data.fps)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            empty => {
                let opened = open(root, contract, &indexed.layout(contract, options)?)?;
                report.first_episode = opened.info().total_episodes;
                empty.insert(opened)
            }
        };
        writer.begin(&indexed.task)?;
        let written = Episode {
            indexed: &indexed,
            options,
            ticks,
            writer,
        }
        .write(&files);
        if let Err(error) = written {
            writer.discard()?;
            return Err(error);
        }
        let notes: Map<String, Value> = [("imported_from".to_owned(), path.display().to_string().into())]
            .into_iter()
            .collect();
        report.frames.push(writer.save(&notes)?.frames);
    }
    Ok(report)
}

fn open(root: &Path, contract: &Contract, layout: &Layout) -> Result<DatasetWriter, BagError> {
    let storage = Arc::new(Disk);
    if !root.join(INFO).exists() {
        return Ok(DatasetWriter::create(storage, root, layout, contract)?);
    }
    let (writer, resumed) = DatasetWriter::resume(storage, root)?;
    if resumed.open.is_some() {
        let problem = format!(
            "{}: an episode is being recorded; save or discard it first",
            root.display()
        );
        return Err(BagError::Request(problem));
    }
    let (expected, found) = (writer.info().clone(), layout.info());
    if expected.features != found.features || expected.fps != found.fps {
        let problem = format!(
            "{}: its columns or rate are others; expected {:?} at {} Hz, found {:?} at {} Hz; name another folder",
            root.display(),
            expected.features.keys().collect::<Vec<_>>(),
            expected.fps,
            found.features.keys().collect::<Vec<_>>(),
            found.fps
        );
        return Err(BagError::Request(problem));
    }
    Ok(writer)
}

/// What a recording has on the topics that were asked for.
struct Indexed {
    path: PathBuf,
    task: String,
    numbers: BTreeMap<String, Stream<Numbers>>,
    pictures: BTreeMap<String, Stream<usize>>,
    sizes: BTreeMap<String, (u32, u32)>,
}

/// Messages of a topic in the order of their times.
struct Stream<T> {
    stamps: Vec<u64>,
    items: Vec<T>,
}

impl<T> Stream<T> {
    fn sorted(mut found: Vec<(u64, T)>) -> Self {
        found.sort_by_key(|(stamp, _)| *stamp);
        let (stamps, items) = found.into_iter().unzip();
        Self { stamps, items }
    }

    fn span(&self) -> Option<(u64, u64)> {
        Some((*self.stamps.first()?, *self.stamps.last()?))
    }
}

impl Indexed {
    fn read(path: &Path, files: &[PathBuf], options: &ImportOptions) -> Result<Self, BagError> {
        let mut found: BTreeMap<String, Vec<(u64, Numbers)>> = wanted(&options.vectors);
        let mut pictures: BTreeMap<String, Vec<(u64, usize)>> = wanted(&options.cameras);
        let mut sizes = BTreeMap::new();
        let mut task = None;
        bag::messages(files, |message| {
            let failed = |problem: String| BagError::content(path, format!("{}: {problem}", message.topic));
            if Some(message.topic) == options.task_topic.as_deref() && task.is_none() {
                task = Some(decode_text(message.data).map_err(|e| failed(e.to_string()))?);
            }
            if let Some(stream) = found.get_mut(message.topic) {
                let mut read = numbers(message.kind, message.log_time, message.data).map_err(failed)?;
                if let Some((_, first)) = stream.first() {
                    in_order(&mut read, &first.names).map_err(failed)?;
                }
                stream.push((read.stamp, read));
            }
            if let Some(stream) = pictures.get_mut(message.topic) {
                let stamp = picture_stamp(message.kind, message.data).map_err(failed)?;
                if stream.is_empty() {
                    let first = picture(message.kind, message.data, options.images).map_err(failed)?;
                    let mut rgb = RgbImage::default();
                    first.decode(&mut rgb).map_err(failed)?;
                    sizes.insert(message.topic.to_owned(), (rgb.width(), rgb.height()));
                }
                stream.push((stamp, stream.len()));
            }
            Ok(())
        })?;
        let empty = found.iter().filter(|(_, all)| all.is_empty()).map(|(topic, _)| topic);
        let empty = empty.chain(
            pictures
                .iter()
                .filter(|(_, all)| all.is_empty())
                .map(|(topic, _)| topic),
        );
        let empty: Vec<_> = empty.collect();
        if !empty.is_empty() {
            let problem = format!("expected messages on {empty:?}, found none; see `ros2 bag info`");
            return Err(BagError::content(path, problem));
        }
        let task = task.or_else(|| options.task.clone());
        let task =
            task.ok_or_else(|| BagError::content(path, "no instruction: give one, or the topic that tells it"))?;
        Ok(Self {
            path: path.to_owned(),
            task,
            numbers: found
                .into_iter()
                .map(|(topic, all)| (topic, Stream::sorted(all)))
                .collect(),
            pictures: pictures
                .into_iter()
                .map(|(topic, all)| (topic, Stream::sorted(all)))
                .collect(),
            sizes,
        })
    }

    fn ticks(&self, fps: f64) -> Result<Ticks, BagError> {
        let numbers = self.numbers.values().filter_map(|stream| {
            let (first, last) = stream.span()?;
            let of_last = stream.items.last()?;
            let steps = of_last.steps.len().saturating_sub(1) as f64 * of_last.step_period;
            Some((first, last + (steps * 1e9) as u64))
        });
        let spans: Vec<_> = numbers.chain(self.pictures.values().filter_map(Stream::span)).collect();
        let problem = "no time at which all topics have messages; are their clocks the same?";
        Ticks::within(&spans, fps).ok_or_else(|| BagError::content(&self.path, problem))
    }

    fn layout(&self, contract: &Contract, options: &ImportOptions) -> Result<Layout, BagError> {
        let known = Layout::of_arm(contract, options.images)?;
        let vector = |source: &Source| {
            let topics = source
                .topics
                .iter()
                .filter_map(|topic| self.numbers.get(topic)?.items.first());
            let values: Vec<String> = topics.flat_map(|first| first.names.clone()).collect();
            let same = known
                .vectors
                .iter()
                .find(|vector| vector.name == source.name && vector.values == values);
            same.cloned().unwrap_or_else(|| Vector {
                name: source.name.clone(),
                groups: vec![Group {
                    name: "values",
                    values: 0..values.len(),
                    absolute: true,
                }],
                values,
            })
        };
        let camera = |source: &Source| {
            let size = source
                .topics
                .first()
                .and_then(|topic| self.sizes.get(topic))
                .copied()
                .unwrap_or_default();
            CameraLayout {
                name: source.name.clone(),
                width: size.0,
                height: size.1,
            }
        };
        Ok(Layout {
            vectors: options.vectors.iter().map(vector).collect(),
            cameras: options.cameras.iter().map(camera).collect(),
            ..known
        })
    }
}

/// An empty list for each topic.
fn wanted<T>(sources: &[Source]) -> BTreeMap<String, Vec<T>> {
    let topics = sources.iter().flat_map(|source| source.topics.iter().cloned());
    topics.map(|topic| (topic, Vec::new())).collect()
}

/// Puts values into the order of `names`; publishers of joints may change theirs.
fn in_order(read: &mut Numbers, names: &[String]) -> Result<(), String> {
    if read.names == names {
        return Ok(());
    }
    let place = |name: &String| read.names.iter().position(|found| found == name);
    let places: Option<Vec<usize>> = names.iter().map(place).collect();
    let places = places.ok_or_else(|| {
        format!(
            "expected values {names:?} as in its first message, found {:?}",
            read.names
        )
    })?;
    let reordered = |values: &Vec<f64>| places.iter().filter_map(|place| values.get(*place).copied()).collect();
    read.steps = read.steps.iter().map(reordered).collect();
    read.names = names.to_vec();
    Ok(())
}

/// An episode on its way from a recording into a dataset.
struct Episode<'a> {
    indexed: &'a Indexed,
    options: &'a ImportOptions,
    ticks: Ticks,
    writer: &'a mut DatasetWriter,
}

impl Episode<'_> {
    fn write(mut self, files: &[PathBuf]) -> Result<(), BagError> {
        let rows = self.rows_of_pictures()?;
        let cameras = self.options.cameras.len();
        // Pictures of rows that wait for those of other cameras.
        let mut waiting: BTreeMap<usize, Vec<Option<Picture>>> = BTreeMap::new();
        let mut next = 0;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        if cameras > 0 {
            bag::messages(files, |message| {
                let Some(camera) = self.camera_of(message.topic) else {
                    return Ok(());
                };
                let count = counts.entry(message.topic.to_owned()).or_default();
                let number = *count;
                *count += 1;
                let Some(rows) = rows.get(camera).and_then(|rows| rows.get(&number)) else {
                    return Ok(());
                };
                let failed = |problem| BagError::content(&self.indexed.path, format!("{}: {problem}", message.topic));
                let read = picture(message.kind, message.data, self.options.images).map_err(failed)?;
                for row in rows {
                    let pictures = waiting.entry(*row).or_insert_with(|| vec![None; cameras]);
                    if let Some(place) = pictures.get_mut(camera) {
                        *place = Some(read.clone());
                    }
                }
                while waiting
                    .get(&next)
                    .is_some_and(|pictures| pictures.iter().all(Option::is_some))
                {
                    let pictures = waiting.remove(&next).into_iter().flatten().flatten().collect();
                    self.push(next, pictures)?;
                    next += 1;
                }
                Ok(())
            })?;
        }
        for row in next..self.ticks.count {
            let pictures: Vec<_> = waiting.remove(&row).into_iter().flatten().flatten().collect();
            self.push(row, pictures)?;
        }
        Ok(())
    }

    fn camera_of(&self, topic: &str) -> Option<usize> {
        self.options
            .cameras
            .iter()
            .position(|camera| camera.topics.iter().any(|known| known == topic))
    }

    fn stale(&self, topic: &str, row: usize, stale: Stale) -> BagError {
        let seconds = row as f64 / self.ticks.fps;
        let age = stale.age_s.map_or("missing".into(), |age| format!("{age:.3} s old"));
        let problem = format!(
            "{topic}: at {seconds:.2} s its latest message is {age}; expected at most {} s; \
             cut the recording there or allow a greater age",
            self.options.max_age_s
        );
        BagError::content(&self.indexed.path, problem)
    }

    /// For each camera: which rows a message, by its number, is the picture of.
    fn rows_of_pictures(&self) -> Result<Vec<BTreeMap<usize, Vec<usize>>>, BagError> {
        let mut all = Vec::new();
        for camera in &self.options.cameras {
            let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for topic in &camera.topics {
                let Some(stream) = self.indexed.pictures.get(topic) else {
                    continue;
                };
                for row in 0..self.ticks.count {
                    let place = held(&stream.stamps, self.ticks.time(row), self.options.max_age_s);
                    let place = place.map_err(|stale| self.stale(topic, row, stale))?;
                    let number = stream.items.get(place).copied().unwrap_or_default();
                    rows.entry(number).or_default().push(row);
                }
            }
            all.push(rows);
        }
        Ok(all)
    }

    fn push(&mut self, row: usize, pictures: Vec<Picture>) -> Result<(), BagError> {
        let time = self.ticks.time(row);
        let mut vectors = Vec::with_capacity(self.options.vectors.len());
        for source in &self.options.vectors {
            let mut vector = Vec::new();
            for topic in &source.topics {
                let Some(stream) = self.indexed.numbers.get(topic) else {
                    continue;
                };
                let found = values(&stream.items, &stream.stamps, time, self.options.max_age_s);
                let found = found.map_err(|stale| self.stale(topic, row, stale))?;
                vector.extend(found.iter().map(|value| *value as f32));
            }
            vectors.push(vector);
        }
        Ok(self.writer.push(&Frame { vectors, pictures })?)
    }
}
