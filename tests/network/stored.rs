//! A backbone from a Hugging Face directory, evaluated like the reference.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tch::{Device, Kind, Tensor};
use thinkvla::camera::patches::{Cutter, Grid, PatchRule};
use thinkvla::camera::resize::Resizer;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::camera::smart_resize::{Size, smart_resize};
use thinkvla::model::checkpoint::{BackboneCheckpoint, Placement};
use thinkvla::model::config::{Precision, Qwen3VlConfig};
use thinkvla::model::generate::conversation::Conversation;
use thinkvla::model::qwen3_vl::backbone::Backbone;
use thinkvla::model::qwen3_vl::inputs::SequencePlan;
use thinkvla::model::qwen3_vl::vision::VisionOutput;
use thinkvla::model::qwen3_vl::vision_plan::VisionPlan;
use thinkvla::model::thinkvla::prompt::Prompt;

use crate::case::Message;

/// A backbone with what is needed to evaluate it.
pub struct Stored {
    pub config: Qwen3VlConfig,
    pub backbone: Backbone,
    pub conversation: Conversation,
    rule: PatchRule,
    kind: Kind,
}

impl Stored {
    pub fn load(directory: &Path, kind: Kind) -> Self {
        let placement = Placement {
            device: Device::Cpu,
            compute: Some(match kind {
                Kind::Float => Precision::Float32,
                _ => Precision::Bfloat16,
            }),
        };
        let stored = BackboneCheckpoint::load(directory, placement).unwrap();
        Self {
            conversation: Conversation::new(directory, Arc::new(stored.tokenizer), &stored.config).unwrap(),
            backbone: stored.backbone,
            rule: stored.rule,
            config: stored.config,
            kind,
        }
    }

    /// Patches of images, like those of the image processor.
    pub fn pixels(&self, images: &[RgbImage]) -> (Vec<f32>, Vec<Grid>) {
        Self::cut(self.rule, images)
    }

    /// Patches of images by this rule.
    pub fn cut(rule: PatchRule, images: &[RgbImage]) -> (Vec<f32>, Vec<Grid>) {
        let cutter = Cutter::new(rule).unwrap();
        let (mut values, mut fed) = (Vec::new(), RgbImage::default());
        let grids = images.iter().map(|image| {
            let (height, width) = (image.height(), image.width());
            let size = smart_resize(Size { height, width }, rule.size_rule()).unwrap();
            Resizer::default()
                .resize_for_network(image, size.width, size.height, &mut fed)
                .unwrap();
            cutter.append(&fed, &mut values).unwrap()
        });
        let grids = grids.collect();
        (values, grids)
    }

    /// Output of the vision tower; empty for no images.
    pub fn encode_images(&self, values: &[f32], grids: &[Grid]) -> VisionOutput {
        if grids.is_empty() {
            let nothing = || Tensor::zeros([0, self.config.text_config.hidden_size], (self.kind, Device::Cpu));
            let taps = self.config.vision_config.deepstack_visual_indexes.len();
            return VisionOutput {
                tokens: nothing(),
                deepstack: std::iter::repeat_with(nothing).take(taps).collect(),
                tap: None,
            };
        }
        let vision = &self.config.vision_config;
        let pixels = Tensor::from_slice(values).reshape([-1, vision.patch_values()]);
        let plan = VisionPlan::new(grids, vision, Device::Cpu).unwrap();
        self.backbone
            .encode_images(&pixels.to_kind(self.kind), &plan, None)
            .unwrap()
    }

    /// Output of the last layer for each message of one batch, padded on the left, (L, D).
    pub fn states(&self, messages: &[Message]) -> Vec<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let (mut values, mut grids) = (Vec::new(), Vec::new());
        let mut questions = Vec::new();
        for message in messages {
            let (own_values, own_grids) = self.pixels(&message.images);
            questions.push(self.conversation.ask(&message.text, &own_grids).unwrap());
            values.extend(own_values);
            grids.extend(own_grids);
        }
        let text = &self.config.text_config;
        let plan = SequencePlan::new(&questions, text, self.kind, Device::Cpu).unwrap();
        let states = self
            .backbone
            .forward_text(&self.encode_images(&values, &grids), &plan)
            .unwrap();
        let longest = states.size()[1];
        let real = |(question, row): (&Prompt, i64)| {
            let length = question.ids.len() as i64;
            states.get(row).narrow(0, longest - length, length)
        };
        questions.iter().zip(0..).map(real).collect()
    }
}

pub fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
