//! `thinkvla diagnose`: whether a policy falls short in seeing, in choosing or in acting.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use thinkvla::eval::diagnosis::{Diagnosis, DiagnosisOptions, diagnose};
use thinkvla::eval::machine::Machine;
use thinkvla::model::policy::PolicyOptions;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Checkpoint of the policy
    checkpoint: PathBuf,
    /// Frames of each kind
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(2..))]
    frames: u32,
    /// Seed of the frames; must differ from the seeds of training
    #[arg(long, default_value_t = 990_000)]
    seed: u64,
    /// Threads that render
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Also write the results to this file, as JSON
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Results of a diagnosis and its checkpoint.
#[derive(Debug, Serialize)]
struct Written {
    #[serde(flatten)]
    diagnosis: Diagnosis,
    seconds: f64,
    machine: Machine,
}

/// Runs the verb.
///
/// # Errors
/// When the checkpoint does not fit the simulated robot, or nothing can be rendered.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let begun = Instant::now();
    let options = DiagnosisOptions {
        checkpoint: &arguments.checkpoint,
        policy: PolicyOptions::default(),
        frames: arguments.frames as usize,
        seed: arguments.seed,
        jobs: usize::from(arguments.jobs),
    };
    let diagnosis = diagnose(&options, |part| tracing::info!("{part}"))?;
    let (seconds, machine) = (begun.elapsed().as_secs_f64(), Machine::current());
    super::print_line(&format!("{diagnosis}\n{seconds:.0} s. Machine: {machine}."));
    if let Some(path) = &arguments.out {
        let written = Written {
            diagnosis,
            seconds,
            machine,
        };
        std::fs::write(path, serde_json::to_string_pretty(&written)?)
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
