//! Geometry targets without a teacher network: the exact surface points that the patches of a view show, by ray
//! casting.

use nalgebra::Vector3;

use super::camera::{HEIGHT, View, WIDTH};
use super::raycast::RayCaster;
use super::scene_sampler::quarter;
use crate::camera::points::{RAYS, SurfacePoint};

/// Returns the surface points at the centres of a view's cells; `None` for the sky. Transparent surfaces count.
///
/// Positions are in the frame to which the camera is fixed: of the top camera the base frame, of the wrist camera its
/// own (x to the right of the picture, y up, z backwards), because its picture alone does not show where the arm is.
///
/// # Shapes
/// (rows · columns) of a view that is cut into `grid`, row major
pub fn points(caster: &mut RayCaster, view: View, [rows, columns]: [usize; 2]) -> Vec<Option<SurfacePoint>> {
    let Some(camera) = caster.camera(view).cloned() else {
        return vec![None; rows * columns];
    };
    // A picture is stretched to its patches whatever its aspect ratio; pixel centres are at whole numbers.
    let in_view_frame = |place: Vector3<f64>, normal: Vector3<f64>| match view {
        View::Top => (place, normal),
        View::Wrist => (
            camera.axes.tr_mul(&(place - camera.position)),
            camera.axes.tr_mul(&normal),
        ),
    };
    // The wrist camera turns with the gripper.
    let turned = match view {
        View::Top => 0.0,
        View::Wrist => camera.axes.m21.atan2(camera.axes.m11),
    };
    let middle = |at: usize, of: usize, size: u32| (at as f64 + 0.5) / of as f64 * f64::from(size) - 0.5;
    let patches = (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column]));
    patches
        .map(|[row, column]| {
            let pixel = [middle(column, columns, WIDTH), middle(row, rows, HEIGHT)];
            let met = caster.along(&camera.position, &camera.direction(pixel))?;
            let towards = -met.normal.dot(&(met.point - camera.position)).signum();
            let (place, normal) = in_view_frame(met.point, met.normal * towards);
            Some(SurfacePoint {
                place,
                normal,
                class: met.class,
                heading: quarter(met.heading.map_or(0.0, |heading| heading - turned)),
            })
        })
        .collect()
}

/// Returns the stored values of the rays of all views in order; see [`crate::camera::points`].
///
/// # Shapes
/// → (views · [`RAYS`] · [`RAYS`], [`RAY_VALUES`](crate::camera::points::RAY_VALUES))
pub fn rays(caster: &mut RayCaster) -> Vec<f32> {
    let met = View::ALL.map(|view| points(caster, view, [RAYS, RAYS]));
    met.iter()
        .flatten()
        .flat_map(|met| SurfacePoint::values(met.as_ref()))
        .collect()
}
