//! Batches of a training step.

use tch::Tensor;

use crate::camera::patches::Grid;
use crate::camera::preprocess::VisionInput;
pub use crate::model::thinkvla::latent_conditions::ConditionMask;
use crate::model::thinkvla::prompt::{Prompt, TeacherPrompt};

/// Images of a batch: all images of all sequences, in order.
#[derive(Debug)]
pub struct Pictures {
    /// Patches in merge-block order, (Σpatches, patch values), as [`crate::camera::preprocess`] makes them; any
    /// floating-point type.
    pub pixels: Tensor,
    /// Size of each image in patches.
    pub grids: Vec<Grid>,
    /// Outputs of the vision blocks that are read, (blocks, Σpatches, C), if the tower is frozen and they were computed
    /// before; there are no pixels then.
    pub kept: Option<Tensor>,
}

impl Pictures {
    /// Returns the images prepared for the vision tower.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn of(input: &VisionInput) -> Result<Self, tch::TchError> {
        let rows: usize = input.grids.iter().map(Grid::patches).sum();
        let values = input.pixel_values.len() / rows.max(1);
        Ok(Self {
            pixels: Tensor::f_from_slice(&input.pixel_values)?.f_reshape([rows as i64, values as i64])?,
            grids: input.grids.clone(),
            kept: None,
        })
    }

    /// Returns no images.
    pub fn none() -> Self {
        Self {
            pixels: Tensor::new(),
            grids: Vec::new(),
            kept: None,
        }
    }
}

/// B demonstrations: observations, instructions, and the action chunks that followed.
///
/// The robot's state is part of the prompts if the checkpoint reads it as text.
#[derive(Debug)]
pub struct VlaBatch {
    /// Views of all samples, sample after sample.
    pub pictures: Pictures,
    /// Prompts of the student, B.
    pub student: Vec<Prompt>,
    /// Prompts of the teacher, B; empty without distillation. With privileged information they hold the action queries
    /// as well.
    pub teacher: Vec<TeacherPrompt>,
    /// Normalised states of the robot, (B, values), in 32 bits, if a projector reads them.
    pub state: Option<Tensor>,
    /// Normalised actions, (B, K, action dimension), in 32 bits.
    pub actions: Tensor,
    /// 1 where an action counts and 0 where it does not, (B, K), in 32 bits.
    pub valid: Tensor,
    /// Features of the geometry teacher, (Σpatches, width), image after image and row by row; (B·V, h·w, width) and (B,
    /// V, h, w, width) are the same values. `None` without geometry alignment.
    pub geometry_target: Option<Tensor>,
    /// Weights of those patches, (Σpatches), in 32 bits, in the same order; `None` if all are equal.
    pub geometry_weights: Option<Tensor>,
    /// Masks of the samples that are shown their conditions.
    pub condition_mask: ConditionMask,
}

/// Conversations whose answers are learned.
#[derive(Debug)]
pub struct VlmBatch {
    /// Images of all conversations, in order; `None` if no conversation has one.
    pub pictures: Option<Pictures>,
    /// The conversations.
    pub conversations: Vec<LabelledConversation>,
}

/// Conversation with its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledConversation {
    /// Whole conversation, answers included.
    pub prompt: Prompt,
    /// Label of each token, L: the token itself if it is learned, [`MASKED`] elsewhere.
    pub labels: Vec<i64>,
}

/// Label of a token that is not learned, as in Hugging Face.
pub const MASKED: i64 = -100;

/// Denominators of the means in the losses. A step over several batches or ranks divides each by the numbers of the
/// whole, so that it equals one large batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossCounts {
    /// Number of values of valid actions.
    pub actions: f64,
    /// Number of patches with a geometry target, by their weights.
    pub patches: f64,
    /// Number of anchors (or, with privileged information, action queries) with a teacher.
    pub distilled: f64,
    /// Number of tokens that are learned.
    pub tokens: f64,
}

impl std::ops::Add for LossCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            actions: self.actions + other.actions,
            patches: self.patches + other.patches,
            distilled: self.distilled + other.distilled,
            tokens: self.tokens + other.tokens,
        }
    }
}

impl VlaBatch {
    /// Returns the number of samples, B.
    pub fn len(&self) -> usize {
        self.student.len()
    }

    /// Returns whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.student.is_empty()
    }

    /// Returns the denominators of the batch's means.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn counts(&self) -> Result<LossCounts, tch::TchError> {
        let valid = self.valid.f_sum(tch::Kind::Double)?.f_double_value(&[])?;
        let width = self.actions.size().last().copied().unwrap_or(0);
        let rows: usize = self.pictures.grids.iter().map(Grid::patches).sum();
        let distilled = |teacher: &TeacherPrompt| match teacher.prompt.queries.len() {
            0 => teacher.prompt.anchors.len(),
            queries => queries,
        };
        Ok(LossCounts {
            actions: valid * width as f64,
            patches: match (&self.geometry_target, &self.geometry_weights) {
                (None, _) => 0.0,
                (Some(_), None) => rows as f64,
                (Some(_), Some(weights)) => weights.f_sum(tch::Kind::Double)?.f_double_value(&[])?,
            },
            distilled: self.teacher.iter().map(distilled).sum::<usize>() as f64,
            tokens: 0.0,
        })
    }
}

impl VlmBatch {
    /// Returns the denominator of the batch's mean. The first token of a conversation is not predicted, since nothing
    /// precedes it.
    pub fn counts(&self) -> LossCounts {
        let learned = |one: &LabelledConversation| one.labels.iter().skip(1).filter(|label| **label != MASKED).count();
        LossCounts {
            tokens: self.conversations.iter().map(learned).sum::<usize>() as f64,
            ..LossCounts::default()
        }
    }
}
