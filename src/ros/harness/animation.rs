//! Animation of a demo: both cameras side by side, with the planned path of each moment drawn in.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame as GifFrame, RgbaImage, imageops};
use nalgebra::Vector3;

use crate::ros::node::time::from_message;
use crate::sim::camera::{View, WIDTH};
use crate::sim::config::SimConfig;
use crate::sim::error::SimError;
use crate::sim::raycast::{Pinhole, RayCaster};
use crate::sim::scene::SceneOptions;
use crate::sim::tasks::{EpisodeId, Task, layout};
use crate::sim::world::{Setpoint, World};
use crate::types::Joints;

use super::demo::DemoOutcome;
use super::error::HarnessError;
use super::observations::{CapturedFrame, PathSeen};

/// Size of each camera's image (px).
const SIZE: [u32; 2] = [320, 240];
/// Speed of the palette search of the GIF encoder, from 1 (best) to 30 (fastest).
const SPEED: i32 = 10;
/// Colours of the beginning and the end of the path (RGB).
const COLOURS: [[f64; 3]; 2] = [[255.0, 236.0, 64.0], [255.0, 64.0, 32.0]];
/// Half the width of the drawn path (px).
const RADIUS: i64 = 2;
/// Interpolated points between two steps.
const BETWEEN: usize = 24;

/// Writes the frames of a demo as an animated GIF at the original speed.
///
/// # Errors
/// When the simulated cameras cannot be placed or the file cannot be written.
pub fn save(outcome: &DemoOutcome, path: &Path) -> Result<(), HarnessError> {
    let failed = |message: String| HarnessError::File {
        path: path.to_path_buf(),
        message,
    };
    let wrong = |error: SimError| failed(error.to_string());
    let [top, wrist] = ["top", "wrist"].map(|name| {
        let frame_log = outcome.frame_logs.iter().find(|frame_log| frame_log.camera == name);
        frame_log.map_or(&[][..], |frame_log| frame_log.frame_log.frames())
    });
    let mut cameras = Cameras::new().map_err(wrong)?;
    let file = File::create(path).map_err(|error| failed(error.to_string()))?;
    let mut gif = GifEncoder::new_with_speed(BufWriter::new(file), SPEED);
    gif.set_repeat(Repeat::Infinite)
        .map_err(|error| failed(error.to_string()))?;
    for (number, frame) in top.iter().enumerate() {
        let age = |other: &&CapturedFrame| (other.stamp.seconds_since(frame.stamp).abs() * 1e6) as u64;
        let Some(beside) = wrist.iter().min_by_key(age) else {
            return Ok(());
        };
        let mut whole = RgbaImage::new(2 * SIZE[0], SIZE[1]);
        for (place, (view, frame)) in [(View::Top, frame), (View::Wrist, beside)].into_iter().enumerate() {
            let mut picture = small(frame).ok_or_else(|| failed(format!("no picture of {}", view.name())))?;
            if let Some(camera) = cameras.at(outcome, frame, view).map_err(wrong)? {
                draw(&mut picture, &camera, &planned(outcome, frame));
            }
            imageops::replace(&mut whole, &picture, (place as u32 * SIZE[0]).into(), 0);
        }
        let next = top.get(number + 1);
        let seconds = next.map_or(1.0, |next| next.stamp.seconds_since(frame.stamp));
        let delay = Delay::from_numer_denom_ms((1e3 * seconds) as u32, 1);
        gif.encode_frame(GifFrame::from_parts(whole, 0, 0, delay))
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

fn small(frame: &CapturedFrame) -> Option<RgbaImage> {
    let rgba = frame.rgb.chunks_exact(3).flat_map(|pixel| {
        let mut whole = [255; 4];
        whole.iter_mut().zip(pixel).for_each(|(to, from)| *to = *from);
        whole
    });
    let picture = RgbaImage::from_raw(frame.width, frame.height, rgba.collect())?;
    Some(imageops::resize(
        &picture,
        SIZE[0],
        SIZE[1],
        imageops::FilterType::Triangle,
    ))
}

/// Remaining path at the time of a frame, in the base frame (m); steps that are done are left out.
fn planned(outcome: &DemoOutcome, frame: &CapturedFrame) -> Vec<Vector3<f64>> {
    let stamped = |path: &&PathSeen| path.stamp <= frame.stamp;
    let last = outcome.planned.iter().rfind(stamped);
    let ahead = last.map_or(&[][..], |path| path.points.get(path.done..).unwrap_or_default());
    ahead.to_vec()
}

/// The simulated cameras, posed with the arm.
struct Cameras {
    world: World,
}

impl Cameras {
    fn new() -> Result<Self, SimError> {
        let config = SimConfig::shipped().map_err(|error| SimError::Scene(error.to_string()))?;
        let any = EpisodeId {
            task: Task::Height,
            variation: 0,
            seed: 0,
        };
        let layout = layout(&config, any)?;
        Ok(Self {
            world: World::new(&config, &layout, SceneOptions::default())?,
        })
    }

    /// Pose of a camera at the time of a frame, from the last status before it; `None` when there is none.
    fn at(&mut self, outcome: &DemoOutcome, frame: &CapturedFrame, view: View) -> Result<Option<Pinhole>, SimError> {
        let mut statuses = outcome.statuses.iter();
        let Some(status) = statuses.rfind(|status| from_message(&status.header.stamp) <= frame.stamp) else {
            return Ok(None);
        };
        self.world.place_arm(&Setpoint {
            joints: Joints::from(status.measured_joints),
            opening: status.gripper,
        });
        Ok(RayCaster::new(&self.world.snapshot())?.camera(view).cloned())
    }
}

fn draw(picture: &mut RgbaImage, camera: &Pinhole, path: &[Vector3<f64>]) {
    let count = path.len().saturating_sub(1).max(1) * BETWEEN;
    for (step, pair) in path.windows(2).enumerate() {
        let [from, to] = pair else { continue };
        for part in 0..=BETWEEN {
            let share = part as f64 / BETWEEN as f64;
            let Some(pixel) = camera.pixel(&(from + (to - from) * share)) else {
                continue;
            };
            let along = (step * BETWEEN + part) as f64 / count as f64;
            dot(
                picture,
                pixel.map(|at| at * f64::from(SIZE[0]) / f64::from(WIDTH)),
                along,
            );
        }
    }
}

fn dot(picture: &mut RgbaImage, [column, row]: [f64; 2], along: f64) {
    let [begin, end] = COLOURS;
    let mut colour = [255; 4];
    let mixed = begin.iter().zip(end).map(|(begin, end)| begin + (end - begin) * along);
    colour.iter_mut().zip(mixed).for_each(|(to, value)| *to = value as u8);
    for (x, y) in (-RADIUS..=RADIUS).flat_map(|x| (-RADIUS..=RADIUS).map(move |y| (x, y))) {
        let at = [column as i64 + x, row as i64 + y].map(u32::try_from);
        if let [Ok(x_at), Ok(y_at)] = at
            && x * x + y * y <= RADIUS * RADIUS
            && let Some(pixel) = picture.get_pixel_mut_checked(x_at, y_at)
        {
            pixel.0 = colour;
        }
    }
}
