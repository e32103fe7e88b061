//! Queue of the service `ask`: takes one question at a time, and only while the policy is active.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rclrs::{Node, RclrsError, Service};
use ros_env::thinkvla::srv::{Ask, Ask_Request, Ask_Response};
use tokio::sync::oneshot;

use super::backend::ImageQuestion;
use super::error::PolicyError;
use crate::ros::node::lock::lock;
use crate::ros::node::time::to_message;
use crate::types::time::Time;

/// Maximum length of a question (characters): the prompt is processed between chunks, which must not wait long.
const LONGEST_QUESTION: usize = 2000;
/// Maximum length of an answer when the request gives 0 (tokens).
const USUAL_ANSWER: u32 = 128;
/// Largest permitted maximum length of an answer (tokens).
const LONGEST_ANSWER: u32 = 1024;

/// Queue for one question.
#[derive(Debug, Default)]
pub struct AskQueue {
    open: AtomicBool,
    occupied: AtomicBool,
    questions: AtomicU64,
    waiting: Mutex<Option<PendingQuestion>>,
}

/// A question and the channel for its answer. Dropping it makes the queue free for the next one.
#[derive(Debug)]
pub struct PendingQuestion {
    /// Number of the question, counting from 1.
    pub id: u64,
    /// The question.
    pub question: ImageQuestion,
    /// Time of arrival.
    pub since: Instant,
    answer: Option<oneshot::Sender<Answer>>,
    ask_queue: Arc<AskQueue>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Number of generated tokens.
    pub tokens: u32,
    /// Stamp of the oldest image it refers to.
    pub observed: Option<Time>,
    /// The reason why it is incomplete, if it is.
    pub fault: Option<String>,
}

impl AskQueue {
    /// Accepts questions, or refuses them. Refusing drops a waiting question, but does not end an answer in progress.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        if !open {
            self.take();
        }
    }

    /// Takes the waiting question, if there is one.
    pub fn take(&self) -> Option<PendingQuestion> {
        lock(&self.waiting).take()
    }

    /// Whether a question waits.
    pub fn is_waiting(&self) -> bool {
        lock(&self.waiting).is_some()
    }

    /// Accepts a question; returns its number and the receiver of the answer. The channel closes without an answer when the
    /// policy is deactivated first.
    ///
    /// # Errors
    /// When the policy is not active, or another question is being answered.
    fn submit(self: &Arc<Self>, question: ImageQuestion) -> Result<(u64, oneshot::Receiver<Answer>), PolicyError> {
        if !self.open.load(Ordering::Acquire) {
            return Err(PolicyError::NotActive);
        }
        if self.occupied.swap(true, Ordering::AcqRel) {
            return Err(PolicyError::Answering);
        }
        let (answer, answered) = oneshot::channel();
        let id = self.questions.fetch_add(1, Ordering::Relaxed) + 1;
        *lock(&self.waiting) = Some(PendingQuestion {
            id,
            question,
            since: Instant::now(),
            answer: Some(answer),
            ask_queue: Arc::clone(self),
        });
        // The queue may have been closed meanwhile; nobody would take the question.
        if !self.open.load(Ordering::Acquire) {
            self.take();
        }
        Ok((id, answered))
    }
}

impl PendingQuestion {
    /// Frees the queue, then sends the answer: its receiver may ask the next question at once.
    pub fn answer(mut self, answer: Answer) {
        let asker = self.answer.take();
        drop(self);
        if let Some(asker) = asker {
            // The client may have gone.
            let _ = asker.send(answer);
        }
    }
}

impl Drop for PendingQuestion {
    fn drop(&mut self) {
        self.ask_queue.occupied.store(false, Ordering::Release);
    }
}

/// Offers `~/ask`.
///
/// # Errors
/// When the service cannot be created.
pub fn serve(node: &Node, ask_queue: Arc<AskQueue>) -> Result<Service<Ask>, RclrsError> {
    node.create_async_service::<Ask, _>("~/ask", move |request: Ask_Request| {
        let since = Instant::now();
        let taken = question(&request).and_then(|question| ask_queue.submit(question));
        async move {
            let (id, answered) = match taken {
                Ok((id, receiver)) => (id, receiver.await),
                Err(refusal) => {
                    return Ask_Response {
                        message: refusal.to_string(),
                        ..Ask_Response::default()
                    };
                }
            };
            let answer = answered.unwrap_or_else(|_| Answer {
                fault: Some("the policy was deactivated before there was an answer".to_owned()),
                ..Answer::default()
            });
            Ask_Response {
                ok: answer.fault.is_none(),
                message: answer.fault.unwrap_or_default(),
                answer: answer.text,
                tokens: answer.tokens,
                seconds: since.elapsed().as_secs_f64(),
                observation_stamp: answer.observed.map(to_message).unwrap_or_default(),
                id,
            }
        }
    })
}

/// Validates a request; the error names the invalid field.
fn question(request: &Ask_Request) -> Result<ImageQuestion, PolicyError> {
    let text = request.question.trim();
    let length = text.chars().count();
    if length == 0 || length > LONGEST_QUESTION {
        return Err(PolicyError::QuestionLength {
            longest: LONGEST_QUESTION,
            found: length,
        });
    }
    if request.max_tokens > LONGEST_ANSWER {
        return Err(PolicyError::AnswerLength {
            longest: LONGEST_ANSWER,
            found: request.max_tokens,
        });
    }
    if !(request.temperature.is_finite() && request.temperature >= 0.0) {
        return Err(PolicyError::Temperature(request.temperature));
    }
    Ok(ImageQuestion {
        text: text.to_owned(),
        max_tokens: match request.max_tokens {
            0 => USUAL_ANSWER,
            tokens => tokens,
        },
        temperature: request.temperature,
        seed: request.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> ImageQuestion {
        question(&Ask_Request {
            question: text.to_owned(),
            ..Ask_Request::default()
        })
        .unwrap()
    }

    #[test]
    fn one_question_at_a_time_and_none_while_closed() {
        let ask_queue = Arc::new(AskQueue::default());
        let refusal = |text| ask_queue.submit(asked(text)).unwrap_err().to_string();
        assert!(refusal("why?").contains("active policy"));
        ask_queue.set_open(true);
        let (first, mut answered) = ask_queue.submit(asked("why?")).unwrap();
        assert!(refusal("how?").contains("another question"));
        let taken = ask_queue.take().unwrap();
        assert!(ask_queue.submit(asked("how?")).is_err(), "it is being answered");
        let answer = Answer {
            text: "so".to_owned(),
            ..Answer::default()
        };
        taken.answer(answer.clone());
        assert_eq!(answered.try_recv().unwrap(), answer);
        let (second, mut answered) = ask_queue.submit(asked("how?")).unwrap();
        assert_eq!((first, second), (1, 2));
        ask_queue.set_open(false);
        assert!(answered.try_recv().is_err() && !ask_queue.is_waiting());
        ask_queue.set_open(true);
        assert!(ask_queue.submit(asked("and now?")).is_ok(), "the queue is free again");
    }

    #[test]
    fn a_request_that_cannot_work_is_refused_by_its_field() {
        let refusal = |change: fn(&mut Ask_Request)| {
            let mut request = Ask_Request {
                question: "why?".to_owned(),
                ..Ask_Request::default()
            };
            change(&mut request);
            question(&request).unwrap_err().to_string()
        };
        assert!(
            refusal(|r| r.question = " \n".to_owned()).contains("question: expected 1 .. 2000 characters, found 0")
        );
        assert!(refusal(|r| r.question = "é".repeat(2001)).contains("found 2001"));
        assert!(refusal(|r| r.max_tokens = 1025).contains("max_tokens: expected at most 1024"));
        assert!(refusal(|r| r.temperature = -0.5).contains("temperature"));
        assert!(refusal(|r| r.temperature = f32::NAN).contains("temperature"));
        assert_eq!(asked(" why? ").text, "why?");
        assert_eq!(asked("why?").max_tokens, 128);
    }
}
