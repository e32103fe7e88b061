//! Detects a frozen joint state of the driver. It is judged by content, because a driver that has lost its connection
//! repeats the last values at full rate with new stamps.

use crate::types::Joints;
use crate::types::time::Steady;

/// Commanded travel that must be visible in the state (rad); far more than the controller's resolution of 0.001 degrees.
const TRAVEL_RAD: f64 = 0.01;

/// Monitor of joint states.
#[derive(Debug, Clone)]
pub struct StateLiveness {
    frozen_after: f64,
    last: Option<Joints>,
    /// Time of the last change of the state, or of the last command before any travel.
    still_since: Steady,
    travel: f64,
    commanded: Option<Joints>,
    ever_nonzero: bool,
}

impl StateLiveness {
    /// Creates a monitor; states that do not change for `frozen_after` (s) while motion is commanded count as frozen.
    pub fn new(frozen_after: f64) -> Self {
        Self {
            frozen_after,
            last: None,
            still_since: Steady::default(),
            travel: 0.0,
            commanded: None,
            ever_nonzero: false,
        }
    }

    /// Records a received state (rad).
    pub fn state_received(&mut self, joints: Joints, now: Steady) {
        if self.last != Some(joints) {
            self.last = Some(joints);
            self.still_since = now;
            self.travel = 0.0;
        }
        self.ever_nonzero |= joints.iter().any(|q| *q != 0.0);
    }

    /// Records a sent command (rad).
    pub fn command_sent(&mut self, joints: Joints, now: Steady) {
        let step = self.commanded.map_or(0.0, |last| (joints - last).amax());
        if self.travel == 0.0 {
            self.still_since = now;
        }
        self.travel += step;
        self.commanded = Some(joints);
    }

    /// Resets the commanded travel, when motion ends or begins anew.
    pub fn rest(&mut self) {
        self.commanded = None;
        self.travel = 0.0;
    }

    /// Time for which the state has not followed commanded motion (s), if that is too long.
    pub fn frozen(&self, now: Steady) -> Option<f64> {
        let still = now.seconds_since(self.still_since);
        (self.travel > TRAVEL_RAD && still > self.frozen_after).then_some(still)
    }

    /// Whether all joints were exactly zero in every state so far, as published by a driver that has never heard from its arm.
    pub fn never_alive(&self) -> bool {
        !self.ever_nonzero
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Steady {
        Steady::from_secs_f64(100.0 + seconds)
    }

    /// Feeds a second of commands and states at 100 Hz; returns the time at which the state was found frozen (s).
    fn frozen_at(command: impl Fn(f64) -> f64, state: impl Fn(f64) -> f64) -> Option<f64> {
        let mut liveness = StateLiveness::new(0.3);
        (0..100).map(|i| f64::from(i) * 0.01).find(|t| {
            liveness.state_received(Joints::repeat(state(*t)), at(*t));
            liveness.command_sent(Joints::repeat(command(*t)), at(*t));
            liveness.frozen(at(*t)).is_some()
        })
    }

    #[test]
    fn fresh_copies_of_one_state_are_found_frozen_while_motion_is_commanded() {
        let found = frozen_at(|t| 1.0 + 0.2 * t, |_| 1.0).unwrap();
        assert!((0.3..0.35).contains(&found), "{found}");
    }

    #[test]
    fn a_state_that_freezes_on_the_way_is_found() {
        let found = frozen_at(|t| 1.0 + 0.2 * t, |t| 1.0 + 0.2 * t.min(0.4)).unwrap();
        assert!((0.7..0.75).contains(&found), "{found}");
    }

    #[test]
    fn an_arm_that_follows_or_is_told_to_rest_is_not_frozen() {
        assert_eq!(frozen_at(|t| 1.0 + 0.2 * t, |t| 0.9 + 0.2 * t), None);
        assert_eq!(frozen_at(|_| 1.0, |_| 1.0), None);
    }

    #[test]
    fn rest_does_not_count_towards_the_next_motion() {
        let mut liveness = StateLiveness::new(0.3);
        liveness.state_received(Joints::repeat(1.0), at(0.0));
        for i in 0..20 {
            liveness.command_sent(
                Joints::repeat(1.0 + 0.01 * f64::from(i)),
                at(50.0 + 0.01 * f64::from(i)),
            );
            liveness.state_received(Joints::repeat(1.0), at(50.0 + 0.01 * f64::from(i)));
            assert_eq!(liveness.frozen(at(50.0 + 0.01 * f64::from(i))), None);
        }
        liveness.rest();
        assert_eq!(liveness.frozen(at(51.0)), None);
    }

    #[test]
    fn zeros_from_the_start_are_no_arm() {
        let mut liveness = StateLiveness::new(0.3);
        liveness.state_received(Joints::zeros(), at(0.0));
        assert!(liveness.never_alive());
        liveness.state_received(Joints::from([0.0, 0.0, 0.0, 1e-3, 0.0, 0.0, 0.0]), at(0.1));
        assert!(!liveness.never_alive());
    }
}
