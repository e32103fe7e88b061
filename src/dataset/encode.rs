//! Converts a dataset with images in its rows to one with H.264 videos: lossy, and a tenth of the size.
//!
//! Recordings keep images in rows, because a row on disk is safe. Videos are made afterwards, from a whole dataset.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use super::decoded_images::DecodedImageReader;
use super::episode_stats::{self, FeatureStats};
use super::episodes::{self, Episode, FilePlace, VideoSpan};
use super::error::DatasetError;
use super::feature::{Dtype, Feature};
use super::frame::Frame;
use super::info::{DATA, DEFAULTS, EPISODES, Info, MODALITY, STATS, VIDEOS, Version};
use super::parquet::rows::{RowWriter, RowsPosition};
use super::reader::{At, Dataset, video_path};
use super::storage::{Storage, commit, commit_with, copy, new_folder, require_outside};
use super::tasks;
use super::verify::require_described_rows;
use super::video::{VideoError, VideoSettings, VideoWriter, feature_info};
use super::writer::{episode_path, notes_path};
use crate::contract::FILE_NAME;
use crate::files::CONFIGURATION;

/// Writes `dataset` into `out`, which must be new or empty and outside of it, with one video per episode and camera.
/// `qp` is the quantisation of H.264, see [`VideoSettings::qp`].
///
/// # Errors
/// When the dataset already has videos, has an episode without rows or other rows than its metadata describes, cannot be
/// read, or writing fails. `meta/info.json` is written last; without it `out` is not a dataset.
pub fn encode(storage: &dyn Storage, dataset: &Dataset, out: &Path, qp: u8) -> Result<(), DatasetError> {
    require_encodable(dataset)?;
    require_outside(out, dataset.root())?;
    let source = dataset.info();
    let _lock = new_folder(storage, out)?;
    let mut info = source.clone();
    info.features.retain(|name, feature| {
        let kept = feature.is_vector() || feature.is_picture() || DEFAULTS.iter().any(|(known, _)| known == name);
        if !kept {
            tracing::warn!("column {name} is neither numbers nor pictures of colours, and is left out");
        }
        kept
    });
    let sizes = sizes(dataset)?;
    let mut settings = BTreeMap::new();
    for (name, feature) in &mut info.features {
        if feature.dtype == Dtype::Image {
            if let Some(size) = sizes.get(name) {
                set_size(feature, *size);
            }
            let of_camera = of_camera(name, feature, source.fps, qp)?;
            feature.dtype = Dtype::Video;
            feature.info = Some(feature_info(&of_camera));
            settings.insert(name.clone(), of_camera);
        } else if feature.is_vector() {
            // Rows are written as lists of 32-bit numbers.
            feature.shape = vec![feature.len()];
            feature.dtype = Dtype::Float32;
        }
    }
    for (name, dtype) in DEFAULTS {
        info.features.insert(name.to_owned(), Feature::scalar(dtype));
    }
    info.data_path = DATA.into();
    info.video_path = Some(VIDEOS.into());
    let mut rows_info = info.clone();
    rows_info.features.retain(|_, feature| feature.dtype != Dtype::Video);
    let encoder = Encoder {
        storage,
        dataset,
        out,
        info: &info,
        rows_info: &rows_info,
        settings: &settings,
    };
    let all = encoder.episodes()?;
    tasks::save(storage, out, dataset.tasks())?;
    episode_stats::save(storage, out, &all)?;
    for name in [MODALITY, FILE_NAME] {
        copy(storage, &dataset.root().join(name), &out.join(name), CONFIGURATION)?;
    }
    info.save(storage, out)
}

/// Describes images of this width and height (px) as LeRobot does: height, width, channels. Names in another order belong
/// to the shape that was there.
fn set_size(feature: &mut Feature, (width, height): (u32, u32)) {
    let plain = Feature::image(width, height);
    if feature.shape != plain.shape {
        feature.names = plain.names;
    }
    feature.shape = plain.shape;
}

/// Drops the statistics of a fourth channel of images, the transparency, which videos do not have.
fn without_transparency(mut all: FeatureStats) -> FeatureStats {
    for of_pictures in all.values_mut().filter(|of| of.of_pictures) {
        of_pictures.keep_channels(3);
    }
    all
}

/// Checks that a dataset has images in its rows, and all rows that its metadata describes.
fn require_encodable(dataset: &Dataset) -> Result<(), DatasetError> {
    let source = dataset.info();
    if source.codebase_version != Version::V3 || source.pictures().any(|(_, f)| f.dtype != Dtype::Image) {
        let problem = "expected LeRobot v3.0 with pictures in its rows; videos are not encoded a second time";
        return Err(DatasetError::content(dataset.root(), problem));
    }
    if let Some(empty) = dataset.episodes().iter().find(|episode| episode.length == 0) {
        let problem = format!(
            "episode {} has no rows; `thinkvla dataset merge` makes a dataset without it",
            empty.index
        );
        return Err(DatasetError::content(dataset.root(), problem));
    }
    require_described_rows(dataset)
}

/// Width and height of each camera's first image (px). An EXIF orientation can swap those of the description.
fn sizes(dataset: &Dataset) -> Result<BTreeMap<String, (u32, u32)>, DatasetError> {
    let Some(episode) = dataset.episodes().first() else {
        return Ok(BTreeMap::new());
    };
    let names: Vec<&str> = dataset.info().pictures().map(|(name, _)| name).collect();
    let at = At {
        episode: episode.index,
        frame: 0,
    };
    let mut images = Vec::new();
    DecodedImageReader::new(dataset, &names)?.read(at, &mut images)?;
    let sizes = images.iter().map(|image| (image.width(), image.height()));
    Ok(names.into_iter().map(str::to_owned).zip(sizes).collect())
}

fn of_camera(name: &str, feature: &Feature, fps: f64, qp: u8) -> Result<VideoSettings, DatasetError> {
    let (width, height) = feature.size().ok_or_else(|| {
        DatasetError::Request(format!(
            "{name}: expected height, width and 3, found {:?}",
            feature.shape
        ))
    })?;
    if fps.fract() != 0.0 {
        return Err(DatasetError::Request(format!(
            "expected a whole number of frames a second, found {fps}"
        )));
    }
    Ok(VideoSettings {
        qp,
        ..VideoSettings::new(width, height, fps as u32)
    })
}

struct Encoder<'a> {
    storage: &'a dyn Storage,
    dataset: &'a Dataset,
    out: &'a Path,
    info: &'a Info,
    rows_info: &'a Info,
    settings: &'a BTreeMap<String, VideoSettings>,
}

impl Encoder<'_> {
    /// Writes all episodes; returns the statistics of the dataset, those that it lacks from its episodes.
    fn episodes(&self) -> Result<FeatureStats, DatasetError> {
        let root = self.dataset.root();
        // Read first: a file that is damaged is named before hours of work.
        let own = match root.join(STATS).exists() {
            true => episode_stats::load(root)?,
            false => FeatureStats::new(),
        };
        let mut known = episode_stats::of_episodes(root, self.dataset.info())?;
        let mut all = FeatureStats::new();
        for episode in self.dataset.episodes() {
            let mut of_episode = known.remove(&episode.index).unwrap_or_default();
            self.dataset.complete(episode, &mut of_episode)?;
            let of_episode = without_transparency(of_episode);
            episode_stats::merge(&mut all, &of_episode);
            self.episode(episode, of_episode)?;
        }
        all.extend(without_transparency(own));
        Ok(all)
    }

    fn episode(&self, source: &Episode, statistics: FeatureStats) -> Result<(), DatasetError> {
        // Data and video files have the same numbers, as some readers expect.
        let place = FilePlace::of_number(source.index);
        let span = VideoSpan {
            place,
            from_s: 0.0,
            to_s: source.length as f64 / self.info.fps,
        };
        let episode = Episode {
            data: place,
            videos: self.settings.keys().map(|name| (name.clone(), span)).collect(),
            ..source.clone()
        };
        self.videos(&episode)?;
        self.rows(&episode)?;
        let notes = notes_path(self.dataset.root(), episode.index);
        copy(
            self.storage,
            &notes,
            &notes_path(self.out, episode.index),
            CONFIGURATION,
        )?;
        let path = self.out.join(episode_path(EPISODES, place)?);
        episodes::save(self.storage, &path, &[(episode, statistics)])
    }

    /// Writes the videos of an episode; each stays in memory until it is complete.
    fn videos(&self, episode: &Episode) -> Result<(), DatasetError> {
        let names: Vec<&str> = self.settings.keys().map(String::as_str).collect();
        let failed = |name: &str| {
            let root = self.dataset.root().to_owned();
            let what = format!("{name} of episode {}", episode.index);
            move |e: VideoError| DatasetError::content(&root, format!("{what}: {e}"))
        };
        let mut writers = Vec::new();
        for (name, settings) in self.settings {
            writers.push(VideoWriter::new(Cursor::new(Vec::new()), *settings).map_err(failed(name))?);
        }
        let mut reader = DecodedImageReader::new(self.dataset, &names)?;
        let mut images = Vec::new();
        for frame in 0..episode.length {
            let at = At {
                episode: episode.index,
                frame,
            };
            reader.read(at, &mut images)?;
            for ((writer, image), name) in writers.iter_mut().zip(&images).zip(&names) {
                writer.push(image).map_err(failed(name))?;
            }
        }
        for (writer, name) in writers.into_iter().zip(&names) {
            let bytes = writer.finish().map_err(failed(name))?.into_inner();
            commit(self.storage, &video_path(self.out, self.info, episode, name)?, &bytes)?;
        }
        Ok(())
    }

    fn rows(&self, episode: &Episode) -> Result<(), DatasetError> {
        let path = self.out.join(episode_path(DATA, episode.data)?);
        let first = At {
            episode: episode.index,
            frame: 0,
        };
        let numbers: BTreeMap<&str, usize> = self.dataset.tasks().iter().map(String::as_str).zip(0..).collect();
        // Rows of an episode may have different instructions.
        let task_of = |at: At| {
            let number = numbers.get(self.dataset.task(at)?).copied();
            Ok::<_, DatasetError>(number.unwrap_or_default())
        };
        let standing = RowsPosition {
            episode: episode.index,
            task: task_of(first)?,
            from: episode.from,
        };
        commit_with(self.storage, &path, |sink| {
            let mut rows = RowWriter::new(sink, &path, self.rows_info, standing)?;
            for frame in 0..episode.length {
                let at = At { frame, ..first };
                let values = self
                    .rows_info
                    .vectors()
                    .map(|(name, _)| Ok((name.to_owned(), self.dataset.values(name, at)?.to_vec())));
                let vectors = values.collect::<Result<_, DatasetError>>()?;
                rows.set_task(task_of(at)?)?;
                rows.push(Frame {
                    vectors,
                    pictures: Vec::new(),
                })?;
            }
            rows.finish().map(drop)
        })
    }
}
