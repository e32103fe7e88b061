//! What turns frames and an instruction into actions; the network, or a stand-in in tests.

use std::sync::Arc;
use std::time::Duration;

use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::control::chunk::PhysicalActions;
use crate::ros::images::Arrived;

/// A loaded checkpoint.
pub trait Actor: Send {
    /// What it was trained on and for.
    fn contract(&self) -> &Contract;

    /// SHA-256 of the weights.
    fn checkpoint_hash(&self) -> &str;

    /// Runs once on made-up images, so that the first real chunk does not pay for set-up.
    ///
    /// # Errors
    /// Why the network cannot run.
    fn warm_up(&mut self) -> Result<(), String>;

    /// One chunk for one moment.
    ///
    /// # Errors
    /// Why there is no chunk for this moment; the next may be fine.
    fn act(&mut self, situation: &Situation) -> Result<Acted, ActError>;

    /// The geometry latents of the last chunk as a picture; `None` where the checkpoint has none, or before the first
    /// chunk.
    ///
    /// # Errors
    /// Why it cannot be drawn.
    fn geometry(&self) -> Result<Option<RgbImage>, String>;

    /// Begins to answer a question about `frames`, or about those of the last chunk where there are none; an answer in
    /// the making is forgotten.
    ///
    /// # Errors
    /// Why it cannot be answered.
    fn question(&mut self, question: &Question, frames: Option<&[Arc<Arrived>]>) -> Result<(), String>;

    /// Goes on with the answer by one step, as short as the network allows: a few tokens of the prompt, or one of the
    /// answer.
    ///
    /// # Errors
    /// Why it cannot go on; the answer is over then.
    fn speak(&mut self) -> Result<Said, String>;

    /// Forgets the answer in the making.
    fn hush(&mut self);
}

/// A question about what the cameras see.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// In words.
    pub text: String,
    /// Longest answer (tokens).
    pub max_tokens: u32,
    /// 0 takes the likeliest token at every step.
    pub temperature: f32,
    /// Of draws.
    pub seed: u64,
}

/// What one step of an answer brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whole characters; may be empty.
    pub text: String,
    /// Tokens made: 0 or 1.
    pub tokens: u32,
    /// Whether there is more to say.
    pub more: bool,
}

/// What there is to act on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Frames in the contract's camera order.
    pub frames: &'a [Arc<Arrived>],
    /// Values of the contract's state, in physical units; empty where it has none.
    pub state: &'a [f64],
    /// The task in words.
    pub instruction: &'a str,
}

/// A chunk and where the time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// The actions, in physical units.
    pub actions: PhysicalActions,
    /// Images to network input.
    pub preprocess: Duration,
    /// Forward pass.
    pub inference: Duration,
}

/// Why there is no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// A frame cannot be used.
    #[error("camera {camera}: {message}")]
    Frame {
        /// Camera by name.
        camera: String,
        /// Expected, found, what to do.
        message: String,
    },
    /// The robot's own state cannot be told.
    #[error("{0}")]
    State(String),
    /// The network failed.
    #[error("{0}")]
    Network(String),
}
