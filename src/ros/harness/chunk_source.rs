//! A source of small motions, for measurements of the arm node.

use rclrs::{IntoPrimitiveOptions as _, Publisher};
use ros_env::thinkvla::msg::ActionChunk as Message;

use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::{ActionChunk, PhysicalActions};
use crate::ros::client::heartbeat_publisher::HeartbeatThread;
use crate::ros::client::lease::{LeaseClient, SourcePriority};
use crate::ros::convert::chunk::{ChunkDetails, chunk_to_message};
use crate::ros::node::time::NodeClock;
use crate::ros::node::{qos, topics};
use crate::types::time::Time;

use super::error::HarnessError;
use super::session::HarnessSession;

const NAME: &str = "latency";
/// Steps of a chunk.
const STEPS: usize = 4;
/// Time between steps (s).
const STEP_PERIOD_S: f64 = 0.05;
/// Sideways motion of a step (m).
const STEP_M: f64 = 0.001;

/// Holds a lease and sends chunks that move the tool sideways by a few millimetres.
pub struct ChunkSource {
    lease: u64,
    client: LeaseClient,
    publisher: Publisher<Message>,
    clock: NodeClock,
    plan_id: u64,
    tokio: tokio::runtime::Handle,
    _heartbeat: HeartbeatThread,
}

impl ChunkSource {
    /// Acquires the lease and starts the heartbeat.
    ///
    /// # Errors
    /// When the arm node refuses the lease.
    pub fn start(session: &HarnessSession) -> Result<Self, HarnessError> {
        let client = LeaseClient::new(&session.node, NAME, SourcePriority::Policy)?;
        let publisher = session
            .node
            .create_publisher::<Message>(topics::CHUNK.name.qos(qos::chunk()))?;
        let heartbeat = HeartbeatThread::start(&session.node, NAME, || true)?;
        let lease = session
            .tokio
            .block_on(client.acquire())
            .map_err(|error| HarnessError::Refused {
                service: topics::ACQUIRE_LEASE.to_owned(),
                message: error.to_string(),
            })?;
        heartbeat.set_lease(Some(lease));
        Ok(Self {
            lease,
            client,
            publisher,
            clock: NodeClock::of(&session.node),
            plan_id: 0,
            tokio: session.tokio.clone(),
            _heartbeat: heartbeat,
        })
    }

    /// Whether the arm node subscribes to the chunks already.
    ///
    /// # Errors
    /// When the graph cannot be queried.
    pub fn has_subscriber(&self) -> Result<bool, HarnessError> {
        // One of the subscriptions is the observer's own.
        Ok(self.publisher.get_subscription_count()? >= 2)
    }

    /// Sends a chunk that moves the tool to one side and, every second time, back. Returns the time of sending.
    ///
    /// # Errors
    /// When ROS refuses the message.
    pub fn send(&mut self) -> Result<Time, HarnessError> {
        self.plan_id += 1;
        let sideways = if self.plan_id.is_multiple_of(2) {
            -STEP_M
        } else {
            STEP_M
        };
        let values = [0.0, sideways, 0.0, 0.0, 0.0, 0.0, 1.0].repeat(STEPS);
        let actions = PhysicalActions::new(ActionSpace::Ee7, values).map_err(|error| HarnessError::Refused {
            service: "chunk".to_owned(),
            message: error.to_string(),
        })?;
        let now = self.clock.now();
        let chunk = ActionChunk {
            actions,
            composition: Composition::Sequential,
            reference: Reference::Commanded,
            frame: "base_link".to_owned(),
            step_period: STEP_PERIOD_S,
            observed: now,
            expires: now.offset_secs(1.0),
            source: NAME.to_owned(),
            lease: self.lease,
            plan_id: self.plan_id,
        };
        let details = ChunkDetails::without_network(now);
        self.publisher.publish(chunk_to_message(&chunk, &details))?;
        Ok(now)
    }

    /// Releases the lease.
    pub fn end(self) {
        // An arm node that has ended has no lease to release.
        let _ = self.tokio.block_on(self.client.release(self.lease));
    }
}
