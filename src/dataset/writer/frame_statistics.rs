//! Statistics of an episode while its frames are written.

use crate::camera::rgb::RgbImage;
use crate::dataset::episode_stats::FeatureStats;
use crate::dataset::frame::Frame;
use crate::dataset::info::Info;
use crate::dataset::parquet::rows::RowsPosition;
use crate::dataset::statistics::{Colours, Statistics, sampled};

/// Values and colours of an episode's frames, for its statistics.
pub(super) struct FrameStatistics {
    vectors: Vec<Vec<f32>>,
    colours: Vec<Colours>,
    length: usize,
    frame: usize,
    decoded: RgbImage,
}

impl FrameStatistics {
    /// Begins an episode of `length` frames.
    pub fn new(info: &Info, length: usize) -> Self {
        Self {
            vectors: vec![Vec::new(); info.vectors().count()],
            colours: vec![Colours::default(); info.pictures().count()],
            length,
            frame: 0,
            decoded: RgbImage::default(),
        }
    }

    /// Adds the next frame.
    ///
    /// # Errors
    /// When one of its pictures cannot be decoded.
    pub fn add(&mut self, frame: &Frame) -> Result<(), String> {
        for (all, values) in self.vectors.iter_mut().zip(frame.vectors.values()) {
            all.extend(values);
        }
        if sampled(self.length)(self.frame) {
            for (colours, picture) in self.colours.iter_mut().zip(&frame.pictures) {
                picture.decode(&mut self.decoded)?;
                colours.add(self.decoded.data(), self.decoded.width());
            }
        }
        self.frame += 1;
        Ok(())
    }

    /// Returns the statistics of the frames, and of their numbers when the rows are at this position.
    pub fn finish(&self, info: &Info, at: RowsPosition) -> FeatureStats {
        let vectors = info.vectors().zip(&self.vectors);
        let vectors = vectors.map(|((name, f), values)| (name.to_owned(), Statistics::of_rows(values, f.len())));
        let pictures = info.pictures().zip(&self.colours);
        let pictures = pictures.map(|((name, f), colours)| (name.to_owned(), colours.statistics(f.channels())));
        let frames = 0..self.length;
        let of = |value: &dyn Fn(usize) -> f64| Statistics::of_rows(&frames.clone().map(value).collect::<Vec<_>>(), 1);
        let defaults = [
            // Rows have times of 32 bits.
            ("timestamp", of(&|frame| f64::from((frame as f64 / info.fps) as f32))),
            ("frame_index", of(&|frame| frame as f64)),
            ("episode_index", of(&|_| at.episode as f64)),
            ("index", of(&|frame| (at.from + frame) as f64)),
            ("task_index", of(&|_| at.task as f64)),
        ];
        let defaults = defaults.map(|(name, all)| (name.to_owned(), all));
        vectors.chain(pictures).chain(defaults).collect()
    }
}
