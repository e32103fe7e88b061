//! Questions about a scene, with step-by-step answers.

use std::fmt;

use nalgebra::Vector3;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::sim::scene_sampler::SceneObject;

/// Beginning of every question, which defines the frame of its answer.
pub const FRAME: &str = "In the robot's base frame, x points forward from the arm's base, y to the arm's left and z up; \
                         lengths are in metres and places are those of the middles of things.";

/// Smallest difference that is asked about (m).
const CLEAR_M: f64 = 0.03;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SceneQuestion {
    /// Category.
    pub category: Category,
    /// The question, including the definition of the frame.
    pub question: String,
    /// The answer, step by step.
    pub answer: String,
}

/// Category of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Position of an object.
    Location,
    /// Distance between two objects.
    Distance,
    /// Whether one object is left or right of another.
    LeftOrRight,
    /// Whether one object is in front of another or behind it.
    FrontOrBehind,
    /// Whether one object is above another or below it.
    AboveOrBelow,
    /// Which of two objects is nearer to a third.
    Closer,
    /// Rotation of an object about the vertical.
    Turn,
    /// Tilt of the gripper from straight down.
    Tilt,
}

impl Category {
    /// Returns the name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::Distance => "distance",
            Self::LeftOrRight => "left_or_right",
            Self::FrontOrBehind => "front_or_behind",
            Self::AboveOrBelow => "above_or_below",
            Self::Closer => "closer",
            Self::Turn => "turn",
            Self::Tilt => "tilt",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Draws up to `count` different questions about things: a category first, then one of its questions.
pub fn draw(things: &[SceneObject], count: usize, random: &mut ChaCha8Rng) -> Vec<SceneQuestion> {
    let mut left: Vec<Vec<SceneQuestion>> = all(things).into_iter().filter(|of| !of.is_empty()).collect();
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count && !left.is_empty() {
        let category = random.random_range(0..left.len());
        let Some(questions) = left.get_mut(category) else { break };
        drawn.push(questions.swap_remove(random.random_range(0..questions.len())));
        if questions.is_empty() {
            left.swap_remove(category);
        }
    }
    drawn
}

/// Returns all possible questions by category.
pub fn all(things: &[SceneObject]) -> [Vec<SceneQuestion>; 8] {
    let pairs = || {
        things
            .iter()
            .flat_map(|a| things.iter().filter(move |b| a.name != b.name).map(move |b| [a, b]))
    };
    let sides = |side: &'static Side| pairs().filter_map(move |[a, b]| side.question(a, b)).collect();
    let triples = pairs().flat_map(|[a, b]| things.iter().map(move |to| [a, b, to]));
    [
        things.iter().map(location).collect(),
        pairs()
            .filter(|[a, b]| a.name < b.name)
            .map(|[a, b]| distance(a, b))
            .collect(),
        sides(&LEFT),
        sides(&FRONT),
        sides(&ABOVE),
        triples.filter_map(|[a, b, to]| closer(a, b, to)).collect(),
        things
            .iter()
            .filter_map(|thing| Some(turn(thing, thing.turn?)))
            .collect(),
        things.iter().filter_map(|thing| Some(tilt(thing.points?))).collect(),
    ]
}

fn question(category: Category, question: &str, answer: String) -> SceneQuestion {
    SceneQuestion {
        category,
        question: format!("{FRAME} {question}"),
        answer,
    }
}

fn location(of: &SceneObject) -> SceneQuestion {
    let asked = format!("Where is {}? Answer with (x, y, z).", of.name);
    question(Category::Location, &asked, located(of))
}

/// Returns the step that every answer begins with.
fn located(of: &SceneObject) -> String {
    format!("The 3D location of {} is {}.", of.name, vector(&of.place))
}

/// Returns the positions of two things and the vector between them.
fn between(from: &SceneObject, to: &SceneObject) -> String {
    let along = to.place - from.place;
    format!(
        "{} {} The vector from {} to {} is {}.",
        located(from),
        located(to),
        from.name,
        to.name,
        vector(&along)
    )
}

fn distance(a: &SceneObject, b: &SceneObject) -> SceneQuestion {
    let answer = format!(
        "{} Its length is the distance between them: {} m.",
        between(a, b),
        centimetres((b.place - a.place).norm())
    );
    let asked = format!("How far is {} from {}?", a.name, b.name);
    question(Category::Distance, &asked, answer)
}

/// Words for the two directions of an axis.
struct Side {
    category: Category,
    axis: usize,
    axis_name: &'static str,
    more: &'static str,
    less: &'static str,
    /// Both words, as in a question.
    either: &'static str,
    definition: &'static str,
}

const LEFT: Side = Side {
    category: Category::LeftOrRight,
    axis: 1,
    axis_name: "y",
    more: "left of",
    less: "right of",
    either: "left or right of",
    definition: "Left of a thing is where y is larger.",
};

const FRONT: Side = Side {
    category: Category::FrontOrBehind,
    axis: 0,
    axis_name: "x",
    more: "in front of",
    less: "behind",
    either: "in front of or behind",
    definition: "Behind a thing is where x is smaller, nearer to the arm's base.",
};

const ABOVE: Side = Side {
    category: Category::AboveOrBelow,
    axis: 2,
    axis_name: "z",
    more: "above",
    less: "below",
    either: "above or below",
    definition: "Above a thing is where z is larger, whatever x and y are.",
};

impl Side {
    fn question(&self, of: &SceneObject, to: &SceneObject) -> Option<SceneQuestion> {
        let along = (of.place - to.place).iter().nth(self.axis).copied()?;
        if along.abs() < CLEAR_M {
            return None;
        }
        let (sign, word) = if along > 0.0 {
            ("positive", self.more)
        } else {
            ("negative", self.less)
        };
        let (name, other) = (&of.name, &to.name);
        let answer = format!(
            "{} Its {} is {}, which is {sign}, so {name} is {word} {other}.",
            between(to, of),
            self.axis_name,
            millimetres(along)
        );
        let asked = format!("{} Is {name} {} {other}?", self.definition, self.either);
        Some(question(self.category, &asked, answer))
    }
}

fn closer(a: &SceneObject, b: &SceneObject, to: &SceneObject) -> Option<SceneQuestion> {
    if to.name == a.name || to.name == b.name {
        return None;
    }
    let [first, second] = [a, b].map(|one| (one.place - to.place).norm());
    if (first - second).abs() < CLEAR_M {
        return None;
    }
    let nearer = if first < second { a } else { b };
    let answer = format!(
        "{} {} {} The distance from {to} to {a} is {} m and to {b} it is {} m, so {nearer} is closer to {to}.",
        located(to),
        located(a),
        located(b),
        centimetres(first),
        centimetres(second),
        to = to.name,
        a = a.name,
        b = b.name,
        nearer = nearer.name,
    );
    let asked = format!("Which is closer to {}, {} or {}?", to.name, a.name, b.name);
    Some(question(Category::Closer, &asked, answer))
}

fn turn(of: &SceneObject, turn: f64) -> SceneQuestion {
    let name = &of.name;
    let asked = format!(
        "By how many degrees are the edges of {name} turned from x and y, counter-clockwise as seen from above? Its form \
         repeats every 90 degrees: answer from -45 to 45."
    );
    let answer = format!(
        "An edge of {name} points along ({}, {}) in x and y. The angle from x is {} degrees, so {name} is turned by {} \
         degrees.",
        millimetres(turn.cos()),
        millimetres(turn.sin()),
        degrees(turn),
        degrees(turn)
    );
    question(Category::Turn, &asked, answer)
}

fn tilt(points: Vector3<f64>) -> SceneQuestion {
    let angle = points.angle(&-Vector3::z());
    let answer = format!(
        "The gripper points along {}. Straight down is (0.000, 0.000, -1.000). The cosine similarity between them is {}, so \
         the angle between them is {} degrees.",
        vector(&points),
        millimetres(angle.cos()),
        degrees(angle)
    );
    let asked = "By how many degrees is the gripper tilted from pointing straight down?";
    question(Category::Tilt, asked, answer)
}

fn vector(of: &Vector3<f64>) -> String {
    format!("({}, {}, {})", millimetres(of.x), millimetres(of.y), millimetres(of.z))
}

fn millimetres(value: f64) -> String {
    rounded(value, 3)
}

fn centimetres(value: f64) -> String {
    rounded(value, 2)
}

fn degrees(value: f64) -> String {
    rounded(value.to_degrees(), 0)
}

/// Formats a number; zero has no minus sign.
fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) {
        true => text.trim_start_matches('-').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests;
