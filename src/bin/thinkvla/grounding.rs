//! `thinkvla grounding`: simulated scenes as a dataset, each with the way to a thing that is named.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Contract, Data, Robot};
use thinkvla::dataset::DatasetWriter;
use thinkvla::dataset::layout::Layout;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::writer::Whole;
use thinkvla::eval::contact_sheet::{ContactSheet, SheetStyle};
use thinkvla::sim::camera::View;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::grounding::{Asked, Order, write};

use super::collect::Images;
use super::targets::Targets;

/// Rows a second; the contract has one, though each episode is one row.
const FPS: f64 = 10.0;

/// Rows of scenes on the contact sheet, and scenes in each.
const SHEET: (usize, usize) = (2, 6);
/// Half the length and half the width of a cross [px].
const CROSS: (f64, f64) = (14.0, 1.5);

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the dataset, new or empty
    out: PathBuf,
    /// Episodes, each of one row
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Seed of scenes, postures and words
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How pictures are kept in the rows
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
    targets: Targets,
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
    let order = Order {
        sim,
        count: arguments.count as usize,
        seed: arguments.seed,
        images: arguments.images.mode(arguments.quality),
        jobs: usize::from(arguments.jobs),
        beside: arguments.targets.open()?,
    };
    let contract = Contract {
        robot: Robot::simulated(),
        data: Data::unrecorded(FPS),
        model: None,
    };
    let layout = Layout::of_arm(&contract, order.images)?;
    let mut writer = DatasetWriter::create(Arc::new(Disk), &arguments.out, &layout, &contract)?;
    let begun = Instant::now();
    let bar = ProgressBar::new(order.count as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} scenes, {elapsed} + {eta}",
    )?);
    let mut sheet = Sheet::new(order.count);
    let written = write(&order, &mut writer, |asked, made| {
        bar.inc(1);
        sheet.take(asked, made);
    })?;
    bar.finish_and_clear();
    let folder = arguments.out.join("meta/thinkvla");
    let pictures = folder.join("contact_sheet.png");
    sheet.sheet.save(&pictures)?;
    let path = folder.join("grounding.json");
    std::fs::write(&path, serde_json::to_string_pretty(&written)?)
        .with_context(|| format!("write {}", path.display()))?;
    let seconds = begun.elapsed().as_secs_f64();
    super::tell(&format!(
        "{} scenes in {seconds:.0} s, {:.1} a second; {} more showed nothing to ask for\n{}\n{}",
        written.episodes,
        written.episodes as f64 / seconds,
        written.empty_scenes,
        path.display(),
        pictures.display()
    ));
    Ok(())
}

/// The first scenes at a glance, both cameras, with a cross at the middle of what is asked for.
struct Sheet {
    sheet: ContactSheet,
    taken: usize,
}

impl Sheet {
    fn new(count: usize) -> Self {
        let style = SheetStyle {
            columns: SHEET.1,
            thumbnail_width: 320,
        };
        let title = format!("{count} scenes, each with the way to a thing that is named");
        Self {
            sheet: ContactSheet::new(title, style),
            taken: 0,
        }
    }

    /// A scene that cannot be shown here is none the worse as data.
    fn take(&mut self, asked: &Asked, made: &Whole) {
        let row = self.taken / SHEET.1;
        self.taken += 1;
        if row >= SHEET.0 {
            return;
        }
        let pictures = made.frames.iter().flat_map(|frame| &frame.pictures);
        for ((picture, pixel), view) in pictures.zip(asked.pixels).zip(View::ALL) {
            let mut image = RgbImage::default();
            if picture.decode(&mut image).is_ok() {
                if let Some(pixel) = pixel {
                    cross(&mut image, pixel);
                }
                let _ = self
                    .sheet
                    .show(&format!("{} {row}", view.name()), &asked.instruction, &image);
            }
        }
    }
}

fn cross(image: &mut RgbImage, [column, row]: [f64; 2]) {
    let near = |at: usize, middle: f64| (at as f64 - middle).abs();
    for (y, line) in image.rows_mut().enumerate() {
        for (x, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let [dx, dy] = [near(x, column), near(y, row)];
            if dx.max(dy) < CROSS.0 && dx.min(dy) < CROSS.1 {
                *pixel = [255, 255, 0];
            }
        }
    }
}
