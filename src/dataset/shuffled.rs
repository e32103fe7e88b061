//! Samples in a shuffled order for training: image crops, the actions that follow, the instruction.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::decoded_images::DecodedImageReader;
use super::error::DatasetError;
use super::reader::{At, Chunk, Dataset};
use crate::camera::rgb::RgbImage;

/// Samples that each thread reads ahead.
const AHEAD: usize = 8;

/// Composition of the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShuffleRule {
    /// Columns of images.
    pub pictures: Vec<String>,
    /// Width and height of the crop (px), at the same relative place in all images of a sample.
    pub crop: (u32, u32),
    /// Column of actions.
    pub action: String,
    /// Number of actions.
    pub horizon: usize,
    /// Seed of the order and the crops.
    pub seed: u64,
    /// Number of reader threads.
    pub threads: usize,
}

/// Training sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ShuffledSample {
    /// Row that it begins at.
    pub at: At,
    /// Crops of the images, in the order of the columns.
    pub pictures: Vec<RgbImage>,
    /// Actions from this row on.
    pub actions: Chunk,
    /// Instruction.
    pub task: String,
}

/// Passes every row to `consume` once, in an order that depends on the seed alone, until `consume` breaks.
///
/// # Errors
/// When a row cannot be read, or an image is smaller than the crop.
pub fn shuffled(
    dataset: &Dataset,
    rule: &ShuffleRule,
    mut consume: impl FnMut(ShuffledSample) -> ControlFlow<()>,
) -> Result<(), DatasetError> {
    let mut order: Vec<At> = Vec::with_capacity(dataset.frames());
    for episode in dataset.episodes() {
        let episode_rows = (0..episode.length).map(|frame| At {
            episode: episode.index,
            frame,
        });
        order.extend(episode_rows);
    }
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(rule.seed));
    let threads = rule.threads.max(1);
    std::thread::scope(|scope| {
        let readers: Vec<Receiver<_>> = (0..threads)
            .map(|thread| {
                let (sender, receiver) = sync_channel(AHEAD);
                let mine = order.iter().copied().enumerate().skip(thread).step_by(threads);
                scope.spawn(move || read_all(dataset, rule, mine, &sender));
                receiver
            })
            .collect();
        // In turn, so that the order does not depend on which thread is quicker.
        for reader in readers.iter().cycle().take(order.len()) {
            let Ok(sample) = reader.recv() else { break };
            if consume(sample?).is_break() {
                break;
            }
        }
        Ok(())
    })
}

fn read_all(
    dataset: &Dataset,
    rule: &ShuffleRule,
    rows: impl Iterator<Item = (usize, At)>,
    out: &SyncSender<Result<ShuffledSample, DatasetError>>,
) {
    let names: Vec<&str> = rule.pictures.iter().map(String::as_str).collect();
    let mut reader = match DecodedImageReader::new(dataset, &names) {
        Ok(reader) => reader,
        Err(error) => return drop(out.send(Err(error))),
    };
    let mut images = Vec::new();
    for (number, at) in rows {
        let mut part = ChaCha8Rng::seed_from_u64(rule.seed);
        part.set_stream(number as u64 + 1);
        let place: (f64, f64) = part.random();
        let sample = (|| {
            let mut pictures = Vec::with_capacity(names.len());
            reader.read(at, &mut images)?;
            for (image, name) in images.iter().zip(&names) {
                let wrong =
                    |problem: String| DatasetError::content(dataset.root(), format!("{name} of row {at:?}: {problem}"));
                pictures.push(crop(image, rule.crop, place).map_err(wrong)?);
            }
            Ok(ShuffledSample {
                at,
                pictures,
                actions: dataset.chunk(&rule.action, at, rule.horizon)?,
                task: dataset.task(at)?.to_owned(),
            })
        })();
        let last = sample.is_err();
        // The receiver is gone, or an error ends the samples.
        if out.send(sample).is_err() || last {
            return;
        }
    }
}

/// Crops an image; `place` is the position, from 0 to 1 of the remaining width and height.
fn crop(image: &RgbImage, (width, height): (u32, u32), place: (f64, f64)) -> Result<RgbImage, String> {
    let (Some(right), Some(down)) = (image.width().checked_sub(width), image.height().checked_sub(height)) else {
        let (w, h) = (image.width(), image.height());
        return Err(format!("expected at least {width}x{height}, found {w}x{h}"));
    };
    let (left, top) = (
        (place.0 * f64::from(right + 1)) as usize,
        (place.1 * f64::from(down + 1)) as usize,
    );
    let mut out = RgbImage::new(width, height);
    for (to, from) in out.rows_mut().zip(image.rows().skip(top)) {
        if let Some(part) = from.get(left * 3..left * 3 + to.len()) {
            to.copy_from_slice(part);
        }
    }
    Ok(out)
}
