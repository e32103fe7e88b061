//! `thinkvla questions`: writes questions about simulated scenes, with answers from the physics.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use thinkvla::sim::camera::View;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::questions::write::{HELD_OUT, Order, TRAIN, write};

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of train.json, held_out.json and images
    out: PathBuf,
    /// Questions in all
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Seed of scenes and questions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Questions about each scene
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    per_scene: u32,
    /// Share of the scenes whose questions are held out, 0 or more and less than 1
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    held_out: f64,
    /// Show the wrist camera's picture as well
    #[arg(long)]
    wrist: bool,
    /// The table-top; the shipped one when not given
    #[arg(long)]
    sim: Option<PathBuf>,
}

fn share(text: &str) -> anyhow::Result<f64> {
    let found = text.parse::<f64>().ok().filter(|share| (0.0..1.0).contains(share));
    found.with_context(|| format!("expected 0 or more and less than 1, found {text}"))
}

/// Runs the verb.
///
/// # Errors
/// When the configuration cannot work, nothing can be rendered, or the disk refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let sim = match &arguments.sim {
        Some(path) => SimConfig::load(path)?,
        None => SimConfig::shipped()?,
    };
    let views = match arguments.wrist {
        true => View::ALL.to_vec(),
        false => vec![View::Top],
    };
    let order = Order {
        count: arguments.count as usize,
        per_scene: arguments.per_scene as usize,
        views,
        held_out: arguments.held_out,
        seed: arguments.seed,
    };
    let bar = ProgressBar::new(order.count as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} questions, {elapsed} + {eta}",
    )?);
    let written = write(&sim, &order, &arguments.out, |asked| bar.set_position(asked as u64))?;
    bar.finish_and_clear();
    super::print_line(&format!(
        "{} questions in {}, {} in {HELD_OUT}, about {} scenes",
        written.trained,
        arguments.out.join(TRAIN).display(),
        written.held_out,
        written.scenes
    ));
    Ok(())
}
