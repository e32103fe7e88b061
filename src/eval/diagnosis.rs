//! Diagnosis of a policy: separates errors of perception, of the choice of an object, and of action.
//!
//! ```text
//! pictures ─► tower ─► does it find the block?        seeing
//!                 └─► "point at the red block" ─►     choosing
//!                 └─► a task ─► the expert's chunk?   acting, and acting after a mishap
//! ```
//!
//! Each is measured on frames that no training has seen ([`crate::sim::frames`]), and again with the pictures of
//! another frame: a policy that uses its images is much worse then. What remains shows only in closed loop, with
//! `thinkvla eval`.

use std::fmt;
use std::path::Path;

use nalgebra::Vector3;
use serde::Serialize;
use tch::{Kind, TchError, Tensor};

use crate::camera::patches::{Grid, merge_block_from_raster};
use crate::camera::points::{RAY_VALUES, RAYS, RayFeatures, SurfaceClass, SurfacePoint};
use crate::contract::{ContractError, Robot};
use crate::dataset::DatasetError;
use crate::dataset::frame::ImageMode;
use crate::model::error::ModelError;
use crate::model::policy::{Policy, PolicyOptions};
use crate::sim::camera::{CameraRenderer, View};
use crate::sim::collect::CollectError;
use crate::sim::config::{SimConfig, SimConfigError};
use crate::sim::error::SimError;
use crate::sim::frames::{FrameOrder, Kind as FrameKind, Mix, create_dataset, place, write};
use crate::sim::geometry::rays;
use crate::sim::raycast::RayCaster;
use crate::training::error::RunError;

use super::open_loop::{self, ChunkErrors, ComparedRows, OpenLoop};
use super::viewer::{ViewError, Viewer, ViewerInput};

/// JPEG quality of the pictures, the same as the default of `thinkvla frames`.
const JPEG: u8 = 92;

/// Options of a diagnosis.
#[derive(Debug, Clone)]
pub struct DiagnosisOptions<'a> {
    /// Folder of the checkpoint.
    pub checkpoint: &'a Path,
    /// Device, type and threads of the policy.
    pub policy: PolicyOptions,
    /// Number of frames for each part.
    pub frames: usize,
    /// Seed of the frames; trainings have to use others.
    pub seed: u64,
    /// Number of threads that render.
    pub jobs: usize,
}

/// Results of a diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Perception by camera; empty where the checkpoint has no geometry adapter.
    pub seeing: Vec<BlockDetection>,
    /// Errors of chunks for "point at …".
    pub choosing: OpenLoop,
    /// Errors of chunks along the expert's path.
    pub acting: OpenLoop,
    /// Errors of chunks after a mishap.
    pub recovering: OpenLoop,
}

/// Result of searching the block in a camera's pictures with the geometry adapter. Meaningful only for adapters that
/// were trained on surface classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockDetection {
    /// Name of the camera.
    pub camera: &'static str,
    /// Number of pictures in which a ray meets the block.
    pub shown: u32,
    /// Number of those pictures in which the patch that is most like a block shows it.
    pub found: u32,
}

/// Error that ends a diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum DiagnosisError {
    /// The checkpoint cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The checkpoint was made for another robot.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The policy returns no chunk.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The frames cannot be generated.
    #[error(transparent)]
    Frames(#[from] CollectError),
    /// The table-top's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] SimConfigError),
    /// The simulator fails.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The frames cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The frames cannot be compared.
    #[error(transparent)]
    Compare(#[from] RunError),
    /// libtorch fails.
    #[error(transparent)]
    Torch(#[from] TchError),
    /// No temporary folder can be made for the frames.
    #[error("temporary folder: {0}; set TMPDIR to a folder with some 100 MB")]
    Folder(#[from] std::io::Error),
}

/// Runs all parts; calls `progress` with the name of each part as it begins. Frames are written to a temporary folder.
///
/// # Errors
/// When the checkpoint does not fit the simulated robot, nothing can be rendered, or the disk refuses.
pub fn diagnose(
    options: &DiagnosisOptions<'_>,
    mut progress: impl FnMut(&'static str),
) -> Result<Diagnosis, DiagnosisError> {
    let folder = tempfile::tempdir()?;
    let mut compared = |kind: FrameKind| -> Result<OpenLoop, DiagnosisError> {
        progress(kind.name());
        let root = folder.path().join(kind.name());
        let viewer = load(options)?;
        let order = order(options, kind, viewer.chunk_len())?;
        let mut writer = create_dataset(&root, order.images, order.steps)?;
        write(&order, &mut writer, |_, _| ())?;
        let drawn = ComparedRows {
            held_out: None,
            rows: None,
            seed: options.seed,
        };
        Ok(open_loop::compare(viewer, &root, drawn, |_| ())?)
    };
    let choosing = compared(FrameKind::Pointing)?;
    let acting = compared(FrameKind::Expert)?;
    let recovering = compared(FrameKind::Recovery)?;
    progress("seeing");
    Ok(Diagnosis {
        seeing: measure_geometry(options)?,
        choosing,
        acting,
        recovering,
    })
}

fn load(options: &DiagnosisOptions<'_>) -> Result<Viewer, DiagnosisError> {
    let policy = Policy::load(options.checkpoint, options.policy)?;
    policy.contract().robot.require_same(&Robot::simulated())?;
    Ok(Viewer::new(policy)?)
}

fn order(options: &DiagnosisOptions<'_>, kind: FrameKind, steps: usize) -> Result<FrameOrder, DiagnosisError> {
    let share = |of| if kind == of { 1.0 } else { 0.0 };
    Ok(FrameOrder {
        sim: SimConfig::shipped()?,
        count: options.frames,
        seed: options.seed,
        steps,
        mix: Mix {
            recovery: share(FrameKind::Recovery),
            pointing: share(FrameKind::Pointing),
            ..Mix::default()
        },
        images: ImageMode::Jpeg(JPEG),
        jobs: options.jobs,
        row_callback: None,
    })
}

fn measure_geometry(options: &DiagnosisOptions<'_>) -> Result<Vec<BlockDetection>, DiagnosisError> {
    let mut viewer = load(options)?;
    let order = order(options, FrameKind::Expert, viewer.chunk_len())?;
    let means: Vec<f64> = viewer.contract().data.state.iter().map(|of| of.mean).collect();
    let mut renderer = CameraRenderer::default();
    let mut seeing = View::ALL.map(|view| BlockDetection {
        camera: view.name(),
        shown: 0,
        found: 0,
    });
    for number in 0..order.count as u64 {
        let frame = place(&order, number)?;
        renderer.begin_episode(&frame.snapshot, number)?;
        let output = viewer.act(ViewerInput {
            pictures: &renderer.render(&frame.snapshot)?,
            state: &means,
            instruction: &frame.situation.instruction,
        })?;
        let Some(latents) = output.latents.geometry else {
            return Ok(Vec::new());
        };
        let met = rays(&mut RayCaster::new(&frame.snapshot)?);
        let (met, _) = met.as_chunks::<RAY_VALUES>();
        let grids = viewer.grids().to_vec();
        let merge = viewer.merge();
        let mut before = 0;
        for ((seeing, of_view), grid) in seeing.iter_mut().zip(met.chunks(RAYS * RAYS)).zip(&grids) {
            let patches = grid.patches() as i64;
            let latents = latents.f_narrow(0, before, patches)?;
            before += patches;
            seeing.add(&latents, of_view, *grid, merge)?;
        }
    }
    Ok(seeing.into())
}

impl BlockDetection {
    /// # Shapes
    /// latents: (patches, channels) of one view in merge-block order; met: its rays, row by row
    fn add(&mut self, latents: &Tensor, met: &[[f32; RAY_VALUES]], grid: Grid, merge: u32) -> Result<(), TchError> {
        let (patches, channels) = latents.size2()?;
        let features = RayFeatures {
            channels: channels as usize,
            classes: true,
        };
        let size = [grid.h, grid.w].map(|side| side as usize);
        let rays_of = |patch: usize| features.rays_of(size, [patch / size[1], patch % size[1]]);
        let shows = |patch: usize| {
            let mut classes = rays_of(patch).filter_map(|ray| SurfacePoint::of_values(*met.get(ray)?));
            classes.any(|point| point.class == SurfaceClass::Object)
        };
        let showing: Vec<usize> = (0..patches as usize).filter(|patch| shows(*patch)).collect();
        if showing.is_empty() {
            return Ok(());
        }
        // So far away that only its class remains in its features.
        let somewhere = SurfacePoint {
            place: Vector3::repeat(f64::MAX),
            normal: Vector3::z(),
            class: SurfaceClass::Object,
            heading: 0.0,
        };
        let block = vec![Some(somewhere); rays_of(0).count()];
        let block = Tensor::f_from_slice(&features.of(&block))?.f_to_kind(Kind::Float)?;
        let latents = latents.f_to_kind(Kind::Float)?;
        let alike = latents
            .f_matmul(&block)?
            .f_div(&latents.f_norm_scalaropt_dim(2.0, [1], false)?)?;
        let best = alike.f_argmax(None, false)?.f_int64_value(&[])? as usize;
        let best = (0..patches as usize).find(|patch| merge_block_from_raster(*patch, grid, merge) == best);
        self.shown += 1;
        self.found += u32::from(best.is_some_and(|patch| showing.contains(&patch)));
        Ok(())
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for BlockDetection { camera, shown, found } in &self.seeing {
            let share = 100.0 * f64::from(*found) / f64::from((*shown).max(1));
            writeln!(
                f,
                "seeing: the block is found in {found} of {shown} {camera} views, {share:.1} %"
            )?;
        }
        writeln!(
            f,
            "\n| | frames | end of the chunk p50 [mm] | p95 [mm] | turn p50 [°] | p95 [°] | gripper agrees | another \
             frame's pictures [mm] | best constant [mm] |\n|---|---|---|---|---|---|---|---|---|"
        )?;
        for (name, of) in [
            ("choosing", &self.choosing),
            ("acting", &self.acting),
            ("recovering", &self.recovering),
        ] {
            let end = |errors: &ChunkErrors| errors.whole.translation_mm;
            let ChunkErrors { whole, .. } = of.policy;
            writeln!(
                f,
                "| {name} | {} | {:.1} | {:.1} | {:.2} | {:.2} | {:.1} % | {:.1} | {:.1} |",
                of.rows,
                whole.translation_mm.p50,
                whole.translation_mm.p95,
                whole.rotation_deg.p50,
                whole.rotation_deg.p95,
                100.0 * whole.gripper_agreement,
                end(&of.shuffled).p50,
                end(&of.constant).p50,
            )?;
        }
        Ok(())
    }
}
