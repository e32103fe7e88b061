//! Detects from the measured joints whether the arm still moves.

use crate::types::Joints;
use crate::types::time::Steady;

/// Travel of a joint that counts as motion (rad); more than noise and rounding of the joint states.
const MOVED_RAD: f64 = 1e-3;
/// Time without such travel after which the arm counts as at rest (s): below 20 mrad/s it does.
const STILL_S: f64 = 0.05;
/// Time after the last motion up to which joint states have to show no other one (s): states that are missing show no rest.
const REST_SHOWN_S: f64 = 0.03;

/// Monitor of the measured joints. The first state counts as motion, because where the arm was before is unknown.
#[derive(Debug, Default)]
pub(super) struct RestWatch {
    /// Measured joints at the last motion (rad).
    reference: Option<Joints>,
    /// Time of the last motion.
    moved: Option<Steady>,
    /// Time of the last joint state.
    seen: Option<Steady>,
}

impl RestWatch {
    /// Records a joint state (rad).
    pub(super) fn state_received(&mut self, joints: Joints, now: Steady) {
        self.seen = Some(now);
        if self
            .reference
            .is_none_or(|reference| (joints - reference).amax() > MOVED_RAD)
        {
            self.moved = Some(now);
            self.reference = Some(joints);
        }
    }

    /// Whether the last motion was more than 50 ms ago, and later states show the arm without motion; false before any state.
    pub(super) fn is_at_rest(&self, now: Steady) -> bool {
        self.moved
            .zip(self.seen)
            .is_some_and(|(moved, seen)| now.seconds_since(moved) > STILL_S && seen.seconds_since(moved) > REST_SHOWN_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times (s) at which an arm that is `position` (rad) along joint 2 counts as moving, every 10 ms for a second; before, it
    /// was seen where it begins for 0.1 s.
    fn moving(position: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut watch = RestWatch::default();
        let times = (-10..100).map(|tick| 0.01 * f64::from(tick));
        times
            .filter(|time| {
                let mut joints = Joints::zeros();
                joints[1] = position(f64::max(*time, 0.0));
                let now = Steady::from_secs_f64(100.0 + time);
                watch.state_received(joints, now);
                !watch.is_at_rest(now) && *time >= 0.0
            })
            .collect()
    }

    #[test]
    fn an_arm_that_was_just_seen_for_the_first_time_may_move() {
        let at = |seconds: f64| Steady::from_secs_f64(100.0 + seconds);
        let mut watch = RestWatch::default();
        assert!(!watch.is_at_rest(at(0.0)), "nothing has been seen");
        watch.state_received(Joints::repeat(0.7), at(0.0));
        assert!(!watch.is_at_rest(at(0.0)), "one state shows no rest");
        assert!(!watch.is_at_rest(at(1.0)), "no later state shows it");
        watch.state_received(Joints::repeat(0.7), at(0.04));
        assert!(!watch.is_at_rest(at(0.05)));
        assert!(watch.is_at_rest(at(0.051)));
    }

    #[test]
    fn an_arm_moves_while_it_travels_and_for_50_ms_after() {
        assert!(moving(|_| 0.7).is_empty());
        let seen = moving(|time| time.min(0.3));
        assert!((seen[0] - 0.01).abs() < 1e-9, "{seen:?}");
        assert!((seen[seen.len() - 1] - 0.35).abs() < 0.011, "{seen:?}");
        let seen = moving(|time| if time < 0.5 { 0.0 } else { 0.05 });
        assert!((5..=6).contains(&seen.len()), "{seen:?}");
    }

    #[test]
    fn missing_states_of_a_moving_arm_are_no_rest() {
        let at = |seconds: f64| Steady::from_secs_f64(100.0 + seconds);
        let mut watch = RestWatch::default();
        for tick in 0..10 {
            let seconds = 0.01 * f64::from(tick);
            watch.state_received(Joints::repeat(seconds), at(seconds));
        }
        assert!(!watch.is_at_rest(at(0.165)), "no state for 75 ms");
        watch.state_received(Joints::repeat(0.09), at(0.17));
        assert!(watch.is_at_rest(at(0.17)), "the arm has stayed where it was");
    }

    #[test]
    fn noise_and_creeping_are_rest() {
        assert!(moving(|time| 4e-4 * (700.0 * time).sin()).is_empty());
        assert!(moving(|time| 0.005 * time).len() < 40);
        assert!(moving(|time| if time < 0.5 { 0.0 } else { MOVED_RAD }).is_empty());
    }
}
