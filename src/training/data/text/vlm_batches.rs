//! Makes batches from rows of questions and answers: decoding, resizing, tokens, and labels.

use std::sync::Arc;

use crate::camera::file::load;
use crate::camera::patches::{Grid, PatchRule};
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::model::checkpoint::Manifest;
use crate::model::config::Config;
use crate::model::generate::chat_labels::LabelOptions;
use crate::model::generate::conversation::Conversation;
use crate::training::batch::{LabelledConversation, MASKED, Pictures, VlmBatch};
use crate::training::config::TextSettings;
use crate::training::data::loader::Batches;
use crate::training::data::sampler::{MixtureSampler, RowPlace};
use crate::training::data::vla_batches::Side;
use crate::training::error::RunError;

use super::library::{Library, LibraryRow};

/// Makes batches; threads share it.
#[derive(Debug)]
pub struct VlmBatches {
    library: Library,
    samplers: [MixtureSampler; 2],
    conversation: Conversation,
    rule: PatchRule,
    /// Reasoning anchors, concatenated; empty if the checkpoint has none.
    anchors: String,
    settings: TextSettings,
}

/// Buffers of a thread.
#[derive(Debug)]
pub struct TextReaders {
    preprocessor: Preprocessor,
    picture: RgbImage,
}

impl VlmBatches {
    /// Opens the sources for a checkpoint and the shape of its network.
    ///
    /// # Errors
    /// When a source cannot be read or trained on, or the checkpoint does not support conversations.
    pub fn open(settings: &TextSettings, seed: u64, manifest: &Manifest, config: &Config) -> Result<Self, RunError> {
        let library = Library::open(&settings.sources)?;
        let tokenizer = Arc::new(manifest.tokenizer.clone());
        Ok(Self {
            samplers: library.samplers(settings, seed)?,
            library,
            conversation: Conversation::new(&manifest.home, tokenizer, config)?,
            rule: PatchRule {
                min_pixels: settings.min_pixels,
                max_pixels: settings.max_pixels,
                ..config.patch_rule()
            },
            anchors: config.thinkvla.anchors().iter().map(|one| one.token.as_str()).collect(),
            settings: settings.clone(),
        })
    }

    /// Returns the number of rows of a side.
    pub fn rows(&self, side: Side) -> u64 {
        side.of(&self.samplers).rows()
    }

    /// Returns every row of every source.
    pub fn places(&self) -> Vec<RowPlace> {
        self.library.places()
    }

    /// Checks that a row can be learned from. Its images are read if `pictures` is true, or if the row might be too
    /// long with them.
    ///
    /// # Errors
    /// When it cannot; names the row.
    pub fn check(&self, place: RowPlace, pictures: bool, readers: &mut TextReaders) -> Result<(), RunError> {
        let Some((_, kept)) = self.library.row(place.dataset, place.at.episode) else {
            return Ok(());
        };
        let largest = vec![self.largest(); kept.dialogue.pictures.len()];
        let fits = self
            .conversation
            .write(&kept.dialogue.turns, &largest, &self.writing(kept));
        if pictures || fits.is_err() {
            readers.preprocessor.clear();
            self.answered(place, readers)?;
        }
        Ok(())
    }

    /// Returns a grid with at least as many patches as any image has.
    fn largest(&self) -> Grid {
        let side = u64::from(self.rule.patch * self.rule.merge).max(1);
        let tokens = self.rule.max_pixels.div_ceil(side * side).max(1);
        Grid {
            t: 1,
            h: self.rule.merge,
            w: self
                .rule
                .merge
                .saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX)),
        }
    }

    fn writing(&self, kept: &LibraryRow) -> LabelOptions {
        LabelOptions {
            anchors: match kept.anchored {
                true => self.anchors.clone(),
                false => String::new(),
            },
            longest: self.settings.longest,
        }
    }

    fn answered(&self, place: RowPlace, readers: &mut TextReaders) -> Result<Option<LabelledConversation>, RunError> {
        let Some((path, kept)) = self.library.row(place.dataset, place.at.episode) else {
            return Ok(None);
        };
        let named = |problem: String| RunError::data(path, format!("{}: {problem}", kept.place));
        let before = readers.preprocessor.input().grids.len();
        for file in &kept.dialogue.pictures {
            load(file, &mut readers.picture).map_err(|e| named(e.to_string()))?;
            let pushed = readers.preprocessor.push_rgb(&readers.picture);
            pushed.map_err(|e| named(format!("{}: {e}", file.display())))?;
        }
        let grids = readers.preprocessor.input().grids.get(before..).unwrap_or_default();
        let written = self
            .conversation
            .write(&kept.dialogue.turns, grids, &self.writing(kept));
        let written = written.map_err(|e| named(e.to_string()))?;
        let mut labels = vec![MASKED; written.prompt.ids.len()];
        for answer in written.answers {
            let tokens = written.prompt.ids.get(answer.clone()).unwrap_or_default();
            for (label, token) in labels.iter_mut().skip(answer.start).zip(tokens) {
                *label = *token;
            }
        }
        Ok(Some(LabelledConversation {
            prompt: written.prompt,
            labels,
        }))
    }
}

impl Batches for VlmBatches {
    type Batch = VlmBatch;
    type Readers<'a> = TextReaders;

    fn readers(&self) -> Result<TextReaders, RunError> {
        let preprocessor = Preprocessor::of_pictures(self.rule);
        Ok(TextReaders {
            preprocessor: preprocessor.map_err(|e| RunError::data(std::path::Path::new("text"), e.to_string()))?,
            picture: RgbImage::default(),
        })
    }

    fn batch(&self, side: Side, number: u64, readers: &mut TextReaders) -> Result<VlmBatch, RunError> {
        let mut conversations = Vec::with_capacity(self.settings.batch);
        readers.preprocessor.clear();
        for place in side.of(&self.samplers).batch(number, self.settings.batch as u64) {
            conversations.extend(self.answered(place, readers)?);
        }
        let input = readers.preprocessor.input();
        let pictures = (!input.grids.is_empty()).then(|| Pictures::of(input));
        Ok(VlmBatch {
            pictures: pictures.transpose()?,
            conversations,
        })
    }
}
