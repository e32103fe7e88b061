//! Contact sheet of an episode: a row for each camera, a column for each chosen moment.

use std::path::Path;

use super::captions::{CaptionStyle, LETTER_HEIGHT, LETTER_WIDTH, fill, paste, write};
use crate::camera::file::{self, SaveError};
use crate::camera::resize::{ResizeError, Resizer};
use crate::camera::rgb::RgbImage;
use crate::contract::{Filter, Resize};

/// Layout of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetStyle {
    /// Largest number of moments shown; evenly spread, including the first and the last.
    pub columns: usize,
    /// Width of each picture on the sheet (px).
    pub thumbnail_width: u32,
}

impl Default for SheetStyle {
    fn default() -> Self {
        Self {
            columns: 6,
            thumbnail_width: 256,
        }
    }
}

/// Collects the frames of an episode and draws the sheet.
///
/// Keeps thumbnails only, of the default width about 180 MB for a minute of two cameras at 10 Hz.
#[derive(Debug, Clone)]
pub struct ContactSheet {
    title: String,
    style: SheetStyle,
    cameras: Vec<CameraRow>,
    resizer: Resizer,
}

#[derive(Debug, Clone)]
struct CameraRow {
    name: String,
    frames: Vec<Thumbnail>,
}

#[derive(Debug, Clone)]
struct Thumbnail {
    caption: String,
    picture: RgbImage,
}

/// Error of drawing a contact sheet.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// Frames of one camera changed their size, or cannot be resized.
    #[error("contact sheet, camera {camera}: {source}")]
    Frame {
        /// Camera.
        camera: String,
        /// Error of the resize.
        source: ResizeError,
    },
    /// No frame was pushed.
    #[error("contact sheet: expected at least one frame, found none; check that a camera was running")]
    Empty,
    /// The file could not be written.
    #[error("contact sheet: {0}")]
    Write(#[from] SaveError),
}

const BACKGROUND: [u8; 3] = [24, 26, 30];
const TITLE: [u8; 3] = [240, 240, 240];
const CAPTION: [u8; 3] = [170, 200, 230];
/// Space around pictures and captions (px).
const GAP: u32 = 8;
/// Height of a line of text with its space (px).
const LINE: u32 = LETTER_HEIGHT + GAP;

impl ContactSheet {
    /// Creates an empty sheet; `title` is broken into as many lines as it needs.
    pub fn new(title: impl Into<String>, style: SheetStyle) -> Self {
        Self {
            title: title.into(),
            style,
            cameras: Vec::new(),
            resizer: Resizer::default(),
        }
    }

    /// Adds a frame of `camera`, `time_s` seconds after the start. Cameras appear in the order of their first frames.
    ///
    /// # Errors
    /// When the frame has no pixels.
    pub fn push(&mut self, camera: &str, time_s: f64, frame: &RgbImage) -> Result<(), SheetError> {
        self.show(camera, &format!("{camera} t={time_s:.1} s"), frame)
    }

    /// Adds a frame of `camera` with a caption of the caller's.
    ///
    /// # Errors
    /// When the frame has no pixels.
    pub fn show(&mut self, camera: &str, caption: &str, frame: &RgbImage) -> Result<(), SheetError> {
        let width = self.style.thumbnail_width.max(1);
        let height = f64::from(width) * f64::from(frame.height()) / f64::from(frame.width().max(1));
        let rule = Resize {
            width,
            height: height.round().max(1.0) as u32,
            filter: Filter::Bilinear,
        };
        let mut picture = RgbImage::default();
        self.resizer
            .resize(frame, rule, &mut picture)
            .map_err(|source| SheetError::Frame {
                camera: camera.to_string(),
                source,
            })?;
        let caption = caption.to_owned();
        let thumbnail = Thumbnail { caption, picture };
        match self.cameras.iter_mut().find(|row| row.name == camera) {
            Some(row) => row.frames.push(thumbnail),
            None => self.cameras.push(CameraRow {
                name: camera.to_string(),
                frames: vec![thumbnail],
            }),
        }
        Ok(())
    }

    /// Draws the sheet.
    ///
    /// # Errors
    /// When no frame was pushed.
    pub fn draw(&self) -> Result<RgbImage, SheetError> {
        let columns = self
            .cameras
            .iter()
            .map(|row| row.frames.len())
            .max()
            .unwrap_or(0)
            .min(self.style.columns.max(1));
        if columns == 0 {
            return Err(SheetError::Empty);
        }
        let width = GAP + columns as u32 * (self.style.thumbnail_width.max(1) + GAP);
        let title = wrap(&self.title, ((width - 2 * GAP) / LETTER_WIDTH) as usize);
        let header = GAP + title.len() as u32 * LINE;
        let rows: u32 = self.cameras.iter().map(|row| row.height() + LINE + GAP).sum();
        let mut sheet = RgbImage::new(width, header + rows);
        fill(&mut sheet, [0, 0], [width, header + rows], BACKGROUND);
        for (line, top) in title.iter().zip((GAP..).step_by(LINE as usize)) {
            write(
                &mut sheet,
                CaptionStyle {
                    left: GAP,
                    top,
                    colour: TITLE,
                },
                line,
            );
        }
        let mut top = header;
        for row in &self.cameras {
            self.draw_row(&mut sheet, row, top, columns);
            top += row.height() + LINE + GAP;
        }
        Ok(sheet)
    }

    fn draw_row(&self, sheet: &mut RgbImage, row: &CameraRow, top: u32, columns: usize) {
        let step = self.style.thumbnail_width.max(1) + GAP;
        for (frame, left) in spread(&row.frames, columns).zip((GAP..).step_by(step as usize)) {
            paste(sheet, &frame.picture, [left, top]);
            let room = (self.style.thumbnail_width / LETTER_WIDTH) as usize;
            let caption: String = frame.caption.chars().take(room).collect();
            let pen = CaptionStyle {
                left,
                top: top + row.height() + GAP / 2,
                colour: CAPTION,
            };
            write(sheet, pen, &caption);
        }
    }

    /// Draws the sheet and writes it as PNG, making the directory if needed.
    ///
    /// # Errors
    /// When no frame was pushed or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SheetError> {
        Ok(file::save(&self.draw()?, path)?)
    }
}

impl CameraRow {
    fn height(&self) -> u32 {
        self.frames
            .iter()
            .map(|frame| frame.picture.height())
            .max()
            .unwrap_or(0)
    }
}

/// Returns at most `count` items, evenly spread, including the first and the last.
fn spread<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(items.len());
    let last = items.len().saturating_sub(1);
    (0..count).filter_map(move |i| items.get((i * last + (count - 1) / 2) / (count - 1).max(1)))
}

/// Breaks a text at spaces where lines would be longer than `letters`.
fn wrap(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(colour: [u8; 3]) -> RgbImage {
        let mut image = RgbImage::new(64, 48);
        image.data_mut().as_chunks_mut::<3>().0.fill(colour);
        image
    }

    fn sheet_of(frames: usize) -> ContactSheet {
        let mut sheet = ContactSheet::new(
            "pick the cube, seed 7",
            SheetStyle {
                columns: 4,
                thumbnail_width: 160,
            },
        );
        for i in 0..frames {
            sheet.push("top", i as f64 * 0.1, &flat([200, i as u8, 0])).unwrap();
            sheet.push("wrist", i as f64 * 0.1, &flat([0, i as u8, 200])).unwrap();
        }
        sheet
    }

    #[test]
    fn a_sheet_shows_every_camera_from_the_first_to_the_last_frame() {
        let sheet = sheet_of(101).draw().unwrap();
        assert_eq!(sheet.width(), 8 + 4 * 168);
        let top = 8 + 28 + 60;
        let greens = |y: u32| [0, 1, 2, 3].map(|column| sheet.pixel(8 + column * 168 + 80, y).unwrap());
        assert_eq!(greens(top), [[200, 0, 0], [200, 33, 0], [200, 67, 0], [200, 100, 0]]);
        let wrist = top + 120 + 28 + 8;
        assert_eq!(greens(wrist), [[0, 0, 200], [0, 33, 200], [0, 67, 200], [0, 100, 200]]);
    }

    #[test]
    fn captions_and_title_are_drawn() {
        let sheet = sheet_of(2).draw().unwrap();
        let has = |colour: [u8; 3]| sheet.data().as_chunks::<3>().0.contains(&colour);
        assert!(has(TITLE) && has(CAPTION));
    }

    #[test]
    fn one_frame_is_enough_and_none_is_an_error() {
        assert_eq!(sheet_of(1).draw().unwrap().width(), 8 + 168);
        assert!(matches!(sheet_of(0).draw(), Err(SheetError::Empty)));
        assert!(sheet_of(0).push("top", 0.0, &RgbImage::default()).is_err());
    }

    #[test]
    fn the_written_file_is_the_drawn_picture() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out/demo/contact_sheet.png");
        let sheet = sheet_of(9);
        sheet.save(&path).unwrap();
        let mut read = RgbImage::default();
        crate::camera::compressed::decode("png", &std::fs::read(&path).unwrap(), &mut read).unwrap();
        assert_eq!(read, sheet.draw().unwrap());
    }

    #[test]
    fn long_titles_are_broken_at_spaces() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("", 9), Vec::<String>::new());
    }
}
