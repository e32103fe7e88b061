//! The `thinkvla` command line: one file per subcommand.

#[cfg(feature = "torch")]
mod ask;
#[cfg(feature = "torch")]
mod bench;
#[cfg(feature = "torch")]
mod check;
#[cfg(feature = "sim")]
mod collect;
#[cfg(feature = "torch")]
mod convert;
#[cfg(all(feature = "sim", feature = "torch"))]
mod correct;
mod dataset;
#[cfg(feature = "ros")]
mod demo;
#[cfg(all(feature = "sim", feature = "torch"))]
mod diagnose;
#[cfg(feature = "torch")]
mod eval;
#[cfg(feature = "torch")]
mod foreign_checkpoint;
#[cfg(feature = "sim")]
mod frames;
#[cfg(feature = "sim")]
mod geometry_targets;
#[cfg(feature = "torch")]
mod init_checkpoint;
#[cfg(feature = "ros")]
mod latency;
#[cfg(feature = "ros")]
mod move_to;
#[cfg(feature = "torch")]
mod parity;
#[cfg(feature = "sim")]
mod questions;
#[cfg(feature = "ros")]
mod rollout;
#[cfg(feature = "sim")]
mod simulate;
#[cfg(feature = "ros")]
mod soak;
#[cfg(feature = "torch")]
mod train;

use std::io::IsTerminal as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Log filter unless RUST_LOG is set: subcommands report their end themselves.
const DEFAULT_LOG_FILTER: &str = "info,thinkvla::ros::node::runtime=warn";

/// 3DThinkVLA on a Realman RM75.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// Subcommands of the command line.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Ask a checkpoint about images; the answer is printed while it is generated
    #[cfg(feature = "torch")]
    Ask(ask::Arguments),
    /// Time the network on this machine, without a checkpoint, and compare with the lower bound of its matrix products
    #[cfg(feature = "torch")]
    Bench(bench::Arguments),
    /// Describe a checkpoint and report every reason not to run it
    #[cfg(feature = "torch")]
    Check(check::Arguments),
    /// Record a dataset of the scripted expert in the simulator, in one process and faster than real time
    #[cfg(feature = "sim")]
    Collect(collect::Arguments),
    /// Write a checkpoint in another layout: ours, Hugging Face's or StarVLA's
    #[cfg(feature = "torch")]
    Convert(convert::Arguments),
    /// Measure separately how a policy perceives, chooses objects and acts, on held-out simulated frames
    #[cfg(all(feature = "sim", feature = "torch"))]
    Diagnose(diagnose::Arguments),
    /// Inspect, verify, repair, change and convert datasets
    Dataset(dataset::Arguments),
    /// Run a policy or the scripted expert on the simulated arm, over ROS 2, and write a report and a picture
    #[cfg(feature = "ros")]
    Demo(demo::Arguments),
    /// Run a checkpoint in closed loop in the simulator, or compare its chunks with those of a dataset, and report
    #[cfg(feature = "torch")]
    Eval(eval::Arguments),
    /// Let a policy drive in the simulator, and record the expert's next chunk in each state
    #[cfg(all(feature = "sim", feature = "torch"))]
    Correct(correct::Arguments),
    /// Record independent moments of simulated episodes, each with the expert's next chunk, to pre-train on
    #[cfg(feature = "sim")]
    Frames(frames::Arguments),
    /// Make a checkpoint of a named size with untrained weights
    #[cfg(feature = "torch")]
    InitCheckpoint(init_checkpoint::Arguments),
    /// Time images, chunks, commands and stops over ROS 2 and print a table
    #[cfg(feature = "ros")]
    Latency(latency::Arguments),
    /// Move the armed arm to a configuration of its file, such as home; Ctrl-C brakes it
    #[cfg(feature = "ros")]
    Move(move_to::Arguments),
    /// Publish recorded frames as two cameras; used by `latency` and `soak`
    #[cfg(feature = "ros")]
    #[command(hide = true)]
    ReplayFrames(latency::ReplayArguments),
    /// Compare the network with the results of the reference; exit 1 when they differ, 2 when they cannot be compared
    #[cfg(feature = "torch")]
    Parity(parity::Arguments),
    /// Write questions about simulated scenes, with answers from the physics, for the text stream of `train`
    #[cfg(feature = "sim")]
    Questions(questions::Arguments),
    /// Run the scripted expert or a policy over ROS 2 on many seeds of each task and count successes
    #[cfg(feature = "ros")]
    Rollout(rollout::Arguments),
    /// Run the scripted expert on many seeds of each task in one process, faster than real time
    #[cfg(feature = "sim")]
    Simulate(simulate::Arguments),
    /// Record two cameras for minutes over ROS 2 and count lost images
    #[cfg(feature = "ros")]
    Soak(soak::Arguments),
    /// Train a checkpoint on recorded datasets, as a configuration file says
    #[cfg(feature = "torch")]
    Train(train::Arguments),
}

#[cfg_attr(
    not(any(feature = "torch", feature = "ros", feature = "sim")),
    allow(unreachable_code)
)]
fn main() -> anyhow::Result<ExitCode> {
    #[cfg(feature = "torch")]
    thinkvla::model::layers::device::load_cuda();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG_FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().verb {
        #[cfg(feature = "torch")]
        Verb::Ask(arguments) => ask::run(&arguments)?,
        #[cfg(feature = "torch")]
        Verb::Bench(arguments) => bench::run(&arguments)?,
        #[cfg(feature = "torch")]
        Verb::Check(arguments) => check::run(&arguments)?,
        #[cfg(feature = "sim")]
        Verb::Collect(arguments) => collect::run(&arguments)?,
        #[cfg(feature = "torch")]
        Verb::Convert(arguments) => convert::run(&arguments)?,
        #[cfg(all(feature = "sim", feature = "torch"))]
        Verb::Diagnose(arguments) => diagnose::run(&arguments)?,
        Verb::Dataset(arguments) => return dataset::run(&arguments),
        #[cfg(feature = "ros")]
        Verb::Demo(arguments) => demo::run(arguments)?,
        #[cfg(all(feature = "sim", feature = "torch"))]
        Verb::Correct(arguments) => correct::run(&arguments)?,
        #[cfg(feature = "sim")]
        Verb::Frames(arguments) => frames::run(&arguments)?,
        #[cfg(feature = "torch")]
        Verb::Eval(arguments) => eval::run(&arguments)?,
        #[cfg(feature = "torch")]
        Verb::InitCheckpoint(arguments) => init_checkpoint::run(&arguments)?,
        #[cfg(feature = "ros")]
        Verb::Latency(arguments) => latency::run(arguments)?,
        #[cfg(feature = "ros")]
        Verb::Move(arguments) => move_to::run(arguments)?,
        #[cfg(feature = "ros")]
        Verb::ReplayFrames(arguments) => latency::replay(&arguments)?,
        #[cfg(feature = "torch")]
        Verb::Parity(arguments) => return Ok(parity::run(&arguments)),
        #[cfg(feature = "sim")]
        Verb::Questions(arguments) => questions::run(&arguments)?,
        #[cfg(feature = "ros")]
        Verb::Rollout(arguments) => rollout::run(arguments)?,
        #[cfg(feature = "sim")]
        Verb::Simulate(arguments) => simulate::run(&arguments)?,
        #[cfg(feature = "ros")]
        Verb::Soak(arguments) => soak::run(arguments)?,
        #[cfg(feature = "torch")]
        Verb::Train(arguments) => return train::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line. Ignores a closed terminal, which is no reason to stop, least of all an arm.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
