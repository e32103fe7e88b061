//! Teleoperation session: engages, follows and releases, depending on hand and arm.
//!
//! ```text
//! Idle ─ pressed ─► Waiting (lease, arm at rest) ─ anchored ─► Engaged ─ released, lost, broken ─► Idle
//! ```
//!
//! Motion is always an offset from the arm's commanded position, so a new engagement begins without motion. If anything
//! but the deadman ended an engagement, the deadman must be released and pressed again.

mod anchor;
mod arm;
mod engaged;
mod gripper;

use super::input_device::{InputReading, Intent};
use super::mapping::{Command, Mapping};
use super::motion::STEP_S;
use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::{ActionChunk, ActionsError, PhysicalActions};
use crate::types::time::Time;
use anchor::{Anchor, EngageError};
use arm::Wait;
pub use arm::{ObservedArm, Readiness};
use engaged::{Engaged, Present};
use gripper::GripperInput;

/// Name of this source in leases, chunks and heartbeats.
pub const SOURCE: &str = "teleop";

/// Time after its observation within which a chunk may start (s).
const EXPIRY_S: f64 = 0.3;
/// Maximum time to wait for lease and arm after the deadman was pressed (s).
const ENGAGE_TIMEOUT_S: f64 = 3.0;

/// Action to take now.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionStep {
    /// Do nothing.
    Rest,
    /// Ask the arm node for the lease.
    Acquire,
    /// Send this chunk.
    Send(Box<ActionChunk>),
    /// Stop the motion at once, for this reason.
    LetGo(String),
    /// Refuse to engage although the deadman is pressed, for this reason.
    Refuse(String),
}

#[derive(Debug, Clone)]
enum SessionState {
    /// Not engaged. If `spent`, the deadman must be released first.
    Idle {
        spent: bool,
    },
    Waiting {
        since: Time,
    },
    Engaged(Box<Engaged>),
}

/// Session of one operator.
#[derive(Debug, Clone)]
pub struct TeleopSession {
    mapping: Mapping,
    frame: String,
    scale: usize,
    gripper: GripperInput,
    state: SessionState,
    plan_id: u64,
}

impl TeleopSession {
    /// Creates an idle session. `base_frame` is the frame in which the arm node expects deltas.
    pub fn new(mapping: Mapping, base_frame: &str) -> Self {
        let steps = &mapping.scale.steps;
        Self {
            scale: steps.iter().position(|step| *step == mapping.scale.start).unwrap_or(0),
            gripper: GripperInput::new(mapping.gripper_start),
            frame: base_frame.to_owned(),
            state: SessionState::Idle { spent: false },
            plan_id: 0,
            mapping,
        }
    }

    /// Returns the speed scale, a fraction of full speed.
    pub fn scale(&self) -> f64 {
        self.mapping.scale.steps.get(self.scale).copied().unwrap_or(0.0)
    }

    /// Returns whether the arm follows the hand.
    pub fn is_engaged(&self) -> bool {
        matches!(self.state, SessionState::Engaged(_))
    }

    /// Returns whether the deadman was pressed and the arm is not ready yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, SessionState::Waiting { .. })
    }

    /// Returns the gripper opening requested while engaged.
    pub fn opening(&self) -> f64 {
        self.gripper.opening()
    }

    /// Handles commands of scale and gripper; returns false for any other command.
    pub fn command(&mut self, command: &Command) -> bool {
        let last = self.mapping.scale.steps.len().saturating_sub(1);
        match command {
            Command::Faster => self.rescale((self.scale + 1).min(last)),
            Command::Slower => self.rescale(self.scale.saturating_sub(1)),
            Command::ToggleGripper | Command::OpenGripper | Command::CloseGripper => self.gripper.ask(command),
            _ => return false,
        }
        true
    }

    fn rescale(&mut self, scale: usize) {
        self.scale = scale;
        if let SessionState::Engaged(engaged) = &mut self.state {
            engaged.anchor.release_clutch();
        }
    }

    /// Ends the engagement for a reason other than the deadman, which must be released before the next one.
    pub fn end(&mut self) {
        self.state = SessionState::Idle { spent: true };
        self.gripper.forget();
    }

    /// Decides what to do from hand and arm. `lease` is the lease held, if any; `now` is on the clock of
    /// [`ObservedArm::received`].
    ///
    /// # Errors
    /// When the arm reports values that are not finite.
    pub fn update(
        &mut self,
        reading: &InputReading,
        arm: Option<&ObservedArm>,
        lease: Option<u64>,
        now: Time,
    ) -> Result<SessionStep, ActionsError> {
        if let SessionState::Idle { spent } = self.state {
            self.gripper.unless_held(reading.held);
            if !reading.held || spent {
                self.state = SessionState::Idle {
                    spent: spent && reading.held,
                };
                return Ok(SessionStep::Rest);
            }
            self.state = SessionState::Waiting { since: now };
        }
        if !reading.held {
            let engaged = self.is_engaged();
            self.state = SessionState::Idle { spent: false };
            self.gripper.forget();
            return Ok(if engaged {
                SessionStep::LetGo("let go".into())
            } else {
                SessionStep::Rest
            });
        }
        if let Some(fault) = &reading.fault {
            return Ok(self.disengage(fault.clone()));
        }
        if let SessionState::Waiting { since } = self.state {
            let late = now.seconds_since(since) > ENGAGE_TIMEOUT_S;
            match arm::ready(arm, lease, now) {
                Ok((arm, _)) => {
                    if let Err(why) = self.engage(reading, arm) {
                        return Ok(self.disengage(why.to_string()));
                    }
                }
                Err(Wait::Lease) if !late => return Ok(SessionStep::Acquire),
                Err(Wait::For(why)) if late => {
                    return Ok(self.disengage(format!("waited {ENGAGE_TIMEOUT_S} s in vain: {why}")));
                }
                Err(Wait::Never(why)) => return Ok(self.disengage(why)),
                Err(Wait::Lease) => return Ok(self.disengage("the lease was not granted".into())),
                Err(Wait::For(_)) => return Ok(SessionStep::Rest),
            }
        }
        let (arm, lease) = match arm::ready(arm, lease, now) {
            Ok(ready) => ready,
            // A braking arm accepts the next chunk.
            Err(Wait::For(_)) if arm.is_some_and(|arm| arm.is_fresh(now) && Some(arm.lease) == lease) => {
                return Ok(SessionStep::Rest);
            }
            Err(Wait::Lease) => return Ok(self.disengage("the lease is gone".into())),
            Err(Wait::For(why) | Wait::Never(why)) => return Ok(self.disengage(why)),
        };
        self.follow(reading, arm, lease)
    }

    /// Ends the engagement; the deadman must be released before anything moves again.
    fn disengage(&mut self, why: String) -> SessionStep {
        let engaged = self.is_engaged();
        self.end();
        if engaged {
            SessionStep::LetGo(why)
        } else {
            SessionStep::Refuse(why)
        }
    }

    fn engage(&mut self, reading: &InputReading, arm: &ObservedArm) -> Result<(), EngageError> {
        let Some(intent) = reading.intent else {
            return Err(EngageError::NoReading);
        };
        let anchor = Anchor::new(&self.mapping.input, intent, arm)?;
        self.gripper.engage(arm.gripper, reading.gripper);
        self.state = SessionState::Engaged(Box::new(Engaged::new(anchor)));
        Ok(())
    }

    fn follow(&mut self, reading: &InputReading, arm: &ObservedArm, lease: u64) -> Result<SessionStep, ActionsError> {
        self.gripper.follow(reading.gripper);
        let scale = self.scale();
        let slowest = self.mapping.scale.steps.first().copied().unwrap_or(scale);
        let (SessionState::Engaged(engaged), Some(intent)) = (&mut self.state, reading.intent) else {
            return Ok(SessionStep::Rest);
        };
        if engaged.last.is_some_and(|last| arm.stamp <= last) {
            return Ok(SessionStep::Rest);
        }
        let elapsed = engaged.last.map_or(0.0, |last| arm.stamp.seconds_since(last));
        engaged.last = Some(arm.stamp);
        let present = Present {
            scale,
            slowest,
            elapsed,
            opening: self.gripper.opening(),
        };
        let input = &self.mapping.input;
        let (space, values) = match intent {
            Intent::Joints(leader) => (ActionSpace::Joint8, engaged.joint_steps(input, leader, arm, present)),
            Intent::Twist(_) | Intent::Pose(_) => (ActionSpace::Ee7, engaged.tool_steps(input, intent, arm, present)),
        };
        self.plan_id += 1;
        Ok(SessionStep::Send(Box::new(ActionChunk {
            actions: PhysicalActions::new(space, values)?,
            composition: Composition::FromAnchor,
            reference: Reference::Commanded,
            frame: self.frame.clone(),
            step_period: STEP_S,
            observed: arm.stamp,
            expires: arm.stamp.offset_secs(EXPIRY_S),
            source: SOURCE.to_owned(),
            lease,
            plan_id: self.plan_id,
        })))
    }
}

#[cfg(test)]
mod tests;
