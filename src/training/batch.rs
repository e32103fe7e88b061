//! What a training step is made of.

use tch::Tensor;

use crate::camera::patches::Grid;
use crate::camera::preprocess::VisionInput;
pub use crate::model::integration::Shown;
use crate::model::prompt::{Prompt, TeacherPrompt};

/// What pictures a batch shows: all images of all sequences in order.
#[derive(Debug)]
pub struct Pictures {
    /// Patches in merge-block order, (Σpatches, patch values), as [`crate::camera::preprocess`] makes them; any
    /// floating-point type.
    pub pixels: Tensor,
    /// Size of each image in patches.
    pub grids: Vec<Grid>,
    /// Outputs of the vision blocks that are read, (blocks, Σpatches, C), where the tower is frozen and they were kept;
    /// there are no pixels then.
    pub kept: Option<Tensor>,
}

impl Pictures {
    /// What was prepared for the vision tower.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn of(input: &VisionInput) -> Result<Self, tch::TchError> {
        let rows: usize = input.grids.iter().map(Grid::patches).sum();
        let values = input.pixel_values.len() / rows.max(1);
        Ok(Self {
            pixels: Tensor::f_from_slice(&input.pixel_values)?.f_reshape([rows as i64, values as i64])?,
            grids: input.grids.clone(),
            kept: None,
        })
    }

    /// No pictures at all.
    pub fn none() -> Self {
        Self {
            pixels: Tensor::new(),
            grids: Vec::new(),
            kept: None,
        }
    }
}

/// B demonstrations: what was seen and told, and the chunk that was done.
///
/// The robot's own state is part of the prompts, where the checkpoint reads it in words.
#[derive(Debug)]
pub struct VlaBatch {
    /// The views of all samples, first sample first.
    pub pictures: Pictures,
    /// The student's prompts, B.
    pub student: Vec<Prompt>,
    /// The teacher's prompts, B; none where nothing is distilled. With privileged information they hold the action
    /// queries as well.
    pub teacher: Vec<TeacherPrompt>,
    /// Normalised states of the robot, (B, values), in 32 bits, where a projector reads them.
    pub state: Option<Tensor>,
    /// Normalised actions, (B, K, action dimension), in 32 bits.
    pub actions: Tensor,
    /// 1 where an action counts and 0 where it does not, (B, K), in 32 bits.
    pub valid: Tensor,
    /// Features of the geometry teacher, (Σpatches, width), row by row of each image in turn; (B·V, h·w, width) and
    /// (B, V, h, w, width) are the same values. Nothing where geometry is not aligned.
    pub geometry_target: Option<Tensor>,
    /// What each of those patches counts, (Σpatches), in 32 bits, in the same order; nothing where all count the same.
    pub geometry_weights: Option<Tensor>,
    /// Which samples are shown their conditions.
    pub shown: Shown,
}

/// Questions with answers to be learned.
#[derive(Debug)]
pub struct VlmBatch {
    /// The pictures of all conversations in order; nothing where no conversation has one.
    pub pictures: Option<Pictures>,
    /// The conversations.
    pub conversations: Vec<Answered>,
}

/// A conversation with its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// All of it, answers included.
    pub prompt: Prompt,
    /// For each token itself where it is to be learned, [`MASKED`] elsewhere: L.
    pub labels: Vec<i64>,
}

/// Label of a token that is given and not to be learned, as Hugging Face writes it.
pub const MASKED: i64 = -100;

/// What means are taken over. A step that is spread over several batches or several ranks divides each by the numbers
/// of the whole, so that it equals one large batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Values of valid actions.
    pub actions: f64,
    /// Patches with a geometry target, by what they count.
    pub patches: f64,
    /// Anchors (or, with privileged information, action queries) with a teacher.
    pub distilled: f64,
    /// Tokens to be learned.
    pub tokens: f64,
}

impl std::ops::Add for Counts {
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
    /// Number of samples, B.
    pub fn len(&self) -> usize {
        self.student.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.student.is_empty()
    }

    /// What its means are taken over.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn counts(&self) -> Result<Counts, tch::TchError> {
        let valid = self.valid.f_sum(tch::Kind::Double)?.f_double_value(&[])?;
        let width = self.actions.size().last().copied().unwrap_or(0);
        let rows: usize = self.pictures.grids.iter().map(Grid::patches).sum();
        let distilled = |teacher: &TeacherPrompt| match teacher.prompt.queries.len() {
            0 => teacher.prompt.anchors.len(),
            queries => queries,
        };
        Ok(Counts {
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
    /// What its mean is taken over. The first token of a conversation has nothing before it that could say it.
    pub fn counts(&self) -> Counts {
        let learned = |one: &Answered| one.labels.iter().skip(1).filter(|label| **label != MASKED).count();
        Counts {
            tokens: self.conversations.iter().map(learned).sum::<usize>() as f64,
            ..Counts::default()
        }
    }
}
