//! Gripper opening by keys and axes; an axis acts only once it has reached the current opening.

use crate::teleop::mapping::Command;

/// Difference from the opening at which an axis takes control.
const NEAR: f64 = 0.05;

/// Gripper as the operator commands it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GripperInput {
    opening: f64,
    /// Opening if none has been commanded.
    start: f64,
    asked: Option<Command>,
    axis: Option<f64>,
    caught: bool,
}

impl GripperInput {
    pub(super) fn new(start: f64) -> Self {
        Self {
            opening: start,
            start,
            asked: None,
            axis: None,
            caught: false,
        }
    }

    pub(super) fn opening(&self) -> f64 {
        self.opening
    }

    /// Stores the command of a key or button; it acts with the next chunk.
    pub(super) fn ask(&mut self, command: &Command) {
        self.asked = Some(command.clone());
    }

    /// Forgets commands given while the deadman is released.
    pub(super) fn unless_held(&mut self, held: bool) {
        if !held {
            self.forget();
        }
    }

    pub(super) fn forget(&mut self) {
        self.asked = None;
    }

    /// Starts from the opening that was commanded last.
    pub(super) fn engage(&mut self, commanded: Option<f64>, axis: Option<f64>) {
        let known = |opening: &f64| opening.is_finite();
        self.opening = commanded.filter(known).unwrap_or(self.start).clamp(0.0, 1.0);
        (self.axis, self.caught) = (axis, false);
    }

    /// Applies keys and the axis. An axis acts once it has reached or passed the current opening.
    pub(super) fn follow(&mut self, axis: Option<f64>) {
        match self.asked.take() {
            Some(Command::OpenGripper) => self.set(1.0),
            Some(Command::CloseGripper) => self.set(0.0),
            Some(Command::ToggleGripper) => self.set(if self.opening > 0.5 { 0.0 } else { 1.0 }),
            _ => {}
        }
        let Some(value) = axis.filter(|value| value.is_finite()) else {
            return;
        };
        let before = self.axis.replace(value).unwrap_or(value);
        let passed = (before - self.opening) * (value - self.opening) <= 0.0;
        self.caught |= passed || (value - self.opening).abs() <= NEAR;
        if self.caught {
            self.opening = value.clamp(0.0, 1.0);
        }
    }

    fn set(&mut self, opening: f64) {
        self.opening = opening;
        self.caught = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_takes_the_gripper_only_where_it_is() {
        let mut gripper = GripperInput::new(1.0);
        gripper.engage(Some(0.0), Some(1.0));
        for (axis, opening) in [(1.0, 0.0), (0.6, 0.0), (0.04, 0.04), (0.5, 0.5), (1.0, 1.0)] {
            gripper.follow(Some(axis));
            assert_eq!(gripper.opening(), opening, "axis at {axis}");
        }
        gripper.engage(Some(0.5), Some(1.0));
        gripper.follow(Some(0.2));
        assert_eq!(gripper.opening(), 0.2, "passed on its way");
    }

    #[test]
    fn a_gripper_nobody_commanded_starts_as_the_mapping_says() {
        let mut gripper = GripperInput::new(1.0);
        gripper.engage(None, None);
        assert_eq!(gripper.opening(), 1.0);
        gripper.ask(&Command::ToggleGripper);
        gripper.follow(None);
        gripper.follow(None);
        assert_eq!(gripper.opening(), 0.0, "toggled once");
        gripper.ask(&Command::OpenGripper);
        gripper.unless_held(false);
        gripper.follow(None);
        assert_eq!(gripper.opening(), 0.0);
    }
}
