//! Reads the images of rows and prepares them for the vision tower.

use std::path::Path;

use rand_chacha::ChaCha8Rng;

use super::{VlaBatches, named};
use crate::camera::patches::Grid;
use crate::camera::preprocess::{PreprocessError, Preprocessor, VisionInput};
use crate::camera::rgb::RgbImage;
use crate::dataset::Dataset;
use crate::dataset::decoded_images::DecodedImageReader;
use crate::training::batch::Pictures;
use crate::training::data::augment::Augmentation;
use crate::training::data::crop_window::CropWindow;
use crate::training::data::sampler::RowPlace;
use crate::training::error::RunError;

/// Open files and buffers of a thread.
pub struct Readers<'a> {
    images: Vec<DecodedImageReader<'a>>,
    pub(super) preprocessor: Preprocessor,
    /// Views of the row that was read last, as recorded.
    pub(super) pictures: Vec<RgbImage>,
    /// Windows of them that were fed; empty where they were fed whole.
    pub(super) windows: Vec<CropWindow>,
    cropped: RgbImage,
}

impl VlaBatches {
    /// Reads the images of some rows, one after another.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn pictures(&self, places: &[RowPlace], readers: &mut Readers) -> Result<Pictures, RunError> {
        readers.preprocessor.clear();
        for place in places {
            self.read_pictures(*place, None, readers)?;
        }
        Ok(Pictures::of(readers.preprocessor.input())?)
    }

    /// Reads the views of a row into the preprocessor, after those it has; with a random generator, windows of them that
    /// it draws.
    pub(super) fn read_pictures(
        &self,
        place: RowPlace,
        mut windows: Option<&mut ChaCha8Rng>,
        readers: &mut Readers,
    ) -> Result<(), RunError> {
        let (Some(dataset), Some(images)) = (
            self.mixture.datasets().get(place.dataset),
            readers.images.get_mut(place.dataset),
        ) else {
            return Ok(());
        };
        let named = |problem| named(dataset, place.at, problem);
        images
            .read(place.at, &mut readers.pictures)
            .map_err(|e| named(e.to_string()))?;
        readers.windows.clear();
        for picture in &readers.pictures {
            let fed = match windows.as_deref_mut() {
                Some(random) => {
                    let window = self.settings.augment.window(random);
                    window.crop(picture, &mut readers.cropped);
                    readers.windows.push(window);
                    &readers.cropped
                }
                None => picture,
            };
            readers.preprocessor.push_rgb(fed).map_err(|e| named(e.to_string()))?;
        }
        Ok(())
    }

    /// Creates the readers of one thread.
    ///
    /// # Errors
    /// When a dataset lacks a camera of the contract, or the images cannot be cut into patches.
    pub fn readers(&self) -> Result<Readers<'_>, RunError> {
        let views = self.mixture.views();
        let views: Vec<&str> = views.iter().map(String::as_str).collect();
        let datasets = self.mixture.datasets();
        let images = datasets.iter().map(|dataset| DecodedImageReader::new(dataset, &views));
        let root = datasets.first().map(Dataset::root).unwrap_or(Path::new(""));
        Ok(Readers {
            images: images.collect::<Result<_, _>>()?,
            preprocessor: Preprocessor::new(self.mixture.contract().data.resize, self.rule)
                .map_err(|e| RunError::data(root, e.to_string()))?,
            pictures: Vec::new(),
            windows: Vec::new(),
            cropped: RgbImage::default(),
        })
    }

    /// Returns the grids of the views of a row; all rows have the same.
    ///
    /// # Errors
    /// When the images cannot be cut into patches.
    pub(in crate::training::data) fn grids(&self) -> Result<Vec<Grid>, RunError> {
        let size = self.mixture.contract().data.resize;
        let root = self.mixture.datasets().first().map_or(Path::new(""), Dataset::root);
        let refused = |e: PreprocessError| RunError::data(root, e.to_string());
        let mut preprocessor = Preprocessor::new(size, self.rule).map_err(refused)?;
        let blank = RgbImage::new(size.width, size.height);
        for _ in self.mixture.views() {
            preprocessor.push_rgb(&blank).map_err(refused)?;
        }
        Ok(preprocessor.input().grids.clone())
    }
}

/// Changes contrast and colour of each image independently.
pub(super) fn recolour(by: Augmentation, input: &mut VisionInput, random: &mut ChaCha8Rng) {
    let patches: usize = input.grids.iter().map(Grid::patches).sum();
    let values = input.pixel_values.len() / patches.max(1);
    let mut rest = input.pixel_values.as_mut_slice();
    for grid in &input.grids {
        let Some((picture, behind)) = rest.split_at_mut_checked(grid.patches() * values) else {
            return;
        };
        by.apply(picture, values, random);
        rest = behind;
    }
}
