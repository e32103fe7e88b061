//! Contact sheet of a demo: what both cameras saw.

use std::path::Path;

use crate::camera::rgb::RgbImage;
use crate::figures::contact_sheet::{ContactSheet, SheetStyle};

use super::demo::{CameraFrames, DemoOutcome, DemoReport};
use super::error::HarnessError;

/// Number of moments shown.
const COLUMNS: usize = 6;
/// Width of each image (px).
const THUMBNAIL: u32 = 320;

/// Draws the frames of a demo and writes them as PNG.
///
/// # Errors
/// When no camera delivered a frame or the file cannot be written.
pub fn save(outcome: &DemoOutcome, path: &Path) -> Result<(), HarnessError> {
    let failed = |message: String| HarnessError::File {
        path: path.to_path_buf(),
        message,
    };
    let style = SheetStyle {
        columns: COLUMNS,
        thumbnail_width: THUMBNAIL,
    };
    let mut sheet = ContactSheet::new(title(&outcome.report), style);
    for CameraFrames { camera, frame_log } in &outcome.frame_logs {
        let Some(first) = frame_log.frames().first() else {
            continue;
        };
        for frame in frame_log.frames() {
            let image = RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone())
                .map_err(|error| failed(error.to_string()))?;
            sheet
                .push(camera, frame.stamp.seconds_since(first.stamp), &image)
                .map_err(|error| failed(error.to_string()))?;
        }
    }
    sheet.save(path).map_err(|error| failed(error.to_string()))
}

fn title(report: &DemoReport) -> String {
    let episode = &report.episode;
    let driver = match &report.weights {
        Some(weights) => format!("Policy, weights {weights}"),
        None => "Scripted expert".to_owned(),
    };
    format!(
        "\"{}\" ({} {}, seed {}). {driver}: {} after {:.1} s.",
        episode.instruction,
        report.task,
        report.variation,
        report.seed,
        if episode.success {
            "did the task"
        } else {
            "did not do the task"
        },
        episode.episode_s
    )
}
