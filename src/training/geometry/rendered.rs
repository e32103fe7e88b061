//! Writes the geometry targets of rendered rows into the cache that training reads.

use std::path::Path;
use std::sync::Arc;

use tch::Tensor;

use crate::camera::points::RAY_VALUES;
use crate::camera::rgb::RgbImage;
use crate::dataset::frame::Picture;
use crate::sim::collect::{RowCallback, RowCallbackError};
use crate::sim::geometry;
use crate::sim::raycast::RayCaster;
use crate::sim::world::Snapshot;
use crate::training::error::RunError;
use crate::training::geometry::rays::{RaySource, scene};
use crate::training::geometry::store::GeometryTargets;

/// Creates a callback that writes the surface points of each row's rays into the directory `cache`. The file name
/// follows from the pictures as decoded from the row, so they may be JPEG.
///
/// # Errors
/// When the directory cannot be made.
pub fn writer(cache: &Path) -> Result<Arc<RowCallback>, RunError> {
    let targets = GeometryTargets::open(cache, Box::new(RaySource))?;
    Ok(Arc::new(move |seen: &Snapshot, pictures: &[Picture]| {
        put(&targets, seen, pictures)
    }))
}

fn put(targets: &GeometryTargets, seen: &Snapshot, pictures: &[Picture]) -> Result<(), RowCallbackError> {
    let mut views = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let mut view = RgbImage::default();
        picture.decode(&mut view)?;
        views.push(view);
    }
    let mut caster = RayCaster::new(seen)?;
    let values =
        Tensor::f_from_slice(&geometry::rays(&mut caster)).and_then(|all| all.f_reshape([-1, RAY_VALUES as i64]));
    targets.put(&scene(&views), &values?)?;
    Ok(())
}
