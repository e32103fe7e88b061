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
mod grip;

use super::hand::{Hand, Intent};
use super::mapping::{Command, Mapping};
use super::motion::STEP_S;
use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::{ActionChunk, ActionsError, PhysicalActions};
use crate::control::time::Time;
use anchor::Anchor;
use arm::Wait;
pub use arm::{Arm, Readiness};
use engaged::{Engaged, Present};
use grip::Grip;

/// Name of this source in leases, chunks and heartbeats.
pub const SOURCE: &str = "teleop";

/// Time after its observation within which a chunk may start (s).
const EXPIRY_S: f64 = 0.3;
/// Maximum time to wait for lease and arm after the deadman was pressed (s).
const WAIT_S: f64 = 3.0;

/// Action to take now.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
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
enum State {
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
pub struct Session {
    mapping: Mapping,
    frame: String,
    scale: usize,
    grip: Grip,
    state: State,
    plan_id: u64,
}

impl Session {
    /// Creates an idle session. `base_frame` is the frame in which the arm node expects deltas.
    pub fn new(mapping: Mapping, base_frame: &str) -> Self {
        let steps = &mapping.scale.steps;
        Self {
            scale: steps.iter().position(|step| *step == mapping.scale.start).unwrap_or(0),
            grip: Grip::new(mapping.gripper_start),
            frame: base_frame.to_owned(),
            state: State::Idle { spent: false },
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
        matches!(self.state, State::Engaged(_))
    }

    /// Returns whether the deadman was pressed and the arm is not ready yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Returns the gripper opening requested while engaged.
    pub fn opening(&self) -> f64 {
        self.grip.opening()
    }

    /// Handles commands of scale and gripper; returns false for any other command.
    pub fn command(&mut self, command: &Command) -> bool {
        let last = self.mapping.scale.steps.len().saturating_sub(1);
        match command {
            Command::Faster => self.rescale((self.scale + 1).min(last)),
            Command::Slower => self.rescale(self.scale.saturating_sub(1)),
            Command::ToggleGripper | Command::OpenGripper | Command::CloseGripper => self.grip.ask(command),
            _ => return false,
        }
        true
    }

    fn rescale(&mut self, scale: usize) {
        self.scale = scale;
        if let State::Engaged(engaged) = &mut self.state {
            engaged.anchor.loosen();
        }
    }

    /// Ends the engagement for a reason other than the deadman, which must be released before the next one.
    pub fn end(&mut self) {
        self.state = State::Idle { spent: true };
        self.grip.forget();
    }

    /// Decides what to do from hand and arm. `lease` is the lease held, if any; `now` is on the clock of
    /// [`Arm::received`].
    ///
    /// # Errors
    /// When the arm reports values that are not finite.
    pub fn look(
        &mut self,
        hand: &Hand,
        arm: Option<&Arm>,
        lease: Option<u64>,
        now: Time,
    ) -> Result<Step, ActionsError> {
        if let State::Idle { spent } = self.state {
            self.grip.unless_held(hand.held);
            if !hand.held || spent {
                self.state = State::Idle {
                    spent: spent && hand.held,
                };
                return Ok(Step::Rest);
            }
            self.state = State::Waiting { since: now };
        }
        if !hand.held {
            let engaged = self.is_engaged();
            self.state = State::Idle { spent: false };
            self.grip.forget();
            return Ok(if engaged {
                Step::LetGo("let go".into())
            } else {
                Step::Rest
            });
        }
        if let Some(fault) = &hand.fault {
            return Ok(self.give_up(fault.clone()));
        }
        if let State::Waiting { since } = self.state {
            let late = now.seconds_since(since) > WAIT_S;
            match arm::ready(arm, lease, now) {
                Ok((arm, _)) => {
                    if let Err(why) = self.engage(hand, arm) {
                        return Ok(self.give_up(why));
                    }
                }
                Err(Wait::Lease) if !late => return Ok(Step::Acquire),
                Err(Wait::For(why)) if late => {
                    return Ok(self.give_up(format!("waited {WAIT_S} s in vain: {why}")));
                }
                Err(Wait::Never(why)) => return Ok(self.give_up(why)),
                Err(Wait::Lease) => return Ok(self.give_up("the lease was not granted".into())),
                Err(Wait::For(_)) => return Ok(Step::Rest),
            }
        }
        let (arm, lease) = match arm::ready(arm, lease, now) {
            Ok(ready) => ready,
            // A braking arm accepts the next chunk.
            Err(Wait::For(_)) if arm.is_some_and(|arm| arm.is_fresh(now) && Some(arm.lease) == lease) => {
                return Ok(Step::Rest);
            }
            Err(Wait::Lease) => return Ok(self.give_up("the lease is gone".into())),
            Err(Wait::For(why) | Wait::Never(why)) => return Ok(self.give_up(why)),
        };
        self.follow(hand, arm, lease)
    }

    /// Ends the engagement; the deadman must be released before anything moves again.
    fn give_up(&mut self, why: String) -> Step {
        let engaged = self.is_engaged();
        self.end();
        if engaged { Step::LetGo(why) } else { Step::Refuse(why) }
    }

    fn engage(&mut self, hand: &Hand, arm: &Arm) -> Result<(), String> {
        let Some(intent) = hand.intent else {
            return Err("expected a reading of the input, found none yet".into());
        };
        let anchor = Anchor::new(&self.mapping.input, intent, arm)?;
        self.grip.engage(arm.gripper, hand.gripper);
        self.state = State::Engaged(Box::new(Engaged::new(anchor)));
        Ok(())
    }

    fn follow(&mut self, hand: &Hand, arm: &Arm, lease: u64) -> Result<Step, ActionsError> {
        self.grip.follow(hand.gripper);
        let scale = self.scale();
        let slowest = self.mapping.scale.steps.first().copied().unwrap_or(scale);
        let (State::Engaged(engaged), Some(intent)) = (&mut self.state, hand.intent) else {
            return Ok(Step::Rest);
        };
        if engaged.last.is_some_and(|last| arm.stamp <= last) {
            return Ok(Step::Rest);
        }
        let elapsed = engaged.last.map_or(0.0, |last| arm.stamp.seconds_since(last));
        engaged.last = Some(arm.stamp);
        let present = Present {
            scale,
            slowest,
            elapsed,
            opening: self.grip.opening(),
        };
        let input = &self.mapping.input;
        let (space, values) = match intent {
            Intent::Joints(leader) => (ActionSpace::Joint8, engaged.joint_steps(input, leader, arm, present)),
            Intent::Twist(_) | Intent::Pose(_) => (ActionSpace::Ee7, engaged.tool_steps(input, intent, arm, present)),
        };
        self.plan_id += 1;
        Ok(Step::Send(Box::new(ActionChunk {
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
