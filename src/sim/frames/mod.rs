//! Independent frames: random moments of randomised expert episodes, each one row of a dataset with the expert's next chunk.
//!
//! ```text
//! seed, number ─► situation: layout, path, moment on it ─► placed in the physics ─► pictures ────────┐
//!                                        └─► the chunk from there ──────────────────────────────────┴─► row
//! ```
//!
//! Rows of one episode look alike, and a network that learns perception needs variety: 20 000 frames show 20 000
//! layouts. See docs/frames.md.

mod label;
mod placement;
mod situation;
mod situation_sampler;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::camera::CameraRenderer;
use super::collect::{CollectError, RowCallback};
use super::config::SimConfig;
use super::expert::STEP_PERIOD_S;
use super::tasks::Task;
use super::world::Snapshot;
use crate::contract::{Contract, Data, Robot};
use crate::dataset::frame::ImageMode;
use crate::dataset::schema::DatasetSchema;
use crate::dataset::storage::{Disk, commit};
use crate::dataset::writer::Whole;
use crate::dataset::{DatasetError, DatasetWriter};
use crate::files;
use crate::parallel::in_order;

pub use label::{CorrectedState, LabelledRow, corrected};
pub use situation::{BlockPlacement, Kind, Mix, PathOffset, Situation};

/// Number of situations drawn for a row until one is feasible.
const TRIES: u64 = 64;
/// File of the counts of written frames, within the dataset.
pub const COUNTS: &str = "meta/thinkvla/frames.json";
/// Rows in a file: few enough to be held in memory, about 30 MB.
const ROWS_PER_FILE: usize = 250;

/// Options of the frames to write.
#[derive(Clone)]
pub struct FrameOrder {
    /// The table-top.
    pub sim: SimConfig,
    /// Number of rows.
    pub count: usize,
    /// Seed of all random choices.
    pub seed: u64,
    /// Steps of a chunk, K.
    pub steps: usize,
    /// Shares of the kinds of frames.
    pub mix: Mix,
    /// Format of the pictures in the rows.
    pub images: ImageMode,
    /// Number of threads that render; the result does not depend on it.
    pub jobs: usize,
    /// Writer of additional data beside the rows.
    pub row_callback: Option<Arc<RowCallback>>,
}

/// Counts of the written frames.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameCounts {
    /// Seed.
    pub seed: u64,
    /// Number of rows.
    pub frames: usize,
    /// Number of rows by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Number of rows by the task of their scene.
    pub tasks: BTreeMap<String, usize>,
    /// Number of situations that were drawn and not feasible: out of reach or in collision.
    pub redrawn: u64,
}

/// One frame, placed in the physics.
pub struct PlacedFrame {
    /// Situation of the frame.
    pub situation: Situation,
    /// State from which its pictures are rendered.
    pub snapshot: Snapshot,
    /// The row without its pictures.
    row: label::LabelledRow,
    /// Number of infeasible situations drawn before this one.
    redrawn: u64,
}

/// Creates a dataset of the simulated robot whose rows hold chunks of `steps` steps, or opens one of frames to continue
/// it.
///
/// # Errors
/// When the folder holds something else, or cannot be written.
pub fn create_dataset(root: &Path, images: ImageMode, steps: usize) -> Result<DatasetWriter, DatasetError> {
    let contract = Contract {
        robot: Robot::simulated(),
        data: Data::unrecorded(1.0 / STEP_PERIOD_S),
        model: None,
    };
    let layout = DatasetSchema::of_arm(&contract, images)?.with_chunk(steps);
    if root.join(COUNTS).exists() {
        return DatasetWriter::resume(Arc::new(Disk), root).map(|(writer, _)| writer);
    }
    DatasetWriter::create(Arc::new(Disk), root, &layout, &contract)
}

/// Buffers rows for a dataset, `ROWS_PER_FILE` of them per file.
pub struct RowFiles<'a> {
    writer: &'a mut DatasetWriter,
    waiting: Vec<Whole>,
}

impl<'a> RowFiles<'a> {
    /// Appends to the rows that the dataset has.
    pub fn new(writer: &'a mut DatasetWriter) -> Self {
        Self {
            writer,
            waiting: Vec::new(),
        }
    }

    /// Adds a row; writes a file when it is full. Returns whether it was written.
    ///
    /// # Errors
    /// As [`DatasetWriter::save_whole`].
    pub fn push(&mut self, row: Whole) -> Result<bool, DatasetError> {
        self.waiting.push(row);
        let full = self.waiting.len() >= ROWS_PER_FILE;
        if full {
            self.writer.save_whole(std::mem::take(&mut self.waiting))?;
        }
        Ok(full)
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// As [`DatasetWriter::save_whole`].
    pub fn finish(self) -> Result<(), DatasetError> {
        self.writer.save_whole(self.waiting)
    }
}

/// Writes the rows of an order that a dataset does not have yet; calls `on_row` with each. Each row is an episode of its
/// own. [`COUNTS`] is updated with every file, so that an interrupted order can be continued.
///
/// # Errors
/// When the dataset has rows of another order, a scene cannot be built or rendered, or the disk refuses.
pub fn write(
    order: &FrameOrder,
    writer: &mut DatasetWriter,
    mut on_row: impl FnMut(&PlacedFrame, &Whole),
) -> Result<FrameCounts, CollectError> {
    let path = writer.root().join(COUNTS);
    let mut counts = FrameCounts::begun(&path, order, writer)?;
    counts.save(&path)?;
    let written = counts.frames;
    let mut rows = RowFiles::new(writer);
    in_order(
        order.count.saturating_sub(written),
        0..order.jobs.max(1),
        |_| CameraRenderer::default(),
        |renderer, number| render(order, (written + number) as u64, renderer),
        |rendered| -> Result<(), CollectError> {
            let (frame, whole) = rendered?;
            counts.add(&frame);
            on_row(&frame, &whole);
            if rows.push(whole)? {
                counts.save(&path)?;
            }
            Ok(())
        },
    )?;
    rows.finish()?;
    counts.save(&path)?;
    Ok(counts)
}

type Rendered = Result<(PlacedFrame, Whole), CollectError>;

fn render(order: &FrameOrder, number: u64, renderer: &mut CameraRenderer) -> Rendered {
    let frame = place(order, number)?;
    renderer.begin_episode(&frame.snapshot, number)?;
    let pictures = renderer.pictures(&frame.snapshot, order.images)?;
    if let Some(row_callback) = &order.row_callback {
        row_callback(&frame.snapshot, &pictures).map_err(CollectError::RowCallback)?;
    }
    let whole = Whole {
        task: frame.situation.instruction.clone(),
        frames: vec![frame.row.with_pictures(pictures)],
    };
    Ok((frame, whole))
}

/// Returns row `number` of an order, placed and labelled but not rendered.
///
/// # Errors
/// When MuJoCo refuses the scene, or no drawn situation is feasible.
pub fn place(order: &FrameOrder, number: u64) -> Result<PlacedFrame, super::error::SimError> {
    let mut random = situation_sampler::randomness(order.seed, number);
    for redrawn in 0..TRIES {
        let situation = situation_sampler::draw(&order.sim, &order.mix, &mut random)?;
        let Some(placed) = placement::place(&order.sim, &situation)? else {
            continue;
        };
        let Some(row) = label::row(&situation, &placed, order.steps) else {
            continue;
        };
        return Ok(PlacedFrame {
            situation,
            snapshot: placed.snapshot,
            row,
            redrawn,
        });
    }
    Err(super::error::SimError::Begin(format!(
        "none of {TRIES} situations drawn for frame {number} is within the arm's reach and free of contacts; check the \
         lengths in config/robots/sim_table_top.yaml"
    )))
}

impl FrameCounts {
    /// Returns the counts of the rows that a dataset already has.
    fn begun(path: &Path, order: &FrameOrder, writer: &DatasetWriter) -> Result<Self, CollectError> {
        let found = writer.info().total_frames;
        if found == 0 {
            return Ok(Self {
                seed: order.seed,
                ..Self::default()
            });
        }
        let counts: Option<Self> = files::read(path, files::CONFIGURATION)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match counts {
            Some(counts) if counts.seed == order.seed && counts.frames == found => Ok(counts),
            counts => {
                let recorded = counts.map_or("nothing that counts them".to_owned(), |counts| {
                    format!("{} of seed {}", counts.frames, counts.seed)
                });
                Err(CollectError::OtherRows {
                    path: path.to_owned(),
                    rows: found,
                    seed: order.seed,
                    found: recorded,
                })
            }
        }
    }

    fn save(&self, path: &Path) -> Result<(), CollectError> {
        let bytes = serde_json::to_vec_pretty(self)?;
        Ok(commit(&Disk, path, &bytes)?)
    }

    fn add(&mut self, frame: &PlacedFrame) {
        self.frames += 1;
        self.redrawn += frame.redrawn;
        *self.kinds.entry(frame.situation.kind.name().to_owned()).or_default() += 1;
        *self.tasks.entry(frame.situation.id.task.name().to_owned()).or_default() += 1;
    }
}

/// Error of the shares of the kinds of situations.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MixError {
    /// A share or their sum is not from 0 to 1.
    #[error("shares of recovery and pointing: expected 0 to 1, together at most 1, found {recovery} and {pointing}")]
    Shares {
        /// Share of recovery frames.
        recovery: f64,
        /// Share of pointing frames.
        pointing: f64,
    },
    /// Expert or recovery frames without a task.
    #[error("tasks: expected at least one, or a pointing share of 1, found none")]
    NoTask,
}

impl Mix {
    /// Checks the shares.
    ///
    /// # Errors
    /// When there is no task, or a share or their sum is not between 0 and 1.
    pub fn validate(&self) -> Result<(), MixError> {
        let shares = [self.recovery, self.pointing];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 {
            return Err(MixError::Shares {
                recovery: self.recovery,
                pointing: self.pointing,
            });
        }
        if self.tasks.is_empty() && self.pointing < 1.0 {
            return Err(MixError::NoTask);
        }
        Ok(())
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            tasks: Task::ALL.to_vec(),
            recovery: 0.3,
            pointing: 0.1,
        }
    }
}
