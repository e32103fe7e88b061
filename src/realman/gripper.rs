//! Filters gripper commands: the gripper's bus is slow, and too many commands stall it.

use crate::control::config::GripperConfig;
use crate::types::time::Steady;

/// Range of gripper positions in the driver.
const CLOSED: f64 = 1.0;
const OPEN: f64 = 1000.0;

/// Filter that remembers the last command sent.
#[derive(Debug, Clone)]
pub(super) struct Gripper {
    config: GripperConfig,
    sent: Option<(Steady, f64)>,
}

impl Gripper {
    pub(super) fn new(config: GripperConfig) -> Self {
        Self { config, sent: None }
    }

    /// Last opening sent, 0 closed to 1 open; `None` before the first.
    pub(super) fn sent(&self) -> Option<f64> {
        self.sent.map(|(_, opening)| opening)
    }

    /// Position to send for `opening`; `None` if it differs too little from the last one or that one is too recent.
    pub(super) fn position_for(&mut self, opening: f64, now: Steady) -> Option<u16> {
        if let Some((time, sent)) = self.sent {
            // The end positions are always sent, however small the change.
            let at_end = (opening <= 0.0 || opening >= 1.0) && opening != sent;
            let soon = now.seconds_since(time) < 1.0 / self.config.rate_hz - 1e-6;
            if soon || ((opening - sent).abs() < self.config.hysteresis && !at_end) {
                return None;
            }
        }
        self.sent = Some((now, opening));
        Some((CLOSED + opening.clamp(0.0, 1.0) * (OPEN - CLOSED)).round() as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gripper() -> Gripper {
        Gripper::new(GripperConfig {
            hysteresis: 0.02,
            rate_hz: 10.0,
        })
    }

    fn at(seconds: f64) -> Steady {
        Steady::from_secs_f64(seconds)
    }

    #[test]
    fn closed_is_1_and_open_is_1000() {
        assert_eq!(gripper().position_for(0.0, at(0.0)), Some(1));
        assert_eq!(gripper().position_for(1.0, at(0.0)), Some(1000));
        assert_eq!(gripper().position_for(0.5, at(0.0)), Some(501));
    }

    #[test]
    fn changes_below_two_percent_are_not_sent_but_the_ends_are_reached() {
        let mut gripper = gripper();
        assert!(gripper.position_for(0.5, at(0.0)).is_some());
        assert_eq!(gripper.position_for(0.519, at(1.0)), None);
        assert!(gripper.position_for(0.521, at(1.0)).is_some());
        assert_eq!(gripper.position_for(0.521, at(2.0)), None);
        assert!(gripper.position_for(0.99, at(3.0)).is_some());
        assert_eq!(gripper.position_for(1.0, at(4.0)), Some(1000));
        assert_eq!(gripper.position_for(1.0, at(5.0)), None);
    }

    #[test]
    fn at_most_ten_commands_a_second_leave_and_the_last_value_wins() {
        let mut gripper = gripper();
        let sent: Vec<u16> = (0..=200)
            .filter_map(|i| gripper.position_for(f64::from(i % 101) / 100.0, at(f64::from(i) * 0.01)))
            .collect();
        assert!(sent.len() <= 21, "{} in two seconds", sent.len());
        assert!(sent.len() >= 19);
        assert_eq!(gripper.sent(), Some(0.99));
    }
}
