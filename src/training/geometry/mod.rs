//! Geometry targets: what a frozen teacher sees in the views of a sample, seen once and kept on disk.
//!
//! ```text
//! views, grid ─► on disk? ─► read and checked ───────────────► target
//!                   └─► source (VGGT) ─► 16 bits ─► written ─►
//! simulator ─► points of the same views ─► 16 bits ─► written
//! ```
//!
//! * [`source`]: who can make targets
//! * [`store`]: the targets that were made

pub mod source;
pub mod store;

use std::path::Path;

use crate::camera::points::LEAST_CHANNELS;
use crate::model::checkpoint::Placement;

use super::run_error::RunError;
use super::settings::GeometrySettings;
use source::{Points, TargetSource as _, Vggt};
use store::GeometryTargets;

/// The teacher that the settings name, with the targets it has made, for latents of `width` channels; `file` is the
/// configuration, for messages.
///
/// # Errors
/// When the settings name no teacher or two, it cannot be read, or its features are of another width.
pub fn open(
    settings: &GeometrySettings,
    width: i64,
    placement: Placement,
    file: &Path,
) -> Result<GeometryTargets, RunError> {
    let refuse = |message: String| RunError::Config {
        path: file.to_owned(),
        message,
    };
    if settings.points {
        return match (&settings.vggt, usize::try_from(width)) {
            (Some(_), _) => Err(refuse(
                "geometry: expected points or vggt, found both; leave one of them out".into(),
            )),
            (None, Ok(channels)) if channels >= LEAST_CHANNELS => {
                GeometryTargets::open(&settings.cache, Box::new(Points::new(channels)))
            }
            _ => Err(refuse(format!(
                "geometry.points: expected a checkpoint with a thinkvla.geometry.width of {LEAST_CHANNELS} or more, found \
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
    GeometryTargets::open(&settings.cache, Box::new(vggt))
}
