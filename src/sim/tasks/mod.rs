//! The three tasks: initial scenes and goals.

pub mod container;
pub mod height;
pub mod position;

use std::fmt;
use std::str::FromStr;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::config::{Block, Colour, LEVELS, SimConfig};
use super::error::SimError;

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Pick from varying heights, place on a plate.
    Height,
    /// Place into a transparent box.
    Container,
    /// Place at a named mark.
    Position,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::Height, Self::Container, Self::Position];

    /// Returns the name in messages, parameters and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Height => "height",
            Self::Container => "container",
            Self::Position => "position",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = SimError;

    fn from_str(name: &str) -> Result<Self, SimError> {
        let found = Self::ALL.into_iter().find(|task| task.name() == name);
        found.ok_or_else(|| SimError::Task(name.to_owned()))
    }
}

/// Identifies an episode: together with the configuration it determines everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpisodeId {
    /// The task.
    pub task: Task,
    /// Level of the factor the task is about: 0, 1 or 2.
    pub variation: u8,
    /// Seed of all other random choices; the same seed draws the same in every variation.
    pub seed: u64,
}

/// Initial positions of all objects, and the goal.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLayout {
    /// The block.
    pub object: Object,
    /// Objects on the table.
    pub props: Vec<Prop>,
    /// The lamp.
    pub light: Light,
    /// Goal of the block.
    pub goal: Goal,
    /// Instruction.
    pub instruction: String,
}

/// The block at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Centre (m).
    pub position: [f64; 3],
    /// Rotation about the vertical (rad), within the symmetry of quarter turns.
    pub yaw: f64,
    /// Colour.
    pub colour: Colour,
}

/// An object that does not move.
#[derive(Debug, Clone, PartialEq)]
pub struct Prop {
    /// Name of the prop's geom.
    pub name: String,
    /// Shape.
    pub form: Form,
    /// Centre (m).
    pub position: [f64; 3],
    /// Rotation about the vertical (rad).
    pub yaw: f64,
    /// Red, green, blue and opacity, 0 to 1.
    pub rgba: [f64; 4],
    /// Whether objects may lie on it; otherwise it is only visible.
    pub solid: bool,
}

/// Shape of a prop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// Half sizes (m).
    Box([f64; 3]),
    /// An upright cylinder: radius and half height (m).
    Cylinder([f64; 2]),
}

/// The lamp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Light {
    /// Position (m).
    pub position: [f64; 3],
    /// Brightness, 0 to 1.
    pub diffuse: f64,
}

/// Goal of the block.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// Centre of the region (m).
    pub centre: [f64; 2],
    /// Extent of the region about its centre.
    pub region: Region,
    /// Height at which the block's underside rests (m).
    pub surface: f64,
    /// Height of the highest obstacle around the region (m); the block is carried in over it.
    pub rim: f64,
    /// Rotation about the vertical of the walls around the region (rad), if it has any.
    pub walls: Option<f64>,
    /// Names of geoms the block may touch while it counts as supported.
    pub supports: Vec<String>,
}

/// Horizontal extent of a goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// The block's centre is within this radius (m).
    Disc(f64),
    /// The block's centre is within this distance (m) along both of the goal's axes.
    Square(f64),
}

impl Goal {
    /// Reports whether a point lies in the region.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        let [cx, cy] = self.centre;
        let (dx, dy) = (x - cx, y - cy);
        match self.region {
            Region::Disc(radius) => dx.hypot(dy) <= radius,
            Region::Square(half) => {
                let [along, across] = on_rotated_axes(self.walls.unwrap_or_default(), [dx, dy]);
                along.abs() <= half && across.abs() <= half
            }
        }
    }
}

/// Returns the coordinates of a horizontal offset (m) on axes that are rotated by `yaw` about the vertical (rad).
pub(in crate::sim) fn on_rotated_axes(yaw: f64, [dx, dy]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = yaw.sin_cos();
    [cos * dx + sin * dy, cos * dy - sin * dx]
}

/// Draws the initial scene of an episode.
///
/// # Errors
/// When the variation is not 0, 1 or 2.
pub fn layout(config: &SimConfig, id: EpisodeId) -> Result<TaskLayout, SimError> {
    let level = usize::from(id.variation);
    let draw = Draw::new(config, id);
    let drawn = match id.task {
        Task::Height => {
            let height = config.tasks.height.pedestal_heights_m.get(level);
            height.map(|height| height::layout(*height, draw))
        }
        Task::Container => {
            let chosen = config.tasks.container.boxes.get(level);
            chosen.map(|chosen| container::layout(chosen, draw))
        }
        Task::Position => (level < LEVELS).then(|| position::layout(&config.tasks.position, level, draw)),
    };
    drawn.ok_or(SimError::Variation(id.variation))
}

/// Draws values from the seed, in one fixed order.
pub(crate) struct Draw<'a> {
    block: &'a Block,
    rng: ChaCha8Rng,
    colour: Colour,
    light: Light,
}

impl<'a> Draw<'a> {
    fn new(config: &'a SimConfig, id: EpisodeId) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(id.seed);
        rng.set_stream(id.task as u64);
        let colours = &config.block.colours;
        let nth = rng.random_range(0..colours.len().max(1));
        let light = Light {
            position: [
                rng.random_range(0.2..0.8),
                rng.random_range(-0.7..0.7),
                rng.random_range(1.3..1.8),
            ],
            diffuse: rng.random_range(0.40..0.62),
        };
        Self {
            block: &config.block,
            colour: colours.get(nth).cloned().unwrap_or(Colour {
                name: "grey".to_owned(),
                rgb: [0.5; 3],
            }),
            light,
            rng,
        }
    }

    /// Draws a point in a rectangle (m).
    fn point(&mut self, x: std::ops::Range<f64>, y: std::ops::Range<f64>) -> [f64; 2] {
        [self.rng.random_range(x), self.rng.random_range(y)]
    }

    /// Draws the block with its underside at `surface` (m).
    fn object(&mut self, [x, y]: [f64; 2], surface: f64) -> Object {
        Object {
            // Slightly above, so that no objects intersect at the start.
            position: [x, y, surface + self.block.side_m / 2.0 + 0.0005],
            yaw: self
                .rng
                .random_range(-std::f64::consts::FRAC_PI_4..std::f64::consts::FRAC_PI_4),
            colour: self.colour.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(task: Task, variation: u8, seed: u64) -> EpisodeId {
        EpisodeId { task, variation, seed }
    }

    #[test]
    fn the_seed_decides_everything_but_the_level() {
        let config = SimConfig::shipped().unwrap();
        for task in Task::ALL {
            let draw = |variation, seed| layout(&config, id(task, variation, seed)).unwrap();
            assert_eq!(draw(1, 7), draw(1, 7));
            assert_ne!(draw(1, 7).object, draw(1, 8).object);
            let [low, high] = [draw(0, 7), draw(2, 7)];
            assert_eq!((low.object.yaw, low.light), (high.object.yaw, high.light));
            assert_ne!(
                (low.props, low.object.position, low.goal),
                (high.props, high.object.position, high.goal)
            );
        }
    }

    #[test]
    fn the_block_never_starts_in_the_goal() {
        let config = SimConfig::shipped().unwrap();
        for task in Task::ALL {
            for seed in 0..500 {
                for variation in 0..3 {
                    let layout = layout(&config, id(task, variation, seed)).unwrap();
                    let [x, y, _] = layout.object.position;
                    assert!(!layout.goal.contains(x, y), "{task} {variation} {seed}");
                }
            }
        }
    }

    #[test]
    fn a_fourth_level_is_refused() {
        let config = SimConfig::shipped().unwrap();
        for task in Task::ALL {
            let message = layout(&config, id(task, 3, 0)).unwrap_err().to_string();
            assert!(message.contains("expected 0, 1 or 2, found 3"), "{message}");
        }
    }

    #[test]
    fn an_unknown_task_is_refused_with_those_known() {
        let message = "stacking".parse::<Task>().unwrap_err().to_string();
        assert!(message.contains("height, container or position") && message.contains("stacking"));
    }
}
