//! `thinkvla convert`: writes a checkpoint in another layout.

use std::path::PathBuf;

use clap::Args;
use thinkvla::contract::ActionSpace;
use thinkvla::model::checkpoint::convert::precision::{Measured, PrecisionCost, measure};
use thinkvla::model::checkpoint::convert::{Conversion, Converted};
use thinkvla::model::checkpoint::{CheckpointOptions, Format};
use thinkvla::model::config::Precision;
use thinkvla::model::init::variant::{CheckpointVariant, FieldChoice};

use super::foreign_checkpoint::ForeignCheckpoint;
use super::print_line;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Checkpoint: ours, a Hugging Face Qwen3-VL, or a StarVLA run or one weights file of it
    from: PathBuf,
    /// Directory to write
    to: PathBuf,
    /// Layout to write: thinkvla, hf or starvla
    #[arg(long = "to", value_name = "LAYOUT")]
    layout: Format,
    /// Seed of weights that the checkpoint did not have
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Reasoning anchors of a new action part
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    anchors: u16,
    /// A new action part without geometry and reasoning
    #[arg(long)]
    baseline: bool,
    /// Field of a new action part's `thinkvla` object and its value, e.g. chunk_len=16; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<FieldChoice>,
    /// Type the backbone is stored and computes in: float32 or bfloat16; the default is the one it is stored in
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Precision>,
    #[command(flatten)]
    foreign: ForeignCheckpoint,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let options = CheckpointOptions {
        dtype: arguments.dtype,
        ..arguments.foreign.options()?
    };
    let space = options.robot.as_ref().map(|contract| contract.data.action_space);
    let variant = CheckpointVariant {
        baseline: arguments.baseline,
        anchors: arguments.anchors.into(),
        action_space: space.unwrap_or(ActionSpace::Ee7),
        set: arguments.set.clone(),
        ..CheckpointVariant::default()
    };
    let conversion = Conversion {
        to: arguments.layout,
        options: &options,
        variant: &variant,
        seed: arguments.seed,
    };
    let Converted {
        copied,
        drawn,
        dropped,
        rounded,
        acts_in,
        notes,
    } = conversion.run(&arguments.from, &arguments.to)?;
    print_line(&format!("wrote {}: {copied} tensors copied", arguments.to.display()));
    if !drawn.is_empty() {
        print_line(&format!(
            "drawn from seed {}, untrained: {} tensors of {}",
            arguments.seed,
            drawn.len(),
            modules(&drawn)
        ));
    }
    if !dropped.is_empty() {
        let layout = arguments.layout;
        print_line(&format!(
            "left out, {layout} has no place for them: {} tensors of {}",
            dropped.len(),
            modules(&dropped)
        ));
    }
    if !rounded.is_empty() {
        print_line(&format!(
            "rounded to bfloat16, which costs precision: {} tensors of {}; leave out --dtype to keep them as they are",
            rounded.len(),
            modules(&rounded)
        ));
    }
    if acts_in == Some(Precision::Bfloat16) {
        print_line(&format!(
            "the backbone computes in bfloat16{}; use --dtype float32 for all of it, at twice the memory",
            cost(arguments, &options)?
        ));
    }
    notes.iter().for_each(|note| print_line(note));
    Ok(())
}

/// What that changes of the actions, as the middle of a sentence.
fn cost(arguments: &Arguments, options: &CheckpointOptions) -> anyhow::Result<String> {
    let gb = |bytes: f64| bytes / 1e9;
    Ok(match measure(&arguments.from, &arguments.to, options)? {
        Measured::Cost(PrecisionCost {
            observations,
            largest,
            mean,
        }) => format!(
            ", by which actions change by {mean:.1e} on average and {largest:.1e} at most (normalised to -1 .. 1, on \
             {observations} synthetic observations)"
        ),
        Measured::Memory { needed, available } => format!(
            ", which costs precision in the actions; how much was not measured, since float32 needs {:.1} GB of memory and \
             {:.1} GB are available",
            gb(needed),
            gb(available)
        ),
        Measured::Untrained => ", which costs precision in the actions".into(),
    })
}

/// The outermost modules of some keys.
fn modules(keys: &[String]) -> String {
    let mut names: Vec<_> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    names.dedup();
    names.join(", ")
}
