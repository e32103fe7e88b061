//! Samples of a batch: prompts, action targets and geometry targets of rows.

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::{Readers, Side, VlaBatches, named};
use crate::model::thinkvla::actions::normalised;
use crate::model::thinkvla::prompt::{Prompt, PromptTask, TeacherPrompt};
use crate::model::thinkvla::state::StateText;
use crate::training::data::constant_baseline::ConstantBaseline;
use crate::training::data::sampler::RowPlace;
use crate::training::error::RunError;
use crate::training::geometry::GeometryTeacher;

/// Outputs that are requested from the teachers.
#[derive(Clone, Copy)]
pub(super) struct TeacherRequest<'a> {
    /// Index of the reasoning teacher's text.
    pub(super) text: usize,
    pub(super) geometry: Option<&'a GeometryTeacher>,
}

/// Samples of a batch so far.
#[derive(Default)]
pub(super) struct BatchParts {
    /// Draws the windows of the pictures, if they are shifted or cropped.
    pub(super) windows: Option<ChaCha8Rng>,
    pub(super) student: Vec<Prompt>,
    pub(super) teacher: Vec<TeacherPrompt>,
    pub(super) done: TargetValues,
    /// Geometry targets of each sample, (V·h·w, width).
    pub(super) geometry: Vec<Tensor>,
    /// Weights of each sample's geometry targets, (V·h·w).
    pub(super) geometry_weights: Vec<Tensor>,
}

impl VlaBatches {
    /// Appends the sample of a row.
    ///
    /// # Errors
    /// When it cannot be read or does not fit the network; names it.
    pub(super) fn sample(
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
        let sample_task = self.task_of(dataset, place)?;
        let task = sample_task.task();
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
}

/// Action targets of a batch.
pub(super) struct Targets {
    /// Normalised actions, (B, K, action dimension), in 32 bits.
    pub(super) actions: Tensor,
    /// 1 where an action counts and 0 where it does not, (B, K), in 32 bits.
    pub(super) valid: Tensor,
}

/// Values of [`Targets`] so far.
#[derive(Default)]
pub(super) struct TargetValues {
    actions: Vec<f32>,
    valid: Vec<f32>,
}

impl TargetValues {
    pub(super) fn tensors(&self, chunk_len: usize) -> Result<Targets, RunError> {
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

/// Concatenates the tensors of all samples; `None` if there are none.
pub(super) fn joined(parts: &[Tensor]) -> Result<Option<Tensor>, tch::TchError> {
    (!parts.is_empty()).then(|| Tensor::f_cat(parts, 0)).transpose()
}
