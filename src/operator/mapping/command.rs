//! What keys, buttons and axes can be told to do.

use serde::Deserialize;

/// A direction of the tool, translation or rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Along {
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

impl Along {
    /// Place in x, y, z, rx, ry, rz.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A direction with its sign, written `+x`, `-rz`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Push {
    /// Direction.
    pub along: Along,
    /// Against it.
    pub backwards: bool,
}

impl TryFrom<String> for Push {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("expected + or - and one of x, y, z, rx, ry, rz, such as +x, found {text:?}");
        let (sign, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
        let along = match rest {
            "x" => Along::X,
            "y" => Along::Y,
            "z" => Along::Z,
            "rx" => Along::Rx,
            "ry" => Along::Ry,
            "rz" => Along::Rz,
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

/// What a key or button does once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Next larger scale.
    Faster,
    /// Next smaller scale.
    Slower,
    /// Open if closed, close if open; only while the deadman is held.
    ToggleGripper,
    /// Open; only while the deadman is held.
    OpenGripper,
    /// Close; only while the deadman is held.
    CloseGripper,
    /// Brake and hold, a named move too.
    LetGo,
    /// Give the lease back.
    HandBack,
    /// Give the lease back and activate the policy.
    ResumePolicy,
    /// The arm node's latched stop.
    Stop,
    /// Release a latched stop or fault.
    ResetFault,
    /// Arm.
    Arm,
    /// The next of the instructions the node was given.
    NextInstruction,
    /// A named move of the arm node.
    MoveTo(String),
    /// A `std_srvs/Trigger` service by its name, e.g. `record_node/start`.
    Call(String),
}
