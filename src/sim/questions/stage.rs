//! Scenes to ask about: a start of one of the tasks, with the arm somewhere above it.

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::control::types::{JOINTS, Joints};
use crate::sim::config::{LEVELS, SimConfig};
use crate::sim::error::SimError;
use crate::sim::scene::SceneOptions;
use crate::sim::tasks::{self, EpisodeId, Task};
use crate::sim::world::{Setpoint, Snapshot, World};

/// Where each joint may be [°]; joint 6 turns the tool down, give or take its range.
const POSTURES: [[f64; 2]; JOINTS] = [
    [-32.0, 32.0],
    [12.0, 45.0],
    [-12.0, 12.0],
    [40.0, 75.0],
    [-12.0, 12.0],
    [-22.0, 22.0],
    [-60.0, 60.0],
];
/// Lowest place of the gripper's tip: what stands on the table stays free of it [m].
const LOWEST_M: f64 = 0.22;
/// Postures tried before the arm stays as it was.
const TRIES: usize = 50;
/// Physics steps until the block lies.
const SETTLING: usize = 150;

/// Something with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// What it is called, with its article.
    pub name: String,
    /// Its middle in the base frame [m].
    pub place: Vector3<f64>,
    /// Turn of its edges about the vertical, counter-clockwise seen from above [rad], from -π/4 to π/4; nothing of
    /// things that are round, lie square, or have no edges.
    pub turn: Option<f64>,
    /// Which way it points, of length 1; the gripper alone.
    pub points: Option<Vector3<f64>>,
}

/// A scene and what is in it.
pub struct Stage {
    /// Which start of which task.
    pub id: EpisodeId,
    /// All that can be asked about.
    pub things: Vec<Thing>,
    /// What its pictures are made from.
    pub snapshot: Snapshot,
}

/// Scene number `number` of a seed.
///
/// # Errors
/// When MuJoCo refuses the scene.
pub fn stage(config: &SimConfig, seed: u64, number: u64) -> Result<Stage, SimError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    let nth = random.random_range(0..Task::ALL.len());
    let id = EpisodeId {
        task: Task::ALL.get(nth).copied().unwrap_or(Task::Height),
        variation: random.random_range(0..LEVELS as u8),
        // Few enough digits for every reader of JSON.
        seed: random.random::<u32>().into(),
    };
    let layout = tasks::layout(config, id)?;
    let mut world = World::new(config, &layout, SceneOptions { shadows: false })?;
    let tool = Translation3::from(config.driver.tool_offset_m);
    for _ in 0..TRIES {
        let posture = Setpoint {
            joints: draw(&mut random),
            opening: random.random(),
        };
        world.place_arm(&posture);
        if (world.base_from_flange() * tool).translation.z >= LOWEST_M {
            for _ in 0..SETTLING {
                world.step(&posture);
            }
            break;
        }
    }
    let block = world.object();
    let gripper = world.base_from_flange() * tool;
    let mut things = vec![
        Thing {
            name: format!("the {} block", layout.object.colour.name),
            place: block.translation.vector,
            turn: Some(edges(&block.rotation)),
            points: None,
        },
        Thing {
            name: "the tip of the gripper".into(),
            place: gripper.translation.vector,
            turn: None,
            points: Some(gripper.rotation * Vector3::z()),
        },
    ];
    for prop in &layout.props {
        if let Some((name, turn)) = called(&prop.name, prop.yaw) {
            things.push(Thing {
                name,
                place: world.middle_of(&prop.name)?,
                turn,
                points: None,
            });
        }
    }
    Ok(Stage {
        id,
        things,
        snapshot: world.snapshot(),
    })
}

fn draw(random: &mut ChaCha8Rng) -> Joints {
    let mut joints = POSTURES.map(|[low, high]| random.random_range(low..high));
    let [_, second, _, fourth, _, sixth, _] = &mut joints;
    *sixth += 180.0 - *second - *fourth;
    Joints::from(joints.map(f64::to_radians))
}

/// How the first of a block's edges is turned about the vertical [rad].
fn edges(rotation: &UnitQuaternion<f64>) -> f64 {
    let along = rotation * Vector3::x();
    let quarter = std::f64::consts::FRAC_PI_2;
    let turn = along.y.atan2(along.x);
    turn - quarter * (turn / quarter).round()
}

/// What people call a prop, and how it is turned; parts of what has been named already have no name of their own.
fn called(geom: &str, yaw: f64) -> Option<(String, Option<f64>)> {
    let mark = geom.strip_prefix("mark_").and_then(|rest| rest.strip_suffix("_rim"));
    match (geom, mark) {
        ("pedestal", _) => Some(("the stand".into(), None)),
        ("plate", _) => Some(("the plate".into(), None)),
        ("box_floor", _) => Some(("the floor of the transparent box".into(), Some(yaw))),
        (_, Some(name)) => Some((format!("the mark \"{name}\""), None)),
        _ => None,
    }
}
