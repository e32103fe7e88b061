//! Moves to named configurations: straight in joint space, from rest to rest.

use super::config::{ArmConfig, Limits, Workspace};
use super::gate::{ArmGeometry, Violation};
use crate::types::Joints;
use crate::types::time::Steady;

/// Peak speed and peak acceleration of a quintic from rest to rest over a unit distance in 1 s.
const PEAK_SPEED: f64 = 1.875;
const PEAK_ACCELERATION: f64 = 5.773_502_691_896_258;
/// Fraction of the limits that a move plans with; the rest is left to the gate.
const PLANNED_SHARE: f64 = 0.9;
/// Number of points of the path that are checked before the move starts.
const CHECKED_POINTS: usize = 100;

/// Move from rest to rest.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedMove {
    /// Name of the configuration.
    pub name: String,
    start: Joints,
    goal: Joints,
    duration: f64,
    speed: f64,
    started: Steady,
}

/// Errors of planning a move.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MoveError {
    /// There is no such configuration.
    #[error("expected one of {known}, found {name:?}; add it to named_deg in the arm parameters")]
    Unknown {
        /// Requested name.
        name: String,
        /// Known names.
        known: String,
    },
    /// The speed is out of range.
    #[error("expected a speed above 0 and up to 1, found {0}")]
    Speed(f64),
    /// The straight path in joint space leaves the workspace.
    #[error("the way to {name} leaves the workspace, {violation}; move to another configuration first")]
    Way {
        /// Requested name.
        name: String,
        /// First violation on the path.
        violation: Violation,
    },
}

/// Request for a move.
#[derive(Debug, Clone, Copy)]
pub struct MoveRequest<'a> {
    /// Name of the configuration.
    pub name: &'a str,
    /// Fraction of the speed limits, above 0 and up to 1.
    pub speed: f64,
    /// Joint positions at which the arm rests (rad).
    pub from: Joints,
    /// Time at which the move starts.
    pub now: Steady,
}

impl NamedMove {
    /// Plans a move with synchronised joints, as fast as the limits of joints and tool permit at the requested speed.
    ///
    /// # Errors
    /// When the name is unknown, the speed is out of range, or the straight path in joint space leaves the workspace.
    pub fn plan(request: MoveRequest<'_>, config: &ArmConfig, arm_points: &ArmGeometry) -> Result<Self, MoveError> {
        let MoveRequest { name, speed, from, now } = request;
        if !(speed > 0.0 && speed <= 1.0) {
            return Err(MoveError::Speed(speed));
        }
        let goal = config.named(name).ok_or_else(|| MoveError::Unknown {
            name: name.to_owned(),
            known: config.named_deg.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        let way = goal - from;
        let tool_travel =
            checked_travel(&from, &way, arm_points, &config.workspace).map_err(|violation| MoveError::Way {
                name: name.to_owned(),
                violation,
            })?;
        let duration = duration(&way, tool_travel, &config.limits, speed * PLANNED_SHARE);
        Ok(Self {
            name: name.to_owned(),
            start: from,
            goal,
            duration,
            speed,
            started: now,
        })
    }

    /// Request that this move was planned for.
    pub fn request(&self) -> MoveRequest<'_> {
        MoveRequest {
            name: &self.name,
            speed: self.speed,
            from: self.start,
            now: self.started,
        }
    }

    /// Joint positions at `now` (rad).
    pub fn at(&self, now: Steady) -> Joints {
        let u = (now.seconds_since(self.started) / self.duration).clamp(0.0, 1.0);
        let u3 = u * u * u;
        self.start.lerp(&self.goal, u3 * (10.0 - 15.0 * u + 6.0 * u * u))
    }

    /// Time since the planned end (s), negative before it.
    pub fn overdue(&self, now: Steady) -> f64 {
        now.seconds_since(self.started) - self.duration
    }

    /// Largest distance of a joint from `joints` to the goal (rad).
    pub fn remaining(&self, joints: &Joints) -> f64 {
        (self.goal - joints).amax()
    }
}

/// Checks the path; returns the largest tool travel per fraction of the path (m).
fn checked_travel(from: &Joints, way: &Joints, arm_points: &ArmGeometry, space: &Workspace) -> Result<f64, Violation> {
    let mut last = arm_points.at(from).tool;
    let mut fastest: f64 = 0.0;
    for i in 1..=CHECKED_POINTS {
        let placement = arm_points.at(&(from + way * (i as f64 / CHECKED_POINTS as f64)));
        space.violation(&placement).map_or(Ok(()), Err)?;
        fastest = fastest.max((placement.tool - last).norm() * CHECKED_POINTS as f64);
        last = placement.tool;
    }
    Ok(fastest)
}

fn duration(way: &Joints, tool_travel: f64, limits: &Limits, share: f64) -> f64 {
    let speed = way.abs().component_div(&limits.velocity()).max() * PEAK_SPEED / share;
    let acceleration = (way.abs().component_div(&limits.acceleration()).max() * PEAK_ACCELERATION / share).sqrt();
    let tool = tool_travel / limits.tool_speed_m_s * PEAK_SPEED / share;
    speed.max(acceleration).max(tool).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ArmConfig {
        ArmConfig::parse(include_str!("../../config/robots/rm75.yaml")).unwrap()
    }

    fn plan(name: &str, speed: f64, from: Joints) -> Result<NamedMove, MoveError> {
        let config = config();
        let arm_points = ArmGeometry::new(config.arm.kinematics(), &config.tool);
        NamedMove::plan(
            MoveRequest {
                name,
                speed,
                from,
                now: Steady(0),
            },
            &config,
            &arm_points,
        )
    }

    #[test]
    fn a_move_goes_from_rest_to_rest_inside_every_limit() {
        let config = config();
        let home = config.named("home").unwrap();
        let ready = config.named("ready").unwrap();
        for speed in [0.1, 1.0] {
            let planned = plan("ready", speed, home).unwrap();
            let arm_points = ArmGeometry::new(config.arm.kinematics(), &config.tool);
            let h = 1e-3;
            let at = |t: f64| planned.at(Steady::from_secs_f64(t));
            let mut fastest: f64 = 0.0;
            for i in 0..=(planned.duration / h) as usize {
                let t = i as f64 * h;
                let velocity = (at(t + h) - at(t)) / h;
                let acceleration = (at(t + h) - at(t) * 2.0 + at(t - h)) / (h * h);
                let tool = (arm_points.at(&at(t + h)).tool - arm_points.at(&at(t)).tool).norm() / h;
                assert!(velocity.amax() <= 1.88 * speed);
                assert!(acceleration.amax() <= 6.0 * speed);
                assert!(tool <= 0.5 * speed);
                fastest = fastest
                    .max(tool / 0.5)
                    .max(velocity.amax() / 1.88)
                    .max(acceleration.amax() / 6.0);
            }
            assert!(fastest > 0.8 * speed, "no slower than it has to be: {fastest}");
            assert_eq!(at(0.0), home);
            assert!((at(planned.duration) - ready).amax() < 1e-9);
            let overdue = planned.overdue(Steady::from_secs_f64(planned.duration - 0.01));
            assert!((overdue + 0.01).abs() < 1e-8, "{overdue}");
            assert!((planned.remaining(&home) - 30f64.to_radians()).abs() < 1e-9);
        }
    }

    #[test]
    fn a_move_takes_nine_tenths_of_whichever_limit_is_the_tightest() {
        let mut slow_joints = config();
        slow_joints.limits.velocity_rad_s[3] = 0.1;
        let mut soft_joints = config();
        soft_joints.limits.acceleration_rad_s2[3] = 0.1;
        let mut slow_tool = config();
        slow_tool.limits.tool_speed_m_s = 0.05;
        for config in [slow_joints, soft_joints, slow_tool] {
            let arm_points = ArmGeometry::new(config.arm.kinematics(), &config.tool);
            let (name, speed, now) = ("ready", 0.5, Steady(0));
            let from = config.named("home").unwrap();
            let planned = NamedMove::plan(MoveRequest { name, speed, from, now }, &config, &arm_points).unwrap();
            let h = 1e-3;
            let at = |k: usize| planned.at(Steady::from_secs_f64(k as f64 * h));
            let mut used: f64 = 0.0;
            for k in 1..(planned.duration / h) as usize {
                let (before, here, after) = (at(k - 1), at(k), at(k + 1));
                let velocity = (after - before).abs() / (2.0 * h);
                let acceleration = (after - here * 2.0 + before).abs() / (h * h);
                let tool = (arm_points.at(&after).tool - arm_points.at(&before).tool).norm() / (2.0 * h);
                used = used
                    .max(velocity.component_div(&config.limits.velocity()).max())
                    .max(acceleration.component_div(&config.limits.acceleration()).max())
                    .max(tool / config.limits.tool_speed_m_s);
            }
            assert!((0.43..0.4505).contains(&used), "{used} of the limit at half speed");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_would() {
        let home = config().named("home").unwrap();
        let message = plan("nowhere", 0.5, home).unwrap_err().to_string();
        assert!(
            message.contains("home, ready") && message.contains("nowhere"),
            "{message}"
        );
        for speed in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(matches!(plan("ready", speed, home), Err(MoveError::Speed(_))));
        }
    }

    #[test]
    fn a_way_through_the_table_is_refused_before_it_starts() {
        let mut below = config();
        let from = Joints::from([60.0, 60.0, 0.0, 60.0, 0.0, 60.0, 0.0].map(f64::to_radians));
        below
            .named_deg
            .insert("far".into(), [-60.0, 100.0, 0.0, 60.0, 0.0, 60.0, 0.0]);
        let arm_points = ArmGeometry::new(below.arm.kinematics(), &below.tool);
        let request = MoveRequest {
            name: "far",
            speed: 0.5,
            from,
            now: Steady(0),
        };
        assert!(matches!(
            NamedMove::plan(request, &below, &arm_points),
            Err(MoveError::Way { .. })
        ));
    }

    #[test]
    fn a_move_to_where_the_arm_is_is_over_at_once() {
        let home = config().named("home").unwrap();
        let planned = plan("home", 1.0, home).unwrap();
        assert!(planned.overdue(Steady(1)) >= 0.0);
        assert!((planned.at(Steady(1)) - home).amax() < 1e-12);
    }
}
