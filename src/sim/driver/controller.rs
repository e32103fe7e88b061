//! The simulated controller behind the driver: pass-through, planned moves, stop and errors, in joint space.

use std::sync::Arc;

use crate::control::kinematics::{JointLimits, Kinematics};
use crate::sim::world::STEP_S;
use crate::types::{JOINTS, Joints, Pose};

/// Largest step of a high-follow frame to which a joint responds (rad).
pub const FRAME_STEP: f64 = 10.0 * std::f64::consts::PI / 180.0;
/// Largest speed of a high-follow frame to which a joint responds (rad/s).
pub const FRAME_SPEED: f64 = std::f64::consts::PI;
/// Time constant with which low follow approaches its target (s).
const CLOSING_S: f64 = 0.02;
/// Deceleration of a stop (rad/s^2).
const STOP_ACCELERATION: f64 = 12.0;
/// Ratio of peak to mean speed of a planned move.
const PEAK_SPEED: f64 = 1.875;

/// Error code: a planned target is beyond a joint limit.
pub const ERROR_LIMIT: u16 = 0x1002;
/// Error code: a pose cannot be reached, or only through a singularity.
pub const ERROR_UNREACHABLE: u16 = 0x1003;

/// Activity of the controller.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Idle,
    LowFollow {
        target: Joints,
    },
    HighFollow {
        target: Joints,
    },
    Planned {
        from: Joints,
        to: Joints,
        elapsed: f64,
        duration: f64,
    },
    Stopping,
}

/// Generates the joint set-points of the servos over time.
#[derive(Debug, Clone)]
pub struct Controller {
    arm: Arc<dyn Kinematics>,
    flange_from_tool: Pose,
    acceleration: f64,
    mode: Mode,
    position: Joints,
    velocity: Joints,
    /// Time since the last high-follow frame (s).
    since_frame: f64,
    error: u16,
}

impl Controller {
    /// Creates the controller of `arm`, at rest at `position` (rad); low follow plans with `acceleration` (rad/s^2).
    pub fn new(arm: Arc<dyn Kinematics>, position: Joints, flange_from_tool: Pose, acceleration: f64) -> Self {
        Self {
            arm,
            flange_from_tool,
            acceleration,
            mode: Mode::Idle,
            position,
            velocity: Joints::zeros(),
            since_frame: f64::INFINITY,
            error: 0,
        }
    }

    /// Returns the error code, 0 for none.
    pub fn error(&self) -> u16 {
        self.error
    }

    /// Sets an error and stops the arm. The next motion command clears the error.
    pub fn fail(&mut self, error: u16) {
        self.error = error;
        self.mode = Mode::Stopping;
    }

    /// Reports whether a planned move is under way.
    pub fn is_planned(&self) -> bool {
        matches!(self.mode, Mode::Planned { .. })
    }

    /// Returns the pose of the current tool at these joints (rad).
    pub fn base_from_tool_at(&self, joints: &Joints) -> Pose {
        self.arm.forward(joints) * self.flange_from_tool
    }

    /// Handles a pass-through frame in joints (rad). It replaces whatever was under way: a stop does not latch.
    pub fn follow(&mut self, target: Joints, high: bool) {
        self.error = 0;
        if !high {
            let target = clipped(target, self.arm.limits());
            self.mode = Mode::LowFollow { target };
            return;
        }
        let from = match self.mode {
            Mode::HighFollow { target } => target,
            _ => self.position,
        };
        let period = self.since_frame.clamp(STEP_S, 0.1);
        let responds = |from: f64, to: f64| {
            let step = (to - from).abs();
            step <= FRAME_STEP && step / period <= FRAME_SPEED
        };
        let target = from.zip_map(&target, |from, to| if responds(from, to) { to } else { from });
        self.mode = Mode::HighFollow { target };
        self.since_frame = 0.0;
    }

    /// Handles a pass-through frame as a pose of the current tool.
    pub fn follow_pose(&mut self, base_from_tool: &Pose, high: bool) {
        let flange = base_from_tool * self.flange_from_tool.inverse();
        match self.arm.inverse(&flange, &self.position) {
            Ok(joints) => self.follow(joints, high),
            Err(_) => self.fail(ERROR_UNREACHABLE),
        }
    }

    /// Starts a planned move in joint space at `speed` percent; returns false when its target is beyond a limit.
    pub fn plan(&mut self, to: Joints, speed: u8) -> bool {
        self.error = 0;
        if !self.arm.limits().contain(&to) {
            self.error = ERROR_LIMIT;
            return false;
        }
        let speed = FRAME_SPEED * f64::from(speed.clamp(1, 100)) / 100.0;
        let furthest = (to - self.position).abs().max();
        self.mode = Mode::Planned {
            from: self.position,
            to,
            elapsed: 0.0,
            duration: (PEAK_SPEED * furthest / speed).max(STEP_S),
        };
        true
    }

    /// Brings the arm to rest.
    pub fn stop(&mut self) {
        self.mode = Mode::Stopping;
    }

    /// Advances by [`STEP_S`] and returns the servos' set-point (rad).
    pub fn step(&mut self) -> Joints {
        self.since_frame += STEP_S;
        let before = self.position;
        match self.mode {
            Mode::Idle => {}
            Mode::HighFollow { target } => self.position = target,
            Mode::LowFollow { target } => self.close_in(&target),
            Mode::Planned {
                from,
                to,
                elapsed,
                duration,
            } => {
                let elapsed = elapsed + STEP_S;
                let x = (elapsed / duration).min(1.0);
                self.position = from + (to - from) * (x * x * x * (10.0 + x * (6.0 * x - 15.0)));
                self.mode = if elapsed >= duration {
                    Mode::Idle
                } else {
                    Mode::Planned {
                        from,
                        to,
                        elapsed,
                        duration,
                    }
                };
            }
            Mode::Stopping => {
                let slower = STOP_ACCELERATION * STEP_S;
                let velocity = self.velocity.map(|v| v.signum() * (v.abs() - slower).max(0.0));
                self.position = clipped(self.position + velocity * STEP_S, self.arm.limits());
                if velocity.abs().max() == 0.0 {
                    self.mode = Mode::Idle;
                }
            }
        }
        self.velocity = (self.position - before) / STEP_S;
        self.position
    }

    /// Low follow: moves towards the target with limited speed and acceleration.
    fn close_in(&mut self, target: &Joints) {
        let change = self.acceleration * STEP_S;
        for joint in 0..JOINTS {
            let (Some(position), Some(velocity), Some(target)) = (
                self.position.get_mut(joint),
                self.velocity.get(joint),
                target.get(joint),
            ) else {
                continue;
            };
            let left = *target - *position;
            // The highest speed from which it can still stop at the target, limited by the time constant.
            let fastest = (2.0 * 0.8 * self.acceleration * left.abs()).sqrt();
            let wanted = left.signum() * (left.abs() / CLOSING_S).min(fastest).min(FRAME_SPEED);
            let next = velocity + (wanted - velocity).clamp(-change, change);
            *position += next * STEP_S;
        }
        self.position = clipped(self.position, self.arm.limits());
    }
}

/// Clamps joints to the limits.
fn clipped(joints: Joints, limits: &JointLimits) -> Joints {
    joints.sup(&limits.lower).inf(&limits.upper)
}
