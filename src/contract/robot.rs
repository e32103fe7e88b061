//! Robot of a contract, and its comparison with the live robot.

use serde::{Deserialize, Serialize};

use super::ContractError;

/// Physical robot that data was recorded on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// Arm model, e.g. `rm75`.
    pub arm: String,
    /// Cameras in the order the network sees them.
    pub cameras: Vec<Camera>,
    /// Frame end-effector actions are expressed in.
    pub base_frame: String,
    /// Frame that moves with the tool centre point.
    pub tool_frame: String,
    /// Opening between the fingers at gripper value 1 (m).
    pub gripper_stroke_m: f64,
}

/// Camera of the robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Name, e.g. `top`, `wrist`.
    pub name: String,
    /// Optical frame (z forward, x right).
    pub frame: String,
    /// Image width (px).
    pub width: u32,
    /// Image height (px).
    pub height: u32,
    /// Frame rate (Hz).
    pub rate_hz: f64,
}

impl Robot {
    /// Returns the RM75 of the simulator with its two cameras.
    pub fn simulated() -> Self {
        let camera = |name: &str| Camera {
            name: name.into(),
            frame: format!("{name}_camera_optical_frame"),
            width: 640,
            height: 480,
            rate_hz: 30.0,
        };
        Self {
            arm: "rm75".into(),
            cameras: vec![camera("top"), camera("wrist")],
            base_frame: "base_link".into(),
            tool_frame: "tcp".into(),
            gripper_stroke_m: 0.070,
        }
    }

    /// Compares the recorded robot with the live one, camera rates aside.
    ///
    /// # Errors
    /// Names the first field that differs, with both values.
    pub fn require_same(&self, live: &Self) -> Result<(), ContractError> {
        let same = |field: &str, expected: String, found: String| {
            if expected == found {
                return Ok(());
            }
            Err(ContractError::Mismatch {
                field: format!("robot.{field}"),
                expected,
                found,
                remedy: "start the robot as it was recorded, or use a checkpoint trained on this one",
            })
        };
        same("arm", self.arm.clone(), live.arm.clone())?;
        same("base_frame", self.base_frame.clone(), live.base_frame.clone())?;
        same("tool_frame", self.tool_frame.clone(), live.tool_frame.clone())?;
        same(
            "gripper_stroke_m",
            self.gripper_stroke_m.to_string(),
            live.gripper_stroke_m.to_string(),
        )?;
        same(
            "cameras (number)",
            self.cameras.len().to_string(),
            live.cameras.len().to_string(),
        )?;
        for (i, (expected, found)) in self.cameras.iter().zip(&live.cameras).enumerate() {
            let field = |name: &str| format!("cameras[{i}].{name}");
            same(&field("name"), expected.name.clone(), found.name.clone())?;
            same(&field("frame"), expected.frame.clone(), found.frame.clone())?;
            same(&field("width"), expected.width.to_string(), found.width.to_string())?;
            same(&field("height"), expected.height.to_string(), found.height.to_string())?;
        }
        Ok(())
    }

    /// Compares camera rates, which are measured and therefore only approximately equal.
    ///
    /// # Errors
    /// Names the first camera whose rate differs from the recorded one by more than the fraction `tolerance`.
    pub fn require_rates(&self, live: &Self, tolerance: f64) -> Result<(), ContractError> {
        for (i, (expected, found)) in self.cameras.iter().zip(&live.cameras).enumerate() {
            if (found.rate_hz - expected.rate_hz).abs() > tolerance * expected.rate_hz {
                return Err(ContractError::Mismatch {
                    field: format!("robot.cameras[{i}].rate_hz"),
                    expected: format!("{} within {:.0} %", expected.rate_hz, tolerance * 100.0),
                    found: format!("{:.1}", found.rate_hz),
                    remedy: "set the camera driver to the recorded rate, or use a checkpoint trained at this one",
                });
            }
        }
        Ok(())
    }
}
