//! Parameters of the simulated table-top, read from YAML. Invalid files are refused with the line of the fault.

use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::files;

/// Levels of the factor each task is about.
pub const LEVELS: usize = 3;

/// Configuration that ships with the project.
const SHIPPED: &str = include_str!("../../config/robots/sim_table_top.yaml");

/// All parameters of the table-top that are not drawn by seed; `config/robots/sim_table_top.yaml` explains each value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimConfig {
    /// The block to be moved.
    pub block: Block,
    /// The three tasks.
    pub tasks: Tasks,
    /// The scripted expert.
    pub expert: ExpertConfig,
    /// The simulated driver of Realman.
    pub driver: SimDriverConfig,
}

/// The block to be moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Length of an edge (m); it must fit between the fingers.
    #[serde(deserialize_with = "block_side")]
    pub side_m: f64,
    /// Mass (kg); the gripper holds up to 1.5 kg.
    #[serde(deserialize_with = "block_mass")]
    pub mass_kg: f64,
    /// Colours to draw from.
    #[serde(deserialize_with = "not_empty")]
    pub colours: Vec<Colour>,
}

/// A colour by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Name used in instructions.
    pub name: String,
    /// Red, green, blue, 0 to 1.
    #[serde(deserialize_with = "rgb")]
    pub rgb: [f64; 3],
}

/// The three tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// Pick from varying heights.
    pub height: HeightLevels,
    /// Place into a transparent box.
    pub container: ContainerLevels,
    /// Place at a named mark.
    pub position: PositionLevels,
}

/// Levels of the height task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeightLevels {
    /// Height of the pedestal's top above the table (m).
    #[serde(deserialize_with = "heights")]
    pub pedestal_heights_m: [f64; LEVELS],
}

/// Levels of the container task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerLevels {
    /// The boxes.
    pub boxes: [TransparentBox; LEVELS],
}

/// A transparent box, open at the top.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransparentBox {
    /// Half the inner width (m); the block and the opening fingers must fit.
    #[serde(deserialize_with = "box_half")]
    pub inner_half_m: f64,
    /// Height of the walls (m); the palm must stay above them.
    #[serde(deserialize_with = "box_wall")]
    pub wall_m: f64,
    /// Opacity, 0 invisible to 1 opaque.
    #[serde(deserialize_with = "opacity")]
    pub opacity: f64,
}

/// Levels of the position task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionLevels {
    /// The marks.
    pub marks: [Mark; LEVELS],
}

/// A mark on the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Name used in instructions.
    pub name: String,
    /// Distance in front of the arm (m).
    #[serde(deserialize_with = "mark_x")]
    pub x_m: f64,
    /// Distance to the arm's left (m), which is the right side of the top camera's picture.
    #[serde(deserialize_with = "mark_y")]
    pub y_m: f64,
}

/// The scripted expert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertConfig {
    /// Largest speed of the tool (m/s).
    #[serde(deserialize_with = "speed")]
    pub speed_m_s: f64,
    /// Largest acceleration of the tool (m/s^2).
    #[serde(deserialize_with = "acceleration")]
    pub acceleration_m_s2: f64,
    /// Largest turning speed of the tool (rad/s).
    #[serde(deserialize_with = "turn")]
    pub turn_rad_s: f64,
    /// Largest turning acceleration of the tool (rad/s^2).
    #[serde(deserialize_with = "turn_acceleration")]
    pub turn_acceleration_rad_s2: f64,
    /// Steps of a chunk.
    #[serde(deserialize_with = "steps")]
    pub horizon: usize,
    /// Steps after which the expert plans anew.
    #[serde(deserialize_with = "steps")]
    pub replan_steps: usize,
}

/// The simulated driver of Realman.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimDriverConfig {
    /// Time between two state messages (s).
    #[serde(deserialize_with = "cycle")]
    pub udp_cycle_s: f64,
    /// Acceleration the controller plans with in low-follow mode (rad/s^2).
    #[serde(deserialize_with = "joint_acceleration")]
    pub low_follow_acceleration_rad_s2: f64,
    /// Speed at which the gripper's opening changes (m/s).
    #[serde(deserialize_with = "gripper_speed")]
    pub gripper_speed_m_s: f64,
    /// Translation of the controller's current tool in the flange frame (m).
    #[serde(deserialize_with = "tool")]
    pub tool_offset_m: [f64; 3],
}

/// Error of loading a simulation configuration.
#[derive(Debug, thiserror::Error)]
pub enum SimConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; give the path of a file like config/robots/sim_table_top.yaml")]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is invalid.
    #[error("{path}: {message}")]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// Line, expected and found value.
        message: String,
    },
}

impl SimConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is missing, has an unknown or missing field, or a value that cannot work; the message names the line.
    pub fn load(path: &Path) -> Result<Self, SimConfigError> {
        let text = files::read_description(path, files::CONFIGURATION).map_err(|source| SimConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Returns the configuration that ships with the project, `config/robots/sim_table_top.yaml`.
    ///
    /// # Errors
    /// When the built-in file is invalid, which its test rules out.
    pub fn shipped() -> Result<Self, SimConfigError> {
        Self::parse(SHIPPED, Path::new("config/robots/sim_table_top.yaml"))
    }

    fn parse(text: &str, path: &Path) -> Result<Self, SimConfigError> {
        serde_saphyr::from_str(text).map_err(|e| SimConfigError::Parse {
            path: path.to_owned(),
            message: e.to_string(),
        })
    }
}

fn between<'de, D: Deserializer<'de>>(from: D, low: f64, high: f64, why: &str) -> Result<f64, D::Error> {
    let value = f64::deserialize(from)?;
    if value >= low && value <= high {
        return Ok(value);
    }
    Err(D::Error::custom(format!(
        "expected {low} to {high} ({why}), found {value}"
    )))
}

macro_rules! ranges {
    ($($name:ident: $low:expr, $high:expr, $why:literal;)*) => {
        $(fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
            between(from, $low, $high, $why)
        })*
    };
}

ranges! {
    block_side: 0.02, 0.06, "metres; the fingers open to 0.070";
    block_mass: 0.005, 1.0, "kilograms; the gripper holds 1.5";
    box_half: 0.05, 0.09, "metres; block and fingers must fit inside";
    box_wall: 0.01, 0.09, "metres; the palm must stay above the walls";
    opacity: 0.05, 1.0, "0 invisible, 1 opaque";
    mark_x: 0.25, 0.45, "metres; within the arm's reach and clear of its base";
    mark_y: -0.25, 0.25, "metres; within the arm's reach";
    speed: 0.02, 0.5, "metres a second";
    acceleration: 0.1, 4.0, "metres a second squared";
    turn: 0.1, 3.0, "radians a second";
    turn_acceleration: 0.2, 20.0, "radians a second squared";
    joint_acceleration: 1.0, 200.0, "radians a second squared";
    gripper_speed: 0.01, 0.5, "metres a second";
}

fn cycle<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let value = between(from, 0.005, 1.0, "seconds, a multiple of 0.005")?;
    let cycles = value / 0.005;
    if (cycles - cycles.round()).abs() < 1e-6 {
        return Ok(value);
    }
    Err(D::Error::custom(format!(
        "expected a multiple of 0.005 s, found {value}"
    )))
}

fn heights<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; LEVELS], D::Error> {
    let heights = <[f64; LEVELS]>::deserialize(from)?;
    match heights.iter().find(|h| !(**h >= 0.01 && **h <= 0.15)) {
        Some(found) => Err(D::Error::custom(format!(
            "expected 0.01 to 0.15 (metres; above that the arm cannot lift over it), found {found}"
        ))),
        None => Ok(heights),
    }
}

fn rgb<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 3], D::Error> {
    let colour = <[f64; 3]>::deserialize(from)?;
    match colour.iter().find(|c| !(**c >= 0.0 && **c <= 1.0)) {
        Some(found) => Err(D::Error::custom(format!("expected parts of 0 to 1, found {found}"))),
        None => Ok(colour),
    }
}

fn tool<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 3], D::Error> {
    let offset = <[f64; 3]>::deserialize(from)?;
    match offset.iter().find(|c| c.abs() > 0.5 || c.is_nan()) {
        Some(found) => Err(D::Error::custom(format!(
            "expected -0.5 to 0.5 (metres), found {found}"
        ))),
        None => Ok(offset),
    }
}

fn steps<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let value = usize::deserialize(from)?;
    if (1..=64).contains(&value) {
        return Ok(value);
    }
    Err(D::Error::custom(format!("expected 1 to 64 steps, found {value}")))
}

fn not_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Colour>, D::Error> {
    let colours = Vec::<Colour>::deserialize(from)?;
    if colours.is_empty() {
        return Err(D::Error::custom("expected at least one colour, found none"));
    }
    Ok(colours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(from: &str, to: &str) -> String {
        let text = SHIPPED.replacen(from, to, 1);
        assert_ne!(text, SHIPPED, "{from} is not in the shipped file");
        SimConfig::parse(&text, Path::new("sim.yaml")).unwrap_err().to_string()
    }

    fn line_of(needle: &str) -> String {
        let line = SHIPPED.lines().position(|l| l.contains(needle)).unwrap() + 1;
        format!("line {line}")
    }

    #[test]
    fn the_shipped_file_can_work() {
        SimConfig::shipped().unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_line() {
        for (from, to, expected) in [
            ("side_m: 0.040", "side_m: 0.080", "expected 0.02 to 0.06"),
            ("mass_kg: 0.06", "mass_kg: .nan", "expected 0.005 to 1"),
            ("udp_cycle_s: 0.005", "udp_cycle_s: 0.007", "multiple of 0.005"),
            ("horizon: 10", "horizon: 0", "expected 1 to 64 steps"),
            ("speed_m_s: 0.2", "velocity: 0.2", "unknown field"),
        ] {
            let message = refusal(from, to);
            assert!(message.contains(expected), "{message}");
            assert!(
                message.contains(&line_of(from)),
                "{message}\nexpected {}",
                line_of(from)
            );
        }
    }

    #[test]
    fn a_task_has_three_levels() {
        let message = refusal("      - 0.13\n", "");
        assert!(
            message.contains("length 3") || message.contains("array of 3"),
            "{message}"
        );
    }
}
