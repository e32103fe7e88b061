//! Tests that values are matched to the contract's actions by names and units, not by their places.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use serde_json::{Value, json};
use thinkvla::contract::FILE_NAME;
use thinkvla::dataset::At;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::training::config::DatasetShare;
use thinkvla::training::data::mixture::Mixture;
use thinkvla::training::data::sampler::RowPlace;
use thinkvla::training::error::RunError;

use super::foreign::{describe, exchange, read};
use super::sample_dataset;

/// A dataset with the recording's images, without a contract, with actions of these names.
fn with_actions(names: &Value, row: impl Fn(usize) -> Vec<f32>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    std::fs::remove_file(root.join(FILE_NAME)).unwrap();
    let width = row(0).len();
    describe(&root, |info| {
        info["features"]["action"] = json!({"dtype": "float32", "shape": [width], "names": names})
    });
    for file in 0..sample_dataset::EPISODES.len() {
        let path = root.join(format!("data/chunk-000/file-00{file}.parquet"));
        let mut values = ListBuilder::new(Float32Builder::new());
        for at in 0..read(&path).num_rows() {
            values.values().append_slice(&row(at));
            values.append(true);
        }
        exchange(&path, &[("action", Some(Arc::new(values.finish())))]);
    }
    (folder, root)
}

fn mixed(root: &Path) -> Result<Mixture, RunError> {
    let share = DatasetShare {
        path: root.to_owned(),
        weight: 1.0,
    };
    Mixture::open(&[share], &sample_dataset::contract())
}

/// Row `at` in this order of values: x 0.01, y 0.02, …, and the gripper closing.
fn row(order: [&str; 7], at: usize) -> Vec<f32> {
    let of = |name: &&str| match *name {
        "gripper" => 1.0 - at as f32 / 16.0,
        name => {
            let place = ["x", "y", "z", "rx", "ry", "rz"].iter().position(|own| *own == name);
            // A hundredth of its value in the first row, and from there on all of it.
            (1.0 + place.unwrap() as f32) / if at == 0 { 10_000.0 } else { 100.0 }
        }
    };
    order.iter().map(of).collect()
}

#[test]
fn values_go_by_their_names() {
    let orders = [
        ["x", "y", "z", "rx", "ry", "rz", "gripper"],
        ["gripper", "x", "y", "z", "rx", "ry", "rz"],
        ["rz", "ry", "gripper", "rx", "z", "y", "x"],
    ];
    for order in orders {
        let names = order.map(|name| if name == "x" { "X" } else { name });
        let (_folder, root) = with_actions(&json!(names), |at| row(order, at));
        let mixture = mixed(&root).unwrap();
        let place = RowPlace {
            dataset: 0,
            at: At { episode: 1, frame: 5 },
        };
        let chunk = mixture.chunk(place, 3).unwrap();
        let expected: Vec<f32> = [5, 6].iter().flat_map(|at| row(orders[0], *at)).collect();
        assert_eq!((chunk.valid, chunk.values.len()), (2, 21));
        assert_eq!(chunk.values[..14], expected, "{order:?}");
        let of = |name: &str| {
            mixture
                .contract()
                .data
                .statistics
                .iter()
                .find(|of| of.name == name)
                .unwrap()
                .clone()
        };
        assert!(
            (of("y").max - 0.02).abs() < 1e-6 && (of("gripper").max - 1.0).abs() < 1e-6,
            "{order:?}"
        );
    }
}

#[test]
fn values_without_the_contracts_names_or_units_are_refused() {
    let plain = ["x", "y", "z", "rx", "ry", "rz", "gripper"];
    let refused = |names: Value, values: Vec<f32>| {
        let (_folder, root) = with_actions(&names, |_| values.clone());
        mixed(&root).map(drop).unwrap_err().to_string()
    };
    let joints: Vec<String> = (1..=7).map(|joint| format!("joint_{joint}")).collect();
    for (names, values, needle) in [
        (json!(joints), vec![90.0; 7], "no x"),
        (
            json!(["x", "x", "z", "rx", "ry", "rz", "gripper"]),
            vec![0.0; 7],
            "x is there more than once",
        ),
        (Value::Null, vec![0.0; 8], "found 8 without names"),
        (
            json!(["rx", "ry", "rz", "x", "y", "z"]),
            vec![0.0; 7],
            "expected 7 names, one for each value, found 6",
        ),
        (
            json!({"x": 0, "y": 0, "z": 2, "rx": 3, "ry": 4, "rz": 5, "gripper": 6}),
            vec![0.0; 7],
            "expected each place once, found place 0",
        ),
        (
            json!(plain),
            vec![25.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
            "action x: expected a step in metres",
        ),
        (
            json!(plain),
            vec![0.0, 0.0, 0.0, 0.0, 0.0, 12.0, 1.0],
            "action rz: expected a step as rotation vector in radians",
        ),
        (
            json!(plain),
            vec![0.42, -0.1, 0.1, 0.0, 0.0, 0.0, 1.0],
            "action x: expected a step in metres (at 10 rows a second at most 0.200)",
        ),
        (
            json!(plain),
            vec![0.1, 0.0, 0.0, 3.1, 0.0, 0.0, 1.0],
            "action rx: expected a step as rotation vector",
        ),
        (
            json!(plain),
            vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0],
            "action gripper: expected a gripper, 0 closed to 1 open",
        ),
        (
            json!(plain),
            vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1000.0],
            "found values from 1000 to 1000",
        ),
    ] {
        let message = refused(names, values);
        assert!(message.contains(needle), "{needle}: {message}");
    }
    let (_folder, root) = with_actions(&Value::Null, |at| row(plain, at));
    mixed(&root).unwrap();
}

#[test]
fn states_in_other_units_are_refused() {
    let plain = ["x", "y", "z", "rx", "ry", "rz", "gripper"];
    let (_folder, root) = with_actions(&json!(plain), |at| row(plain, at));
    let share = DatasetShare {
        path: root,
        weight: 1.0,
    };
    let open_with = |name: &str| {
        let mut contract = sample_dataset::contract();
        let mut of = contract.data.statistics[0].clone();
        of.name = name.into();
        contract.data.state = vec![of];
        Mixture::open(std::slice::from_ref(&share), &contract).map_err(|e| e.to_string())
    };
    for (name, problem) in [
        ("joint1", "state joint1: expected an angle in radians"),
        ("x", "state x: expected a position in metres"),
        ("gripper", "state gripper: expected a gripper"),
        ("elbow", "expected a value elbow"),
    ] {
        let message = open_with(name).unwrap_err();
        assert!(message.contains(problem), "{name}: {message}");
    }
    open_with("x_error").unwrap();
}

#[test]
fn a_dataset_without_episodes_is_not_trained_on() {
    let names = ["x", "y", "z", "rx", "ry", "rz", "gripper"];
    let (_folder, root) = with_actions(&json!(names), |at| row(names, at));
    std::fs::remove_dir_all(root.join("meta/episodes")).unwrap();
    std::fs::remove_file(root.join("meta/tasks.parquet")).unwrap();
    describe(&root, |info| {
        info["total_episodes"] = json!(0);
        info["total_frames"] = json!(0);
    });
    let message = mixed(&root).err().unwrap().to_string();
    assert!(message.contains("nothing has been recorded yet"), "{message}");
}

#[test]
fn an_instruction_that_no_prompt_can_hold_ends_a_run_before_its_first_step() {
    let fixture = super::RunFixture::new("");
    let config = fixture.load();
    let root = &config.data.datasets[0].path;
    let tasks = root.join("meta/tasks.parquet");
    let found = read(&tasks);
    let texts = (0..found.num_rows()).map(|row| format!("pick <|im_end|> {row}"));
    exchange(
        &tasks,
        &[(
            "task",
            Some(Arc::new(arrow_array::StringArray::from_iter_values(texts))),
        )],
    );
    for file in std::fs::read_dir(root.join("meta/episodes/chunk-000")).unwrap() {
        exchange(&file.unwrap().path(), &[("tasks", None)]);
    }
    let message = fixture.open(config, false).err().unwrap();
    for episode in 0..3 {
        assert!(
            message.contains(&format!("episode {episode}: ")),
            "{episode}: {message}"
        );
    }
    assert!(message.contains("control token <|im_end|>"), "{message}");
    // The program reports the same, and how it matched the values.
    let output = fixture.command(&[]).env("RUST_LOG", "info").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("episode 2: "), "{message}");
    let table = "action: x = x [0], y = y [1], z = z [2], rx = rx [3], ry = ry [4], rz = rz [5], gripper = gripper [6]";
    assert!(message.contains(table), "{message}");
}
