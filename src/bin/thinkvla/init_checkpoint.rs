//! `thinkvla init-checkpoint`: writes a checkpoint of a named size with untrained weights.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use thinkvla::contract::{ActionSpace, Contract};
use thinkvla::model::config::Proprio;
use thinkvla::model::init::copied::CopiedModules;
use thinkvla::model::init::presets::{NewCheckpoint, Preset};
use thinkvla::model::init::variant::{CheckpointVariant, FieldChoice};

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
    /// Qwen3's tokenizer.json; the default is the file in the environment variable THINKVLA_TOKENIZER
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Directory whose contract.yaml describes the robot; the default is the simulated RM75
    #[arg(long)]
    robot: Option<PathBuf>,
    /// Plain Qwen3-VL-OFT: StarVLA's prompt, no geometry, no reasoning
    #[arg(long)]
    baseline: bool,
    /// Reasoning anchors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    anchors: u16,
    /// Values of an action
    #[arg(long, default_value = "ee7")]
    action_space: SpaceName,
    /// Form in which the network gets the robot's state; without a value: in the prompt
    #[arg(long, value_enum, num_args = 0..=1, default_value = "none", default_missing_value = "text")]
    proprio: ProprioName,
    /// Field of the `thinkvla` object and its value, e.g. geometry.pool=max or reasoning=null; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<FieldChoice>,
    /// Checkpoint of the same shape that the weights of --modules are copied from
    #[arg(long, requires = "modules")]
    from: Option<PathBuf>,
    /// Checkpoint paths of the modules that are copied, e.g. model.visual.blocks; all others are drawn
    #[arg(long, value_delimiter = ',', requires = "from")]
    modules: Vec<String>,
}

/// Action spaces by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SpaceName {
    /// Tool pose and gripper
    Ee7,
    /// Seven joints and gripper
    Joint8,
}

/// Ways to tell the state by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProprioName {
    /// Not at all
    None,
    /// In the prompt
    Text,
    /// As numbers, through a projector
    Projected,
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
    let variant = CheckpointVariant {
        baseline: arguments.baseline,
        anchors: arguments.anchors.into(),
        action_space: match arguments.action_space {
            SpaceName::Ee7 => ActionSpace::Ee7,
            SpaceName::Joint8 => ActionSpace::Joint8,
        },
        proprio: match arguments.proprio {
            ProprioName::None => Proprio::None,
            ProprioName::Text => Proprio::Text,
            ProprioName::Projected => Proprio::Projected,
        },
        set: arguments.set.clone(),
    };
    let new = NewCheckpoint {
        size: match arguments.size {
            SizeName::Small => Preset::Small,
            SizeName::Qwen3Vl2b => Preset::Qwen3Vl2b,
        },
        seed: arguments.seed,
        tokenizer: &tokenizer,
        robot: recorded.as_ref().map(|contract| &contract.robot),
        variant: &variant,
        copied: arguments.from.as_deref().map(|checkpoint| CopiedModules {
            checkpoint,
            modules: &arguments.modules,
        }),
    };
    let made = new.write(&arguments.directory)?;
    tracing::info!(
        "wrote {}: {} parameters, {} tokens, untrained weights{}",
        arguments.directory.display(),
        made.parameters,
        made.vocabulary,
        if arguments.modules.is_empty() {
            ""
        } else {
            " but for --modules"
        }
    );
    Ok(())
}
