//! Errors that end an evaluation.

use crate::camera::file::{LoadError, SaveError};
use crate::camera::resize::ResizeError;
use crate::contract::ContractError;
use crate::control::proprioception::UnknownStateValue;
use crate::dataset::video::VideoError;
use crate::eval::journal::JournalError;
use crate::eval::viewer::ViewError;
use crate::model::error::ModelError;
use crate::sim::error::SimError;

/// Error that ends an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The simulator fails.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The trials on disk cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A video cannot be written.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The last picture of a trial cannot be reduced in size.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// A picture cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The last picture of a trial is missing or damaged.
    #[error("last picture of a trial: {0}; remove trials.jsonl to make the trials again")]
    Load(#[from] LoadError),
    /// There is no candidate.
    #[error("expected at least one candidate, found none")]
    Nobody,
    /// The checkpoint was made for another robot.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The arm does not provide the state that the checkpoint reads.
    #[error(transparent)]
    State(#[from] UnknownStateValue),
    /// A picture cannot be encoded.
    #[error("{0}")]
    Picture(String),
    /// The policy returns no chunk.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The checkpoint cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
}
