//! Ray casting from the cameras into the scene, without rendering.

use std::sync::Arc;

use mujoco_rs::prelude::{MjData, MjModel, MjtObjBase};
use nalgebra::{Matrix3, Vector3};

use super::camera::{HEIGHT, Intrinsics, View, WIDTH, intrinsics};
use super::error::SimError;
use super::scene_sampler::heading;
use super::world::{Snapshot, find};
use crate::camera::points::SurfaceClass;

/// A camera in the base frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinhole {
    /// Position (m).
    pub position: Vector3<f64>,
    /// Axes as columns: x to the right of the picture, y up, z backwards.
    pub axes: Matrix3<f64>,
    /// Projection.
    pub intrinsics: Intrinsics,
}

/// Surface that a ray meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RayHit {
    /// Position in the base frame (m).
    pub point: Vector3<f64>,
    /// Unit normal of the surface at that point.
    pub normal: Vector3<f64>,
    /// Class of the surface.
    pub class: SurfaceClass,
    /// Rotation about the vertical of the block (rad), if the ray meets it.
    pub heading: Option<f64>,
}

/// Casts rays into a scene.
pub struct RayCaster {
    data: MjData<Arc<MjModel>>,
    views: Vec<(View, Pinhole)>,
    /// Class of each geom.
    classes: Vec<SurfaceClass>,
}

impl Pinhole {
    /// Returns the unit direction through a point of the picture (px), in the base frame.
    pub fn direction(&self, [column, row]: [f64; 2]) -> Vector3<f64> {
        let Intrinsics { focal, cx, cy } = self.intrinsics;
        (self.axes * Vector3::new((column - cx) / focal, (cy - row) / focal, -1.0)).normalize()
    }

    /// Projects a point to a pixel; `None` where it is outside of the picture or behind the camera.
    pub fn pixel(&self, point: &Vector3<f64>) -> Option<[f64; 2]> {
        let seen = self.axes.tr_mul(&(point - self.position));
        let Intrinsics { focal, cx, cy } = self.intrinsics;
        let [column, row] = [cx - focal * seen.x / seen.z, cy + focal * seen.y / seen.z];
        let inside = |at: f64, size: u32| (-0.5..f64::from(size) - 0.5).contains(&at);
        (seen.z < 0.0 && inside(column, WIDTH) && inside(row, HEIGHT)).then_some([column, row])
    }
}

impl RayCaster {
    /// Loads the scene of a snapshot.
    ///
    /// # Errors
    /// When MuJoCo refuses the scene, or it lacks a camera.
    pub fn new(of: &Snapshot) -> Result<Self, SimError> {
        let data = MjData::try_new(Arc::clone(&of.model)).map_err(|e| SimError::Scene(e.to_string()))?;
        let mut caster = Self {
            data,
            views: Vec::new(),
            classes: classes(&of.model)?,
        };
        for (to, from) in caster.data.qpos_mut().iter_mut().zip(&of.positions) {
            *to = *from;
        }
        caster.data.forward();
        for view in View::ALL {
            let camera = find(&of.model, MjtObjBase::mjOBJ_CAMERA, "camera", view.name())?;
            let position = caster.data.cam_xpos().get(camera).copied().unwrap_or_default();
            let axes = caster.data.cam_xmat().get(camera).copied().unwrap_or_default();
            let pinhole = Pinhole {
                position: position.into(),
                axes: Matrix3::from_row_slice(&axes),
                intrinsics: intrinsics(of, view)?,
            };
            caster.views.push((view, pinhole));
        }
        Ok(caster)
    }

    /// Returns a camera; those of the scene were found at the beginning.
    pub fn camera(&self, view: View) -> Option<&Pinhole> {
        self.views.iter().find(|(of, _)| *of == view).map(|(_, camera)| camera)
    }

    /// Returns the first surface along a unit direction, transparent or not.
    pub fn along(&mut self, from: &Vector3<f64>, direction: &Vector3<f64>) -> Option<RayHit> {
        let mut normal = [0.0; 3];
        let (geom, distance) = self.data.ray(
            &(*from).into(),
            &(*direction).into(),
            None,
            true,
            None,
            Some(&mut normal),
        );
        let geom = geom.filter(|_| distance >= 0.0)?;
        let class = self.classes.get(geom).copied().unwrap_or(SurfaceClass::Background);
        Some(RayHit {
            point: from + direction * distance,
            normal: normal.into(),
            class,
            heading: (class == SurfaceClass::Object).then(|| heading(&Matrix3::from_row_slice(&self.axes(geom)))),
        })
    }

    /// Returns the axes of a geom in the base frame, row by row.
    fn axes(&self, geom: usize) -> [f64; 9] {
        self.data.geom_xmat().get(geom).copied().unwrap_or_default()
    }
}

/// Returns the class of each geom: the robot's geoms belong to bodies, and the props of a layout have names.
fn classes(model: &MjModel) -> Result<Vec<SurfaceClass>, SimError> {
    let geom = |name| find(model, MjtObjBase::mjOBJ_GEOM, "geom", name);
    let [object, table, floor] = [geom("object")?, geom("table")?, geom("floor")?];
    let of = |(geom, body): (usize, &i32)| match geom {
        _ if geom == object => SurfaceClass::Object,
        _ if geom == table => SurfaceClass::Table,
        _ if geom == floor => SurfaceClass::Background,
        _ if *body != 0 => SurfaceClass::Robot,
        _ if model
            .id_to_name(MjtObjBase::mjOBJ_GEOM, geom)
            .is_some_and(|name| !name.is_empty()) =>
        {
            SurfaceClass::Prop
        }
        _ => SurfaceClass::Background,
    };
    Ok(model.geom_bodyid().iter().enumerate().map(of).collect())
}
