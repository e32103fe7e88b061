//! Correction data in the manner of DAgger: a policy drives, and the expert's chunk is recorded in each state it
//! reaches.
//!
//! ```text
//! policy ─► arm ─► a state that no demonstration visits ─┬─► the policy's own chunk
//!                                                        └─► the expert's, from there ─► row
//! ```

use std::path::PathBuf;

use nalgebra::{Translation3, Vector3};

use super::error::EvaluationError;
use super::network::SimNetwork;
use super::{ChunkLatency, Evaluation};
use crate::camera::rgb::RgbImage;
use crate::control::config::ArmConfig;
use crate::dataset::DatasetError;
use crate::dataset::frame::{ImageMode, Picture};
use crate::dataset::writer::{DatasetWriter, Whole};
use crate::parallel::in_order;
use crate::sim::camera::CameraRenderer;
use crate::sim::config::SimConfig;
use crate::sim::episode::{self, EpisodeMoment, EpisodeOutcome, EpisodeSetup};
use crate::sim::expert::{Interrupted, STEP_PERIOD_S, resume};
use crate::sim::frames::{CorrectedState, RowFiles, corrected};
use crate::sim::scene::SceneOptions;
use crate::sim::tasks::EpisodeId;
use crate::types::Pose;

/// Time over which the tool's velocity is taken as a finite difference (s).
const DIFFERENCE_S: f64 = 0.001;

/// A collection of corrections.
#[derive(Debug, Clone)]
pub struct Corrections {
    /// The simulated table-top.
    pub sim: SimConfig,
    /// The arm's parameters.
    pub arm: ArmConfig,
    /// Trials that the policy drives, in the order of their rows.
    pub trials: Vec<EpisodeId>,
    /// Latencies from a picture to the arm having its chunk (s), used by one trial after another in a cycle; 0 without
    /// any.
    pub latencies: Vec<f64>,
    /// Steps of a chunk that are executed before the next one is computed.
    pub replan_steps: u32,
    /// Simulated time after which a trial ends (s).
    pub time_limit_s: f64,
    /// Steps of a recorded chunk, K.
    pub steps: usize,
    /// Format of the pictures in the rows.
    pub images: ImageMode,
}

/// Error that ends the collection of corrections.
#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    /// The simulator or the network fails.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The dataset cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// Rows of one trial, and how it went.
type Trial = (Vec<Whole>, EpisodeOutcome);

impl Corrections {
    /// Runs all trials with copies of one policy, one thread each, and writes a row for each of their chunks. Rows do
    /// not depend on the number of copies. Calls `progress` with the outcome and the number of rows of each trial.
    ///
    /// # Errors
    /// When the disk refuses, or simulator or network fail.
    pub fn collect(
        &self,
        networks: &mut [SimNetwork],
        writer: &mut DatasetWriter,
        mut progress: impl FnMut(&EpisodeOutcome, usize),
    ) -> Result<(), CorrectionError> {
        let mut files = RowFiles::new(writer);
        in_order(
            self.trials.len(),
            networks,
            |network| (network, CameraRenderer::default()),
            |(network, renderer), turn| self.drive(network, renderer, turn),
            |driven| -> Result<(), CorrectionError> {
                let (rows, outcome) = driven?;
                progress(&outcome, rows.len());
                for row in rows {
                    files.push(row)?;
                }
                Ok(())
            },
        )?;
        Ok(files.finish()?)
    }

    fn drive(
        &self,
        network: &mut SimNetwork,
        renderer: &mut CameraRenderer,
        turn: usize,
    ) -> Result<Trial, EvaluationError> {
        let Some(id) = self.trials.get(turn).copied() else {
            return Err(EvaluationError::Nobody);
        };
        let of = &self.evaluation(id, turn);
        let setup = EpisodeSetup {
            sim: &of.sim,
            arm: &of.arm,
            id,
            scene: SceneOptions {
                smooth_edges: false,
                ..SceneOptions::default()
            },
        };
        let mut rows = Vec::new();
        let mut pilot = network.pilot(of, renderer);
        let mut seen = |moment: &EpisodeMoment<'_>, pictures: &[RgbImage]| {
            rows.extend(self.row(moment, pictures)?);
            Ok(())
        };
        pilot.seen = Some(&mut seen);
        let outcome = episode::run_episode(&setup, &mut pilot, |_| Ok(()))?;
        drop(pilot);
        Ok((rows, outcome))
    }

    /// Returns the evaluation of one trial, without files.
    fn evaluation(&self, id: EpisodeId, turn: usize) -> Evaluation {
        let latency = self.latencies.iter().copied().cycle().nth(turn);
        Evaluation {
            sim: self.sim.clone(),
            arm: self.arm.clone(),
            trials: vec![id],
            latency: ChunkLatency::Fixed(latency.unwrap_or(0.0)),
            replan_steps: Some(self.replan_steps),
            time_limit_s: self.time_limit_s,
            shuffle_cameras: false,
            out: PathBuf::new(),
            videos: 0,
        }
    }

    /// Returns the row with the expert's chunk from this moment; `None` where the arm cannot follow it.
    fn row(&self, moment: &EpisodeMoment<'_>, pictures: &[RgbImage]) -> Result<Option<Whole>, EvaluationError> {
        let (sim, status) = (&self.sim, moment.status());
        let world = &moment.episode_world.world;
        let offset = Translation3::from(sim.driver.tool_offset_m);
        let arm = self.arm.arm.kinematics();
        let tool = |joints| -> Pose { arm.forward(&joints) * offset };
        let (joints, speeds) = (world.joints(), world.joint_velocities());
        let moved: Vector3<f64> =
            tool(joints + speeds * DIFFERENCE_S).translation.vector - tool(joints).translation.vector;
        let touching = world.touching();
        let from = Interrupted {
            tool: status.commanded_pose,
            velocity: moved / DIFFERENCE_S,
            block: world.object(),
            held: touching.left && touching.right,
            gripper_command: status.gripper,
            opening: world.opening(),
        };
        let path = resume(sim, &moment.episode_world.layout, &from);
        let next = path.pose(STEP_PERIOD_S) * offset.inverse();
        let Ok(next) = arm.inverse(&next, &status.commanded_joints) else {
            return Ok(None);
        };
        let state = CorrectedState {
            joints: status.measured_joints,
            tool: status.measured_pose,
            gripper_command: status.gripper,
            commanded: [status.commanded_joints, next],
        };
        let encode = |picture| Picture::encode(picture, self.images).map_err(EvaluationError::Picture);
        let pictures = pictures.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        Ok(corrected(&path, &state, self.steps).map(|row| Whole {
            task: moment.episode_world.layout.instruction.clone(),
            frames: vec![row.with_pictures(pictures)],
        }))
    }
}
