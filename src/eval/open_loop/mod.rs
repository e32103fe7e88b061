//! A policy against recorded rows: what it would do, and what was done.

mod errors;
mod report;

use std::path::Path;

use rand::seq::SliceRandom as _;

pub use errors::{ChunkError, ChunkErrors, MotionErrors, Spread};
pub use report::{OpenLoop, RowResult, Setting};

use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::contract::ActionSpace;
use crate::dataset::images::ImageReader;
use crate::dataset::{At, Dataset};
use crate::model::policy::{Observation, Policy};
use crate::training::config::DatasetShare;
use crate::training::data::medians::Medians;
use crate::training::data::mixture::Mixture;
use crate::training::data::sampler::{Place, randomness};
use crate::training::run_error::RunError;
use errors::WIDTH;

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// How many, each at most once; all where `None`.
    pub rows: Option<u64>,
    /// Draws them, and whose pictures each is shown besides.
    pub seed: u64,
}

/// Compares a policy's chunks with those of a dataset; tells of every row.
///
/// # Errors
/// When the dataset cannot be read, was recorded for another robot or otherwise than the checkpoint's, has fewer than two
/// rows, or its actions are not of the tool; when the network fails.
pub fn compare(
    policy: &mut Policy,
    dataset: &Path,
    drawn: Drawn,
    mut tell: impl FnMut(&RowResult),
) -> Result<OpenLoop, RunError> {
    let share = DatasetShare {
        path: dataset.to_owned(),
        weight: 1.0,
    };
    let mixture = Mixture::open(&[share], policy.contract())?;
    mixture.require_recorded_for(policy.contract())?;
    let [recorded] = mixture.datasets() else {
        return Err(RunError::data(dataset, "expected one dataset"));
    };
    let refuse = |message: String| RunError::data(dataset, message);
    if policy.contract().data.action_space != ActionSpace::Ee7 {
        let found = policy.contract().data.action_space;
        return Err(refuse(format!(
            "expected actions of the tool, ee7, found a checkpoint of {found:?}"
        )));
    }
    let order = draw(recorded, drawn.seed);
    if order.len() < 2 {
        return Err(refuse(format!("expected at least two rows, found {}", order.len())));
    }
    let chunk_len = policy.config().thinkvla.chunk_len as usize;
    let mut constant = Medians::new(chunk_len * WIDTH);
    for at in &order {
        let chunk = recorded.chunk(mixture.action_column(), *at, chunk_len)?;
        let counting = chunk.values.iter().take(chunk.valid * WIDTH);
        constant.see(counting.map(|value| (*value, true)));
    }
    let constant: Vec<f64> = constant.take().into_iter().map(f64::from).collect();
    let setting = Setting {
        checkpoint: policy.checkpoint_hash().to_owned(),
        dataset: dataset.to_owned(),
        rows_of_dataset: order.len(),
        seed: drawn.seed,
        chunk_len,
    };
    let mut viewer = Viewer::new(policy, &mixture, recorded)?;
    let wanted = drawn.rows.map_or(order.len(), |rows| order.len().min(rows as usize));
    let mut rows = Vec::with_capacity(wanted);
    for (number, at) in order.iter().take(wanted).enumerate() {
        let chunk = recorded.chunk(mixture.action_column(), *at, chunk_len)?;
        let done: Vec<f64> = chunk
            .values
            .iter()
            .take(chunk.valid * WIDTH)
            .map(|v| f64::from(*v))
            .collect();
        let of_other = other(&order, number);
        let row = RowResult {
            at: *at,
            instruction: recorded.task(*at)?.to_owned(),
            own: viewer.act(*at, *at)?,
            shuffled: viewer.act(*at, of_other)?,
            recorded: done,
        };
        tell(&row);
        rows.push(row);
    }
    Ok(OpenLoop::of(
        setting,
        &rows,
        &constant,
        mixture.contract().data.composition,
    ))
}

/// All rows in an order of their own.
fn draw(dataset: &Dataset, seed: u64) -> Vec<At> {
    let rows = |episode: usize, length: usize| (0..length).map(move |frame| At { episode, frame });
    let episodes = dataset.episodes().iter();
    let mut order: Vec<At> = episodes.flat_map(|of| rows(of.index, of.length)).collect();
    order.shuffle(&mut randomness(seed, "compared rows", [0, 0]));
    order
}

/// The next row of another episode, or, of a single episode, the next row.
fn other(order: &[At], number: usize) -> At {
    let own = order.get(number).copied().unwrap_or(At { episode: 0, frame: 0 });
    let after = || order.iter().cycle().skip(number + 1).take(order.len());
    let found = after().find(|at| at.episode != own.episode).or_else(|| after().next());
    found.copied().unwrap_or(own)
}

/// Shows rows to the policy.
struct Viewer<'a> {
    policy: &'a mut Policy,
    mixture: &'a Mixture,
    dataset: &'a Dataset,
    images: ImageReader<'a>,
    preprocessor: Preprocessor,
    pictures: Vec<RgbImage>,
}

impl<'a> Viewer<'a> {
    fn new(policy: &'a mut Policy, mixture: &'a Mixture, dataset: &'a Dataset) -> Result<Self, RunError> {
        let views = mixture.views();
        let views: Vec<&str> = views.iter().map(String::as_str).collect();
        let preprocessor = Preprocessor::new(policy.contract().data.resize, policy.config().patch_rule());
        Ok(Self {
            images: ImageReader::new(dataset, &views)?,
            preprocessor: preprocessor.map_err(|e| RunError::data(dataset.root(), e.to_string()))?,
            pictures: Vec::new(),
            policy,
            mixture,
            dataset,
        })
    }

    /// What the policy does when it is told a row's task and state, and shown the pictures of that or of another row.
    fn act(&mut self, at: At, pictures_of: At) -> Result<Vec<f64>, RunError> {
        self.images.read(pictures_of, &mut self.pictures)?;
        self.preprocessor.clear();
        for picture in &self.pictures {
            let pushed = self.preprocessor.push_rgb(picture);
            pushed.map_err(|e| {
                let At { episode, frame } = pictures_of;
                RunError::data(self.dataset.root(), format!("episode {episode}, frame {frame}: {e}"))
            })?;
        }
        let input = self.preprocessor.input();
        let state = self.mixture.state(Place { dataset: 0, at })?;
        let output = self.policy.act(&Observation {
            pixel_values: &input.pixel_values,
            grids: &input.grids,
            state: &state,
            instruction: self.dataset.task(at)?,
        })?;
        Ok(output.actions.values().to_vec())
    }
}
