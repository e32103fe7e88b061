//! `thinkvla simulate`: runs the scripted expert on many episodes, in one process and faster than real time.

use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use thinkvla::control::config::ArmConfig;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::episode;
use thinkvla::sim::error::SimError;
use thinkvla::sim::tasks::{EpisodeId, Task};

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// height, container or position; all three when not given
    #[arg(long)]
    task: Option<Task>,
    /// Level of the factor the task is about; all three when not given
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2))]
    variation: Option<u8>,
    /// Seeds, e.g. 0..20 (without 20)
    #[arg(long, default_value = "0..20")]
    seeds: Seeds,
    /// The table-top; the shipped one when not given
    #[arg(long)]
    sim: Option<PathBuf>,
    /// The arm's parameters; the shipped ones when not given
    #[arg(long)]
    arm: Option<PathBuf>,
}

/// A half-open range of seeds.
#[derive(Debug, Clone)]
struct Seeds(std::ops::Range<u64>);

impl FromStr for Seeds {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let range = text.split_once("..").and_then(|(from, to)| {
            let range = from.trim().parse().ok()?..to.trim().parse().ok()?;
            (!range.is_empty()).then_some(range)
        });
        range
            .map(Self)
            .with_context(|| format!("expected seeds as FIRST..END, e.g. 0..20, found {text}"))
    }
}

/// Runs the verb.
///
/// # Errors
/// When a configuration cannot work, or an episode cannot begin.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = match &arguments.sim {
        Some(path) => SimConfig::load(path)?,
        None => SimConfig::shipped()?,
    };
    let arm = match &arguments.arm {
        Some(path) => ArmConfig::load(path).context("the arm's parameters")?,
        None => ArmConfig::shipped()?,
    };
    let mut out = std::io::stdout().lock();
    for task in Task::ALL
        .into_iter()
        .filter(|task| arguments.task.is_none_or(|only| only == *task))
    {
        for variation in (0..3).filter(|level| arguments.variation.is_none_or(|only| only == *level)) {
            let begun = Instant::now();
            let (mut successes, mut steps, mut simulated) = (0, Vec::new(), 0.0);
            for seed in arguments.seeds.0.clone() {
                let id = EpisodeId { task, variation, seed };
                let outcome = episode::run::<SimError>(&config, &arm, id, |_| Ok(()))?;
                successes += usize::from(outcome.success);
                steps.push(outcome.steps);
                simulated += outcome.seconds;
                if !outcome.success {
                    writeln!(
                        out,
                        "{task} {variation} seed {seed}: failed, {}; {:?}",
                        outcome.detail, outcome.events
                    )?;
                }
            }
            let (fewest, most) = (steps.iter().min(), steps.iter().max());
            writeln!(
                out,
                "{task} {variation}: {successes}/{} successes, {} to {} steps, {:.0} times real time",
                steps.len(),
                fewest.copied().unwrap_or_default(),
                most.copied().unwrap_or_default(),
                simulated / begun.elapsed().as_secs_f64(),
            )?;
        }
    }
    Ok(())
}
