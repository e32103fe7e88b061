//! Errors of an operator's node that has started.

use std::time::Duration;

use rclrs::RclrsError;

use crate::ros::client::moves::MoveRequestError;

/// Error of a command to another node.
#[derive(Debug, thiserror::Error)]
pub enum TeleopError {
    /// No node offers the service.
    #[error("expected {node} to offer it, found nobody; is it running in this namespace?")]
    NoService {
        /// Name of the node.
        node: String,
    },
    /// The node did not answer in time.
    #[error("{node} did not answer within {limit:?}")]
    Silent {
        /// Name of the node.
        node: String,
        /// Time waited.
        limit: Duration,
    },
    /// The node refused, or could not do it.
    #[error("{0}")]
    Refused(String),
    /// A named move did not reach its end.
    #[error(transparent)]
    Move(#[from] MoveRequestError),
    /// Error of ROS.
    #[error(transparent)]
    Ros(#[from] RclrsError),
}
