//! `thinkvla frames`: writes independent moments of simulated episodes as a dataset, each with the expert's next chunk.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::writer::Whole;
use thinkvla::figures::contact_sheet::{ContactSheet, SheetStyle};
use thinkvla::sim::camera::View;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::frames::{COUNTS, FrameOrder, Mix, PlacedFrame, create_dataset, write};
use thinkvla::sim::tasks::Task;

use super::collect::Images;
use super::geometry_targets::GeometryTargets;

/// Rows of the contact sheet, and frames in each row.
const SHEET_ROWS: usize = 3;
const SHEET_COLUMNS: usize = 8;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the dataset: new, or an interrupted one of the same seed
    out: PathBuf,
    /// Rows
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Seed of layouts, moments and words
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tasks that are performed; pointing has scenes of all tasks
    #[arg(long, value_delimiter = ',', default_values_t = Task::ALL)]
    tasks: Vec<Task>,
    /// Share of frames in which something went wrong: gripper closed on nothing, block pushed or dropped
    #[arg(long, default_value_t = Mix::default().recovery)]
    recovery: f64,
    /// Share of frames that ask to point at an object
    #[arg(long, default_value_t = Mix::default().pointing)]
    pointing: f64,
    /// Steps of each chunk, at 10 Hz
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    steps: u16,
    /// Format of the pictures in the rows
    #[arg(long, default_value = "jpeg")]
    images: Images,
    /// Quality of JPEG
    #[arg(long, default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Threads that render; the dataset is the same for any number
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// The table-top; the shipped one when not given
    #[arg(long)]
    sim: Option<PathBuf>,
    #[command(flatten)]
    targets: GeometryTargets,
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
    let order = FrameOrder {
        sim,
        count: arguments.count as usize,
        seed: arguments.seed,
        steps: usize::from(arguments.steps),
        mix: Mix {
            tasks: arguments.tasks.clone(),
            recovery: arguments.recovery,
            pointing: arguments.pointing,
        },
        images: arguments.images.mode(arguments.quality),
        jobs: usize::from(arguments.jobs),
        row_callback: arguments.targets.open()?,
    };
    order.mix.validate()?;
    let mut writer = create_dataset(&arguments.out, order.images, order.steps)?;
    let begun = Instant::now();
    let bar = ProgressBar::new(order.count as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} frames, {elapsed} + {eta}",
    )?);
    bar.set_position(writer.info().total_frames as u64);
    let (mut sheet, mut made) = (Sheet::new(order.count), 0_usize);
    let counts = write(&order, &mut writer, |frame, row| {
        bar.inc(1);
        made += 1;
        sheet.take(frame, row);
    })?;
    bar.finish_and_clear();
    let pictures = arguments.out.join("meta/thinkvla/contact_sheet.png");
    sheet.sheet.save(&pictures)?;
    let seconds = begun.elapsed().as_secs_f64();
    super::print_line(&format!(
        "{made} frames in {seconds:.0} s, {:.1} a second; {} in all\n{}\n{}",
        made as f64 / seconds,
        counts.frames,
        arguments.out.join(COUNTS).display(),
        pictures.display()
    ));
    Ok(())
}

/// Contact sheet of the first frames, both cameras.
struct Sheet {
    sheet: ContactSheet,
    taken: usize,
}

impl Sheet {
    fn new(count: usize) -> Self {
        let style = SheetStyle {
            columns: SHEET_COLUMNS,
            thumbnail_width: 240,
        };
        Self {
            sheet: ContactSheet::new(format!("{count} frames, each with the expert's next chunk"), style),
            taken: 0,
        }
    }

    /// Adds a frame to the sheet. A frame that cannot be drawn is skipped: it is still valid data.
    fn take(&mut self, frame: &PlacedFrame, row: &Whole) {
        let line = self.taken / SHEET_COLUMNS;
        self.taken += 1;
        if line >= SHEET_ROWS {
            return;
        }
        let pictures = row.frames.iter().flat_map(|frame| &frame.pictures);
        let text = format!("{}: {}", frame.situation.kind.name(), frame.situation.instruction);
        for (picture, view) in pictures.zip(View::ALL) {
            let mut image = RgbImage::default();
            if picture.decode(&mut image).is_ok() {
                let _ = self.sheet.show(&format!("{} {line}", view.name()), &text, &image);
            }
        }
    }
}
