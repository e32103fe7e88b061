//! Drawing of situations at random: the scene, the tool's start, and the moment on the path.

use nalgebra::{Translation3, Vector3};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::situation::{BlockPlacement, Kind, Mix, PathOffset, Situation};
use crate::control::tool_rotation::turned_from_down;
use crate::random::normal;
use crate::sim::config::{LEVELS, SimConfig};
use crate::sim::error::SimError;
use crate::sim::expert::{CLOSING_S, Interrupted, OPENING_S, Path, STEP_PERIOD_S, ToolSpeedLimits, plan, resume};
use crate::sim::tasks::{self, EpisodeId, Form, Task, TaskLayout};
use crate::sim::world::{ARM, start_joints};
use crate::types::Pose;

/// Instructions that ask to point at an object.
const WORDINGS: [&str; 8] = [
    "point at {}",
    "point to {}",
    "go to {}",
    "move to {}",
    "reach for {}",
    "find {}",
    "touch {}",
    "move the gripper to {}",
];
/// Share of expert frames whose episode starts at the start pose of `collect`.
const USUAL_START_SHARE: f64 = 0.4;
/// Share of expert frames in which the arm has come to rest on its path. Without them every arm at rest is about to
/// begin or has finished, and a network that gets its speed learns to stay where it is.
const REST_SHARE: f64 = 0.3;
/// Range of other start positions of the tool: x, y and z (m).
const START_M: [[f64; 2]; 3] = [[0.22, 0.42], [-0.22, 0.22], [0.12, 0.32]];
/// Range of the tool's position in a recovery (m).
const RECOVERY_RANGE_M: [[f64; 2]; 3] = [[0.20, 0.46], [-0.26, 0.26], [0.03, 0.30]];
/// Half of the recoveries begin within this distance of the block along x and y, and up to twice as high above it (m).
const BESIDE_M: f64 = 0.06;
/// Largest rotation of the tool about the vertical at the start (rad).
const TURN_RAD: f64 = 0.6;
/// Smallest height above the block of a start position at which the fingers would otherwise hit it from the side (m).
const ABOVE_BLOCK_M: f64 = 0.035;
/// Half the width of the block plus open fingers beside it (m).
const FINGERS_M: f64 = 0.055;
/// Half the width of the stand plus the gripper beside it (m).
const STAND_M: f64 = 0.10;
/// Share of recoveries in which the block lies where no layout puts it.
const MOVED_SHARE: f64 = 0.6;
/// Range of the position of a block that was dropped or pushed, x and y (m).
const DROPPED_M: [[f64; 2]; 2] = [[0.22, 0.44], [-0.22, 0.22]];
/// Share of the moved blocks that were only pushed.
const PUSHED_SHARE: f64 = 0.4;
/// Largest displacement of a pushed block along x and y (m).
const PUSHED_M: f64 = 0.05;
/// Distance from the box within which a block would intersect its wall (m).
const BESIDE_BOX_M: f64 = 0.14;
/// Half the width of the stand's top within which a block lies fully on it, and of the stand plus a block beside it
/// (m).
const STAND_TOP_M: [f64; 2] = [0.05, 0.085];
/// Share of recoveries that begin with fingers not fully open.
const NOT_OPEN_SHARE: f64 = 0.6;
/// Share of those whose opening is random; the others are closed.
const RANDOM_OPENING_SHARE: f64 = 0.6;
/// Times before the start and after the end of an episode from which frames are taken (s).
const BEYOND_S: [f64; 2] = [0.1, 0.25];
/// Share of frames in which the tool is off its path.
const JITTER_SHARE: f64 = 0.5;
/// Standard deviations of the offset near contact and elsewhere.
const JITTER_NEAR: Jitter = Jitter {
    place_m: 0.004,
    turn_rad: 0.02,
};
const JITTER_FREE: Jitter = Jitter {
    place_m: 0.012,
    turn_rad: 0.08,
};
/// Height above the block's top below which the tool is near contact (m).
const NEAR_M: f64 = 0.02;
/// Times before and after closing and opening of the fingers during which the tool stays on its path (s).
const STILL_CLOSING_S: [f64; 2] = [0.05, 0.45];
const STILL_OPENING_S: [f64; 2] = [0.05, 0.35];
/// The fingers hold the block from this long after the command to close until this long after the command to open (s).
const HELD_S: [f64; 2] = [0.22, 0.05];
/// Time after the command to open at which the fingers have released the block (s).
const RELEASED_S: f64 = 0.13;
/// Share of recoveries with fingers not fully open in which they were commanded to close and have missed the block.
const MISSED_SHARE: f64 = 0.6;
/// Height of the tool above an object that is pointed at and above everything near it (m).
const POINT_ABOVE_M: f64 = 0.045;
/// Distance within which the block counts as near the object that is pointed at (m).
const POINT_NEAR_M: f64 = 0.12;

/// Standard deviations of the tool's offset from its path.
struct Jitter {
    /// Along each axis (m).
    place_m: f64,
    /// About the vertical (rad).
    turn_rad: f64,
}

/// Returns the random generator of frame `number`.
pub(super) fn randomness(seed: u64, number: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    random
}

/// Draws a situation; whether the arm can reach it is not checked yet.
///
/// # Errors
/// When the configuration has no such task.
pub(super) fn draw(config: &SimConfig, mix: &Mix, random: &mut ChaCha8Rng) -> Result<Situation, SimError> {
    let chosen: f64 = random.random();
    let kind = match chosen {
        _ if chosen < mix.pointing => Kind::Pointing,
        _ if chosen < mix.pointing + mix.recovery => Kind::Recovery,
        _ => Kind::Expert,
    };
    let tasks = match kind {
        Kind::Pointing => &Task::ALL[..],
        Kind::Expert | Kind::Recovery => &mix.tasks,
    };
    let id = EpisodeId {
        task: tasks.choose(random).copied().unwrap_or(Task::Height),
        variation: random.random_range(0..LEVELS as u8),
        // 32 bits, so that every JSON reader holds the number exactly.
        seed: random.random::<u32>().into(),
    };
    let layout = tasks::layout(config, id)?;
    Ok(match kind {
        Kind::Expert => {
            let situation = expert(config, id, layout, random);
            match random.random_bool(REST_SHARE) {
                true => at_rest(config, situation),
                false => situation,
            }
        }
        Kind::Recovery => recovery(config, id, layout, random),
        Kind::Pointing => pointing(config, id, layout, random),
    })
}

fn expert(config: &SimConfig, id: EpisodeId, layout: TaskLayout, random: &mut ChaCha8Rng) -> Situation {
    let start = if random.random_bool(USUAL_START_SHARE) {
        usual_start(config)
    } else {
        let mut place = within(&START_M, random);
        let [x, y, z] = layout.object.position;
        if place.z < z + 0.09 && (place.x - x).hypot(place.y - y) < 0.12 {
            place.z = z + 0.09 + random.random_range(0.0..0.1);
        }
        down_at(place, random.random_range(-TURN_RAD..TURN_RAD))
    };
    let path = plan(config, &layout, start);
    let time_s = random
        .random_range(-BEYOND_S[0]..path.duration() + BEYOND_S[1])
        .max(0.0);
    let [closes, opens] = path.gripper_times();
    // A picture does not show how long the tool has stood still: once the fingers hold or have released, it moves on.
    let time_s = match time_s {
        t if (closes + HELD_S[0]..closes + CLOSING_S).contains(&t) => closes + CLOSING_S,
        t if (opens + RELEASED_S..opens + OPENING_S).contains(&t) => opens + OPENING_S,
        t => t,
    };
    let block = match time_s {
        // Until the fingers have released the block, it moves with them.
        t if t >= opens + HELD_S[1] => BlockPlacement::Placed,
        t if t >= closes + HELD_S[0] => BlockPlacement::Held,
        _ => BlockPlacement::Lies,
    };
    let works = |[before, after]: [f64; 2], at: f64| (at - before..at + after).contains(&time_s);
    let offset = if works(STILL_CLOSING_S, closes) || works(STILL_OPENING_S, opens) {
        PathOffset::none()
    } else {
        let low = path.pose(time_s).translation.z < layout.object.position[2] + config.block.side_m / 2.0 + NEAR_M;
        jitter((time_s < closes && low) || time_s > opens, random)
    };
    let stops = config.block.side_m / (2.0 * crate::sim::world::FINGER_TRAVEL);
    Situation {
        kind: Kind::Expert,
        instruction: layout.instruction.clone(),
        opening: path.opening_reached(time_s, finger_rate(config), stops),
        gripper_command: path.opening(time_s),
        id,
        layout,
        path,
        time_s,
        offset,
        block,
        from_rest: None,
    }
}

/// Replaces a moment by the same with an arm that has come to rest there.
fn at_rest(config: &SimConfig, mut of: Situation) -> Situation {
    let tool = of.commanded(0);
    let from = Interrupted {
        tool,
        velocity: Vector3::zeros(),
        block: of.block_pose(config, &tool),
        held: of.block == BlockPlacement::Held,
        gripper_command: of.gripper_command,
        opening: of.opening,
    };
    of.from_rest = Some(resume(config, &of.layout, &from));
    of
}

fn recovery(config: &SimConfig, id: EpisodeId, mut layout: TaskLayout, random: &mut ChaCha8Rng) -> Situation {
    if random.random_bool(MOVED_SHARE) {
        move_block(config, id.task, &mut layout, random);
    }
    let opening = match random.random_bool(NOT_OPEN_SHARE) {
        true if random.random_bool(RANDOM_OPENING_SHARE) => random.random(),
        true => 0.0,
        false => 1.0,
    };
    let mut place = within(&RECOVERY_RANGE_M, random);
    let [x, y, z] = layout.object.position;
    if random.random_bool(0.5) {
        let mut near = |reach: f64| random.random_range(-reach..reach);
        place = Vector3::new(x + near(BESIDE_M), y + near(BESIDE_M), z + near(BESIDE_M) + BESIDE_M);
    }
    place.z = place.z.max(RECOVERY_RANGE_M[2][0]);
    let beside = |half: f64, px: f64, py: f64| (place.x - px).abs().max((place.y - py).abs()) < half;
    let over_block = beside(FINGERS_M, x, y);
    let stand = layout.props.iter().find(|prop| prop.name == "pedestal");
    let stand_top = stand.filter(|prop| beside(STAND_M, prop.position[0], prop.position[1]));
    let stand_top = stand_top.map(|prop| 2.0 * prop.position[2] + 0.025);
    if place.z < z + ABOVE_BLOCK_M && over_block {
        place.z = z + ABOVE_BLOCK_M + random.random_range(0.0..0.05);
    }
    place.z = place.z.max(stand_top.unwrap_or_default());
    let start = down_at(place, random.random_range(-TURN_RAD..TURN_RAD));
    let path = plan(config, &layout, start);
    let [closes, _] = path.gripper_times();
    // Many at the very start, because after a mishap the expert starts anew from where the arm is.
    let time_s = random.random_range(-0.5..(closes - 0.1).max(0.0)).max(0.0);
    let low = path.pose(time_s).translation.z < z + config.block.side_m / 2.0 + NEAR_M;
    let missed = opening < 1.0 && time_s < STEP_PERIOD_S && random.random_bool(MISSED_SHARE);
    Situation {
        kind: Kind::Recovery,
        instruction: layout.instruction.clone(),
        opening: (opening + finger_rate(config) * time_s).min(1.0),
        gripper_command: f64::from(u8::from(!missed)),
        id,
        layout,
        path,
        time_s,
        offset: jitter(low, random),
        block: BlockPlacement::Lies,
        from_rest: None,
    }
}

fn pointing(config: &SimConfig, id: EpisodeId, layout: TaskLayout, random: &mut ChaCha8Rng) -> Situation {
    let colour = &layout.object.colour.name;
    let [x, y, z] = layout.object.position;
    let half = config.block.side_m / 2.0;
    let block = match random.random_bool(0.7) {
        true => format!("the {colour} block"),
        false => "the block".to_owned(),
    };
    let mut things = vec![(block, Vector3::new(x, y, z + half))];
    things.extend(layout.props.iter().filter_map(|prop| {
        let [x, y, z] = prop.position;
        let half = match prop.form {
            Form::Box([_, _, half]) | Form::Cylinder([_, half]) => half,
        };
        let top = if prop.name == "box_floor" {
            layout.goal.rim
        } else {
            z + half
        };
        Some((crate::sim::scene_sampler::words(&prop.name)?, Vector3::new(x, y, top)))
    }));
    // Half of them name the block, because every task begins with it.
    let nth = match random.random_bool(0.5) {
        true => 0,
        false => random.random_range(0..things.len()),
    };
    let (name, mut place) = things.swap_remove(nth);
    if (place.x - x).hypot(place.y - y) < POINT_NEAR_M {
        place.z = place.z.max(z + half);
    }
    place.z += POINT_ABOVE_M;
    let start = match random.random_bool(USUAL_START_SHARE) {
        true => usual_start(config),
        false => down_at(within(&START_M, random), random.random_range(-TURN_RAD..TURN_RAD)),
    };
    let path = Path::from(start, 1.0, ToolSpeedLimits::of(&config.expert)).to(place, 0.0, 0.0);
    let time_s = random
        .random_range(-BEYOND_S[0]..path.duration() + BEYOND_S[1])
        .max(0.0);
    let wording = WORDINGS.choose(random).copied().unwrap_or_default();
    Situation {
        kind: Kind::Pointing,
        instruction: wording.replace("{}", &name),
        opening: 1.0,
        gripper_command: 1.0,
        id,
        layout,
        path,
        time_s,
        offset: jitter(false, random),
        block: BlockPlacement::Lies,
        from_rest: None,
    }
}

/// Moves the block to where a clumsy arm would leave it; does nothing when no free position is found.
fn move_block(config: &SimConfig, task: Task, layout: &mut TaskLayout, random: &mut ChaCha8Rng) {
    let [x, y, z] = layout.object.position;
    let on_table = config.block.side_m / 2.0 + 0.0005;
    for _ in 0..20 {
        let [px, py] = match random.random_bool(PUSHED_SHARE) {
            true => [x, y].map(|middle| middle + random.random_range(-PUSHED_M..PUSHED_M)),
            false => DROPPED_M.map(|[low, high]| random.random_range(low..high)),
        };
        let mut height = on_table;
        let [gx, gy] = layout.goal.centre;
        if task == Task::Container && (px - gx).hypot(py - gy) < BESIDE_BOX_M {
            continue;
        }
        if let Some(stand) = layout.props.iter().find(|prop| prop.name == "pedestal") {
            let off = (px - stand.position[0]).abs().max((py - stand.position[1]).abs());
            if off < STAND_TOP_M[0] {
                height = z;
            } else if off < STAND_TOP_M[1] {
                continue;
            }
        }
        if task == Task::Height && (px - gx).hypot(py - gy) < 0.09 {
            height += layout.goal.surface;
        }
        layout.object.position = [px, py, height];
        layout.object.yaw = random.random_range(-std::f64::consts::FRAC_PI_4..std::f64::consts::FRAC_PI_4);
        return;
    }
}

fn jitter(near: bool, random: &mut ChaCha8Rng) -> PathOffset {
    if !random.random_bool(JITTER_SHARE) {
        return PathOffset::none();
    }
    let Jitter { place_m, turn_rad } = if near { JITTER_NEAR } else { JITTER_FREE };
    let mut translation = Vector3::from_fn(|_, _| place_m * normal(random));
    if near {
        // Below the path is the table, so the offset is upwards.
        translation.z = translation.z.abs();
    }
    PathOffset {
        translation,
        turn: turn_rad * normal(random),
    }
}

fn usual_start(config: &SimConfig) -> Pose {
    ARM.kinematics().forward(&start_joints()) * Translation3::from(config.driver.tool_offset_m)
}

fn within(box_m: &[[f64; 2]; 3], random: &mut ChaCha8Rng) -> Vector3<f64> {
    Vector3::from(box_m.map(|[low, high]| random.random_range(low..high)))
}

fn down_at(place: Vector3<f64>, turn: f64) -> Pose {
    Pose::from_parts(Translation3::from(place), turned_from_down(Vector3::z() * turn))
}

/// Returns the speed of the gripper (openings per second).
fn finger_rate(config: &SimConfig) -> f64 {
    config.driver.gripper_speed_m_s / (2.0 * crate::sim::world::FINGER_TRAVEL)
}
