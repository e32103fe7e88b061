//! Errors of a policy node that has started.

use std::path::PathBuf;
use std::time::Duration;

use rclrs::RclrsError;
use tokio::task::JoinError;

use super::backend::InferenceError;
use super::health::HealthFault;
use crate::contract::ContractError;
use crate::ros::client::lease::LeaseRequestError;
use crate::ros::convert::image::ImageMessageError;

/// Error of a transition, a service or an answer of the policy node.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The parameter that names the checkpoint is empty.
    #[error("parameter checkpoint: expected a checkpoint directory, found nothing")]
    NoCheckpoint,
    /// A request to load a checkpoint names none.
    #[error("path: expected a checkpoint directory, found nothing")]
    NoPath,
    /// The parameter that chooses the device is invalid.
    #[error("parameter device: {0}")]
    Device(String),
    /// The checkpoint's chunks are too short for the parameter.
    #[error("parameter replan_steps: expected at most the checkpoint's {steps} steps a chunk, found {found}")]
    ReplanSteps {
        /// Number of steps of a chunk.
        steps: usize,
        /// Value of the parameter.
        found: i64,
    },
    /// The arm's status does not contain a value of the checkpoint's state.
    #[error("{0}")]
    StateDefinition(String),
    /// The checkpoint cannot be loaded, or a check of its files fails.
    #[error("{0}")]
    Checkpoint(String),
    /// The self-test of a checkpoint failed.
    #[error("self-test on {dataset}: {message}", dataset = dataset.display())]
    SelfTest {
        /// Folder of the dataset.
        dataset: PathBuf,
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// The file that describes the arm cannot be used.
    #[error("robot file {path}: {message}; set the parameter robot to a file like config/robots/rm75.yaml", path = path.display())]
    RobotFile {
        /// The file.
        path: PathBuf,
        /// The error found.
        message: String,
    },
    /// The live robot is not that of the contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A camera has sent nothing usable.
    #[error("camera {0}: no usable image has come")]
    NoImage(String),
    /// The newest image of a camera cannot be decoded.
    #[error(transparent)]
    Image(#[from] ImageMessageError),
    /// The robot is not that of a checkpoint to switch to.
    #[error("{path}: {source}", path = path.display())]
    OtherRobot {
        /// Directory of the checkpoint.
        path: PathBuf,
        /// Field that differs.
        source: Box<PolicyError>,
    },
    /// The cameras cannot be subscribed to.
    #[error("cannot listen to the cameras: {0}")]
    Cameras(RclrsError),
    /// The node is activated before it is configured.
    #[error("not configured")]
    NotLoaded,
    /// Cameras or arm node did not appear in time.
    #[error("waited {seconds} s in vain for {missing}")]
    Missing {
        /// Time waited (s).
        seconds: f64,
        /// What is missing.
        missing: String,
    },
    /// The arm node did not grant the lease.
    #[error(transparent)]
    Lease(#[from] LeaseRequestError),
    /// Another checkpoint is being loaded.
    #[error("expected one load at a time, found another under way; wait for its answer")]
    Loading,
    /// A service needs a configured policy.
    #[error("expected a configured policy, found none; configure policy_node first")]
    NotConfigured,
    /// The policy was cleaned up while a checkpoint was loaded.
    #[error("expected a configured policy, found none; configure policy_node first; it was cleaned up meanwhile")]
    CleanedUp,
    /// No checkpoint waits for a switch.
    #[error("expected a checkpoint that was loaded, found none; call load_checkpoint first")]
    NothingLoaded,
    /// No checkpoint has been replaced yet.
    #[error("expected a checkpoint that acted before, found none; nothing was switched yet")]
    NothingBefore,
    /// The thread that loads a checkpoint has ended without a result.
    #[error("the thread that loads ended; the log says why")]
    LoaderEnded,
    /// The directory of checkpoints cannot be read.
    #[error("cannot read {path}: {source}; name a directory that holds checkpoints", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A task of a service has panicked.
    #[error(transparent)]
    Task(#[from] JoinError),
    /// A question comes while the policy is not active.
    #[error("expected an active policy, found none; activate policy_node first")]
    NotActive,
    /// A question comes while another one is being answered.
    #[error("another question is being answered; ask again when its last piece has come")]
    Answering,
    /// The text of a question is empty or too long.
    #[error("question: expected 1 .. {longest} characters, found {found}")]
    QuestionLength {
        /// Largest permitted length (characters).
        longest: usize,
        /// Length found (characters).
        found: usize,
    },
    /// The requested answer is too long.
    #[error("max_tokens: expected at most {longest}, found {found}")]
    AnswerLength {
        /// Largest permitted length (tokens).
        longest: u32,
        /// Length requested (tokens).
        found: u32,
    },
    /// The sampling temperature is negative or no number.
    #[error("temperature: expected 0 or a positive number, found {0}")]
    Temperature(f32),
    /// A question comes while the cameras have a fault.
    #[error("there is nothing to look at: {0}")]
    NothingToSee(HealthFault),
    /// No frames that belong together came for a question.
    #[error("waited {0:?} in vain for frames that belong together")]
    NoFrames(Duration),
    /// The geometry latents are to be published, and the checkpoint has none.
    #[error("this checkpoint has no geometry adapter; set publish_geometry to false")]
    NoGeometry,
    /// A message cannot be published.
    #[error("{0}")]
    Publish(RclrsError),
    /// Inference failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}
