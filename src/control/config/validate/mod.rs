//! Validates the parameters of an arm.

use std::ops::RangeInclusive;

use super::ArmConfig;
use crate::files::yaml::{InvalidValue, between, positive};
use crate::types::JOINTS;

/// Joint step beyond which the controller ignores a pass-through frame: 10 degrees (rad).
const VENDOR_STEP_RAD: f64 = 10.0 * std::f64::consts::PI / 180.0;
/// Joint speed beyond which the controller ignores a pass-through frame: 180 degrees a second (rad/s).
const VENDOR_VELOCITY_RAD_S: f64 = std::f64::consts::PI;
/// Lowest command rate that the controller follows as one motion, and the highest it can read (Hz).
pub(crate) const RATE_HZ: RangeInclusive<f64> = 50.0..=500.0;

impl ArmConfig {
    /// Validates the parameters.
    ///
    /// # Errors
    /// Names the first invalid value.
    pub fn check(&self) -> Result<(), InvalidValue> {
        between(
            "command_rate_hz",
            self.command_rate_hz,
            *RATE_HZ.start(),
            *RATE_HZ.end(),
        )?;
        if self.driver.follow && self.command_rate_hz < 100.0 {
            return Err(InvalidValue::new(
                "command_rate_hz",
                "100 or more with high follow",
                self.command_rate_hz,
            ));
        }
        for (field, name) in [("base_frame", &self.base_frame), ("tool_frame", &self.tool_frame)] {
            if name.trim().is_empty() {
                return Err(InvalidValue::new(field, "a name", "an empty one"));
            }
        }
        self.check_limits()?;
        self.check_space()?;
        self.check_times()?;
        self.check_named()
    }

    fn check_limits(&self) -> Result<(), InvalidValue> {
        let limits = &self.limits;
        between("limits.margin_rad", limits.margin_rad, 0.0, 0.5)?;
        positive("limits.step_rad", limits.step_rad, VENDOR_STEP_RAD)?;
        positive("limits.tool_speed_m_s", limits.tool_speed_m_s, 2.0)?;
        for velocity in limits.velocity_rad_s {
            positive("limits.velocity_rad_s", velocity, VENDOR_VELOCITY_RAD_S)?;
        }
        for acceleration in limits.acceleration_rad_s2 {
            positive("limits.acceleration_rad_s2", acceleration, 100.0)?;
        }
        for (lower, upper) in limits.lower_rad.iter().zip(limits.upper_rad) {
            between("limits.lower_rad", *lower, -6.3, 6.3)?;
            between("limits.upper_rad", upper, -6.3, 6.3)?;
            let room = upper - lower - 2.0 * limits.margin_rad;
            if room <= 0.0 {
                let expected = format!("more than {lower} plus two margins of {}", limits.margin_rad);
                return Err(InvalidValue::new("limits.upper_rad", expected, upper));
            }
        }
        positive("singularity.slow", self.singularity.slow, 1e6)?;
        if self.singularity.halt.is_finite() && self.singularity.halt > self.singularity.slow {
            return Ok(());
        }
        Err(InvalidValue::new(
            "singularity.halt",
            format!("more than singularity.slow = {}", self.singularity.slow),
            self.singularity.halt,
        ))
    }

    fn check_space(&self) -> Result<(), InvalidValue> {
        let space = &self.workspace;
        for (low, high) in space.tool_min_m.iter().zip(space.tool_max_m) {
            between("workspace.tool_min_m", *low, -2.0, 2.0)?;
            between("workspace.tool_max_m", high, -2.0, 2.0)?;
            if high - low < 0.02 {
                return Err(InvalidValue::new(
                    "workspace.tool_max_m",
                    format!("at least 0.02 more than {low}"),
                    high,
                ));
            }
        }
        between("workspace.tolerance_m", space.tolerance_m, 0.0, 0.5)?;
        between("workspace.table_height_m", space.table_height_m, -1.5, 1.5)?;
        between("workspace.tool_clearance_m", space.tool_clearance_m, 0.0, 0.2)?;
        between("workspace.link_clearance_m", space.link_clearance_m, 0.0, 0.2)?;
        for value in self.tool.offset_m {
            between("tool.offset_m", value, -0.5, 0.5)?;
        }
        for value in self.tool.points_m.iter().flatten() {
            between("tool.points_m", *value, -0.5, 0.5)?;
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), InvalidValue> {
        let times = &self.timeouts;
        // Braking must begin within 100 ms of the last input, and the loop may notice its age one period late.
        let longest = 0.1 - self.period();
        between("timeouts.heartbeat_s", times.heartbeat_s, 0.02, longest)?;
        between("timeouts.state_s", times.state_s, 0.01, longest)?;
        between("timeouts.lease_s", times.lease_s, times.heartbeat_s, 60.0)?;
        positive("timeouts.observation_s", times.observation_s, 5.0)?;
        between("timeouts.plan_s", times.plan_s, times.observation_s, 60.0)?;
        between("timeouts.frozen_s", times.frozen_s, 0.05, 5.0)?;
        positive("tracking.error_rad", self.tracking.error_rad, 3.0)?;
        positive("tracking.start_rad", self.tracking.start_rad, self.tracking.error_rad)?;
        between("executor.blend_s", self.executor.blend_s, 3.0 * self.period(), 1.0)?;
        between(
            "executor.blend_max_s",
            self.executor.blend_max_s,
            self.executor.blend_s,
            5.0,
        )?;
        between("gripper.hysteresis", self.gripper.hysteresis, 0.0, 0.5)?;
        positive("gripper.rate_hz", self.gripper.rate_hz, 10.0)
    }

    fn check_named(&self) -> Result<(), InvalidValue> {
        for (name, degrees) in &self.named_deg {
            for i in 0..JOINTS {
                let at = |values: &[f64; JOINTS]| values.get(i).copied().unwrap_or(f64::NAN);
                let low = at(&self.limits.lower_rad) + self.limits.margin_rad;
                let high = at(&self.limits.upper_rad) - self.limits.margin_rad;
                between(
                    format!("named_deg.{name}"),
                    at(degrees),
                    low.to_degrees(),
                    high.to_degrees(),
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
