//! Checks before the first step for what would end a run in its middle: instructions that no prompt can hold, missing
//! videos, images that cannot be read, conversations that cannot be learned from.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::sampler::{RowPlace, randomness};
use super::text::vlm_batches::VlmBatches;
use super::vla_batches::VlaBatches;
use crate::dataset::decoded_images::DecodedImageReader;
use crate::dataset::episodes::Episode;
use crate::dataset::feature::Dtype;
use crate::dataset::reader::video_path;
use crate::dataset::video::VideoReader;
use crate::dataset::{At, Dataset};
use crate::files;
use crate::parallel;
use crate::training::data::loader::Batches as _;
use crate::training::error::RunError;

/// Number of rows of each dataset, and of conversations, whose images are decoded.
const SAMPLED: usize = 48;
/// Maximum number of problems that are named.
const MAX_LISTED: usize = 10;

/// Checks the instructions of all datasets with the prompts that training builds from them.
///
/// # Errors
/// When no prompt can hold an instruction, or it makes one too long; names the episodes.
pub fn require_instructions(batch_source: &VlaBatches) -> Result<(), RunError> {
    let grids = batch_source.grids()?;
    for (number, dataset) in batch_source.mixture().datasets().iter().enumerate() {
        let mut problems = Vec::new();
        // Many episodes share few instructions.
        let mut sound = BTreeSet::new();
        let episodes: Vec<_> = dataset.episodes().iter().filter(|episode| episode.length > 0).collect();
        for episode in progress(episodes.len(), "instructions").wrap_iter(episodes.iter()) {
            let at = At {
                episode: episode.index,
                frame: 0,
            };
            for task in dataset.instructions(episode) {
                if sound.contains(task) {
                    continue;
                }
                match batch_source.try_prompts(task, RowPlace { dataset: number, at }, &grids) {
                    Ok(()) => {
                        sound.insert(task);
                    }
                    Err(problem) => problems.push(format!("episode {}: {problem}", episode.index)),
                }
            }
        }
        if !problems.is_empty() {
            let message = format!("{}; `thinkvla dataset relabel` gives them others", shown(&problems));
            return Err(RunError::data(dataset.root(), message));
        }
    }
    Ok(())
}

/// Checks that every video exists and reaches as far as its rows, and that the images of some rows of every dataset can
/// be read.
///
/// # Errors
/// When a file or row cannot be read; names them.
pub fn require_pictures(batch_source: &VlaBatches, seed: u64) -> Result<(), RunError> {
    let views = batch_source.mixture().views();
    let mut readers = batch_source.readers()?;
    for (number, dataset) in batch_source.mixture().datasets().iter().enumerate() {
        require_videos(dataset, &views)?;
        let episodes: Vec<_> = dataset.episodes().iter().filter(|episode| episode.length > 0).collect();
        let count = episodes.len().min(SAMPLED);
        let bar = progress(count, "pictures");
        let mut problems = Vec::new();
        for turn in bar.wrap_iter(0..count) {
            // Evenly spread from the first episode to the last.
            let Some(episode) = episodes.get(turn * (episodes.len() - 1) / (count - 1).max(1)) else {
                continue;
            };
            let mut random = randomness(seed, "looked at", [number as u64, turn as u64]);
            let frame = rand::Rng::random_range(&mut random, 0..episode.length);
            let at = At {
                episode: episode.index,
                frame,
            };
            let found = batch_source.pictures(&[RowPlace { dataset: number, at }], &mut readers);
            problems.extend(found.err().map(|e| e.to_string()));
        }
        if !problems.is_empty() {
            let message = format!(
                "of {count} rows that were looked at, {} cannot be read; `thinkvla dataset verify` looks at all: {}",
                problems.len(),
                shown(&problems)
            );
            return Err(RunError::data(dataset.root(), message));
        }
    }
    Ok(())
}

/// Video of a camera, with the episodes that have rows in it.
struct VideoFile<'a> {
    view: &'a str,
    path: PathBuf,
    episodes: Vec<&'a Episode>,
}

/// Problem of a video.
enum VideoProblem {
    /// The file is missing, empty or something else.
    Unreadable(String),
    /// The file has no frame for the last row of some episodes.
    Short {
        /// Problem of the first of them.
        first: String,
        /// Indices of all of them.
        episodes: Vec<usize>,
    },
}

impl VideoFile<'_> {
    /// Checks that the file can be opened, is not empty, and has a frame for the last row of every episode: recorders that
    /// are stopped lose some.
    fn check(&self, dataset: &Dataset) -> Result<(), VideoProblem> {
        let unreadable = |problem: String| VideoProblem::Unreadable(format!("{}: {problem}", self.path.display()));
        let found = files::open(&self.path).and_then(|file| file.metadata());
        if found.map_err(|e| unreadable(e.to_string()))?.len() == 0 {
            return Err(unreadable("it is an empty file".to_owned()));
        }
        let reader = DecodedImageReader::new(dataset, &[self.view]);
        let mut reader = reader.map_err(|e| unreadable(e.to_string()))?;
        let mut first = None;
        let mut episodes = Vec::new();
        for episode in &self.episodes {
            let last = At {
                episode: episode.index,
                frame: episode.length.saturating_sub(1),
            };
            let Err(problem) = reader.require_frames(last) else {
                continue;
            };
            if first.is_none() {
                first = Some(problem.to_string());
                // A damaged file has no frame at all; opening it again for each episode would take long.
                if VideoReader::open(&self.path).is_err() {
                    episodes.extend(self.episodes.iter().map(|episode| episode.index));
                    break;
                }
            }
            episodes.push(episode.index);
        }
        first.map_or(Ok(()), |first| Err(VideoProblem::Short { first, episodes }))
    }
}

/// Lists the videos of these cameras, each once.
fn video_files<'a>(dataset: &'a Dataset, views: &'a [String]) -> Result<Vec<VideoFile<'a>>, RunError> {
    let features = &dataset.info().features;
    let is_video = |view: &&String| features.get(*view).is_some_and(|of| of.dtype == Dtype::Video);
    let mut videos = BTreeMap::new();
    for view in views.iter().filter(is_video) {
        for episode in dataset.episodes().iter().filter(|episode| episode.length > 0) {
            let path = video_path(dataset.root(), dataset.info(), episode, view)?;
            let video = videos.entry(path).or_insert_with_key(|path| VideoFile {
                view,
                path: path.clone(),
                episodes: Vec::new(),
            });
            video.episodes.push(episode);
        }
    }
    Ok(videos.into_values().collect())
}

/// Checks all videos of these cameras.
fn require_videos(dataset: &Dataset, views: &[String]) -> Result<(), RunError> {
    let videos = video_files(dataset, views)?;
    let bar = progress(videos.len(), "videos");
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let check = |(): &mut (), turn: usize| videos.get(turn).map_or(Ok(()), |video| video.check(dataset));
    let (mut unreadable, mut short) = (Vec::new(), Vec::new());
    let mut cut = BTreeSet::new();
    let take = |checked: Result<(), VideoProblem>| {
        bar.inc(1);
        match checked {
            Ok(()) => {}
            Err(VideoProblem::Unreadable(problem)) => unreadable.push(problem),
            Err(VideoProblem::Short { first, episodes }) => {
                short.push(match episodes.len() {
                    ..=1 => first,
                    several => format!("{first} (the first of {several} episodes of this file)"),
                });
                cut.extend(episodes);
            }
        }
        Ok::<_, RunError>(())
    };
    parallel::in_order(videos.len(), 0..cores, |_| (), check, take)?;
    bar.finish_and_clear();
    if !unreadable.is_empty() {
        let (count, all, shown) = (unreadable.len(), videos.len(), shown(&unreadable));
        let message = format!("{count} of {all} videos cannot be read: {shown}");
        return Err(RunError::data(dataset.root(), message));
    }
    if short.is_empty() {
        return Ok(());
    }
    let count = dataset.episodes().iter().filter(|episode| episode.length > 0).count();
    let advice = match cut.len() < count {
        true => "; `thinkvla dataset delete` makes a dataset without such episodes",
        false => "",
    };
    let message = format!(
        "the videos of {} episodes cannot be read to the last row{advice}: {}",
        cut.len(),
        shown(&short)
    );
    Err(RunError::data(dataset.root(), message))
}

/// Checks that every conversation can be fed to the network, and that the images of some can be read.
///
/// # Errors
/// When one cannot; names files and rows.
pub fn require_answers(batch_source: &VlmBatches) -> Result<(), RunError> {
    let places = batch_source.places();
    let bar = progress(places.len(), "conversations");
    let apart = (places.len() / SAMPLED).max(1);
    let mut problems = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let check_turn = |readers: &mut Result<_, RunError>, turn: usize| match (readers, places.get(turn)) {
        (Ok(readers), Some(place)) => batch_source.check(*place, turn.is_multiple_of(apart), readers).err(),
        _ => None,
    };
    let take = |problem: Option<RunError>| {
        bar.inc(1);
        problems.extend(problem.map(|e| e.to_string()));
        Ok::<_, RunError>(())
    };
    parallel::in_order(places.len(), 0..cores, |_| batch_source.readers(), check_turn, take)?;
    bar.finish_and_clear();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(RunError::Answers(format!(
            "{} of {} conversations cannot be learned from: {}",
            problems.len(),
            places.len(),
            shown(&problems)
        ))),
    }
}

fn shown(problems: &[String]) -> String {
    let mut shown = problems
        .iter()
        .take(MAX_LISTED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    if let more @ 1.. = problems.len().saturating_sub(MAX_LISTED) {
        shown += &format!("; and {more} more");
    }
    shown
}

/// Progress bar, which is drawn on terminals only and cleared when it is done.
fn progress(count: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(count as u64).with_message(what);
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("looking at {msg} {bar:30} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}
