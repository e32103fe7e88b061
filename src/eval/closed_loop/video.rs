//! Videos of trials from the top camera, and the sheet with the last picture of every trial.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::EvaluationError;
use crate::camera::file;
use crate::camera::resize::Resizer;
use crate::camera::rgb::RgbImage;
use crate::contract::{Filter, Resize};
use crate::dataset::video::{VideoError, VideoSettings, VideoWriter};
use crate::eval::trial_sheet::TrialSheet;
use crate::eval::trials::{Trial, TrialResult};
use crate::sim::camera::{HEIGHT, SceneRenderer, View, WIDTH};
use crate::sim::episode::EpisodeMoment;
use crate::sim::error::SimError;
use crate::sim::tasks::EpisodeId;
use crate::sim::world::Snapshot;

/// Frame rate of a video (Hz).
const FPS: u32 = 10;
/// Distance of key frames: long, because these videos are played from the start and not read frame by frame.
const GOP: u32 = 50;
/// Width and height of a last picture (px).
const SMALL: [u32; 2] = [128, 96];
/// File name of the sheet of all trials.
const SHEET: &str = "trials.png";

/// Renders the videos of trials one after another.
#[derive(Default)]
pub(super) struct Camera {
    renderer: Option<SceneRenderer>,
    resizer: Resizer,
}

impl Camera {
    fn take(&mut self, of: &Snapshot) -> Result<RgbImage, SimError> {
        let renderer = match &mut self.renderer {
            Some(renderer) => renderer,
            none => none.insert(SceneRenderer::new(of)?),
        };
        let pixels = renderer.render(of, View::Top)?.to_vec();
        RgbImage::from_raw(WIDTH, HEIGHT, pixels).map_err(|e| SimError::Render(e.to_string()))
    }
}

/// Video and last picture of one trial.
pub(super) struct TrialVideo<'a> {
    camera: &'a mut Camera,
    /// Path of the last picture.
    last_path: PathBuf,
    last: Option<Snapshot>,
    video: Option<Video>,
    took: Duration,
}

/// A video that is being written.
struct Video {
    writer: VideoWriter<BufWriter<fs::File>>,
    /// Path of the unfinished video, and path of the finished one.
    paths: [PathBuf; 2],
    /// Frames so far.
    frames: u32,
}

impl<'a> TrialVideo<'a> {
    pub fn begin(camera: &'a mut Camera, out: &Path, id: EpisodeId, video: bool) -> Result<Self, EvaluationError> {
        let name = Trial::of(id).file_name();
        Ok(Self {
            camera,
            last_path: last_path(out, &name),
            last: None,
            video: video.then(|| Video::begin(&out.join("videos"), &name)).transpose()?,
            took: Duration::ZERO,
        })
    }

    pub fn observe(&mut self, moment: &EpisodeMoment<'_>) -> Result<(), EvaluationError> {
        let begun = Instant::now();
        let snapshot = moment.episode_world.world.snapshot();
        if let Some(video) = &mut self.video
            && moment.episode_world.world.time() >= f64::from(video.frames) / f64::from(FPS)
        {
            video.writer.push(&self.camera.take(&snapshot)?)?;
            video.frames += 1;
        }
        self.last = Some(snapshot);
        self.took += begun.elapsed();
        Ok(())
    }

    /// Writes everything to disk; returns the time spent on rendering and encoding.
    pub fn end(mut self) -> Result<Duration, EvaluationError> {
        let begun = Instant::now();
        if let Some(snapshot) = &self.last {
            let picture = self.camera.take(snapshot)?;
            let [width, height] = SMALL;
            let rule = Resize {
                width,
                height,
                filter: Filter::Area,
            };
            let mut small = RgbImage::default();
            self.camera.resizer.resize(&picture, rule, &mut small)?;
            file::save(&small, &self.last_path)?;
        }
        if let Some(video) = self.video.take() {
            video.end()?;
        }
        Ok(self.took + begun.elapsed())
    }
}

impl Video {
    fn begin(folder: &Path, name: &str) -> Result<Self, VideoError> {
        fs::create_dir_all(folder).map_err(VideoError::file("make", folder))?;
        let paths = [".open.mp4", ".mp4"].map(|ending| folder.join(format!("{name}{ending}")));
        // Files left by a trial that was interrupted.
        for path in &paths {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(VideoError::file("remove", path)(error));
                }
                _ => {}
            }
        }
        let settings = VideoSettings {
            gop: GOP,
            ..VideoSettings::new(WIDTH, HEIGHT, FPS)
        };
        let [open, _] = &paths;
        Ok(Self {
            writer: VideoWriter::create(open, settings)?,
            paths,
            frames: 0,
        })
    }

    fn end(self) -> Result<(), VideoError> {
        let [open, whole] = &self.paths;
        let file = self
            .writer
            .finish()?
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error);
        drop(file.map_err(VideoError::file("write", open))?);
        fs::rename(open, whole).map_err(VideoError::file("rename", open))
    }
}

/// Draws the last picture of every trial on one sheet.
pub(super) fn sheet(out: &Path, trials: &[TrialResult]) -> Result<(), EvaluationError> {
    let mut sheet = TrialSheet::new(SMALL);
    for of in trials {
        let mut picture = RgbImage::default();
        file::load(&last_path(out, &of.trial.file_name()), &mut picture)?;
        sheet.push(of, picture);
    }
    Ok(file::save(&sheet.draw(), &out.join(SHEET))?)
}

fn last_path(out: &Path, name: &str) -> PathBuf {
    out.join("last").join(format!("{name}.png"))
}
