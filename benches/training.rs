//! Benchmark of a training step on this machine: the whole method, plain Qwen3-VL-OFT, and the whole method with activation
//! checkpointing of its decoder layers, measured alternately.
//!
//! `cargo bench --features torch --bench training -- [STEPS] [CONFIG]`, with the `config.json` of a checkpoint in place of
//! the one beside this file; `tests/reference/compare_training.py` compares it with PyTorch. Runs in 32 bits and without
//! the stream of questions. The geometry targets are on disk, and each step of the whole method reads its own; in a run,
//! other threads read them meanwhile.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)] // a bench may panic and print

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use thinkvla::camera::patches::Grid;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::model::config::Config;
use thinkvla::model::error::ModelError;
use thinkvla::model::layers::parameters::Random;
use thinkvla::model::thinkvla::network::Network;
use thinkvla::model::thinkvla::prompt::{Prompt, TeacherPrompt};
use thinkvla::model::trainable::{Selection, Trainable};
use thinkvla::training::batch::{ConditionMask, Pictures, VlaBatch};
use thinkvla::training::config::settings::{Distill, MethodSettings, OptimiserSettings};
use thinkvla::training::geometry::source::{SampleViews, TargetSource};
use thinkvla::training::geometry::store::GeometryTargets;
use thinkvla::training::objective::Objective;
use thinkvla::training::optimiser::Optimiser;

/// Batch size, views of a sample, and numbers of tokens of the task, the teacher's text and the action text.
const BATCH: usize = 4;
const VIEWS: usize = 2;
const TASK: i64 = 12;
const LABELLED_TOKENS: i64 = 44;
const ACTION: i64 = 14;

fn main() {
    // `cargo bench` passes arguments of its own, which are not numbers.
    let steps = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(8);
    let sizes = std::env::args().find(|argument| argument.ends_with(".json"));
    let sizes = sizes.map_or(include_str!("training.json").into(), |file| {
        std::fs::read_to_string(file).unwrap()
    });
    let config = |whole| config(&sizes, whole);
    let cache = tempfile::tempdir().unwrap();
    let settings = |distill, recompute| MethodSettings {
        distill,
        recompute,
        ..MethodSettings::default()
    };
    let full = Trainee::new(config(true), settings(Distill::Anchor, false), Some(cache.path()));
    let again = Trainee::new(config(true), settings(Distill::Anchor, true), Some(cache.path()));
    let plain = Trainee::new(config(false), settings(Distill::None, false), None);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut trainees = [full, plain, again];
    for step in 0..=steps {
        for (trainee, times) in trainees.iter_mut().zip(&mut times) {
            let start = Instant::now();
            trainee.step();
            // The first step allocates the memory and is not counted.
            if step > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    let [full, plain, again] = times.map(median);
    let parameters: usize = trainees[0]
        .objective
        .parameters()
        .all()
        .iter()
        .map(|one| one.tensor.numel())
        .sum();
    let report = json!({"parameters": parameters, "threads": tch::get_num_threads(), "steps": steps,
                        "full_s": full, "plain_s": plain, "full_over_plain": full / plain,
                        "recomputed_s": again, "recomputed_over_full": again / full});
    println!("{report}");
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Configuration of the whole method, or of plain Qwen3-VL-OFT of the same size.
fn config(sizes: &str, whole: bool) -> Config {
    let mut config: Value = serde_json::from_str(sizes).unwrap();
    if !whole {
        let ours = config["thinkvla"].as_object_mut().unwrap();
        ours.remove("geometry");
        ours.remove("reasoning");
        ours.insert("prompt".into(), json!("{instruction}{queries}"));
    }
    serde_json::from_value(config).unwrap()
}

struct Trainee {
    objective: Objective,
    optimiser: Optimiser,
    batch: VlaBatch,
    side: u32,
    /// Geometry targets, and the views of each sample.
    geometry: Option<(GeometryTargets, Vec<[RgbImage; VIEWS]>)>,
}

/// Source of geometry targets as wide as a teacher's features and as large on disk, which take no time to compute.
#[derive(Debug)]
struct Drawn {
    width: i64,
}

impl TargetSource for Drawn {
    fn identity(&self) -> &str {
        "drawn"
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn target(&self, scene: &SampleViews) -> Result<Tensor, ModelError> {
        let rows = scene.views.len() as i64 * scene.grid.iter().product::<i64>();
        Ok(Tensor::randn([rows, self.width], (Kind::Float, Device::Cpu)))
    }
}

impl Trainee {
    fn new(config: Config, settings: MethodSettings, cache: Option<&Path>) -> Self {
        let (random, selection) = (Random { seed: 1 }, Selection::Everything);
        let source = Trainable::new(&random, &selection, 0);
        let network = Network::new(&config, &source).unwrap();
        let (batch, side) = (batch(&config), side(&config));
        let geometry = cache.zip(config.thinkvla.geometry.as_ref()).map(|(cache, of)| {
            let source = Box::new(Drawn { width: of.width });
            let view = |shade: usize| RgbImage::from_raw(1, 1, vec![shade as u8; 3]).unwrap();
            let views = (0..BATCH).map(|sample| std::array::from_fn(|number| view(VIEWS * sample + number)));
            (GeometryTargets::open(cache, source).unwrap(), views.collect())
        });
        let objective = Objective::new(network, source.finish().unwrap(), config, settings).unwrap();
        let optimiser = Optimiser::new(objective.parameters(), OptimiserSettings::default()).unwrap();
        Self {
            objective,
            optimiser,
            batch,
            side,
            geometry,
        }
    }

    fn step(&mut self) {
        if let Some((targets, samples)) = &self.geometry {
            let grid = [i64::from(self.side); 2];
            let read = samples
                .iter()
                .map(|views| targets.get(&SampleViews { views, grid }).unwrap());
            self.batch.geometry_target = Some(Tensor::cat(&read.collect::<Vec<_>>(), 0));
        }
        let losses = self.objective.vla(&self.batch, &self.batch.counts().unwrap()).unwrap();
        self.objective.differentiate(&losses).unwrap();
        self.optimiser.step(1.0).unwrap();
    }
}

/// Number of patches along each side of the smallest view.
fn side(config: &Config) -> u32 {
    let pixels = f64::from(config.thinkvla.min_pixels as u32).sqrt();
    pixels as u32 / config.vision_config.patch_size as u32
}

fn batch(config: &Config) -> VlaBatch {
    let place = (Kind::Float, Device::Cpu);
    let side = side(config);
    let grid = Grid { t: 1, h: side, w: side };
    let patches = (BATCH * VIEWS) as i64 * i64::from(side * side);
    let values = config.vision_config.patch_values();
    let (chunk, width) = (config.thinkvla.chunk_len, config.thinkvla.action_dim);
    let samples = || 0..BATCH as i64;
    VlaBatch {
        state: None,
        pictures: Pictures {
            pixels: Tensor::rand([patches, values], place) * 2.0 - 1.0,
            grids: vec![grid; BATCH * VIEWS],
            kept: None,
        },
        student: samples().map(|i| student(i, config)).collect(),
        teacher: samples().map(|i| teacher(i, config)).collect(),
        actions: Tensor::rand([BATCH as i64, chunk, width], place),
        valid: Tensor::ones([BATCH as i64, chunk], place),
        geometry_target: None,
        geometry_weights: None,
        condition_mask: ConditionMask::default(),
    }
}

/// Tokens of views and task; tasks have different lengths.
fn beginning(sample: i64, config: &Config) -> Vec<i64> {
    let merged = side(config) as usize / config.vision_config.spatial_merge_size as usize;
    let mut ids = vec![1, 2, 3];
    for _ in 0..VIEWS {
        ids.push(config.vision_start_token_id);
        ids.extend(std::iter::repeat_n(config.image_token_id, merged * merged));
        ids.push(config.vision_end_token_id);
    }
    ids.extend(10 + sample..10 + TASK);
    ids
}

fn student(sample: i64, config: &Config) -> Prompt {
    let ours = &config.thinkvla;
    let mut ids = beginning(sample, config);
    ids.extend(anchors(config));
    ids.extend(100..100 + ACTION);
    ids.extend(std::iter::repeat_n(ours.action_token_id, ours.chunk_len as usize));
    ids.extend([5, 6, 7]);
    prompt(ids, config)
}

fn teacher(sample: i64, config: &Config) -> TeacherPrompt {
    let mut ids = beginning(sample, config);
    let shared = ids.len();
    ids.extend(200..200 + LABELLED_TOKENS);
    ids.extend(anchors(config));
    ids.extend([5, 6, 7]);
    TeacherPrompt {
        prompt: prompt(ids, config),
        shared,
    }
}

fn anchors(config: &Config) -> Vec<i64> {
    let reasoning = config.thinkvla.reasoning.iter();
    reasoning.flat_map(|of| &of.anchors).map(|anchor| anchor.id).collect()
}

fn prompt(ids: Vec<i64>, config: &Config) -> Prompt {
    let places = |id: i64| -> Vec<i64> { (0..).zip(&ids).filter(|(_, i)| **i == id).map(|(at, _)| at).collect() };
    let patches = VIEWS as i64 * i64::from(side(config).pow(2));
    let running: Vec<i64> = (0..ids.len() as i64).collect();
    let anchors = anchors(config);
    Prompt {
        image_tokens: places(config.image_token_id),
        anchors: anchors.into_iter().flat_map(places).collect(),
        queries: places(config.thinkvla.action_token_id),
        patches,
        raster: (0..patches).collect(),
        positions: [running.clone(), running.clone(), running],
        ids,
    }
}
