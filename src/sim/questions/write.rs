//! Writes scenes, pictures and questions as files that Qwen-VL's fine-tuning, and ours, reads.
//!
//! ```text
//! OUT/train.json  held_out.json       rows: image, conversations, category, scene
//! OUT/images/000012_top.png           a scene's picture
//! ```

use std::path::{Path, PathBuf};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::ask::{self, SceneQuestion};
use crate::dataset::frame::ImageMode;
use crate::sim::camera::{SceneRenderer, View};
use crate::sim::config::SimConfig;
use crate::sim::error::SimError;
use crate::sim::scene_sampler::{SampledScene, sample_scene};
use crate::writer_lock::{LockError, WriterLock};

/// File of the questions to train on.
pub const TRAIN: &str = "train.json";
/// File of the held-out questions.
pub const HELD_OUT: &str = "held_out.json";
/// Folder of the pictures.
const IMAGES: &str = "images";

/// Options of the questions to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Number of questions in all.
    pub count: usize,
    /// Number of questions about each scene.
    pub per_scene: usize,
    /// Views that each question shows.
    pub views: Vec<View>,
    /// Share of the scenes whose questions are held out, rounded up.
    pub held_out: f64,
    /// Seed of all random choices.
    pub seed: u64,
}

/// Counts of the written questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuestionCounts {
    /// Number of scenes.
    pub scenes: usize,
    /// Number of questions to train on.
    pub trained: usize,
    /// Number of questions held out.
    pub held_out: usize,
}

/// Error that ends the writing of questions.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The simulator fails.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// Another process writes to the folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {message}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        message: String,
    },
}

/// Writes questions into a folder; calls `report_count` with the number of questions after each scene.
///
/// # Errors
/// When a scene cannot be built or rendered, or the disk refuses.
pub fn write(
    config: &SimConfig,
    order: &Order,
    out: &Path,
    mut report_count: impl FnMut(usize),
) -> Result<QuestionCounts, WriteError> {
    let images = out.join(IMAGES);
    std::fs::create_dir_all(&images).map_err(refused(&images))?;
    let _lock = WriterLock::acquire(out)?;
    let scenes = order.count.div_ceil(order.per_scene.max(1));
    let held_out = held_out(order, scenes);
    let mut renderer = None;
    let mut sides = [Vec::new(), Vec::new()];
    let mut asked = 0;
    let mut number = 0;
    while asked < order.count {
        let sampled = sample_scene(config, order.seed, number as u64)?;
        let renderer = match &mut renderer {
            Some(renderer) => renderer,
            none => none.insert(SceneRenderer::new(&sampled.snapshot)?),
        };
        let mut names = Vec::with_capacity(order.views.len());
        for view in &order.views {
            let name = format!("{IMAGES}/{number:06}_{}.png", view.name());
            let picture = renderer.picture(&sampled.snapshot, *view, ImageMode::Png)?;
            let path = out.join(&name);
            std::fs::write(&path, picture.bytes).map_err(refused(&path))?;
            names.push(name);
        }
        let mut random = ChaCha8Rng::seed_from_u64(order.seed);
        // Scenes use the streams counted from 0 upwards.
        random.set_stream(u64::MAX - number as u64);
        let wanted = order.per_scene.min(order.count - asked);
        let questions = ask::draw(&sampled.things, wanted, &mut random);
        asked += questions.len();
        let [trained, held] = &mut sides;
        let side = if held_out.contains(&number) { held } else { trained };
        let rows = questions
            .iter()
            .zip(0..)
            .map(|(question, nth)| row(format!("{number:06}-{nth}"), &sampled, &names, question));
        side.extend(rows);
        report_count(asked);
        number += 1;
    }
    let [trained, held] = &sides;
    for (name, rows) in [(TRAIN, trained), (HELD_OUT, held)] {
        let path = out.join(name);
        let text = rows.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n");
        std::fs::write(&path, format!("[\n{text}\n]\n")).map_err(refused(&path))?;
    }
    Ok(QuestionCounts {
        scenes: number,
        trained: trained.len(),
        held_out: held.len(),
    })
}

/// Returns the numbers of the scenes that are held out.
fn held_out(order: &Order, scenes: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..scenes).collect();
    let mut random = ChaCha8Rng::seed_from_u64(order.seed);
    random.set_stream(u64::MAX);
    numbers.shuffle(&mut random);
    numbers.truncate((order.held_out * scenes as f64).ceil() as usize);
    numbers
}

fn row(id: String, sampled: &SampledScene, images: &[String], question: &SceneQuestion) -> Value {
    let shown = "<image>".repeat(images.len());
    let image = match images {
        [one] => json!(one),
        several => json!(several),
    };
    json!({
        "id": id,
        "image": image,
        "conversations": [
            {"from": "human", "value": format!("{shown}\n{}", question.question)},
            {"from": "gpt", "value": question.answer},
        ],
        "category": question.category.name(),
        "scene": {"task": sampled.id.task.name(), "variation": sampled.id.variation, "seed": sampled.id.seed},
    })
}

fn refused(path: &Path) -> impl FnOnce(std::io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |error| WriteError::Disk {
        path,
        message: error.to_string(),
    }
}
