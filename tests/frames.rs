//! Tests of generated frames: rows agree with the physics, the camera images and the expert's next motion.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{UnitQuaternion, Vector3};
use thinkvla::camera::points::SurfaceClass;
use thinkvla::control::tool_rotation::turned_from_down;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::schema::{ACTION, CHUNK, STATE};
use thinkvla::dataset::{At, Dataset};
use thinkvla::sim::camera::View;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::frames::{FrameOrder, Kind, Mix, PlacedFrame, create_dataset, place, write};
use thinkvla::sim::geometry::points;
use thinkvla::sim::raycast::RayCaster;
use thinkvla::sim::scene_sampler::sample_scene;
use thinkvla::sim::tasks::Task;

const SEED: u64 = 5;
const STEPS: usize = 8;

fn order(count: usize, jobs: usize) -> FrameOrder {
    FrameOrder {
        sim: SimConfig::shipped().unwrap(),
        count,
        seed: SEED,
        steps: STEPS,
        mix: Mix::default(),
        images: ImageMode::Jpeg(92),
        jobs,
        row_callback: None,
    }
}

fn written(root: &Path, order: &FrameOrder) -> Dataset {
    let mut writer = create_dataset(root, order.images, order.steps).unwrap();
    assert_eq!(write(order, &mut writer, |_, _| ()).unwrap().frames, order.count);
    Dataset::open(root).unwrap()
}

fn placed(number: u64) -> PlacedFrame {
    place(&order(1, 1), number).unwrap()
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

fn values(dataset: &Dataset, column: &str, episode: usize) -> Vec<f64> {
    let at = At { episode, frame: 0 };
    let values = dataset.values(column, at).unwrap();
    values.iter().map(|value| f64::from(*value)).collect()
}

#[test]
fn a_chunk_leads_along_the_expert_s_path_from_where_the_tool_is() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = written(&folder.path().join("set"), &order(8, 1));
    assert_eq!((dataset.episodes().len(), dataset.frames()), (8, 8));
    for episode in 0..8 {
        let frame = placed(episode as u64);
        let situation = &frame.situation;
        let at = At { episode, frame: 0 };
        assert_eq!(dataset.task(at).unwrap(), situation.instruction);
        let (action, chunk) = (values(&dataset, ACTION, episode), values(&dataset, CHUNK, episode));
        let state = values(&dataset, STATE, episode);
        assert_eq!((chunk.len(), &chunk[..7]), (7 * STEPS, &action[..]));
        // The chunk ends where the path is at that time, whatever the tool's initial deviation.
        let measured = Vector3::from_column_slice(&state[7..10]);
        let sum = |from: usize| {
            chunk
                .chunks(7)
                .map(|step| Vector3::from_column_slice(&step[from..from + 3]))
                .sum()
        };
        let way: Vector3<f64> = sum(0);
        let ahead = 0.1 * STEPS as f64;
        let end = match &situation.from_rest {
            Some(way_on) => way_on.pose(ahead),
            None => situation.path.pose(situation.time_s + ahead),
        };
        // The measured tool lags a moment behind its command.
        let speed = 0.25 * 1.3;
        assert!((measured + way - end.translation.vector).norm() < 0.06 * speed + 1e-4);
        // The tool keeps pointing down, and turns only about the vertical.
        for step in chunk.chunks(7) {
            assert_eq!(step[3..5], [0.0; 2]);
            assert!((0.0..=1.0).contains(&step[6]));
        }
        let turned = turned_from_down(Vector3::from_column_slice(&state[10..13]));
        let turn = UnitQuaternion::from_scaled_axis(sum(3));
        assert!((turn * turned).angle_to(&end.rotation) < 0.06 * 1.1);
    }
}

#[test]
fn a_row_is_the_same_however_many_threads_render() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["one", "two"].map(|name| folder.path().join(name));
    written(&first, &order(5, 1));
    written(&second, &order(5, 2));
    assert!(files(&first) == files(&second));
}

#[test]
fn an_order_that_was_cut_off_is_gone_on_with_and_another_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, pieces] = ["whole", "pieces"].map(|name| folder.path().join(name));
    let whole = written(&whole, &order(5, 1));
    written(&pieces, &order(2, 1));
    let pieces = written(&pieces, &order(5, 1));
    assert_eq!(pieces.frames(), 5);
    for episode in 0..5 {
        for column in [ACTION, CHUNK, STATE] {
            assert_eq!(values(&pieces, column, episode), values(&whole, column, episode));
        }
    }
    let other = FrameOrder {
        seed: SEED + 1,
        ..order(9, 1)
    };
    let mut writer = create_dataset(pieces.root(), other.images, other.steps).unwrap();
    let error = write(&other, &mut writer, |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("5 of seed 5"), "{error}");
}

#[test]
fn in_some_of_the_expert_s_frames_the_arm_has_come_to_rest() {
    let situations: Vec<_> = (0..200).map(|number| placed(number).situation).collect();
    let expert = || situations.iter().filter(|of| of.kind == Kind::Expert);
    let resting: Vec<_> = expert().filter_map(|of| Some((of, of.from_rest.as_ref()?))).collect();
    let share = resting.len() as f64 / expert().count() as f64;
    assert!((0.15..0.45).contains(&share), "{share}");
    for (of, way_on) in resting {
        // The path begins slowly at the arm's pose and ends where the task is done.
        let at = |seconds: f64| way_on.pose(seconds).translation.vector;
        assert!((at(0.01) - at(0.0)).norm() < 1e-3, "{of:?}");
        let [x, y] = of.layout.goal.centre;
        let end = at(way_on.duration());
        assert!((end.x - x).hypot(end.y - y) < 0.05, "{of:?}");
    }
}

#[test]
fn every_kind_and_task_comes_as_often_as_it_is_asked_for_and_the_gripper_holds_what_it_carries() {
    let (mut kinds, mut tasks) = (BTreeMap::new(), BTreeMap::new());
    let (mut held, mut number) = (0, 0);
    while number < 300 {
        let frame = placed(number);
        let situation = &frame.situation;
        *kinds.entry(situation.kind.name()).or_insert(0) += 1;
        *tasks.entry(situation.id.task.name()).or_insert(0) += 1;
        let mut caster = RayCaster::new(&frame.snapshot).unwrap();
        let carries = situation.block == thinkvla::sim::frames::BlockPlacement::Held;
        held += usize::from(carries);
        if carries {
            // A block between the fingers appears right below the centre of the wrist image.
            let seen = points(&mut caster, View::Wrist, [16, 16]);
            let block = seen
                .iter()
                .flatten()
                .filter(|point| point.class == SurfaceClass::Object);
            assert!(block.count() > 4, "frame {number}: {}", situation.instruction);
        }
        number += 1;
    }
    let share = |of: &str| f64::from(kinds[of]) / 300.0;
    assert!(
        (0.5..0.7).contains(&share("expert")) && (0.2..0.4).contains(&share("recovery")),
        "{kinds:?}"
    );
    assert!((0.05..0.16).contains(&share("pointing")), "{kinds:?}");
    assert!(tasks.len() == 3 && tasks.values().all(|count| *count > 60), "{tasks:?}");
    assert!((20..120).contains(&held), "{held}");
}

#[test]
fn tasks_that_are_left_out_are_only_pointed_into() {
    let mut order = order(1, 1);
    order.mix = Mix {
        tasks: vec![Task::Container],
        recovery: 0.3,
        pointing: 0.3,
    };
    order.mix.validate().unwrap();
    let mut pointed_elsewhere = 0;
    for number in 0..80 {
        let situation = place(&order, number).unwrap().situation;
        match situation.kind {
            Kind::Expert | Kind::Recovery => assert_eq!(situation.id.task, Task::Container),
            Kind::Pointing => pointed_elsewhere += usize::from(situation.id.task != Task::Container),
        }
    }
    assert!(pointed_elsewhere > 0);
    order.mix.pointing = 0.8;
    assert!(
        order
            .mix
            .validate()
            .unwrap_err()
            .to_string()
            .contains("together at most 1")
    );
}

#[test]
fn the_points_of_patches_lie_on_what_the_physics_has_there() {
    let shipped = SimConfig::shipped().unwrap();
    let mut seen = 0;
    for number in 0..8 {
        let sampled = sample_scene(&shipped, SEED, number).unwrap();
        let block = &sampled.things[0];
        let mut caster = RayCaster::new(&sampled.snapshot).unwrap();
        let cameras = View::ALL.map(|view| caster.camera(view).unwrap().clone());
        // Upper side of the block, seen by the top camera.
        let top = block.place + Vector3::z() * block.half.z;
        let direction = cameras[0].direction(cameras[0].pixel(&top).unwrap());
        let met = caster.along(&cameras[0].position, &direction).unwrap();
        if met.class == SurfaceClass::Object {
            assert!((met.point - top).norm() < 0.005, "{number}: {} and {top}", met.point);
            assert!((met.normal - Vector3::z()).norm() < 0.02);
            seen += 1;
        }
        let mut both = 0;
        for point in points(&mut caster, View::Top, [24, 32]).into_iter().flatten() {
            let place = point.place;
            // Nothing is visible below the table, whose top is at z = 0.
            let over_table = (place.x - 0.3).abs() < 0.499 && place.y.abs() < 0.599;
            assert!(!over_table || place.z > -1e-6, "{place}");
            // The other camera sees the same point there.
            if let Some(pixel) = cameras[1].pixel(&place) {
                let direction = cameras[1].direction(pixel);
                let met = caster.along(&cameras[1].position, &direction);
                both += usize::from(met.is_some_and(|met| (met.point - place).norm() < 1e-4));
            }
        }
        assert!(both > 0, "{number}");
        // Points of the wrist camera are relative to the camera: on the ray through the patch, at the distance of the
        // surface.
        for (patch, point) in points(&mut caster, View::Wrist, [24, 32]).into_iter().enumerate() {
            let Some(point) = point else { continue };
            let pixel = [(patch % 32) as f64 * 20.0 + 9.5, (patch / 32) as f64 * 20.0 + 9.5];
            let met = caster
                .along(&cameras[1].position, &cameras[1].direction(pixel))
                .unwrap();
            assert_eq!(met.class, point.class);
            let place = cameras[1].axes * point.place + cameras[1].position;
            assert!(
                (place - met.point).norm() < 1e-9,
                "{number}, patch {patch}: {place} and {}",
                met.point
            );
            assert!(point.normal.dot(&point.place) < 0.0, "a surface is seen from before it");
        }
    }
    assert!(seen > 0);
}
