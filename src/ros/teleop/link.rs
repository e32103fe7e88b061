//! The operator's lease: asked for and given back one thing after the other, without making the helm wait.

use std::sync::{Arc, Mutex};

use rclrs::{Node, RclrsError};
use tokio::sync::{mpsc, oneshot};

use super::arm::Seen;
use super::{Steady, lock};
use crate::control::time::Time;
use crate::operator::session::SOURCE;
use crate::ros::heartbeat::Heartbeat;
use crate::ros::lease::{LeaseClient, Priority};

/// Time the arm node has to show a lease it granted (s).
const SHOWN_S: f64 = 0.5;

/// The lease, and what is under way about it.
pub struct Link {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    leases: LeaseClient,
}

enum Order {
    Acquire,
    Release(u64),
    Tell(oneshot::Sender<()>),
}

struct Shared {
    state: Mutex<State>,
    heartbeat: Heartbeat,
    steady: Steady,
}

#[derive(Default)]
struct State {
    granted: Option<Granted>,
    /// It was asked for, and no answer has come.
    asked: bool,
    refused: Option<String>,
}

#[derive(Clone, Copy)]
struct Granted {
    lease: u64,
    at: Time,
}

impl Link {
    /// A link without a lease. `alive` is asked before every heartbeat.
    ///
    /// # Errors
    /// When publisher or clients cannot be made.
    pub fn new(
        node: &Node,
        tokio: &tokio::runtime::Handle,
        steady: Steady,
        alive: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, RclrsError> {
        let leases = LeaseClient::new(node, SOURCE, Priority::Operator)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            heartbeat: Heartbeat::start(node, SOURCE, alive)?,
            steady,
        });
        let (orders, received) = mpsc::unbounded_channel();
        tokio.spawn(work(leases.clone(), received, Arc::clone(&shared)));
        Ok(Self { shared, orders, leases })
    }

    /// The lease held.
    pub fn lease(&self) -> Option<u64> {
        lock(&self.shared.state).granted.map(|granted| granted.lease)
    }

    /// Asks for the lease, unless it is held or has been asked for.
    pub fn acquire(&self) {
        let mut state = lock(&self.shared.state);
        if state.granted.is_some() || std::mem::replace(&mut state.asked, true) {
            return;
        }
        self.send(Order::Acquire);
    }

    /// Gives the lease back, upon which the arm node brakes and holds; heartbeats end at once. With `keep` it is asked
    /// for again, so that nobody else moves the arm meanwhile.
    pub fn release(&self, keep: bool) {
        let mut state = lock(&self.shared.state);
        self.shared.heartbeat.set_lease(None);
        let granted = state.granted.take();
        if let Some(granted) = granted {
            self.send(Order::Release(granted.lease));
        }
        let again = keep && (granted.is_some() || state.asked);
        if again && !state.asked {
            self.send(Order::Acquire);
        }
        state.asked = again;
    }

    /// Done when everything ordered so far is.
    pub fn settled(&self) -> oneshot::Receiver<()> {
        let (done, settled) = oneshot::channel();
        self.send(Order::Tell(done));
        settled
    }

    /// Why the lease that was asked for was not granted; said once.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.shared.state).refused.take()
    }

    /// Forgets a lease that the arm node does not know any more, and says who has it.
    pub fn compare(&self, seen: &Seen) -> Option<String> {
        let mut state = lock(&self.shared.state);
        let granted = state.granted?;
        let shown = seen.arm.received.seconds_since(granted.at) > SHOWN_S;
        if !shown || seen.arm.lease == granted.lease {
            return None;
        }
        state.granted = None;
        self.shared.heartbeat.set_lease(None);
        let holder = if seen.holder.is_empty() { "nobody" } else { &seen.holder };
        Some(format!("the lease is held by {holder} now"))
    }

    /// Gives the lease back and waits for it; for the node's end.
    pub fn close(&self, tokio: &tokio::runtime::Handle) {
        self.shared.heartbeat.set_lease(None);
        let granted = lock(&self.shared.state).granted.take();
        if let Some(granted) = granted
            && let Err(error) = tokio.block_on(self.leases.release(granted.lease))
        {
            tracing::warn!("the lease was not given back, it will lapse: {error}");
        }
    }

    fn send(&self, order: Order) {
        // The other end lives as long as tokio does.
        let _ = self.orders.send(order);
    }
}

async fn work(leases: LeaseClient, mut orders: mpsc::UnboundedReceiver<Order>, shared: Arc<Shared>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Tell(done) => {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Order::Release(lease) => {
                if let Err(error) = leases.release(lease).await {
                    tracing::warn!("the lease was not given back: {error}");
                }
            }
            Order::Acquire => {
                let answer = leases.acquire().await;
                let unwanted = shared.take(answer.map_err(|error| error.to_string()));
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
    /// Takes an answer; returns a lease that is not wanted any more.
    fn take(&self, answer: Result<u64, String>) -> Option<u64> {
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
            Err(why) if wanted => state.refused = Some(why),
            Err(_) => {}
        }
        None
    }
}
