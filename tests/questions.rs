//! Tests of questions about simulated scenes: they follow from the seed, and their answers from the physics.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nalgebra::Vector3;
use serde_json::Value;
use thinkvla::sim::camera::View;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::questions::write::{Order, QuestionCounts, write};
use thinkvla::sim::scene_sampler::{SceneObject, sample_scene};
use thinkvla::sim::tasks;

const SEED: u64 = 5;

fn order() -> Order {
    Order {
        count: 22,
        per_scene: 4,
        views: View::ALL.to_vec(),
        held_out: 0.3,
        seed: SEED,
    }
}

fn written(order: &Order) -> (tempfile::TempDir, QuestionCounts) {
    let folder = tempfile::tempdir().unwrap();
    let written = write(&SimConfig::shipped().unwrap(), order, folder.path(), |_| ()).unwrap();
    (folder, written)
}

fn rows(folder: &Path, name: &str) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.is_file());
        files
            .map(|path| {
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    std::fs::read(&path).unwrap(),
                )
            })
            .collect::<BTreeMap<_, _>>()
    };
    let mut all = named(folder);
    all.extend(named(&folder.join("images")));
    all
}

/// Every `The 3D location of NAME is (x, y, z).` of an answer.
fn located(answer: &str) -> Vec<(String, Vector3<f64>)> {
    let locations = answer.split("The 3D location of ").skip(1);
    locations
        .map(|rest| {
            let (name, rest) = rest.split_once(" is (").unwrap();
            let (numbers, _) = rest.split_once(')').unwrap();
            let numbers: Vec<f64> = numbers.split(", ").map(|number| number.parse().unwrap()).collect();
            (name.to_owned(), Vector3::from_column_slice(&numbers))
        })
        .collect()
}

#[test]
fn questions_pictures_and_sides_follow_from_the_seed() {
    let (first, counted) = written(&order());
    assert_eq!(counted.scenes, 6);
    assert_eq!(counted.trained + counted.held_out, 22);
    let again = files(written(&order()).0.path());
    let files = files(first.path());
    assert_eq!(files.len(), 2 + 6 * View::ALL.len());
    assert!(files == again);
    let other = written(&Order { seed: 6, ..order() }).0;
    assert_ne!(rows(first.path(), "train.json"), rows(other.path(), "train.json"));
    let pictures = |name: &str| -> BTreeSet<String> {
        let rows = rows(first.path(), name);
        rows.iter()
            .map(|row| row["image"][0].as_str().unwrap().to_owned())
            .collect()
    };
    let (trained, held_out) = (pictures("train.json"), pictures("held_out.json"));
    // Two of six scenes are held out, and no image is on both sides.
    assert_eq!((trained.len(), held_out.len()), (4, 2));
    assert!(trained.is_disjoint(&held_out));
    for row in rows(first.path(), "train.json") {
        let images: Vec<&str> = row["image"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert!(images.iter().all(|name| first.path().join(name).is_file()));
        let question = row["conversations"][0]["value"].as_str().unwrap();
        assert_eq!(question.matches("<image>").count(), images.len());
    }
}

#[test]
fn answers_are_what_the_physics_says() {
    let config = SimConfig::shipped().unwrap();
    let (folder, _) = written(&order());
    let stages: Vec<Vec<SceneObject>> = (0..6)
        .map(|number| sample_scene(&config, SEED, number).unwrap().things)
        .collect();
    let mut places = 0;
    for row in ["train.json", "held_out.json"]
        .iter()
        .flat_map(|name| rows(folder.path(), name))
    {
        let scene: usize = row["id"].as_str().unwrap()[..6].parse().unwrap();
        let answer = row["conversations"][1]["value"].as_str().unwrap();
        let locations = located(answer);
        for (name, place) in &locations {
            let thing = stages[scene].iter().find(|thing| thing.name == *name).unwrap();
            assert!(
                (thing.place - place).amax() <= 0.0005 + 1e-9,
                "{name}: {place} and {}",
                thing.place
            );
            places += 1;
        }
        if row["category"] == "distance" {
            let (_, answered) = answer.rsplit_once(": ").unwrap();
            let answered: f64 = answered.strip_suffix(" m.").unwrap().parse().unwrap();
            let apart = (locations[0].1 - locations[1].1).norm();
            assert!((answered - apart).abs() < 0.0065, "{answer}");
        }
    }
    assert!(places > 10, "{places}");
}

#[test]
fn a_stage_is_a_start_of_a_task_with_the_gripper_above_what_stands_there() {
    let config = SimConfig::shipped().unwrap();
    let mut tasks_seen = BTreeSet::new();
    for number in 0..12 {
        let sampled = sample_scene(&config, SEED, number).unwrap();
        tasks_seen.insert(sampled.id.task.name());
        let layout = tasks::layout(&config, sampled.id).unwrap();
        let [block, gripper, others @ ..] = sampled.things.as_slice() else {
            panic!("nothing to ask about")
        };
        // The block has hardly moved while it settled.
        let start = Vector3::from(layout.object.position);
        assert!((block.place - start).norm() < 0.003, "{} and {start}", block.place);
        assert!((block.turn.unwrap() - layout.object.yaw).abs() < 0.02);
        assert!(gripper.place.z > block.place.z + 0.02, "{}", gripper.place);
        assert!((gripper.points.unwrap().norm() - 1.0).abs() < 1e-9);
        assert!(!others.is_empty());
        for thing in others {
            assert!(
                thing.place.x > 0.2 && thing.place.x < 0.5 && thing.place.z < 0.1,
                "{thing:?}"
            );
        }
    }
    assert_eq!(tasks_seen.len(), 3);
}
