//! Task: place the block into a transparent box. The varied factor is the box: size, depth and opacity.

use rand::Rng as _;

use super::{Draw, Form, Goal, Prop, Region, TaskLayout};
use crate::sim::config::TransparentBox;

const WALL: f64 = 0.002;
const FLOOR: f64 = 0.004;

pub(super) fn layout(chosen: &TransparentBox, mut draw: Draw<'_>) -> TaskLayout {
    let side = if draw.rng.random_bool(0.5) { 1.0 } else { -1.0 };
    let [bx, by] = draw.point(0.30..0.35, 0.11..0.16);
    let centre = [bx, side * by];
    let yaw = draw.rng.random_range(-0.35..0.35);
    let [x, y] = draw.point(0.28..0.37, 0.05..0.15);
    let object = draw.object([x, -side * y], 0.0);
    let colour = object.colour.name.clone();
    let half_block = draw.block.side_m / 2.0;
    TaskLayout {
        object,
        props: walls(chosen, centre, yaw),
        light: draw.light,
        goal: Goal {
            centre,
            // Fully inside: the centre keeps half a block from every wall, minus a tolerance for contacts.
            region: Region::Square(chosen.inner_half_m - half_block + 0.002),
            surface: FLOOR,
            rim: chosen.wall_m,
            walls: Some(yaw),
            supports: PARTS.iter().map(|part| (*part).to_owned()).collect(),
        },
        instruction: format!("put the {colour} block into the transparent box"),
    }
}

const PARTS: [&str; 5] = ["box_floor", "box_front", "box_back", "box_left", "box_right"];

fn walls(chosen: &TransparentBox, [cx, cy]: [f64; 2], yaw: f64) -> Vec<Prop> {
    let inner = chosen.inner_half_m;
    let outer = inner + 2.0 * WALL;
    let middle = inner + WALL;
    let half_height = chosen.wall_m / 2.0;
    let forms = [
        ([outer, outer, FLOOR / 2.0], [0.0, 0.0, FLOOR / 2.0]),
        ([WALL, outer, half_height], [middle, 0.0, half_height]),
        ([WALL, outer, half_height], [-middle, 0.0, half_height]),
        ([inner, WALL, half_height], [0.0, middle, half_height]),
        ([inner, WALL, half_height], [0.0, -middle, half_height]),
    ];
    let (sin, cos) = yaw.sin_cos();
    let parts = PARTS.iter().zip(forms);
    parts
        .map(|(name, (half, [x, y, z]))| Prop {
            name: (*name).to_owned(),
            form: Form::Box(half),
            position: [cx + cos * x - sin * y, cy + sin * x + cos * y, z],
            yaw,
            rgba: [0.70, 0.87, 0.96, chosen.opacity],
            solid: true,
        })
        .collect()
}
