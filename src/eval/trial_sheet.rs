//! All trials of an evaluation in one picture: the last picture of each, framed in the colour of the verdict.

use super::trials::TrialResult;
use crate::camera::rgb::RgbImage;
use crate::figures::captions::{CaptionStyle, LETTER_HEIGHT, fill, paste, write};

/// Pictures in a row.
const COLUMNS: usize = 10;
/// Width of the frame about a picture (px).
const FRAME: u32 = 4;
/// Space around frames and captions (px).
const GAP: u32 = 6;
const BACKGROUND: [u8; 3] = [24, 26, 30];
const CAPTION: [u8; 3] = [200, 200, 200];
const SUCCESS: [u8; 3] = [40, 180, 70];
const FAILURE: [u8; 3] = [215, 50, 40];

/// Collects last pictures and draws the sheet.
#[derive(Debug, Clone)]
pub struct TrialSheet {
    size: [u32; 2],
    trials: Vec<SheetEntry>,
}

#[derive(Debug, Clone)]
struct SheetEntry {
    caption: String,
    colour: [u8; 3],
    picture: RgbImage,
}

impl TrialSheet {
    /// Creates an empty sheet of pictures of this width and height (px); larger ones are cut off.
    pub fn new(size: [u32; 2]) -> Self {
        Self {
            size,
            trials: Vec::new(),
        }
    }

    /// Adds a trial; its caption is variation and seed.
    pub fn push(&mut self, of: &TrialResult, picture: RgbImage) {
        self.trials.push(SheetEntry {
            caption: format!("{} {}", of.trial.variation, of.trial.seed),
            colour: if of.success { SUCCESS } else { FAILURE },
            picture,
        });
    }

    /// Draws the sheet, row by row in the order of the trials.
    pub fn draw(&self) -> RgbImage {
        let [width, height] = self.size.map(|side| side + 2 * FRAME);
        let (across, down) = (width + GAP, height + LETTER_HEIGHT + 2 * GAP);
        let columns = self.trials.len().clamp(1, COLUMNS) as u32;
        let rows = self.trials.len().div_ceil(COLUMNS) as u32;
        let (all_width, all_height) = (GAP + columns * across, GAP + rows * down);
        let mut sheet = RgbImage::new(all_width, all_height);
        fill(&mut sheet, [0, 0], [all_width, all_height], BACKGROUND);
        for (number, shown) in (0..).zip(&self.trials) {
            let [left, top] = [GAP + number % columns * across, GAP + number / columns * down];
            fill(&mut sheet, [left, top], [width, height], shown.colour);
            paste(&mut sheet, &shown.picture, [left + FRAME, top + FRAME]);
            let pen = CaptionStyle {
                left,
                top: top + height + GAP / 2,
                colour: CAPTION,
            };
            write(&mut sheet, pen, &shown.caption);
        }
        sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::trials::tests::result;

    #[test]
    fn a_trial_s_frame_says_how_it_went() {
        let mut sheet = TrialSheet::new([30, 20]);
        for seed in 0..12 {
            sheet.push(&result(0, seed, seed != 11), RgbImage::new(30, 20));
        }
        let drawn = sheet.draw();
        let frame =
            |column: u32, row: u32| drawn.pixel(GAP + column * (38 + GAP), GAP + row * (28 + LETTER_HEIGHT + 2 * GAP));
        assert_eq!(
            [frame(0, 0), frame(0, 1), frame(1, 1)],
            [Some(SUCCESS), Some(SUCCESS), Some(FAILURE)]
        );
        assert_eq!(frame(2, 1), Some(BACKGROUND));
    }
}
