//! Errors of a recorder that has started.

use tokio::task::JoinError;

use crate::dataset::DatasetError;
use crate::ros::convert::image::ImageMessageError;

/// Error of a service or action of the recorder, or of recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An instruction cannot be used in a prompt.
    #[error("{0}")]
    Instruction(String),
    /// An episode is started without an instruction.
    #[error("no instruction: set one with record_node/set_instruction first")]
    NoInstruction,
    /// An episode is started while streams are silent.
    #[error(
        "expected every stream to be alive before an episode begins, found nothing of {0}; are cameras and arm_node running, \
         and their topics named as here?"
    )]
    Silent(String),
    /// No episode is open.
    #[error("no episode is open: start one with record_node/start")]
    NoEpisode,
    /// The open episode must not be saved.
    #[error("not saved: {0}; discard it")]
    Refused(String),
    /// The dataset refused to save the episode.
    #[error("not saved: {0}")]
    NotSaved(DatasetError),
    /// The episode was discarded while an action waited for its end.
    #[error("the episode was discarded")]
    Discarded,
    /// The dataset cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An image of a camera cannot become part of a row.
    #[error("camera {camera}: {source}")]
    Camera {
        /// Name of the camera.
        camera: String,
        /// Error of the image.
        source: Box<RecordError>,
    },
    /// An image cannot be decoded.
    #[error(transparent)]
    Image(#[from] ImageMessageError),
    /// An image cannot be encoded.
    #[error("{0}")]
    Encoding(String),
    /// An image does not have the size of the contract.
    #[error("expected {expected:?} px as in the contract, found {found:?}")]
    Size {
        /// Width and height of the contract (px).
        expected: (u32, u32),
        /// Width and height found (px).
        found: (u32, u32),
    },
    /// A task of a service or action has panicked.
    #[error(transparent)]
    Task(#[from] JoinError),
}
