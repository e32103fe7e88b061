//! Inference backend: turns frames and an instruction into actions. Implemented by the network, and by stand-ins in tests.

use std::sync::Arc;
use std::time::Duration;

use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::control::chunk::PhysicalActions;
use crate::ros::convert::pose::PoseError;
use crate::ros::subscribe::images::Arrived;

/// A loaded checkpoint.
pub trait InferenceBackend: Send {
    /// Contract of the checkpoint.
    fn contract(&self) -> &Contract;

    /// SHA-256 of the weights.
    fn checkpoint_hash(&self) -> &str;

    /// Runs inference once on artificial images, so that the first real chunk is not delayed by initialisation.
    ///
    /// # Errors
    /// The reason why the network cannot run.
    fn warm_up(&mut self) -> Result<(), InferenceError>;

    /// Computes one chunk.
    ///
    /// # Errors
    /// The reason why there is no chunk for these inputs; the next call may succeed.
    fn act(&mut self, input: &BackendInput) -> Result<TimedActions, InferenceError>;

    /// Renders the geometry latents of the last chunk; `None` when the checkpoint has none, or before the first chunk.
    ///
    /// # Errors
    /// The reason why they cannot be rendered.
    fn geometry(&self) -> Result<Option<RgbImage>, InferenceError>;

    /// Begins to answer a question about `frames`, or about those of the last chunk with `None`; drops an answer in
    /// progress.
    ///
    /// # Errors
    /// The reason why it cannot be answered.
    fn begin_answer(&mut self, question: &ImageQuestion, frames: Option<&[Arc<Arrived>]>)
    -> Result<(), InferenceError>;

    /// Continues the answer by one step, which is as short as the network allows: a few tokens of the prompt, or one of the
    /// answer.
    ///
    /// # Errors
    /// The reason why it cannot continue; the answer has ended then.
    fn answer_step(&mut self) -> Result<AnswerStep, InferenceError>;

    /// Drops an answer in progress.
    fn cancel_answer(&mut self);
}

/// A question about the camera images.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageQuestion {
    /// Text of the question.
    pub text: String,
    /// Maximum length of the answer (tokens).
    pub max_tokens: u32,
    /// Sampling temperature; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Seed of the sampling.
    pub seed: u64,
}

/// Result of one step of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerStep {
    /// New text, in whole characters; may be empty.
    pub text: String,
    /// Number of tokens generated, 0 or 1.
    pub tokens: u32,
    /// Whether the answer continues.
    pub more: bool,
}

/// Inputs of one inference.
#[derive(Debug, Clone, Copy)]
pub struct BackendInput<'a> {
    /// One frame for each camera, in the contract's order.
    pub frames: &'a [Arc<Arrived>],
    /// State vector as the contract defines it, in physical units; empty where it defines none.
    pub state: &'a [f64],
    /// The task in words.
    pub instruction: &'a str,
}

/// A chunk with its durations.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedActions {
    /// The actions, in physical units.
    pub actions: PhysicalActions,
    /// Duration from images to network input.
    pub preprocess: Duration,
    /// Duration of the forward pass.
    pub inference: Duration,
}

/// Error of an inference.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InferenceError {
    /// A frame cannot be used.
    #[error("camera {camera}: {message}")]
    Frame {
        /// Name of the camera.
        camera: String,
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// The arm node's status, which has the robot's state, is too old.
    #[error(
        "the state the checkpoint reads is old: expected arm_status within {limit:.2} s, found none for {age:.2} s",
        limit = limit.as_secs_f64(),
        age = age.as_secs_f64()
    )]
    OldState {
        /// Largest age allowed.
        limit: Duration,
        /// Age found.
        age: Duration,
    },
    /// No status of the arm node has arrived.
    #[error("the state the checkpoint reads is missing: arm_node has not been heard of")]
    NoState,
    /// A pose in the arm node's status is invalid.
    #[error("arm_status: {0}")]
    Pose(#[from] PoseError),
    /// The network failed.
    #[error("{0}")]
    Network(String),
    /// A step of an answer was requested without a question.
    #[error("no question was asked")]
    NoQuestion,
}
