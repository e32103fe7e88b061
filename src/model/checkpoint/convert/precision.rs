//! Cost of bfloat16: how far actions of a converted checkpoint are from those of its origin in float32.

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::super::{CheckpointOptions, Manifest, Placement};
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::model::config::{Config, Precision};
use crate::model::error::ModelError;
use crate::model::layers::device::machine_memory;
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::vision_plan::VisionPlan;
use crate::model::thinkvla::prompt::{PromptTask, Prompter};
use crate::model::thinkvla::state::StateInput;

/// Observations that are compared.
const OBSERVATIONS: u32 = 4;
/// Memory that one network in float32 takes at its peak, over the size of its weights: see docs/latency.md.
const PEAK: f64 = 1.15;
const INSTRUCTION: &str = "pick up the red block.";

/// Deviation of actions in bfloat16 from the same actions in float32, in the range that actions are normalised to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionCost {
    /// Synthetic observations that were acted on.
    pub observations: usize,
    /// Largest deviation of a value.
    pub largest: f64,
    /// Mean deviation.
    pub mean: f64,
}

/// What came of the comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measured {
    /// The cost.
    Cost(PrecisionCost),
    /// Not enough memory for the network in float32 (bytes).
    Memory {
        /// Needed.
        needed: f64,
        /// Available.
        available: f64,
    },
    /// The origin has no trained action part.
    Untrained,
}

/// Lets `origin` act in float32 and `converted` in bfloat16 on the same synthetic observations, one after the other, so that
/// only one network is in memory at a time.
///
/// # Errors
/// When one of them cannot be loaded, or libtorch refuses.
pub fn measure(origin: &Path, converted: &Path, options: &CheckpointOptions) -> Result<Measured, ModelError> {
    let origin = Manifest::read(origin, options)?;
    if origin.thinkvla.is_none() {
        return Ok(Measured::Untrained);
    }
    let converted = Manifest::read(converted, &CheckpointOptions::default())?;
    let contract = converted.contract()?;
    let values: usize = converted
        .layout(super::CheckpointPart::Everything)?
        .iter()
        .map(|p| p.count())
        .sum();
    let needed = values as f64 * 4.0 * PEAK;
    if let Some(available) = machine_memory("MemAvailable").filter(|available| *available < needed) {
        return Ok(Measured::Memory { needed, available });
    }
    let exact = actions(&origin, contract, Precision::Float32)?;
    let rounded = actions(&converted, contract, Precision::Bfloat16)?;
    let off = exact.f_sub(&rounded)?.f_abs()?;
    Ok(Measured::Cost(PrecisionCost {
        observations: OBSERVATIONS as usize,
        largest: off.f_max()?.f_double_value(&[])?,
        mean: off.f_mean(Kind::Double)?.f_double_value(&[])?,
    }))
}

/// Normalised actions of all observations.
///
/// # Shapes
/// (observations, K, action dimension)
fn actions(manifest: &Manifest, contract: &Contract, compute: Precision) -> Result<Tensor, ModelError> {
    let _no_grad = tch::no_grad_guard();
    let config = manifest.config()?;
    let (kind, device) = (compute.kind(), Device::Cpu);
    let network = manifest.network(Placement {
        device,
        compute: Some(compute),
    })?;
    let prompter = Prompter::new(Arc::new(manifest.tokenizer.clone()), &config)?;
    let refused = |found: String| ModelError::Observation {
        expected: "images of a size that the network takes".into(),
        found,
    };
    let mut frames =
        Preprocessor::new(contract.data.resize, config.patch_rule()).map_err(|e| refused(e.to_string()))?;
    let mut all = Vec::new();
    for observation in 0..OBSERVATIONS {
        frames.clear();
        for (camera, view) in contract.robot.cameras.iter().zip(0..) {
            let frame = frame(camera.width, camera.height, 8 * observation + view);
            frames.push_rgb(&frame).map_err(|e| refused(e.to_string()))?;
        }
        let input = frames.input();
        let state = mean_state(&config, contract)?;
        let task = PromptTask {
            instruction: INSTRUCTION,
            state: state.text.as_ref(),
        };
        let prompt = prompter.student(task, &input.grids)?;
        let numbers = state.tensor(device)?;
        let plan = SequencePlan::new(&[prompt], &config.text_config, kind, device)?.with_state(numbers);
        let images = VisionPlan::new(&input.grids, &config.vision_config, device)?;
        let pixels = Tensor::f_from_slice(&input.pixel_values)?
            .f_reshape([-1, config.vision_config.patch_values()])?
            .f_to_kind(kind)?;
        all.push(
            network
                .forward(&pixels, &images, &plan)?
                .actions
                .f_to_kind(Kind::Double)?,
        );
    }
    Ok(Tensor::f_cat(&all, 0)?)
}

/// The mean state of the training data in the form that the network reads, if it reads one.
fn mean_state(config: &Config, contract: &Contract) -> Result<StateInput, ModelError> {
    let of = &contract.data.state;
    let mean: Vec<f64> = of.iter().map(|dimension| dimension.mean).collect();
    StateInput::new(config.thinkvla.proprio, &mean, of)
}

/// A picture with colour gradients and a block, in which every `number` places and colours them otherwise.
fn frame(width: u32, height: u32, number: u32) -> RgbImage {
    let mut frame = RgbImage::new(width, height);
    let draw = |salt: u32| (number * 7 + salt).wrapping_mul(2_654_435_761) >> 24;
    let (left, top, side) = (width * draw(1) / 320, height * draw(2) / 320, width.min(height) / 6);
    let inside = |x: u32, y: u32| (left..left + side).contains(&x) && (top..top + side).contains(&y);
    let positions = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    for (pixel, (x, y)) in frame.data_mut().chunks_exact_mut(3).zip(positions) {
        for (value, channel) in pixel.iter_mut().zip(3..) {
            let slope = (x * draw(channel) / width + y * draw(channel + 3) / height) / 2;
            *value = if inside(x, y) {
                draw(channel + 6) as u8
            } else {
                slope as u8
            };
        }
    }
    frame
}
