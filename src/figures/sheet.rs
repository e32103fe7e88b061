//! Contact sheets: one per camera, with a row per episode.

use std::path::{Path, PathBuf};

use super::pages::PlotError;
use crate::dataset::Dataset;
use crate::dataset::decoded_images::DecodedImageReader;
use crate::dataset::reader::At;
use crate::figures::contact_sheet::{ContactSheet, SheetStyle};

/// Maximum number of episodes on a sheet, evenly spread. With 11 of a hundred, three variations that alternate all
/// show.
const EPISODES: usize = 11;
/// Number of frames shown of each episode.
const MOMENTS: usize = 6;

/// Writes `contact_sheet_CAMERA.png` into `out` for each camera; returns the paths.
pub(super) fn save(dataset: &Dataset, out: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut paths = Vec::new();
    for (name, _) in dataset.info().pictures() {
        let camera = name.rsplit('.').next().unwrap_or(name);
        let path = out.join(format!("contact_sheet_{camera}.png"));
        let shown = spread(dataset.episodes().len(), EPISODES);
        let title = format!("{camera}: {} of {} episodes", shown.len(), dataset.episodes().len());
        let style = SheetStyle {
            columns: MOMENTS,
            ..SheetStyle::default()
        };
        let mut sheet = ContactSheet::new(title, style);
        let mut reader = DecodedImageReader::new(dataset, &[name])?;
        let mut images = Vec::new();
        for episode in shown {
            let length = dataset.episodes().get(episode).map_or(0, |episode| episode.length);
            for frame in spread(length, MOMENTS) {
                reader.read(At { episode, frame }, &mut images)?;
                let time_s = frame as f64 / dataset.info().fps;
                for image in &images {
                    sheet.push(&format!("#{episode}"), time_s, image)?;
                }
            }
        }
        sheet.save(&path)?;
        paths.push(path);
    }
    Ok(paths)
}

/// At most `count` of `0..length`, evenly spread, the first and the last among them.
fn spread(length: usize, count: usize) -> Vec<usize> {
    let count = count.min(length);
    (0..count).map(|i| i * (length - 1) / (count - 1).max(1)).collect()
}
