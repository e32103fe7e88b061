//! Lease client of the operator: handles requests in order, without blocking the control loop.

use std::sync::{Arc, Mutex};

use rclrs::{Node, RclrsError};
use tokio::sync::{mpsc, oneshot};

use super::arm::ArmReport;
use super::{Steady, lock};
use crate::ros::client::heartbeat_publisher::HeartbeatThread;
use crate::ros::client::lease::{LeaseClient, LeaseRequestError, SourcePriority};
use crate::teleop::session::SOURCE;
use crate::types::time::Time;

/// Time within which the arm node must report a lease that it has granted (s).
const LEASE_REPORT_TIMEOUT_S: f64 = 0.5;

/// The lease, and requests in progress about it.
pub struct OperatorLease {
    shared: Arc<Shared>,
    requests: mpsc::UnboundedSender<LeaseRequest>,
    leases: LeaseClient,
}

enum LeaseRequest {
    Acquire,
    Release(u64),
    Tell(oneshot::Sender<()>),
}

struct Shared {
    state: Mutex<LeaseState>,
    heartbeat: HeartbeatThread,
    steady: Steady,
}

#[derive(Default)]
struct LeaseState {
    granted: Option<Granted>,
    /// Requested, and not answered yet.
    asked: bool,
    refused: Option<String>,
}

#[derive(Clone, Copy)]
struct Granted {
    lease: u64,
    at: Time,
}

impl OperatorLease {
    /// Creates a client without a lease. The heartbeat thread calls `alive` before every heartbeat.
    ///
    /// # Errors
    /// When publisher or clients cannot be created.
    pub fn new(
        node: &Node,
        tokio: &tokio::runtime::Handle,
        steady: Steady,
        alive: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, RclrsError> {
        let leases = LeaseClient::new(node, SOURCE, SourcePriority::Operator)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            heartbeat: HeartbeatThread::start(node, SOURCE, alive)?,
            steady,
        });
        let (requests, received) = mpsc::unbounded_channel();
        tokio.spawn(serve(leases.clone(), received, Arc::clone(&shared)));
        Ok(Self {
            shared,
            requests,
            leases,
        })
    }

    /// Id of the lease held.
    pub fn lease(&self) -> Option<u64> {
        lock(&self.shared.state).granted.map(|granted| granted.lease)
    }

    /// Requests the lease, unless it is held or has been requested.
    pub fn acquire(&self) {
        let mut state = lock(&self.shared.state);
        if state.granted.is_some() || std::mem::replace(&mut state.asked, true) {
            return;
        }
        self.send(LeaseRequest::Acquire);
    }

    /// Releases the lease, upon which the arm node brakes and holds; heartbeats end at once. With `keep` the lease is
    /// requested again, so that no other source moves the arm meanwhile.
    pub fn release(&self, keep: bool) {
        let mut state = lock(&self.shared.state);
        self.shared.heartbeat.set_lease(None);
        let granted = state.granted.take();
        if let Some(granted) = granted {
            self.send(LeaseRequest::Release(granted.lease));
        }
        let again = keep && (granted.is_some() || state.asked);
        if again && !state.asked {
            self.send(LeaseRequest::Acquire);
        }
        state.asked = again;
    }

    /// Returns a receiver that resolves when all requests so far have been handled.
    pub fn settled(&self) -> oneshot::Receiver<()> {
        let (done, settled) = oneshot::channel();
        self.send(LeaseRequest::Tell(done));
        settled
    }

    /// The reason why the requested lease was refused; returned once.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.shared.state).refused.take()
    }

    /// Drops a lease that the arm node no longer reports; returns a message with the present holder.
    pub fn compare(&self, seen: &ArmReport) -> Option<String> {
        let mut state = lock(&self.shared.state);
        let granted = state.granted?;
        let shown = seen.arm.received.seconds_since(granted.at) > LEASE_REPORT_TIMEOUT_S;
        if !shown || seen.arm.lease == granted.lease {
            return None;
        }
        state.granted = None;
        self.shared.heartbeat.set_lease(None);
        let holder = if seen.holder.is_empty() { "nobody" } else { &seen.holder };
        Some(format!("the lease is held by {holder} now"))
    }

    /// Releases the lease and waits for the response; to be called at the node's end.
    pub fn close(&self, tokio: &tokio::runtime::Handle) {
        self.shared.heartbeat.set_lease(None);
        let granted = lock(&self.shared.state).granted.take();
        if let Some(granted) = granted
            && let Err(error) = tokio.block_on(self.leases.release(granted.lease))
        {
            tracing::warn!("the lease was not given back, it will lapse: {error}");
        }
    }

    fn send(&self, request: LeaseRequest) {
        // The receiver lives as long as tokio does.
        let _ = self.requests.send(request);
    }
}

async fn serve(leases: LeaseClient, mut requests: mpsc::UnboundedReceiver<LeaseRequest>, shared: Arc<Shared>) {
    while let Some(request) = requests.recv().await {
        match request {
            LeaseRequest::Tell(done) => {
                // The caller may have gone.
                let _ = done.send(());
            }
            LeaseRequest::Release(lease) => {
                if let Err(error) = leases.release(lease).await {
                    tracing::warn!("the lease was not given back: {error}");
                }
            }
            LeaseRequest::Acquire => {
                let answer = leases.acquire().await;
                let unwanted = shared.take(answer);
                if let Some(lease) = unwanted
                    && let Err(error) = leases.release(lease).await
                {
                    tracing::warn!("the lease was not given back: {error}");
                }
            }
        }
    }
}

impl Shared {
    /// Handles a response; returns a granted lease that is no longer wanted.
    fn take(&self, answer: Result<u64, LeaseRequestError>) -> Option<u64> {
        let mut state = lock(&self.state);
        let wanted = std::mem::take(&mut state.asked);
        match answer {
            Ok(lease) if !wanted => return Some(lease),
            Ok(lease) => {
                state.granted = Some(Granted {
                    lease,
                    at: self.steady.now(),
                });
                self.heartbeat.set_lease(Some(lease));
            }
            Err(error) if wanted => state.refused = Some(error.to_string()),
            Err(_) => {}
        }
        None
    }
}
