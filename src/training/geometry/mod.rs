//! Geometry targets on disk: features of a frozen teacher for the views of a sample, or what the simulator knows of
//! them.
//!
//! ```text
//! views, grid ─► on disk? ─► read and checked ───────────────► features
//!                   └─► source (VGGT) ─► 16 bits ─► written ─►
//! simulator ─► rays of the same views ─► 16 bits ─► written; read ─► features, weights
//! ```
//!
//! * [`source`]: sources of targets
//! * [`rays`]: ground truth of the simulator, and its features
//! * [`resample`]: targets of pictures that are shifted or cropped
//! * `rendered` (feature `sim`): targets of rendered rows
//! * [`store`]: targets on disk

pub mod rays;
#[cfg(feature = "sim")]
pub mod rendered;
pub mod resample;
pub mod source;
pub mod store;

use std::path::Path;

use tch::Tensor;

use crate::camera::patches::Grid;
use crate::camera::points::{MIN_CHANNELS, RayFeatures};
use crate::camera::rgb::RgbImage;
use crate::model::checkpoint::Placement;

use super::config::settings::GeometrySettings;
use super::data::crop_window::CropWindow;
use super::error::RunError;
use rays::{RaySource, RayTargets};
use source::{SampleViews, TargetSource as _, Vggt};
use store::GeometryTargets;

/// Teacher that geometry latents are aligned with.
#[derive(Debug)]
pub enum GeometryTeacher {
    /// Features of VGGT.
    Vggt(GeometryTargets),
    /// Ground truth of the simulator.
    Rays(RayTargets),
}

/// Targets of one sample.
#[derive(Debug)]
pub struct GeometryTarget {
    /// Features, (V·h·w, width), row by row and view after view; any floating-point type, on the CPU.
    pub features: Tensor,
    /// Weights of the patches, (V·h·w), in 32 bits; `None` if all are equal.
    pub weights: Option<Tensor>,
}

impl GeometryTeacher {
    /// Returns the targets of a sample. `views` are as recorded; `windows` of them are fed, or they whole if it is
    /// empty. The teacher sees whole views, whose targets are resampled at the patches of the windows; those whose centre
    /// lies beside the view have a weight of 0.
    ///
    /// # Errors
    /// When the teacher fails, nothing is stored for the views, or the file system refuses.
    pub fn get(&self, views: &[RgbImage], grids: &[Grid], windows: &[CropWindow]) -> Result<GeometryTarget, RunError> {
        match self {
            Self::Vggt(targets) => {
                let features = targets.get(&SampleViews::new(views, grids)?)?;
                if windows.is_empty() {
                    let weights = None;
                    return Ok(GeometryTarget { features, weights });
                }
                Ok(resample::resampled(&features, grids, windows)?)
            }
            Self::Rays(targets) => targets.get(views, grids, windows),
        }
    }

    /// Returns how many targets had to be computed.
    pub fn made(&self) -> u64 {
        match self {
            Self::Vggt(targets) => targets.made(),
            Self::Rays(_) => 0,
        }
    }
}

/// Opens the teacher that the settings name, with its stored targets, for latents of `width` channels; `file` is the
/// configuration, for messages.
///
/// # Errors
/// When the settings name no teacher or two, it cannot be read, or its features are of another width.
pub fn open(
    settings: &GeometrySettings,
    width: i64,
    placement: Placement,
    file: &Path,
) -> Result<GeometryTeacher, RunError> {
    let refuse = |message: String| RunError::config(file, message);
    if settings.points {
        return match (&settings.vggt, usize::try_from(width)) {
            (Some(_), _) => Err(refuse(
                "geometry: expected points or vggt, found both; leave one of them out".into(),
            )),
            (None, Ok(channels)) if channels >= MIN_CHANNELS => {
                let store = GeometryTargets::open(&settings.cache, Box::new(RaySource))?;
                let features = RayFeatures {
                    channels,
                    classes: settings.classes,
                };
                Ok(GeometryTeacher::Rays(RayTargets::new(
                    store,
                    features,
                    settings.class_weights,
                )))
            }
            _ => Err(refuse(format!(
                "geometry.points: expected a checkpoint with a thinkvla.geometry.width of {MIN_CHANNELS} or more, found \
                 {width}"
            ))),
        };
    }
    let Some(weights) = &settings.vggt else {
        return Err(refuse(
            "geometry.vggt: expected the file of VGGT's weights, since method.geometry_weight is not 0, found none; name \
             it, set geometry.points for targets of the simulator, or set the weight to 0"
                .into(),
        ));
    };
    let placement = Placement {
        compute: Some(settings.compute),
        ..placement
    };
    let vggt = Vggt::load(weights, placement, settings.rule)?;
    if vggt.width() != width {
        return Err(refuse(format!(
            "geometry.vggt: expected features of {width} channels, as the checkpoint's thinkvla.geometry.width says, \
             found {} in {}",
            vggt.width(),
            weights.display()
        )));
    }
    GeometryTargets::open(&settings.cache, Box::new(vggt)).map(GeometryTeacher::Vggt)
}
