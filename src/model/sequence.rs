//! Prompts as tensors: left padding, mask, rotary angles and the rows to read and replace.

use tch::{Device, Kind, Tensor};

use super::config::TextConfig;
use super::error::ModelError;
use super::prompt::Prompt;
use super::rotary::Rotation;

/// B prompts padded on the left to L tokens. Made once for a set of prompts and kept.
#[derive(Debug)]
pub struct SequencePlan {
    /// Token ids, (B, L).
    pub(super) ids: Tensor,
    /// Who may attend to whom, (B, 1, L, L); absent where plain causal attention does.
    pub(super) mask: Option<Tensor>,
    /// Angles to turn queries and keys by, (B, 1, L, head).
    pub(super) rotation: Rotation,
    /// Rows of the image tokens in (B x L), in order, (ΣN).
    pub(super) image_rows: Tensor,
    /// The rows that the action part reads.
    pub(super) readers: Readers,
    /// Patches of each sequence's images.
    pub(super) patches: Vec<i64>,
    /// Rows of all patches, sorted row by row of each image in turn, (Σpatches).
    pub(super) raster: Tensor,
}

/// The tokens whose last states are read: of each sequence its N reasoning anchors, then its K action queries. R = N + K,
/// 0 for questions.
#[derive(Debug)]
pub struct Readers {
    /// Their rows in (B x L), (B x R).
    pub(super) rows: Tensor,
    /// Anchors of one sequence, N; the rest are queries.
    pub(super) anchors: i64,
    /// Who may be attended to by them, (B, 1, R, L).
    pub(super) mask: Tensor,
}

/// Position of padding, which nothing attends to.
const PADDING_POSITION: i64 = 1;

impl SequencePlan {
    /// Pads prompts to one length; nothing attends to what fills.
    ///
    /// # Errors
    /// When there is no prompt, or libtorch refuses.
    pub fn new(prompts: &[Prompt], config: &TextConfig, (kind, device): (Kind, Device)) -> Result<Self, ModelError> {
        let batch = prompts.len() as i64;
        let Some(length) = prompts.iter().map(|p| p.ids.len()).max() else {
            return Err(ModelError::Observation {
                expected: "at least one prompt".into(),
                found: "none".into(),
            });
        };
        let mut ids = Vec::new();
        let mut positions: [Vec<i64>; 3] = Default::default();
        let (mut images, mut read, mut allowed) = (Vec::new(), Vec::new(), Vec::new());
        let mut raster: Vec<i64> = Vec::new();
        for (prompt, sequence) in prompts.iter().zip(0..) {
            let padding = length - prompt.ids.len();
            let first = sequence * length as i64 + padding as i64;
            ids.extend(std::iter::repeat_n(0, padding).chain(prompt.ids.iter().copied()));
            for (all, own) in positions.iter_mut().zip(&prompt.positions) {
                all.extend(std::iter::repeat_n(PADDING_POSITION, padding).chain(own.iter().copied()));
            }
            images.extend(prompt.image_tokens.iter().map(|at| first + at));
            let before = raster.len() as i64;
            raster.extend(prompt.raster.iter().map(|row| before + row));
            for at in prompt.anchors.iter().chain(&prompt.queries) {
                read.push(first + at);
                let own = padding as i64 + at;
                allowed.extend((0..length as i64).map(|column| (padding as i64..=own).contains(&column)));
            }
        }
        let length = length as i64;
        let tensor = |values: &[i64], shape: &[i64]| -> Result<Tensor, ModelError> {
            Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_device(device)?)
        };
        let positions = tensor(&positions.concat(), &[3, batch, length])?;
        Ok(Self {
            ids: tensor(&ids, &[batch, length])?,
            mask: mask(prompts, length, device)?,
            rotation: Rotation::of_tokens(&positions, config, kind)?,
            image_rows: tensor(&images, &[-1])?,
            readers: Readers {
                rows: tensor(&read, &[-1])?,
                anchors: prompts.first().map_or(0, |prompt| prompt.anchors.len() as i64),
                mask: Tensor::f_from_slice(&allowed)?
                    .f_reshape([batch, 1, read.len() as i64 / batch, length])?
                    .f_to_device(device)?,
            },
            patches: prompts.iter().map(|p| p.patches).collect(),
            raster: tensor(&raster, &[-1])?,
        })
    }

    /// Number of sequences.
    pub fn batch(&self) -> i64 {
        self.patches.len() as i64
    }
}

/// Causal, and never to padding; padding attends to itself so that no row of the softmax is empty.
fn mask(prompts: &[Prompt], length: i64, device: Device) -> Result<Option<Tensor>, ModelError> {
    if prompts.iter().all(|p| p.ids.len() as i64 == length) {
        return Ok(None);
    }
    let mut allowed = Vec::with_capacity(prompts.len() * (length * length) as usize);
    for prompt in prompts {
        let padding = length - prompt.ids.len() as i64;
        for row in 0..length {
            allowed.extend((0..length).map(|column| column == row || (padding..=row).contains(&column)));
        }
    }
    let mask = Tensor::f_from_slice(&allowed)?
        .f_reshape([-1, 1, length, length])?
        .f_to_device(device)?;
    Ok(Some(mask))
}
