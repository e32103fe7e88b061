//! Comparison of the live robot with the contract.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::error::PolicyError;
use crate::contract::{Camera, Robot};
use crate::files;
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::subscribe::images::Slot;

/// Facts in the arm's parameter file that the contract also contains.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ArmFacts {
    /// Arm model.
    pub arm: String,
    /// Frame in which end-effector actions are expressed.
    pub base_frame: String,
    /// Frame at the tool centre point.
    pub tool_frame: String,
}

/// The shipped arm file.
const RM75: &str = include_str!("../../../config/robots/rm75.yaml");

impl ArmFacts {
    /// Reads a file like `config/robots/rm75.yaml`; an empty path stands for the shipped one.
    ///
    /// # Errors
    /// When the file is missing or lacks a fact.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let fault = |e: &dyn std::fmt::Display| PolicyError::RobotFile {
            path: path.to_owned(),
            message: e.to_string(),
        };
        let text = if path.as_os_str().is_empty() {
            RM75.to_owned()
        } else {
            files::read_description(path, files::CONFIGURATION).map_err(|e| fault(&e))?
        };
        serde_saphyr::from_str(&text).map_err(|e| fault(&e))
    }

    /// Returns the facts with the base frame that the arm node publishes, if any, which takes precedence over the file.
    #[must_use]
    pub fn with_status(&self, arm: &ArmMonitor) -> Self {
        let mut facts = self.clone();
        if let Some((status, _)) = arm.latest()
            && !status.header.frame_id.is_empty()
        {
            facts.base_frame = status.header.frame_id;
        }
        facts
    }
}

/// Compares the recorded robot of a contract with the live robot and its cameras.
///
/// # Errors
/// Names the first field that differs, with both values, or the camera without usable images.
pub fn compare(
    recorded: &Robot,
    facts: &ArmFacts,
    cameras: &[Arc<Slot>],
    rate_tolerance: f64,
) -> Result<(), PolicyError> {
    let live = Robot {
        arm: facts.arm.clone(),
        base_frame: facts.base_frame.clone(),
        tool_frame: facts.tool_frame.clone(),
        // Realman's gripper does not report its stroke, so it cannot be compared.
        gripper_stroke_m: recorded.gripper_stroke_m,
        cameras: cameras.iter().map(|slot| live_camera(slot)).collect::<Result<_, _>>()?,
    };
    recorded.require_same(&live)?;
    Ok(recorded.require_rates(&live, rate_tolerance)?)
}

fn live_camera(slot: &Slot) -> Result<Camera, PolicyError> {
    let unseen = || PolicyError::NoImage(slot.camera().to_owned());
    let image = slot.latest().ok_or_else(unseen)?;
    let (width, height) = image.payload.size()?;
    Ok(Camera {
        name: slot.camera().to_owned(),
        frame: image.payload.frame(),
        width,
        height,
        rate_hz: slot.health().rate_hz().ok_or_else(unseen)?,
    })
}
