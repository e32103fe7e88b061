//! Figures: a title and a grid of panels with lines or histograms, for datasets and training curves.

use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use plotters::drawing::IntoDrawingArea as _;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontFamily, FontStyle, IntoFont as _, TextStyle, WHITE};

use super::canvas::Canvas;
use super::panel::{Failure, INK, Panel};
use crate::camera::rgb::RgbImage;

/// Title above a grid of panels.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Title of the figure.
    pub title: String,
    /// Panels, row after row.
    pub panels: Vec<Panel>,
    /// Number of panels side by side.
    pub columns: usize,
    /// Width and height of each panel (px).
    pub panel_size: (u32, u32),
}

/// Error of drawing or writing a figure.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The panels do not fit into an image.
    #[error(
        "figure {title}: {panels} panels of {size:?} px are too large or none; expected at most 1000 panels and 2^27 px"
    )]
    Size {
        /// Title.
        title: String,
        /// Number of panels.
        panels: usize,
        /// Size of each panel (px).
        size: (u32, u32),
    },
    /// Drawing failed.
    #[error("figure {title}: {problem}")]
    Draw {
        /// Title.
        title: String,
        /// Error of plotters.
        problem: String,
    },
    /// The file could not be written.
    #[error("cannot write the figure {path}: {problem}")]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Error of the encoder or the system.
        problem: String,
    },
}

/// Height of the title (px).
const TITLE: u32 = 44;

/// Text style of this size and weight.
pub(super) fn text(size: f64, bold: bool) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = (FontFamily::Monospace, size, style).into_font();
    TextStyle::from(font).color(&INK)
}

impl Figure {
    /// Creates a figure with panels of the default size.
    pub fn new(title: impl Into<String>, columns: usize, panels: Vec<Panel>) -> Self {
        Self {
            title: title.into(),
            panels,
            columns: columns.max(1),
            panel_size: (460, 320),
        }
    }

    /// Draws the figure.
    ///
    /// # Errors
    /// When it has no panels, too many, or too large ones.
    pub fn draw(&self) -> Result<RgbImage, FigureError> {
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        let rows = self.panels.len().div_ceil(columns);
        let (panel_width, panel_height) = self.panel_size;
        let width = u64::from(panel_width) * columns as u64;
        let height = u64::from(panel_height) * rows as u64 + u64::from(TITLE);
        if rows == 0 || self.panels.len() > 1000 || width.saturating_mul(height) > 1 << 27 {
            return Err(FigureError::Size {
                title: self.title.clone(),
                panels: self.panels.len(),
                size: self.panel_size,
            });
        }
        let mut image = RgbImage::new(width as u32, height as u32);
        let failed = |problem: Failure| FigureError::Draw {
            title: self.title.clone(),
            problem: problem.to_string(),
        };
        {
            let area = Canvas::new(&mut image).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            let (header, body) = area.split_vertically(TITLE);
            let title = text(20.0, true).pos(Pos::new(HPos::Center, VPos::Center));
            let middle = (width as i32 / 2, TITLE as i32 / 2 + 4);
            header.draw_text(&self.title, &title, middle).map_err(failed)?;
            for (panel, cell) in self.panels.iter().zip(body.split_evenly((rows, columns))) {
                panel.draw(&cell).map_err(failed)?;
            }
            area.present().map_err(failed)?;
        }
        Ok(image)
    }

    /// Draws the figure and writes it as PNG, creating the folder if needed.
    ///
    /// # Errors
    /// When it cannot be drawn or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FigureError> {
        let image = self.draw()?;
        let failed = |problem: String| FigureError::Write {
            path: path.to_path_buf(),
            problem,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(e.to_string()))?;
        }
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
            .write_image(image.data(), image.width(), image.height(), ExtendedColorType::Rgb8)
            .map_err(|e| failed(e.to_string()))?;
        std::fs::write(path, png).map_err(|e| failed(e.to_string()))
    }
}
