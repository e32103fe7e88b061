//! Tests of the values of a row: joints in alternating messages, and columns by name.

use thinkvla::dataset::reader::At;

use super::{Import, JOINTS, Message, PERIOD, ROWS, at, joint, joints, length, plain, source, stamped, state};

#[test]
fn values_that_are_not_finite_are_refused_before_anything_is_written() {
    for (value, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (1e300, "1e300")] {
        let import = Import::new();
        let mut all = stamped();
        all.retain(|message| message.topic != "/command");
        for row in 0..ROWS {
            let x = if row == 4 { value } else { 0.0 };
            all.push(joints("/command", at(row), &[("x", x)]));
        }
        let error = import.refusal(&all);
        let expected = format!("bag.mcap: /command: at 0.40 s: expected a finite number for x, found {shown};");
        assert!(error.contains(&expected), "{error}");
        assert!(!import.path("dataset").exists());
    }
}

/// Arm and gripper publish alternately, each its own joints.
fn alternating(gripper: impl Fn(usize) -> bool) -> Vec<Message> {
    let mut all = stamped();
    all.retain(|message| message.topic != "/joint_states");
    for row in 0..ROWS {
        let arm: Vec<_> = JOINTS[..7]
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, joint(row, at)))
            .collect();
        all.push(joints("/joint_states", at(row), &arm));
        if gripper(row) {
            let later = at(row).map(|time| time + PERIOD / 2);
            all.push(joints("/joint_states", later, &[("gripper", joint(row, 7))]));
        }
    }
    all
}

#[test]
fn joints_of_alternating_messages_have_their_latest_values() {
    let import = Import::new();
    let dataset = import.of(&alternating(|_| true)).unwrap();
    assert_eq!(dataset.info().features["observation.state"].value_names(), JOINTS);
    // Rows begin when the gripper is first received, half a period after the first joints.
    assert_eq!(length(&dataset), ROWS - 1);
    for row in 0..ROWS - 1 {
        let expected: Vec<f32> = (0..8).map(|at| joint(row, at) as f32).collect();
        assert_eq!(state(&dataset, row), expected, "row {row}");
    }
}

#[test]
fn joints_are_chosen_by_name_in_any_order() {
    let mut import = Import::new();
    import.options.vectors[0] = source("observation.state", "/joint_states", &["joint7", "joint2"]);
    let dataset = import.of(&alternating(|_| false)).unwrap();
    assert_eq!(
        dataset.info().features["observation.state"].value_names(),
        ["joint7", "joint2"]
    );
    assert_eq!(
        (length(&dataset), state(&dataset, 3)),
        (ROWS, vec![joint(3, 6) as f32, joint(3, 1) as f32])
    );
    import.options.vectors[0] = source("observation.state", "/joint_states", &["elbow"]);
    let error = import.refusal(&stamped());
    assert!(error.contains("elbow") && error.contains("joint7"), "{error}");
}

#[test]
fn columns_have_names_that_a_dataset_can_have() {
    for name in ["timestamp", "task_index", "left/state"] {
        let mut import = Import::new();
        import.options.vectors[0] = source(name, "/joint_states", &[]);
        let error = import.refusal(&stamped());
        assert!(error.contains(&format!("column {name}: expected a name")), "{error}");
        assert!(!import.path("dataset").exists());
    }
    let mut import = Import::new();
    import.options.cameras[0].name = "observation.images.top".into();
    let dataset = import.of(&stamped()).unwrap();
    assert!(dataset.info().features.contains_key("observation.images.top"));
}

#[test]
fn where_a_topic_is_missing_those_that_are_there_are_named() {
    let mut import = Import::new();
    import.options.vectors[0] = source("observation.state", "/left/joint_states", &[]);
    let error = import.refusal(&stamped());
    assert!(
        error.contains(r#"on ["/left/joint_states"], found none; other topics with messages: /joint_states;"#),
        "{error}"
    );
}

#[test]
fn a_joint_that_falls_silent_is_named_and_does_not_shorten_the_episode() {
    let mut import = Import::new();
    let error = import.refusal(&alternating(|row| row < 2));
    assert!(error.contains("/joint_states, gripper: at"), "{error}");
    import.options.vectors[0] = source("observation.state", "/joint_states", &JOINTS[..7]);
    assert_eq!(length(&import.of(&alternating(|row| row < 2)).unwrap()), ROWS);
}

#[test]
fn a_second_recording_keeps_the_columns_of_the_dataset() {
    let import = Import::new();
    import.of(&stamped()).unwrap();
    let reversed = |names: &[&str]| {
        let mut all = stamped();
        all.retain(|message| message.topic != "/joint_states");
        for row in 0..ROWS {
            let named = names.iter().enumerate().rev().map(|(at, name)| (*name, joint(row, at)));
            all.push(joints("/joint_states", at(row), &named.collect::<Vec<_>>()));
        }
        all
    };
    let dataset = import
        .add(&import.put("second.mcap", &plain(&reversed(&JOINTS))))
        .unwrap();
    assert_eq!(dataset.episodes().len(), 2);
    let at = |episode| {
        dataset
            .values("observation.state", At { episode, frame: 4 })
            .unwrap()
            .to_vec()
    };
    assert_eq!(at(0), at(1));
    let mut others = JOINTS;
    others[3] = "elbow";
    let error = import
        .add(&import.put("third.mcap", &plain(&reversed(&others))))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("observation.state") && error.contains("elbow") && error.contains("joint4"),
        "{error}"
    );
}
