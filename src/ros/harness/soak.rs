//! Load test of the recorder: two cameras at full rate into one long episode.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::chunk_source::ChunkSource;
use super::error::HarnessError;
use super::frames;
use super::recorder::{Recorder, Recording};
use super::session::{self, Finished, HarnessSession, Simulated};
use crate::eval::machine::Machine;
use crate::ros::node::process::resident;

/// Time between two small motions; each lasts a little longer, so that the arm never rests.
const MOTION: Duration = Duration::from_millis(150);
/// Command rate of the arm node (Hz).
const COMMAND_RATE_HZ: f64 = 100.0;
/// Number of measurements of the recorder's memory, evenly spread over the time.
const MEMORY_SAMPLES: u32 = 10;

/// Load test to run.
#[derive(Debug, Clone)]
pub struct Soak {
    /// Folder of the dataset, the replayed frames and the logs.
    pub out: PathBuf,
    /// Length of the episode.
    pub time: Duration,
    /// Rate of each camera and of the rows (Hz).
    pub rate_hz: f64,
}

/// Result of the load test.
#[derive(Debug, Clone)]
pub struct SoakReport {
    /// Images that each camera should have sent in the time, computed from rate and duration.
    pub shown: u64,
    /// Number of rows of the episode.
    pub rows: u64,
    /// The recorder's counts for each stream.
    pub streams: Vec<(String, Value)>,
    /// Resident memory of the recorder after each tenth of the time (MiB).
    pub memory_mib: Vec<f64>,
    /// Machine it ran on.
    pub machine: Machine,
}

impl Soak {
    /// Records; all nodes have ended when this returns.
    ///
    /// # Errors
    /// When a node cannot be started, dies, refuses, or does not answer in time.
    pub fn run(self, progress: impl Fn(&str) + Send + 'static) -> Result<Finished<SoakReport>, HarnessError> {
        let logs = self.out.join("logs");
        session::run("soak_observer", &logs, move |session| self.script(session, &progress))
    }

    fn script(&self, session: &HarnessSession, progress: &impl Fn(&str)) -> Result<SoakReport, HarnessError> {
        frames::record(session, &self.out)?;
        session.start_robot(&Simulated {
            camera_rate_hz: 0.0,
            command_rate_hz: COMMAND_RATE_HZ,
        })?;
        frames::show(session, &self.out, self.rate_hz)?;
        let dataset = self.out.join("dataset");
        let recorder = Recorder::launch(
            session,
            &Recording {
                dataset: dataset.clone(),
                fps: self.rate_hz,
                begin_with: "start",
            },
        )?;
        session.arm()?;
        let mut source = ChunkSource::start(session)?;
        recorder.begin(session, "move a little to and fro")?;
        progress(&format!("recording for {:.0} s", self.time.as_secs_f64()));
        let begun = Instant::now();
        let mut memory = Vec::new();
        while begun.elapsed() < self.time {
            source.send()?;
            std::thread::sleep(MOTION);
            session.check()?;
            let samples = u32::try_from(memory.len()).unwrap_or(MEMORY_SAMPLES);
            if samples + 1 < MEMORY_SAMPLES && begun.elapsed() >= self.time * (samples + 1) / MEMORY_SAMPLES {
                memory.push(memory_mib(session)?);
            }
        }
        memory.push(memory_mib(session)?);
        recorder.stop(session)?;
        let shown = (begun.elapsed().as_secs_f64() * self.rate_hz) as u64;
        source.end();
        if let Some(message) = recorder.end(session, true)? {
            return Err(HarnessError::Refused {
                service: "record_node/save".into(),
                message,
            });
        }
        let notes = read(&dataset.join("meta/thinkvla/episode-000000.json"))?;
        let info = read(&dataset.join("meta/info.json"))?;
        let streams = notes.get("streams").and_then(Value::as_object);
        Ok(SoakReport {
            shown,
            rows: info.get("total_frames").and_then(Value::as_u64).unwrap_or_default(),
            streams: streams
                .into_iter()
                .flatten()
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect(),
            memory_mib: memory,
            machine: Machine::current(),
        })
    }
}

fn memory_mib(session: &HarnessSession) -> Result<f64, HarnessError> {
    let pid = session.processes.pid("record_node").unwrap_or_default();
    let resident = resident(pid).map_err(HarnessError::file(format!("/proc/{pid}/status")))?;
    Ok(resident.unwrap_or_default() / (1024.0 * 1024.0))
}

fn read(path: &Path) -> Result<Value, HarnessError> {
    let text = std::fs::read_to_string(path).map_err(HarnessError::file(path))?;
    serde_json::from_str(&text).map_err(|error| HarnessError::File {
        path: path.to_path_buf(),
        message: error.to_string(),
    })
}

impl std::fmt::Display for SoakReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "| stream | received | rows without | longest gap | rows with the picture before | overflowed |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for (name, counts) in &self.streams {
            write!(f, "| {name} ")?;
            for key in ["received", "missing", "longest_gap_samples", "repeated", "overflowed"] {
                write!(f, "| {} ", counts.get(key).and_then(Value::as_u64).unwrap_or_default())?;
            }
            writeln!(f, "|")?;
        }
        let memory: Vec<_> = self.memory_mib.iter().map(|mib| format!("{mib:.0}")).collect();
        write!(
            f,
            "\n{} rows; each camera showed {} pictures. Resident memory after each tenth of the time [MiB]: {}. \
             Measured on {}.",
            self.rows,
            self.shown,
            memory.join(", "),
            self.machine
        )
    }
}
