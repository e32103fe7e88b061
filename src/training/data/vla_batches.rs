//! Makes batches from rows of a mixture: decoding, preprocessing and prompts as in inference, and normalised actions.

use std::path::Path;
use std::sync::OnceLock;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::camera::patches::{Grid, PatchRule};
use crate::camera::preprocess::{PreprocessError, Preprocessor, VisionInput};
use crate::camera::rgb::RgbImage;
use crate::dataset::decoded_images::DecodedImageReader;
use crate::dataset::{At, Dataset};
use crate::model::config::{Config, Proprio};
use crate::model::thinkvla::actions::normalised;
use crate::model::thinkvla::prompt::{Prompt, PromptTask, Prompter, TeacherPrompt};
use crate::model::thinkvla::state::{StateInput, StateText, state_tensor};

use super::augment::Augmentation;
use super::constant_baseline::ConstantBaseline;
use super::crop_window::CropWindow;
use super::loader::Batches;
use super::mixture::Mixture;
use super::preflight;
use super::sampler::{MixtureSampler, RowPlace, randomness};
use super::vision_cache::VisionCache;
use crate::training::batch::{ConditionMask, Pictures, VlaBatch};
use crate::training::config::DataSettings;
use crate::training::error::RunError;
use crate::training::geometry::GeometryTeacher;

/// Makes batches; threads share it.
#[derive(Debug)]
pub struct VlaBatches {
    mixture: Mixture,
    samplers: [MixtureSampler; 2],
    prompter: Prompter,
    rule: PatchRule,
    chunk_len: usize,
    proprio: Proprio,
    teachers: Teachers,
    settings: DataSettings,
    seed: u64,
    /// Outputs of a frozen vision tower for all rows, once they are computed.
    kept: OnceLock<VisionCache>,
}

/// Teachers of the student besides the demonstrations.
#[derive(Debug, Default)]
pub struct Teachers {
    /// Whether the reasoning teacher is used.
    pub reasoning: bool,
    /// Targets of the geometry teacher, if it is used.
    pub geometry: Option<GeometryTeacher>,
}

/// Side of the split into trained and held-out episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Episodes that are trained on.
    Trained,
    /// Held-out episodes; conditions are not dropped from their samples.
    HeldOut,
}

impl Side {
    /// Returns the sampler of this side.
    pub fn of(self, [trained, held_out]: &[MixtureSampler; 2]) -> &MixtureSampler {
        match self {
            Self::Trained => trained,
            Self::HeldOut => held_out,
        }
    }
}

/// Open files and buffers of a thread.
pub struct Readers<'a> {
    images: Vec<DecodedImageReader<'a>>,
    preprocessor: Preprocessor,
    /// Views of the row that was read last, as recorded.
    pictures: Vec<RgbImage>,
    /// Windows of them that were fed; empty where they were fed whole.
    windows: Vec<CropWindow>,
    cropped: RgbImage,
}

impl VlaBatches {
    /// Creates a feed for a network of this shape; its prompt must be able to hold every instruction of the datasets.
    ///
    /// # Errors
    /// When it cannot; names the episodes.
    pub fn new(
        (mixture, samplers): (Mixture, [MixtureSampler; 2]),
        (prompter, config): (Prompter, &Config),
        (settings, seed): (DataSettings, u64),
        mut teachers: Teachers,
    ) -> Result<Self, RunError> {
        teachers.reasoning &= prompter.teacher_texts() > 0;
        let feed = Self {
            rule: config.patch_rule(),
            chunk_len: config.thinkvla.chunk_len as usize,
            proprio: config.thinkvla.proprio,
            teachers,
            mixture,
            samplers,
            prompter,
            settings,
            seed,
            kept: OnceLock::new(),
        };
        preflight::require_instructions(&feed)?;
        Ok(feed)
    }

    /// Sets the outputs of the vision tower for all rows, which replace their images from then on.
    pub fn keep(&self, kept: VisionCache) {
        // An earlier value stays: both are of the same frozen tower.
        drop(self.kept.set(kept));
    }

    /// Reads the images of some rows, one after another.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn pictures(&self, places: &[RowPlace], readers: &mut Readers) -> Result<Pictures, RunError> {
        readers.preprocessor.clear();
        for place in places {
            self.read_pictures(*place, None, readers)?;
        }
        Ok(Pictures::of(readers.preprocessor.input())?)
    }

    /// Reads the views of a row into the preprocessor, after those it has; with a random generator, windows of them that
    /// it draws.
    fn read_pictures(
        &self,
        place: RowPlace,
        mut windows: Option<&mut ChaCha8Rng>,
        readers: &mut Readers,
    ) -> Result<(), RunError> {
        let (Some(dataset), Some(images)) = (
            self.mixture.datasets().get(place.dataset),
            readers.images.get_mut(place.dataset),
        ) else {
            return Ok(());
        };
        let named = |problem| named(dataset, place.at, problem);
        images
            .read(place.at, &mut readers.pictures)
            .map_err(|e| named(e.to_string()))?;
        readers.windows.clear();
        for picture in &readers.pictures {
            let fed = match windows.as_deref_mut() {
                Some(random) => {
                    let window = self.settings.augment.window(random);
                    window.crop(picture, &mut readers.cropped);
                    readers.windows.push(window);
                    &readers.cropped
                }
                None => picture,
            };
            readers.preprocessor.push_rgb(fed).map_err(|e| named(e.to_string()))?;
        }
        Ok(())
    }

    /// Returns the mixture.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// Returns how many geometry targets had to be computed.
    pub fn targets_made(&self) -> u64 {
        self.teachers.geometry.as_ref().map_or(0, GeometryTeacher::made)
    }

    /// Creates the readers of one thread.
    ///
    /// # Errors
    /// When a dataset lacks a camera of the contract, or the images cannot be cut into patches.
    pub fn readers(&self) -> Result<Readers<'_>, RunError> {
        let views = self.mixture.views();
        let views: Vec<&str> = views.iter().map(String::as_str).collect();
        let datasets = self.mixture.datasets();
        let images = datasets.iter().map(|dataset| DecodedImageReader::new(dataset, &views));
        let root = datasets.first().map(Dataset::root).unwrap_or(Path::new(""));
        Ok(Readers {
            images: images.collect::<Result<_, _>>()?,
            preprocessor: Preprocessor::new(self.mixture.contract().data.resize, self.rule)
                .map_err(|e| RunError::data(root, e.to_string()))?,
            pictures: Vec::new(),
            windows: Vec::new(),
            cropped: RgbImage::default(),
        })
    }

    /// Returns the grids of the views of a row; all rows have the same.
    ///
    /// # Errors
    /// When the images cannot be cut into patches.
    pub(super) fn grids(&self) -> Result<Vec<Grid>, RunError> {
        let size = self.mixture.contract().data.resize;
        let root = self.mixture.datasets().first().map_or(Path::new(""), Dataset::root);
        let refused = |e: PreprocessError| RunError::data(root, e.to_string());
        let mut preprocessor = Preprocessor::new(size, self.rule).map_err(refused)?;
        let blank = RgbImage::new(size.width, size.height);
        for _ in self.mixture.views() {
            preprocessor.push_rgb(&blank).map_err(refused)?;
        }
        Ok(preprocessor.input().grids.clone())
    }

    /// Builds every prompt that training may build from an instruction, with the state of a row.
    ///
    /// # Errors
    /// When no prompt can hold the instruction.
    pub(super) fn try_prompts(&self, instruction: &str, place: RowPlace, grids: &[Grid]) -> Result<(), RunError> {
        let told = SampleTask {
            instruction: instruction.to_owned(),
            state: self.state_of(place)?.text,
        };
        self.prompter.student(told.task(), grids)?;
        let texts = if self.teachers.reasoning {
            self.prompter.teacher_texts()
        } else {
            0
        };
        for text in 0..texts {
            self.prompter.teacher(told.task(), grids, text)?;
        }
        Ok(())
    }

    /// Returns batch `number` of a side. The same number is always the same batch.
    ///
    /// # Errors
    /// When a row cannot be read or does not fit the network; names dataset, episode and frame.
    pub fn batch(&self, side: Side, number: u64, readers: &mut Readers) -> Result<VlaBatch, RunError> {
        let settings = &self.settings;
        let size = settings.batch as u64;
        let texts = self.prompter.teacher_texts().max(1);
        let mut random = randomness(self.seed, "conditions", [number, side as u64]);
        let request = TeacherRequest {
            text: random.random_range(0..texts),
            // Held-out samples are measured by their actions only.
            geometry: self.teachers.geometry.as_ref().filter(|_| side == Side::Trained),
        };
        let augment = match side {
            Side::Trained => settings.augment,
            Side::HeldOut => Augmentation::default(),
        };
        let mut parts = BatchParts {
            // A stream of its own: the other draws are the same with and without windows.
            windows: augment
                .moves()
                .then(|| randomness(self.seed, "windows", [number, side as u64])),
            ..BatchParts::default()
        };
        readers.preprocessor.clear();
        let places: Vec<RowPlace> = self.places(side, number).collect();
        for place in &places {
            self.sample(*place, request, readers, &mut parts)?;
        }
        let mut condition_mask = |share: f64| -> Result<Option<Tensor>, RunError> {
            let mask: Vec<f32> = (0..size)
                .map(|_| f32::from(u8::from(random.random::<f64>() >= share)))
                .collect();
            match side == Side::Trained && share > 0.0 {
                true => Ok(Some(Tensor::f_from_slice(&mask)?)),
                false => Ok(None),
            }
        };
        let condition_mask = ConditionMask {
            geometry: condition_mask(settings.drop_geometry)?,
            reasoning: condition_mask(settings.drop_reasoning)?,
        };
        let Targets { actions, valid } = parts.done.tensors(self.chunk_len)?;
        let pictures = match self.kept.get() {
            Some(kept) => kept.pictures(&places)?,
            None => {
                let input = readers.preprocessor.input_mut();
                if augment.recolours() {
                    recolour(augment, input, &mut random);
                }
                Pictures::of(input)?
            }
        };
        Ok(VlaBatch {
            pictures,
            student: parts.student,
            teacher: parts.teacher,
            state: self.states(&places)?,
            actions,
            valid,
            geometry_target: joined(&parts.geometry)?,
            geometry_weights: joined(&parts.geometry_weights)?,
            condition_mask,
        })
    }

    /// Returns instruction and state of each sample in batch `number` of the trained side.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn tasks(&self, number: u64) -> Result<Vec<SampleTask>, RunError> {
        let places = self.places(Side::Trained, number);
        let rows = places.filter_map(|place| Some((self.mixture.datasets().get(place.dataset)?, place)));
        rows.map(|(dataset, place)| self.task_of(dataset, place)).collect()
    }

    /// Returns the prompter.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// Returns the normalised states of some rows, if a projector reads them.
    fn states(&self, places: &[RowPlace]) -> Result<Option<Tensor>, RunError> {
        let numbers = |place: &RowPlace| -> Result<Option<Vec<f64>>, RunError> { Ok(self.state_of(*place)?.numbers) };
        let states: Option<Vec<Vec<f64>>> = places.iter().map(numbers).collect::<Result<_, RunError>>()?;
        Ok(states.map(|states| state_tensor(&states, Device::Cpu)).transpose()?)
    }

    fn task_of(&self, dataset: &Dataset, place: RowPlace) -> Result<SampleTask, RunError> {
        let state = self.state_of(place).map_err(|e| match e {
            RunError::Model(e) => named(dataset, place.at, e.to_string()),
            other => other,
        })?;
        Ok(SampleTask {
            instruction: dataset.task(place.at)?.to_owned(),
            state: state.text,
        })
    }

    /// Returns the state of a row as the network reads it.
    fn state_of(&self, place: RowPlace) -> Result<StateInput, RunError> {
        let (values, statistics) = (self.mixture.state(place)?, &self.mixture.contract().data.state);
        Ok(StateInput::new(self.proprio, &values, statistics)?)
    }

    fn sample(
        &self,
        place: RowPlace,
        request: TeacherRequest,
        readers: &mut Readers,
        parts: &mut BatchParts,
    ) -> Result<(), RunError> {
        let Some(dataset) = self.mixture.datasets().get(place.dataset) else {
            return Ok(());
        };
        let named = |problem| named(dataset, place.at, problem);
        let grids = match self.kept.get() {
            Some(kept) => kept.grids(),
            None => {
                let before = readers.preprocessor.input().grids.len();
                self.read_pictures(place, parts.windows.as_mut(), readers)?;
                readers.preprocessor.input().grids.get(before..).unwrap_or_default()
            }
        };
        let told = self.task_of(dataset, place)?;
        let task = told.task();
        parts
            .student
            .push(self.prompter.student(task, grids).map_err(|e| named(e.to_string()))?);
        if self.teachers.reasoning {
            let teacher = self.prompter.teacher(task, grids, request.text);
            parts.teacher.push(teacher.map_err(|e| named(e.to_string()))?);
        }
        if let Some(targets) = request.geometry {
            let target = targets.get(&readers.pictures, grids, &readers.windows);
            let target = target.map_err(|e| match e {
                RunError::Model(e) => named(e.to_string()),
                other => other,
            })?;
            parts.geometry.push(target.features);
            parts.geometry_weights.extend(target.weights);
        }
        self.done(place, &mut parts.done)
    }

    /// Appends the actions from a row on.
    fn done(&self, place: RowPlace, done: &mut TargetValues) -> Result<(), RunError> {
        let chunk = self.mixture.chunk(place, self.chunk_len)?;
        let statistics = self.mixture.contract().data.statistics.iter().cycle();
        let values = chunk.values.iter().zip(statistics);
        done.actions
            .extend(values.map(|(value, of)| normalised(f64::from(*value), of) as f32));
        let counts = |step| self.settings.learn_padding || step < chunk.valid;
        done.valid
            .extend((0..self.chunk_len).map(|step| f32::from(u8::from(counts(step)))));
        Ok(())
    }

    /// Returns the constant chunk of normalised actions that is nearest to those of the first `batches` batches of a
    /// side: (K, action dimension), in 32 bits.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub fn constant(&self, side: Side, batches: u64) -> Result<Tensor, RunError> {
        let mut done = TargetValues::default();
        for place in (0..batches).flat_map(|number| self.places(side, number)) {
            self.done(place, &mut done)?;
        }
        let width = self.mixture.contract().data.statistics.len();
        let mut baseline = ConstantBaseline::new(self.chunk_len * width);
        let rows = done.actions.chunks(self.chunk_len * width);
        for (values, valid) in rows.zip(done.valid.chunks(self.chunk_len)) {
            let counts = valid.iter().flat_map(|valid| std::iter::repeat_n(*valid > 0.0, width));
            baseline.add(values.iter().copied().zip(counts));
        }
        Ok(Tensor::f_from_slice(&baseline.take())?.f_reshape([self.chunk_len as i64, width as i64])?)
    }

    /// Returns the rows of a batch.
    fn places(&self, side: Side, number: u64) -> impl Iterator<Item = RowPlace> + '_ {
        side.of(&self.samplers).batch(number, self.settings.batch as u64)
    }
}

/// Action targets of a batch.
struct Targets {
    /// Normalised actions, (B, K, action dimension), in 32 bits.
    actions: Tensor,
    /// 1 where an action counts and 0 where it does not, (B, K), in 32 bits.
    valid: Tensor,
}

/// Values of [`Targets`] so far.
#[derive(Default)]
struct TargetValues {
    actions: Vec<f32>,
    valid: Vec<f32>,
}

impl TargetValues {
    fn tensors(&self, chunk_len: usize) -> Result<Targets, RunError> {
        let chunk = chunk_len as i64;
        let samples = (self.valid.len() / chunk_len.max(1)) as i64;
        Ok(Targets {
            actions: Tensor::f_from_slice(&self.actions)?.f_reshape([samples, chunk, -1])?,
            valid: Tensor::f_from_slice(&self.valid)?.f_reshape([samples, chunk])?,
        })
    }
}

/// Instruction and state of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleTask {
    /// Instruction.
    pub instruction: String,
    /// State of the robot, for checkpoints that read it as text.
    pub state: Option<StateText>,
}

impl SampleTask {
    /// Returns the task for a prompt.
    pub fn task(&self) -> PromptTask<'_> {
        PromptTask {
            instruction: &self.instruction,
            state: self.state.as_ref(),
        }
    }
}

/// Changes contrast and colour of each image independently.
fn recolour(by: Augmentation, input: &mut VisionInput, random: &mut ChaCha8Rng) {
    let patches: usize = input.grids.iter().map(Grid::patches).sum();
    let values = input.pixel_values.len() / patches.max(1);
    let mut rest = input.pixel_values.as_mut_slice();
    for grid in &input.grids {
        let Some((picture, behind)) = rest.split_at_mut_checked(grid.patches() * values) else {
            return;
        };
        by.apply(picture, values, random);
        rest = behind;
    }
}

/// Concatenates the tensors of all samples; `None` if there are none.
fn joined(parts: &[Tensor]) -> Result<Option<Tensor>, tch::TchError> {
    (!parts.is_empty()).then(|| Tensor::f_cat(parts, 0)).transpose()
}

fn named(dataset: &Dataset, at: At, problem: String) -> RunError {
    RunError::data(
        dataset.root(),
        format!("episode {}, frame {}: {problem}", at.episode, at.frame),
    )
}

/// Outputs that are requested from the teachers.
#[derive(Clone, Copy)]
struct TeacherRequest<'a> {
    /// Index of the reasoning teacher's text.
    text: usize,
    geometry: Option<&'a GeometryTeacher>,
}

impl Batches for VlaBatches {
    type Batch = VlaBatch;
    type Readers<'a> = Readers<'a>;

    fn readers(&self) -> Result<Readers<'_>, RunError> {
        self.readers()
    }

    fn batch(&self, side: Side, number: u64, readers: &mut Readers) -> Result<VlaBatch, RunError> {
        self.batch(side, number, readers)
    }
}

/// Samples of a batch so far.
#[derive(Default)]
struct BatchParts {
    /// Draws the windows of the pictures, if they are shifted or cropped.
    windows: Option<ChaCha8Rng>,
    student: Vec<Prompt>,
    teacher: Vec<TeacherPrompt>,
    done: TargetValues,
    /// Geometry targets of each sample, (V·h·w, width).
    geometry: Vec<Tensor>,
    /// Weights of each sample's geometry targets, (V·h·w).
    geometry_weights: Vec<Tensor>,
}
