//! Heartbeat of the lease holder, published by a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError};
use ros_env::std_msgs::msg::Header;
use ros_env::thinkvla::msg::Heartbeat as HeartbeatMessage;

use crate::ros::node::time::{NodeClock, to_message};
use crate::ros::node::{qos, topics};

/// Period of the heartbeat.
pub const PERIOD: Duration = Duration::from_millis(20);

/// The heartbeat thread; dropping this ends and joins it.
///
/// It publishes nothing without a lease or while `alive` returns false: the arm node then brakes. `alive` runs on the
/// thread and must not block.
pub struct HeartbeatThread {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    lease: AtomicU64,
    ended: AtomicBool,
}

impl HeartbeatThread {
    /// Starts the thread; it publishes nothing until a lease is set.
    ///
    /// # Errors
    /// When the publisher cannot be created.
    pub fn start(node: &Node, source: &str, alive: impl Fn() -> bool + Send + 'static) -> Result<Self, RclrsError> {
        let publisher = node.create_publisher::<HeartbeatMessage>(topics::HEARTBEAT.name.qos(qos::heartbeat()))?;
        let clock = NodeClock::of(node);
        let source = source.to_owned();
        let shared = Arc::new(Shared {
            lease: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut sequence = 0;
            let mut next = Instant::now();
            while !theirs.ended.load(Ordering::Acquire) {
                let lease = theirs.lease.load(Ordering::Acquire);
                if lease != 0 && alive() {
                    sequence += 1;
                    let beat = HeartbeatMessage {
                        header: Header {
                            stamp: to_message(clock.now()),
                            frame_id: String::new(),
                        },
                        source: source.clone(),
                        lease,
                        sequence,
                    };
                    if let Err(error) = publisher.publish(beat) {
                        tracing::warn!("heartbeat not sent: {error}");
                    }
                }
                next = (next + PERIOD).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Sets the lease of the heartbeat; with `None` nothing is published.
    pub fn set_lease(&self, lease: Option<u64>) {
        self.shared.lease.store(lease.unwrap_or(0), Ordering::Release);
    }
}

impl Drop for HeartbeatThread {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
