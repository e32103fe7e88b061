//! Streaming of answers: runs on the inference thread, one step between two chunks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ros_env::thinkvla::msg::AnswerPiece;

use super::active_checkpoint::LoadedCheckpoint;
use super::ask_queue::{Answer, PendingQuestion};
use super::backend::AnswerStep;
use super::error::PolicyError;
use super::inference_loop::InferenceContext;
use crate::ros::subscribe::images::Arrived;
use crate::types::time::Time;

/// Longest time that a question waits for images.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer in progress, if any.
#[derive(Default)]
pub struct AnswerStream {
    current: Option<Current>,
}

struct Current {
    pending: PendingQuestion,
    answer: Answer,
    /// Checkpoint that answers; it remains the same from the first step of the answer to the last.
    checkpoint: Arc<LoadedCheckpoint>,
}

/// Images that a question refers to.
#[derive(Debug)]
pub enum QuestionImages {
    /// Those of the last chunk, with the time of its observation: the vision tower need not run again.
    Seen(Time),
    /// Frames that have not been processed, with the time of their observation.
    Frames(Vec<Arc<Arrived>>, Time),
    /// None available yet.
    Nothing,
}

impl AnswerStream {
    /// Returns whether a question waits or is being answered.
    pub fn is_due(&self, context: &InferenceContext) -> bool {
        self.current.is_some() || context.ask_queue.is_waiting()
    }

    /// Returns whether an answer is in progress, so that its next step need not wait for an image.
    pub fn is_answering(&self) -> bool {
        !self.wants_scene()
    }

    /// Returns whether the next step needs images.
    pub fn wants_scene(&self) -> bool {
        self.current.as_ref().is_none_or(|c| c.answer.observed.is_none())
    }

    /// Runs one step: the start of an answer, a piece of the prompt, or one token.
    pub fn step(&mut self, context: &InferenceContext, scene: QuestionImages) {
        let waiting = || {
            context
                .ask_queue
                .take()
                .map(|pending| Current::of(pending, context.active.get()))
        };
        let Some(mut current) = self.current.take().or_else(waiting) else {
            return;
        };
        let start = Instant::now();
        context.health.begin_inference();
        let going = if current.answer.observed.is_none() {
            current.begin(context, scene)
        } else {
            current.advance(context)
        };
        context.health.end_answer_step();
        context.metrics().answer_step(start.elapsed());
        match going {
            Ok(true) => self.current = Some(current),
            Ok(false) => current.end(context),
            Err(fault) => {
                current.answer.fault = Some(fault.to_string());
                current.end(context);
            }
        }
    }

    /// Ends an unfinished answer with an error.
    pub fn stop(&mut self, context: &InferenceContext) {
        if let Some(mut current) = self.current.take() {
            current.answer.fault = Some("the policy was deactivated before the answer was whole".to_owned());
            current.end(context);
        }
    }
}

impl Current {
    fn of(pending: PendingQuestion, checkpoint: Arc<LoadedCheckpoint>) -> Self {
        Self {
            pending,
            checkpoint,
            answer: Answer::default(),
        }
    }

    /// Starts the answer when images are available; returns whether there is more to do.
    fn begin(&mut self, context: &InferenceContext, scene: QuestionImages) -> Result<bool, PolicyError> {
        if let Some(fault) = context.health.fault() {
            return Err(PolicyError::NothingToSee(fault));
        }
        let (frames, observed) = match scene {
            QuestionImages::Seen(observed) => (None, observed),
            QuestionImages::Frames(frames, observed) => (Some(frames), observed),
            QuestionImages::Nothing if self.pending.since.elapsed() < IMAGE_TIMEOUT => return Ok(true),
            QuestionImages::Nothing => return Err(PolicyError::NoFrames(IMAGE_TIMEOUT)),
        };
        // Another checkpoint may have become active while the question waited for images.
        self.checkpoint = context.active.get();
        self.checkpoint
            .backend()
            .begin_answer(&self.pending.question, frames.as_deref())?;
        self.answer.observed = Some(observed);
        Ok(true)
    }

    /// Generates the next piece; returns whether there is more to do.
    fn advance(&mut self, context: &InferenceContext) -> Result<bool, PolicyError> {
        let AnswerStep { text, tokens, more } = self.checkpoint.backend().answer_step()?;
        self.answer.tokens += tokens;
        self.answer.text.push_str(&text);
        if !text.is_empty() || !more {
            self.publish(context, text, !more);
        }
        Ok(more)
    }

    fn end(self, context: &InferenceContext) {
        self.checkpoint.backend().cancel_answer();
        if self.answer.fault.is_some() {
            self.publish(context, String::new(), true);
        } else {
            context.metrics().answers += 1;
        }
        self.pending.answer(self.answer);
    }

    fn publish(&self, context: &InferenceContext, text: String, last: bool) {
        let id = self.pending.id;
        if let Err(error) = context.pieces.publish(AnswerPiece { id, text, last }) {
            tracing::warn!("a piece of answer {id} was not sent: {error}");
        }
    }
}
