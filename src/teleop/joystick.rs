//! `sensor_msgs/Joy` devices: axes that drive, a deadman, and buttons. Also the pad beside a leader or a tracker.

use super::input_device::{InputDevice, InputReading, Intent, StreamFreshness, Twist};
use super::mapping::{Axis, Button, Command, Deadman, GripperAxis, Joy, Pad as Mapping};
use crate::types::time::Time;

/// Deadman, gripper axis and buttons.
#[derive(Debug, Clone)]
pub struct JoystickControls {
    deadman: Deadman,
    gripper: Option<GripperAxis>,
    buttons: Vec<Button>,
    axes: Vec<f64>,
    pressed: Vec<bool>,
    asked: Vec<Command>,
    freshness: StreamFreshness,
}

impl JoystickControls {
    /// Creates a pad without any message.
    pub fn new(mapping: &Mapping) -> Self {
        Self {
            deadman: mapping.deadman,
            gripper: mapping.gripper,
            buttons: mapping.buttons.clone(),
            axes: Vec::new(),
            pressed: Vec::new(),
            asked: Vec::new(),
            freshness: StreamFreshness::new("joystick", mapping.timeout_s),
        }
    }

    /// Handles a message.
    pub fn received(&mut self, axes: &[f32], buttons: &[i32], now: Time) {
        if let Some((index, value)) = axes.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            let why = format!("expected numbers, found {value} on axis {index}");
            return self.freshness.bad(now, why);
        }
        // The first message after a silence does not tell what was pressed meanwhile.
        let continued = self.freshness.last().is_some() && self.freshness.fault(now).is_none();
        let pressed: Vec<bool> = buttons.iter().map(|button| *button != 0).collect();
        if continued {
            for button in &self.buttons {
                let is = |pressed: &[bool]| pressed.get(button.button).copied().unwrap_or(false);
                if is(&pressed) && !is(&self.pressed) {
                    self.asked.push(button.does.clone());
                }
            }
        }
        self.axes = axes.iter().map(|axis| f64::from(*axis)).collect();
        self.pressed = pressed;
        self.freshness.good(now);
        if !self.held() {
            self.freshness.clear_fault();
        }
    }

    /// Returns whether the deadman was held in the last message.
    pub fn held(&self) -> bool {
        match self.deadman {
            Deadman::Button(index) => self.pressed.get(index).copied().unwrap_or(false),
            Deadman::Axis(axis) => self
                .axis(axis.index)
                .is_some_and(|value| (axis.from..=axis.to).contains(&value)),
        }
    }

    /// Returns the opening requested by the gripper axis, from 0 (closed) to 1 (open).
    pub fn gripper(&self) -> Option<f64> {
        let GripperAxis { axis, closed, open } = self.gripper?;
        Some(((self.axis(axis)? - closed) / (open - closed)).clamp(0.0, 1.0))
    }

    /// Returns the value of an axis in the last message.
    pub fn axis(&self, index: usize) -> Option<f64> {
        self.axes.get(index).copied()
    }

    /// Returns the reason why it cannot be followed now, if there is one.
    pub fn fault(&self, now: Time) -> Option<String> {
        self.freshness.fault(now)
    }

    /// Returns the commands of buttons since the last call.
    pub fn commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.asked)
    }

    /// Returns the time of the last message.
    pub fn last_seen(&self) -> Option<Time> {
        self.freshness.last()
    }
}

/// Gamepad, joystick or SpaceMouse that gives a velocity.
#[derive(Debug, Clone)]
pub struct Joystick {
    /// Deadman and buttons.
    pub pad: JoystickControls,
    axes: Vec<Axis>,
    deadzone: f64,
}

impl Joystick {
    /// Creates a stick without any message.
    pub fn new(mapping: &Joy) -> Self {
        Self {
            pad: JoystickControls::new(&mapping.pad),
            axes: mapping.axes.clone(),
            deadzone: mapping.deadzone,
        }
    }
}

impl InputDevice for Joystick {
    fn read(&mut self, now: Time) -> InputReading {
        let mut twist = Twist::default();
        for axis in &self.axes {
            let deflection = beyond(self.pad.axis(axis.axis).unwrap_or(0.0), self.deadzone);
            let index = axis.drives.index();
            let target = if index < 3 {
                &mut twist.linear
            } else {
                &mut twist.angular
            };
            if let Some(value) = target.get_mut(index % 3) {
                *value = deflection * axis.gain;
            }
        }
        InputReading {
            held: self.pad.held(),
            intent: Some(Intent::Twist(twist)),
            gripper: self.pad.gripper(),
            fault: self.pad.fault(now),
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        self.pad.commands()
    }

    fn last_seen(&self) -> Option<Time> {
        self.pad.last_seen()
    }
}

/// Deflection beyond a dead zone: 0 inside it, from 0 at its edge to 1 at the end of the axis.
pub fn beyond(value: f64, deadzone: f64) -> f64 {
    let past = (value.abs().min(1.0) - deadzone).max(0.0) / (1.0 - deadzone);
    past.copysign(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::teleop::mapping::tests::shipped_joy;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn buttons(pressed: &[usize]) -> Vec<i32> {
        (0..12).map(|i| i32::from(pressed.contains(&i))).collect()
    }

    #[test]
    fn a_silent_or_broken_joystick_is_let_go() {
        let mut stick = Joystick::new(&shipped_joy());
        assert!(stick.read(at(0.0)).fault.unwrap().contains("none yet"));
        stick.pad.received(&[0.0; 8], &buttons(&[4]), at(1.0));
        let reading = stick.read(at(1.1));
        assert!(reading.held && reading.fault.is_none());
        assert!(stick.read(at(9.0)).fault.unwrap().contains("found none for 8.00 s"));
        stick.pad.received(&[0.0, f32::NAN], &buttons(&[4]), at(9.1));
        assert!(stick.read(at(9.1)).fault.unwrap().contains("found NaN on axis 1"));
        stick.pad.received(&[0.0; 8], &buttons(&[4]), at(9.2));
        assert!(stick.read(at(9.2)).fault.is_some(), "until the deadman is let go");
        stick.pad.received(&[0.0; 8], &buttons(&[]), at(9.3));
        assert_eq!(stick.read(at(9.3)).fault, None);
    }

    #[test]
    fn a_button_acts_once_a_press() {
        let mut pad = JoystickControls::new(&shipped_joy().pad);
        let faster = pad.buttons.iter().find(|b| b.does == Command::Faster).unwrap().button;
        pad.received(&[0.0; 8], &buttons(&[faster]), at(0.0));
        assert_eq!(pad.commands(), [], "held when first heard of");
        for (i, pressed) in [false, true, true, false, true].into_iter().enumerate() {
            let down = if pressed { vec![faster] } else { vec![] };
            pad.received(&[0.0; 8], &buttons(&down), at(0.1 * (i + 1) as f64));
        }
        assert_eq!(pad.commands(), [Command::Faster, Command::Faster]);
        assert_eq!(pad.commands(), []);
    }

    proptest! {
        #[test]
        fn a_dead_zone_is_dead_and_beyond_it_deflection_rises_without_a_step(
            value in -1.5..1.5f64, deadzone in 0.0..0.9f64,
        ) {
            let out = beyond(value, deadzone);
            prop_assert!(out.abs() <= 1.0);
            prop_assert_eq!(out.abs() > 0.0, value.abs() > deadzone);
            prop_assert!(out * value >= 0.0);
            let slope = 1.0 / (1.0 - deadzone);
            prop_assert!((beyond(value + 1e-6, deadzone) - out).abs() <= slope * 1e-6 + 1e-12);
            prop_assert!((beyond(1.0_f64.copysign(value), deadzone).abs() - 1.0).abs() < 1e-12);
        }
    }
}
