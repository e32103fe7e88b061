//! Parameters of the arm node: the arm's file, and those of its values that may be overridden at start.

use std::path::PathBuf;

use crate::control::config::validate::RATE_HZ;
use crate::control::config::{ApiChoice, ArmConfig, ArmConfigError, CommandMode};
use crate::files::yaml::InvalidValue;
use crate::ros::node::parameters::{Flag, NodeParameters, Number, ParameterError, Text};
use crate::ros::node::runtime::Runtime;
use crate::ros::node::share;

/// Error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ArmSettingsError {
    /// Invalid parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Overrides that do not fit the arm's file.
    #[error("parameter {0}")]
    Together(InvalidValue),
    /// Invalid arm file.
    #[error("parameter robot: {path}: {source}", path = path.display())]
    Robot {
        /// The file.
        path: PathBuf,
        /// The error found in it.
        source: ArmConfigError,
    },
}

/// Settings of the node, read once at start.
pub struct ArmSettings {
    /// The arm, with overrides applied.
    pub arm: ArmConfig,
    _declared: NodeParameters,
}

impl ArmSettings {
    /// Declares the parameters and reads the arm's file.
    ///
    /// # Errors
    /// When a value or the file cannot work; the message names it.
    pub fn declare(runtime: &Runtime) -> Result<Self, ArmSettingsError> {
        let mut declared = NodeParameters::of(runtime);
        let robot = declared.fixed(Text {
            name: "robot",
            default: "",
            choices: &[],
            about: "File that describes the arm; empty takes the installed config/robots/rm75.yaml.",
        })?;
        let path = if robot.is_empty() {
            share::file("config/robots/rm75.yaml")
        } else {
            PathBuf::from(robot)
        };
        let mut arm = ArmConfig::load(&path).map_err(|source| ArmSettingsError::Robot {
            path: path.clone(),
            source,
        })?;
        arm.dry_run = declared.fixed(Flag {
            name: "dry_run",
            default: arm.dry_run,
            about: "Commands are computed, checked and shown, none is sent.",
        })?;
        arm.command_rate_hz = declared.fixed(Number {
            name: "command_rate_hz",
            default: arm.command_rate_hz,
            range: RATE_HZ,
            unit: "Hz",
            about: "Commands a second.",
        })?;
        arm.driver.api = match declared
            .fixed(Text {
                name: "driver_api",
                default: api_name(arm.driver.api),
                choices: &["auto", "v1", "v2"],
                about: "Generation of Realman's driver: v1 up to 1.2, v2 from 1.3, auto asks the ROS graph.",
            })?
            .as_str()
        {
            "v1" => ApiChoice::V1,
            "v2" => ApiChoice::V2,
            _ => ApiChoice::Auto,
        };
        let node = declared.fixed(Text {
            name: "driver_node",
            default: "",
            choices: &[],
            about: "Name of the node that drives the arm, without its namespace; the arm is armed with no other. Empty takes \
                    what the arm's file says.",
        })?;
        if !node.is_empty() {
            arm.driver.node = node;
        }
        arm.driver.command = match declared
            .fixed(Text {
                name: "command",
                default: match arm.driver.command {
                    CommandMode::Joint => "joint",
                    CommandMode::Cartesian => "cartesian",
                },
                choices: &["joint", "cartesian"],
                about: "What is passed through: joints by our own inverse kinematics, or tool poses.",
            })?
            .as_str()
        {
            "cartesian" => CommandMode::Cartesian,
            _ => CommandMode::Joint,
        };
        arm.driver.follow = declared.fixed(Flag {
            name: "follow",
            default: arm.driver.follow,
            about: "High follow: the controller takes every frame as it is; needs 100 Hz or more and a quiet machine.",
        })?;
        arm.check().map_err(ArmSettingsError::Together)?;
        Ok(Self {
            arm,
            _declared: declared.complete()?,
        })
    }
}

fn api_name(api: ApiChoice) -> &'static str {
    match api {
        ApiChoice::Auto => "auto",
        ApiChoice::V1 => "v1",
        ApiChoice::V2 => "v2",
    }
}
