//! Preprocesses frames into the vision tower's input, reusing every buffer.

use super::patches::{Cutter, Grid, PatchError, PatchRule};
use super::resize::{ResizeError, Resizer};
use super::rgb::RgbImage;
use super::smart_resize::{Size, SmartResizeError, smart_resize};
use crate::contract::Resize;

/// Views of one observation, ready for the vision tower.
///
/// # Shapes
/// `pixel_values`: (Σ `grids[i].patches()`, 3 · temporal · patch · patch), views one after another in the order pushed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VisionInput {
    /// Normalised values, row after row.
    pub pixel_values: Vec<f32>,
    /// Grid of each view.
    pub grids: Vec<Grid>,
}

/// Errors of preprocessing a frame.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// Error of the contract's resize.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// Error of the network's size rule.
    #[error(transparent)]
    SmartResize(#[from] SmartResizeError),
    /// Error of cutting into patches.
    #[error(transparent)]
    Patches(#[from] PatchError),
}

/// Preprocessor that resizes by the contract's rule, then by the network's, and cuts into patches.
#[derive(Debug, Clone)]
pub struct Preprocessor {
    recorded: Option<Resize>,
    cutter: Cutter,
    to_recorded: Resizer,
    to_network: Resizer,
    resized: RgbImage,
    fed: RgbImage,
    input: VisionInput,
}

impl Preprocessor {
    /// Creates a preprocessor for frames that were resized by `recorded` in training, and a network with `rule`.
    ///
    /// # Errors
    /// When the two rules are incompatible or `rule` is invalid; checked here, before any frame arrives.
    pub fn new(recorded: Resize, rule: PatchRule) -> Result<Self, PreprocessError> {
        let Resize { width, height, .. } = recorded;
        smart_resize(Size { height, width }, rule.size_rule())?;
        Self::with(Some(recorded), rule)
    }

    /// Creates a preprocessor without the contract's resize, as the reference processor treats images.
    ///
    /// # Errors
    /// When the rule is invalid.
    pub fn of_pictures(rule: PatchRule) -> Result<Self, PreprocessError> {
        Self::with(None, rule)
    }

    fn with(recorded: Option<Resize>, rule: PatchRule) -> Result<Self, PreprocessError> {
        Ok(Self {
            recorded,
            cutter: Cutter::new(rule)?,
            to_recorded: Resizer::default(),
            to_network: Resizer::default(),
            resized: RgbImage::default(),
            fed: RgbImage::default(),
            input: VisionInput::default(),
        })
    }

    /// Removes the views pushed so far and keeps the buffers.
    pub fn clear(&mut self) {
        self.input.pixel_values.clear();
        self.input.grids.clear();
    }

    /// Appends a decoded view.
    ///
    /// # Errors
    /// When the frame cannot be resized; nothing is appended then.
    pub fn push_rgb(&mut self, frame: &RgbImage) -> Result<(), PreprocessError> {
        let picture = match self.recorded {
            Some(recorded) => {
                self.to_recorded.resize(frame, recorded, &mut self.resized)?;
                &self.resized
            }
            None => frame,
        };
        let (height, width) = (picture.height(), picture.width());
        let size = smart_resize(Size { height, width }, self.cutter.rule().size_rule())?;
        let fed = if size == (Size { height, width }) {
            picture
        } else {
            self.to_network
                .resize_for_network(picture, size.width, size.height, &mut self.fed)?;
            &self.fed
        };
        let grid = self.cutter.append(fed, &mut self.input.pixel_values)?;
        self.input.grids.push(grid);
        Ok(())
    }

    /// Views pushed since the last [`Preprocessor::clear`].
    pub fn input(&self) -> &VisionInput {
        &self.input
    }

    /// Mutable access to the views pushed since the last [`Preprocessor::clear`].
    pub fn input_mut(&mut self) -> &mut VisionInput {
        &mut self.input
    }
}
