//! A smooth path through waypoints: straight lines blended into each other.

use nalgebra::{Translation3, UnitQuaternion, Vector3};

use crate::sim::config::ExpertConfig;
use crate::types::Pose;

/// Ratios of peak to mean speed and acceleration of a minimum-jerk move of unit length and duration.
const PEAK_SPEED: f64 = 1.875;
const PEAK_ACCELERATION: f64 = 5.7735;

/// Speed limits of the tool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToolSpeedLimits {
    /// Translation speed (m/s).
    pub speed: f64,
    /// Translation acceleration (m/s^2).
    pub acceleration: f64,
    /// Rotation speed (rad/s).
    pub turn: f64,
    /// Rotation acceleration (rad/s^2).
    pub turn_acceleration: f64,
}

impl ToolSpeedLimits {
    /// Returns the expert's limits.
    pub fn of(expert: &ExpertConfig) -> Self {
        Self {
            speed: expert.speed_m_s,
            acceleration: expert.acceleration_m_s2,
            turn: expert.turn_rad_s,
            turn_acceleration: expert.turn_acceleration_rad_s2,
        }
    }
}

/// A straight move with a minimum-jerk profile.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Move {
    start: f64,
    duration: f64,
    translation: Vector3<f64>,
    turn: f64,
    /// Duration of the rotation, which begins with the move and may take longer.
    turn_duration: f64,
}

/// Command of the gripper.
#[derive(Debug, Clone, Copy, PartialEq)]
struct GripperChange {
    /// Time from which it holds (s).
    at: f64,
    /// Opening, 0 closed to 1 open.
    opening: f64,
}

/// Tool pose and gripper over time. Overlapping moves add up, which rounds the corner between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    origin: Pose,
    moves: Vec<Move>,
    /// Commands of the gripper, in order.
    grips: Vec<GripperChange>,
    end: f64,
    /// Time before which no move may begin, because the gripper is working (s).
    still_until: f64,
    pace: ToolSpeedLimits,
    position: Vector3<f64>,
    yaw: f64,
    /// Initial velocity of the tool (m/s); it fades within [`COAST_S`].
    coast: Vector3<f64>,
}

/// Time in which the initial velocity of the tool fades (s).
const COAST_S: f64 = 0.4;

impl Path {
    /// Starts at `origin`, `base_from_tool`, with the gripper at `opening`.
    pub fn from(origin: Pose, opening: f64, pace: ToolSpeedLimits) -> Self {
        Self {
            origin,
            moves: Vec::new(),
            grips: vec![GripperChange { at: 0.0, opening }],
            end: 0.0,
            still_until: 0.0,
            pace,
            position: origin.translation.vector,
            yaw: 0.0,
            coast: Vector3::zeros(),
        }
    }

    /// Starts like `from` with an initial velocity of the tool (m/s), which fades as the first move speeds up.
    pub fn coasting(origin: Pose, opening: f64, velocity: Vector3<f64>, pace: ToolSpeedLimits) -> Self {
        Self {
            coast: velocity,
            // The first move begins where the tool would come to rest.
            position: origin.translation.vector + velocity * (0.5 * COAST_S),
            ..Self::from(origin, opening, pace)
        }
    }

    /// Appends a straight move to `position` (m), rotated by `yaw` (rad) about the vertical relative to the origin. It
    /// begins `overlap` (s) before the last move ends, but not while the gripper is working.
    #[must_use]
    pub fn to(self, position: Vector3<f64>, yaw: f64, overlap: f64) -> Self {
        let [translating, turning] = self.times(position, yaw);
        let duration = translating.max(turning);
        self.go(position, yaw, overlap, [duration, duration])
    }

    /// Appends a move whose rotation may take longer: what follows begins as soon as the tool has arrived.
    #[must_use]
    pub fn to_while_turning(self, position: Vector3<f64>, yaw: f64, overlap: f64) -> Self {
        let durations = self.times(position, yaw);
        self.go(position, yaw, overlap, durations)
    }

    /// Returns the durations of translation and rotation of a move within the limits (s).
    fn times(&self, position: Vector3<f64>, yaw: f64) -> [f64; 2] {
        let pace = self.pace;
        let time = |way: f64, speed: f64, acceleration: f64| {
            (PEAK_SPEED * way / speed).max((PEAK_ACCELERATION * way / acceleration).sqrt())
        };
        [
            time((position - self.position).norm(), pace.speed, pace.acceleration),
            time((yaw - self.yaw).abs(), pace.turn, pace.turn_acceleration),
        ]
    }

    fn go(mut self, position: Vector3<f64>, yaw: f64, overlap: f64, [duration, turn_duration]: [f64; 2]) -> Self {
        let last = self.moves.last().map_or(0.0, |last| last.duration);
        let start = (self.end - overlap.min(last / 2.0).min(duration / 2.0)).max(self.still_until);
        self.moves.push(Move {
            start,
            duration,
            translation: position - self.position,
            turn: yaw - self.yaw,
            turn_duration,
        });
        (self.position, self.yaw, self.end) = (position, yaw, start + duration);
        self
    }

    /// Sets the gripper and allows it `duration` (s).
    #[must_use]
    pub fn grip(mut self, opening: f64, duration: f64) -> Self {
        self.grips.push(GripperChange { at: self.end, opening });
        self.end += duration;
        self.still_until = self.end;
        self
    }

    /// Sets the gripper during the last move, `before_end` (s) before its end.
    #[must_use]
    pub fn grip_later(mut self, opening: f64, before_end: f64) -> Self {
        self.grips.push(GripperChange {
            at: self.end - before_end,
            opening,
        });
        self
    }

    /// Returns the times of the first two changes of the gripper's command (s); in a whole task, closing and release. A
    /// change that does not occur is at the end.
    pub fn gripper_times(&self) -> [f64; 2] {
        let time = |nth: usize| self.grips.get(nth).map_or(self.end, |change| change.at);
        [time(1), time(2)]
    }

    /// Returns the opening that fingers moving at `rate` (openings per second) have reached after `elapsed` (s).
    /// Between the first two changes an object stops them at the opening `stops`.
    pub fn opening_reached(&self, elapsed: f64, rate: f64, stops: f64) -> f64 {
        let [closes, opens] = self.gripper_times();
        let ends = self.grips.iter().skip(1).map(|change| change.at).chain([f64::INFINITY]);
        let mut reached = self.grips.first().map_or(1.0, |change| change.opening);
        for (change, ends) in self.grips.iter().zip(ends) {
            let time = (elapsed.min(ends) - change.at).max(0.0);
            let goal = if (closes..opens).contains(&change.at) {
                change.opening.max(stops)
            } else {
                change.opening
            };
            reached += (goal - reached).clamp(-rate * time, rate * time);
        }
        reached
    }

    /// Returns the duration (s).
    pub fn duration(&self) -> f64 {
        self.end
    }

    /// Returns `base_from_tool` after `elapsed` (s).
    pub fn pose(&self, elapsed: f64) -> Pose {
        let (mut position, mut yaw) = (self.origin.translation.vector, 0.0);
        for part in &self.moves {
            let share = |duration: f64| ease((elapsed - part.start) / duration);
            position += part.translation * share(part.duration);
            yaw += part.turn * share(part.turn_duration);
        }
        position += self.coast * coasted(elapsed);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw);
        Pose::from_parts(Translation3::from(position), turn * self.origin.rotation)
    }

    /// Returns the gripper value after `elapsed` (s).
    pub fn opening(&self, elapsed: f64) -> f64 {
        let set = self.grips.iter().rev().find(|change| change.at <= elapsed + 1e-9);
        set.or(self.grips.first()).map_or(1.0, |change| change.opening)
    }
}

/// Returns the displacement after `elapsed` (s) of an initial velocity of 1 m/s that fades within [`COAST_S`]. Velocity
/// and acceleration are continuous; the total is half of [`COAST_S`].
fn coasted(elapsed: f64) -> f64 {
    let u = (elapsed / COAST_S).clamp(0.0, 1.0);
    COAST_S * (u - u * u * u + 0.5 * u * u * u * u)
}

/// Returns the share of a minimum-jerk move completed at a share of its duration.
fn ease(x: f64) -> f64 {
    let x = if x.is_finite() { x.clamp(0.0, 1.0) } else { 1.0 };
    x * x * x * (10.0 + x * (6.0 * x - 15.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: ToolSpeedLimits = ToolSpeedLimits {
        speed: 0.3,
        acceleration: 1.5,
        turn: 1.0,
        turn_acceleration: 3.0,
    };

    #[test]
    fn the_tool_stays_within_its_pace_and_ends_where_it_was_sent() {
        let path = Path::from(Pose::identity(), 1.0, PACE)
            .to(Vector3::new(0.1, 0.2, 0.0), 0.5, 0.0)
            .to(Vector3::new(0.1, 0.2, -0.1), 0.5, 0.2)
            .grip(0.0, 0.3)
            .to(Vector3::new(0.1, 0.2, 0.1), 0.0, 0.2);
        let dt = 1e-3;
        let count = (path.duration() / dt) as usize;
        for i in 0..count {
            let [a, b] = [i, i + 1].map(|i| path.pose(i as f64 * dt));
            // Two overlapping moves may add up to slightly more speed than either.
            assert!((b.translation.vector - a.translation.vector).norm() / dt <= 1.3 * PACE.speed);
        }
        let end = path.pose(path.duration());
        assert!((end.translation.vector - Vector3::new(0.1, 0.2, 0.1)).norm() < 1e-12);
        assert!(end.rotation.angle() < 1e-12);
    }

    #[test]
    fn a_turn_that_takes_longer_holds_nothing_up_when_told_so() {
        let down = Vector3::new(0.0, 0.0, -0.02);
        let waiting = Path::from(Pose::identity(), 1.0, PACE).to(down, 1.0, 0.0);
        let turning = Path::from(Pose::identity(), 1.0, PACE).to_while_turning(down, 1.0, 0.0);
        assert!(turning.duration() < 0.3 && waiting.duration() > 1.5);
        assert!((turning.pose(turning.duration()).translation.vector - down).norm() < 1e-12);
        assert!((turning.pose(waiting.duration()).rotation.angle() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_moves_while_the_gripper_works() {
        let path = Path::from(Pose::identity(), 1.0, PACE)
            .to(Vector3::new(0.0, 0.0, -0.1), 0.0, 0.0)
            .grip(0.0, 0.3)
            .to(Vector3::new(0.0, 0.0, 0.1), 0.0, 0.2);
        let from = path.pose(path.grips[1].at);
        let to = path.pose(path.grips[1].at + 0.3);
        assert!((from.translation.vector - to.translation.vector).norm() < 1e-12);
        assert_eq!(path.opening(path.grips[1].at + 0.1), 0.0);
    }
}
