//! Geometry targets of a simulator: what the rays of each view hit is stored with the images, and converted to features
//! during training.

use tch::{Kind, Tensor};

use super::GeometryTarget;
use super::resample::{centres, shown};
use super::source::{SampleViews, TargetSource};
use super::store::GeometryTargets;
use crate::camera::patches::Grid;
use crate::camera::points::{RAY_VALUES, RAYS, RayFeatures, SurfaceClass, SurfacePoint};
use crate::camera::rgb::RgbImage;
use crate::model::error::ModelError;
use crate::training::config::settings::ClassWeights;
use crate::training::data::crop_window::CropWindow;
use crate::training::error::RunError;

/// Source of rays that were stored when the images were taken. They cannot be computed from images.
#[derive(Debug)]
pub struct RaySource;

/// Returns the scene under which the rays of these views are stored.
pub fn scene(views: &[RgbImage]) -> SampleViews<'_> {
    SampleViews {
        views,
        grid: [RAYS as i64; 2],
    }
}

impl TargetSource for RaySource {
    fn identity(&self) -> &str {
        "simulator rays 2"
    }

    fn width(&self) -> i64 {
        RAY_VALUES as i64
    }

    fn kind(&self) -> Kind {
        Kind::Half
    }

    fn target(&self, scene: &SampleViews) -> Result<Tensor, ModelError> {
        Err(ModelError::Observation {
            expected: format!(
                "what the rays of these {} views meet in geometry.cache",
                scene.views.len()
            ),
            found: "none; write it with the pictures: `thinkvla frames` and `thinkvla collect` do with --geometry"
                .into(),
        })
    }
}

/// Features of stored rays.
#[derive(Debug)]
pub struct RayTargets {
    store: GeometryTargets,
    features: RayFeatures,
    weights: ClassWeights,
}

impl RayTargets {
    /// Creates targets from a store of [`RaySource`].
    pub fn new(store: GeometryTargets, features: RayFeatures, weights: ClassWeights) -> Self {
        Self {
            store,
            features,
            weights,
        }
    }

    /// Returns the targets of a sample's patches; see [`GeometryTeacher::get`](super::GeometryTeacher::get). A patch of a
    /// window has the rays of the view that are nearest to its own.
    ///
    /// # Errors
    /// When nothing is stored for these images, or the file system refuses.
    pub fn get(&self, views: &[RgbImage], grids: &[Grid], windows: &[CropWindow]) -> Result<GeometryTarget, RunError> {
        let kept = self.store.get(&scene(views))?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut values = vec![0.0; kept.numel()];
        let count = values.len();
        kept.f_copy_data(&mut values, count)?;
        let (of_view, _) = values.as_chunks::<RAY_VALUES>();
        let (mut features, mut weights) = (Vec::new(), Vec::new());
        let windows = windows.iter().copied().chain(std::iter::repeat(CropWindow::WHOLE));
        for ((rays, grid), window) in of_view.chunks(RAYS * RAYS).zip(grids).zip(windows) {
            let met: Vec<_> = rays.iter().map(|ray| SurfacePoint::of_values(*ray)).collect();
            let size = [grid.h, grid.w].map(|side| side as usize);
            let patches = (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| [row, column]));
            for (patch, centre) in patches.zip(centres(*grid)) {
                let of_patch = self.features.rays_of(size, patch);
                let of_patch: Vec<_> = of_patch
                    .map(|ray| met.get(ray_shown(&window, ray)).copied().flatten())
                    .collect();
                features.extend(self.features.of(&of_patch));
                weights.push(self.weight(&of_patch) * shown(&window, centre));
            }
        }
        Ok(GeometryTarget {
            features: Tensor::f_from_slice(&features)?.f_reshape([-1, self.features.channels as i64])?,
            weights: Some(Tensor::f_from_slice(&weights)?),
        })
    }

    fn weight(&self, rays: &[Option<SurfacePoint>]) -> f32 {
        let shows = |class| rays.iter().flatten().any(|point| point.class == class);
        let extra = |class, weight: f64| if shows(class) { weight } else { 0.0 };
        (1.0 + extra(SurfaceClass::Object, self.weights.object) + extra(SurfaceClass::Prop, self.weights.prop)) as f32
    }
}

/// Returns the index of the view's ray that is nearest to a ray of a window; both are row by row.
fn ray_shown(window: &CropWindow, ray: usize) -> usize {
    let middle = |at: usize| (at as f64 + 0.5) / RAYS as f64;
    let place = window.in_picture([middle(ray % RAYS), middle(ray / RAYS)]);
    let [column, row] = place.map(|at| ((at * RAYS as f64).max(0.0) as usize).min(RAYS - 1));
    row * RAYS + column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rays_of_a_whole_picture_are_its_own() {
        assert!((0..RAYS * RAYS).all(|ray| ray_shown(&CropWindow::WHOLE, ray) == ray));
    }

    #[test]
    fn a_shift_by_patches_moves_rays_by_patches() {
        // Patches of 4 x 4 rays; the window shows what lies one patch to the right and two below.
        let shifted = CropWindow {
            origin: [0.125, 0.25],
            side: 1.0,
        };
        let features = RayFeatures {
            channels: 160,
            classes: true,
        };
        let moved: Vec<usize> = features
            .rays_of([8, 8], [2, 3])
            .map(|ray| ray_shown(&shifted, ray))
            .collect();
        assert_eq!(moved, features.rays_of([8, 8], [4, 4]).collect::<Vec<_>>());
        // Beyond the edge, its last rays.
        assert_eq!(ray_shown(&shifted, RAYS * RAYS - 1), RAYS * RAYS - 1);
    }
}
