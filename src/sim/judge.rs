//! Judges from the physics alone whether a task is done.

use std::fmt::Write as _;

use super::tasks::Goal;
use super::world::{STEP_S, World};

/// Time for which all conditions must hold without interruption (s).
pub const HOLD_S: f64 = 1.0;

/// Speeds below which the block is at rest: linear (m/s) and angular (rad/s).
const REST_LINEAR: f64 = 0.005;
const REST_ANGULAR: f64 = 0.10;
/// Largest distance of the block's underside from the goal's surface (m).
const SURFACE_TOLERANCE: f64 = 0.006;
/// Width by which the fingers must be wider apart than the block (m).
const CLEARANCE: f64 = 0.004;

/// Conditions of success at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// The block's centre is in the goal's region and its underside at the goal's surface.
    pub inside: bool,
    /// The block rests on the goal's surface and on nothing else.
    pub supported: bool,
    /// No part of the gripper touches the block, and the gripper is open.
    pub released: bool,
    /// The block does not move.
    pub at_rest: bool,
}

impl Conditions {
    /// Reports whether all conditions hold.
    pub fn all(self) -> bool {
        self.inside && self.supported && self.released && self.at_rest
    }

    fn named(self) -> [(&'static str, bool); 4] {
        [
            ("inside", self.inside),
            ("supported", self.supported),
            ("released", self.released),
            ("at rest", self.at_rest),
        ]
    }
}

/// Judges one episode.
#[derive(Debug, Clone)]
pub struct Judge {
    goal: Goal,
    block_side: f64,
    conditions: Conditions,
    held: f64,
    success: bool,
}

impl Judge {
    /// Creates a judge of this goal for a block with edges of `block_side` (m).
    pub fn new(goal: Goal, block_side: f64) -> Self {
        Self {
            goal,
            block_side,
            conditions: Conditions::default(),
            held: 0.0,
            success: false,
        }
    }

    /// Updates the conditions. Call it after every physics step.
    pub fn watch(&mut self, world: &World) {
        self.conditions = self.conditions_of(world);
        self.held = if self.conditions.all() { self.held + STEP_S } else { 0.0 };
        self.success |= self.held >= HOLD_S;
    }

    /// Reports whether all conditions have held for [`HOLD_S`] without interruption at any time of the episode.
    pub fn success(&self) -> bool {
        self.success
    }

    /// Returns the conditions that hold now.
    pub fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// Describes which conditions hold and for how long.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        for (name, holds) in self.conditions.named() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{name}: {}, ", if holds { "yes" } else { "no" });
        }
        let _ = write!(text, "held {:.1} of {HOLD_S:.1} s", self.held.min(HOLD_S));
        text
    }

    fn conditions_of(&self, world: &World) -> Conditions {
        let object = world.object();
        let centre = object.translation.vector;
        let touching = world.touching();
        let speed = world.object_speed();
        let opening = world.opening() * 2.0 * super::world::FINGER_TRAVEL;
        // Half the edge, whichever face is down.
        let underside = centre.z - self.block_side / 2.0;
        Conditions {
            inside: self.goal.contains(centre.x, centre.y)
                && (underside - self.goal.surface).abs() <= SURFACE_TOLERANCE,
            supported: touching.support && !touching.other && !touching.gripper(),
            released: !touching.gripper() && opening >= self.block_side + CLEARANCE,
            at_rest: speed.linear_m_s <= REST_LINEAR && speed.angular_rad_s <= REST_ANGULAR,
        }
    }
}
