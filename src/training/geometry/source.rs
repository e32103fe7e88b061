//! Sources of geometry targets.

use std::fmt::Debug;
use std::path::Path;

use tch::{Kind, Tensor};

use crate::camera::patches::Grid;
use crate::camera::rgb::RgbImage;
use crate::model::checkpoint::Placement;
use crate::model::config::Precision;
use crate::model::error::ModelError;
use crate::model::vggt;
use crate::model::vggt::target::{TargetRule, Teacher};

/// Views of one sample.
#[derive(Debug, Clone, Copy)]
pub struct SampleViews<'a> {
    /// Views as they were recorded, neither resized nor augmented, in order.
    pub views: &'a [RgbImage],
    /// Rows and columns of the patches that the policy cuts each view into.
    pub grid: [i64; 2],
}

impl<'a> SampleViews<'a> {
    /// Creates a scene of views and the patches that each is cut into.
    ///
    /// # Errors
    /// When there is no view, or they are cut into different numbers of patches.
    pub fn new(views: &'a [RgbImage], grids: &[Grid]) -> Result<Self, ModelError> {
        match grids {
            [first, others @ ..] if grids.len() == views.len() && others.iter().all(|grid| grid == first) => Ok(Self {
                views,
                grid: [first.h, first.w].map(i64::from),
            }),
            _ => Err(ModelError::Observation {
                expected: "for the geometry teacher, views of equally many patches, at least one".into(),
                found: format!("{} views of {grids:?}", views.len()),
            }),
        }
    }
}

/// Computes geometry targets: latents of the geometry of a scene, one for each patch.
pub trait TargetSource: Debug + Send {
    /// Describes what the targets depend on besides the scene. Sources of the same identity compute the same targets.
    fn identity(&self) -> &str;

    /// Returns the number of channels of a latent.
    fn width(&self) -> i64;

    /// Returns the 16-bit type in which targets are stored.
    fn kind(&self) -> Kind {
        Kind::BFloat16
    }

    /// Computes the target of a scene.
    ///
    /// # Shapes
    /// V views of h x w patches → (V·h·w, width), patches row by row of each view in turn; any floating-point type, any
    /// device
    ///
    /// # Errors
    /// When the target cannot be computed.
    fn target(&self, scene: &SampleViews) -> Result<Tensor, ModelError>;
}

/// VGGT, as in Spatial-Forcing.
#[derive(Debug)]
pub struct Vggt {
    teacher: Teacher,
    identity: String,
}

impl Vggt {
    /// Reads the weights; see [`vggt::load`].
    ///
    /// # Errors
    /// When they cannot be read or do not fit the rule.
    pub fn load(file: &Path, placement: Placement, rule: TargetRule) -> Result<Self, ModelError> {
        let compute = placement.compute.unwrap_or(Precision::Float32);
        let aggregator = vggt::load(file, placement)?;
        let identity = format!(
            "vggt {}, {compute:?}, {} px, align_corners {}, uv_embedding {}",
            vggt::hash(file)?,
            rule.resolution.side(),
            rule.align_corners,
            rule.uv_embedding
        );
        Ok(Self {
            teacher: Teacher::new(aggregator, rule)?,
            identity,
        })
    }
}

impl TargetSource for Vggt {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn width(&self) -> i64 {
        self.teacher.width()
    }

    fn target(&self, scene: &SampleViews) -> Result<Tensor, ModelError> {
        Ok(self.teacher.target(&[scene.views], scene.grid)?.f_flatten(0, 1)?)
    }
}
