//! Prompts as tensors: left padding, mask, rotary angles, and the positions to read and to replace.

use tch::{Device, Kind, Tensor};

use crate::model::config::TextConfig;
use crate::model::error::ModelError;
use crate::model::layers::rotary::Rotation;
use crate::model::thinkvla::prompt::{Prompt, TeacherPrompt};

/// B prompts, padded on the left to L tokens. Created once for a set of prompts and reused.
#[derive(Debug)]
pub struct SequencePlan {
    /// Token ids, (B, L).
    pub(in crate::model) ids: Tensor,
    /// Attention mask, (B, 1, L, L); `None` for plain causal attention.
    pub(in crate::model) mask: Option<Tensor>,
    /// Rotary angles of queries and keys, (B, 1, L, head).
    pub(in crate::model) rotation: Rotation,
    /// Rows of the image tokens in (B x L), in order, (ΣN).
    pub(in crate::model) image_rows: Tensor,
    /// Positions of the tokens that the action part reads.
    pub(in crate::model) readout_tokens: ReadoutTokens,
    /// Number of patches of each sequence's images.
    pub(in crate::model) patches: Vec<i64>,
    /// Indices of all patches, in raster order of each image in turn, (Σpatches).
    pub(in crate::model) raster: Tensor,
    /// Normalised states of the robot if a projector reads them, (B, values), in 32 bits.
    pub(in crate::model) state: Option<Tensor>,
}

/// Tokens whose last states are read: for each sequence its N reasoning anchors, then its K action queries. R = N + K,
/// 0 for questions.
#[derive(Debug)]
pub struct ReadoutTokens {
    /// Row indices in (B x L), (B x R).
    pub(in crate::model) rows: Tensor,
    /// Number of anchors of one sequence, N; the rest are queries.
    pub(in crate::model) anchors: i64,
    /// Attention mask of these tokens, (B, 1, R, L).
    pub(in crate::model) mask: Tensor,
}

/// Position of padding, which nothing attends to.
const PADDING_POSITION: i64 = 1;

impl SequencePlan {
    /// Adds the robot's states, for networks with a projector of them.
    ///
    /// # Shapes
    /// state: (B, values)
    #[must_use]
    pub fn with_state(mut self, state: Option<Tensor>) -> Self {
        self.state = state;
        self
    }

    /// Pads prompts to one length; nothing attends to padding.
    ///
    /// # Errors
    /// When there is no prompt, or libtorch fails.
    pub fn new(prompts: &[Prompt], config: &TextConfig, kind: Kind, device: Device) -> Result<Self, ModelError> {
        let batch = prompts.len() as i64;
        let Some(length) = prompts.iter().map(|p| p.ids.len()).max() else {
            return Err(ModelError::Observation {
                expected: "at least one prompt".into(),
                found: "none".into(),
            });
        };
        let mut ids = Vec::new();
        let mut positions: [Vec<i64>; 3] = Default::default();
        let (mut images, mut read, mut allowed) = (Vec::new(), Vec::new(), Vec::new());
        for (prompt, sequence) in prompts.iter().zip(0..) {
            let padding = length - prompt.ids.len();
            let first = sequence * length as i64 + padding as i64;
            ids.extend(std::iter::repeat_n(0, padding).chain(prompt.ids.iter().copied()));
            for (all, own) in positions.iter_mut().zip(&prompt.positions) {
                all.extend(std::iter::repeat_n(PADDING_POSITION, padding).chain(own.iter().copied()));
            }
            images.extend(prompt.image_tokens.iter().map(|at| first + at));
            for at in prompt.anchors.iter().chain(&prompt.queries) {
                read.push(first + at);
                let own = padding as i64 + at;
                allowed.extend((0..length as i64).map(|column| (padding as i64..=own).contains(&column)));
            }
        }
        let length = length as i64;
        let tensor = |values: &[i64], shape: &[i64]| -> Result<Tensor, ModelError> {
            Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_device(device)?)
        };
        let positions = tensor(&positions.concat(), &[3, batch, length])?;
        Ok(Self {
            ids: tensor(&ids, &[batch, length])?,
            mask: mask(prompts, length, device)?,
            rotation: Rotation::of_tokens(&positions, config, kind)?,
            image_rows: tensor(&images, &[-1])?,
            readout_tokens: ReadoutTokens {
                rows: tensor(&read, &[-1])?,
                anchors: prompts.first().map_or(0, |prompt| prompt.anchors.len() as i64),
                mask: Tensor::f_from_slice(&allowed)?
                    .f_reshape([batch, 1, read.len() as i64 / batch, length])?
                    .f_to_device(device)?,
            },
            patches: prompts.iter().map(|p| p.patches).collect(),
            raster: raster(prompts, device)?,
            state: None,
        })
    }

    /// Plans the continuations of teachers after the prefixes that they share with students, up to the last token that
    /// is read. The students' sequences were planned from `students`, padded on the left; shorter continuations are
    /// padded on the right.
    ///
    /// # Errors
    /// When there is not one teacher for each student, or one has no token to read after its shared prefix.
    pub fn after_prefix(
        students: &[Prompt],
        teachers: &[TeacherPrompt],
        config: &TextConfig,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
        let suffixes: Vec<Suffix> = teachers.iter().filter_map(Suffix::of).collect();
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let (batch, length) = (suffixes.len(), longest(&mut suffixes.iter().map(|s| s.length)));
        if suffixes.len() != students.len() || length == 0 {
            return Err(ModelError::Observation {
                expected: format!(
                    "{} teacher's prompts with something to read behind the task",
                    students.len()
                ),
                found: suffixes.len().to_string(),
            });
        }
        let before = longest(&mut students.iter().map(|student| student.ids.len()));
        let mut continuations = Continuations {
            before,
            length,
            ..Continuations::default()
        };
        for ((suffix, student), sequence) in suffixes.iter().zip(students).zip(0..) {
            continuations.add(suffix, student, sequence);
        }
        let Continuations {
            ids,
            positions,
            rows,
            read,
            allowed,
            ..
        } = continuations;
        let (batch, length, all) = (batch as i64, length as i64, (before + length) as i64);
        let tensor = |values: &[i64], shape: &[i64]| -> Result<Tensor, ModelError> {
            Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_device(device)?)
        };
        let masked = |values: &[bool], rows: i64| -> Result<Tensor, ModelError> {
            Ok(Tensor::f_from_slice(values)?
                .f_reshape([batch, 1, rows, all])?
                .f_to_device(device)?)
        };
        Ok(Self {
            rotation: Rotation::of_tokens(&tensor(&positions.concat(), &[3, batch, length])?, config, kind)?,
            ids: tensor(&ids, &[batch, length])?,
            mask: Some(masked(&allowed, length)?),
            image_rows: tensor(&[], &[-1])?,
            readout_tokens: ReadoutTokens {
                mask: masked(&read, rows.len() as i64 / batch)?,
                rows: tensor(&rows, &[-1])?,
                anchors: teachers.first().map_or(0, |one| one.prompt.anchors.len() as i64),
            },
            patches: vec![0; teachers.len()],
            raster: tensor(&[], &[-1])?,
            state: None,
        })
    }

    /// Plans conversations concatenated to one sequence without attention between them, which needs no padding.
    ///
    /// # Errors
    /// When there is no prompt, or libtorch fails.
    pub fn packed(prompts: &[Prompt], config: &TextConfig, kind: Kind, device: Device) -> Result<Self, ModelError> {
        let mut all = Prompt {
            ids: Vec::new(),
            positions: Default::default(),
            image_tokens: Vec::new(),
            anchors: Vec::new(),
            queries: Vec::new(),
            patches: 0,
            raster: Vec::new(),
        };
        let mut ends = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let first = all.ids.len() as i64;
            all.image_tokens.extend(prompt.image_tokens.iter().map(|at| first + at));
            all.ids.extend(&prompt.ids);
            for (axis, own) in all.positions.iter_mut().zip(&prompt.positions) {
                axis.extend(own);
            }
            all.patches += prompt.patches;
            ends.push(all.ids.len());
        }
        let length = all.ids.len();
        let mut plan = Self::new(&[all], config, kind, device)?;
        if prompts.len() > 1 {
            let mut allowed = Vec::with_capacity(length * length);
            let mut start = 0;
            for end in ends {
                for row in start..end {
                    allowed.extend((0..length).map(|column| (start..=row).contains(&column)));
                }
                start = end;
            }
            let length = length as i64;
            plan.mask = Some(
                Tensor::f_from_slice(&allowed)?
                    .f_reshape([1, 1, length, length])?
                    .f_to_device(device)?,
            );
        }
        Ok(plan)
    }

    /// Returns the indices of all patches, in raster order of each image in turn, (Σpatches).
    pub fn raster(&self) -> &Tensor {
        &self.raster
    }

    /// Returns the number of sequences.
    pub fn batch(&self) -> i64 {
        self.patches.len() as i64
    }
}

/// Returns the indices of all patches of these prompts, in raster order of each image in turn, (Σpatches).
///
/// # Errors
/// When libtorch fails.
pub fn raster(prompts: &[Prompt], device: Device) -> Result<Tensor, ModelError> {
    let mut raster: Vec<i64> = Vec::new();
    for prompt in prompts {
        let before = raster.len() as i64;
        raster.extend(prompt.raster.iter().map(|row| before + row));
    }
    Ok(Tensor::f_from_slice(&raster)?.f_to_device(device)?)
}

/// Continuation of a teacher after the prefix it shares with the student.
struct Suffix<'a> {
    teacher: &'a TeacherPrompt,
    /// Number of tokens up to the last that is read.
    length: usize,
}

/// Continuations of teachers so far, padded on the right to one length.
#[derive(Default)]
struct Continuations {
    /// Number of tokens of a student's sequence with its padding.
    before: usize,
    /// Number of tokens of a continuation with its padding, L.
    length: usize,
    ids: Vec<i64>,
    positions: [Vec<i64>; 3],
    /// Rows of the tokens that are read in (B x L).
    rows: Vec<i64>,
    /// Columns that each of them attends to.
    read: Vec<bool>,
    /// Columns that each token attends to.
    allowed: Vec<bool>,
}

impl Continuations {
    fn add(&mut self, suffix: &Suffix, student: &Prompt, sequence: usize) {
        let TeacherPrompt { prompt, shared } = suffix.teacher;
        let (before, length) = (self.before, self.length);
        let (shared, padding) = (*shared, before - student.ids.len());
        let filled = |values: &[i64], filler: i64| {
            let own: Vec<i64> = values.iter().skip(shared).take(suffix.length).copied().collect();
            let missing = length - own.len();
            own.into_iter()
                .chain(std::iter::repeat_n(filler, missing))
                .collect::<Vec<_>>()
        };
        self.ids.extend(filled(&prompt.ids, 0));
        for (all, own) in self.positions.iter_mut().zip(&prompt.positions) {
            all.extend(filled(own, PADDING_POSITION));
        }
        // Padding attends like text, which has no effect, because its states are not read.
        let sees = |row: usize| {
            (0..before + length).map(move |column| match column < before {
                true => (padding..padding + shared).contains(&column),
                false => column - before <= row,
            })
        };
        self.allowed.extend((0..length).flat_map(sees));
        for at in prompt.anchors.iter().chain(&prompt.queries) {
            let own = (*at as usize).saturating_sub(shared);
            self.rows.push((sequence * length + own) as i64);
            self.read.extend(sees(own));
        }
    }
}

impl<'a> Suffix<'a> {
    fn of(teacher: &'a TeacherPrompt) -> Option<Self> {
        let prompt = &teacher.prompt;
        let last = prompt.anchors.iter().chain(&prompt.queries).max()?;
        let first = prompt.anchors.iter().chain(&prompt.queries).min()?;
        let length = usize::try_from(last + 1).ok()?.checked_sub(teacher.shared)?;
        (*first as usize >= teacher.shared).then_some(Self { teacher, length })
    }
}

/// Returns a causal mask without attention to padding, except of padding to itself so that no row of the softmax is
/// empty.
fn mask(prompts: &[Prompt], length: i64, device: Device) -> Result<Option<Tensor>, ModelError> {
    if prompts.iter().all(|p| p.ids.len() as i64 == length) {
        return Ok(None);
    }
    let mut allowed = Vec::with_capacity(prompts.len() * (length * length) as usize);
    for prompt in prompts {
        let padding = length - prompt.ids.len() as i64;
        for row in 0..length {
            allowed.extend((0..length).map(|column| column == row || (padding..=row).contains(&column)));
        }
    }
    let mask = Tensor::f_from_slice(&allowed)?
        .f_reshape([-1, 1, length, length])?
        .f_to_device(device)?;
    Ok(Some(mask))
}
