//! Drives episodes of the simulator with a checkpoint.

use std::path::Path;
use std::time::Instant;

use super::cost::Cost;
use super::error::EvaluationError;
use super::shuffled_cameras::ShuffledCameras;
use super::{ChunkLatency, Evaluation};
use crate::camera::rgb::RgbImage;
use crate::contract::Robot;
use crate::control::chunk::{ActionChunk, ChunkOrigin, PhysicalActions};
use crate::control::proprioception::{ArmReading, Proprioception};
use crate::eval::viewer::{Viewer, ViewerInput};
use crate::model::policy::{Policy, PolicyOptions};
use crate::sim::camera::CameraRenderer;
use crate::sim::episode::{EpisodeMoment, EpisodeSetup};
use crate::sim::pilot::{Decision, Pilot};
use crate::sim::scene::SceneOptions;
use crate::supervisor::SupervisorStatus;
use crate::types::time::Time;

/// Source name in leases and chunks, the same as the policy node's.
const SOURCE: &str = "policy";
/// Longest time from a chunk's observation to its start (s), the same as the policy node's default.
const EXPIRY_S: f64 = 0.5;
/// Tolerance for physics steps that come too early (s).
const EARLY_S: f64 = 1e-6;

/// Device, type and threads of a checkpoint.
pub type NetworkOptions = PolicyOptions;

/// A loaded checkpoint that fits the simulated robot.
pub struct SimNetwork {
    viewer: Viewer,
    proprioception: Proprioception,
}

impl SimNetwork {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// When it is damaged, or was made for another robot than the simulated one.
    pub fn load(checkpoint: &Path, options: NetworkOptions) -> Result<Self, EvaluationError> {
        let policy = Policy::load(checkpoint, options)?;
        let contract = policy.contract();
        contract.robot.require_same(&Robot::simulated())?;
        Ok(Self {
            proprioception: Proprioception::of(contract)?,
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

    pub(super) fn pilot<'a>(&'a mut self, of: &'a Evaluation, renderer: &'a mut CameraRenderer) -> NetworkPilot<'a> {
        NetworkPilot {
            replan_s: f64::from(self.replan_steps(of)) / self.viewer.contract().data.fps,
            network: self,
            evaluation: of,
            renderer,
            shuffled: None,
            last: None,
            plan_id: 0,
            spent: Cost::default(),
            seen: None,
        }
    }

    fn act(
        &mut self,
        moment: &EpisodeMoment<'_>,
        status: &SupervisorStatus,
        pictures: &[RgbImage],
    ) -> Result<PhysicalActions, EvaluationError> {
        let state = self.proprioception.values(&ArmReading {
            joints: status.measured_joints,
            tool: status.measured_pose,
            commanded: status.commanded_pose,
            gripper: status.gripper,
        });
        let output = self.viewer.act(ViewerInput {
            pictures,
            state: &state,
            instruction: &moment.episode_world.layout.instruction,
        })?;
        Ok(output.actions)
    }
}

/// Pilot of one episode.
pub(super) struct NetworkPilot<'a> {
    network: &'a mut SimNetwork,
    evaluation: &'a Evaluation,
    renderer: &'a mut CameraRenderer,
    /// Another episode whose camera images the policy gets in place of its own.
    shuffled: Option<ShuffledCameras>,
    replan_s: f64,
    /// Time of the last observation.
    last: Option<Time>,
    plan_id: u64,
    /// Time spent on rendering and network so far.
    pub spent: Cost,
    /// Called at each moment at which a chunk is requested.
    pub seen: Option<&'a mut MomentCallback<'a>>,
}

/// Callback that gets a moment and its pictures.
pub(super) type MomentCallback<'a> = dyn FnMut(&EpisodeMoment<'_>, &[RgbImage]) -> Result<(), EvaluationError> + 'a;

impl NetworkPilot<'_> {
    fn render(&mut self, moment: &EpisodeMoment<'_>) -> Result<[RgbImage; 2], EvaluationError> {
        let world = &moment.episode_world.world;
        let seen = self.shuffled.as_ref().and_then(|shuffled| shuffled.at(world.time()));
        Ok(match seen {
            Some(snapshot) => self.renderer.render(snapshot)?,
            None => self.renderer.render(&world.snapshot())?,
        })
    }

    fn chunk(&mut self, now: Time, lease: u64, actions: PhysicalActions) -> ActionChunk {
        self.plan_id += 1;
        let origin = ChunkOrigin {
            source: SOURCE,
            lease,
            plan_id: self.plan_id,
            observed: now,
            expiry_s: EXPIRY_S,
        };
        ActionChunk::of_contract(self.network.viewer.contract(), actions, origin)
    }
}

impl Pilot<EvaluationError> for NetworkPilot<'_> {
    fn source(&self) -> &'static str {
        SOURCE
    }

    fn begin(&mut self, moment: &EpisodeMoment<'_>) -> Result<(), EvaluationError> {
        let episode_world = moment.episode_world;
        if self.evaluation.shuffle_cameras {
            self.shuffled = Some(ShuffledCameras::of(&EpisodeSetup {
                sim: &self.evaluation.sim,
                arm: &self.evaluation.arm,
                id: episode_world.id,
                scene: SceneOptions::default(),
            })?);
        }
        Ok(self
            .renderer
            .begin_episode(&episode_world.world.snapshot(), episode_world.id.seed)?)
    }

    fn limit_s(&self) -> f64 {
        self.evaluation.time_limit_s
    }

    fn decide(&mut self, moment: &EpisodeMoment<'_>) -> Result<Decision, EvaluationError> {
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
        let pictures = self.render(moment)?;
        if let Some(seen) = &mut self.seen {
            seen(moment, &pictures)?;
        }
        let looked = begun.elapsed();
        let actions = self.network.act(moment, &status, &pictures)?;
        // Rendering does not count as latency: a real camera takes no time of the policy.
        let computed = begun.elapsed() - looked;
        self.spent += Cost::network(looked, computed);
        self.last = Some(now);
        Ok(Decision::Send {
            chunk: self.chunk(now, status.lease, actions),
            latency_s: match self.evaluation.latency {
                ChunkLatency::Fixed(seconds) => seconds,
                ChunkLatency::Measured => computed.as_secs_f64(),
            },
        })
    }
}
