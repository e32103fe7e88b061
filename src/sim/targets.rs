//! Geometry targets of rendered rows, put where training looks for them.

use std::path::Path;
use std::sync::Arc;

use tch::Tensor;

use super::camera::{HEIGHT, WIDTH};
use super::collect::Beside;
use super::geometry;
use super::look::Look;
use super::world::Snapshot;
use crate::camera::patches::Grid;
use crate::camera::points::LEAST_CHANNELS;
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::dataset::frame::Picture;
use crate::model::checkpoint::{Manifest, Options};
use crate::training::geometry::source::{Points, Scene};
use crate::training::geometry::store::GeometryTargets;
use crate::training::run_error::RunError;

/// Writes the target of each row into the directory `cache`, for the patches and the geometry latents of a checkpoint.
/// Its name follows from the pictures as they are read from the row, so they may be JPEG.
///
/// # Errors
/// When the checkpoint cannot be read or has no geometry that points fill, or the directory cannot be made.
pub fn writer(cache: &Path, checkpoint: &Path) -> Result<Arc<Beside>, RunError> {
    let manifest = Manifest::read(checkpoint, &Options::default())?;
    let config = manifest.config()?;
    let refuse = |message: String| RunError::Config {
        path: checkpoint.to_owned(),
        message,
    };
    let width = config.thinkvla.geometry.as_ref().map(|of| of.width);
    let channels = width.and_then(|width| usize::try_from(width).ok());
    let channels = channels.filter(|channels| *channels >= LEAST_CHANNELS).ok_or_else(|| {
        refuse(format!(
            "expected a checkpoint with a thinkvla.geometry.width of {LEAST_CHANNELS} or more, found {width:?}"
        ))
    })?;
    let mut preprocessor =
        Preprocessor::new(manifest.contract()?.data.resize, config.patch_rule()).map_err(|e| refuse(e.to_string()))?;
    preprocessor
        .push_rgb(&RgbImage::new(WIDTH, HEIGHT))
        .map_err(|e| refuse(e.to_string()))?;
    let grid = *preprocessor
        .input()
        .grids
        .first()
        .ok_or_else(|| refuse("expected patches, found none".into()))?;
    let targets = GeometryTargets::open(cache, Box::new(Points::new(channels)))?;
    Ok(Arc::new(move |seen: &Snapshot, pictures: &[Picture]| {
        put(&targets, (grid, channels), seen, pictures)
    }))
}

fn put(
    targets: &GeometryTargets,
    (grid, channels): (Grid, usize),
    seen: &Snapshot,
    pictures: &[Picture],
) -> Result<(), String> {
    let mut views = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let mut view = RgbImage::default();
        picture.decode(&mut view)?;
        views.push(view);
    }
    let mut look = Look::new(seen).map_err(|e| e.to_string())?;
    let values = geometry::targets(&mut look, [grid.h as usize, grid.w as usize], channels);
    let scene = Scene::new(&views, &vec![grid; views.len()]).map_err(|e| e.to_string())?;
    let target = Tensor::f_from_slice(&values).and_then(|all| all.f_reshape([-1, channels as i64]));
    let target = target.map_err(|e| e.to_string())?;
    targets.put(&scene, &target).map_err(|e| e.to_string())
}
