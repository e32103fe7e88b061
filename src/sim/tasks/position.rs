//! Task: place the block at a named mark. All three marks are visible; the varied factor is which one is named.

use super::{Draw, Form, Goal, Prop, Region, TaskLayout};
use crate::sim::config::PositionLevels;

const MARK_HALF: f64 = 0.055;
/// Distance of the block's centre from the mark's centre along both axes within which it counts as at the mark (m).
const REACH: f64 = 0.040;
/// All marks have the same colours: they differ by position only.
const RIM_RGBA: [f64; 4] = [0.98, 0.98, 0.96, 1.0];
const INSIDE_RGBA: [f64; 4] = [0.35, 0.38, 0.42, 1.0];

pub(super) fn layout(levels: &PositionLevels, level: usize, mut draw: Draw<'_>) -> TaskLayout {
    let at = draw.point(0.25..0.31, -0.09..0.09);
    let object = draw.object(at, 0.0);
    let colour = object.colour.name.clone();
    let named = levels.marks.get(level);
    let (name, centre) = named.map_or(("", [0.0; 2]), |m| (m.name.as_str(), [m.x_m, m.y_m]));
    let props = levels.marks.iter().flat_map(|mark| {
        // Flat on the table and only visible: a rim and its inside.
        [
            (MARK_HALF, 0.0003, RIM_RGBA, "rim"),
            (MARK_HALF - 0.008, 0.0006, INSIDE_RGBA, "inside"),
        ]
        .map(|(half, thickness, rgba, part)| Prop {
            name: format!("mark_{}_{part}", mark.name),
            form: Form::Box([half, half, thickness]),
            position: [mark.x_m, mark.y_m, thickness],
            yaw: 0.0,
            rgba,
            solid: false,
        })
    });
    TaskLayout {
        object,
        props: props.collect(),
        light: draw.light,
        goal: Goal {
            centre,
            region: Region::Square(REACH),
            surface: 0.0,
            rim: 0.0,
            walls: None,
            supports: vec!["table".into()],
        },
        instruction: format!("place the {colour} block on the {name} mark"),
    }
}
