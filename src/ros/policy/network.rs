//! The network as inference backend.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{AnswerStep, BackendInput, ImageQuestion, InferenceBackend, InferenceError, TimedActions};
use super::checkpoint_swap::Checkpoints;
use super::error::PolicyError;
use super::self_test;
use super::settings::PolicySettings;
use crate::camera::patches::Grid;
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::inspect::check::CheckpointCheck;
use crate::inspect::geometry_picture;
use crate::model::checkpoint::CheckpointOptions;
use crate::model::generate::generation::{AnswerOptions, Generation, GenerationStep};
use crate::model::generate::sampling::Sampling;
use crate::model::layers::device::DeviceChoice;
use crate::model::policy::{Observation, Policy, PolicyOptions};
use crate::model::thinkvla::network::Latents;
use crate::ros::subscribe::images::Arrived;

/// Number of prompt tokens processed in one step of an answer. On a CPU, this many tokens of the 2B model take about as
/// long as generating one token, because the weights are read from memory once either way.
const PROMPT_PIECE: usize = 16;

/// A checkpoint with the pipeline from images to actions.
pub struct NetworkBackend {
    policy: Policy,
    preprocessor: Preprocessor,
    rgb: RgbImage,
    answer: Option<Generation>,
    /// Latents of the last chunk.
    made_of: Option<GeometryInput>,
}

/// Geometry latents of a chunk, with the patch grids of its images.
struct GeometryInput {
    latents: Latents,
    grids: Vec<Grid>,
}

impl NetworkBackend {
    /// Functions that load, check and self-test checkpoints.
    pub fn checkpoints() -> Checkpoints {
        Checkpoints {
            load: Box::new(Self::load),
            check: Box::new(check),
            replay: Box::new(self_test::replay),
        }
    }

    /// Loads a checkpoint.
    ///
    /// # Errors
    /// When there is none, it is damaged, or the device is not available.
    fn load(settings: &PolicySettings, checkpoint: &Path) -> Result<Box<dyn InferenceBackend>, PolicyError> {
        let options = PolicyOptions {
            device: settings
                .device
                .parse::<DeviceChoice>()
                .map_err(|e| PolicyError::Device(e.to_string()))?,
            threads: settings.threads,
            ..PolicyOptions::default()
        };
        let policy = Policy::load(checkpoint, options).map_err(|e| PolicyError::Checkpoint(e.to_string()))?;
        let preprocessor = Preprocessor::new(policy.contract().data.resize, policy.config().patch_rule())
            .map_err(|e| PolicyError::Checkpoint(e.to_string()))?;
        Ok(Box::new(Self {
            policy,
            preprocessor,
            rgb: RgbImage::default(),
            answer: None,
            made_of: None,
        }))
    }

    /// Decodes, resizes and patches the frames of one observation.
    fn prepare(&mut self, frames: &[Arc<Arrived>]) -> Result<(), InferenceError> {
        self.preprocessor.clear();
        for (frame, camera) in frames.iter().zip(&self.policy.contract().robot.cameras) {
            let fault = |message: String| InferenceError::Frame {
                camera: camera.name.clone(),
                message,
            };
            frame.payload.decode(&mut self.rgb).map_err(|e| fault(e.to_string()))?;
            self.preprocessor
                .push_rgb(&self.rgb)
                .map_err(|e| fault(e.to_string()))?;
        }
        Ok(())
    }
}

/// Runs the checks of `thinkvla check`; returns its report.
fn check(settings: &PolicySettings, checkpoint: &Path, dataset: Option<&Path>) -> Result<String, PolicyError> {
    let report = CheckpointCheck {
        options: &CheckpointOptions::default(),
        dataset,
        constant: &settings.allow_constant,
    }
    .run(checkpoint);
    match report.failures.is_empty() {
        true => Ok(report.to_string()),
        false => Err(PolicyError::Checkpoint(report.failures.join("; "))),
    }
}

/// Error of the network, or of the preparation of its input.
fn network(error: &dyn std::fmt::Display) -> InferenceError {
    InferenceError::Network(error.to_string())
}

impl InferenceBackend for NetworkBackend {
    fn contract(&self) -> &Contract {
        self.policy.contract()
    }

    fn checkpoint_hash(&self) -> &str {
        self.policy.checkpoint_hash()
    }

    fn warm_up(&mut self) -> Result<(), InferenceError> {
        self.preprocessor.clear();
        for camera in &self.policy.contract().robot.cameras {
            let black = RgbImage::new(camera.width, camera.height);
            self.preprocessor.push_rgb(&black).map_err(|e| network(&e))?;
        }
        let observation = Observation {
            pixel_values: &self.preprocessor.input().pixel_values,
            grids: &self.preprocessor.input().grids,
            state: &vec![0.0; self.policy.contract().data.state.len()],
            instruction: "warm up",
        };
        self.policy.act(&observation).map(drop).map_err(|e| network(&e))
    }

    fn act(&mut self, input: &BackendInput) -> Result<TimedActions, InferenceError> {
        let start = Instant::now();
        self.prepare(input.frames)?;
        let preprocess = start.elapsed();
        let observation = Observation {
            pixel_values: &self.preprocessor.input().pixel_values,
            grids: &self.preprocessor.input().grids,
            state: input.state,
            instruction: input.instruction,
        };
        let output = self.policy.act(&observation).map_err(|e| network(&e))?;
        self.made_of = Some(GeometryInput {
            latents: output.latents,
            grids: self.preprocessor.input().grids.clone(),
        });
        Ok(TimedActions {
            actions: output.actions,
            preprocess,
            inference: output.timings.total,
        })
    }

    fn begin_answer(
        &mut self,
        question: &ImageQuestion,
        frames: Option<&[Arc<Arrived>]>,
    ) -> Result<(), InferenceError> {
        self.answer = None;
        if let Some(frames) = frames {
            self.prepare(frames)?;
            let input = self.preprocessor.input();
            self.policy
                .encode_images(&input.pixel_values, &input.grids)
                .map_err(|e| network(&e))?;
        }
        let options = AnswerOptions {
            sampling: Sampling {
                temperature: f64::from(question.temperature),
                seed: question.seed,
                ..Sampling::GREEDY
            },
            max_tokens: question.max_tokens as usize,
            prompt_piece: PROMPT_PIECE,
        };
        self.answer = Some(self.policy.ask(&question.text, options).map_err(|e| network(&e))?);
        Ok(())
    }

    fn answer_step(&mut self) -> Result<AnswerStep, InferenceError> {
        let answer = self.answer.as_mut().ok_or(InferenceError::NoQuestion)?;
        let step = self.policy.next_step(answer).map_err(|e| network(&e))?;
        Ok(match step {
            Some(GenerationStep::Read { .. }) => AnswerStep {
                text: String::new(),
                tokens: 0,
                more: true,
            },
            Some(GenerationStep::Token(token)) => AnswerStep {
                more: token.end.is_none(),
                text: token.text,
                tokens: 1,
            },
            None => AnswerStep {
                text: String::new(),
                tokens: 0,
                more: false,
            },
        })
    }

    fn cancel_answer(&mut self) {
        self.answer = None;
    }

    fn geometry(&self) -> Result<Option<RgbImage>, InferenceError> {
        let merge = self.policy.config().patch_rule().merge;
        let draw = |made_of: &GeometryInput| {
            let geometry = made_of.latents.geometry.as_ref();
            geometry.map(|latents| geometry_picture::draw(latents, &made_of.grids, merge))
        };
        let picture = self.made_of.as_ref().and_then(draw);
        picture.transpose().map_err(|e| network(&e))
    }
}
