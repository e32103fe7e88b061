//! Static scenes: the start of a task with the arm in a random pose.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

use nalgebra::{Matrix3, Translation3, UnitQuaternion, Vector3};
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::config::{LEVELS, SimConfig};
use super::error::SimError;
use super::random_pose;
use super::scene::SceneOptions;
use super::tasks::{self, EpisodeId, Form, Task};
use super::world::{Snapshot, World};
use crate::types::{Joints, Pose};

/// A named object.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneObject {
    /// Name with article.
    pub name: String,
    /// Name in instructions.
    pub words: Vec<String>,
    /// Centre in the base frame (m).
    pub place: Vector3<f64>,
    /// Half sizes along its own edges (m); of round things, half the side of the inscribed square.
    pub half: Vector3<f64>,
    /// Rotation of the edges about the vertical, counter-clockwise seen from above (rad), from -π/4 to π/4; `None` for
    /// things that are round, axis-aligned or have no edges.
    pub turn: Option<f64>,
    /// Unit direction of the gripper; `None` for other objects.
    pub points: Option<Vector3<f64>>,
}

/// A scene and its objects.
pub struct SampledScene {
    /// Identifies the initial scene.
    pub id: EpisodeId,
    /// Objects that questions can be about.
    pub things: Vec<SceneObject>,
    /// Pose of the arm.
    pub arm: ArmPosture,
    /// State from which its pictures are rendered.
    pub snapshot: Snapshot,
}

/// Pose of the arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmPosture {
    /// Joints (rad).
    pub joints: Joints,
    /// `base_from_tool` (m).
    pub tool: Pose,
    /// Last command of the gripper, 0 closed to 1 open.
    pub gripper: f64,
}

/// Returns scene number `number` of a seed.
///
/// # Errors
/// When MuJoCo refuses the scene.
pub fn sample_scene(config: &SimConfig, seed: u64, number: u64) -> Result<SampledScene, SimError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    let nth = random.random_range(0..Task::ALL.len());
    let id = EpisodeId {
        task: Task::ALL.get(nth).copied().unwrap_or(Task::Height),
        variation: random.random_range(0..LEVELS as u8),
        // 32 bits, so that every JSON reader holds the number exactly.
        seed: random.random::<u32>().into(),
    };
    let layout = tasks::layout(config, id)?;
    let mut world = World::new(config, &layout, SceneOptions::default())?;
    let tool = Translation3::from(config.driver.tool_offset_m);
    let opening = random_pose::above(&mut world, config.driver.tool_offset_m, &mut random);
    let block = world.object();
    let gripper = world.base_from_flange() * tool;
    let mut things = vec![
        SceneObject {
            name: format!("the {} block", layout.object.colour.name),
            words: vec![format!("the {} block", layout.object.colour.name), "the block".into()],
            half: Vector3::repeat(config.block.side_m / 2.0),
            place: block.translation.vector,
            turn: Some(edges(&block.rotation)),
            points: None,
        },
        SceneObject {
            name: "the tip of the gripper".into(),
            words: Vec::new(),
            half: Vector3::zeros(),
            place: gripper.translation.vector,
            turn: None,
            points: Some(gripper.rotation * Vector3::z()),
        },
    ];
    for prop in &layout.props {
        if let Some(called) = called(&prop.name) {
            things.push(SceneObject {
                name: called.name,
                words: called.words,
                place: world.middle_of(&prop.name)?,
                half: half(&prop.form),
                turn: called.is_turned.then_some(prop.yaw),
                points: None,
            });
        }
    }
    Ok(SampledScene {
        id,
        things,
        arm: ArmPosture {
            joints: world.joints(),
            tool: gripper,
            gripper: opening,
        },
        snapshot: world.snapshot(),
    })
}

/// Returns the rotation of a block's first edge about the vertical (rad).
fn edges(rotation: &UnitQuaternion<f64>) -> f64 {
    let along = rotation * Vector3::x();
    quarter(along.y.atan2(along.x))
}

/// Returns the angle nearest to zero that differs by whole quarter turns (rad).
pub(super) fn quarter(angle: f64) -> f64 {
    (angle + FRAC_PI_4).rem_euclid(FRAC_PI_2) - FRAC_PI_4
}

/// Returns the rotation about the vertical of the most horizontal of the axes, which are the columns (rad).
pub(super) fn heading(axes: &Matrix3<f64>) -> f64 {
    let flattest = axes.column_iter().min_by(|a, b| a.z.abs().total_cmp(&b.z.abs()));
    flattest.map_or(0.0, |axis| axis.y.atan2(axis.x))
}

/// Returns the name of a prop in instructions, if it has one.
pub(super) fn words(geom: &str) -> Option<String> {
    called(geom)?.words.into_iter().next()
}

/// Names of a prop.
struct PropNames {
    name: String,
    words: Vec<String>,
    /// Whether the rotation of its edges is part of the scene's description.
    is_turned: bool,
}

/// Returns the names of a geom; further parts of an object that is named already have none.
fn called(geom: &str) -> Option<PropNames> {
    let called = |name: String, words: String| PropNames {
        name,
        words: vec![words],
        is_turned: false,
    };
    let mark = geom.strip_prefix("mark_").and_then(|rest| rest.strip_suffix("_rim"));
    match (geom, mark) {
        ("pedestal", _) => Some(called("the stand".into(), "the stand".into())),
        ("plate", _) => Some(called("the plate".into(), "the plate".into())),
        ("box_floor", _) => Some(PropNames {
            is_turned: true,
            ..called("the floor of the transparent box".into(), "the transparent box".into())
        }),
        (_, Some(name)) => Some(called(format!("the mark \"{name}\""), format!("the {name} mark"))),
        _ => None,
    }
}

fn half(form: &Form) -> Vector3<f64> {
    match *form {
        Form::Box(half) => half.into(),
        Form::Cylinder([radius, half]) => {
            let within = radius * std::f64::consts::FRAC_1_SQRT_2;
            Vector3::new(within, within, half)
        }
    }
}
