//! Copies episodes one by one into a dataset that is being built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::rows::SourceRows;
use super::{EpisodeChoice, EpisodeSource, copy};
use crate::dataset::episode_stats::{self, FeatureStats};
use crate::dataset::episodes::{self, Episode, FilePlace, VideoSpan};
use crate::dataset::error::DatasetError;
use crate::dataset::feature::Dtype;
use crate::dataset::info::{CHUNK, DATA, DEFAULTS, EPISODES, Info, VIDEOS, Version, expand};
use crate::dataset::parquet::table::Table;
use crate::dataset::reader::{At, Dataset, data_path, video_path};
use crate::dataset::statistics::Statistics;
use crate::dataset::storage::Storage;
use crate::dataset::tasks;
use crate::dataset::writer::{episode_path, notes_path};

/// Statistics of episodes, by index.
type StatsOfEpisodes = BTreeMap<usize, FeatureStats>;

/// Dataset that is being built.
pub(super) struct Assembly<'a> {
    storage: &'a dyn Storage,
    out: &'a Path,
    info: Info,
    tasks: Vec<String>,
    statistics: FeatureStats,
    /// Columns of which all episodes have the same statistics.
    uniform: BTreeSet<String>,
    /// Numbers of the videos copied so far, by column and source path; a number gives the place of the copy.
    videos: BTreeMap<String, BTreeMap<PathBuf, usize>>,
}

impl<'a> Assembly<'a> {
    /// Begins a dataset in `out` with the columns that `info` describes.
    pub fn new(storage: &'a dyn Storage, out: &'a Path, info: &Info) -> Self {
        Self {
            storage,
            out,
            info: described(info),
            tasks: Vec::new(),
            statistics: FeatureStats::new(),
            uniform: BTreeSet::new(),
            videos: BTreeMap::new(),
        }
    }

    /// Copies the chosen episodes of all datasets.
    ///
    /// # Errors
    /// When one is missing or damaged, or writing fails.
    pub fn take_all(&mut self, sources: &[EpisodeSource<'_>]) -> Result<(), DatasetError> {
        let of_source = |source: &EpisodeSource<'_>| {
            let dataset = source.dataset;
            episode_stats::of_episodes(dataset.root(), dataset.info())
        };
        let known = sources.iter().map(of_source).collect::<Result<Vec<_>, _>>()?;
        self.uniform = uniform(sources, &known);
        let mut all = sources.iter().zip(known);
        all.try_for_each(|(source, known)| self.take_source(source, known))
    }

    /// Copies the chosen episodes of a dataset, of which these statistics are known.
    fn take_source(&mut self, source: &EpisodeSource<'_>, mut known: StatsOfEpisodes) -> Result<(), DatasetError> {
        warn_of_undescribed(source.dataset)?;
        for choice in &source.episodes {
            let episode = source.dataset.episodes().get(choice.episode).ok_or_else(|| {
                let (root, found) = (source.dataset.root().display(), source.dataset.episodes().len());
                DatasetError::Request(format!(
                    "{root}: expected one of {found} episodes, found {}",
                    choice.episode
                ))
            })?;
            if episode.length == 0 {
                let root = source.dataset.root().display();
                tracing::warn!("{root}: episode {} has no rows and is left out", choice.episode);
                continue;
            }
            let statistics = known.remove(&choice.episode).unwrap_or_default();
            self.take(source.dataset, episode, choice, statistics)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        from: &Dataset,
        episode: &Episode,
        choice: &EpisodeChoice,
        mut statistics: FeatureStats,
    ) -> Result<(), DatasetError> {
        let index = self.info.total_episodes;
        let data = FilePlace::of_number(index);
        let mut taken = Episode {
            index,
            tasks: choice
                .task
                .as_ref()
                .map_or(episode.tasks.clone(), |task| vec![task.clone()]),
            length: episode.length,
            from: self.info.total_frames,
            data,
            videos: BTreeMap::new(),
        };
        for (key, span) in &episode.videos {
            let place = self.copy_video(from, episode, key)?;
            taken.videos.insert(key.clone(), VideoSpan { place, ..*span });
        }
        from.complete(episode, &mut statistics)?;
        let task_of_row = self.copy_rows(from, episode, &taken, choice.task.as_deref())?;
        statistics.extend(of_defaults(from, episode, &taken, &task_of_row)?);
        let info = from.info();
        let defaults = DEFAULTS.map(|(name, _)| name);
        let described = info.vectors().chain(info.pictures()).map(|(name, _)| name);
        let counted: BTreeSet<&str> = described.chain(defaults).collect();
        statistics.retain(|name, _| counted.contains(name.as_str()) || self.uniform.contains(name));
        let path = self.out.join(episode_path(EPISODES, data)?);
        let frames = taken.length;
        let described = [(taken, statistics)];
        episodes::save(self.storage, &path, &described)?;
        let [(_, statistics)] = described;
        let notes = notes_path(from.root(), episode.index);
        if notes.exists() {
            copy(self.storage, &notes, &notes_path(self.out, index))?;
        }
        episode_stats::merge(&mut self.statistics, &statistics);
        self.info.total_episodes += 1;
        self.info.total_frames += frames;
        Ok(())
    }

    fn number_of(&mut self, task: &str) -> usize {
        self.tasks.iter().position(|known| known == task).unwrap_or_else(|| {
            self.tasks.push(task.to_owned());
            self.tasks.len() - 1
        })
    }

    /// Copies the rows of an episode with their columns; returns the task index of each.
    fn copy_rows(
        &mut self,
        from: &Dataset,
        episode: &Episode,
        taken: &Episode,
        task: Option<&str>,
    ) -> Result<Vec<usize>, DatasetError> {
        let source = data_path(from.root(), from.info(), episode)?;
        let rows = SourceRows::open(from, episode, &source)?;
        let mut task_of_row = Vec::new();
        // Looking for a text takes long where there are many.
        let mut known = BTreeMap::new();
        for number in rows.task_numbers()? {
            if let Some(own) = known.get(&number) {
                task_of_row.push(*own);
                continue;
            }
            let text = match task {
                Some(text) => text,
                None => from.numbered_task(number).ok_or_else(|| {
                    DatasetError::content(&source, format!("there is no instruction of number {number}"))
                })?,
            };
            let own = self.number_of(text);
            known.insert(number, own);
            task_of_row.push(own);
        }
        let path = self.out.join(episode_path(DATA, taken.data)?);
        rows.copy(self.storage, &path, taken, &task_of_row)?;
        Ok(task_of_row)
    }

    /// Copies the whole file, once for all episodes in it, so that their time spans stay valid.
    fn copy_video(&mut self, from: &Dataset, episode: &Episode, key: &str) -> Result<FilePlace, DatasetError> {
        let source = video_path(from.root(), from.info(), episode, key)?;
        let of_key = self.videos.entry(key.to_owned()).or_default();
        if let Some(known) = of_key.get(&source) {
            return Ok(FilePlace::of_number(*known));
        }
        let number = of_key.len();
        of_key.insert(source.clone(), number);
        let place = FilePlace::of_number(number);
        let (chunk, file) = (place.chunk.to_string(), place.file.to_string());
        let values = [("video_key", key), ("chunk_index", &chunk), ("file_index", &file)];
        let path = expand(VIDEOS, &values)?;
        copy(self.storage, &source, &self.out.join(path))?;
        Ok(place)
    }

    /// Writes what is known once all episodes are copied, the description last; returns it.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> Result<Info, DatasetError> {
        tasks::save(self.storage, self.out, &self.tasks)?;
        episode_stats::save_all(self.storage, self.out, &self.statistics)?;
        self.info.total_tasks = self.tasks.len();
        if self.info.total_episodes > 0 {
            self.info
                .splits
                .insert("train".into(), format!("0:{}", self.info.total_episodes));
        }
        self.info.save(self.storage, self.out)?;
        Ok(self.info)
    }
}

/// Finds the columns of which all chosen episodes have the same statistics. Readers take the tables of episodes for parts
/// of one, so that each must have the same columns.
fn uniform(sources: &[EpisodeSource<'_>], known: &[StatsOfEpisodes]) -> BTreeSet<String> {
    let chosen = sources.iter().zip(known).flat_map(|(source, known)| {
        let all = source.dataset.episodes();
        let has_rows = move |choice: &&EpisodeChoice| all.get(choice.episode).is_some_and(|episode| episode.length > 0);
        let filled = source.episodes.iter().filter(has_rows);
        filled.map(move |choice| known.get(&choice.episode))
    });
    let names = |own: Option<&FeatureStats>| -> BTreeSet<(String, Vec<&'static str>)> {
        let of_column = |(column, own): (&String, &Statistics)| {
            let names = own.named().map(|(name, _)| name);
            (column.clone(), names.collect())
        };
        own.into_iter().flatten().map(of_column).collect()
    };
    let common = chosen
        .map(names)
        .reduce(|all, own| all.intersection(&own).cloned().collect());
    common.into_iter().flatten().map(|(column, _)| column).collect()
}

/// Computes the statistics of the columns that every dataset has, of which most are numbered anew.
fn of_defaults(
    from: &Dataset,
    episode: &Episode,
    taken: &Episode,
    task_of_row: &[usize],
) -> Result<FeatureStats, DatasetError> {
    let whole = |values: &mut dyn Iterator<Item = usize>| {
        Statistics::of_rows(&values.map(|value| value as f64).collect::<Vec<_>>(), 1)
    };
    let frames = 0..taken.length;
    let times = frames.clone().map(|frame| {
        let episode = episode.index;
        Ok(from.time(At { episode, frame })? as f32)
    });
    let times = times.collect::<Result<Vec<_>, DatasetError>>()?;
    let all = [
        ("timestamp", Statistics::of_rows(&times, 1)),
        ("frame_index", whole(&mut frames.clone())),
        ("episode_index", whole(&mut frames.clone().map(|_| taken.index))),
        ("index", whole(&mut frames.clone().map(|frame| taken.from + frame))),
        ("task_index", whole(&mut task_of_row.iter().copied())),
    ];
    Ok(all.map(|(name, of)| (name.to_owned(), of)).into())
}

/// Warns of columns that the description lacks. They are not copied: LeRobot refuses rows with such columns.
fn warn_of_undescribed(dataset: &Dataset) -> Result<(), DatasetError> {
    let (root, info) = (dataset.root(), dataset.info());
    let Some(episode) = dataset.episodes().iter().find(|episode| episode.length > 0) else {
        return Ok(());
    };
    let path = data_path(root, info, episode)?;
    let table = Table::open(&path)?;
    let others: Vec<_> = table
        .names()
        .filter(|name| !info.features.contains_key(*name))
        .collect();
    if !others.is_empty() {
        let (root, others) = (root.display(), others.join(", "));
        tracing::warn!("{root}: columns that meta/info.json does not describe are left out: {others}");
    }
    Ok(())
}

/// Totals of v2 that v3.0 does not have.
const OLD_TOTALS: [&str; 2] = ["total_chunks", "total_videos"];

/// Returns the description of the same dataset without episodes. Fields that are not known stay.
fn described(info: &Info) -> Info {
    let mut rest = Info::empty("", 1, BTreeMap::new()).rest;
    rest.extend(info.rest.clone());
    OLD_TOTALS.iter().for_each(|total| drop(rest.remove(*total)));
    let has_video = info.features.values().any(|feature| feature.dtype == Dtype::Video);
    Info {
        codebase_version: Version::V3,
        total_episodes: 0,
        total_frames: 0,
        total_tasks: 0,
        chunks_size: CHUNK,
        splits: BTreeMap::new(),
        data_path: DATA.into(),
        video_path: has_video.then(|| VIDEOS.into()),
        rest,
        ..info.clone()
    }
}
