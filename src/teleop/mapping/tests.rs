use super::*;

fn shipped(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/teleop/{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

fn load(name: &str) -> Mapping {
    Mapping::load(&shipped(name).0).unwrap()
}

pub(crate) fn shipped_mapping(name: &str) -> Mapping {
    load(name)
}

pub(crate) fn shipped_keyboard() -> Keyboard {
    match load("keyboard").input {
        Input::Keyboard(keyboard) => keyboard,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn shipped_joy() -> Joy {
    match load("gamepad").input {
        Input::Joy(joy) => joy,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn shipped_leader() -> Leader {
    match load("leader").input {
        Input::Leader(leader) => leader,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn shipped_pose() -> Pose {
    match load("vr").input {
        Input::Pose(pose) => pose,
        other => panic!("{other:?}"),
    }
}

/// Returns the error of a mapping after a replacement in its text, and the line of the replacement.
fn refusal(name: &str, old: &str, new: &str) -> (String, usize) {
    let (path, text) = shipped(name);
    let at = text.find(old).unwrap_or_else(|| panic!("{name} lacks {old:?}"));
    let line = text[..at].lines().count() + usize::from(text[..at].ends_with('\n') || at == 0);
    let broken = text.replacen(old, new, 1);
    (Mapping::parse(&broken, &path).unwrap_err().to_string(), line.max(1))
}

#[test]
fn every_shipped_mapping_can_work() {
    for name in ["keyboard", "gamepad", "spacemouse", "leader", "vr"] {
        load(name);
    }
}

#[test]
fn a_value_that_cannot_work_is_refused_with_its_line_and_field() {
    for (name, old, new, field) in [
        ("keyboard", "hold_s: 0.15", "hold_s: 0", "input.keyboard.hold_s"),
        ("keyboard", "linear_m_s: 0.18", "linear_m_s: 3", "linear_m_s"),
        ("keyboard", "linear_m_s2: 1.0", "linear_m_s2: 0.1", ""),
        ("keyboard", "  start: 0.25", "  start: 0.3", "scale.start"),
        ("keyboard", "move_speed: 0.3", "move_speed: .nan", "move_speed"),
        ("gamepad", "deadzone: 0.1", "deadzone: 1.0", "input.joy.deadzone"),
        ("gamepad", "timeout_s: 0.3", "timeout_s: 60", "input.joy.pad.timeout_s"),
        (
            "gamepad",
            "{axis: 4, drives: z",
            "{axis: 400, drives: z",
            "input.joy.axes[2].axis",
        ),
        (
            "leader",
            "- {name: joint3, sign: 1",
            "- {name: joint3, sign: 2",
            "input.leader.joints[2].sign",
        ),
        (
            "leader",
            "- {name: joint5,",
            "- {name: joint4,",
            "input.leader.joints[4].name",
        ),
        ("vr", "jump_m: 0.1", "jump_m: -1", "input.pose.jump_m"),
    ] {
        let (message, line) = refusal(name, old, new);
        assert!(message.contains("expected") && message.contains("found"), "{message}");
        assert!(message.contains(field), "{message}");
        if !field.is_empty() {
            assert!(message.contains(&format!("line {line}:")), "line {line}: {message}");
        }
    }
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    for (name, old, new, complaint) in [
        ("keyboard", "w: +x", "w: up", "expected + or -"),
        ("keyboard", "hold_s:", "hold:", "hold"),
        ("keyboard", "g: toggle_gripper", "g: toggle_grippr", "toggle_grippr"),
        ("gamepad", "frame: base", "frame: world", "world"),
    ] {
        let (message, line) = refusal(name, old, new);
        assert!(
            message.contains(complaint) && message.contains(&format!("line {line}")),
            "line {line}: {message}"
        );
    }
}

#[test]
fn one_key_or_button_has_one_meaning() {
    let (message, _) = refusal("keyboard", "g: toggle_gripper", "w: toggle_gripper");
    assert!(
        message.contains("commands.w: expected a key with one meaning"),
        "{message}"
    );
    let (message, _) = refusal("gamepad", "{button: 0, does", "{button: 4, does");
    assert!(message.contains("a button with one meaning"), "{message}");
}

#[test]
fn a_deadman_that_rest_would_hold_is_refused() {
    let (message, _) = refusal(
        "gamepad",
        "deadman: {button: 4}",
        "deadman: {axis: {index: 2, from: -1.0, to: 0.5}}",
    );
    assert!(message.contains("a range without 0"), "{message}");
}
