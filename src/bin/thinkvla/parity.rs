//! `thinkvla parity`: compares the network's outputs with those of a reference.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use thinkvla::inspect::parity::{Case, ParityReport, ParityTolerance, Subject, compare_vggt};
use thinkvla::model::checkpoint::Placement;
use thinkvla::model::config::Precision;
use thinkvla::model::error::ModelError;
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::model::policy::PolicyOptions;

/// Default of the largest deviation of a value computed in float32.
const DEVIATION: f64 = 1e-4;
/// Default of the smallest cosine of tensors computed in bfloat16.
const COSINE: f64 = 0.999;

/// Exit code when a tensor deviates too much.
const OFF: u8 = 1;
/// Exit code when a case or the checkpoint cannot be used.
const UNUSABLE_INPUT: u8 = 2;

/// Arguments of the verb.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Arguments {
    /// Cases: safetensors files with inputs and the results of the reference
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// The cases are of a VGGT aggregator and hold its weights
    #[arg(long, required_unless_present = "checkpoint", conflicts_with = "checkpoint")]
    vggt: bool,
    /// Checkpoint directory whose backbone the cases are of
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Largest absolute deviation of a value; the default is 1e-4, and none with --compute bfloat16 or --cosine
    #[arg(long, value_parser = not_negative)]
    tol: Option<f64>,
    /// Smallest cosine between two tensors; the default is 0.999 with --compute bfloat16, otherwise none
    #[arg(long, value_parser = not_negative)]
    cosine: Option<f64>,
    /// Type the network computes in
    #[arg(long, default_value = "float32")]
    compute: Compute,
    /// Device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// Types by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compute {
    /// 32 bits
    Float32,
    /// 16 bits
    Bfloat16,
}

/// Network that the cases are of.
enum Network {
    Vggt(Placement),
    Backbone(Box<Subject>),
}

impl Network {
    fn load(arguments: &Arguments) -> Result<Self, ModelError> {
        let compute = Some(match arguments.compute {
            Compute::Float32 => Precision::Float32,
            Compute::Bfloat16 => Precision::Bfloat16,
        });
        match &arguments.checkpoint {
            Some(directory) => {
                let options = PolicyOptions {
                    device: arguments.device,
                    compute,
                    threads: None,
                };
                Ok(Self::Backbone(Box::new(Subject::load(directory, options)?)))
            }
            None => Ok(Self::Vggt(Placement {
                device: arguments.device.resolve()?,
                compute,
            })),
        }
    }

    fn compare(&self, path: &Path, tolerance: ParityTolerance) -> Result<ParityReport, ModelError> {
        let case = Case::open(path)?;
        match self {
            Self::Vggt(placement) => compare_vggt(&case, *placement, tolerance),
            Self::Backbone(subject) => subject.compare(&case, tolerance),
        }
    }
}

/// Runs the verb. The exit code is 0 where every tensor is good enough, 1 where one is not, 2 where a case or the
/// checkpoint cannot be used.
pub fn run(arguments: &Arguments) -> ExitCode {
    let tolerance = arguments.tolerance();
    let network = match Network::load(arguments) {
        Ok(network) => network,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(UNUSABLE_INPUT);
        }
    };
    let mut worst = 0;
    for path in &arguments.cases {
        match network.compare(path, tolerance) {
            Ok(report) => {
                // A closed terminal does not change the exit code.
                let _ = writeln!(std::io::stdout().lock(), "{}\n{report}", path.display());
                worst = worst.max(if report.passed() { 0 } else { OFF });
            }
            Err(error) => {
                tracing::error!("{error}");
                worst = worst.max(UNUSABLE_INPUT);
            }
        }
    }
    ExitCode::from(worst)
}

impl Arguments {
    fn tolerance(&self) -> ParityTolerance {
        match (self.tol, self.cosine, self.compute) {
            (None, None, Compute::Float32) => ParityTolerance {
                deviation: Some(DEVIATION),
                cosine: None,
            },
            (None, None, Compute::Bfloat16) => ParityTolerance {
                deviation: None,
                cosine: Some(COSINE),
            },
            (deviation, cosine, _) => ParityTolerance { deviation, cosine },
        }
    }
}

fn not_negative(text: &str) -> anyhow::Result<f64> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 => Ok(number),
        _ => bail!("expected a number of 0 or more"),
    }
}
