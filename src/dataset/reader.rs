//! Reads datasets of LeRobot v3.0 and v2.1, whoever wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::episodes::{self, Episode, Place};
use super::error::DatasetError;
use super::feature::Feature;
use super::images::ImageReader;
use super::info::{Info, Version, expand};
use super::modality::Modality;
use super::numbers::Numbers;
use super::pictures::PictureReader;
use super::statistics::{Colours, Statistics, sampled};
use super::tasks;

/// A dataset; its numbers are in memory, its pictures on disk.
#[derive(Debug)]
pub struct Dataset {
    root: PathBuf,
    info: Info,
    tasks: Vec<String>,
    episodes: Vec<Episode>,
    /// Rows of every column of numbers, end to end.
    vectors: BTreeMap<String, Vec<f32>>,
    /// Number of the instruction of each row.
    task_of_row: Vec<usize>,
    modality: Modality,
}

/// A run of values of a column, for the rows from one on.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// # Shapes
    /// (length, values in a row)
    pub values: Vec<f32>,
    /// How many rows are of the episode; behind its end values are repeated or 0, as their kind demands.
    pub valid: usize,
}

/// Where a chunk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct At {
    /// Number of the episode.
    pub episode: usize,
    /// Row in it.
    pub frame: usize,
}

impl Dataset {
    /// Opens the dataset in `root` and reads its numbers.
    ///
    /// # Errors
    /// When a file is missing or malformed, or they do not fit together.
    pub fn open(root: &Path) -> Result<Self, DatasetError> {
        let info = Info::load(root)?;
        let tasks = match info.codebase_version {
            Version::V3 => tasks::load(root)?,
            Version::V21 | Version::V20 => tasks::load_lines(root)?,
        };
        let mut episodes = episodes::load_any(root, &info)?;
        // More are there when a recorder was killed while it saved one.
        episodes.truncate(info.total_episodes);
        let numbers = Numbers::read(root, &info, &episodes)?;
        let mut dataset = Self {
            modality: Modality::load(root)?,
            root: root.to_owned(),
            vectors: numbers.vectors,
            task_of_row: numbers.tasks,
            info,
            tasks,
            episodes,
        };
        dataset.name_tasks();
        Ok(dataset)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its description.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Its episodes.
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// Its instructions.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// Number of rows.
    pub fn frames(&self) -> usize {
        self.task_of_row.len()
    }

    /// All rows of a column of numbers, end to end.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn vector(&self, name: &str) -> Result<&[f32], DatasetError> {
        let found = self.vectors.get(name).map(Vec::as_slice);
        found.ok_or_else(|| {
            let known: Vec<_> = self.vectors.keys().collect();
            DatasetError::Request(format!("expected a column of numbers among {known:?}, found {name}"))
        })
    }

    /// The instruction of a row.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn task(&self, at: At) -> Result<&str, DatasetError> {
        let row = self.row(at)?;
        let number = self.task_of_row.get(row).copied().unwrap_or_default();
        self.numbered_task(number).ok_or_else(|| {
            let message = format!("row {row}: expected the number of an instruction, found {number}, which none has");
            DatasetError::content(&self.root, message)
        })
    }

    /// The instruction of that number, if there is one.
    pub(super) fn numbered_task(&self, number: usize) -> Option<&str> {
        let text = self.tasks.get(number).map(String::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// The values of one row.
    ///
    /// # Errors
    /// When there is no such row or column.
    pub fn values(&self, name: &str, at: At) -> Result<&[f32], DatasetError> {
        let (row, dim) = (self.row(at)?, self.dim(name));
        Ok(self.vector(name)?.get(row * dim..(row + 1) * dim).unwrap_or_default())
    }

    /// Where values of these names stand in the rows of a column; nowhere for no names.
    ///
    /// # Errors
    /// Names the first that is not there.
    pub fn places<'n>(
        &self,
        column: &str,
        wanted: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<usize>, DatasetError> {
        let feature = self.info.features.get(column);
        let names = feature.map(Feature::value_names).unwrap_or_default();
        let place = |name: &str| {
            let found = names.iter().position(|one| *one == name);
            found.ok_or_else(|| {
                DatasetError::Request(format!("column {column}: expected a value {name}, found {names:?}"))
            })
        };
        wanted.into_iter().map(place).collect()
    }

    /// The values of `length` rows from one on. Behind the end of the episode the last ones are repeated, except those
    /// that `meta/modality.json` says are steps and not absolute, which are 0.
    ///
    /// # Shapes
    /// (length, values in a row)
    ///
    /// # Errors
    /// When there is no such row or column.
    pub fn chunk(&self, name: &str, at: At, length: usize) -> Result<Chunk, DatasetError> {
        let (row, dim) = (self.row(at)?, self.dim(name));
        let left = self
            .episodes
            .get(at.episode)
            .map_or(0, |episode| episode.length - at.frame);
        let valid = length.min(left);
        let column = self.vector(name)?;
        let mut values = column.get(row * dim..(row + valid) * dim).unwrap_or_default().to_vec();
        let mut last = values.last_chunk_of(dim);
        self.modality.end(name, &mut last);
        for _ in valid..length {
            values.extend(&last);
        }
        Ok(Chunk { values, valid })
    }

    /// A reader of the pictures, for one thread.
    ///
    /// # Errors
    /// When there are none of those names, or they are not kept in the rows.
    pub fn pictures(&self, names: &[&str]) -> Result<PictureReader<'_>, DatasetError> {
        PictureReader::new(self, names)
    }

    /// Statistics of all rows, exactly; pictures as many as LeRobot looks at.
    ///
    /// # Errors
    /// When pictures cannot be read.
    pub fn statistics(&self) -> Result<BTreeMap<String, Statistics>, DatasetError> {
        let mut all: BTreeMap<_, _> = self
            .vectors
            .iter()
            .map(|(name, values)| (name.clone(), Statistics::of_rows(values, self.dim(name))))
            .collect();
        let names: Vec<_> = self.info.pictures().map(|(name, _)| name).collect();
        all.extend(self.colours(&names, &self.episodes)?);
        Ok(all)
    }

    /// Statistics of the pictures of some episodes, as many as LeRobot looks at.
    fn colours(&self, names: &[&str], episodes: &[Episode]) -> Result<BTreeMap<String, Statistics>, DatasetError> {
        let mut reader = ImageReader::new(self, names)?;
        let mut colours = vec![Colours::default(); names.len()];
        let mut images = Vec::new();
        for episode in episodes {
            let wanted = sampled(episode.length);
            for frame in (0..episode.length).filter(|frame| wanted(*frame)) {
                let at = At {
                    episode: episode.index,
                    frame,
                };
                reader.read(at, &mut images)?;
                for (image, colours) in images.iter().zip(&mut colours) {
                    colours.add(image.data(), image.width());
                }
            }
        }
        let statistics = names.iter().zip(&colours).map(|(name, colours)| {
            let channels = self.info.features.get(*name).map_or(3, Feature::channels);
            ((*name).to_owned(), colours.statistics(channels))
        });
        Ok(statistics.collect())
    }

    /// Counts the statistics of an episode that are not all there: v2.0 has none, v2.1 no quantiles.
    ///
    /// # Errors
    /// When the episode's rows cannot be read.
    pub(super) fn complete(
        &self,
        episode: &Episode,
        statistics: &mut BTreeMap<String, Statistics>,
    ) -> Result<(), DatasetError> {
        for (name, feature) in self.info.vectors() {
            let dim = feature.len();
            if statistics.get(name).is_some_and(|own| own.is_whole(dim)) {
                continue;
            }
            let rows = episode.from * dim..(episode.from + episode.length) * dim;
            let values = self.vector(name)?.get(rows).unwrap_or_default();
            statistics.insert(name.to_owned(), Statistics::of_rows(values, dim));
        }
        let pictures = self.info.pictures().filter(|(name, feature)| {
            !statistics
                .get(*name)
                .is_some_and(|own| own.is_whole(feature.channels()))
        });
        let names: Vec<_> = pictures.map(|(name, _)| name).collect();
        statistics.extend(self.colours(&names, std::slice::from_ref(episode))?);
        Ok(())
    }

    /// Row of the dataset.
    fn row(&self, at: At) -> Result<usize, DatasetError> {
        let episode = self
            .episodes
            .get(at.episode)
            .filter(|episode| at.frame < episode.length);
        episode.map(|episode| episode.from + at.frame).ok_or_else(|| {
            DatasetError::Request(format!(
                "expected one of {} episodes and a frame in it, found episode {} frame {}",
                self.episodes.len(),
                at.episode,
                at.frame
            ))
        })
    }

    fn dim(&self, name: &str) -> usize {
        self.info.features.get(name).map_or(0, Feature::len)
    }

    /// Every instruction of an episode once: those of its rows, which a policy is trained with, then those that it is
    /// described with besides. Rows whose number no instruction has are said to have an empty one.
    pub fn instructions<'a>(&'a self, episode: &'a Episode) -> Vec<&'a str> {
        let rows = self.task_of_row.get(episode.from..).unwrap_or_default();
        let numbers: BTreeSet<usize> = rows.iter().take(episode.length).copied().collect();
        let mut texts: Vec<&str> = numbers
            .into_iter()
            .map(|number| self.numbered_task(number).unwrap_or_default())
            .collect();
        for text in &episode.tasks {
            if !texts.contains(&text.as_str()) {
                texts.push(text);
            }
        }
        texts
    }

    /// Gives episodes that are described without instructions those of their rows.
    fn name_tasks(&mut self) {
        for at in 0..self.episodes.len() {
            let found = self.episodes.get(at).filter(|episode| episode.tasks.is_empty());
            let texts = found.map(|episode| self.instructions(episode).into_iter().map(str::to_owned).collect());
            if let (Some(texts), Some(episode)) = (texts, self.episodes.get_mut(at)) {
                episode.tasks = texts;
            }
        }
    }

    /// The file an episode's rows are in, and the first of them there.
    pub(super) fn place(&self, at: At) -> Result<(PathBuf, usize), DatasetError> {
        let row = self.row(at)?;
        let wrong = || DatasetError::Request(format!("there is no episode {}", at.episode));
        let episode = self.episodes.get(at.episode).ok_or_else(wrong)?;
        let up_to = self.episodes.get(..=at.episode).unwrap_or_default().iter().rev();
        let of_file = up_to.take_while(|other| other.data == episode.data).last();
        let first = of_file.map_or(episode.from, |first| first.from);
        Ok((data_path(&self.root, &self.info, episode)?, row - first))
    }
}

/// The last values of a chunk.
trait LastChunk {
    fn last_chunk_of(&self, dim: usize) -> Vec<f32>;
}

impl LastChunk for Vec<f32> {
    fn last_chunk_of(&self, dim: usize) -> Vec<f32> {
        self.get(self.len().saturating_sub(dim)..).unwrap_or_default().to_vec()
    }
}

/// Where the rows of an episode lie, in either layout.
///
/// # Errors
/// When the dataset's template names what we do not know.
pub fn data_path(root: &Path, info: &Info, episode: &Episode) -> Result<PathBuf, DatasetError> {
    episode_file(root, &info.data_path, (episode.index, episode.data), "")
}

/// Where a column of an episode's pictures lies, in either layout, if it is in videos.
///
/// # Errors
/// When it is not, or the dataset's template names what we do not know.
pub fn video_path(root: &Path, info: &Info, episode: &Episode, key: &str) -> Result<PathBuf, DatasetError> {
    match (&info.video_path, episode.videos.get(key)) {
        (Some(template), Some(span)) => episode_file(root, template, (episode.index, span.place), key),
        _ => Err(DatasetError::Request(format!("{key} is not in videos"))),
    }
}

fn episode_file(
    root: &Path,
    template: &str,
    (index, place): (usize, Place),
    key: &str,
) -> Result<PathBuf, DatasetError> {
    let (chunk, file, index) = (place.chunk.to_string(), place.file.to_string(), index.to_string());
    let values = [
        ("chunk_index", chunk.as_str()),
        ("file_index", &file),
        ("episode_chunk", &chunk),
        ("episode_index", &index),
        ("video_key", key),
    ];
    Ok(root.join(expand(template, &values).map_err(DatasetError::Request)?))
}
