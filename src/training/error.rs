//! Why training cannot go on.

use crate::model::error::ModelError;

/// What went wrong in a training step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A loss or a gradient is not a number.
    #[error(
        "{what}: expected a finite number, found {found}; nothing was changed by this step, look at its batch or train \
         with a smaller learning rate"
    )]
    NotFinite {
        /// Which loss, or which group's gradients.
        what: String,
        /// What it is.
        found: f64,
    },
    /// A batch does not fit the network.
    #[error("batch, {part}: expected {expected}, found {found}")]
    Batch {
        /// Part of the batch.
        part: &'static str,
        /// What would fit.
        expected: String,
        /// What was there.
        found: String,
    },
    /// Saved optimiser states do not fit what is trained.
    #[error("optimiser state {key}: expected {expected}, found {found}; resume with the configuration that wrote it")]
    State {
        /// Name of the tensor.
        key: String,
        /// What would fit.
        expected: String,
        /// What was there.
        found: String,
    },
    /// The network refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}
