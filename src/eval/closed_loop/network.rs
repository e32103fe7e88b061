//! Drives episodes of the simulator with a checkpoint.

use std::path::Path;
use std::time::Instant;

use super::cost::Cost;
use super::error::EvaluationError;
use super::stranger::Stranger;
use super::{Evaluation, Latency};
use crate::camera::rgb::RgbImage;
use crate::contract::Robot;
use crate::control::chunk::{ActionChunk, PhysicalActions};
use crate::control::proprioception::{Felt, Proprioception};
use crate::control::supervisor::Status;
use crate::control::time::Time;
use crate::eval::viewer::{Scene, Viewer};
use crate::model::policy::{Policy, PolicyOptions};
use crate::sim::camera::Eyes;
use crate::sim::episode::{Moment, Stage};
use crate::sim::pilot::{Decision, Pilot};
use crate::sim::scene::SceneOptions;

/// Source name in leases and chunks, the same as the policy node's.
const SOURCE: &str = "policy";
/// Longest time from a chunk's observation to its start (s), the same as the policy node's default.
const EXPIRY_S: f64 = 0.5;
/// Tolerance for physics steps that come too early (s).
const EARLY_S: f64 = 1e-6;

/// Device, type and threads of a checkpoint.
pub type NetworkOptions = PolicyOptions;

/// A loaded checkpoint that fits the simulated robot.
pub struct Network {
    viewer: Viewer,
    proprioception: Proprioception,
}

impl Network {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// When it is damaged, or was made for another robot than the simulated one.
    pub fn load(checkpoint: &Path, options: NetworkOptions) -> Result<Self, EvaluationError> {
        let policy = Policy::load(checkpoint, options)?;
        let contract = policy.contract();
        contract.robot.require_same(&Robot::simulated())?;
        Ok(Self {
            proprioception: Proprioception::of(contract).map_err(EvaluationError::State)?,
            viewer: Viewer::new(policy)?,
        })
    }

    /// Returns the SHA-256 of the weights.
    pub fn hash(&self) -> &str {
        self.viewer.checkpoint_hash()
    }

    /// Returns the number of steps from one chunk to the next.
    pub(super) fn replan_steps(&self, of: &Evaluation) -> u32 {
        let half = u32::try_from(self.viewer.chunk_len().div_ceil(2)).unwrap_or(u32::MAX);
        of.replan_steps.unwrap_or(half).max(1)
    }

    pub(super) fn pilot<'a>(&'a mut self, of: &'a Evaluation, eyes: &'a mut Eyes) -> NetworkPilot<'a> {
        NetworkPilot {
            replan_s: f64::from(self.replan_steps(of)) / self.viewer.contract().data.fps,
            network: self,
            evaluation: of,
            eyes,
            stranger: None,
            last: None,
            plan_id: 0,
            spent: Cost::default(),
            seen: None,
        }
    }

    fn act(
        &mut self,
        moment: &Moment<'_>,
        status: &Status,
        pictures: &[RgbImage],
    ) -> Result<PhysicalActions, EvaluationError> {
        let state = self.proprioception.values(&Felt {
            joints: status.measured_joints,
            tool: status.measured_pose,
            commanded: status.commanded_pose,
            gripper: status.gripper,
        });
        let output = self.viewer.act(Scene {
            pictures,
            state: &state,
            instruction: &moment.rig.layout.instruction,
        })?;
        Ok(output.actions)
    }
}

/// Pilot of one episode.
pub(super) struct NetworkPilot<'a> {
    network: &'a mut Network,
    evaluation: &'a Evaluation,
    eyes: &'a mut Eyes,
    /// Another episode whose camera images the policy gets in place of its own.
    stranger: Option<Stranger>,
    replan_s: f64,
    /// Time of the last observation.
    last: Option<Time>,
    plan_id: u64,
    /// Time spent on rendering and network so far.
    pub spent: Cost,
    /// Called at each moment at which a chunk is requested.
    pub seen: Option<&'a mut Seen<'a>>,
}

/// Callback that gets a moment and its pictures.
pub(super) type Seen<'a> = dyn FnMut(&Moment<'_>, &[RgbImage]) -> Result<(), EvaluationError> + 'a;

impl NetworkPilot<'_> {
    fn look(&mut self, moment: &Moment<'_>) -> Result<[RgbImage; 2], EvaluationError> {
        let world = &moment.rig.world;
        let seen = self.stranger.as_ref().and_then(|stranger| stranger.at(world.time()));
        Ok(match seen {
            Some(snapshot) => self.eyes.look(snapshot)?,
            None => self.eyes.look(&world.snapshot())?,
        })
    }

    fn chunk(&mut self, now: Time, lease: u64, actions: PhysicalActions) -> ActionChunk {
        self.plan_id += 1;
        let contract = self.network.viewer.contract();
        ActionChunk {
            actions,
            composition: contract.data.composition,
            reference: contract.data.reference,
            frame: contract.robot.base_frame.clone(),
            step_period: 1.0 / contract.data.fps,
            observed: now,
            expires: now.offset_secs(EXPIRY_S),
            source: SOURCE.to_owned(),
            lease,
            plan_id: self.plan_id,
        }
    }
}

impl Pilot<EvaluationError> for NetworkPilot<'_> {
    fn source(&self) -> &'static str {
        SOURCE
    }

    fn begin(&mut self, moment: &Moment<'_>) -> Result<(), EvaluationError> {
        let rig = moment.rig;
        if self.evaluation.shuffle_cameras {
            self.stranger = Some(Stranger::of(&Stage {
                sim: &self.evaluation.sim,
                arm: &self.evaluation.arm,
                id: rig.id,
                scene: SceneOptions::default(),
            })?);
        }
        Ok(self.eyes.begin_episode(&rig.world.snapshot(), rig.id.seed)?)
    }

    fn limit_s(&self) -> f64 {
        self.evaluation.time_limit_s
    }

    fn decide(&mut self, moment: &Moment<'_>) -> Result<Decision, EvaluationError> {
        let now = moment.time();
        // Chunks are requested at command ticks only, because a chunk is anchored at the time of a command.
        let early = |last: Time| now.seconds_since(last) < self.replan_s - EARLY_S;
        if !moment.ticked || self.last.is_some_and(early) {
            return Ok(Decision::Wait);
        }
        let status = moment.status();
        if !status.mode.is_armed() {
            return Ok(Decision::Finish);
        }
        let begun = Instant::now();
        let pictures = self.look(moment)?;
        if let Some(seen) = &mut self.seen {
            seen(moment, &pictures)?;
        }
        let looked = begun.elapsed();
        let actions = self.network.act(moment, &status, &pictures)?;
        // Rendering does not count as latency: a real camera takes no time of the policy.
        let thought = begun.elapsed() - looked;
        self.spent += Cost::network(looked, thought);
        self.last = Some(now);
        Ok(Decision::Send {
            chunk: self.chunk(now, status.lease, actions),
            latency_s: match self.evaluation.latency {
                Latency::Fixed(seconds) => seconds,
                Latency::Measured => thought.as_secs_f64(),
            },
        })
    }
}
