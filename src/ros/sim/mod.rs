//! The simulated robot as a node: physics, cameras, the topics of Realman's driver, and the scripted expert.
//!
//! ```text
//! rm_driver/* ──► inbox ──► physics_thread (physics, driver stand-in, judge; a thread) ──► joint_states, rm_driver/*, episode_status
//!                             │ snapshots                    │ starts and ends
//!                             ▼                              ▼
//!                    cameras (a thread) ──► */image_raw   expert (a thread) ──► chunk, heartbeat
//! ```

mod cameras;
mod commands;
mod driver_topics;
mod expert;
mod parameters;
mod physics_thread;

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Service};
use ros_env::thinkvla::srv::{ResetEpisode, ResetEpisode_Request, ResetEpisode_Response};

use self::commands::{Reset, SimCommand};
use self::parameters::{Declared, SimSettings};
use self::physics_thread::PhysicsThread;
use super::node::lock::lock;
use super::node::parameters::{NodeParameters, ParameterError};
use super::node::runtime::Runtime;
use crate::sim::error::SimError;
use crate::sim::tasks::{EpisodeId, Task};

/// Longest wait for a reset.
const RESET: Duration = Duration::from_secs(10);

/// Error that keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum SimNodeError {
    /// Invalid parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The simulation cannot be created.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// Error of a reset.
#[derive(Debug, thiserror::Error)]
enum ResetError {
    /// The request names no task, or the episode cannot be created.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The physics thread has ended.
    #[error("the simulation has ended")]
    Ended,
    /// The physics thread did not answer in time.
    #[error("the simulation did not answer within {RESET:?}")]
    Silent,
}

/// The running node.
pub struct SimNode {
    _parameters: NodeParameters,
    _ends: driver_topics::CommandTopics,
    _reset: Service<ResetEpisode>,
    _expert: expert::Subscriptions,
}

impl SimNode {
    /// Declares the parameters, creates the simulation and starts the threads.
    ///
    /// # Errors
    /// When a parameter or the configuration is invalid, or ROS reports an error.
    pub fn start(runtime: &Runtime) -> Result<Self, SimNodeError> {
        let node = runtime.node();
        let mut parameters = NodeParameters::of(runtime);
        let Declared {
            settings,
            config,
            faults,
        } = parameters::declare(&mut parameters)?;
        let (sender, inbox) = mpsc::channel();
        let commands = driver_topics::listen(node, settings.api, &sender)?;
        let states = driver_topics::StateTopics::new(node, settings.api)?;
        let (expert, subscriptions) = expert::start(runtime, &config)?;
        let cameras = cameras::start(runtime, &settings, faults.cameras.clone())?;
        let reset = serve_reset(node, &sender, settings.first)?;
        let physics = PhysicsThread::new(config, &settings, states, node)?;
        physics.start(
            physics_thread::Connections {
                inbox,
                faults,
                cameras,
                expert,
            },
            runtime.shutdown(),
        );
        ask_first(&sender, &settings);
        Ok(Self {
            _parameters: parameters.complete()?,
            _ends: commands,
            _reset: reset,
            _expert: subscriptions,
        })
    }
}

/// Requests the first episode like every other, without waiting for the response.
fn ask_first(sender: &mpsc::Sender<SimCommand>, settings: &SimSettings) {
    let (answer, _) = mpsc::channel();
    // The simulation's thread lives as long as the node.
    let _ = sender.send(SimCommand::Reset(Reset {
        id: settings.first,
        expert: settings.expert,
        answer,
    }));
}

fn serve_reset(
    node: &Node,
    sender: &mpsc::Sender<SimCommand>,
    first: EpisodeId,
) -> Result<Service<ResetEpisode>, RclrsError> {
    let sender = sender.clone();
    let present = Mutex::new(first.task);
    node.create_service::<ResetEpisode, _>("~/reset_episode".reliable(), move |request: ResetEpisode_Request| {
        match reset(&sender, &request, &present) {
            Ok(instruction) => ResetEpisode_Response {
                ok: true,
                instruction,
                message: String::new(),
            },
            Err(error) => ResetEpisode_Response {
                ok: false,
                instruction: String::new(),
                message: error.to_string(),
            },
        }
    })
}

/// Requests an episode and waits for it; returns its instruction. Without a task in the request it is the `present` one,
/// which an episode that has begun replaces.
fn reset(
    sender: &mpsc::Sender<SimCommand>,
    request: &ResetEpisode_Request,
    present: &Mutex<Task>,
) -> Result<String, ResetError> {
    let task = match request.task.as_str() {
        "" => *lock(present),
        name => name.parse::<Task>()?,
    };
    let (answer, answered) = mpsc::channel();
    let command = SimCommand::Reset(Reset {
        id: EpisodeId {
            task,
            variation: request.variation,
            seed: request.seed,
        },
        expert: request.expert,
        answer,
    });
    sender.send(command).map_err(|_| ResetError::Ended)?;
    let instruction = answered.recv_timeout(RESET).map_err(|_| ResetError::Silent)??;
    *lock(present) = task;
    Ok(instruction)
}
