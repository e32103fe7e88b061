//! First pass over a recording: the messages of the requested topics, and their times.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::bag::{self, BagMessage};
use super::clock::{Timeline, Times, nothing_in_common, remarks};
use super::import::{ColumnSource, ImportOptions};
use super::messages::decode_text;
use super::sample::Ticks;
use super::signals::{Signal, SignalReader, Track};
use super::streams::{picture, picture_times};
use super::{BagError, MessageError};
use crate::camera::rgb::RgbImage;

/// Most topics that are named where one is missing.
const MOST_NAMED: usize = 20;

/// Content of a recording on the requested topics.
pub(super) struct Indexed {
    /// Path of the recording.
    pub path: PathBuf,
    /// Whether one of its files was cut off.
    pub is_cut_off: bool,
    /// Instruction.
    pub task: String,
    /// Topics of numbers.
    pub signals: BTreeMap<String, Signal>,
    /// Topics of images: the number of each message among those of its topic.
    pub pictures: BTreeMap<String, Track<usize>>,
    /// Width and height of each topic's first image (px).
    pub sizes: BTreeMap<String, (u32, u32)>,
    /// Values of each column.
    pub columns: Vec<Column>,
    timelines: BTreeMap<String, Timeline>,
}

/// Column, with its values in order.
pub(super) struct Column {
    /// Name of the column.
    pub name: String,
    /// Sources of the values.
    pub values: Vec<ColumnValue>,
}

/// Source of a value.
#[derive(Debug, Clone)]
pub(super) struct ColumnValue {
    /// Name of the value.
    pub name: String,
    /// Name of the topic.
    pub topic: String,
    /// Index among the values of the topic.
    pub place: usize,
}

impl Column {
    fn of(source: &ColumnSource, signals: &BTreeMap<String, Signal>) -> Result<Self, String> {
        let mut values = Vec::new();
        for chosen in &source.topics {
            let Some(signal) = signals.get(&chosen.name) else {
                continue;
            };
            let places = signal
                .places(&chosen.values)
                .map_err(|e| format!("{}: {e}", chosen.name))?;
            values.extend(places.into_iter().filter_map(|place| {
                Some(ColumnValue {
                    name: signal.names.get(place)?.clone(),
                    topic: chosen.name.clone(),
                    place,
                })
            }));
        }
        Ok(Self {
            name: source.name.clone(),
            values,
        })
    }

    /// Names of the values.
    pub fn names(&self) -> Vec<String> {
        self.values.iter().map(|value| value.name.clone()).collect()
    }

    /// Sorts the values into the order of `names` if those are the same names; returns whether the order is that of
    /// `names`.
    pub fn arrange(&mut self, names: &[String]) -> bool {
        let mut found = self.names();
        let mut wanted = names.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        // A name that occurs twice does not say which value is which.
        let once = found.windows(2).all(|pair| pair.first() != pair.last());
        if found != wanted || !once {
            return self.names() == names;
        }
        let places: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        self.values
            .sort_by_key(|value| places.get(value.name.as_str()).copied());
        true
    }
}

/// Messages of the topics that are read.
struct Messages<'a> {
    options: &'a ImportOptions,
    signals: BTreeMap<String, SignalReader>,
    /// Times of each topic's images.
    pictures: BTreeMap<String, Vec<Times>>,
    sizes: BTreeMap<String, (u32, u32)>,
    task: Option<String>,
    /// Topics that are not read.
    others: BTreeSet<String>,
}

impl<'a> Messages<'a> {
    fn new(options: &'a ImportOptions) -> Self {
        Self {
            options,
            signals: wanted(&options.vectors),
            pictures: wanted(&options.cameras),
            sizes: BTreeMap::new(),
            task: None,
            others: BTreeSet::new(),
        }
    }

    /// Adds a message if its topic is one of those that are read.
    fn add(&mut self, message: &BagMessage<'_>) -> Result<(), MessageError> {
        let tells_task = Some(message.topic) == self.options.task_topic.as_deref() && self.task.is_none();
        let signal = self.signals.get_mut(message.topic);
        let images = self.pictures.get_mut(message.topic);
        if !tells_task && signal.is_none() && images.is_none() {
            if !self.others.contains(message.topic) {
                self.others.insert(message.topic.to_owned());
            }
            return Ok(());
        }
        let data = message.data()?;
        if tells_task {
            self.task = Some(decode_text(&data)?);
        }
        if let Some(signal) = signal {
            signal.push(message.kind, message.log_time, &data)?;
        }
        if let Some(images) = images {
            let times = picture_times(message.kind, message.log_time, &data)?;
            if images.is_empty() {
                let mut rgb = RgbImage::default();
                picture(message.kind, &data, self.options.images, &mut rgb)?;
                self.sizes.insert(message.topic.to_owned(), (rgb.width(), rgb.height()));
            }
            images.push(times);
        }
        Ok(())
    }

    /// Checks that every topic has messages with content.
    fn require_all(&self) -> Result<(), String> {
        let silent = |(_, signal): &(&String, &SignalReader)| signal.times.is_empty();
        if let Some((topic, signal)) = self.signals.iter().filter(silent).find(|(_, signal)| signal.empty > 0) {
            return Err(format!(
                "{topic}: expected positions of joints, found {} messages without",
                signal.empty
            ));
        }
        let without = self.signals.iter().filter(silent).map(|(topic, _)| topic);
        let without_pictures = self.pictures.iter().filter(|(_, all)| all.is_empty());
        let empty: Vec<_> = without.chain(without_pictures.map(|(topic, _)| topic)).collect();
        if empty.is_empty() {
            return Ok(());
        }
        let others = self.others.iter().map(String::as_str).take(MOST_NAMED);
        let mut others: Vec<_> = others.collect();
        if others.is_empty() {
            others.push("none");
        }
        Err(format!(
            "expected messages on {empty:?}, found none; other topics with messages: {}; see `ros2 bag info`",
            others.join(", ")
        ))
    }

    /// Chooses the times of each topic's messages, and checks that they go on.
    fn timelines(&self) -> Result<BTreeMap<String, Timeline>, String> {
        let signals = self.signals.iter().map(|(topic, signal)| (topic, &signal.times));
        let times = signals.chain(&self.pictures);
        times
            .map(|(topic, times)| {
                let named = |e: MessageError| format!("{topic}: {e}");
                let timeline = Timeline::new(times, self.options.clock).map_err(named)?;
                // A chunk has the time of its observation: a source whose inference takes long is behind others.
                if !self.signals.get(topic).is_some_and(SignalReader::has_chunks) {
                    timeline.require_forward().map_err(named)?;
                }
                Ok((topic.clone(), timeline))
            })
            .collect()
    }
}

impl Indexed {
    /// Reads the messages of the topics in `options`.
    ///
    /// # Errors
    /// When a message cannot be read, a topic has no messages, no usable times or times that go back, or there is no
    /// instruction.
    pub fn read(path: &Path, files: &[PathBuf], options: &ImportOptions) -> Result<Self, BagError> {
        let content = |problem: String| BagError::content(path, problem);
        let mut messages = Messages::new(options);
        let cut_off = bag::messages(files, |message| {
            let added = messages.add(&message);
            added.map_err(|problem| content(format!("{}: {problem}", message.topic)))
        })?;
        for file in &cut_off {
            tracing::warn!("{}: cut off; read as far as it goes", file.display());
        }
        messages.require_all().map_err(content)?;
        let task = messages.task.clone().or_else(|| options.task.clone());
        let task = task.ok_or_else(|| content("no instruction: give one, or the topic that tells it".into()))?;
        let timelines = messages.timelines().map_err(content)?;
        let times = |topic: &str| {
            timelines
                .get(topic)
                .map(|timeline| timeline.times.as_slice())
                .unwrap_or_default()
        };
        let signals = messages.signals.into_iter().map(|(topic, signal)| {
            let signal = signal.finish(times(&topic));
            (topic, signal)
        });
        let signals: BTreeMap<String, Signal> = signals.collect();
        let pictures = messages.pictures.into_keys().map(|topic| {
            let times = times(&topic);
            let track = Track::sorted((0..times.len()).map(|n| (n, n)), |n| times.get(n).copied().flatten());
            (topic, track)
        });
        let columns = options
            .vectors
            .iter()
            .map(|source| Column::of(source, &signals).map_err(content));
        Ok(Self {
            path: path.to_owned(),
            is_cut_off: !cut_off.is_empty(),
            task,
            columns: columns.collect::<Result<_, _>>()?,
            pictures: pictures.collect(),
            sizes: messages.sizes,
            signals,
            timelines,
        })
    }

    /// Rows at `fps` over the time that all columns cover; logs remarks about the topics' clocks.
    ///
    /// # Errors
    /// When there is no such time.
    pub fn ticks(&self, fps: f64) -> Result<Ticks, BagError> {
        for remark in remarks(&self.timelines) {
            tracing::warn!("{}: {remark}", self.path.display());
        }
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for value in self.columns.iter().flat_map(|column| &column.values) {
            places.entry(value.topic.as_str()).or_default().push(value.place);
        }
        let numbers = places
            .iter()
            .filter_map(|(topic, places)| self.signals.get(*topic)?.span(places));
        let spans: Vec<_> = numbers.chain(self.pictures.values().filter_map(Track::span)).collect();
        Ticks::within(&spans, fps).ok_or_else(|| BagError::content(&self.path, nothing_in_common(&self.timelines)))
    }
}

/// Returns a default value for each topic.
fn wanted<T: Default>(sources: &[ColumnSource]) -> BTreeMap<String, T> {
    let topics = sources.iter().flat_map(|source| &source.topics);
    topics.map(|topic| (topic.name.clone(), T::default())).collect()
}
