//! Task: pick the block from a stand and place it on the plate on the table. The varied factor is the stand's height.

use rand::Rng as _;

use super::{Draw, Form, Goal, Prop, Region, TaskLayout};

const PEDESTAL_HALF: f64 = 0.055;
const PLATE_RADIUS: f64 = 0.060;
const PLATE_HEIGHT: f64 = 0.008;
/// Distance of the block's centre from the plate's centre within which it counts as on the plate (m).
const REACH: f64 = 0.045;

pub(super) fn layout(pedestal_height: f64, mut draw: Draw<'_>) -> TaskLayout {
    // The stand is drawn to the arm's left or right; the plate is on the other side.
    let side = if draw.rng.random_bool(0.5) { 1.0 } else { -1.0 };
    let [px, py] = draw.point(0.28..0.33, 0.07..0.15);
    let pedestal = [px, side * py];
    let [gx, gy] = draw.point(0.29..0.36, 0.08..0.17);
    let plate = [gx, -side * gy];
    let [dx, dy] = draw.point(-0.02..0.02, -0.02..0.02);
    let [x, y] = pedestal;
    let object = draw.object([x + dx, y + dy], pedestal_height);
    let colour = object.colour.name.clone();
    TaskLayout {
        object,
        props: vec![
            Prop {
                name: "pedestal".into(),
                form: Form::Box([PEDESTAL_HALF, PEDESTAL_HALF, pedestal_height / 2.0]),
                position: [x, y, pedestal_height / 2.0],
                yaw: 0.0,
                rgba: [0.48, 0.54, 0.62, 1.0],
                solid: true,
            },
            Prop {
                name: "plate".into(),
                form: Form::Cylinder([PLATE_RADIUS, PLATE_HEIGHT / 2.0]),
                position: [gx, -side * gy, PLATE_HEIGHT / 2.0],
                yaw: 0.0,
                rgba: [0.95, 0.93, 0.85, 1.0],
                solid: true,
            },
        ],
        light: draw.light,
        goal: Goal {
            centre: plate,
            region: Region::Disc(REACH),
            surface: PLATE_HEIGHT,
            rim: PLATE_HEIGHT,
            walls: None,
            supports: vec!["plate".into()],
        },
        instruction: format!("pick the {colour} block from the stand and place it on the plate"),
    }
}
