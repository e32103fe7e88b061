//! Parameters of the operator's node.

use std::path::PathBuf;

use crate::control::config::{ArmConfig, ArmConfigError};
use crate::ros::node::parameters::{NodeParameters, ParameterError, Text, Texts};
use crate::ros::node::runtime::Runtime;
use crate::ros::node::share;
use crate::teleop::mapping::{Mapping, MappingError};

/// Names of the installed mappings.
const SHIPPED: [&str; 5] = ["keyboard", "gamepad", "spacemouse", "leader", "vr"];

/// Error in the parameters.
#[derive(Debug, thiserror::Error)]
pub enum TeleopSettingsError {
    /// Invalid parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Invalid mapping.
    #[error("parameter mapping: {0}")]
    Mapping(#[from] MappingError),
    /// Invalid arm file.
    #[error("parameter robot: {path}: {source}", path = path.display())]
    Robot {
        /// The file.
        path: PathBuf,
        /// The error found in it.
        source: ArmConfigError,
    },
    /// Empty instruction.
    #[error("parameter instructions: expected words in each, found none in number {0}; leave it out")]
    Wordless(usize),
}

/// Parameters of the node, read once at start.
pub struct TeleopSettings {
    /// Meaning of keys, buttons and motion.
    pub mapping: Mapping,
    /// Name or path of the mapping.
    pub mapping_name: String,
    /// Frame of the end-effector actions.
    pub base_frame: String,
    /// Whether the lease is kept when the deadman is released.
    pub keeps_lease: bool,
    /// Instructions of the next episodes, in order.
    pub instructions: Vec<String>,
    _declared: NodeParameters,
}

impl TeleopSettings {
    /// Declares the parameters and reads the files they name.
    ///
    /// # Errors
    /// When a value or a file cannot work; the message names it.
    pub fn declare(runtime: &Runtime) -> Result<Self, TeleopSettingsError> {
        let mut declared = NodeParameters::of(runtime);
        let mut text = |name, default, choices, about| {
            declared.fixed(Text {
                name,
                default,
                choices,
                about,
            })
        };
        let mapping_name = text(
            "mapping",
            "keyboard",
            &[],
            "Input and what it means: keyboard, gamepad, spacemouse, leader or vr, or the path of a file like \
             config/teleop/keyboard.yaml.",
        )?;
        let robot = text(
            "robot",
            "",
            &[],
            "File that describes the arm, as arm_node's; empty takes the installed config/robots/rm75.yaml.",
        )?;
        let after_release = text(
            "after_release",
            "hold",
            &["hold", "hand_back"],
            "What follows the brake when the deadman is let go: hold keeps the lease, so that nothing else moves the arm \
             until it is handed back; hand_back frees it.",
        )?;
        let instructions = declared.fixed(Texts {
            name: "instructions",
            about: "What the episodes are of, in order: the first is published on instruction at start, next_instruction \
                    goes on, and begins anew after the last.",
        })?;
        if let Some(number) = instructions.iter().position(|words| words.trim().is_empty()) {
            return Err(TeleopSettingsError::Wordless(number + 1));
        }
        let path = if SHIPPED.contains(&mapping_name.as_str()) {
            share::file(&format!("config/teleop/{mapping_name}.yaml"))
        } else {
            PathBuf::from(&mapping_name)
        };
        let robot = if robot.is_empty() {
            share::file("config/robots/rm75.yaml")
        } else {
            PathBuf::from(robot)
        };
        let arm = ArmConfig::load(&robot).map_err(|source| TeleopSettingsError::Robot { path: robot, source })?;
        Ok(Self {
            mapping: Mapping::load(&path)?,
            mapping_name,
            base_frame: arm.base_frame,
            keeps_lease: after_release == "hold",
            instructions,
            _declared: declared.complete()?,
        })
    }
}
