//! Recording session: one thread samples the streams, encodes images and writes rows, so that a slow disk blocks no
//! callback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::RecordError;
use super::streams;
use crate::camera::rgb::RgbImage;
use crate::dataset::DatasetWriter;
use crate::dataset::feature::Feature;
use crate::dataset::frame::ImageMode;
use crate::dataset::instruction::require_plain;
use crate::dataset::schema::PICTURES;
use crate::dataset::writer::SavedEpisode;
use crate::recording::sampler::{ArmState, RecordingSampler, SamplingRule, StreamCounts, Tick};
use crate::recording::steps::{StepSample, Steps};
use crate::ros::convert::image::Payload;
use crate::ros::node::lock::lock;
use crate::ros::node::runtime::Shutdown;
use crate::ros::node::time::NodeClock;
use crate::types::time::Time;

/// Polling period for samples.
const POLL_PERIOD: Duration = Duration::from_millis(5);

type Picture = Arc<Payload>;

/// State of the recorder.
pub struct RecordingSession {
    cameras: Vec<String>,
    images: ImageMode,
    rule: SamplingRule,
    clock: NodeClock,
    live: Mutex<Live>,
    /// Locked while rows are made and written; while another thread holds the lock, no write is in progress.
    work: Mutex<Work>,
}

struct Live {
    sampler: RecordingSampler<Picture>,
    instruction: String,
    begun: Option<Time>,
    /// Number of rows of the open episode, if one is open.
    open: Option<usize>,
    /// Number of saved episodes.
    episodes: usize,
    /// Episodes saved since the start.
    saved: Vec<SavedEpisode>,
    /// Error after which no more rows are taken.
    fault: Option<String>,
    rejected: u64,
    last_rejected: String,
}

struct Work {
    writer: DatasetWriter,
    steps: Steps,
    scratch: RgbImage,
}

/// Status of the recorder.
#[derive(Debug, Clone, PartialEq)]
pub struct RecorderStatus {
    /// Whether samples are taken, or will be once the arm moves.
    pub recording: bool,
    /// Whether recording waits for the arm to move.
    pub awaiting: bool,
    /// Whether an episode is open, so that it can be saved or discarded.
    pub open: bool,
    /// Whether its streams have been monitored from its beginning; false for one left open by an earlier recorder.
    pub checked: bool,
    /// Time since the episode began (s).
    pub seconds: f64,
    /// Number of rows of the open episode.
    pub frames: usize,
    /// Number of saved episodes.
    pub episodes: usize,
    /// Counts of each stream.
    pub streams: Vec<(String, StreamCounts)>,
    /// Instruction of the episodes.
    pub instruction: String,
    /// The reason why the open episode cannot be saved, if there is one.
    pub refusal: Option<String>,
    /// Number of unusable images.
    pub rejected: u64,
    /// The reason why the last of them could not be used.
    pub last_rejected: String,
}

impl RecorderStatus {
    /// Number of samples that lacked a stream, for the worst stream.
    pub fn drops(&self) -> u64 {
        self.streams
            .iter()
            .map(|(_, counts)| counts.missing)
            .max()
            .unwrap_or_default()
    }
}

impl RecordingSession {
    /// A session for this dataset; an open episode may already be in it. `instruction` is plain, or empty until one is set.
    pub fn new(
        writer: DatasetWriter,
        images: ImageMode,
        rule: SamplingRule,
        clock: NodeClock,
        instruction: &str,
    ) -> Self {
        let keys = writer.info().pictures();
        let cameras: Vec<_> = keys
            .map(|(key, _)| key.strip_prefix(PICTURES).unwrap_or(key).to_owned())
            .collect();
        Self {
            live: Mutex::new(Live {
                sampler: RecordingSampler::new(rule, cameras.iter().cloned()),
                instruction: instruction.trim().to_owned(),
                begun: None,
                open: writer.open_frames(),
                episodes: writer.info().total_episodes,
                saved: Vec::new(),
                fault: None,
                rejected: 0,
                last_rejected: String::new(),
            }),
            work: Mutex::new(Work {
                writer,
                steps: Steps::default(),
                scratch: RgbImage::default(),
            }),
            cameras,
            images,
            rule,
            clock,
        }
    }

    /// Names of the cameras, in the order of the dataset's columns.
    pub fn cameras(&self) -> &[String] {
        &self.cameras
    }

    /// Takes a camera image; an unusable one is counted.
    pub fn picture(&self, camera: usize, payload: Payload) {
        let stamp = payload.stamp();
        let image = streams::camera_sample(payload);
        let mut live = lock(&self.live);
        match image {
            Ok(image) => live.sampler.picture(camera, stamp, image),
            Err(reason) => {
                live.rejected += 1;
                live.last_rejected = reason.to_string();
            }
        }
    }

    /// Takes a state of the arm.
    pub fn arm(&self, stamp: Time, state: ArmState) {
        lock(&self.live).sampler.arm(stamp, state);
    }

    /// Sets the instruction of the following episodes.
    ///
    /// # Errors
    /// When it contains characters that a prompt cannot.
    pub fn instruct(&self, instruction: &str) -> Result<(), RecordError> {
        require_plain(instruction).map_err(RecordError::Instruction)?;
        lock(&self.live).instruction = instruction.trim().to_owned();
        Ok(())
    }

    /// Begins an episode.
    ///
    /// # Errors
    /// When one is open, no instruction is set, a stream is silent, or the disk reports an error.
    pub fn start(&self) -> Result<(), RecordError> {
        let mut work = lock(&self.work);
        let instruction = lock(&self.live).instruction.clone();
        if instruction.is_empty() {
            return Err(RecordError::NoInstruction);
        }
        let now = self.clock.now();
        let silent = lock(&self.live).sampler.silent(now).join(", ");
        if !silent.is_empty() {
            return Err(RecordError::Silent(silent));
        }
        work.writer.begin(&instruction)?;
        work.steps = Steps::default();
        let mut live = lock(&self.live);
        live.sampler.begin(now);
        live.open = Some(0);
        (live.begun, live.fault) = (Some(now), None);
        Ok(())
    }

    /// Stops adding rows; returns their number. The episode stays open.
    ///
    /// # Errors
    /// When none is open.
    pub fn stop(&self) -> Result<usize, RecordError> {
        lock(&self.live).sampler.end(self.clock.now());
        // The recording thread takes what has arrived until now and ends sampling; no sample waits longer than the rule
        // permits.
        while lock(&self.live).sampler.is_sampling() {
            std::thread::sleep(POLL_PERIOD);
        }
        // The lock is free once the last row is written.
        drop(lock(&self.work));
        let open = lock(&self.live).open;
        open.ok_or(RecordError::NoEpisode)
    }

    /// Ends the episode and saves it.
    ///
    /// # Errors
    /// When none is open, too much of a stream is missing, or the disk reports an error; then the episode stays open.
    pub fn save(&self) -> Result<SavedEpisode, RecordError> {
        self.stop()?;
        let mut work = lock(&self.work);
        let status = self.status();
        if let Some(refusal) = &status.refusal {
            return Err(RecordError::Refused(refusal.clone()));
        }
        let saved = work.writer.save(&self.notes(&status)).map_err(RecordError::NotSaved)?;
        let mut live = lock(&self.live);
        (live.open, live.begun, live.episodes) = (None, None, work.writer.info().total_episodes);
        live.saved.push(saved.clone());
        Ok(saved)
    }

    /// The episode with this index, if it was saved since the start.
    pub fn saved(&self, episode: usize) -> Option<SavedEpisode> {
        let live = lock(&self.live);
        live.saved.iter().find(|saved| saved.episode == episode).cloned()
    }

    /// Ends the episode and discards it.
    ///
    /// # Errors
    /// When none is open, or the disk reports an error.
    pub fn discard(&self) -> Result<(), RecordError> {
        lock(&self.live).sampler.stop();
        lock(&self.work).writer.discard()?;
        let mut live = lock(&self.live);
        (live.open, live.begun, live.fault) = (None, None, None);
        Ok(())
    }

    /// Current status; never waits for the disk.
    pub fn status(&self) -> RecorderStatus {
        let live = lock(&self.live);
        let seconds = live
            .begun
            .map_or(0.0, |_| live.sampler.samples() as f64 / self.rule.fps);
        RecorderStatus {
            recording: live.sampler.is_sampling(),
            awaiting: live.sampler.is_awaiting(),
            open: live.open.is_some(),
            seconds,
            frames: live.open.unwrap_or_default(),
            episodes: live.episodes,
            checked: live.begun.is_some(),
            streams: live
                .sampler
                .counts()
                .map(|(name, counts)| (name.to_owned(), counts))
                .collect(),
            instruction: live.instruction.clone(),
            refusal: live
                .fault
                .clone()
                .or_else(|| live.begun.and_then(|_| live.sampler.refusal())),
            rejected: live.rejected,
            last_rejected: live.last_rejected.clone(),
        }
    }

    fn notes(&self, status: &RecorderStatus) -> Map<String, Value> {
        let rule = self.rule;
        let streams: Map<_, _> = status
            .streams
            .iter()
            .map(|(name, counts)| {
                let counted = json!({
                    "received": counts.received,
                    "missing": counts.missing,
                    "longest_gap_samples": counts.longest_gap,
                    "repeated": counts.repeated,
                    "frozen": counts.frozen,
                    "overflowed": counts.overflowed,
                });
                (name.clone(), counted)
            })
            .collect();
        let notes = json!({
            "recorder": "record_node",
            "checked": status.checked,
            "seconds": status.seconds,
            "streams": streams,
            "pictures_rejected": status.rejected,
            "parameters": {
                "fps": rule.fps, "slop_s": rule.slop_s, "wait_s": rule.wait_s, "frozen_after_s": rule.frozen_s,
                "missing_share": rule.missing_share, "longest_gap_s": rule.gap_s,
                "begin_with": if rule.begin_with_motion { "motion" } else { "start" },
            },
        });
        notes.as_object().cloned().unwrap_or_default()
    }

    /// Samples, encodes and writes until the node shuts down. An open episode is left on disk.
    pub fn run(&self, shutdown: &Shutdown) {
        while !shutdown.is_requested() {
            if !self.take_ready() {
                std::thread::sleep(POLL_PERIOD);
            }
        }
    }

    /// Takes the next sample if it is ready; returns whether it was.
    fn take_ready(&self) -> bool {
        let mut work = lock(&self.work);
        let tick = {
            let mut live = lock(&self.live);
            if live.fault.is_some() {
                return false;
            }
            live.sampler.next(self.clock.now())
        };
        let Some(tick) = tick else { return false };
        if let Err(fault) = self.write(&mut work, tick) {
            tracing::error!(
                "recording ends: {fault}; the rows before are kept, discard the episode or save after a restart"
            );
            let mut live = lock(&self.live);
            live.sampler.stop();
            live.fault = Some(fault.to_string());
        }
        lock(&self.live).open = work.writer.open_frames();
        true
    }

    fn write(&self, work: &mut Work, tick: Tick<Picture>) -> Result<(), RecordError> {
        let mut pictures = Vec::with_capacity(tick.pictures.len());
        for (payload, camera) in tick.pictures.iter().zip(&self.cameras) {
            let of_camera = |error| RecordError::Camera {
                camera: camera.clone(),
                source: Box::new(error),
            };
            pictures.push(streams::picture(payload, self.images, &mut work.scratch).map_err(of_camera)?);
            require_size(camera, &work.scratch, &work.writer).map_err(of_camera)?;
        }
        let sample = StepSample {
            pictures,
            joints: tick.arm.joints,
            tool: tick.arm.tool,
            commanded: tick.arm.commanded,
        };
        match work.steps.push(sample) {
            Some(row) => Ok(work.writer.push(&row)?),
            None => Ok(()),
        }
    }
}

/// Checks that an image has the size that the dataset has for its camera.
fn require_size(camera: &str, image: &RgbImage, writer: &DatasetWriter) -> Result<(), RecordError> {
    let feature = writer.info().features.get(&format!("{PICTURES}{camera}"));
    let found = (image.width(), image.height());
    match feature.and_then(Feature::size) {
        Some(expected) if expected != found => Err(RecordError::Size { expected, found }),
        _ => Ok(()),
    }
}
