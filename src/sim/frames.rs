//! Independent frames: random moments of randomised expert episodes, each one row of a dataset with the expert's next chunk.
//!
//! ```text
//! seed, number ─► situation: layout, path, moment on it ─► placed in the physics ─► pictures ────────┐
//!                                        └─► the chunk from there ──────────────────────────────────┴─► row
//! ```
//!
//! Rows of an episode look alike, and a network that learns to see needs variety: 20 000 frames show 20 000 layouts.
//! See docs/frames.md.

mod label;
mod placement;
mod situation;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::camera::Eyes;
use super::collect::{Beside, CollectError};
use super::config::SimConfig;
use super::expert::STEP_PERIOD_S;
use super::tasks::Task;
use super::world::Snapshot;
use crate::contract::{Contract, Data, Robot};
use crate::dataset::frame::ImageMode;
use crate::dataset::layout::Layout;
use crate::dataset::storage::{Disk, commit};
use crate::dataset::writer::Whole;
use crate::dataset::{DatasetError, DatasetWriter};
use crate::files;
use crate::parallel::in_order;

pub use label::{CorrectedState, Row, corrected};
pub use situation::{Block, Kind, Mix, Situation};

/// Situations drawn for a row until one is possible.
const TRIES: u64 = 64;
/// File of the counts of written frames, in the dataset.
pub const COUNTS: &str = "meta/thinkvla/frames.json";
/// Rows in a file: few enough to be held in memory, about 30 MB.
const ROWS_PER_FILE: usize = 250;

/// Options of the frames to write.
#[derive(Clone)]
pub struct FrameOrder {
    /// The table-top.
    pub sim: SimConfig,
    /// Rows.
    pub count: usize,
    /// Decides everything.
    pub seed: u64,
    /// Steps of a chunk, K.
    pub steps: usize,
    /// Shares of the kinds of frames.
    pub mix: Mix,
    /// Format of the pictures in the rows.
    pub images: ImageMode,
    /// Threads that render; what they make does not depend on their number.
    pub jobs: usize,
    /// Writes something beside the rows.
    pub beside: Option<Arc<Beside>>,
}

/// Counts of the written frames.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameCounts {
    /// Seed.
    pub seed: u64,
    /// Rows.
    pub frames: usize,
    /// Rows by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Rows by task whose scene they show.
    pub tasks: BTreeMap<String, usize>,
    /// Situations that were drawn and could not be: out of reach, or in the way of something.
    pub redrawn: u64,
}

/// One frame, placed in the physics.
pub struct PlacedFrame {
    /// Situation of the frame.
    pub situation: Situation,
    /// State from which its pictures are rendered.
    pub snapshot: Snapshot,
    /// The row without its pictures.
    row: label::Row,
    /// Situations drawn before this one.
    redrawn: u64,
}

/// A new dataset of the simulated robot whose rows hold chunks of `steps` steps, or one of frames to go on with.
///
/// # Errors
/// When the folder holds something else, or the disk refuses.
pub fn create_dataset(root: &Path, images: ImageMode, steps: usize) -> Result<DatasetWriter, DatasetError> {
    let contract = Contract {
        robot: Robot::simulated(),
        data: Data::unrecorded(1.0 / STEP_PERIOD_S),
        model: None,
    };
    let layout = Layout::of_arm(&contract, images)?.with_chunk(steps);
    if root.join(COUNTS).exists() {
        return DatasetWriter::resume(Arc::new(Disk), root).map(|(writer, _)| writer);
    }
    DatasetWriter::create(Arc::new(Disk), root, &layout, &contract)
}

/// Rows on their way into a dataset, `ROWS_PER_FILE` of them to a file.
pub struct RowFiles<'a> {
    writer: &'a mut DatasetWriter,
    waiting: Vec<Whole>,
}

impl<'a> RowFiles<'a> {
    /// Behind the rows that the dataset has.
    pub fn new(writer: &'a mut DatasetWriter) -> Self {
        Self {
            writer,
            waiting: Vec::new(),
        }
    }

    /// Takes a row; a file that is full is written. Says whether it was.
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

    /// Writes what is left.
    ///
    /// # Errors
    /// As [`DatasetWriter::save_whole`].
    pub fn finish(self) -> Result<(), DatasetError> {
        self.writer.save_whole(self.waiting)
    }
}

/// Writes the rows of an order that a dataset does not have yet; `told` hears of each. Each row is an episode of one row.
/// What was written is counted in [`COUNTS`] with every file, so that an order that was cut off can be gone on with.
///
/// # Errors
/// When the dataset has rows of something else, a scene cannot be made or shown, or the disk refuses.
pub fn write(
    order: &FrameOrder,
    writer: &mut DatasetWriter,
    mut told: impl FnMut(&PlacedFrame, &Whole),
) -> Result<FrameCounts, CollectError> {
    let path = writer.root().join(COUNTS);
    let mut counts = FrameCounts::begun(&path, order, writer)?;
    counts.save(&path)?;
    let written = counts.frames;
    let mut rows = RowFiles::new(writer);
    in_order(
        order.count.saturating_sub(written),
        0..order.jobs.max(1),
        |_| Eyes::default(),
        |eyes, number| render(order, (written + number) as u64, eyes),
        |rendered| -> Result<(), CollectError> {
            let (frame, whole) = rendered?;
            counts.add(&frame);
            told(&frame, &whole);
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

fn render(order: &FrameOrder, number: u64, eyes: &mut Eyes) -> Rendered {
    let frame = place(order, number)?;
    eyes.begin_episode(&frame.snapshot, number)?;
    let pictures = eyes.pictures(&frame.snapshot, order.images)?;
    if let Some(beside) = &order.beside {
        beside(&frame.snapshot, &pictures).map_err(CollectError::Beside)?;
    }
    let whole = Whole {
        task: frame.situation.instruction.clone(),
        frames: vec![frame.row.with_pictures(pictures)],
    };
    Ok((frame, whole))
}

/// Row `number` of an order, placed and labelled; nothing is rendered.
///
/// # Errors
/// When MuJoCo refuses the scene, or no situation that is drawn can be.
pub fn place(order: &FrameOrder, number: u64) -> Result<PlacedFrame, super::error::SimError> {
    let mut random = situation::randomness(order.seed, number);
    for redrawn in 0..TRIES {
        let situation = situation::draw(&order.sim, &order.mix, &mut random)?;
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
         lengths in config/sim.yaml"
    )))
}

impl FrameCounts {
    /// Of the rows that a dataset has already.
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
                let told = counts.map_or("nothing that counts them".to_owned(), |counts| {
                    format!("{} of seed {}", counts.frames, counts.seed)
                });
                Err(CollectError::Beside(format!(
                    "{}: expected the {found} rows of the dataset to be frames of seed {}, found {told}; name another folder",
                    path.display(),
                    order.seed
                )))
            }
        }
    }

    fn save(&self, path: &Path) -> Result<(), CollectError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| CollectError::Beside(error.to_string()))?;
        Ok(commit(&Disk, path, &bytes)?)
    }

    fn add(&mut self, frame: &PlacedFrame) {
        self.frames += 1;
        self.redrawn += frame.redrawn;
        *self.kinds.entry(frame.situation.kind.name().to_owned()).or_default() += 1;
        *self.tasks.entry(frame.situation.id.task.name().to_owned()).or_default() += 1;
    }
}

impl Mix {
    /// Names what cannot work.
    ///
    /// # Errors
    /// When there is no task, or shares are not between 0 and 1 together.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [self.recovery, self.pointing];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 {
            return Err(format!(
                "shares of recovery and pointing: expected 0 to 1, together at most 1, found {} and {}",
                self.recovery, self.pointing
            ));
        }
        if self.tasks.is_empty() && self.pointing < 1.0 {
            return Err("tasks: expected at least one, or a pointing share of 1, found none".into());
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
