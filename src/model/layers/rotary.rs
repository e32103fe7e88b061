//! Rotary position embedding: tables of angles for vision tower and language model, and their application.

use tch::{Device, Kind, TchError, Tensor};

use crate::torch_ext::rows::{NormWeights, RotaryTurn};

use super::wide;
use crate::model::config::{TextConfig, VisionRope};
use crate::model::error::ModelError;

/// Cosines and sines for the rotation of queries and keys.
#[derive(Debug)]
pub struct Rotation {
    cos: Tensor,
    sin: Tensor,
    /// The same values in 32 bits.
    float: Tables,
}

/// Cosines and sines of each row, (rows, head).
#[derive(Debug)]
struct Tables {
    cos: Tensor,
    sin: Tensor,
}

/// Query and key heads, which follow each other at the beginning of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of query heads.
    pub queries: i64,
    /// Number of key heads.
    pub keys: i64,
}

impl Rotation {
    /// Creates tables from angles of half a head; both halves rotate by the same angles.
    ///
    /// # Shapes
    /// angles: (…, head / 2) → cosines and sines (…, head)
    fn new(angles: &Tensor, kind: Kind) -> Result<Self, TchError> {
        let both = Tensor::f_cat(&[angles, angles], -1)?;
        let (cos, sin) = (both.f_cos()?.f_to_kind(kind)?, both.f_sin()?.f_to_kind(kind)?);
        let head = both.size().last().copied().unwrap_or(0);
        let table = |x: &Tensor| x.f_to_kind(Kind::Float)?.f_reshape([-1, head]);
        Ok(Self {
            float: Tables {
                cos: table(&cos)?,
                sin: table(&sin)?,
            },
            cos,
            sin,
        })
    }

    /// Creates the tables of the vision tower: the first half of the frequencies rotates by row, the second by column.
    ///
    /// # Shapes
    /// `cells` (row, column) of N patches → (N, 1, head), in 32 bits
    pub fn of_patches(cells: &[(i64, i64)], head: i64, device: Device) -> Result<Self, ModelError> {
        let inverse = inverse_frequencies(VisionRope::THETA, head / 2);
        let mut angles = Vec::with_capacity(cells.len() * inverse.len() * 2);
        for &(row, column) in cells {
            angles.extend(inverse.iter().map(|f| row as f32 * f));
            angles.extend(inverse.iter().map(|f| column as f32 * f));
        }
        let angles = Tensor::f_from_slice(&angles)?
            .f_reshape([cells.len() as i64, 1, head / 2])?
            .f_to_device(device)?;
        Ok(Self::new(&angles, Kind::Float)?)
    }

    /// Creates the tables of the language model: interleaved multimodal rotary embedding.
    ///
    /// # Shapes
    /// positions: (3, B, L) of time, row, column → (B, 1, L, head), in `kind`
    pub fn of_tokens(positions: &Tensor, config: &TextConfig, kind: Kind) -> Result<Self, ModelError> {
        let half = config.head_dim / 2;
        let [_, rows, columns] = config.rope_scaling.mrope_section;
        // Frequency i rotates by axis[i]: 1, 4, 7 … by row, 2, 5, 8 … by column, the others by time.
        let axis: Vec<i64> = (0..half)
            .map(|i| match i % 3 {
                1 if i < 3 * rows => 1,
                2 if i < 3 * columns => 2,
                _ => 0,
            })
            .collect();
        let device = positions.device();
        let axis = Tensor::f_from_slice(&axis)?.f_to_device(device)?;
        let inverse =
            Tensor::f_from_slice(&inverse_frequencies(config.rope_theta, config.head_dim))?.f_to_device(device)?;
        let angles = positions
            .f_to_kind(Kind::Float)?
            .f_index_select(0, &axis)?
            .f_permute([1, 2, 0])?
            .f_mul(&inverse)?
            .f_unsqueeze(1)?;
        Ok(Self::new(&angles, kind)?)
    }

    /// Creates the tables of VGGT: half a head rotates by row, the other half by column, each like a head of its own.
    ///
    /// # Shapes
    /// `cells` (row, column) of N tokens → (N, 1, 2, head / 2), in 32 bits
    pub fn of_halves(cells: &[(i64, i64)], head: i64, base: f64, device: Device) -> Result<Self, ModelError> {
        let inverse = inverse_frequencies(base, head / 2);
        let turn = |axis: i64| inverse.iter().map(move |f| axis as f32 * f);
        let angles: Vec<f32> = cells
            .iter()
            .flat_map(|(row, column)| turn(*row).chain(turn(*column)))
            .collect();
        let angles = Tensor::f_from_slice(&angles)?
            .f_reshape([cells.len() as i64, 1, 2, head / 4])?
            .f_to_device(device)?;
        Ok(Self::new(&angles, Kind::Float)?)
    }

    /// Rotates queries or keys; dimension i pairs with i + head / 2.
    ///
    /// # Shapes
    /// x: broadcastable to the tables, (…, head) → the same
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let half = x.size().last().copied().unwrap_or(0) / 2;
        let first = x.f_narrow(-1, 0, half)?;
        let second = x.f_narrow(-1, half, half)?;
        let turned = Tensor::f_cat(&[second.f_neg()?, first], -1)?;
        x.f_mul(&self.cos)?.f_add(&turned.f_mul(&self.sin)?)
    }

    /// Normalises (if there are norms) and rotates queries and keys in place, on the CPU.
    ///
    /// # Shapes
    /// rows: as many as the tables have, each of at least the heads' width
    pub fn apply_to_rows(&self, rows: &mut Tensor, heads: Heads, norms: Option<NormWeights>) -> Result<(), TchError> {
        let turn = RotaryTurn {
            queries: heads.queries,
            keys: heads.keys,
            cos: &self.float.cos,
            sin: &self.float.sin,
            norms,
        };
        turn.apply(rows)
    }

    /// Like [`Self::apply`], computed in at least 32 bits and returned in the input's type.
    pub fn apply_in_float(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.apply(&wide(x)?)?.f_to_kind(x.f_kind()?)
    }
}

/// Returns `theta^(-2i / width)` for i below width / 2.
fn inverse_frequencies(theta: f64, width: i64) -> Vec<f32> {
    (0..width / 2)
        .map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / width as f32))
        .collect()
}
