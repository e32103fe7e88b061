//! Self-test of a checkpoint on a recorded episode, through the whole pipeline from camera images to actions.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{BackendInput, InferenceBackend};
use super::checkpoint_swap::SelfTest;
use super::error::PolicyError;
use crate::camera::rgb::RgbImage;
use crate::contract::{Contract, DimensionStatistics};
use crate::dataset::decoded_images::DecodedImageReader;
use crate::dataset::schema::{PICTURES, STATE, action_column};
use crate::dataset::{At, Dataset, DatasetError};
use crate::model::thinkvla::actions::normalised;
use crate::ros::convert::image::{Payload, rgb8};
use crate::ros::subscribe::images::Arrived;
use crate::types::time::Time;

/// Number of moments of the episode to test.
const MOMENTS: usize = 8;

/// Runs a backend on moments of the dataset's last episode that has rows, and compares its actions with the recorded ones.
///
/// # Errors
/// When the dataset cannot be read, does not fit the checkpoint, or the network fails.
pub fn replay(backend: &mut dyn InferenceBackend, dataset: &Path) -> Result<SelfTest, PolicyError> {
    let contract = backend.contract().clone();
    let named = |e: &dyn std::fmt::Display| PolicyError::SelfTest {
        dataset: dataset.to_owned(),
        message: e.to_string(),
    };
    let data = Dataset::open(dataset).map_err(|e| named(&e))?;
    let episode = data.episodes().iter().rev().find(|episode| episode.length > 0);
    let episode = episode.ok_or_else(|| named(&"expected an episode, found none; record one"))?;
    let state_places = data.places(STATE, contract.data.state.iter().map(|of| of.name.as_str()));
    let state_places = state_places.map_err(|e| named(&e))?;
    let views: Vec<_> = contract
        .robot
        .cameras
        .iter()
        .map(|camera| format!("{PICTURES}{}", camera.name))
        .collect();
    let views: Vec<&str> = views.iter().map(String::as_str).collect();
    let mut images = DecodedImageReader::new(&data, &views).map_err(|e| named(&e))?;
    let (mut pictures, mut errors) = (Vec::new(), Mean::default());
    let moments = MOMENTS.min(episode.length);
    for moment in 0..moments {
        let at = At {
            episode: episode.index,
            frame: moment * episode.length / moments,
        };
        images.read(at, &mut pictures).map_err(|e| named(&e))?;
        let frames: Vec<_> = pictures.iter().map(arrived).collect();
        let state = match state_places.is_empty() {
            true => &[][..],
            false => data.values(STATE, at).map_err(|e| named(&e))?,
        };
        let state: Vec<f64> = state_places
            .iter()
            .filter_map(|i| state.get(*i))
            .map(|v| f64::from(*v))
            .collect();
        let acted = backend.act(&BackendInput {
            frames: &frames,
            state: &state,
            instruction: data.task(at).map_err(|e| named(&e))?,
        });
        let acted = acted.map_err(|e| named(&e))?;
        let done = done(&data, at, &contract).map_err(|e| named(&e))?;
        for ((found, expected), of) in acted.actions.values().iter().zip(&done).zip(dimensions(&contract)) {
            errors.add((normalised(*found, of) - normalised(*expected, of)).abs());
        }
    }
    let constant = constant(&data, episode.index, episode.length, &contract).map_err(|e| named(&e))?;
    Ok(SelfTest {
        moments,
        error: errors.value(),
        constant,
    })
}

/// Recorded actions from a row on, to the end of the chunk or the episode.
fn done(data: &Dataset, at: At, contract: &Contract) -> Result<Vec<f64>, DatasetError> {
    let column = action_column(contract.data.action_space);
    let steps = contract.model.as_ref().map_or(1, |model| model.chunk_len);
    let chunk = data.chunk(column, at, steps)?;
    let values = chunk.values.iter().take(chunk.valid * contract.data.statistics.len());
    Ok(values.map(|value| f64::from(*value)).collect())
}

/// Mean error of the constant chunk that consists of the medians over all chunks of the episode.
fn constant(data: &Dataset, episode: usize, length: usize, contract: &Contract) -> Result<f64, DatasetError> {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    for frame in 0..length {
        let done = done(data, At { episode, frame }, contract)?;
        columns.resize_with(columns.len().max(done.len()), Vec::new);
        for ((column, value), of) in columns.iter_mut().zip(&done).zip(dimensions(contract)) {
            column.push(normalised(*value, of));
        }
    }
    let mut errors = Mean::default();
    for column in &mut columns {
        column.sort_unstable_by(f64::total_cmp);
        let median = column.get(column.len() / 2).copied().unwrap_or_default();
        column.iter().for_each(|value| errors.add((value - median).abs()));
    }
    Ok(errors.value())
}

fn dimensions(contract: &Contract) -> impl Iterator<Item = &DimensionStatistics> {
    contract.data.statistics.iter().cycle()
}

/// Wraps a picture as a received camera image.
fn arrived(picture: &RgbImage) -> Arc<Arrived> {
    Arc::new(Arrived {
        payload: Payload::Raw(rgb8(picture.width(), picture.height(), picture.data())),
        stamp: Time::default(),
        received: Instant::now(),
    })
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(&self) -> f64 {
        self.sum / self.count
    }
}
