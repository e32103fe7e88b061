//! Tells a frozen camera from a scene at rest.

use std::time::Duration;

/// Joint travel that no camera on or above the arm can miss [rad].
const VISIBLE_TRAVEL_RAD: f64 = 0.05;

/// Watches one camera. Drivers that lost their device go on publishing the last image with fresh stamps; identical
/// pixels prove it only when the arm has moved, for a still scene without noise looks the same.
#[derive(Debug, Default)]
pub struct FreezeWatch {
    changes: u64,
    travel_at_change: f64,
}

/// What is known of a camera and the arm at one time.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// How often the pixels have changed.
    pub changes: u64,
    /// Since when they have not.
    pub unchanged: Duration,
    /// How far the arm has moved since start, summed over its joints [rad].
    pub travel: f64,
}

impl FreezeWatch {
    /// Whether the camera is frozen; `limit` is how long identical pixels are forgiven.
    pub fn is_frozen(&mut self, now: Sighting, limit: Duration) -> bool {
        if now.changes != self.changes {
            self.changes = now.changes;
            self.travel_at_change = now.travel;
        }
        now.unchanged > limit && now.travel - self.travel_at_change > VISIBLE_TRAVEL_RAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn after(ms: u64, changes: u64, travel: f64) -> Sighting {
        Sighting {
            changes,
            unchanged: Duration::from_millis(ms),
            travel,
        }
    }

    #[test]
    fn identical_pixels_while_the_arm_moves_are_a_frozen_camera() {
        let mut watch = FreezeWatch::default();
        assert!(!watch.is_frozen(after(0, 1, 1.0), LIMIT));
        assert!(!watch.is_frozen(after(400, 1, 1.2), LIMIT));
        assert!(watch.is_frozen(after(600, 1, 1.2), LIMIT));
        assert!(!watch.is_frozen(after(10, 2, 1.3), LIMIT));
    }

    #[test]
    fn a_still_scene_is_not_a_frozen_camera() {
        let mut watch = FreezeWatch::default();
        assert!(!watch.is_frozen(after(0, 1, 1.0), LIMIT));
        assert!(!watch.is_frozen(after(60_000, 1, 1.01), LIMIT));
    }
}
