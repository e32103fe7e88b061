//! Inference loop: the thread that computes chunks from observations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rclrs::Publisher;
use ros_env::thinkvla::msg::{ActionChunk as ChunkMessage, AnswerPiece};

use super::SOURCE;
use super::actor::{ActError, Acted, Situation};
use super::arm::ArmWatch;
use super::brain::{Brain, Seat};
use super::desk::Desk;
use super::figures::Figures;
use super::geometry::GeometryView;
use super::pulse::Pulse;
use super::settings::Settings;
use super::speech::{Scene, Speech};
use crate::camera::pairing::{NotReady, PairRule, Pairer, StreamRule};
use crate::control::chunk::ActionChunk;
use crate::control::time::Time;
use crate::ros::convert_chunk::{ChunkDetails, chunk_to_message};
use crate::ros::images::{Arrival, Arrived, Slot};
use crate::ros::lock::lock;
use crate::ros::time::Clock;

/// Longest time between two checks of the stop flag.
const NAP: Duration = Duration::from_millis(50);

/// Half the frame period of a typical camera (s).
const HALF_FRAME_S: f64 = 0.015;

/// Inputs and outputs of the inference loop, shared with the node.
pub struct Workplace {
    /// Holder of the active checkpoint.
    pub seat: Seat,
    /// Cameras in the contract's order.
    pub slots: Vec<Arc<Slot>>,
    /// Notification of images.
    pub arrival: Arc<Arrival>,
    /// Instruction; empty while there is none.
    pub instruction: Arc<Mutex<String>>,
    /// Health monitor, which is notified when inference begins and ends.
    pub pulse: Arc<Pulse>,
    /// Metrics.
    pub figures: Arc<Mutex<Figures>>,
    /// Parameters.
    pub settings: Arc<Settings>,
    /// Publisher of chunks.
    pub publisher: Publisher<ChunkMessage>,
    /// Publisher of geometry latents.
    pub geometry: Arc<GeometryView>,
    /// Status of the arm node.
    pub arm: Arc<ArmWatch>,
    /// Clock of the chunks' stamps.
    pub clock: Clock,
    /// Queue of questions.
    pub desk: Arc<Desk>,
    /// Publisher of pieces of answers.
    pub pieces: Publisher<AnswerPiece>,
}

/// Handle of the running loop; after `stop` it publishes no further chunk.
pub struct Planner {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    desk: Arc<Desk>,
}

impl Planner {
    /// Starts the thread, which publishes chunks under this lease.
    pub fn start(workplace: Arc<Workplace>, lease: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let desk = Arc::clone(&workplace.desk);
        let shift = Shift {
            stopped: Arc::clone(&stopped),
            lease,
            pairer: Pairer::new(workplace.pair_rule()),
            rule: workplace.pair_rule(),
            workplace,
            last: None,
            plan_id: 0,
            speech: Speech::default(),
        };
        desk.set_open(true);
        let thread = std::thread::spawn(move || shift.work());
        Self { stopped, thread, desk }
    }

    /// Ends the publication of chunks and refuses questions; one that waits is answered with an error.
    pub fn stop(&self) {
        self.desk.set_open(false);
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
struct Shift {
    stopped: Arc<AtomicBool>,
    workplace: Arc<Workplace>,
    lease: u64,
    pairer: Pairer<Arc<Arrived>>,
    rule: PairRule,
    last: Option<Planned>,
    plan_id: u64,
    speech: Speech,
}

/// Frames of one observation.
struct Moment {
    /// One frame for each camera, in the contract's order.
    frames: Vec<Arc<Arrived>>,
    /// Stamp of the oldest frame, which is the chunk's anchor.
    observed: Time,
}

/// Inputs of the last chunk.
struct Planned {
    observed: Time,
    instruction: String,
    by: Arc<Brain>,
}

impl Workplace {
    /// Metrics.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        lock(&self.figures)
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

impl Shift {
    fn work(mut self) {
        let mut seen = 0;
        while !self.stopped.load(Ordering::Acquire) {
            let nap = if self.speech.is_going() { Duration::ZERO } else { NAP };
            seen = self.workplace.arrival.wait(seen, nap);
            let instruction = lock(&self.workplace.instruction).clone();
            let idle = instruction.is_empty();
            if !idle
                && let Some(moment) = self.newest_moment()
                && self.is_due(&moment, &instruction)
            {
                self.plan(&moment, instruction);
            }
            // One step of an answer after every check for a due chunk: a chunk waits for at most one step, and an answer
            // progresses even when the network is always busy with chunks.
            if self.speech.is_due(&self.workplace) {
                let wanted = self.speech.wants_scene();
                let scene = if wanted { self.scene(idle) } else { Scene::Nothing };
                self.speech.step(&self.workplace, scene);
            }
        }
        self.speech.stop(&self.workplace);
    }

    /// Frames that a question refers to: those of the last chunk, or new ones when there is no instruction.
    fn scene(&mut self, idle: bool) -> Scene {
        if idle {
            let moment = self.newest_moment();
            return moment.map_or(Scene::Nothing, |moment| Scene::Frames(moment.frames, moment.observed));
        }
        let work = &self.workplace;
        let brain = work.seat.brain();
        let steps = work.settings.replan_steps.get() as f64;
        let oldest = steps / brain.contract.data.fps + work.settings.inference_limit.get();
        match &self.last {
            // A checkpoint that has just become active has not processed any frame yet.
            Some(last) if !Arc::ptr_eq(&last.by, &brain) => Scene::Nothing,
            Some(last) if work.clock.now().seconds_since(last.observed) <= oldest => Scene::Seen(last.observed),
            _ => Scene::Nothing,
        }
    }

    /// The newest frame of each camera, if they are fresh and close enough in time.
    fn newest_moment(&mut self) -> Option<Moment> {
        let rule = self.workplace.pair_rule();
        if rule != self.rule {
            self.pairer = Pairer::new(rule.clone());
            self.rule = rule;
        }
        for (i, slot) in self.workplace.slots.iter().enumerate() {
            let frame = slot.latest()?;
            self.pairer.offer(i, frame.stamp, frame).ok()?;
        }
        let pair = match self.pairer.take(self.workplace.clock.now()) {
            Ok(pair) => pair,
            // A frame is missing or the pair is not complete yet.
            Err(NotReady::Missing { .. } | NotReady::Apart { .. }) => return None,
            Err(why) => {
                let mut figures = lock(&self.workplace.figures);
                figures.stale += 1;
                figures.last_stale = why.to_string();
                return None;
            }
        };
        Some(Moment {
            frames: pair.values.into_iter().map(|stamped| stamped.value).collect(),
            observed: pair.oldest,
        })
    }

    fn is_due(&self, moment: &Moment, instruction: &str) -> bool {
        let Some(last) = &self.last else {
            return true;
        };
        let steps = self.workplace.settings.replan_steps.get() as f64;
        let period = 1.0 / last.by.contract.data.fps;
        let elapsed = moment.observed.seconds_since(last.observed);
        // Half a frame early is better than a whole frame late; negative times mean that the clock was set back.
        elapsed < 0.0 || elapsed >= steps * period - HALF_FRAME_S || last.instruction != instruction
    }

    fn plan(&mut self, moment: &Moment, instruction: String) {
        let work = Arc::clone(&self.workplace);
        let brain = work.seat.brain();
        let start = Instant::now();
        let limit = Duration::from_secs_f64(work.settings.camera_age_limit.get());
        let state = match brain.body.feel(&work.arm, limit) {
            Ok(state) => state,
            Err(why) => return self.fail(ActError::State(why)),
        };
        let situation = Situation {
            frames: &moment.frames,
            state: &state,
            instruction: &instruction,
        };
        work.pulse.begin_thinking();
        let outcome = brain.actor().act(&situation);
        let frame_fault = matches!(outcome, Err(ActError::Frame { .. }));
        work.pulse.end_thinking(!frame_fault);
        let acted = match outcome {
            Ok(acted) => acted,
            Err(error) => return self.fail(error),
        };
        let message = self.chunk(&brain, moment, acted);
        self.last = Some(Planned {
            observed: moment.observed,
            instruction,
            by: Arc::clone(&brain),
        });
        if self.stopped.load(Ordering::Acquire) || work.pulse.ailment().is_some() {
            return;
        }
        let took = start.elapsed();
        let sent = work.publisher.publish(message);
        {
            let mut figures = work.figures();
            figures.took(took);
            match sent {
                Ok(()) => figures.chunks += 1,
                Err(error) => tracing::warn!("chunk not sent: {error}"),
            }
        }
        if work.settings.publish_geometry.get() {
            work.geometry.show(&**brain.actor(), moment.observed);
        }
    }

    fn chunk(&mut self, brain: &Brain, moment: &Moment, acted: Acted) -> ChunkMessage {
        let work = &self.workplace;
        let contract = &brain.contract;
        self.plan_id += 1;
        let chunk = ActionChunk {
            actions: acted.actions,
            composition: contract.data.composition,
            reference: contract.data.reference,
            frame: contract.robot.base_frame.clone(),
            step_period: 1.0 / contract.data.fps,
            observed: moment.observed,
            expires: moment.observed.offset_secs(work.settings.chunk_expiry.get()),
            source: SOURCE.to_owned(),
            lease: self.lease,
            plan_id: self.plan_id,
        };
        let stamp = work.clock.now();
        let details = ChunkDetails {
            stamp,
            camera_stamps: moment.frames.iter().map(|frame| frame.stamp).collect(),
            checkpoint_hash: brain.hash.clone(),
            preprocess_ms: acted.preprocess.as_secs_f32() * 1e3,
            inference_ms: acted.inference.as_secs_f32() * 1e3,
            observation_age_ms: (stamp.seconds_since(moment.observed) * 1e3) as f32,
        };
        chunk_to_message(&chunk, &details)
    }

    /// Records a failure. An unusable frame also counts as rejected by its camera.
    fn fail(&self, error: ActError) {
        if let ActError::Frame { camera, message } = &error {
            let slots = self.workplace.slots.iter();
            slots
                .filter(|slot| slot.camera() == camera)
                .for_each(|slot| slot.reject(message.clone()));
        }
        let mut figures = lock(&self.workplace.figures);
        let text = error.to_string();
        if figures.last_failure != text {
            tracing::error!("no chunk for this moment: {text}");
        }
        figures.failures += 1;
        figures.last_failure = text;
    }
}
