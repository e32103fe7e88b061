//! Second pass over a recording: its rows, each with the images that hold at its time.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use super::import::ImportOptions;
use super::index::{ColumnValue, Indexed};
use super::sample::{Stale, Ticks, held};
use super::signals::Signal;
use super::streams::picture;
use super::{BagError, bag};
use crate::camera::rgb::RgbImage;
use crate::dataset::DatasetWriter;
use crate::dataset::frame::{Frame, Picture};

/// Episode that is imported from a recording into a dataset.
pub(super) struct Episode<'a> {
    /// Index of the recording.
    pub indexed: &'a Indexed,
    /// Options of the import.
    pub options: &'a ImportOptions,
    /// Times of the rows.
    pub ticks: Ticks,
}

impl Episode<'_> {
    /// Checks all rows without reading images, so that nothing is written of a recording that cannot be imported.
    ///
    /// # Errors
    /// When a row has no recent message of a topic, or a value that is not finite.
    pub fn check(&self) -> Result<(), BagError> {
        self.rows_of_pictures()?;
        (0..self.ticks.count).try_for_each(|row| self.vectors(row).map(drop))
    }

    /// Reads the recording's images and writes all rows.
    ///
    /// # Errors
    /// As [`Self::check`], and when an image is damaged or differs in size from the first one.
    pub fn write(&self, files: &[PathBuf], writer: &mut DatasetWriter) -> Result<(), BagError> {
        let rows = self.rows_of_pictures()?;
        let cameras = self.options.cameras.len();
        // Images of rows that still lack those of other cameras.
        let mut waiting: BTreeMap<usize, Vec<Option<Picture>>> = BTreeMap::new();
        let mut next = 0;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut pixels = RgbImage::default();
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
                let seconds = rows.first().copied().unwrap_or_default() as f64 / self.ticks.fps;
                let failed = |problem: &dyn Display| {
                    let problem = format!("{}: at {seconds:.2} s: {problem}", message.topic);
                    BagError::content(&self.indexed.path, problem)
                };
                let data = message.data().map_err(|e| failed(&e))?;
                let read = picture(message.kind, &data, self.options.images, &mut pixels);
                let read = read.map_err(|e| failed(&e))?;
                self.require_size(message.topic, &pixels).map_err(|e| failed(&e))?;
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
                    let vectors = self.vectors(next)?;
                    writer.push(&Frame { vectors, pictures })?;
                    next += 1;
                }
                Ok(())
            })?;
        }
        for row in next..self.ticks.count {
            let pictures = waiting.remove(&row).into_iter().flatten().flatten().collect();
            let vectors = self.vectors(row)?;
            writer.push(&Frame { vectors, pictures })?;
        }
        Ok(())
    }

    fn camera_of(&self, topic: &str) -> Option<usize> {
        self.options
            .cameras
            .iter()
            .position(|camera| camera.topics.iter().any(|known| known.name == topic))
    }

    /// Checks that an image has the size of the topic's first one: rows of a dataset hold images of one size.
    fn require_size(&self, topic: &str, found: &RgbImage) -> Result<(), String> {
        let found = (found.width(), found.height());
        match self.indexed.sizes.get(topic) {
            Some(first) if *first != found => Err(format!(
                "expected pictures of {}x{} px as the first one, found {}x{}; cut the recording there",
                first.0, first.1, found.0, found.1
            )),
            _ => Ok(()),
        }
    }

    fn stale(&self, of: &str, row: usize, stale: Stale) -> BagError {
        let seconds = row as f64 / self.ticks.fps;
        let age = stale.age_s.map_or("missing".into(), |age| format!("{age:.3} s old"));
        let problem = format!(
            "{of}: at {seconds:.2} s its latest message is {age}; expected at most {} s; \
             cut the recording there, allow a greater age, or leave it out",
            self.options.max_age_s
        );
        BagError::content(&self.indexed.path, problem)
    }

    /// For each camera: the rows that show a message, by the number of the message on its topic.
    fn rows_of_pictures(&self) -> Result<Vec<BTreeMap<usize, Vec<usize>>>, BagError> {
        let mut all = Vec::new();
        for camera in &self.options.cameras {
            let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for topic in &camera.topics {
                let Some(stream) = self.indexed.pictures.get(&topic.name) else {
                    continue;
                };
                for row in 0..self.ticks.count {
                    let place = held(&stream.stamps, self.ticks.time(row), self.options.max_age_s);
                    let place = place.map_err(|stale| self.stale(&topic.name, row, stale))?;
                    let number = stream.items.get(place).copied().unwrap_or_default();
                    rows.entry(number).or_default().push(row);
                }
            }
            all.push(rows);
        }
        Ok(all)
    }

    /// Values of each column in a row.
    fn vectors(&self, row: usize) -> Result<BTreeMap<String, Vec<f32>>, BagError> {
        let columns = self.indexed.columns.iter();
        columns
            .map(|column| {
                let values = column.values.iter().map(|value| self.at(value, row));
                Ok((column.name.clone(), values.collect::<Result<Vec<f32>, BagError>>()?))
            })
            .collect()
    }

    /// Value in a row, in the type of the dataset.
    fn at(&self, value: &ColumnValue, row: usize) -> Result<f32, BagError> {
        let missing = Stale { age_s: None };
        let signal = self.indexed.signals.get(&value.topic);
        let found = signal.map_or(Err(missing), |signal| {
            signal.at(value.place, self.ticks.time(row), self.options.max_age_s)
        });
        let found = found.map_err(|stale| {
            let by_turns = signal.is_some_and(Signal::comes_by_turns);
            let of = if by_turns {
                format!("{}, {}", value.topic, value.name)
            } else {
                value.topic.clone()
            };
            self.stale(&of, row, stale)
        })?;
        let stored = found as f32;
        if !stored.is_finite() {
            let seconds = row as f64 / self.ticks.fps;
            let problem = format!(
                "{}: at {seconds:.2} s: expected a finite number for {}, found {found:e}; cut the recording there, or \
                 leave it out",
                value.topic, value.name
            );
            return Err(BagError::content(&self.indexed.path, problem));
        }
        Ok(stored)
    }
}
