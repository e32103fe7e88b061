//! The `thinkvla` command line: one file a verb.

#[cfg(feature = "torch")]
mod init_checkpoint;

use clap::{Parser, Subcommand};

/// 3DThinkVLA on a Realman RM75: checkpoints and what belongs to them.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a checkpoint of a named size with untrained weights
    #[cfg(feature = "torch")]
    InitCheckpoint(init_checkpoint::Arguments),
}

fn main() -> anyhow::Result<()> {
    #[cfg(feature = "torch")]
    thinkvla::model::device::load_cuda();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().verb {
        #[cfg(feature = "torch")]
        Verb::InitCheckpoint(arguments) => init_checkpoint::run(&arguments),
    }
}
