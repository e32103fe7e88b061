//! Tests of how actions of StarVLA runs are normalised.

use serde_json::{Value, json};
use thinkvla::contract::Normalisation::{self, Binary, MinMax, None as Untouched, Q99};
use thinkvla::model::checkpoint::convert::Conversion;
use thinkvla::model::checkpoint::{CheckpointOptions, Format, Manifest};
use thinkvla::model::init::variant::CheckpointVariant;

use super::{Run, data, notes, robot};
use crate::case::sets;

fn modes(manifest: &Manifest) -> Vec<Normalisation> {
    manifest.actions.iter().map(|of| of.normalisation).collect()
}

#[test]
fn actions_are_normalised_as_the_data_mixture_was() {
    let run = Run::new();
    assert_eq!(modes(&run.read().unwrap()), [vec![MinMax; 6], vec![Untouched]].concat());
    run.change_both(|config| data(config)["data_mix"] = json!("openpi_libero_all"));
    assert_eq!(modes(&run.read().unwrap()), vec![Q99; 7]);
    // By the kind of robot instead of the tag.
    run.change_both(|config| drop(data(config).as_object_mut().unwrap().remove("data_mix")));
    for (tag, expected) in [
        ("libero_franka", [vec![MinMax; 6], vec![Untouched]].concat()),
        ("openpi_libero_franka", vec![Q99; 7]),
        ("oxe_bridge", [vec![Q99; 6], vec![Binary]].concat()),
    ] {
        let run = Run::new();
        run.change_both(|config| data(config)["data_mix"] = Value::Null);
        run.statistics(|json| json[tag] = json.as_object_mut().unwrap().remove("franka").unwrap());
        assert_eq!(modes(&run.read().unwrap()), expected, "{tag}");
    }
    run.change_both(|config| data(config)["data_mix"] = json!("my_own"));
    let manifest = run.read().unwrap();
    assert_eq!(modes(&manifest)[0], MinMax);
    notes(
        &manifest,
        &[&["data_mix my_own is not known to hold franka", "--robot"]],
    );
}

#[test]
fn the_mask_says_which_values_are_0_or_1() {
    let run = Run::new();
    run.statistics(|json| json["franka"]["action"]["mask"][6] = json!(false));
    let manifest = run.read().unwrap();
    assert_eq!(modes(&manifest), [vec![MinMax; 6], vec![Binary]].concat());
    notes(
        &manifest,
        &[&[
            "gripper is 0 or 1 by the mask of franka",
            "none by the data_mix libero_goal",
        ]],
    );
    run.statistics(|json| json["franka"]["action"]["mask"] = json!([true]));
    assert!(
        run.read()
            .unwrap_err()
            .contains("mask of franka: expected 7 values, found 1")
    );
}

#[test]
fn the_robot_of_the_user_says_it_before_all_others() {
    let run = Run::new();
    let mut robot = robot();
    for of in &mut robot.data.statistics {
        of.normalisation = Q99;
    }
    let options = CheckpointOptions {
        robot: Some(robot),
        ..CheckpointOptions::default()
    };
    let manifest = run.read_with(&options).unwrap();
    assert_eq!(modes(&manifest), vec![Q99; 7]);
    assert_eq!(manifest.notes.len(), 7);
    notes(
        &Manifest {
            notes: manifest.notes[6..].to_vec(),
            ..manifest
        },
        &[&[
            "gripper is q99 by the contract of --robot",
            "none by the data_mix libero_goal of the run",
        ]],
    );
}

#[test]
fn a_run_of_our_making_says_how_it_is_normalised() {
    let folder = tempfile::tempdir().unwrap();
    let mut robot = robot();
    robot.data.statistics[0].normalisation = Q99;
    robot.data.statistics[6].normalisation = Binary;
    let options = CheckpointOptions {
        robot: Some(robot),
        ..CheckpointOptions::default()
    };
    let conversion = Conversion {
        to: Format::Starvla,
        options: &options,
        variant: &CheckpointVariant::default(),
        seed: 0,
    };
    conversion.run(&sets().join("deep/checkpoint"), folder.path()).unwrap();
    let manifest = Manifest::read(folder.path(), &CheckpointOptions::default()).unwrap();
    assert_eq!(manifest.actions, options.robot.unwrap().data.statistics);
}
