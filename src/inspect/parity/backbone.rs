//! Compares a checkpoint's backbone with cases of images and texts.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::case::{Case, EXPECTED, is_image};
use super::report::{Finding, ParityReport, ParityRow, ParityTolerance};
use crate::camera::patches::Grid;
use crate::camera::preprocess::{Preprocessor, VisionInput};
use crate::model::error::ModelError;
use crate::model::generate::chat::{Chat, ChatParts};
use crate::model::policy::PolicyOptions;
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::model::qwen3_vl::vision_plan::VisionPlan;
use crate::model::thinkvla::prompt::Prompt;

/// Metadata key of the block that `expected.layer18` belongs to.
const TAP_BLOCK: &str = "layer18_block";

/// Tensors that can be compared, in the order of their computation.
const COMPARABLE: [&str; 9] = [
    "pixel_values",
    "image_grid_thw",
    "input_ids",
    "attention_mask",
    "position_ids",
    "layer18",
    "hidden_pre_norm",
    "hidden_post_norm",
    "logits",
];

/// A checkpoint to be compared with cases.
#[derive(Debug)]
pub struct Subject {
    parts: ChatParts,
}

/// Outputs of a case. Batches are padded on the left.
struct Outcome {
    pictures: VisionInput,
    prompts: Vec<Prompt>,
    tap: Option<Tensor>,
    /// Rows that are text and not padding, (B, L).
    real: Tensor,
    /// The last layer's output, (B, L, D).
    states: Tensor,
}

impl Subject {
    /// Loads the backbone of a checkpoint.
    ///
    /// # Errors
    /// When a file is missing, damaged or does not fit the others, or the device is not there.
    pub fn load(directory: &Path, options: PolicyOptions) -> Result<Self, ModelError> {
        let parts = Chat::load(directory, options)?.into_parts();
        Ok(Self { parts })
    }

    /// Runs a case and compares everything it expects.
    ///
    /// # Errors
    /// When the case cannot be used: a tensor or a text is missing, of another type, or invalid.
    pub fn compare(&self, case: &Case, tolerance: ParityTolerance) -> Result<ParityReport, ModelError> {
        let names = case.expected(|name| COMPARABLE.contains(&name))?;
        case.check_inputs(is_image)?;
        let tap = names.contains("layer18").then(|| self.tap_block(case)).transpose()?;
        let outcome = tch::no_grad(|| self.run(case, tap))?;
        let mut rows = Vec::with_capacity(names.len());
        for name in COMPARABLE.iter().filter(|name| names.contains(**name)) {
            rows.push(tch::no_grad(|| self.row(case, name, &outcome))?);
        }
        Ok(ParityReport { rows, tolerance })
    }

    /// Returns the block, from 0, that `expected.layer18` belongs to.
    fn tap_block(&self, case: &Case) -> Result<i64, ModelError> {
        let vision = &self.parts.config.vision_config;
        let Some(block_text) = case.metadata().get(TAP_BLOCK) else {
            let last = vision.deepstack_visual_indexes.last().copied();
            return last.ok_or_else(|| ModelError::metadata(TAP_BLOCK, "a block of the vision tower", "nothing"));
        };
        match block_text.parse() {
            Ok(block) if (0..vision.depth).contains(&block) => Ok(block),
            _ => Err(ModelError::metadata(
                TAP_BLOCK,
                format!("a block of the vision tower, 0 to {}", vision.depth - 1),
                format!("{block_text:?}"),
            )),
        }
    }

    fn run(&self, case: &Case, tap: Option<i64>) -> Result<Outcome, ModelError> {
        let ChatParts {
            config,
            backbone,
            conversation,
            ..
        } = &self.parts;
        let messages = case.messages()?;
        let mut preprocessor = Preprocessor::of_pictures(self.parts.rule).map_err(|e| case.refuse(e.to_string()))?;
        let mut prompts = Vec::with_capacity(messages.len());
        for message in &messages {
            let before = preprocessor.input().grids.len();
            for image in &message.images {
                preprocessor.push_rgb(image).map_err(|e| case.refuse(e.to_string()))?;
            }
            let own = preprocessor.input().grids.get(before..).unwrap_or_default();
            prompts.push(conversation.ask(&message.text, own)?);
        }
        let pictures = preprocessor.input().clone();
        let encoded = self.encode_images(&pictures, tap)?;
        let plan = SequencePlan::new(
            &prompts,
            &config.text_config,
            self.parts.compute.kind(),
            self.parts.device,
        )?;
        Ok(Outcome {
            states: backbone.forward_text(&encoded, &plan)?,
            real: real(&prompts)?,
            tap: encoded.tap,
            pictures,
            prompts,
        })
    }

    fn encode_images(&self, pictures: &VisionInput, tap: Option<i64>) -> Result<VisionOutput, ModelError> {
        let (vision, text) = (&self.parts.config.vision_config, &self.parts.config.text_config);
        let (kind, device) = (self.parts.compute.kind(), self.parts.device);
        if pictures.grids.is_empty() {
            let nothing = || Tensor::f_zeros([0, text.hidden_size], (kind, device));
            return Ok(VisionOutput {
                tokens: nothing()?,
                deepstack: vision
                    .deepstack_visual_indexes
                    .iter()
                    .map(|_| nothing())
                    .collect::<Result<_, _>>()?,
                tap: None,
            });
        }
        let plan = VisionPlan::new(&pictures.grids, vision, device)?;
        let pixels = self.pixels(pictures)?.f_to_device(device)?.f_to_kind(kind)?;
        self.parts.backbone.encode_images(&pixels, &plan, tap)
    }

    /// (Σpatches, patch values)
    fn pixels(&self, pictures: &VisionInput) -> Result<Tensor, ModelError> {
        let values = self.parts.config.vision_config.patch_values();
        Ok(Tensor::f_from_slice(&pictures.pixel_values)?.f_reshape([-1, values])?)
    }

    fn row(&self, case: &Case, name: &str, outcome: &Outcome) -> Result<ParityRow, ModelError> {
        let key = format!("{EXPECTED}{name}");
        let backbone = &self.parts.backbone;
        let (shape, finding) = match name {
            "pixel_values" => of_values(case.values(&key)?, &self.pixels(&outcome.pictures)?)?,
            "layer18" => {
                let Some(tap) = &outcome.tap else {
                    return Err(case.refuse(format!("{key}: expected images, found none")));
                };
                of_values(case.values(&key)?, tap)?
            }
            "hidden_pre_norm" => of_states(case.values(&key)?, &outcome.states, outcome)?,
            "hidden_post_norm" => of_states(case.values(&key)?, &backbone.norm(&outcome.states)?, outcome)?,
            "logits" => of_states(case.values(&key)?, &backbone.logits(&outcome.states)?, outcome)?,
            "image_grid_thw" => of_numbers(case.numbers(&key)?, &grids(&outcome.pictures.grids)?)?,
            "attention_mask" => {
                let expected = case.numbers(&key)?;
                let ours = outcome.real.f_to_kind(Kind::Int64)?;
                of_numbers(batched(expected, 1, 0)?, &ours)?
            }
            "position_ids" => {
                let [rows, columns, depths] = [0, 1, 2].map(|axis| {
                    let of = |prompt: &Prompt| prompt.positions.get(axis).cloned().unwrap_or_default();
                    padded(&outcome.prompts, of, PADDING_POSITION)
                });
                let ours = Tensor::f_stack(&[rows?, columns?, depths?], 0)?;
                of_numbers(batched(case.numbers(&key)?, 2, 1)?, &ours)?
            }
            _ => {
                // Values at padding do not matter.
                let ours = padded(&outcome.prompts, |prompt| prompt.ids.clone(), 0)?;
                let expected = batched(case.numbers(&key)?, 1, 0)?;
                let shape = expected.size();
                let finding = match shape == ours.size() {
                    true => Finding::of_numbers(
                        &ours.f_masked_select(&outcome.real)?,
                        &expected.f_masked_select(&outcome.real)?,
                    )?,
                    false => Finding::Shape { found: ours.size() },
                };
                (shape, finding)
            }
        };
        Ok(ParityRow {
            name: key,
            shape,
            finding,
        })
    }
}

/// Position of padding, which the reference writes too.
const PADDING_POSITION: i64 = 1;

fn of_values(expected: Tensor, ours: &Tensor) -> Result<(Vec<i64>, Finding), ModelError> {
    Ok((expected.size(), Finding::of_values(ours, &expected)?))
}

fn of_numbers(expected: Tensor, ours: &Tensor) -> Result<(Vec<i64>, Finding), ModelError> {
    Ok((expected.size(), Finding::of_numbers(ours, &expected)?))
}

/// Compares (B, L, …) at the positions of text.
fn of_states(expected: Tensor, ours: &Tensor, outcome: &Outcome) -> Result<(Vec<i64>, Finding), ModelError> {
    let expected = batched(expected, 2, 0)?;
    let shape = expected.size();
    if shape != ours.size() {
        return Ok((shape, Finding::Shape { found: ours.size() }));
    }
    let rows = outcome.real.f_flatten(0, -1)?.f_nonzero()?.f_flatten(0, -1)?;
    let text = |x: &Tensor| x.f_to_device(Device::Cpu)?.f_flatten(0, 1)?.f_index_select(0, &rows);
    Ok((shape, Finding::of_values(&text(ours)?, &text(&expected)?)?))
}

/// Returns a tensor of a single prompt as a batch of one: if it has only `axes` axes, the batch axis is added at `at`.
fn batched(tensor: Tensor, axes: usize, at: i64) -> Result<Tensor, ModelError> {
    match tensor.dim() == axes {
        true => Ok(tensor.f_unsqueeze(at)?),
        false => Ok(tensor),
    }
}

/// Returns the values of each prompt, padded on the left, (B, L).
fn padded(prompts: &[Prompt], of: impl Fn(&Prompt) -> Vec<i64>, padding: i64) -> Result<Tensor, ModelError> {
    let length = prompts.iter().map(|prompt| prompt.ids.len()).max().unwrap_or(0);
    let rows = prompts.iter().flat_map(|prompt| {
        let missing = length - prompt.ids.len();
        std::iter::repeat_n(padding, missing).chain(of(prompt))
    });
    let values: Vec<i64> = rows.collect();
    Ok(Tensor::f_from_slice(&values)?.f_reshape([prompts.len() as i64, length as i64])?)
}

/// Returns which positions are text, (B, L).
fn real(prompts: &[Prompt]) -> Result<Tensor, ModelError> {
    let marks = padded(prompts, |prompt| vec![1; prompt.ids.len()], 0)?;
    Ok(marks.f_to_kind(Kind::Bool)?)
}

/// (N, 3)
fn grids(grids: &[Grid]) -> Result<Tensor, ModelError> {
    let values: Vec<i64> = grids
        .iter()
        .flat_map(|grid| [grid.t, grid.h, grid.w].map(i64::from))
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_reshape([-1, 3])?)
}
