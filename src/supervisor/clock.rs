//! Monitors ROS time against steady time: plans and histories are valid only while ROS time advances without jumps.

use super::{AfterRest, ArmMode, Supervisor};
use crate::control::event::{Check, EventKind};
use crate::realman::Driver;
use crate::types::time::{Now, Steady};

/// Largest lead that ROS time may gain over steady time from one tick to the next (s); more is a jump. A `/clock` of 10 Hz
/// stays below.
const JUMP_S: f64 = 0.1;
/// Longest time without a change of ROS time (s); beyond it the clock counts as standing still.
const STILL_S: f64 = 0.1;

/// Progress of ROS time since the last tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ClockProgress {
    /// It advanced, or paused only briefly.
    Forward,
    /// It jumped back by this much (s).
    Back(f64),
    /// It jumped ahead of steady time by this much (s).
    Ahead(f64),
    /// It has stood still for this long (s).
    Still(f64),
}

/// Monitor of both clocks.
#[derive(Debug)]
pub(super) struct ClockWatch {
    last: Now,
    /// Steady time at which ROS time last changed.
    moved: Steady,
}

impl ClockWatch {
    pub(super) fn new(now: Now) -> Self {
        Self {
            last: now,
            moved: now.steady,
        }
    }

    /// Compares both clocks; to be called once a tick.
    pub(super) fn update(&mut self, now: Now) -> ClockProgress {
        let gone = now.ros.seconds_since(self.last.ros);
        let ahead = gone - now.steady.seconds_since(self.last.steady);
        self.last = now;
        if gone != 0.0 {
            self.moved = now.steady;
        }
        match self.still(now.steady) {
            _ if gone < 0.0 => ClockProgress::Back(-gone),
            _ if ahead > JUMP_S => ClockProgress::Ahead(ahead),
            Some(still) => ClockProgress::Still(still),
            None => ClockProgress::Forward,
        }
    }

    /// Time for which ROS time has stood still (s), if that is too long.
    pub(super) fn still(&self, now: Steady) -> Option<f64> {
        let still = now.seconds_since(self.moved);
        (still > STILL_S).then_some(still)
    }
}

/// Error message for a ROS clock that has stood still for `still` (s).
pub(super) fn clock_stopped(still: f64) -> String {
    format!("expected ROS time to go forward, found it standing still for {still:.3} s")
}

impl<D: Driver> Supervisor<D> {
    /// Ends a plan whose times are no longer valid. After a jump everything stamped in ROS time is dropped.
    pub(super) fn watch_clock(&mut self, now: Now) {
        let course = self.clock.update(now);
        let reason = match course {
            ClockProgress::Forward => return,
            ClockProgress::Still(still) if self.mode == ArmMode::Executing => clock_stopped(still),
            ClockProgress::Still(_) => return,
            ClockProgress::Back(seconds) => format!("expected ROS time to go forward, found it {seconds:.3} s back"),
            ClockProgress::Ahead(seconds) => {
                format!("expected ROS time to go on with steady time, found it {seconds:.3} s ahead")
            }
        };
        if matches!(course, ClockProgress::Back(_) | ClockProgress::Ahead(_)) {
            self.executor.restart(now.ros, self.gate.motion().position);
        }
        let cause = reason.clone();
        self.gate.events.push(now.steady, EventKind::Held, Check::Clock, || {
            format!("{cause}; observations have to be made anew")
        });
        if self.mode == ArmMode::Executing {
            self.begin_braking(AfterRest::Hold, reason, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::time::Time;

    /// Compares a ROS clock that shows `ros` (s) every 10 ms; returns the ticks at which it was not steady.
    fn courses(ros: impl Fn(u32) -> f64, ticks: u32) -> Vec<(u32, ClockProgress)> {
        let at = |tick: u32| Now {
            ros: Time::from_secs_f64(1000.0 + ros(tick)),
            steady: Steady::from_secs_f64(0.01 * f64::from(tick)),
        };
        let mut watch = ClockWatch::new(at(0));
        (1..=ticks)
            .map(|tick| (tick, watch.update(at(tick))))
            .filter(|(_, course)| *course != ClockProgress::Forward)
            .collect()
    }

    #[test]
    fn a_clock_that_goes_forward_is_steady_whatever_its_rate_and_grain() {
        let tick = |tick: u32| 0.01 * f64::from(tick);
        assert_eq!(courses(tick, 300), []);
        for rate in [0.1, 0.5, 2.0, 10.0] {
            assert_eq!(courses(|t| rate * tick(t), 300), [], "rate {rate}");
        }
        // A /clock of 10 Hz.
        assert_eq!(courses(|t| 0.1 * f64::from(t / 10), 300), []);
    }

    #[test]
    fn a_jump_is_told_once_and_a_standstill_for_as_long_as_it_lasts() {
        let jump = |by: f64| courses(move |t| 0.01 * f64::from(t) + if t < 50 { 0.0 } else { by }, 100);
        assert!(matches!(jump(-3600.0)[..], [(50, ClockProgress::Back(by))] if (by - 3599.99).abs() < 1e-6));
        assert!(matches!(jump(3600.0)[..], [(50, ClockProgress::Ahead(by))] if (by - 3600.0).abs() < 1e-6));
        assert!(matches!(jump(0.3)[..], [(50, ClockProgress::Ahead(_))]));
        let still = courses(|t| 0.01 * f64::from(t.min(50)), 100);
        assert!(matches!(still[0], (61, ClockProgress::Still(_))), "{still:?}");
        assert_eq!(still.len(), 40);
    }
}
