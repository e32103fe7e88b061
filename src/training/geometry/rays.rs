//! Geometry targets of a simulator: what the rays of each view hit is stored with the images, and converted to features
//! during training.

use tch::{Kind, Tensor};

use super::GeometryTarget;
use super::source::{SampleViews, TargetSource};
use super::store::GeometryTargets;
use crate::camera::patches::Grid;
use crate::camera::points::{RAY_VALUES, RAYS, RayFeatures, SurfaceClass, SurfacePoint};
use crate::camera::rgb::RgbImage;
use crate::model::error::ModelError;
use crate::training::config::settings::ClassWeights;
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

    /// Returns the targets of a sample's patches.
    ///
    /// # Errors
    /// When nothing is stored for these images, or the file system refuses.
    pub fn get(&self, views: &[RgbImage], grids: &[Grid]) -> Result<GeometryTarget, RunError> {
        let kept = self.store.get(&scene(views))?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut values = vec![0.0; kept.numel()];
        let count = values.len();
        kept.f_copy_data(&mut values, count)?;
        let (of_view, _) = values.as_chunks::<RAY_VALUES>();
        let (mut features, mut weights) = (Vec::new(), Vec::new());
        for (rays, grid) in of_view.chunks(RAYS * RAYS).zip(grids) {
            let met: Vec<_> = rays.iter().map(|ray| SurfacePoint::of_values(*ray)).collect();
            let size = [grid.h, grid.w].map(|side| side as usize);
            for (row, column) in (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| (row, column))) {
                let of_patch = self.features.rays_of(size, [row, column]);
                let of_patch: Vec<_> = of_patch.map(|ray| met.get(ray).copied().flatten()).collect();
                features.extend(self.features.of(&of_patch));
                weights.push(self.weight(&of_patch));
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
