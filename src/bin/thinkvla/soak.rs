//! `thinkvla soak`: tests whether the recorder keeps up with two cameras.

use std::path::PathBuf;
use std::time::Duration;

use thinkvla::ros::harness::ros_domain;
use thinkvla::ros::harness::session::Finished;
use thinkvla::ros::harness::soak::Soak;

use super::print_line;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of the dataset, the replayed frames and the logs
    #[arg(long, default_value = "out/soak")]
    out: PathBuf,
    /// Length of the episode [s]
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
    /// Pictures a second of each camera, and rows a second
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let _domain = ros_domain::enter()?;
    let soak = Soak {
        out: arguments.out,
        time: Duration::from_secs_f64(arguments.seconds),
        rate_hz: arguments.rate,
    };
    let Finished { value: report, ended } = soak.run(print_line)?;
    print_line(&format!("\n{report}"));
    Ok(ended?)
}
