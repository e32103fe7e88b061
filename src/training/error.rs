//! Errors of a training step.

use crate::model::error::ModelError;

/// Error of a training step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A loss or a gradient is not a number.
    #[error(
        "{what}: expected a finite number, found {found}; nothing was changed by this step, look at its batch or train \
         with a smaller learning rate"
    )]
    NotFinite {
        /// Name of the loss, or of the group of gradients.
        what: String,
        /// Value that was found.
        found: f64,
    },
    /// A batch does not fit the network.
    #[error("batch, {part}: expected {expected}, found {found}")]
    Batch {
        /// Part of the batch.
        part: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A saved optimiser state does not fit the trained weights.
    #[error("optimiser state {key}: expected {expected}, found {found}; resume with the configuration that wrote it")]
    State {
        /// Name of the tensor.
        key: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The network failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A libtorch operation failed.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}
