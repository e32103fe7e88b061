//! `thinkvla latency`: measures latencies over ROS and prints them as a Markdown table.

use std::path::PathBuf;

use thinkvla::ros::harness::latency::LatencyMeasurement;
use thinkvla::ros::harness::session::Finished;
use thinkvla::ros::harness::{replay as frames, ros_domain};

use super::demo::checkpoint_or_shipped;
use super::print_line;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of recorded frames and logs
    #[arg(long, default_value = "out/latency")]
    out: PathBuf,
    /// Checkpoint of the policy; the shipped one when not given
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Chunks and commands to time
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Nodes to interrupt and to kill
    #[arg(long, default_value_t = 20)]
    ends: usize,
    /// Commands a second
    #[arg(long, default_value_t = 100.0)]
    command_rate: f64,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let _domain = ros_domain::enter()?;
    let checkpoint = checkpoint_or_shipped(arguments.checkpoint)?;
    let Finished { value: table, ended } = LatencyMeasurement {
        out: arguments.out,
        checkpoint,
        samples: arguments.samples,
        ends: arguments.ends,
        command_rate_hz: arguments.command_rate,
    }
    .run(print_line)?;
    print_line(&format!("\n{table}"));
    Ok(ended?)
}

/// Arguments of the verb `replay-frames`.
#[derive(Debug, clap::Args)]
pub struct ReplayArguments {
    /// Directory with top.png and wrist.png
    directory: PathBuf,
    /// Images a second of each camera
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
}

/// Runs the verb.
pub fn replay(arguments: &ReplayArguments) -> anyhow::Result<()> {
    Ok(frames::run(&arguments.directory, arguments.rate)?)
}
