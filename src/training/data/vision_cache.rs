//! Outputs of a frozen vision tower for every row, computed once and kept in memory.
//!
//! While patch embedding and blocks are frozen, their outputs are the same in every epoch. Without computing them, a
//! sample of the small network costs two fifths (docs/learning.md).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tch::{Kind, Tensor};

use super::loader::{BatchSequence, Batches, Loader};
use super::sampler::RowPlace;
use super::vla_batches::VlaBatches;
use crate::camera::patches::Grid;
use crate::training::batch::Pictures;
use crate::training::data::vla_batches::{Readers, Side};
use crate::training::error::RunError;
use crate::training::objective::Objective;

/// Size of a value (bytes).
const BYTES: usize = 2;
/// Rows of one forward pass.
const ROWS_PER_PASS: u64 = 64;

/// Outputs of the blocks that are read, for every row, in bfloat16.
#[derive(Debug)]
pub struct VisionCache {
    /// Index of each place in `values`.
    rows: HashMap<RowPlace, usize>,
    values: Vec<u8>,
    /// Number of blocks, patches of a row, and channels.
    shape: [i64; 3],
    /// Sizes of the views of a row in patches; the same for all rows.
    grids: Vec<Grid>,
}

/// Rows of a feed, each read once.
struct Rows {
    batch_source: Arc<VlaBatches>,
    places: Vec<RowPlace>,
}

impl Batches for Rows {
    type Batch = (Vec<RowPlace>, Pictures);
    type Readers<'a> = Readers<'a>;

    fn readers(&self) -> Result<Readers<'_>, RunError> {
        self.batch_source.readers()
    }

    fn batch<'a>(&'a self, _: Side, number: u64, readers: &mut Readers<'a>) -> Result<Self::Batch, RunError> {
        let places = self
            .places
            .iter()
            .skip((number * ROWS_PER_PASS) as usize)
            .take(ROWS_PER_PASS as usize);
        let places: Vec<RowPlace> = places.copied().collect();
        let pictures = match places.is_empty() {
            // Threads read ahead beyond the last batch.
            true => Pictures::none(),
            false => self.batch_source.pictures(&places, readers)?,
        };
        Ok((places, pictures))
    }
}

impl VisionCache {
    /// Computes the outputs for all rows of a feed, with `workers` threads that decode.
    ///
    /// # Errors
    /// When a row cannot be read, or rows have images of different sizes.
    pub fn of(batch_source: &Arc<VlaBatches>, objective: &Objective, workers: usize) -> Result<Self, RunError> {
        let places = batch_source.mixture().places();
        let batches = (places.len() as u64).div_ceil(ROWS_PER_PASS);
        let rows = Arc::new(Rows {
            batch_source: Arc::clone(batch_source),
            places,
        });
        let turns = BatchSequence { first: 0, every: 1 };
        let mut loader = Loader::start(&rows, turns, workers, 2);
        let mut kept = Self {
            rows: HashMap::new(),
            values: Vec::new(),
            shape: [0; 3],
            grids: Vec::new(),
        };
        for _ in 0..batches {
            let (places, pictures) = loader.take()?;
            kept.add(&places, &pictures, objective)?;
        }
        Ok(kept)
    }

    fn add(&mut self, places: &[RowPlace], pictures: &Pictures, objective: &Objective) -> Result<(), RunError> {
        let samples = places.len();
        let views = pictures.grids.len() / samples.max(1);
        let own = pictures.grids.get(..views).unwrap_or_default();
        if self.grids.is_empty() {
            self.grids = own.to_vec();
        }
        if pictures.grids.chunks(views.max(1)).any(|grids| grids != self.grids) {
            let message = "expected pictures of the same sizes in every row, found others; set it to false";
            return Err(RunError::data(Path::new("data.keep_vision"), message));
        }
        // (blocks, samples, patches, C) → (samples, blocks, patches, C)
        let states = objective.block_states(pictures)?;
        let states = Tensor::f_stack(&states, 0)?.f_to_device(tch::Device::Cpu)?;
        let (blocks, _, channels) = states.size3()?;
        let by_sample = states
            .f_reshape([blocks, samples as i64, -1, channels])?
            .f_transpose(0, 1)?
            .f_to_kind(Kind::BFloat16)?
            .f_contiguous()?;
        let patches = by_sample.size().get(2).copied().unwrap_or(0);
        self.shape = [blocks, patches, channels];
        let count = by_sample.numel();
        let start = self.values.len();
        self.values.resize(start + BYTES * count, 0);
        if let Some(place) = self.values.get_mut(start..) {
            by_sample.f_copy_data_u8(place, count)?;
        }
        for place in places {
            self.rows.insert(*place, self.rows.len());
        }
        Ok(())
    }

    /// Returns the outputs for some rows, as [`Pictures`] of a batch.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn pictures(&self, places: &[RowPlace]) -> Result<Pictures, tch::TchError> {
        let [blocks, patches, channels] = self.shape;
        let each = BYTES * (blocks * patches * channels) as usize;
        let mut values = Vec::with_capacity(each * places.len());
        for place in places {
            let row = self.rows.get(place).copied().unwrap_or_default();
            values.extend_from_slice(self.values.get(row * each..(row + 1) * each).unwrap_or_default());
        }
        let shape = [places.len() as i64, blocks, patches, channels];
        let all = Tensor::f_from_data_size(&values, &shape, Kind::BFloat16)?;
        Ok(Pictures {
            grids: places.iter().flat_map(|_| self.grids.iter().copied()).collect(),
            // (samples, blocks, patches, C) → (blocks, Σpatches, C)
            kept: Some(all.f_transpose(0, 1)?.f_reshape([blocks, -1, channels])?),
            pixels: Tensor::f_zeros([0, 0], (Kind::Float, tch::Device::Cpu))?,
        })
    }

    /// Returns the sizes of the views of a row in patches.
    pub fn grids(&self) -> &[Grid] {
        &self.grids
    }

    /// Returns the memory that it takes (bytes).
    pub fn bytes(&self) -> usize {
        self.values.len()
    }
}
