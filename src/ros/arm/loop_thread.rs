//! Control loop: a thread that only ticks the supervisor, at the command rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use crate::ros::node::time::NodeClock;

/// The ticking thread; dropping this ends and joins it.
pub struct Loop {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Loop {
    /// Starts ticking at `rate_hz` on the monotonic clock.
    pub fn start(shared: Shared, clock: NodeClock, rate_hz: f64) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let period = Duration::from_secs_f64(1.0 / rate_hz);
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !end.load(Ordering::Acquire) {
                shared.lock().tick(clock.both());
                // A late tick is not made up for: two commands in quick succession make the joint move twice as fast.
                next = (next + period).max(Instant::now() + period / 2);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already ended the node through the runtime's hook.
            let _ = thread.join();
        }
    }
}
