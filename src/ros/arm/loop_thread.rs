//! The control loop: ticks the supervisor at the command rate from a thread that does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use crate::ros::time::Clock;

/// The ticking thread; it ends when this is dropped.
pub struct Loop {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Loop {
    /// Starts ticking at `rate_hz` on the monotonic clock.
    pub fn start(shared: Shared, clock: Clock, rate_hz: f64) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let period = Duration::from_secs_f64(1.0 / rate_hz);
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !end.load(Ordering::Acquire) {
                shared.lock().tick(clock.now());
                next += period;
                match next.checked_duration_since(Instant::now()) {
                    Some(rest) => std::thread::sleep(rest),
                    // Late by more than a period: the ticks missed are not made up for, commands in a burst would be a jump.
                    None if next + period < Instant::now() => next = Instant::now(),
                    None => {}
                }
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
