//! Checks mappings.

mod followed;

use std::collections::BTreeSet;

use super::{Deadman, Input, Joy, Keyboard, Mapping, Pad, ToolSpeed};
use crate::files::yaml::{InvalidValue, between};
use crate::teleop::keyboard::Key;
use crate::teleop::motion::{MotionLimits, longest_way};

/// Maximum number of axes or buttons of a joystick.
const MAX_CONTROLS: usize = 64;
/// Maximum distance of a chunk from the arm's position (m): a longer one could leave the workspace as a whole.
const LONGEST_WAY_M: f64 = 0.05;

/// Refuses a mapping at the first value that cannot work.
pub(super) fn check(mapping: &Mapping) -> Result<(), InvalidValue> {
    match &mapping.input {
        Input::Keyboard(keyboard) => check_keyboard(keyboard)?,
        Input::Joy(joy) => check_joy(joy)?,
        Input::Leader(leader) => followed::check_leader(leader)?,
        Input::Pose(pose) => followed::check_pose(pose)?,
    }
    let steps = &mapping.scale.steps;
    let rising = steps.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let inside = steps.iter().all(|step| *step > 0.0 && *step <= 1.0);
    if steps.is_empty() || !rising || !inside {
        let expected = "shares above 0 and up to 1, each larger than the one before";
        return Err(InvalidValue::new("scale.steps", expected, format!("{steps:?}")));
    }
    if !steps.contains(&mapping.scale.start) {
        return Err(InvalidValue::new(
            "scale.start",
            format!("one of {steps:?}"),
            mapping.scale.start,
        ));
    }
    between("move_speed", mapping.move_speed, 0.01, 1.0)?;
    between("gripper_start", mapping.gripper_start, 0.0, 1.0)?;
    for command in mapping.commands() {
        let (field, name) = match command {
            super::Command::MoveTo(name) => ("move_to", name),
            super::Command::Call(name) => ("call", name),
            _ => continue,
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "_/~".contains(c);
        if name.is_empty() || !name.chars().all(known) {
            return Err(InvalidValue::new(
                field,
                "a ROS name, such as record_node/start",
                format!("{name:?}"),
            ));
        }
    }
    Ok(())
}

fn check_speed(under: &str, speed: &ToolSpeed) -> Result<(), InvalidValue> {
    let at = |name: &str| format!("{under}.speed.{name}");
    between(at("linear_m_s"), speed.linear_m_s, 0.001, 0.25)?;
    between(at("linear_m_s2"), speed.linear_m_s2, 0.1, 5.0)?;
    between(at("angular_rad_s"), speed.angular_rad_s, 0.01, 2.0)?;
    between(at("angular_rad_s2"), speed.angular_rad_s2, 0.5, 20.0)?;
    let way = longest_way(MotionLimits {
        fastest: speed.linear_m_s,
        acceleration: speed.linear_m_s2,
    });
    if way <= LONGEST_WAY_M {
        return Ok(());
    }
    let expected = format!("a speed from which the tool comes to rest within {LONGEST_WAY_M} m");
    let found = format!(
        "{}, which needs {way:.3} m at linear_m_s2 {}",
        speed.linear_m_s, speed.linear_m_s2
    );
    Err(InvalidValue::new(at("linear_m_s"), expected, found))
}

fn check_keyboard(keyboard: &Keyboard) -> Result<(), InvalidValue> {
    const UNDER: &str = "input.keyboard";
    check_speed(UNDER, &keyboard.speed)?;
    between(format!("{UNDER}.hold_s"), keyboard.hold_s, 0.05, 1.0)?;
    let mut seen = BTreeSet::new();
    let motion = keyboard.motion.keys().map(|name| ("motion", name));
    for (section, name) in motion.chain(keyboard.commands.keys().map(|name| ("commands", name))) {
        let field = format!("{UNDER}.{section}.{name}");
        let Some(key) = Key::named(name) else {
            return Err(InvalidValue::new(
                field,
                format!("one character or one of {}", Key::NAMES.join(", ")),
                name,
            ));
        };
        if !seen.insert(key) {
            return Err(InvalidValue::new(
                field,
                "a key with one meaning",
                format!("{name} twice"),
            ));
        }
    }
    Ok(())
}

fn check_joy(joy: &Joy) -> Result<(), InvalidValue> {
    const UNDER: &str = "input.joy";
    check_speed(UNDER, &joy.speed)?;
    between(format!("{UNDER}.deadzone"), joy.deadzone, 0.0, 0.9)?;
    let mut driven = BTreeSet::new();
    for (index, axis) in joy.axes.iter().enumerate() {
        let field = |name: &str| format!("{UNDER}.axes[{index}].{name}");
        check_index(field("axis"), axis.axis)?;
        between(field("gain"), axis.gain, -1.0, 1.0)?;
        if axis.gain == 0.0 {
            return Err(InvalidValue::new(field("gain"), "a share that is not 0", axis.gain));
        }
        if !driven.insert(axis.drives) {
            return Err(InvalidValue::new(
                field("drives"),
                "one axis a direction",
                format!("{:?} twice", axis.drives),
            ));
        }
    }
    check_pad(UNDER, &joy.pad)
}

fn check_index(field: String, index: usize) -> Result<(), InvalidValue> {
    if index < MAX_CONTROLS {
        return Ok(());
    }
    Err(InvalidValue::new(
        field,
        format!("an index below {MAX_CONTROLS}"),
        index,
    ))
}

fn check_topic(field: String, topic: &str) -> Result<(), InvalidValue> {
    let known = |c: char| c.is_ascii_alphanumeric() || "_/~".contains(c);
    if !topic.is_empty() && topic.chars().all(known) {
        return Ok(());
    }
    Err(InvalidValue::new(field, "the name of a topic", format!("{topic:?}")))
}

fn check_pad(under: &str, pad: &Pad) -> Result<(), InvalidValue> {
    let at = |name: &str| format!("{under}.pad.{name}");
    check_topic(at("topic"), &pad.topic)?;
    between(at("timeout_s"), pad.timeout_s, 0.02, 2.0)?;
    let mut buttons = BTreeSet::new();
    match pad.deadman {
        Deadman::Button(index) => {
            check_index(at("deadman"), index)?;
            buttons.insert(index);
        }
        Deadman::Axis(axis) => {
            check_index(at("deadman"), axis.index)?;
            between(at("deadman.axis.from"), axis.from, -1.0, 1.0)?;
            between(at("deadman.axis.to"), axis.to, axis.from, 1.0)?;
            // A stick at rest, and a trigger that has not been touched yet, report 0.
            if axis.from <= 0.0 && axis.to >= 0.0 {
                let found = format!("{} .. {}", axis.from, axis.to);
                return Err(InvalidValue::new(
                    at("deadman.axis.from"),
                    "a range without 0, where axes rest",
                    found,
                ));
            }
        }
    }
    if let Some(gripper) = pad.gripper {
        check_index(at("gripper.axis"), gripper.axis)?;
        between(at("gripper.closed"), gripper.closed, -1.0, 1.0)?;
        between(at("gripper.open"), gripper.open, -1.0, 1.0)?;
        if (gripper.closed - gripper.open).abs() < 0.1 {
            return Err(InvalidValue::new(
                at("gripper.open"),
                "a value away from closed",
                gripper.open,
            ));
        }
    }
    for (index, button) in pad.buttons.iter().enumerate() {
        let field = at(&format!("buttons[{index}].button"));
        check_index(field.clone(), button.button)?;
        if !buttons.insert(button.button) {
            return Err(InvalidValue::new(
                field,
                "a button with one meaning",
                format!("{} twice", button.button),
            ));
        }
    }
    Ok(())
}
