//! Reads datasets of LeRobot v3.0, v2.1 and v2.0, whoever wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::decoded_images::DecodedImageReader;
use super::encoded_images::EncodedImageReader;
use super::episodes::{self, Episode, FilePlace};
use super::error::DatasetError;
use super::feature::Feature;
use super::info::{Info, expand};
use super::modality::Modality;
use super::numbers::{self, ColumnNumbers};
use super::statistics::{Colours, Statistics, sampled};
use super::tasks;
use super::times::is_due;

/// Dataset with its numbers in memory and its images on disk.
#[derive(Debug)]
pub struct Dataset {
    root: PathBuf,
    info: Info,
    tasks: Vec<String>,
    episodes: Vec<Episode>,
    /// Rows of each column of vectors, concatenated.
    vectors: BTreeMap<String, Vec<f32>>,
    /// Task index of each row.
    task_of_row: Vec<usize>,
    /// Time of each row in its episode (s); NaN where it follows from the row's index and the rate.
    time_of_row: Vec<f32>,
    modality: Modality,
}

/// Values of a column over consecutive rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Values, row by row.
    ///
    /// # Shapes
    /// (length, values in a row)
    pub values: Vec<f32>,
    /// Number of rows in the episode; after its end values are repeated, or 0 if they are steps.
    pub valid: usize,
}

/// Row of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct At {
    /// Index of the episode.
    pub episode: usize,
    /// Row in the episode.
    pub frame: usize,
}

impl Dataset {
    /// Opens the dataset in `root` and reads its numbers.
    ///
    /// # Errors
    /// When a file is missing or malformed, or files contradict each other.
    pub fn open(root: &Path) -> Result<Self, DatasetError> {
        let info = Info::load(root)?;
        let tasks = tasks::load_any(root, &info)?;
        let mut episodes = episodes::load_any(root, &info)?;
        // A recorder that was killed while it saved an episode may have left one more.
        episodes.truncate(info.total_episodes);
        let numbers = ColumnNumbers::read(root, &info, &episodes)?;
        let mut dataset = Self {
            modality: Modality::load(root)?,
            root: root.to_owned(),
            vectors: numbers.vectors,
            task_of_row: numbers.tasks,
            time_of_row: numbers.times,
            info,
            tasks,
            episodes,
        };
        dataset.name_tasks();
        Ok(dataset)
    }

    /// Returns the folder of the dataset.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the description of the dataset.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the episodes.
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// Returns the instructions, by task index.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// Returns the number of rows.
    pub fn frames(&self) -> usize {
        self.task_of_row.len()
    }

    /// Returns all rows of a column of vectors, concatenated.
    ///
    /// # Errors
    /// When there is no such column, or it is not of numbers that are read.
    pub fn vector(&self, name: &str) -> Result<&[f32], DatasetError> {
        let found = self.vectors.get(name).map(Vec::as_slice);
        found.ok_or_else(|| {
            if let Some(feature) = self.info.features.get(name) {
                return DatasetError::Request(format!(
                    "column {name}: expected rows of float16, float32 or float64 in a list, found {} of shape {:?}; \
                     convert the column",
                    feature.dtype.name(),
                    feature.shape
                ));
            }
            let known: Vec<_> = self.vectors.keys().collect();
            DatasetError::Request(format!("expected a column of numbers among {known:?}, found {name}"))
        })
    }

    /// Returns the instruction of a row.
    ///
    /// # Errors
    /// When there is no such row, or its task index has no instruction.
    pub fn task(&self, at: At) -> Result<&str, DatasetError> {
        let row = self.row(at)?;
        let number = self.task_of_row.get(row).copied().unwrap_or_default();
        self.numbered_task(number).ok_or_else(|| {
            let message = format!("row {row}: expected the number of an instruction, found {number}, which none has");
            DatasetError::content(&self.root, message)
        })
    }

    /// Returns the instruction of that task index, if there is one.
    pub(super) fn numbered_task(&self, number: usize) -> Option<&str> {
        let text = self.tasks.get(number).map(String::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// Returns the values of one row.
    ///
    /// # Errors
    /// When there is no such row or column.
    pub fn values(&self, name: &str, at: At) -> Result<&[f32], DatasetError> {
        let (row, dim) = (self.row(at)?, self.dim(name));
        Ok(self.vector(name)?.get(row * dim..(row + 1) * dim).unwrap_or_default())
    }

    /// Indices of the values with these names in the rows of a column; empty for no names.
    ///
    /// # Errors
    /// When a name is missing or there twice, or names are not understood; the error has the first one.
    pub fn places<'n>(
        &self,
        column: &str,
        wanted: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<usize>, DatasetError> {
        let wrong = |problem: String| DatasetError::Request(format!("column {column}: {problem}"));
        let names = match self.info.features.get(column) {
            Some(feature) => {
                let own = feature.own_names().map_err(|e| wrong(e.to_string()))?;
                own.unwrap_or_else(|| feature.value_names())
            }
            None => Vec::new(),
        };
        let place = |name: &str| {
            let mut found = (0..).zip(&names).filter(|(_, one)| *one == name);
            match (found.next(), found.next()) {
                (Some((place, _)), None) => Ok(place),
                (None, _) => Err(wrong(format!("expected a value {name}, found {names:?}"))),
                _ => Err(wrong(format!("{name} is there more than once"))),
            }
        };
        wanted.into_iter().map(place).collect()
    }

    /// Returns the values of `length` rows from `at` on. After the end of the episode the last row is repeated, with 0
    /// for values that `meta/modality.json` marks as steps.
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
        let mut last = values
            .get(values.len().saturating_sub(dim)..)
            .unwrap_or_default()
            .to_vec();
        self.modality.end(name, &mut last);
        for _ in valid..length {
            values.extend(&last);
        }
        Ok(Chunk { values, valid })
    }

    /// Creates a reader of the encoded images in the rows, for one thread.
    ///
    /// # Errors
    /// When a column does not exist, or its images are not in the rows.
    pub fn pictures(&self, names: &[&str]) -> Result<EncodedImageReader<'_>, DatasetError> {
        EncodedImageReader::new(self, names)
    }

    /// Computes statistics: of numbers over all rows, of images over the sample that LeRobot takes.
    ///
    /// # Errors
    /// When images cannot be read.
    pub fn statistics(&self) -> Result<BTreeMap<String, Statistics>, DatasetError> {
        let mut all = BTreeMap::new();
        for name in self.vectors.keys() {
            all.insert(name.clone(), numbers::statistics(self, name, &self.episodes)?);
        }
        let names: Vec<_> = self.info.pictures().map(|(name, _)| name).collect();
        all.extend(self.colours(&names, &self.episodes)?);
        Ok(all)
    }

    /// Computes statistics of the images of some episodes, over the sample that LeRobot takes.
    fn colours(&self, names: &[&str], episodes: &[Episode]) -> Result<BTreeMap<String, Statistics>, DatasetError> {
        let mut reader = DecodedImageReader::new(self, names)?;
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

    /// Computes the statistics that an episode lacks: v2.0 has none, v2.1 no quantiles.
    ///
    /// # Errors
    /// When the episode's rows cannot be read.
    pub(super) fn complete(
        &self,
        episode: &Episode,
        statistics: &mut BTreeMap<String, Statistics>,
    ) -> Result<(), DatasetError> {
        for (name, feature) in self.info.vectors() {
            if statistics.get(name).is_none_or(|own| !own.is_whole(feature.len())) {
                let own = numbers::statistics(self, name, std::slice::from_ref(episode))?;
                statistics.insert(name.to_owned(), own);
            }
        }
        let pictures = self.info.pictures().filter(|(name, feature)| {
            !statistics
                .get(*name)
                .is_some_and(|own| own.is_whole(feature.channels()) || own.is_whole(feature.channels().min(3)))
        });
        let names: Vec<_> = pictures.map(|(name, _)| name).collect();
        statistics.extend(self.colours(&names, std::slice::from_ref(episode))?);
        Ok(())
    }

    /// Returns the index of a row in the dataset.
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

    /// Returns the time of a row in its episode (s): its own, or the one that follows from its index and the rate if it has
    /// none or they agree.
    pub(super) fn time(&self, at: At) -> Result<f64, DatasetError> {
        let place = at.frame as f64 / self.info.fps;
        let own = self.time_of_row.get(self.row(at)?).copied().map_or(place, f64::from);
        Ok(if own.is_nan() || is_due(own, place) { place } else { own })
    }

    fn dim(&self, name: &str) -> usize {
        self.info.features.get(name).map_or(0, Feature::len)
    }

    /// Returns every instruction of an episode once: those of its rows, which a policy is trained with, then others of
    /// its metadata. Rows whose task index is unknown yield an empty instruction.
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

    /// Gives episodes without instructions in their metadata those of their rows.
    fn name_tasks(&mut self) {
        for at in 0..self.episodes.len() {
            let found = self.episodes.get(at).filter(|episode| episode.tasks.is_empty());
            let texts = found.map(|episode| self.instructions(episode).into_iter().map(str::to_owned).collect());
            if let (Some(texts), Some(episode)) = (texts, self.episodes.get_mut(at)) {
                episode.tasks = texts;
            }
        }
    }

    /// Returns the file of a row, and the row's index in that file.
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

/// Returns the path of an episode's rows, in any layout.
///
/// # Errors
/// When the dataset's template has an unknown field or leads out of the dataset.
pub fn data_path(root: &Path, info: &Info, episode: &Episode) -> Result<PathBuf, DatasetError> {
    episode_file(root, &info.data_path, episode.index, episode.data, "")
}

/// Returns the path of the video of a column and an episode, in any layout.
///
/// # Errors
/// When the column is not in videos, or the template has an unknown field or leads out of the dataset.
pub fn video_path(root: &Path, info: &Info, episode: &Episode, key: &str) -> Result<PathBuf, DatasetError> {
    match (&info.video_path, episode.videos.get(key)) {
        (Some(template), Some(span)) => episode_file(root, template, episode.index, span.place, key),
        _ => Err(DatasetError::Request(format!("{key} is not in videos"))),
    }
}

fn episode_file(
    root: &Path,
    template: &str,
    index: usize,
    place: FilePlace,
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
    Ok(root.join(expand(template, &values)?))
}
