//! Prompts: images, task, reasoning anchors, action text and action queries; for training also the teacher's.

mod positions;
mod prompt_layout;
mod text;

use std::sync::Arc;

use tokenizers::Tokenizer;

use crate::camera::patches::{Grid, merge_block_from_raster};
use crate::contract::has_words;

use super::state::StateText;
use crate::model::config::{AnchorToken, Config, Proprio, ReadAt, TeacherAnchor};
use crate::model::error::ModelError;
pub(in crate::model) use positions::positions;
use prompt_layout::Layout;
use text::{IMAGE, VISION_END, VISION_START};
pub(in crate::model) use text::{encode, image_text, merged};

/// One prompt as tokens. Positions count from its first token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, L.
    pub ids: Vec<i64>,
    /// Time, row and column of each token, 3 x L.
    pub positions: [Vec<i64>; 3],
    /// Positions of the image tokens, in order.
    pub image_tokens: Vec<i64>,
    /// Positions of the reasoning anchors, in order; none in checkpoints without reasoning.
    pub anchors: Vec<i64>,
    /// Positions of the K action queries, in order; none in the teacher's prompt.
    pub queries: Vec<i64>,
    /// Number of patches of all its images.
    pub patches: i64,
    /// Index of each patch in merge-block order, in raster order of each image in turn.
    pub raster: Vec<i64>,
}

/// The teacher's prompt and its relation to the student's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeacherPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// Number of its first tokens that are also the student's: images and task. Their states are the same in both.
    pub shared: usize,
}

/// A task for the robot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PromptTask<'a> {
    /// Instruction.
    pub instruction: &'a str,
    /// State of the robot, for checkpoints that read it as text.
    pub state: Option<&'a StateText>,
}

impl<'a> From<&'a str> for PromptTask<'a> {
    fn from(instruction: &'a str) -> Self {
        Self {
            instruction,
            state: None,
        }
    }
}

/// Position of padding, which nothing attends to.
const FILLER_POSITION: i64 = 1;

impl Prompt {
    /// Pads at the end to a number of tokens that is a multiple of `rows`, because matrix kernels run full blocks
    /// faster. The tokens before do not attend to the padding.
    pub fn filled_up(mut self, rows: usize) -> Self {
        let length = self.ids.len().next_multiple_of(rows.max(1));
        self.ids.resize(length, 0);
        for axis in &mut self.positions {
            axis.resize(length, FILLER_POSITION);
        }
        self
    }
}

/// Builds prompts for one checkpoint.
#[derive(Debug)]
pub struct Prompter {
    tokenizer: Arc<Tokenizer>,
    layout: Layout,
    control: Vec<String>,
    proprio: Proprio,
    image_id: i64,
    anchors: Vec<AnchorToken>,
    reads_task_end: bool,
    query_id: i64,
    chunk_len: usize,
    merge: u32,
    longest: i64,
}

impl Prompter {
    /// Creates a prompter; checks that tokenizer and configuration have the same ids.
    ///
    /// # Errors
    /// Names the token whose id differs or that is not one token.
    pub fn new(tokenizer: impl Into<Arc<Tokenizer>>, config: &Config) -> Result<Self, ModelError> {
        let tokenizer = tokenizer.into();
        let ours = &config.thinkvla;
        let mut tokens = vec![
            (IMAGE, "image_token_id", config.image_token_id),
            (VISION_START, "vision_start_token_id", config.vision_start_token_id),
            (VISION_END, "vision_end_token_id", config.vision_end_token_id),
            (&ours.action_token, "thinkvla.action_token_id", ours.action_token_id),
        ];
        let anchors = ours.anchors().iter();
        tokens.extend(anchors.map(|anchor| (anchor.token.as_str(), "thinkvla.reasoning.anchors", anchor.id)));
        for (token, field, id) in tokens {
            let found = encode(&tokenizer, token)?;
            if found != [id] {
                return Err(ModelError::Tokenizer(format!(
                    "expected {token} to be the one token {id}, as config.json says in {field}, found {found:?}; take \
                     both files from the same checkpoint"
                )));
            }
        }
        let largest = tokenizer.get_vocab(true).into_values().max().map_or(0, i64::from);
        if largest >= config.text_config.vocab_size {
            return Err(ModelError::Tokenizer(format!(
                "expected ids below text_config.vocab_size, {}, found {largest}",
                config.text_config.vocab_size
            )));
        }
        let mut control: Vec<String> = tokenizer
            .get_added_tokens_decoder()
            .into_values()
            .map(|t| t.content)
            .collect();
        control.push(ours.action_token.clone());
        control.extend(ours.anchors().iter().map(|anchor| anchor.token.clone()));
        Ok(Self {
            tokenizer,
            layout: Layout::of(ours),
            control,
            proprio: ours.proprio,
            image_id: config.image_token_id,
            anchors: ours.anchors().to_vec(),
            reads_task_end: ours.reasoning.as_ref().is_some_and(|of| of.read_at == ReadAt::TaskEnd),
            query_id: ours.action_token_id,
            chunk_len: ours.chunk_len as usize,
            merge: config.patch_rule().merge,
            longest: config.text_config.max_position_embeddings,
        })
    }

    /// Returns the prompt of the student and of inference (3DThinkVLA (3)). In 3DThinkVLA's style one trailing full
    /// stop of the instruction is dropped, since the template has its own.
    ///
    /// # Errors
    /// When the instruction is empty, holds one of the tokenizer's control tokens, or makes the prompt too long, or
    /// when the state is missing or not expected.
    pub fn student<'a>(&self, task: impl Into<PromptTask<'a>>, grids: &[Grid]) -> Result<Prompt, ModelError> {
        let Layout { anchors, action, .. } = &self.layout;
        let user_text = self.task(task.into())?;
        let user = format!("{user_text}{anchors}{action}");
        let mut prompt = self.read(&user, "", grids)?;
        self.mark_end(&mut prompt, &user_text, grids)?;
        if prompt.queries.len() != self.chunk_len {
            return Err(ModelError::Tokenizer(format!(
                "expected {} action queries in a row to be as many tokens, found {}",
                self.chunk_len,
                prompt.queries.len()
            )));
        }
        Ok(prompt)
    }

    /// Returns the teacher's prompt (3DThinkVLA (4)): the student's images and task, then text number `choice` of the
    /// configuration, then the anchors, at the configured position. Before the text they would have the same states as
    /// the student's.
    ///
    /// # Errors
    /// As for [`Self::student`]; also when there is no reasoning or no such text, or when the task has different tokens
    /// in the two prompts.
    pub fn teacher<'a>(
        &self,
        task: impl Into<PromptTask<'a>>,
        grids: &[Grid],
        choice: usize,
    ) -> Result<TeacherPrompt, ModelError> {
        let task = task.into();
        let Some(user_text) = self.layout.teacher.get(choice) else {
            return Err(ModelError::config(
                "thinkvla.reasoning.teacher_prompt",
                format!("a text number {choice}, counted from 0"),
                format!("{} texts", self.layout.teacher.len()),
            ));
        };
        if let Some(token) = self.control.iter().find(|token| user_text.contains(*token)) {
            return Err(ModelError::config(
                "thinkvla.reasoning.teacher_prompt",
                "plain words",
                format!("the control token {token}"),
            ));
        }
        let student = self.student(task, grids)?;
        let user = format!("{} {user_text}", self.task(task)?);
        let anchors = &self.layout.anchors;
        let mut prompt = match self.layout.teacher_anchor {
            TeacherAnchor::UserEnd => self.read(&format!("{user}{anchors}"), "", grids)?,
            TeacherAnchor::AssistantStart => self.read(&user, anchors, grids)?,
        };
        self.mark_end(&mut prompt, &user, grids)?;
        let shared = student.anchors.first().copied().unwrap_or(0) as usize;
        if prompt.ids.get(..shared) != student.ids.get(..shared) {
            return Err(ModelError::Tokenizer(format!(
                "expected the task to be the same tokens for teacher and student, found others where {user_text:?} \
                 follows; end the task in thinkvla.prompt with a full stop"
            )));
        }
        Ok(TeacherPrompt { prompt, shared })
    }

    /// Returns the prompt of a teacher with privileged information (Table 7 of 3DThinkVLA): the student's prompt with
    /// `known`, a text about the scene, inserted before the anchors and the action text.
    ///
    /// # Errors
    /// As for [`Self::student`]; also when `known` does not begin with a letter or holds a control token, or when the
    /// task has different tokens in the two prompts.
    pub fn privileged<'a>(
        &self,
        task: impl Into<PromptTask<'a>>,
        grids: &[Grid],
        known: &str,
    ) -> Result<TeacherPrompt, ModelError> {
        let task = task.into();
        let spoken = known.starts_with(char::is_alphabetic);
        if !spoken || self.control.iter().any(|token| known.contains(token)) {
            return Err(ModelError::Instruction(format!(
                "expected words about the scene that begin with a letter and hold no control token, found {known:?}"
            )));
        }
        let student = self.student(task, grids)?;
        let Layout { anchors, action, .. } = &self.layout;
        let user_text = format!("{} {known}", self.task(task)?);
        let mut prompt = self.read(&format!("{user_text}{anchors}{action}"), "", grids)?;
        self.mark_end(&mut prompt, &user_text, grids)?;
        let same = |(a, b): &(&i64, &i64)| a == b;
        let shared = prompt.ids.iter().zip(&student.ids).take_while(same).count();
        Ok(TeacherPrompt { prompt, shared })
    }

    /// Returns the part of a text that [`Self::privileged`] accepts: without control tokens, from its first letter on;
    /// `None` if there is no letter.
    pub fn plain_words(&self, text: &str) -> Option<String> {
        let mut words = text.to_owned();
        // Repeat, since removing a token may join the halves of another.
        while let Some(token) = self.control.iter().find(|token| words.contains(*token)) {
            words = words.replace(token.as_str(), " ");
        }
        let start = words.find(char::is_alphabetic)?;
        words.get(start..).map(|words| words.trim_end().to_owned())
    }

    /// Marks the last token of the task, where the state is read in place of anchors.
    fn mark_end(&self, prompt: &mut Prompt, user_text: &str, grids: &[Grid]) -> Result<(), ModelError> {
        if !self.reads_task_end {
            return Ok(());
        }
        let merged: Vec<_> = grids.iter().map(|grid| merged(*grid, self.merge.into())).collect();
        let before = encode(
            &self.tokenizer,
            &format!("<|im_start|>user\n{}{user_text}", image_text(&merged)),
        )?;
        if before.is_empty() || !prompt.ids.starts_with(&before) {
            return Err(ModelError::Tokenizer(format!(
                "expected {user_text:?} to end with a token of its own; end the task in thinkvla.prompt with a full stop"
            )));
        }
        prompt.anchors = vec![before.len() as i64 - 1];
        Ok(())
    }

    /// Returns the number of texts for the teacher; a training step draws one.
    pub fn teacher_texts(&self) -> usize {
        self.layout.teacher.len()
    }

    /// Returns the task as it is written in the user's text.
    fn task(&self, task: PromptTask) -> Result<String, ModelError> {
        self.require_plain(task.instruction)?;
        let state = match (self.proprio, task.state) {
            (Proprio::None | Proprio::Projected, None) => "",
            (Proprio::Text, Some(state)) => state.as_str(),
            (Proprio::Text, None) => {
                return Err(ModelError::Observation {
                    expected: "the robot's own state, as thinkvla.proprio says".into(),
                    found: "none".into(),
                });
            }
            (Proprio::None | Proprio::Projected, Some(_)) => {
                return Err(ModelError::Observation {
                    expected: "no state in words, as thinkvla.proprio says".into(),
                    found: "one".into(),
                });
            }
        };
        let instruction = match self.layout.drops_full_stop {
            true => task.instruction.strip_suffix('.').unwrap_or(task.instruction),
            false => task.instruction,
        };
        let user_text = format!("{instruction}{state}");
        Ok(self.layout.task.replace("{instruction}", &user_text))
    }

    /// Encodes a turn of the user and the beginning of the assistant's answer.
    fn read(&self, user: &str, answer: &str, grids: &[Grid]) -> Result<Prompt, ModelError> {
        let merged: Vec<_> = grids.iter().map(|grid| merged(*grid, self.merge.into())).collect();
        let images = image_text(&merged);
        let text = format!("<|im_start|>user\n{images}{user}<|im_end|>\n<|im_start|>assistant\n{answer}");
        let ids = encode(&self.tokenizer, &text)?;
        if ids.len() as i64 > self.longest {
            return Err(ModelError::Instruction(format!(
                "expected a prompt of at most {} tokens, found {}; use a shorter instruction",
                self.longest,
                ids.len()
            )));
        }
        let places = |id| -> Vec<i64> { (0..).zip(&ids).filter(|(_, i)| **i == id).map(|(at, _)| at).collect() };
        let anchors: Vec<i64> = self.anchors.iter().flat_map(|anchor| places(anchor.id)).collect();
        let in_a_row = anchors.iter().zip(anchors.iter().skip(1)).all(|(a, b)| a + 1 == *b);
        if anchors.len() != self.anchors.len() || !in_a_row {
            return Err(ModelError::Tokenizer(format!(
                "expected {} reasoning anchors in a row in a prompt, found them at {anchors:?}",
                self.anchors.len()
            )));
        }
        let (image_tokens, queries) = (places(self.image_id), places(self.query_id));
        let raster = self.raster(grids);
        Ok(Prompt {
            positions: positions(&ids, self.image_id, &merged),
            image_tokens,
            anchors,
            queries,
            patches: raster.len() as i64,
            raster,
            ids,
        })
    }

    /// Refuses an instruction that is not allowed in a prompt.
    ///
    /// # Errors
    /// When it is empty or holds one of the tokenizer's control tokens.
    pub fn require_plain(&self, instruction: &str) -> Result<(), ModelError> {
        if !has_words(instruction) {
            return Err(ModelError::Instruction(
                "expected a task in words, found nothing".into(),
            ));
        }
        match self.control.iter().find(|token| instruction.contains(*token)) {
            Some(token) => Err(ModelError::Instruction(format!(
                "expected plain words, found the control token {token} in {instruction:?}"
            ))),
            None => Ok(()),
        }
    }

    /// Returns the index in merge-block order of each patch, in raster order of each image in turn.
    fn raster(&self, grids: &[Grid]) -> Vec<i64> {
        let mut raster = Vec::new();
        for grid in grids {
            let start = raster.len();
            raster
                .extend((0..grid.patches()).map(|at| (start + merge_block_from_raster(at, *grid, self.merge)) as i64));
        }
        raster
    }
}
