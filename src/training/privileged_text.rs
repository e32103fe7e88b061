//! Privileged information, the alternative to the reasoning anchor (3DThinkVLA, Table 7): at an interval of steps the
//! network is asked to reason about the scene in words, and a teacher that has read them is distilled at the action
//! queries.
//!
//! The paper does not say which scene is asked about when, nor what the teacher reads in between. Here the network is
//! asked once about each task, about the first scene of it that comes up, and every sample of the task has these words
//! until they expire.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokenizers::Tokenizer;

use crate::model::config::{Config, TeacherTexts};
use crate::model::generate::conversation::Conversation;
use crate::model::generate::generation::{AnswerOptions, Generation, GenerationStep};

use super::batch::{Pictures, VlaBatch};
use super::config::settings::MethodSettings;
use super::data::vla_batches::{SampleTask, VlaBatches};
use super::error::RunError;
use super::error::StepError;
use super::objective::Objective;

/// Text for a task about which the network has generated nothing that a prompt can hold.
const NO_TEXT: &str = "Nothing is known about the scene.";

/// Text that the network has generated about each task.
#[derive(Debug)]
pub struct PrivilegedText {
    conversation: Conversation,
    /// Question that follows the task.
    question: String,
    every: u64,
    longest: usize,
    answers: BTreeMap<String, String>,
}

impl PrivilegedText {
    /// Creates an empty record for a checkpoint's directory and tokenizer.
    ///
    /// # Errors
    /// When the tokenizer has no token that ends an answer.
    pub fn new(
        directory: &Path,
        tokenizer: &Tokenizer,
        config: &Config,
        settings: &MethodSettings,
    ) -> Result<Self, RunError> {
        let texts = match &config.thinkvla.reasoning {
            Some(reasoning) => reasoning.teacher_prompt.clone(),
            None => TeacherTexts::default(),
        };
        Ok(Self {
            conversation: Conversation::new(directory, Arc::new(tokenizer.clone()), &config.qwen3_vl)?,
            question: texts.texts().first().cloned().unwrap_or_default(),
            every: settings.privileged_every,
            longest: settings.privileged_tokens,
            answers: BTreeMap::new(),
        })
    }

    /// Returns the generated text by task.
    pub fn answers(&self) -> BTreeMap<String, String> {
        self.answers.clone()
    }

    /// Restores the text from the notes of a checkpoint.
    pub fn restore(&mut self, answers: BTreeMap<String, String>) {
        self.answers = answers;
    }

    /// Clears the text at the beginning of step `step` if it has expired, so that all tasks are asked about again.
    pub fn forget_old(&mut self, step: u64) {
        if step.is_multiple_of(self.every) {
            self.answers.clear();
        }
    }

    /// Gives each sample of batch `number` a teacher that has read the text about its task.
    ///
    /// # Errors
    /// When a row cannot be read, or a prompt becomes too long.
    pub fn teach(
        &mut self,
        objective: &Objective,
        batch_source: &VlaBatches,
        number: u64,
        batch: &mut VlaBatch,
    ) -> Result<(), RunError> {
        let tasks = batch_source.tasks(number)?;
        let views = batch.pictures.grids.len() / tasks.len().max(1);
        batch.teacher.clear();
        for (sample_task, sample) in tasks.iter().zip(0..) {
            let pictures = views_of(&batch.pictures, sample * views..(sample + 1) * views)?;
            if !self.answers.contains_key(&sample_task.instruction) {
                let answer = self.ask(objective, sample_task, &pictures)?;
                let words = batch_source.prompter().plain_words(&answer);
                let words = words.unwrap_or_else(|| NO_TEXT.to_owned());
                tracing::info!("privileged information on {:?}: {words}", sample_task.instruction);
                self.answers.insert(sample_task.instruction.clone(), words);
            }
            let words = self
                .answers
                .get(&sample_task.instruction)
                .map_or(NO_TEXT, String::as_str);
            let teacher = batch_source
                .prompter()
                .privileged(sample_task.task(), &pictures.grids, words)?;
            batch.teacher.push(teacher);
        }
        Ok(())
    }

    fn ask(&self, objective: &Objective, sample_task: &SampleTask, pictures: &Pictures) -> Result<String, RunError> {
        let _no_grad = tch::no_grad_guard();
        let question = format!("{} {}", sample_task.instruction, self.question);
        let prompt = self.conversation.ask(&question, &pictures.grids)?;
        let options = AnswerOptions {
            max_tokens: self.longest,
            ..AnswerOptions::default()
        };
        let encoded = objective.encode_images(pictures)?;
        let mut answer = Generation::new(&self.conversation, prompt, Some(encoded), options)?;
        let mut text = String::new();
        while let Some(step) = answer.advance(objective.network().backbone())? {
            if let GenerationStep::Token(token) = step {
                text.push_str(&token.text);
            }
        }
        Ok(text)
    }
}

/// Returns some of the images of a batch.
fn views_of(pictures: &Pictures, views: std::ops::Range<usize>) -> Result<Pictures, StepError> {
    let rows = |grids: Option<&[crate::camera::patches::Grid]>| -> i64 {
        grids.unwrap_or_default().iter().map(|grid| grid.patches() as i64).sum()
    };
    let (start, length) = (
        rows(pictures.grids.get(..views.start)),
        rows(pictures.grids.get(views.clone())),
    );
    Ok(Pictures {
        pixels: pictures.pixels.f_narrow(0, start, length)?,
        grids: pictures.grids.get(views).unwrap_or_default().to_vec(),
        kept: None,
    })
}
