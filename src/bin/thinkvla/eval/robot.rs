//! Trials on a running robot, judged by a person.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use thinkvla::ros::harness::human_eval::HumanEval;
use thinkvla::ros::harness::session::Finished;

/// Arguments of the trials on a running robot.
#[derive(Debug, Args)]
pub struct Robot {
    /// Use the running policy_node, with a real or a simulated arm; a person judges each trial
    #[arg(long, requires = "instruction", conflicts_with = "dataset")]
    robot: bool,
    /// Instruction for the robot
    #[arg(long, requires = "robot")]
    instruction: Option<String>,
    /// Trials in all, including those that are already in the folder
    #[arg(long, default_value_t = 50, requires = "robot")]
    trials: usize,
    /// Time after which the arm is braked and the trial judged [s]
    #[arg(long, default_value_t = 60.0, requires = "robot")]
    trial_seconds: f64,
}

impl Robot {
    /// Returns the instruction for the robot, where the evaluation runs on one.
    pub fn instruction(&self) -> Option<&str> {
        self.instruction.as_deref().filter(|_| self.robot)
    }
}

/// Runs the trials.
pub fn run(common: &super::Arguments, instruction: &str) -> anyhow::Result<()> {
    let [checkpoint] = common.checkpoint.as_slice() else {
        bail!("--checkpoint: expected one, found {}", common.checkpoint.join(", "));
    };
    let evaluation = HumanEval {
        out: common.out.clone(),
        checkpoint: PathBuf::from(checkpoint),
        instruction: instruction.to_owned(),
        trials: common.robot.trials,
        seconds: common.robot.trial_seconds,
    };
    let Finished { value: report, ended } = evaluation.run(super::super::print_line)?;
    super::write(&common.out, &report, &report.to_string())?;
    Ok(ended?)
}
