//! Records episodes of the scripted expert in one process, on a virtual clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, json};

use super::camera::CameraRenderer;
use super::config::SimConfig;
use super::episode::{self, EpisodeMoment};
use super::error::SimError;
use super::tasks::{self, EpisodeId, Task};
use super::world::Snapshot;
use crate::control::config::ArmConfig;
use crate::dataset::frame::{Frame, ImageMode, Picture};
use crate::dataset::schema::ACTION;
use crate::dataset::{DatasetError, DatasetWriter};
use crate::recording::steps::{Commanded, StepSample, Steps};
use crate::stats::SuccessRate;

/// Translation below which the tool counts as hardly moving (m per row).
const SLOW_M: f64 = 0.0005;
/// Rotation below which the tool counts as hardly turning (rad per row).
const SLOW_RAD: f64 = 0.005;

/// A collection of episodes of the expert.
#[derive(Clone)]
pub struct Collection {
    /// The table-top.
    pub sim: SimConfig,
    /// The arm.
    pub arm: ArmConfig,
    /// The task; its three variations alternate.
    pub task: Task,
    /// Format of the pictures in the rows.
    pub images: ImageMode,
    /// Writer of additional data beside the rows.
    pub row_callback: Option<Arc<RowCallback>>,
}

/// Callback for each row, with the rendered state and its pictures, before the row is known to be saved. An error ends
/// the collection.
pub type RowCallback = dyn Fn(&Snapshot, &[Picture]) -> Result<(), RowCallbackError> + Send + Sync;

/// Error of a [`RowCallback`], which this module does not know.
pub type RowCallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Result of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectAttempt {
    /// Variation, 0 to 2.
    pub variation: u8,
    /// Seed of the scene.
    pub seed: u64,
    /// The judge's verdict; only successes are saved.
    pub success: bool,
    /// Conditions of success that held at the end.
    pub detail: String,
    /// Number of the episode in the dataset, if it was saved.
    pub episode: Option<usize>,
    /// Number of rows.
    pub frames: usize,
    /// Number of rows in which the tool hardly moves or turns and the gripper keeps its value.
    pub slow_frames: usize,
    /// Longest run of such rows.
    pub longest_dwell: usize,
}

/// Result of a collection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectReport {
    /// Task.
    pub task: String,
    /// Every attempt, in order.
    pub attempts: Vec<CollectAttempt>,
    /// Successes of all attempts.
    pub success: SuccessRate,
    /// Successes by variation.
    pub success_of_variation: BTreeMap<u8, SuccessRate>,
    /// Number of saved rows.
    pub frames: usize,
    /// Share of saved rows in which the tool hardly moves and the gripper keeps its value.
    pub slow_share: f64,
    /// Longest run of such rows in a saved episode.
    pub longest_dwell: usize,
}

/// Error that ends a collection.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The simulator fails.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The dataset cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The additional data beside the rows cannot be written.
    #[error("{0}")]
    RowCallback(RowCallbackError),
    /// A dataset of frames to be continued holds other rows.
    #[error(
        "{}: expected the {rows} rows of the dataset to be frames of seed {seed}, found {found}; name another folder",
        path.display()
    )]
    OtherRows {
        /// File of the counts.
        path: PathBuf,
        /// Number of rows of the dataset.
        rows: usize,
        /// Seed of the frames to write.
        seed: u64,
        /// What the file says.
        found: String,
    },
    /// The counts of the written frames cannot be put into JSON.
    #[error(transparent)]
    Counts(#[from] serde_json::Error),
}

/// Collects episodes one after another.
pub struct Collector {
    collection: Collection,
    renderer: CameraRenderer,
}

impl Collector {
    /// Creates a collector; resources are allocated with the first episode.
    pub fn new(collection: Collection) -> Self {
        Self {
            collection,
            renderer: CameraRenderer::default(),
        }
    }

    /// Attempts one episode and saves it if it succeeds.
    ///
    /// # Errors
    /// When the simulator or the disk fails.
    pub fn attempt(
        &mut self,
        writer: &mut DatasetWriter,
        variation: u8,
        seed: u64,
    ) -> Result<CollectAttempt, CollectError> {
        let Collection {
            sim,
            arm,
            task,
            images,
            row_callback,
        } = self.collection.clone();
        let id = EpisodeId { task, variation, seed };
        writer.begin(&tasks::layout(&sim, id)?.instruction)?;
        let period = 1.0 / writer.info().fps;
        let mut sampler = EpisodeSampler {
            steps: Steps::default(),
            next: None,
            period,
            images,
            row_callback,
            renderer: &mut self.renderer,
        };
        let mut dwell = Dwell::default();
        let outcome = episode::run::<CollectError>(&sim, &arm, id, |moment| {
            if let Some(row) = sampler.observe(moment)? {
                dwell.add(&row);
                writer.push(&row)?;
            }
            Ok(())
        })?;
        let episode = if outcome.success && dwell.frames > 0 {
            let notes = json!({ "task": task.to_string(), "variation": variation, "seed": seed, "operator": "expert",
                "simulated_s": outcome.seconds, "commands": outcome.commands, "clamps": outcome.clamps });
            let notes: Map<_, _> = notes.as_object().cloned().unwrap_or_default();
            Some(writer.save(&notes)?.episode)
        } else {
            writer.discard()?;
            None
        };
        Ok(CollectAttempt {
            variation,
            seed,
            success: outcome.success,
            detail: outcome.detail,
            episode,
            frames: dwell.frames,
            slow_frames: dwell.slow,
            longest_dwell: dwell.longest,
        })
    }
}

/// Samples an episode at the dataset's rate.
struct EpisodeSampler<'a> {
    steps: Steps,
    /// Time of the next sample (s).
    next: Option<f64>,
    period: f64,
    images: ImageMode,
    row_callback: Option<Arc<RowCallback>>,
    renderer: &'a mut CameraRenderer,
}

impl EpisodeSampler<'_> {
    /// Returns the row of this moment if one is due. Rows begin once the arm follows the expert and end when the expert
    /// is done; waiting for the judge is not recorded.
    fn observe(&mut self, moment: EpisodeMoment<'_>) -> Result<Option<Frame>, CollectError> {
        let now = moment.episode_world.world.time();
        if !moment.following || self.next.is_some_and(|next| now < next) {
            return Ok(None);
        }
        let status = moment.status();
        if self.next.is_none() && (status.plan_id == 0 || status.commands == 0) {
            return Ok(None);
        }
        self.next = Some(self.next.unwrap_or(now) + self.period);
        let sample = StepSample {
            pictures: self.take(&moment)?,
            joints: status.measured_joints,
            tool: status.measured_pose,
            commanded: Commanded {
                joints: status.commanded_joints,
                tool: status.commanded_pose,
                gripper: status.gripper,
            },
        };
        Ok(self.steps.push(sample))
    }

    /// Renders this moment, by the names of the cameras.
    fn take(&mut self, moment: &EpisodeMoment<'_>) -> Result<Vec<Picture>, CollectError> {
        let snapshot = moment.episode_world.world.snapshot();
        let pictures = self.renderer.pictures(&snapshot, self.images)?;
        if let Some(row_callback) = &self.row_callback {
            row_callback(&snapshot, &pictures).map_err(CollectError::RowCallback)?;
        }
        Ok(pictures)
    }
}

/// Counts rows in which the arm is hardly commanded to move.
#[derive(Debug, Default)]
struct Dwell {
    frames: usize,
    slow: usize,
    longest: usize,
    run: usize,
    gripper: Option<f32>,
}

impl Dwell {
    fn add(&mut self, row: &Frame) {
        let action = row.vectors.get(ACTION).map(Vec::as_slice).unwrap_or_default();
        let norm = |values: Option<&[f32]>| {
            let squares = values.unwrap_or_default().iter().map(|v| f64::from(*v).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let gripper = action.last().copied();
        let still = norm(action.get(..3)) < SLOW_M && norm(action.get(3..6)) < SLOW_RAD && gripper == self.gripper;
        self.frames += 1;
        self.slow += usize::from(still);
        self.run = if still { self.run + 1 } else { 0 };
        self.longest = self.longest.max(self.run);
        self.gripper = gripper;
    }
}

impl CollectReport {
    /// Summarises attempts.
    pub fn of(task: Task, attempts: Vec<CollectAttempt>) -> Self {
        let rate = |of: &dyn Fn(&CollectAttempt) -> bool| {
            let (tried, done) = attempts
                .iter()
                .filter(|attempt| of(attempt))
                .fold((0, 0), |(tried, done), attempt| {
                    (tried + 1, done + u32::from(attempt.success))
                });
            SuccessRate::of(done, tried)
        };
        let saved = || attempts.iter().filter(|attempt| attempt.episode.is_some());
        let frames: usize = saved().map(|attempt| attempt.frames).sum();
        let slow: usize = saved().map(|attempt| attempt.slow_frames).sum();
        Self {
            task: task.to_string(),
            success: rate(&|_| true),
            success_of_variation: (0..3)
                .map(|level| (level, rate(&|attempt| attempt.variation == level)))
                .collect(),
            frames,
            slow_share: slow as f64 / frames.max(1) as f64,
            longest_dwell: saved().map(|attempt| attempt.longest_dwell).max().unwrap_or_default(),
            attempts,
        }
    }
}
