//! The picture of a tour: both cameras, first with the policy, then with the expert.

use std::path::Path;

use crate::camera::rgb::RgbImage;
use crate::eval::contact_sheet::{ContactSheet, SheetStyle};

use super::error::RunError;
use super::tour::{EpisodeFilm, Outcome, Report};

/// Moments shown of each episode.
const COLUMNS: usize = 4;
/// Width of each picture [px].
const THUMBNAIL: u32 = 336;

/// Draws the films of a tour and writes them as PNG.
///
/// # Errors
/// When no camera delivered a frame or the file cannot be written.
pub fn save(outcome: &Outcome, path: &Path) -> Result<(), RunError> {
    let failed = |message: String| RunError::File {
        path: path.to_path_buf(),
        message,
    };
    let style = SheetStyle {
        columns: COLUMNS,
        thumbnail_width: THUMBNAIL,
    };
    let mut sheet = ContactSheet::new(title(&outcome.report), style);
    for EpisodeFilm { driver, camera, film } in &outcome.films {
        let Some(first) = film.frames().first() else { continue };
        for frame in film.frames() {
            let image = RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone())
                .map_err(|error| failed(error.to_string()))?;
            let row = format!("{driver} {camera}");
            sheet
                .push(&row, frame.stamp.seconds_since(first.stamp), &image)
                .map_err(|error| failed(error.to_string()))?;
        }
    }
    sheet.save(path).map_err(|error| failed(error.to_string()))
}

fn title(report: &Report) -> String {
    let instruction = report.phases.first().map_or("", |phase| phase.instruction.as_str());
    let did = |success| if success { "did the task" } else { "did not do the task" };
    format!(
        "\"{instruction}\" ({} {}, seed {}). Policy, weights {}: {}. Scripted expert: {}.",
        report.task,
        report.variation,
        report.seed,
        report.weights,
        did(report.success),
        did(report.expert_success)
    )
}
