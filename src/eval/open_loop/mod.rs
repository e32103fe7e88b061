//! Open-loop evaluation: compares a policy's chunks with the recorded ones.

mod errors;
mod report;

use std::path::Path;

use rand::seq::SliceRandom as _;

pub use errors::{ChunkDeviation, ChunkErrors, MotionErrors, Spread};
pub use report::{ComparisonSetting, OpenLoop, RowResult};

use crate::camera::rgb::RgbImage;
use crate::contract::ActionSpace;
use crate::dataset::decoded_images::DecodedImageReader;
use crate::dataset::{At, Dataset};
use crate::eval::viewer::{Viewer, ViewerInput};
use crate::training::config::DatasetShare;
use crate::training::data::constant_baseline::ConstantBaseline;
use crate::training::data::mixture::{HeldOutEpisodes, Mixture};
use crate::training::data::sampler::{RowPlace, randomness};
use crate::training::error::RunError;
use errors::WIDTH;

/// Selection of the rows to compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ComparedRows {
    /// Selects only episodes that this training run held out.
    pub held_out: Option<HeldOutEpisodes>,
    /// Number of rows, each drawn at most once; all where `None`.
    pub rows: Option<u64>,
    /// Seed of the rows' order, which also determines the other row whose pictures each is compared with.
    pub seed: u64,
}

/// Compares a policy's chunks with those of a dataset; calls `progress` with every row.
///
/// # Errors
/// When the dataset cannot be read, was recorded for another robot or otherwise than the checkpoint's, or has fewer
/// than two rows; when its actions are not of the tool; when the network fails.
pub fn compare(
    viewer: Viewer,
    dataset: &Path,
    drawn: ComparedRows,
    mut progress: impl FnMut(&RowResult),
) -> Result<OpenLoop, RunError> {
    let share = DatasetShare {
        path: dataset.to_owned(),
        weight: 1.0,
    };
    let mixture = Mixture::open(&[share], viewer.contract())?;
    mixture.require_recorded_for(viewer.contract())?;
    let [recorded] = mixture.datasets() else {
        return Err(RunError::data(dataset, "expected one dataset"));
    };
    let refuse = |message: String| RunError::data(dataset, message);
    let space = viewer.contract().data.action_space;
    if space != ActionSpace::Ee7 {
        let message = format!("expected actions of the tool, ee7, found a checkpoint of {space:?}");
        return Err(refuse(message));
    }
    let order = draw(recorded, drawn);
    if order.len() < 2 {
        return Err(refuse(format!("expected at least two rows, found {}", order.len())));
    }
    let chunk_len = viewer.chunk_len();
    let mut constant = ConstantBaseline::new(chunk_len * WIDTH);
    for at in &order {
        let chunk = recorded_chunk(&mixture, *at, chunk_len)?;
        constant.add(chunk.into_iter().map(|value| (value, true)));
    }
    let constant: Vec<f64> = constant.take().into_iter().map(f64::from).collect();
    let setting = ComparisonSetting {
        checkpoint: viewer.checkpoint_hash().to_owned(),
        dataset: dataset.to_owned(),
        held_out: drawn.held_out.is_some(),
        rows_of_dataset: order.len(),
        seed: drawn.seed,
        chunk_len,
    };
    let mut show = Show::new(viewer, &mixture, recorded)?;
    let wanted = drawn.rows.map_or(order.len(), |rows| order.len().min(rows as usize));
    let mut rows = Vec::with_capacity(wanted);
    for (number, at) in order.iter().take(wanted).enumerate() {
        let chunk = recorded_chunk(&mixture, *at, chunk_len)?;
        let row = RowResult {
            at: *at,
            instruction: recorded.task(*at)?.to_owned(),
            own: show.act(*at, *at)?,
            shuffled: show.act(*at, other(&order, number))?,
            recorded: chunk.into_iter().map(f64::from).collect(),
        };
        progress(&row);
        rows.push(row);
    }
    let composition = mixture.contract().data.composition;
    Ok(OpenLoop::of(setting, &rows, &constant, composition))
}

/// Returns the values of a recorded chunk that lie within its episode.
///
/// # Shapes
/// (up to `chunk_len`, 7), row major
fn recorded_chunk(mixture: &Mixture, at: At, chunk_len: usize) -> Result<Vec<f32>, RunError> {
    let mut chunk = mixture.chunk(RowPlace { dataset: 0, at }, chunk_len)?;
    chunk.values.truncate(chunk.valid * WIDTH);
    Ok(chunk.values)
}

/// Returns the selectable rows in an order drawn by seed.
fn draw(dataset: &Dataset, drawn: ComparedRows) -> Vec<At> {
    let episodes = match drawn.held_out {
        Some(run) => {
            let [_, held_out] = run.split(dataset);
            held_out
        }
        None => dataset.episodes().iter().map(|of| (of.index, of.length)).collect(),
    };
    let rows = |(episode, length)| (0..length).map(move |frame| At { episode, frame });
    let mut order: Vec<At> = episodes.into_iter().flat_map(rows).collect();
    order.shuffle(&mut randomness(drawn.seed, "compared rows", [0, 0]));
    order
}

/// Returns the next row of another episode or, if there is only one, the next row.
fn other(order: &[At], number: usize) -> At {
    let own = order.get(number).copied().unwrap_or(At { episode: 0, frame: 0 });
    let after = || order.iter().cycle().skip(number + 1).take(order.len());
    let found = after().find(|at| at.episode != own.episode).or_else(|| after().next());
    found.copied().unwrap_or(own)
}

/// Runs the policy on rows.
struct Show<'a> {
    viewer: Viewer,
    mixture: &'a Mixture,
    dataset: &'a Dataset,
    images: DecodedImageReader<'a>,
    pictures: Vec<RgbImage>,
}

impl<'a> Show<'a> {
    fn new(viewer: Viewer, mixture: &'a Mixture, dataset: &'a Dataset) -> Result<Self, RunError> {
        let views = mixture.views();
        let views: Vec<&str> = views.iter().map(String::as_str).collect();
        Ok(Self {
            images: DecodedImageReader::new(dataset, &views)?,
            pictures: Vec::new(),
            viewer,
            mixture,
            dataset,
        })
    }

    /// Returns the policy's chunk for a row's task and state, with the pictures of that row or of another.
    fn act(&mut self, at: At, pictures_of: At) -> Result<Vec<f64>, RunError> {
        self.images.read(pictures_of, &mut self.pictures)?;
        let state = self.mixture.state(RowPlace { dataset: 0, at })?;
        let acted = self.viewer.act(ViewerInput {
            pictures: &self.pictures,
            state: &state,
            instruction: self.dataset.task(at)?,
        });
        match acted {
            Ok(output) => Ok(output.actions.values().to_vec()),
            Err(error) => {
                let message = format!("episode {}, frame {}: {error}", at.episode, at.frame);
                Err(RunError::data(self.dataset.root(), message))
            }
        }
    }
}
