//! Makes batches from rows of a mixture: decoding, preprocessing and prompts as in inference, and normalised actions.

mod readers;
mod samples;

use std::sync::OnceLock;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::camera::patches::{Grid, PatchRule};
use crate::dataset::{At, Dataset};
use crate::model::config::{Config, Proprio};
use crate::model::thinkvla::prompt::Prompter;
use crate::model::thinkvla::state::{StateInput, state_tensor};

use super::augment::Augmentation;
use super::loader::Batches;
use super::mixture::Mixture;
use super::preflight;
use super::sampler::{MixtureSampler, RowPlace, randomness};
use super::vision_cache::VisionCache;
use crate::training::batch::{ConditionMask, Pictures, VlaBatch};
use crate::training::config::DataSettings;
use crate::training::error::RunError;
use crate::training::geometry::GeometryTeacher;
use readers::recolour;
use samples::{BatchParts, Targets, TeacherRequest, joined};

pub use readers::Readers;
pub use samples::SampleTask;

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

/// Parts that batches are made from.
#[derive(Debug)]
pub struct VlaSources {
    /// Datasets.
    pub mixture: Mixture,
    /// Samplers of the trained and of the held-out episodes.
    pub samplers: [MixtureSampler; 2],
    /// Prompter of the network.
    pub prompter: Prompter,
    /// Teachers besides the demonstrations.
    pub teachers: Teachers,
    /// Settings of the demonstrations.
    pub settings: DataSettings,
    /// Seed of all draws but those of the samplers.
    pub seed: u64,
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

impl VlaBatches {
    /// Creates a feed for a network of this shape; its prompt must be able to hold every instruction of the datasets.
    ///
    /// # Errors
    /// When it cannot; names the episodes.
    pub fn new(sources: VlaSources, config: &Config) -> Result<Self, RunError> {
        let VlaSources {
            mixture,
            samplers,
            prompter,
            mut teachers,
            settings,
            seed,
        } = sources;
        teachers.reasoning &= prompter.teacher_texts() > 0;
        let batch_source = Self {
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
        preflight::require_instructions(&batch_source)?;
        Ok(batch_source)
    }

    /// Sets the outputs of the vision tower for all rows, which replace their images from then on.
    pub fn keep(&self, kept: VisionCache) {
        // An earlier value stays: both are of the same frozen tower.
        drop(self.kept.set(kept));
    }

    /// Returns the mixture.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// Returns how many geometry targets had to be computed.
    pub fn targets_made(&self) -> u64 {
        self.teachers.geometry.as_ref().map_or(0, GeometryTeacher::made)
    }

    /// Builds every prompt that training may build from an instruction, with the state of a row.
    ///
    /// # Errors
    /// When no prompt can hold the instruction.
    pub(super) fn try_prompts(&self, instruction: &str, place: RowPlace, grids: &[Grid]) -> Result<(), RunError> {
        let sample_task = SampleTask {
            instruction: instruction.to_owned(),
            state: self.state_of(place)?.text,
        };
        self.prompter.student(sample_task.task(), grids)?;
        let texts = if self.teachers.reasoning {
            self.prompter.teacher_texts()
        } else {
            0
        };
        for text in 0..texts {
            self.prompter.teacher(sample_task.task(), grids, text)?;
        }
        Ok(())
    }

    /// Returns batch `number` of a side. The same number is always the same batch.
    ///
    /// # Errors
    /// When a row cannot be read or does not fit the network; names dataset, episode and frame.
    pub fn batch(&self, side: Side, number: u64, readers: &mut Readers) -> Result<VlaBatch, RunError> {
        let settings = &self.settings;
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
        let condition_mask = self.condition_mask(side, &mut random)?;
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

    /// Draws the conditions that samples are shown; all of them on the held-out side.
    fn condition_mask(&self, side: Side, random: &mut ChaCha8Rng) -> Result<ConditionMask, RunError> {
        let mut shown = |share: f64| -> Result<Option<Tensor>, RunError> {
            let mask: Vec<f32> = (0..self.settings.batch)
                .map(|_| f32::from(u8::from(random.random::<f64>() >= share)))
                .collect();
            match side == Side::Trained && share > 0.0 {
                true => Ok(Some(Tensor::f_from_slice(&mask)?)),
                false => Ok(None),
            }
        };
        Ok(ConditionMask {
            geometry: shown(self.settings.drop_geometry)?,
            reasoning: shown(self.settings.drop_reasoning)?,
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

    /// Returns the rows of a batch.
    fn places(&self, side: Side, number: u64) -> impl Iterator<Item = RowPlace> + '_ {
        side.of(&self.samplers).batch(number, self.settings.batch as u64)
    }
}

fn named(dataset: &Dataset, at: At, problem: String) -> RunError {
    RunError::data(
        dataset.root(),
        format!("episode {}, frame {}: {problem}", at.episode, at.frame),
    )
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
