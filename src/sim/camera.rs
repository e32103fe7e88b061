//! Off-screen rendered camera images of the table-top.

use std::sync::Arc;

use mujoco_rs::prelude::{MjData, MjModel, MjtObjBase, MjvCamera};
use mujoco_rs::renderer::MjRenderer;

use super::error::SimError;
use super::noise::SensorNoise;
use super::world::{Snapshot, find};
use crate::camera::rgb::RgbImage;
use crate::dataset::frame::{ImageMode, Picture};

/// Width of every picture (px).
pub const WIDTH: u32 = 640;
/// Height of every picture (px).
pub const HEIGHT: u32 = 480;

/// A camera of the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Looks at the table from in front of the arm.
    Top,
    /// Looks along the gripper.
    Wrist,
}

impl View {
    /// All views, in the contract's order.
    pub const ALL: [Self; 2] = [Self::Top, Self::Wrist];

    /// Returns the name of the camera, used in topics and contracts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::Wrist => "wrist",
        }
    }

    /// Returns the name of the optical frame: z forward, x right.
    pub const fn frame(self) -> &'static str {
        match self {
            Self::Top => "top_camera_optical_frame",
            Self::Wrist => "wrist_camera_optical_frame",
        }
    }
}

/// Pinhole intrinsics without distortion (px); pixel centres are at whole numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intrinsics {
    /// Focal length, the same along both axes.
    pub focal: f64,
    /// Principal point, column.
    pub cx: f64,
    /// Principal point, row.
    pub cy: f64,
}

impl Intrinsics {
    /// Computes the intrinsics of a picture with this vertical field of view (degrees).
    pub fn of(field_of_view_y_deg: f64) -> Self {
        let half = f64::from(HEIGHT) / 2.0;
        Self {
            focal: half / (field_of_view_y_deg.to_radians() / 2.0).tan(),
            cx: (f64::from(WIDTH) - 1.0) / 2.0,
            cy: (f64::from(HEIGHT) - 1.0) / 2.0,
        }
    }
}

/// Renders pictures. It must stay on the thread that created it: an OpenGL context cannot move.
pub struct SceneRenderer {
    renderer: MjRenderer,
    data: MjData<Arc<MjModel>>,
    noise: SensorNoise,
    pixels: Vec<u8>,
}

impl SceneRenderer {
    /// Creates an off-screen context; takes 120 to 300 ms.
    ///
    /// # Errors
    /// When no OpenGL context can be created.
    pub fn new(of: &Snapshot) -> Result<Self, SimError> {
        let renderer = MjRenderer::builder()
            .width(WIDTH)
            .height(HEIGHT)
            .build(&of.model)
            .map_err(|e| SimError::Render(e.to_string()))?;
        Ok(Self {
            renderer,
            data: data_of(&of.model)?,
            noise: SensorNoise::new(0),
            pixels: Vec::new(),
        })
    }

    /// Restarts the noise with this seed, so that later pictures do not depend on earlier ones.
    pub fn restart_noise(&mut self, seed: u64) {
        self.noise.restart(seed);
    }

    /// Renders a picture with sensor noise: rgb8, row major, top row first.
    ///
    /// # Shapes
    /// [`HEIGHT`] x [`WIDTH`] x 3 bytes.
    ///
    /// # Errors
    /// When the OpenGL context fails.
    pub fn take(&mut self, of: &Snapshot, view: View) -> Result<&[u8], SimError> {
        self.render(of, view)?;
        self.noise.add(&mut self.pixels);
        Ok(&self.pixels)
    }

    /// Renders a picture without noise, for people to look at.
    ///
    /// # Shapes
    /// [`HEIGHT`] x [`WIDTH`] x 3 bytes.
    ///
    /// # Errors
    /// When the OpenGL context fails.
    pub fn render(&mut self, of: &Snapshot, view: View) -> Result<&[u8], SimError> {
        if !Arc::ptr_eq(&self.data.model_clone(), &of.model) {
            self.data = data_of(&of.model)?;
        }
        for (to, from) in self.data.qpos_mut().iter_mut().zip(&of.positions) {
            *to = *from;
        }
        self.data.kinematics();
        self.data.com_pos();
        self.data.camlight();
        let camera = find(&of.model, MjtObjBase::mjOBJ_CAMERA, "camera", view.name())?;
        self.renderer.set_camera(MjvCamera::new_fixed(camera));
        let failed = |e: mujoco_rs::renderer::RendererError| SimError::Render(e.to_string());
        self.renderer.sync_data(&mut self.data).map_err(failed)?;
        self.renderer.render().map_err(failed)?;
        let rendered = self.renderer.rgb_flat();
        let rendered = rendered.ok_or_else(|| SimError::Render("no picture came back".to_owned()))?;
        self.pixels.clear();
        self.pixels.extend_from_slice(rendered);
        Ok(&self.pixels)
    }

    /// Renders a picture with sensor noise and encodes it.
    ///
    /// # Errors
    /// When the OpenGL context fails or the picture cannot be encoded.
    pub fn picture(&mut self, of: &Snapshot, view: View, mode: ImageMode) -> Result<Picture, SimError> {
        let pixels = self.take(of, view)?.to_vec();
        let wrong = |problem: String| SimError::Picture(view.name(), problem);
        let image = RgbImage::from_raw(WIDTH, HEIGHT, pixels).map_err(|e| wrong(e.to_string()))?;
        Picture::encode(&image, mode).map_err(wrong)
    }
}

/// All cameras of the scene; their OpenGL context is created with the first picture.
#[derive(Default)]
pub struct CameraRenderer {
    renderer: Option<SceneRenderer>,
}

impl CameraRenderer {
    /// Renders one moment with every camera, in the order of [`View::ALL`].
    ///
    /// # Errors
    /// When no OpenGL context can be created, or it fails.
    pub fn render(&mut self, at: &Snapshot) -> Result<[RgbImage; 2], SimError> {
        let renderer = self.open(at)?;
        let mut picture = |view| {
            let pixels = renderer.take(at, view)?.to_vec();
            RgbImage::from_raw(WIDTH, HEIGHT, pixels).map_err(|e| SimError::Render(e.to_string()))
        };
        Ok([picture(View::Top)?, picture(View::Wrist)?])
    }

    /// Renders and encodes one moment with every camera, in the order of [`View::ALL`].
    ///
    /// # Errors
    /// When no OpenGL context can be created, or it fails, or a picture cannot be encoded.
    pub fn pictures(&mut self, at: &Snapshot, mode: ImageMode) -> Result<Vec<Picture>, SimError> {
        let renderer = self.open(at)?;
        View::ALL
            .map(|view| renderer.picture(at, view, mode))
            .into_iter()
            .collect()
    }

    /// Restarts the noise, so that the pictures of an episode do not depend on earlier ones.
    ///
    /// # Errors
    /// When no OpenGL context can be created.
    pub fn begin_episode(&mut self, at: &Snapshot, seed: u64) -> Result<(), SimError> {
        self.open(at)?.restart_noise(seed);
        Ok(())
    }

    fn open(&mut self, at: &Snapshot) -> Result<&mut SceneRenderer, SimError> {
        match &mut self.renderer {
            Some(renderer) => Ok(renderer),
            none => Ok(none.insert(SceneRenderer::new(at)?)),
        }
    }
}

/// Returns the intrinsics of a camera in this scene.
///
/// # Errors
/// When the scene has no such camera.
pub fn intrinsics(of: &Snapshot, view: View) -> Result<Intrinsics, SimError> {
    let camera = find(&of.model, MjtObjBase::mjOBJ_CAMERA, "camera", view.name())?;
    let field = of.model.cam_fovy().get(camera).copied();
    field.map(Intrinsics::of).ok_or_else(|| SimError::Missing {
        kind: "camera",
        name: view.name().to_owned(),
    })
}

fn data_of(model: &Arc<MjModel>) -> Result<MjData<Arc<MjModel>>, SimError> {
    MjData::try_new(Arc::clone(model)).map_err(|e| SimError::Scene(e.to_string()))
}
