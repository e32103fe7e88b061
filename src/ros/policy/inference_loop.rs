//! Inference loop: the thread that computes chunks from observations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rclrs::Publisher;
use ros_env::thinkvla::msg::{ActionChunk as ChunkMessage, AnswerPiece};

use super::SOURCE;
use super::active_checkpoint::{ActiveCheckpoint, LoadedCheckpoint};
use super::answer_stream::{AnswerStream, QuestionImages};
use super::ask_queue::AskQueue;
use super::backend::{BackendInput, InferenceError, TimedActions};
use super::geometry::GeometryView;
use super::health::HealthMonitor;
use super::metrics::PolicyMetrics;
use super::settings::PolicySettings;
use crate::camera::pairing::{NoPair, PairRule, Pairer, StreamRule};
use crate::control::chunk::{ActionChunk, ChunkOrigin};
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::convert::chunk::{ChunkDetails, chunk_to_message};
use crate::ros::node::lock::lock;
use crate::ros::node::time::NodeClock;
use crate::ros::subscribe::images::{Arrival, Arrived, Slot};
use crate::types::time::Time;

/// Longest time between two checks of the stop flag.
const IDLE_PERIOD: Duration = Duration::from_millis(50);

/// Half the frame period of a typical camera (s).
const HALF_FRAME_S: f64 = 0.015;

/// Inputs and outputs of the inference loop, shared with the node.
pub struct InferenceContext {
    /// Holder of the active checkpoint.
    pub active: ActiveCheckpoint,
    /// Cameras in the contract's order.
    pub slots: Vec<Arc<Slot>>,
    /// Notification of images.
    pub arrival: Arc<Arrival>,
    /// Instruction; empty while there is none.
    pub instruction: Arc<Mutex<String>>,
    /// Health monitor, which is notified when inference begins and ends.
    pub health: Arc<HealthMonitor>,
    /// Metrics.
    pub metrics: Arc<Mutex<PolicyMetrics>>,
    /// Parameters.
    pub settings: Arc<PolicySettings>,
    /// Publisher of chunks.
    pub publisher: Publisher<ChunkMessage>,
    /// Publisher of geometry latents.
    pub geometry: Arc<GeometryView>,
    /// Status of the arm node.
    pub arm: Arc<ArmMonitor>,
    /// Clock of the chunks' stamps.
    pub clock: NodeClock,
    /// Queue of questions.
    pub ask_queue: Arc<AskQueue>,
    /// Publisher of pieces of answers.
    pub pieces: Publisher<AnswerPiece>,
}

/// Handle of the running loop; after `stop` it publishes no further chunk.
pub struct InferenceLoop {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    ask_queue: Arc<AskQueue>,
}

impl InferenceLoop {
    /// Starts the thread, which publishes chunks under this lease.
    pub fn start(context: Arc<InferenceContext>, lease: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let ask_queue = Arc::clone(&context.ask_queue);
        let worker = InferenceWorker {
            stopped: Arc::clone(&stopped),
            lease,
            pairer: Pairer::new(context.pair_rule()),
            rule: context.pair_rule(),
            context,
            last: None,
            plan_id: 0,
            answer_stream: AnswerStream::default(),
        };
        ask_queue.set_open(true);
        let thread = std::thread::spawn(move || worker.run());
        Self {
            stopped,
            thread,
            ask_queue,
        }
    }

    /// Ends the publication of chunks and refuses questions; one that waits is answered with an error.
    pub fn stop(&self) {
        self.ask_queue.set_open(false);
        self.stopped.store(true, Ordering::Release);
    }

    /// Waits for a forward pass in progress, up to `limit`: one that hangs must not keep the node from ending.
    pub fn join(self, limit: Duration) {
        self.stop();
        let deadline = Instant::now() + limit;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !self.thread.is_finished() {
            tracing::error!("the network did not end within {limit:?}; its thread is left behind");
        }
    }
}

/// State of the loop under one lease.
struct InferenceWorker {
    stopped: Arc<AtomicBool>,
    context: Arc<InferenceContext>,
    lease: u64,
    pairer: Pairer<Arc<Arrived>>,
    rule: PairRule,
    last: Option<LastChunk>,
    plan_id: u64,
    answer_stream: AnswerStream,
}

/// Frames of one observation.
struct FrameSet {
    /// One frame for each camera, in the contract's order.
    frames: Vec<Arc<Arrived>>,
    /// Stamp of the oldest frame, which is the chunk's anchor.
    observed: Time,
}

/// Inputs of the last chunk.
struct LastChunk {
    observed: Time,
    instruction: String,
    by: Arc<LoadedCheckpoint>,
}

impl InferenceContext {
    /// Metrics.
    pub fn metrics(&self) -> MutexGuard<'_, PolicyMetrics> {
        lock(&self.metrics)
    }

    /// Rule by which frames are combined to one observation.
    fn pair_rule(&self) -> PairRule {
        let max_age_s = self.settings.camera_age_limit.get();
        let stream = |slot: &Arc<Slot>| StreamRule {
            name: format!("camera {}", slot.camera()),
            max_age_s,
        };
        PairRule {
            streams: self.slots.iter().map(stream).collect(),
            slop_s: self.settings.camera_slop.get(),
        }
    }
}

impl InferenceWorker {
    fn run(mut self) {
        let mut seen = 0;
        while !self.stopped.load(Ordering::Acquire) {
            let nap = if self.answer_stream.is_answering() {
                Duration::ZERO
            } else {
                IDLE_PERIOD
            };
            seen = self.context.arrival.wait(seen, nap);
            let instruction = lock(&self.context.instruction).clone();
            let idle = instruction.is_empty();
            if !idle
                && let Some(frame_set) = self.newest_frames()
                && self.is_due(&frame_set, &instruction)
            {
                self.plan(&frame_set, instruction);
            }
            // One step of an answer after every check for a due chunk: a chunk waits for at most one step, and an answer
            // progresses even when the network is always busy with chunks.
            if self.answer_stream.is_due(&self.context) {
                let wanted = self.answer_stream.wants_scene();
                let scene = if wanted {
                    self.scene(idle)
                } else {
                    QuestionImages::Nothing
                };
                self.answer_stream.step(&self.context, scene);
            }
        }
        self.answer_stream.stop(&self.context);
    }

    /// Frames that a question refers to: those of the last chunk, or new ones when there is no instruction.
    fn scene(&mut self, idle: bool) -> QuestionImages {
        if idle {
            let frame_set = self.newest_frames();
            return frame_set.map_or(QuestionImages::Nothing, |frame_set| {
                QuestionImages::Frames(frame_set.frames, frame_set.observed)
            });
        }
        let context = &self.context;
        let checkpoint = context.active.get();
        let steps = context.settings.replan_steps.get() as f64;
        let oldest = steps / checkpoint.contract.data.fps + context.settings.inference_limit.get();
        match &self.last {
            // A checkpoint that has just become active has not processed any frame yet.
            Some(last) if !Arc::ptr_eq(&last.by, &checkpoint) => QuestionImages::Nothing,
            Some(last) if context.clock.now().seconds_since(last.observed) <= oldest => {
                QuestionImages::Seen(last.observed)
            }
            _ => QuestionImages::Nothing,
        }
    }

    /// The newest frame of each camera, if they are fresh and close enough in time.
    fn newest_frames(&mut self) -> Option<FrameSet> {
        let rule = self.context.pair_rule();
        if rule != self.rule {
            self.pairer = Pairer::new(rule.clone());
            self.rule = rule;
        }
        for (i, slot) in self.context.slots.iter().enumerate() {
            let frame = slot.latest()?;
            self.pairer.offer(i, frame.stamp, frame).ok()?;
        }
        let pair = match self.pairer.take(self.context.clock.now()) {
            Ok(pair) => pair,
            // A frame is missing or the pair is not complete yet.
            Err(NoPair::Missing { .. } | NoPair::Apart { .. }) => return None,
            Err(why) => {
                let why = why.to_string();
                let mut metrics = self.context.metrics();
                metrics.stale += 1;
                metrics.last_stale = why;
                return None;
            }
        };
        Some(FrameSet {
            frames: pair.values.into_iter().map(|stamped| stamped.value).collect(),
            observed: pair.oldest,
        })
    }

    fn is_due(&self, frame_set: &FrameSet, instruction: &str) -> bool {
        let Some(last) = &self.last else {
            return true;
        };
        let steps = self.context.settings.replan_steps.get() as f64;
        let period = 1.0 / last.by.contract.data.fps;
        let elapsed = frame_set.observed.seconds_since(last.observed);
        // Half a frame early is better than a whole frame late; negative times mean that the clock was set back.
        elapsed < 0.0 || elapsed >= steps * period - HALF_FRAME_S || last.instruction != instruction
    }

    fn plan(&mut self, frame_set: &FrameSet, instruction: String) {
        let context = Arc::clone(&self.context);
        let checkpoint = context.active.get();
        let start = Instant::now();
        let limit = Duration::from_secs_f64(context.settings.camera_age_limit.get());
        let state = match checkpoint.robot_state.read(&context.arm, limit) {
            Ok(state) => state,
            Err(error) => return self.fail(error),
        };
        let input = BackendInput {
            frames: &frame_set.frames,
            state: &state,
            instruction: &instruction,
        };
        context.health.begin_inference();
        let outcome = checkpoint.backend().act(&input);
        let frame_fault = matches!(outcome, Err(InferenceError::Frame { .. }));
        context.health.end_inference(!frame_fault);
        let acted = match outcome {
            Ok(acted) => acted,
            Err(error) => return self.fail(error),
        };
        let message = self.chunk(&checkpoint, frame_set, acted);
        self.last = Some(LastChunk {
            observed: frame_set.observed,
            instruction,
            by: Arc::clone(&checkpoint),
        });
        if self.stopped.load(Ordering::Acquire) || context.health.fault().is_some() {
            return;
        }
        let took = start.elapsed();
        let sent = context.publisher.publish(message);
        context.metrics().record(took);
        match sent {
            Ok(()) => context.metrics().chunks += 1,
            Err(error) => tracing::warn!("chunk not sent: {error}"),
        }
        if context.settings.publish_geometry.get() {
            context.geometry.show(&**checkpoint.backend(), frame_set.observed);
        }
    }

    fn chunk(&mut self, checkpoint: &LoadedCheckpoint, frame_set: &FrameSet, acted: TimedActions) -> ChunkMessage {
        let context = &self.context;
        self.plan_id += 1;
        let origin = ChunkOrigin {
            source: SOURCE,
            lease: self.lease,
            plan_id: self.plan_id,
            observed: frame_set.observed,
            expiry_s: context.settings.chunk_expiry.get(),
        };
        let chunk = ActionChunk::of_contract(&checkpoint.contract, acted.actions, origin);
        let stamp = context.clock.now();
        let details = ChunkDetails {
            stamp,
            camera_stamps: frame_set.frames.iter().map(|frame| frame.stamp).collect(),
            checkpoint_hash: checkpoint.hash.clone(),
            preprocess_ms: acted.preprocess.as_secs_f32() * 1e3,
            inference_ms: acted.inference.as_secs_f32() * 1e3,
            observation_age_ms: (stamp.seconds_since(frame_set.observed) * 1e3) as f32,
        };
        chunk_to_message(&chunk, &details)
    }

    /// Records a failure. An unusable frame also counts as rejected by its camera.
    fn fail(&self, error: InferenceError) {
        if let InferenceError::Frame { camera, message } = &error {
            let slots = self.context.slots.iter();
            slots
                .filter(|slot| slot.camera() == camera)
                .for_each(|slot| slot.reject(message));
        }
        let text = error.to_string();
        let is_new = {
            let mut metrics = self.context.metrics();
            metrics.failures += 1;
            std::mem::replace(&mut metrics.last_failure, text.clone()) != text
        };
        if is_new {
            tracing::error!("no chunk for this moment: {text}");
        }
    }
}
