//! Client of the lease, the right to command the arm, which the arm node grants.

use std::time::Duration;

use rclrs::{Client, Node, RclrsError, ServiceIDL};
use ros_env::thinkvla::srv::{AcquireLease, AcquireLease_Request, ReleaseLease, ReleaseLease_Request};

use crate::ros::node::topics;

/// Longest wait for a response of the arm node.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Priority of a source of motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePriority {
    /// A policy; does not pre-empt anyone.
    Policy,
    /// A person; pre-empts a policy.
    Operator,
}

/// Error of a lease request.
#[derive(Debug, thiserror::Error)]
pub enum LeaseRequestError {
    /// The arm node did not respond in time.
    #[error("{service} did not answer within {TIMEOUT:?}; is arm_node running in this namespace?")]
    Silent {
        /// Name of the service.
        service: &'static str,
    },
    /// The arm node refused.
    #[error("arm_node refused the lease: {0}")]
    Refused(String),
    /// Error of ROS.
    #[error("cannot ask for the lease: {0}")]
    Ros(#[from] RclrsError),
}

/// Client of the arm node's lease services.
#[derive(Clone)]
pub struct LeaseClient {
    acquire: Client<AcquireLease>,
    release: Client<ReleaseLease>,
    source: String,
    priority: SourcePriority,
}

impl LeaseClient {
    /// Creates the client of one source of motion.
    ///
    /// # Errors
    /// When the clients cannot be created.
    pub fn new(node: &Node, source: &str, priority: SourcePriority) -> Result<Self, RclrsError> {
        Ok(Self {
            acquire: node.create_client::<AcquireLease>(topics::ACQUIRE_LEASE)?,
            release: node.create_client::<ReleaseLease>(topics::RELEASE_LEASE)?,
            source: source.to_owned(),
            priority,
        })
    }

    /// Acquires the lease; to be awaited on tokio. Returns its id, never 0.
    ///
    /// # Errors
    /// When the arm node does not answer or refuses.
    pub async fn acquire(&self) -> Result<u64, LeaseRequestError> {
        let request = AcquireLease_Request {
            source: self.source.clone(),
            priority: match self.priority {
                SourcePriority::Policy => AcquireLease_Request::POLICY,
                SourcePriority::Operator => AcquireLease_Request::OPERATOR,
            },
        };
        let answer = ask(&self.acquire, topics::ACQUIRE_LEASE, request).await?;
        if answer.granted && answer.lease != 0 {
            Ok(answer.lease)
        } else {
            Err(LeaseRequestError::Refused(answer.message))
        }
    }

    /// Releases the lease; to be awaited on tokio.
    ///
    /// # Errors
    /// When the arm node does not answer or does not know the lease.
    pub async fn release(&self, lease: u64) -> Result<(), LeaseRequestError> {
        let request = ReleaseLease_Request { lease };
        let answer = ask(&self.release, topics::RELEASE_LEASE, request).await?;
        if answer.released {
            Ok(())
        } else {
            Err(LeaseRequestError::Refused(answer.message))
        }
    }
}

/// Calls a service; fails when there is no response within [`TIMEOUT`].
async fn ask<S: ServiceIDL>(
    client: &Client<S>,
    service: &'static str,
    request: S::Request,
) -> Result<S::Response, LeaseRequestError> {
    let answer = async {
        // A request sent before the service is discovered is lost.
        let _ = client.notify_on_service_ready().await;
        Ok::<_, RclrsError>(client.call::<_, S::Response>(request)?.await.ok())
    };
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer?.ok_or(LeaseRequestError::Silent { service }),
        Err(_) => Err(LeaseRequestError::Silent { service }),
    }
}
