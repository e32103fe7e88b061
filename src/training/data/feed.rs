//! From rows of a mixture to batches: decoding, the camera code of inference, its prompts, and normalised actions.

use rand::Rng as _;
use tch::Tensor;

use crate::camera::patches::PatchRule;
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::dataset::images::ImageReader;
use crate::model::actions::normalised;
use crate::model::config::{Config, Proprio};
use crate::model::prompt::{Prompt, Prompter, Task, TeacherPrompt};
use crate::model::state::StateText;

use super::mixture::Mixture;
use super::sampler::{Place, Sampler, randomness};
use crate::training::batch::{Pictures, Shown, VlaBatch};
use crate::training::config::DataSettings;
use crate::training::run_error::RunError;

/// Makes batches; threads share it.
#[derive(Debug)]
pub struct Feed {
    mixture: Mixture,
    samplers: [Sampler; 2],
    prompter: Prompter,
    rule: PatchRule,
    chunk_len: usize,
    proprio: Proprio,
    /// Whether a teacher is asked.
    taught: bool,
    settings: DataSettings,
    seed: u64,
}

/// Which episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those that are trained on.
    Trained,
    /// Those that are measured on: nothing is dropped from their samples.
    HeldOut,
}

/// What a thread keeps open.
pub struct Readers<'a> {
    images: Vec<ImageReader<'a>>,
    preprocessor: Preprocessor,
    pictures: Vec<RgbImage>,
}

impl Feed {
    /// For a network of this shape, with a teacher where one is asked.
    pub fn new(
        (mixture, samplers): (Mixture, [Sampler; 2]),
        (prompter, config): (Prompter, &Config),
        (settings, seed): (DataSettings, u64),
        taught: bool,
    ) -> Self {
        Self {
            rule: config.patch_rule(),
            chunk_len: config.thinkvla.chunk_len as usize,
            proprio: config.thinkvla.proprio,
            taught: taught && prompter.teacher_texts() > 0,
            mixture,
            samplers,
            prompter,
            settings,
            seed,
        }
    }

    /// What is mixed.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// What one thread needs to make batches.
    ///
    /// # Errors
    /// When a dataset has not the contract's cameras, or their pictures cannot be cut into patches.
    pub fn readers(&self) -> Result<Readers<'_>, RunError> {
        let views = self.mixture.views();
        let views: Vec<&str> = views.iter().map(String::as_str).collect();
        let datasets = self.mixture.datasets();
        let images = datasets.iter().map(|dataset| ImageReader::new(dataset, &views));
        let root = datasets
            .first()
            .map(crate::dataset::Dataset::root)
            .unwrap_or(std::path::Path::new(""));
        Ok(Readers {
            images: images.collect::<Result<_, _>>()?,
            preprocessor: Preprocessor::new(self.mixture.contract().data.resize, self.rule)
                .map_err(|e| RunError::data(root, e.to_string()))?,
            pictures: Vec::new(),
        })
    }

    /// Batch number `number` of a side. The same number is always the same batch.
    ///
    /// # Errors
    /// When a row cannot be read or does not fit the network; names dataset, episode and frame.
    pub fn batch(&self, side: Side, number: u64, readers: &mut Readers) -> Result<VlaBatch, RunError> {
        let [trained, held_out] = &self.samplers;
        let settings = &self.settings;
        let sampler = match side {
            Side::Trained => trained,
            Side::HeldOut => held_out,
        };
        let size = settings.batch as u64;
        let texts = self.prompter.teacher_texts().max(1);
        let mut random = randomness(self.seed, "conditions", [number, side as u64]);
        let text = random.random_range(0..texts);
        let mut made = Made::default();
        readers.preprocessor.clear();
        for index in number * size..(number + 1) * size {
            let Some(place) = sampler.place(index) else { continue };
            self.sample(place, text, readers, &mut made)?;
        }
        let mut shown = |share: f64| -> Result<Option<Tensor>, RunError> {
            let mask: Vec<f32> = (0..size)
                .map(|_| f32::from(u8::from(random.random::<f64>() >= share)))
                .collect();
            match side == Side::Trained && share > 0.0 {
                true => Ok(Some(Tensor::f_from_slice(&mask)?)),
                false => Ok(None),
            }
        };
        let shown = Shown {
            geometry: shown(settings.drop_geometry)?,
            reasoning: shown(settings.drop_reasoning)?,
        };
        let input = readers.preprocessor.input();
        let rows: usize = input.grids.iter().map(crate::camera::patches::Grid::patches).sum();
        let (samples, chunk) = (made.student.len() as i64, self.chunk_len as i64);
        let values = input.pixel_values.len() / rows.max(1);
        Ok(VlaBatch {
            pictures: Pictures {
                pixels: Tensor::f_from_slice(&input.pixel_values)?.f_reshape([rows as i64, values as i64])?,
                grids: input.grids.clone(),
            },
            student: made.student,
            teacher: made.teacher,
            actions: Tensor::f_from_slice(&made.actions)?.f_reshape([samples, chunk, -1])?,
            valid: Tensor::f_from_slice(&made.valid)?.f_reshape([samples, chunk])?,
            geometry_target: None,
            shown,
        })
    }

    fn sample(&self, place: Place, text: usize, readers: &mut Readers, made: &mut Made) -> Result<(), RunError> {
        let (Some(dataset), Some(images)) = (
            self.mixture.datasets().get(place.dataset),
            readers.images.get_mut(place.dataset),
        ) else {
            return Ok(());
        };
        let at = place.at;
        let named = |problem: String| {
            RunError::data(
                dataset.root(),
                format!("episode {}, frame {}: {problem}", at.episode, at.frame),
            )
        };
        images
            .read(at, &mut readers.pictures)
            .map_err(|e| named(e.to_string()))?;
        let before = readers.preprocessor.input().grids.len();
        for picture in &readers.pictures {
            readers
                .preprocessor
                .push_rgb(picture)
                .map_err(|e| named(e.to_string()))?;
        }
        let grids = readers.preprocessor.input().grids.get(before..).unwrap_or_default();
        let contract = self.mixture.contract();
        let state = match self.proprio {
            Proprio::None => None,
            Proprio::Text => Some(
                StateText::new(&self.mixture.state(place)?, &contract.data.state).map_err(|e| named(e.to_string()))?,
            ),
        };
        let task = Task {
            instruction: dataset.task(at)?,
            state: state.as_ref(),
        };
        made.student
            .push(self.prompter.student(task, grids).map_err(|e| named(e.to_string()))?);
        if self.taught {
            let teacher = self.prompter.teacher(task, grids, text);
            made.teacher.push(teacher.map_err(|e| named(e.to_string()))?);
        }
        let chunk = dataset.chunk(self.mixture.action_column(), at, self.chunk_len)?;
        let statistics = contract.data.statistics.iter().cycle();
        let values = chunk.values.iter().zip(statistics);
        made.actions
            .extend(values.map(|(value, of)| normalised(f64::from(*value), of) as f32));
        let counts = |step| self.settings.learn_padding || step < chunk.valid;
        made.valid
            .extend((0..self.chunk_len).map(|step| f32::from(u8::from(counts(step)))));
        Ok(())
    }
}

/// Samples so far.
#[derive(Default)]
struct Made {
    student: Vec<Prompt>,
    teacher: Vec<TeacherPrompt>,
    actions: Vec<f32>,
    valid: Vec<f32>,
}
