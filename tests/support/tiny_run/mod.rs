//! A training run with a tiny checkpoint and a small recording.

#[path = "../../network/support.rs"]
#[allow(dead_code)]
mod support;

pub mod questions;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::training::config::TrainingConfig;
use thinkvla::training::run::TrainingRun;

use super::sample_dataset;

const CONFIG: &str = "
checkpoint: HERE/start
out: HERE/out
steps: 200
device: cpu
compute: float32
threads: 1
method: {geometry_weight: 0}
schedule: {warmup_steps: 5}
optimiser: {learning_rates: {base: 1.0e-3, qwen_vl_interface: 1.0e-3, action_model: 1.0e-3}}
data:
  datasets: [{path: HERE/data}]
  batch: 2
  drop_geometry: 0.2
  drop_reasoning: 0.2
checkpoints: {every_steps: 50, every_minutes: 0, keep: 3}
";

/// A tiny checkpoint, the recording, and a configuration for both with additional lines.
pub struct RunFixture {
    folder: tempfile::TempDir,
    pub config: PathBuf,
}

impl RunFixture {
    pub fn new(added: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        support::write_checkpoint(&folder.path().join("start"), 4).unwrap();
        sample_dataset::record(&folder.path().join("data"), ImageMode::Png);
        let config = folder.path().join("train.yaml");
        let here = folder.path().display().to_string();
        questions::write(&folder.path().join("questions"));
        std::fs::write(&config, (CONFIG.to_owned() + added).replace("HERE", &here)).unwrap();
        Self { folder, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn load(&self) -> TrainingConfig {
        TrainingConfig::load(&self.config).unwrap()
    }

    pub fn open(&self, config: TrainingConfig, resume: bool) -> Result<TrainingRun, String> {
        TrainingRun::open(config, &self.config, resume).map_err(|e| e.to_string())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thinkvla"));
        command.arg("train").arg(&self.config).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// Bytes of the weights and of the training state of a step.
pub fn bytes(step: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "training.safetensors"].map(|name| std::fs::read(step.join(name)).unwrap())
}

/// All metrics except times.
pub fn metrics(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut scalars: Value = serde_json::from_str(line).unwrap();
        for clock in ["seconds", "data_wait_s"] {
            scalars.as_object_mut().unwrap().remove(clock).unwrap();
        }
        scalars
    };
    text.lines().map(line).collect()
}
