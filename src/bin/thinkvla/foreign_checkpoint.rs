//! Arguments that complete a checkpoint of another program.

use std::path::PathBuf;

use clap::Args;
use thinkvla::contract::Contract;
use thinkvla::model::checkpoint::CheckpointOptions;

/// Arguments of verbs that read checkpoints of any layout.
#[derive(Debug, Args)]
pub struct ForeignCheckpoint {
    /// Directory of the base model of a StarVLA run; the default is the run's own framework.qwenvl.base_vlm
    #[arg(long)]
    base: Option<PathBuf>,
    /// Robot of a StarVLA run's dataset_statistics.json
    #[arg(long)]
    tag: Option<String>,
    /// A contract.yaml, or a directory that has one: the robot of a checkpoint that has none
    #[arg(long, value_name = "FILE")]
    robot: Option<PathBuf>,
}

impl ForeignCheckpoint {
    /// Reads the files that the arguments name.
    pub fn options(&self) -> anyhow::Result<CheckpointOptions> {
        let robot = match &self.robot {
            Some(file) if file.is_dir() => Some(Contract::load(file)?),
            Some(file) => Some(Contract::read(file)?),
            None => None,
        };
        Ok(CheckpointOptions {
            base: self.base.clone(),
            tag: self.tag.clone(),
            robot,
            dtype: None,
        })
    }
}
