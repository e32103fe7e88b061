//! Scenes as a dataset to learn from where things are: each episode is one row, its instruction names a thing, and its
//! action is the whole way there.
//!
//! ```text
//! seed, number ─► stage, arm at work or above ─► a thing that a camera sees ─► instruction, way to it ─┐
//!                                                pictures of both cameras ─────────────────────────────┴─► episode
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::camera::{Eyes, View};
use super::collect::{Beside, CollectError};
use super::config::SimConfig;
use super::error::SimError;
use super::look::Look;
use super::stage::{Arm, Posture, Stage, Thing, stage};
use crate::control::types::Pose;
use crate::dataset::DatasetWriter;
use crate::dataset::frame::ImageMode;
use crate::dataset::writer::Whole;
use crate::recording::steps::{Commanded, Sample, Steps};

/// What a thing is asked for with.
const WORDINGS: [&str; 8] = [
    "point at {}",
    "point to {}",
    "go to {}",
    "move to {}",
    "reach for {}",
    "find {}",
    "touch {}",
    "move the gripper to {}",
];
/// Share of scenes with the arm above them, tilted; in the others it is as the tasks have it.
const ABOVE_SHARE: f64 = 0.25;
/// A thing is asked for when one of the cameras sees this share of its upper side.
const SEEN_SHARE: f64 = 0.3;
/// Share of the rows that ask for the block, where it is seen: every task begins with it.
const BLOCK_SHARE: f64 = 0.5;
/// Scenes drawn for a row until one shows something.
const TRIES: u64 = 16;
/// Episodes in a file: few enough to be held in memory, about 30 MB.
const AT_ONCE: usize = 250;
/// Smaller values are 0 [m, rad].
const ROUNDING: f32 = 1e-9;
/// Rows a worker may be ahead.
const AHEAD: usize = 4;

/// What to write.
#[derive(Clone)]
pub struct Order {
    /// The table-top.
    pub sim: SimConfig,
    /// Episodes.
    pub count: usize,
    /// Decides everything.
    pub seed: u64,
    /// How pictures are kept.
    pub images: ImageMode,
    /// Threads that render; what they make does not depend on their number.
    pub jobs: usize,
    /// Writes something beside the rows.
    pub beside: Option<Arc<Beside>>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Written {
    /// Seed of the scenes.
    pub seed: u64,
    /// Episodes.
    pub episodes: usize,
    /// Episodes by the thing they ask for.
    pub asked: BTreeMap<String, usize>,
    /// Scenes that were drawn and showed nothing to ask for.
    pub empty_scenes: u64,
    /// Episodes in which the thing is seen by each camera; by both in many.
    pub seen: BTreeMap<&'static str, usize>,
}

/// A scene and the thing in it that is asked for.
pub struct Asked {
    /// The scene.
    pub stage: Stage,
    /// The thing.
    pub thing: Thing,
    /// The words.
    pub instruction: String,
    /// Share of the thing's upper side that each camera sees, in the order of [`View::ALL`].
    pub seen: [f64; 2],
    /// Where each camera's picture has the thing's middle, hidden or not [px].
    pub pixels: [Option<[f64; 2]>; 2],
    /// Scenes drawn before this one.
    pub empty_scenes: u64,
}

/// Writes `order.count` episodes behind those of a dataset; `told` hears of each.
///
/// # Errors
/// When a scene cannot be made or shown, or the disk refuses.
pub fn write(
    order: &Order,
    writer: &mut DatasetWriter,
    mut told: impl FnMut(&Asked, &Whole),
) -> Result<Written, CollectError> {
    let mut written = Written {
        seed: order.seed,
        ..Written::default()
    };
    std::thread::scope(|scope| {
        let jobs = order.jobs.max(1);
        let workers: Vec<Receiver<_>> = (0..jobs)
            .map(|worker| {
                let (sender, receiver) = sync_channel(AHEAD);
                scope.spawn(move || make_all(order, (worker..order.count).step_by(jobs), &sender));
                receiver
            })
            .collect();
        let mut waiting = Vec::new();
        // In turn, so that the order does not depend on which is quicker.
        for worker in workers.iter().cycle().take(order.count) {
            let Ok(made) = worker.recv() else { break };
            let (asked, whole) = made?;
            written.count(&asked);
            told(&asked, &whole);
            waiting.push(whole);
            if waiting.len() == AT_ONCE {
                writer.save_whole(std::mem::take(&mut waiting))?;
            }
        }
        Ok(writer.save_whole(waiting)?)
    })
    .map(|()| written)
}

type Made = Result<(Asked, Whole), CollectError>;

fn make_all(order: &Order, numbers: impl Iterator<Item = usize>, out: &SyncSender<Made>) {
    let mut eyes = Eyes::default();
    for number in numbers {
        let made = make(order, number as u64, &mut eyes);
        let last = made.is_err();
        // Nobody waits any more, or it makes no sense to go on.
        if out.send(made).is_err() || last {
            return;
        }
    }
}

fn make(order: &Order, number: u64, eyes: &mut Eyes) -> Made {
    let asked = ask(&order.sim, order.seed, number)?;
    eyes.begin_episode(&asked.stage.snapshot, number)?;
    let pictures = eyes.pictures(&asked.stage.snapshot, order.images)?;
    if let Some(beside) = &order.beside {
        beside(&asked.stage.snapshot, &pictures).map_err(CollectError::Beside)?;
    }
    let Posture { joints, tool, gripper } = asked.stage.arm;
    let here = Commanded { joints, tool, gripper };
    let there = Commanded {
        tool: asked.thing.reached(&tool),
        gripper: 1.0,
        ..here
    };
    let sample = |commanded| Sample {
        pictures: Vec::new(),
        joints,
        tool,
        commanded,
    };
    let mut steps = Steps::default();
    steps.push(Sample {
        pictures,
        ..sample(here)
    });
    let mut frames: Vec<_> = steps.push(sample(there)).into_iter().collect();
    // What rounding leaves of no turn at all would be stretched to the full range of the learned actions.
    let values = frames.iter_mut().flat_map(|frame| &mut frame.vectors).flatten();
    values
        .filter(|value| value.abs() < ROUNDING)
        .for_each(|value| *value = 0.0);
    let whole = Whole {
        task: asked.instruction.clone(),
        frames,
    };
    Ok((asked, whole))
}

/// What row `number` of a seed asks for.
///
/// # Errors
/// When MuJoCo refuses a scene, or the table-top shows nothing in any.
pub fn ask(config: &SimConfig, seed: u64, number: u64) -> Result<Asked, SimError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The scenes themselves take the streams below.
    random.set_stream(u64::MAX - number);
    for empty_scenes in 0..TRIES {
        let arm = match random.random_bool(ABOVE_SHARE) {
            true => Arm::Above,
            false => Arm::AtWork,
        };
        let stage = stage(config, seed, number * TRIES + empty_scenes, arm)?;
        let mut look = Look::new(&stage.snapshot)?;
        let mut seen = Vec::new();
        for thing in stage.things.iter().filter(|thing| !thing.said.is_empty()) {
            let points = thing.upper_side();
            let shares = View::ALL.map(|view| look.share_seen(view, &points));
            if shares.iter().any(|share| *share >= SEEN_SHARE) {
                seen.push((thing.clone(), shares));
            }
        }
        let (block, others): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(thing, _)| thing.said.len() > 1);
        let first = if random.random_bool(BLOCK_SHARE) {
            [block, others]
        } else {
            [others, block]
        };
        let Some((thing, seen)) = first.iter().find_map(|of| of.choose(&mut random)).cloned() else {
            continue;
        };
        let name = thing.said.choose(&mut random).map_or("", String::as_str);
        let wording = WORDINGS.choose(&mut random).copied().unwrap_or_default();
        return Ok(Asked {
            pixels: View::ALL.map(|view| look.camera(view)?.pixel(&thing.place)),
            instruction: wording.replace("{}", name),
            stage,
            thing,
            seen,
            empty_scenes,
        });
    }
    Err(SimError::Begin(format!(
        "none of {TRIES} scenes shows anything to point at; look at them with `thinkvla questions`"
    )))
}

impl Thing {
    /// The tool's pose when its tip is in the middle of the thing, turned about the vertical by the least angle that
    /// aligns fingers and edges, if it has edges that are told.
    pub fn reached(&self, base_from_tool: &Pose) -> Pose {
        let turn = self.turn.map_or(0.0, |edges| {
            let along = base_from_tool.rotation * Vector3::x();
            super::stage::quarter(edges - along.y.atan2(along.x))
        });
        let turned = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), turn) * base_from_tool.rotation;
        Pose::from_parts(Translation3::from(self.place), turned)
    }
}

impl Written {
    fn count(&mut self, asked: &Asked) {
        self.episodes += 1;
        self.empty_scenes += asked.empty_scenes;
        *self.asked.entry(asked.thing.name.clone()).or_default() += 1;
        for (view, share) in View::ALL.iter().zip(asked.seen) {
            *self.seen.entry(view.name()).or_default() += usize::from(share >= SEEN_SHARE);
        }
    }
}
