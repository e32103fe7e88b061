//! `thinkvla init-checkpoint`: a checkpoint of a named size with untrained weights.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use thinkvla::contract::Contract;
use thinkvla::model::sizes::{NewCheckpoint, Size};

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory to write config.json, tokenizer.json, model.safetensors and contract.yaml into
    directory: PathBuf,
    /// Size of the network
    #[arg(long)]
    size: SizeName,
    /// Seed of the weights: the same seed gives the same file
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Qwen3's tokenizer.json; the default is what the environment variable THINKVLA_TOKENIZER names
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Directory whose contract.yaml describes the robot; the default is the simulated RM75
    #[arg(long)]
    robot: Option<PathBuf>,
}

/// Sizes by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SizeName {
    /// At most 12 million parameters, for the demo and the tests
    Small,
    /// The size of Qwen3-VL-2B
    #[value(name = "qwen3-vl-2b")]
    Qwen3Vl2b,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let tokenizer = arguments
        .tokenizer
        .clone()
        .or_else(|| std::env::var_os("THINKVLA_TOKENIZER").map(PathBuf::from))
        .context("no tokenizer: give --tokenizer FILE or set THINKVLA_TOKENIZER to Qwen3's tokenizer.json")?;
    let recorded = arguments.robot.as_deref().map(Contract::load).transpose()?;
    let new = NewCheckpoint {
        size: match arguments.size {
            SizeName::Small => Size::Small,
            SizeName::Qwen3Vl2b => Size::Qwen3Vl2b,
        },
        seed: arguments.seed,
        tokenizer: &tokenizer,
        robot: recorded.as_ref().map(|contract| &contract.robot),
    };
    let made = new.write(&arguments.directory)?;
    tracing::info!(
        "wrote {}: {} parameters, {} tokens, untrained weights",
        arguments.directory.display(),
        made.parameters,
        made.vocabulary
    );
    Ok(())
}
