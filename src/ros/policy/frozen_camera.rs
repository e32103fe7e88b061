//! Detection of frozen cameras, with the arm's motion taken into account.

use crate::camera::stream_health::StreamHealth;

/// Joint movement, summed over the joints, that is visible to every camera on or above the arm (rad).
const VISIBLE_TRAVEL_RAD: f64 = 0.05;

/// Detector for one camera. A driver that has lost its device may keep publishing the last image with fresh stamps. A
/// repeated image proves this only when the arm has moved, because a still scene without noise looks the same.
#[derive(Debug, Default)]
pub struct FreezeWatch {
    repeats: u32,
    received: u64,
    travel_at_change: f64,
    /// Travel at the arrival of the last images, newest first. Motion since then is in none of them, and motion during the
    /// transmission of the newest may not be in it.
    travel_at_pictures: [f64; 3],
}

impl FreezeWatch {
    /// Returns whether the camera is frozen. `travel` is the arm's movement since start, summed over its joints (rad).
    pub fn is_frozen(&mut self, health: &StreamHealth, travel: f64) -> bool {
        if health.repeats() <= 1 || health.repeats() < self.repeats {
            self.travel_at_change = travel;
        }
        self.repeats = health.repeats();
        if health.received() != self.received {
            self.received = health.received();
            let [newest, second, _] = self.travel_at_pictures;
            self.travel_at_pictures = [travel, newest, second];
        }
        let [.., shown] = self.travel_at_pictures;
        health.is_frozen() && shown - self.travel_at_change > VISIBLE_TRAVEL_RAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::stream_health::FreezeRule;
    use crate::types::time::Time;

    struct Camera {
        health: StreamHealth,
        watch: FreezeWatch,
        now: Time,
    }

    impl Camera {
        fn new() -> Self {
            let rule = FreezeRule {
                frames: 3,
                seconds: 0.5,
            };
            Self {
                health: StreamHealth::new(rule),
                watch: FreezeWatch::default(),
                now: Time(0),
            }
        }

        fn sees(&mut self, content: u64, travel: f64) -> bool {
            self.now = self.now.offset_secs(0.1);
            self.health.observe(self.now, self.now, content);
            self.watch.is_frozen(&self.health, travel)
        }
    }

    #[test]
    fn one_picture_while_the_arm_moves_is_a_frozen_camera() {
        let mut camera = Camera::new();
        let frozen: Vec<bool> = (0..10).map(|i| camera.sees(1, 0.012 * f64::from(i))).collect();
        assert_eq!(
            frozen,
            [false, false, false, false, false, false, false, true, true, true]
        );
        assert!(!camera.sees(2, 1.0), "a new picture thaws it");
        assert!(!camera.sees(2, 1.0));
    }

    #[test]
    fn an_arm_that_has_just_begun_to_move_is_in_no_picture_yet() {
        let mut camera = Camera::new();
        assert!((0..20).all(|_| !camera.sees(1, 0.0)));
        assert!(!camera.watch.is_frozen(&camera.health, 0.3), "between two pictures");
        assert!(!camera.sees(1, 0.4), "taken before, arrived after");
        assert!(!camera.sees(2, 0.5));
    }

    #[test]
    fn a_still_scene_is_not_a_frozen_camera() {
        let mut camera = Camera::new();
        assert!(!camera.sees(1, 5.0));
        assert!((0..100).all(|_| !camera.sees(1, 5.01)));
    }
}
