//! Engaging, following and letting go: what a hand and an arm together make of a deadman.
//!
//! ```text
//! Idle ─ pressed ─► Waiting (lease, arm at rest) ─ anchored ─► Engaged ─ released, lost, broken ─► Idle
//! ```
//!
//! Motion is always an offset from where the arm is commanded to be, so engaging anew begins with none. After anything
//! but the hand itself ended it, the deadman must be let go and pressed again.

mod anchor;
mod grip;

use nalgebra::{Vector3, Vector6};

use super::hand::{Hand, Intent};
use super::mapping::{Command, Input, Mapping};
use super::motion::{Course, Pace, STEP_S};
use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::{ActionChunk, ActionsError, PhysicalActions};
use crate::control::time::Time;
use crate::control::types::{JOINTS, Joints, Pose};
use anchor::Anchor;
use grip::Grip;

/// Name in leases, chunks and heartbeats.
pub const SOURCE: &str = "teleop";

/// How long after its observation a chunk may start [s].
const EXPIRY_S: f64 = 0.3;
/// An arm node silent for longer has no arm to move [s].
const ARM_SILENT_S: f64 = 0.3;
/// How long lease and arm may take after the deadman was pressed [s].
const WAIT_S: f64 = 3.0;

/// What the arm node says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Time of the report, on the arm's clock.
    pub stamp: Time,
    /// When it was received, on the clock of the caller.
    pub received: Time,
    /// Whether it can be driven.
    pub readiness: Readiness,
    /// Lease that drives it, 0 for none.
    pub lease: u64,
    /// `base_from_tool` commanded [m].
    pub pose: Pose,
    /// Joints commanded [rad].
    pub joints: Joints,
    /// Gripper opening commanded; nothing when nobody ever did.
    pub gripper: Option<f64>,
}

/// Whether an arm can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It holds, or follows a chunk.
    Ready,
    /// It comes to rest or ends a move, and then can be.
    Busy,
    /// Somebody must do something first; says what is the matter.
    Away(String),
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Ask the arm node for the lease.
    Acquire,
    /// Send this.
    Send(Box<ActionChunk>),
    /// End motion at once.
    LetGo(String),
    /// The deadman was pressed in vain; says why.
    Refuse(String),
}

#[derive(Debug, Clone)]
enum State {
    /// Not engaged. `spent`: the deadman has to be let go first.
    Idle {
        spent: bool,
    },
    Waiting {
        since: Time,
    },
    Engaged(Box<Engaged>),
}

#[derive(Debug, Clone)]
struct Engaged {
    anchor: Anchor,
    linear: Course<3>,
    angular: Course<3>,
    joints: Course<JOINTS>,
    last: Option<Time>,
}

/// What a plan starts from beside hand and arm.
#[derive(Debug, Clone, Copy)]
struct Present {
    /// Share of the speeds, and the smallest one.
    scale: f64,
    slowest: f64,
    /// Since the last plan [s].
    elapsed: f64,
    opening: f64,
}

/// One person's work.
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
    /// Nobody holds anything yet. `base_frame` is the frame the arm node expects deltas in.
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

    /// Share of the speeds.
    pub fn scale(&self) -> f64 {
        self.mapping.scale.steps.get(self.scale).copied().unwrap_or(0.0)
    }

    /// Whether the arm follows the hand.
    pub fn is_engaged(&self) -> bool {
        matches!(self.state, State::Engaged(_))
    }

    /// Whether the deadman was pressed and the arm is not ready yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Gripper opening asked for while engaged.
    pub fn opening(&self) -> f64 {
        self.grip.opening()
    }

    /// Scale and gripper; false when the command is none of these.
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

    /// Ends whatever is under way, for a reason that is not the deadman.
    pub fn end(&mut self) {
        self.state = State::Idle { spent: true };
        self.grip.forget();
    }

    /// Looks at hand and arm. `lease` is the lease held, if any; `now` is on the clock of [`Arm::received`].
    ///
    /// # Errors
    /// When what the arm reports is no number.
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
            match self.ready(arm, lease, now) {
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
        let (arm, lease) = match self.ready(arm, lease, now) {
            Ok(ready) => ready,
            // A braking arm takes the next chunk.
            Err(Wait::For(_)) if arm.is_some_and(|arm| arm.is_fresh(now) && Some(arm.lease) == lease) => {
                return Ok(Step::Rest);
            }
            Err(Wait::Lease) => return Ok(self.give_up("the lease is gone".into())),
            Err(Wait::For(why) | Wait::Never(why)) => return Ok(self.give_up(why)),
        };
        self.follow(hand, arm, lease)
    }

    /// The deadman has to be let go before anything moves again.
    fn give_up(&mut self, why: String) -> Step {
        let engaged = self.is_engaged();
        self.end();
        if engaged { Step::LetGo(why) } else { Step::Refuse(why) }
    }

    fn ready<'a>(&self, arm: Option<&'a Arm>, lease: Option<u64>, now: Time) -> Result<(&'a Arm, u64), Wait> {
        let arm = arm.filter(|arm| arm.is_fresh(now));
        let Some(arm) = arm else {
            return Err(Wait::For(
                "expected reports of arm_node, found none; is it running in this namespace?".into(),
            ));
        };
        if let Readiness::Away(why) = &arm.readiness {
            return Err(Wait::Never(why.clone()));
        }
        let Some(lease) = lease else {
            return Err(Wait::Lease);
        };
        if arm.lease != lease {
            return Err(Wait::For("another source holds the lease".into()));
        }
        if arm.readiness == Readiness::Busy {
            return Err(Wait::For("the arm is not at rest yet".into()));
        }
        Ok((arm, lease))
    }

    fn engage(&mut self, hand: &Hand, arm: &Arm) -> Result<(), String> {
        let Some(intent) = hand.intent else {
            return Err("expected a reading of the input, found none yet".into());
        };
        let anchor = Anchor::new(&self.mapping.input, intent, arm)?;
        self.grip.engage(arm.gripper, hand.gripper);
        self.state = State::Engaged(Box::new(Engaged {
            anchor,
            linear: Course::default(),
            angular: Course::default(),
            joints: Course::default(),
            last: None,
        }));
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

/// Why the arm cannot be driven this moment.
enum Wait {
    Lease,
    For(String),
    Never(String),
}

impl Arm {
    fn is_fresh(&self, now: Time) -> bool {
        now.seconds_since(self.received) <= ARM_SILENT_S
    }
}

impl Engaged {
    fn tool_steps(&mut self, input: &Input, intent: Intent, arm: &Arm, present: Present) -> Vec<f64> {
        let Present { scale, elapsed, .. } = present;
        let Some(speed) = input.tool_speed() else {
            return Vec::new();
        };
        let linear = Pace {
            fastest: speed.linear_m_s * scale,
            acceleration: speed.linear_m_s2,
        };
        let angular = Pace {
            fastest: speed.angular_rad_s * scale,
            acceleration: speed.angular_rad_s2,
        };
        let (moves, turns) = match self.anchor.tool_goal(input, intent, arm, scale) {
            anchor::Goal::Velocity(twist) => (
                self.linear.plan(elapsed, linear, |_| twist.linear * linear.fastest),
                self.angular.plan(elapsed, angular, |_| twist.angular * angular.fastest),
            ),
            anchor::Goal::Offset(offset, within_s) => {
                let toward = |goal: Vector3<f64>| move |done: &Vector3<f64>| (goal - done) / within_s;
                (
                    self.linear
                        .plan(elapsed, linear, toward(offset.fixed_rows::<3>(0).into_owned())),
                    self.angular
                        .plan(elapsed, angular, toward(offset.fixed_rows::<3>(3).into_owned())),
                )
            }
        };
        let steps = moves.len().max(turns.len());
        let at =
            |offsets: &[Vector3<f64>], step: usize| offsets.get(step).or(offsets.last()).copied().unwrap_or_default();
        let mut values = Vec::with_capacity(steps * ActionSpace::Ee7.dim());
        for step in 0..steps {
            let (translation, rotation) = (at(&moves, step), at(&turns, step));
            values.extend(translation.iter().chain(rotation.iter()));
            values.push(present.opening);
        }
        values
    }

    fn joint_steps(&mut self, input: &Input, leader: Joints, arm: &Arm, present: Present) -> Vec<f64> {
        let Input::Leader(mapping) = input else {
            return Vec::new();
        };
        let away = leader - arm.joints;
        let share = if self.anchor.is_reached(&away, mapping.tolerance_rad) {
            present.scale
        } else {
            present.slowest
        };
        let pace = Pace {
            fastest: mapping.speed_rad_s * share,
            acceleration: mapping.acceleration_rad_s2,
        };
        let within_s = mapping.smoothing_s;
        let offsets = self.joints.plan(present.elapsed, pace, |done| (away - done) / within_s);
        let mut values = Vec::with_capacity(offsets.len() * ActionSpace::Joint8.dim());
        for offset in &offsets {
            values.extend(offset.iter());
            values.push(present.opening);
        }
        values
    }
}

/// Translation [m] and rotation vector [rad], base frame, from `from` to `to`.
fn offset(from: &Pose, to: &Pose) -> Vector6<f64> {
    let moved = to.translation.vector - from.translation.vector;
    let turned = (to.rotation * from.rotation.inverse()).scaled_axis();
    Vector6::new(moved.x, moved.y, moved.z, turned.x, turned.y, turned.z)
}

#[cfg(test)]
mod tests;
