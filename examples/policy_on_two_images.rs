//! Runs a policy on two images without ROS, and prints the chunk of actions.
//!
//! ```sh
//! thinkvla questions out/questions --count 8 --wrist      # renders images of the simulated cameras
//! cargo run --release --features torch --example policy_on_two_images -- checkpoints/small \
//!     out/questions/images/000000_top.png out/questions/images/000000_wrist.png "pick up the red block"
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use thinkvla::camera::file;
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::model::policy::{Observation, Policy, PolicyOptions};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, top, wrist, instruction] = arguments.as_slice() else {
        bail!("expected CHECKPOINT TOP_IMAGE WRIST_IMAGE INSTRUCTION, found {arguments:?}");
    };
    let mut policy = Policy::load(Path::new(checkpoint), PolicyOptions::default())?;

    // The contract contains the cameras that the policy was trained with, and the rule by which their frames are resized.
    let contract = policy.contract().clone();
    let mut preprocessor = Preprocessor::new(contract.data.resize, policy.config().patch_rule())?;
    for path in [top, wrist].map(PathBuf::from) {
        let mut image = RgbImage::default();
        file::load(&path, &mut image)?;
        preprocessor
            .push_rgb(&image)
            .with_context(|| path.display().to_string())?;
    }

    // `checkpoints/small` does not read the robot's state. Other checkpoints take one value for each of `data.state`.
    let state = vec![0.0; contract.data.state.len()];
    let input = preprocessor.input();
    let output = policy.act(&Observation {
        pixel_values: &input.pixel_values,
        grids: &input.grids,
        state: &state,
        instruction,
    })?;

    let mut out = std::io::stdout().lock();
    let names: Vec<&str> = contract
        .data
        .statistics
        .iter()
        .map(|value| value.name.as_str())
        .collect();
    writeln!(
        out,
        "step  {}",
        names.iter().map(|name| format!("{name:>9}")).collect::<String>()
    )?;
    for (step, values) in output.actions.steps().enumerate() {
        let values: String = values.iter().map(|value| format!("{value:>9.4}")).collect();
        writeln!(out, "{:>4}  {values}", step + 1)?;
    }
    writeln!(out, "{} ms", output.timings.total.as_millis())?;
    Ok(())
}
