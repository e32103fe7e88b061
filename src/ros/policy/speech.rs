//! Streaming of answers: runs on the inference thread, one step between two chunks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ros_env::thinkvla::msg::AnswerPiece;

use super::actor::Said;
use super::brain::Brain;
use super::desk::{Answer, Asked};
use super::planner::Workplace;
use crate::control::time::Time;
use crate::ros::images::Arrived;

/// Longest time that a question waits for images.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer in progress, if any.
#[derive(Default)]
pub struct Speech {
    current: Option<Current>,
}

struct Current {
    asked: Asked,
    answer: Answer,
    /// Checkpoint that answers; it remains the same from the first step of the answer to the last.
    brain: Arc<Brain>,
}

/// Images that a question refers to.
#[derive(Debug)]
pub enum Scene {
    /// Those of the last chunk, with the time of its observation: the vision tower need not run again.
    Seen(Time),
    /// Frames that have not been processed, with the time of their observation.
    Frames(Vec<Arc<Arrived>>, Time),
    /// None available yet.
    Nothing,
}

impl Speech {
    /// Returns whether a question waits or is being answered.
    pub fn is_due(&self, work: &Workplace) -> bool {
        self.current.is_some() || work.desk.is_waiting()
    }

    /// Returns whether an answer is in progress, so that its next step need not wait for an image.
    pub fn is_going(&self) -> bool {
        !self.wants_scene()
    }

    /// Returns whether the next step needs images.
    pub fn wants_scene(&self) -> bool {
        self.current.as_ref().is_none_or(|c| c.answer.observed.is_none())
    }

    /// Runs one step: the start of an answer, a piece of the prompt, or one token.
    pub fn step(&mut self, work: &Workplace, scene: Scene) {
        let waiting = || work.desk.take().map(|asked| Current::of(asked, work.seat.brain()));
        let Some(mut current) = self.current.take().or_else(waiting) else {
            return;
        };
        let start = Instant::now();
        work.pulse.begin_thinking();
        let going = if current.answer.observed.is_none() {
            current.begin(work, scene)
        } else {
            current.go_on(work)
        };
        work.pulse.pause_thinking();
        work.figures().answer_step(start.elapsed());
        match going {
            Ok(true) => self.current = Some(current),
            Ok(false) => current.end(work),
            Err(fault) => {
                tracing::warn!("question {}: {fault}", current.asked.id);
                current.answer.fault = Some(fault);
                current.end(work);
            }
        }
    }

    /// Ends an unfinished answer with an error.
    pub fn stop(&mut self, work: &Workplace) {
        if let Some(mut current) = self.current.take() {
            current.answer.fault = Some("the policy was deactivated before the answer was whole".to_owned());
            current.end(work);
        }
    }
}

impl Current {
    fn of(asked: Asked, brain: Arc<Brain>) -> Self {
        Self {
            asked,
            brain,
            answer: Answer::default(),
        }
    }

    /// Starts the answer when images are available; returns whether there is more to do.
    fn begin(&mut self, work: &Workplace, scene: Scene) -> Result<bool, String> {
        if let Some(ailment) = work.pulse.ailment() {
            return Err(format!("there is nothing to look at: {ailment}"));
        }
        let (frames, observed) = match scene {
            Scene::Seen(observed) => (None, observed),
            Scene::Frames(frames, observed) => (Some(frames), observed),
            Scene::Nothing if self.asked.since.elapsed() < PATIENCE => return Ok(true),
            Scene::Nothing => return Err(format!("waited {PATIENCE:?} in vain for frames that belong together")),
        };
        // Another checkpoint may have become active while the question waited for images.
        self.brain = work.seat.brain();
        self.brain.actor().question(&self.asked.question, frames.as_deref())?;
        self.answer.observed = Some(observed);
        Ok(true)
    }

    /// Generates the next piece; returns whether there is more to do.
    fn go_on(&mut self, work: &Workplace) -> Result<bool, String> {
        let Said { text, tokens, more } = self.brain.actor().speak()?;
        self.answer.tokens += tokens;
        self.answer.text.push_str(&text);
        if !text.is_empty() || !more {
            self.publish(work, text, !more);
        }
        Ok(more)
    }

    fn end(self, work: &Workplace) {
        self.brain.actor().hush();
        if self.answer.fault.is_some() {
            self.publish(work, String::new(), true);
        } else {
            work.figures().answers += 1;
        }
        self.asked.answer(self.answer);
    }

    fn publish(&self, work: &Workplace, text: String, last: bool) {
        let id = self.asked.id;
        if let Err(error) = work.pieces.publish(AnswerPiece { id, text, last }) {
            tracing::warn!("a piece of answer {id} was not sent: {error}");
        }
    }
}
