//! Commands of keys and buttons, and directions of motion.

use serde::Deserialize;

/// Direction of the tool, translation or rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolAxis {
    /// Along x.
    X,
    /// Along y.
    Y,
    /// Along z.
    Z,
    /// About x.
    Rx,
    /// About y.
    Ry,
    /// About z.
    Rz,
}

impl ToolAxis {
    /// Returns the index among x, y, z, rx, ry, rz.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Direction with its sign, written `+x`, `-rz`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SignedAxis {
    /// Direction.
    pub along: ToolAxis,
    /// Whether the motion is against the direction.
    pub backwards: bool,
}

/// Text that is no direction with a sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected + or - and one of x, y, z, rx, ry, rz, such as +x, found {0:?}")]
pub struct UnknownAxis(String);

impl TryFrom<String> for SignedAxis {
    type Error = UnknownAxis;

    fn try_from(text: String) -> Result<Self, UnknownAxis> {
        let wrong = || UnknownAxis(text.clone());
        let (sign, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
        let along = match rest {
            "x" => ToolAxis::X,
            "y" => ToolAxis::Y,
            "z" => ToolAxis::Z,
            "rx" => ToolAxis::Rx,
            "ry" => ToolAxis::Ry,
            "rz" => ToolAxis::Rz,
            _ => return Err(wrong()),
        };
        match sign {
            "+" | "-" => Ok(Self {
                along,
                backwards: sign == "-",
            }),
            _ => Err(wrong()),
        }
    }
}

/// Command of a key or button, once per press.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Selects the next larger scale.
    Faster,
    /// Selects the next smaller scale.
    Slower,
    /// Opens a closed gripper, closes an open one; only while the deadman is held.
    ToggleGripper,
    /// Opens the gripper; only while the deadman is held.
    OpenGripper,
    /// Closes the gripper; only while the deadman is held.
    CloseGripper,
    /// Brakes and holds, also during a named move.
    LetGo,
    /// Gives the lease back.
    HandBack,
    /// Gives the lease back and activates the policy.
    ResumePolicy,
    /// Triggers the arm node's latched stop.
    Stop,
    /// Releases a latched stop or fault.
    ResetFault,
    /// Arm.
    Arm,
    /// Selects the next of the node's instructions.
    NextInstruction,
    /// Starts a named move of the arm node.
    MoveTo(String),
    /// Calls a `std_srvs/Trigger` service by its name, e.g. `record_node/start`.
    Call(String),
}
