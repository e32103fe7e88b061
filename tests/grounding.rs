//! Scenes that teach where things are: what a row says is what the physics has and what the cameras show.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use nalgebra::{UnitQuaternion, Vector3};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Contract, Data, Robot};
use thinkvla::control::tool_rotation::turned_from_down;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::layout::{ACTION, Layout, STATE};
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::{At, Dataset, DatasetWriter};
use thinkvla::sim::camera::View;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::geometry::points;
use thinkvla::sim::grounding::{Asked, Order, ask, write};
use thinkvla::sim::look::Look;
use thinkvla::sim::stage::{Arm, stage};

const SEED: u64 = 5;

fn written(root: &Path, count: usize, jobs: usize) -> Dataset {
    let order = Order {
        sim: SimConfig::shipped().unwrap(),
        count,
        seed: SEED,
        images: ImageMode::Jpeg(92),
        jobs,
        beside: None,
    };
    let contract = Contract {
        robot: Robot::simulated(),
        data: Data::unrecorded(10.0),
        model: None,
    };
    let layout = Layout::of_arm(&contract, order.images).unwrap();
    let mut writer = DatasetWriter::create(Arc::new(Disk), root, &layout, &contract).unwrap();
    assert_eq!(write(&order, &mut writer, |_, _| ()).unwrap().episodes, count);
    Dataset::open(root).unwrap()
}

fn asked(number: u64) -> Asked {
    ask(&SimConfig::shipped().unwrap(), SEED, number).unwrap()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push((
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )),
        }
    }
    all.sort();
    all
}

#[test]
fn the_action_of_a_row_is_the_whole_way_to_the_thing_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = written(&folder.path().join("set"), 6, 1);
    assert_eq!((dataset.episodes().len(), dataset.frames()), (6, 6));
    let names: Vec<_> = dataset.info().pictures().map(|(name, _)| name).collect();
    let mut pictures = dataset.pictures(&names).unwrap();
    let mut image = RgbImage::default();
    for episode in 0..6 {
        let at = At { episode, frame: 0 };
        let asked = asked(episode as u64);
        assert_eq!(dataset.task(at).unwrap(), asked.instruction);
        let action: Vec<f64> = dataset
            .values(ACTION, at)
            .unwrap()
            .iter()
            .map(|v| f64::from(*v))
            .collect();
        let state: Vec<f64> = dataset
            .values(STATE, at)
            .unwrap()
            .iter()
            .map(|v| f64::from(*v))
            .collect();
        let reached = Vector3::from_column_slice(&state[7..10]) + Vector3::from_column_slice(&action[..3]);
        assert!((reached - asked.thing.place).norm() < 1e-6);
        // Fingers and edges are parallel there, after a turn about the vertical of an eighth at most, and about nothing
        // else, exactly: statistics would stretch what rounding leaves.
        assert_eq!(action[3..5], [0.0; 2]);
        assert!(action[5].abs() <= std::f64::consts::FRAC_PI_4 + 1e-6);
        if let Some(edges) = asked.thing.turn {
            let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), action[5]);
            let along = turn * turned_from_down(Vector3::from_column_slice(&state[10..13])) * Vector3::x();
            let beside = (4.0 * (along.y.atan2(along.x) - edges)).sin();
            assert!(beside.abs() < 1e-4, "{beside}");
        }
        assert_eq!(action[6], 1.0);
        for picture in pictures.read(at).unwrap() {
            picture.decode(&mut image).unwrap();
            assert_eq!((image.width(), image.height()), (640, 480));
        }
        assert_eq!(dataset.chunk(ACTION, at, 10).unwrap().valid, 1);
    }
}

#[test]
fn the_points_of_patches_lie_on_what_the_physics_has_there() {
    let shipped = SimConfig::shipped().unwrap();
    for number in 0..8 {
        let stage = stage(&shipped, SEED, number, Arm::Above).unwrap();
        let block = &stage.things[0];
        let mut look = Look::new(&stage.snapshot).unwrap();
        let cameras = View::ALL.map(|view| look.camera(view).unwrap().clone());
        // The block's upper side, seen from the top camera.
        let top = block.place + Vector3::z() * block.half.z;
        let direction = cameras[0].direction(cameras[0].pixel(&top).unwrap());
        let met = look.along(&cameras[0].position, &direction).unwrap();
        if look.share_seen(View::Top, &[top]) > 0.0 {
            assert!((met.point - top).norm() < 0.005, "{number}: {} and {top}", met.point);
            assert!((met.normal - Vector3::z()).norm() < 0.02);
        }
        let mut both = 0;
        for point in points(&mut look, View::Top, [24, 32]).into_iter().flatten() {
            let place = point.place;
            // Nothing is seen through the table, and its top is where z is 0.
            let over_table = (place.x - 0.3).abs() < 0.499 && place.y.abs() < 0.599;
            assert!(!over_table || place.z > -1e-6, "{place}");
            // What the other camera sees there is the same point.
            if look.share_seen(View::Wrist, &[place]) > 0.0 && cameras[1].pixel(&place).is_some() {
                let direction = cameras[1].direction(cameras[1].pixel(&place).unwrap());
                let met = look.along(&cameras[1].position, &direction).unwrap();
                both += usize::from((met.point - place).norm() < 1e-4);
            }
        }
        assert!(both > 0, "{number}");
        // The wrist camera tells places from itself: on the ray through the patch, as far as the surface is.
        for (patch, point) in points(&mut look, View::Wrist, [24, 32]).into_iter().enumerate() {
            let Some(point) = point else { continue };
            let pixel = [(patch % 32) as f64 * 20.0 + 9.5, (patch / 32) as f64 * 20.0 + 9.5];
            let met = look.along(&cameras[1].position, &cameras[1].direction(pixel)).unwrap();
            let place = cameras[1].axes * point.place + cameras[1].position;
            assert!(
                (place - met.point).norm() < 1e-9,
                "{number}, patch {patch}: {place} and {}",
                met.point
            );
            assert!(point.normal.dot(&point.place) < 0.0, "a surface is seen from before it");
        }
    }
}

#[test]
fn scenes_follow_from_the_seed_however_many_threads_render() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["one", "two"].map(|name| folder.path().join(name));
    written(&first, 5, 1);
    written(&second, 5, 2);
    assert!(files(&first) == files(&second));
}

#[test]
fn what_is_asked_for_can_be_seen_and_the_arm_is_where_the_tasks_have_it() {
    let mut heights = Vec::new();
    let mut words = BTreeSet::new();
    let mut held = 0;
    for number in 0..60 {
        let asked = asked(number);
        let (things, arm) = (&asked.stage.things, asked.stage.arm);
        assert!(asked.seen.iter().any(|share| *share >= 0.3));
        let shown = View::ALL.iter().zip(asked.seen).filter(|(_, share)| *share >= 0.3);
        let mut look = Look::new(&asked.stage.snapshot).unwrap();
        for (view, _) in shown {
            // The ray through a seen place of its upper side meets the thing there.
            let camera = look.camera(*view).unwrap().clone();
            let meets = asked
                .thing
                .upper_side()
                .iter()
                .filter(|place| {
                    let Some(pixel) = camera.pixel(place) else { return false };
                    let met = look.along(&camera.position, &camera.direction(pixel)).unwrap();
                    (met.point - **place).norm() < 0.005
                })
                .count();
            assert!(
                meets > 0 || asked.thing.name.contains("box"),
                "{} {number}",
                asked.instruction
            );
        }
        heights.push(arm.tool.translation.z);
        held += usize::from((things[0].place - arm.tool.translation.vector).norm() < 0.012);
        words.insert(asked.instruction.clone());
    }
    heights.sort_by(f64::total_cmp);
    assert!(heights[0] < 0.06 && heights[59] > 0.22, "{heights:?}");
    assert!((3..30).contains(&held), "{held}");
    assert!(words.len() > 30);
}
