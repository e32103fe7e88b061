//! `thinkvla collect`: the scripted expert records a dataset, in one process and faster than real time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Contract, Data, Robot};
use thinkvla::control::config::ArmConfig;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::schema::{DatasetSchema, PICTURES};
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::{At, Dataset, DatasetWriter};
use thinkvla::figures::contact_sheet::{ContactSheet, SheetStyle};
use thinkvla::sim::collect::{CollectAttempt, CollectReport, Collection, Collector};
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::tasks::Task;

use super::geometry_targets::GeometryTargets;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// height, container or position
    #[arg(long)]
    task: Task,
    /// Successful episodes to record; the three variations alternate
    #[arg(long, default_value_t = 100)]
    episodes: usize,
    /// Folder of the dataset, new or empty; out/data/TASK when not given
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seed of the first scene; each attempt takes the next
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Rows a second
    #[arg(long, default_value_t = 10)]
    fps: u32,
    /// Format of the pictures in the rows
    #[arg(long, default_value = "jpeg")]
    images: Images,
    /// Quality of JPEG
    #[arg(long, default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// The table-top; the shipped one when not given
    #[arg(long)]
    sim: Option<PathBuf>,
    /// The arm's parameters; the shipped ones when not given
    #[arg(long)]
    arm: Option<PathBuf>,
    #[command(flatten)]
    targets: GeometryTargets,
}

/// Format of the pictures in the rows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Images {
    /// JPEG columns
    Jpeg,
    /// PNG columns: exact, and about six times as large
    Png,
}

impl Images {
    /// Image mode with this JPEG quality.
    pub fn mode(self, quality: u8) -> ImageMode {
        match self {
            Self::Jpeg => ImageMode::Jpeg(quality),
            Self::Png => ImageMode::Png,
        }
    }
}

/// Attempts made for each episode wanted before giving up.
const ATTEMPTS_PER_EPISODE: usize = 2;
/// Episodes on the contact sheet, one a row, and moments of each.
const SHEET_EPISODES: usize = 6;
const SHEET_MOMENTS: usize = 6;

/// Runs the verb.
///
/// # Errors
/// When a configuration cannot work, the disk refuses, or the expert fails too often.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let sim = match &arguments.sim {
        Some(path) => SimConfig::load(path)?,
        None => SimConfig::shipped()?,
    };
    let arm = match &arguments.arm {
        Some(path) => ArmConfig::load(path).context("the arm's parameters")?,
        None => ArmConfig::shipped()?,
    };
    let images = arguments.images.mode(arguments.quality);
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("out/data/{}", arguments.task)));
    let contract = Contract {
        robot: Robot::simulated(),
        data: Data::unrecorded(f64::from(arguments.fps)),
        model: None,
    };
    let schema = DatasetSchema::of_arm(&contract, images)?;
    let mut writer = DatasetWriter::create(Arc::new(Disk), &out, &schema, &contract)?;
    let mut collector = Collector::new(Collection {
        sim,
        arm,
        task: arguments.task,
        images,
        row_callback: arguments.targets.open()?,
    });
    let begun = Instant::now();
    let attempts = record(arguments, &mut writer, &mut collector)?;
    let report = CollectReport::of(arguments.task, attempts);
    let path = out.join("meta/thinkvla/collection.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("write {}", path.display()))?;
    let sheet = out.join("meta/thinkvla/contact_sheet.png");
    draw(&out, &sheet, arguments.task)?;
    let text = summary(&report, begun.elapsed().as_secs_f64());
    super::print_line(&format!("{text}\n{}\n{}", path.display(), sheet.display()));
    if writer.info().total_episodes < arguments.episodes {
        bail!(
            "expected {} successful episodes, found {} in {} attempts",
            arguments.episodes,
            report.success.successes,
            report.success.trials
        );
    }
    Ok(())
}

/// Makes attempts, with a progress bar, until enough have succeeded or too many have failed.
fn record(
    arguments: &Arguments,
    writer: &mut DatasetWriter,
    collector: &mut Collector,
) -> anyhow::Result<Vec<CollectAttempt>> {
    let bar = ProgressBar::new(arguments.episodes as u64).with_message(arguments.task.to_string());
    bar.set_style(ProgressStyle::with_template(
        "{msg} {bar:30} {pos}/{len} episodes, {elapsed} + {eta}",
    )?);
    let mut attempts = Vec::new();
    while writer.info().total_episodes < arguments.episodes
        && attempts.len() < ATTEMPTS_PER_EPISODE * arguments.episodes
    {
        let number = attempts.len();
        let (variation, seed) = ((number % 3) as u8, arguments.seed + number as u64);
        let attempt = collector.attempt(writer, variation, seed)?;
        if !attempt.success {
            bar.println(format!(
                "variation {variation} seed {seed}: not saved, {}",
                attempt.detail
            ));
        }
        bar.set_position(writer.info().total_episodes as u64);
        attempts.push(attempt);
    }
    bar.finish_and_clear();
    Ok(attempts)
}

/// Sums a collection up that took `seconds` (s).
fn summary(report: &CollectReport, seconds: f64) -> String {
    format!(
        "{}: {} episodes of {} attempts ({:.1} % to {:.1} % with 95 % confidence), {} rows in {seconds:.0} s; \
         the tool rests in {:.2} % of them, {} in a row at most",
        report.task,
        report.success.successes,
        report.success.trials,
        100.0 * report.success.low,
        100.0 * report.success.high,
        report.frames,
        100.0 * report.slow_share,
        report.longest_dwell,
    )
}

/// Draws a contact sheet of some episodes, both cameras.
fn draw(root: &Path, path: &Path, task: Task) -> anyhow::Result<()> {
    let set = Dataset::open(root)?;
    let style = SheetStyle {
        columns: SHEET_MOMENTS,
        thumbnail_width: 240,
    };
    let mut sheet = ContactSheet::new(
        format!("{task}: {} episodes of the scripted expert", set.episodes().len()),
        style,
    );
    let names: Vec<_> = set.info().pictures().map(|(name, _)| name).collect();
    let mut pictures = set.pictures(&names)?;
    let mut image = RgbImage::default();
    for episode in set.episodes().iter().take(SHEET_EPISODES) {
        for moment in 0..SHEET_MOMENTS {
            let frame = moment * (episode.length - 1) / (SHEET_MOMENTS - 1);
            let at = At {
                episode: episode.index,
                frame,
            };
            for (picture, name) in pictures.read(at)?.iter().zip(&names) {
                picture.decode(&mut image).map_err(anyhow::Error::msg)?;
                let camera = name.strip_prefix(PICTURES).unwrap_or(name);
                let row = format!("{camera} {}", episode.index);
                sheet.push(&row, frame as f64 / set.info().fps, &image)?;
            }
        }
    }
    Ok(sheet.save(path)?)
}
