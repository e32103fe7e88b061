//! Questions and answers with a checkpoint's backbone: pictures and a question in, an answer out.

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Tensor};

use crate::camera::patches::PatchRule;
use crate::camera::preprocess::VisionInput;
use crate::model::checkpoint::{BackboneCheckpoint, Placement};
use crate::model::config::{Precision, Qwen3VlConfig};
use crate::model::error::ModelError;
use crate::model::policy::PolicyOptions;
use crate::model::qwen3_vl::backbone::Backbone;
use crate::model::qwen3_vl::vision_plan::VisionPlan;

use super::conversation::Conversation;
use super::generation::{AnswerOptions, Generation, GenerationStep};

/// A backbone with everything needed to ask it questions.
#[derive(Debug)]
pub struct Chat {
    parts: ChatParts,
}

/// Parts of a speaker.
#[derive(Debug)]
pub struct ChatParts {
    /// Configuration of the backbone.
    pub config: Qwen3VlConfig,
    /// Rule by which pictures are resized, normalised and cut into patches.
    pub rule: PatchRule,
    /// The backbone.
    pub backbone: Backbone,
    /// Builds prompts of questions.
    pub conversation: Conversation,
    /// Device of the computation.
    pub device: Device,
    /// Type of the computation.
    pub compute: Precision,
}

impl Chat {
    /// Loads the backbone of a checkpoint, whichever layout it has.
    ///
    /// # Errors
    /// When a file is missing, damaged or does not fit the others, or the device is not there.
    pub fn load(directory: &Path, options: PolicyOptions) -> Result<Self, ModelError> {
        if let Some(threads) = options.threads {
            tch::set_num_threads(i32::from(threads.max(1)));
        }
        let device = options.device.resolve()?;
        let placement = Placement {
            device,
            compute: options.compute,
        };
        let checkpoint = BackboneCheckpoint::load(directory, placement)?;
        Ok(Self {
            parts: ChatParts {
                conversation: Conversation::new(&checkpoint.home, Arc::new(checkpoint.tokenizer), &checkpoint.config)?,
                compute: checkpoint.compute,
                rule: checkpoint.rule,
                config: checkpoint.config,
                backbone: checkpoint.backbone,
                device,
            },
        })
    }

    /// Returns its parts.
    pub fn into_parts(self) -> ChatParts {
        self.parts
    }

    /// Returns the rule by which pictures are resized, normalised and cut into patches.
    pub fn patch_rule(&self) -> PatchRule {
        self.parts.rule
    }

    /// Begins an answer to a question about pictures, in their order; there may be none. [`Self::next_step`] generates it.
    ///
    /// # Errors
    /// When pictures, question or options are invalid.
    pub fn ask(
        &self,
        question: &str,
        pictures: &VisionInput,
        options: AnswerOptions,
    ) -> Result<Generation, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let prompt = self.parts.conversation.ask(question, &pictures.grids)?;
        let encoded = if pictures.grids.is_empty() {
            None
        } else {
            let images = VisionPlan::new(&pictures.grids, &self.parts.config.vision_config, self.parts.device)?;
            let pixels = Tensor::f_from_slice(&pictures.pixel_values)?
                .f_reshape([-1, self.parts.config.vision_config.patch_values()])?
                .f_to_device(self.parts.device)?
                .f_to_kind(self.parts.compute.kind())?;
            Some(self.parts.backbone.encode_images(&pixels, &images, None)?)
        };
        Generation::new(&self.parts.conversation, prompt, encoded, options)
    }

    /// Generates one step of an answer; see [`Generation::advance`].
    ///
    /// # Errors
    /// When libtorch fails, or the logits are NaN.
    pub fn next_step(&self, answer: &mut Generation) -> Result<Option<GenerationStep>, ModelError> {
        answer.advance(&self.parts.backbone)
    }
}
