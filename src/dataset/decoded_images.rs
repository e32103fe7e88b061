//! Decodes images of a dataset, from its rows or its video files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::path::PathBuf;

use super::encoded_images::EncodedImageReader;
use super::error::DatasetError;
use super::feature::Dtype;
use super::reader::{At, Dataset, video_path};
use super::times::{ROUNDED_S, TOLERANCE_S, is_rounded};
use super::video::VideoReader;
use crate::camera::rgb::RgbImage;

/// Maximum number of video files that are kept open.
const REMEMBERED: usize = 64;

/// Reader of decoded images; each thread needs its own.
pub struct DecodedImageReader<'a> {
    dataset: &'a Dataset,
    columns: Vec<Column>,
    rows: EncodedImageReader<'a>,
    videos: HashMap<PathBuf, VideoReader<File>>,
}

/// Column of images.
struct Column {
    name: String,
    is_video: bool,
}

impl<'a> DecodedImageReader<'a> {
    /// Creates a reader of the columns `names`.
    ///
    /// # Errors
    /// When there are none of those names.
    pub fn new(dataset: &'a Dataset, names: &[&str]) -> Result<Self, DatasetError> {
        let is_video = |name: &&str| {
            dataset
                .info()
                .features
                .get(*name)
                .is_some_and(|f| f.dtype == Dtype::Video)
        };
        let in_rows: Vec<_> = names.iter().copied().filter(|name| !is_video(name)).collect();
        Ok(Self {
            dataset,
            columns: names
                .iter()
                .map(|name| Column {
                    name: (*name).to_owned(),
                    is_video: is_video(name),
                })
                .collect(),
            rows: dataset.pictures(&in_rows)?,
            videos: HashMap::new(),
        })
    }

    /// Reads the images of one row into `out`, in the order of the names; `out` keeps its allocations.
    ///
    /// # Errors
    /// When there is no such row, or it cannot be read.
    pub fn read(&mut self, at: At, out: &mut Vec<RgbImage>) -> Result<(), DatasetError> {
        out.resize_with(self.columns.len(), RgbImage::default);
        let mut pictures = self.rows.read(at)?.into_iter();
        for (column, image) in self.columns.iter().zip(out) {
            if column.is_video {
                let mut found = VideoFrame::find(self.dataset, &mut self.videos, &column.name, at)?;
                found.read(image)?;
            } else if let Some(picture) = pictures.next() {
                let failed = |problem| DatasetError::Request(format!("{}, {at:?}: {problem}", column.name));
                picture.decode(image).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Checks that the videos have a frame at the time of a row, without decoding it.
    ///
    /// # Errors
    /// When there is no such row, or a video cannot be opened or has no frame there.
    pub fn require_frames(&mut self, at: At) -> Result<(), DatasetError> {
        for column in self.columns.iter().filter(|column| column.is_video) {
            VideoFrame::find(self.dataset, &mut self.videos, &column.name, at)?;
        }
        Ok(())
    }
}

/// Frame of a video that belongs to a row.
struct VideoFrame<'v> {
    path: PathBuf,
    reader: &'v mut VideoReader<File>,
    /// Index of the frame in the video.
    index: usize,
}

impl<'v> VideoFrame<'v> {
    /// Finds the frame at the time of the row `at` in the column `name`; `videos` are the files that are open.
    fn find(
        dataset: &Dataset,
        videos: &'v mut HashMap<PathBuf, VideoReader<File>>,
        name: &str,
        at: At,
    ) -> Result<Self, DatasetError> {
        let info = dataset.info();
        let missing = || DatasetError::Request(format!("{name}: episode {} has no video", at.episode));
        let episode = dataset.episodes().get(at.episode).ok_or_else(missing)?;
        let from_s = episode.videos.get(name).ok_or_else(missing)?.from_s;
        let path = video_path(dataset.root(), info, episode, name)?;
        if videos.len() >= REMEMBERED && !videos.contains_key(&path) {
            videos.clear();
        }
        let reader = match videos.entry(path.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let opened = VideoReader::open(&path).map_err(|e| DatasetError::content(&path, e))?;
                entry.insert(opened)
            }
        };
        let time_s = dataset.time(at)?;
        let seconds = from_s + time_s;
        let row = || format!("row {} of episode {}", at.frame, at.episode);
        let index = reader
            .index_at(seconds)
            .map_err(|e| DatasetError::content(&path, format!("{}: {e}", row())))?;
        let own = reader
            .time_of(index)
            .map_or(f64::INFINITY, |time| (time - seconds).abs());
        // Coarse time scales and other containers round the frames' own times; frames at a constant rate are still where
        // they belong. A frame that is further away is another one.
        let start = reader.time_of(0).unwrap_or(0.0);
        let by_rate = (start + index as f64 / reader.fps() - seconds).abs();
        let distance = match own < ROUNDED_S.max(reader.tick_s() - TOLERANCE_S) {
            true => own.min(by_rate),
            false => own,
        };
        // The start of an episode is a sum of many frame durations, so its rounding error grows with it.
        let tolerance_s = if is_rounded(time_s, info.fps) {
            ROUNDED_S
        } else {
            TOLERANCE_S
        };
        if distance > tolerance_s.max(1e-7 * seconds) {
            let problem = format!(
                "{} is at {seconds:.4} s, the nearest frame {distance:.4} s away; expected a frame at the timestamp of each \
                 row, found {} frames a second for {} rows",
                row(),
                reader.fps(),
                info.fps
            );
            return Err(DatasetError::content(&path, problem));
        }
        Ok(Self { path, reader, index })
    }

    /// Decodes the frame into `image`, which keeps its allocation.
    fn read(&mut self, image: &mut RgbImage) -> Result<(), DatasetError> {
        let frame = self.reader.frame(self.index);
        let frame = frame.map_err(|e| DatasetError::content(&self.path, e))?;
        image.reset(frame.width(), frame.height());
        image.data_mut().copy_from_slice(frame.data());
        Ok(())
    }
}
