//! An answer in the making: the prompt is read in pieces, then one token comes a step.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use tokenizers::Tokenizer;

use crate::model::backbone::Backbone;
use crate::model::error::ModelError;
use crate::model::language::{Piece, VisualInput};
use crate::model::prompt::Prompt;
use crate::model::vision::VisionOutput;

use super::cache::KvCache;
use super::conversation::Conversation;
use super::sampling::{Sampler, Sampling};
use super::stream::TextStream;

/// How an answer is to be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnswerOptions {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Longest answer (tokens), control tokens included; at least 1.
    pub max_tokens: usize,
    /// Tokens of the prompt that one step reads; fewer make the steps before the first token shorter and the whole
    /// longer. At least 1.
    pub prompt_piece: usize,
}

impl Default for AnswerOptions {
    /// Greedy, at most 128 tokens, the prompt in one step.
    fn default() -> Self {
        Self {
            sampling: Sampling::GREEDY,
            max_tokens: 128,
            prompt_piece: usize::MAX,
        }
    }
}

/// An answer in the making. It owns all its state: between two steps the network is free for other work.
#[derive(Debug)]
pub struct Generation {
    tokenizer: Arc<Tokenizer>,
    stops: Vec<i64>,
    options: AnswerOptions,
    sampler: Sampler,
    stream: TextStream,
    /// The prompt, then what was chosen.
    ids: Vec<i64>,
    prompt: Prompt,
    sight: Option<VisionOutput>,
    cache: KvCache,
    end: Option<End>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The network said so.
    Stop,
    /// It has as many tokens as were asked for.
    Length,
}

/// What one step brought.
#[derive(Debug)]
pub enum Step {
    /// A piece of the prompt was read; so many tokens of it are left.
    Read {
        /// Tokens of the prompt that are left.
        left: usize,
    },
    /// A token was chosen.
    Token(Token),
}

/// A chosen token.
#[derive(Debug)]
pub struct Token {
    /// Its id; a control token's when the network ends the answer.
    pub id: i64,
    /// The text that is whole with it, without control tokens; may be empty.
    pub text: String,
    /// What it was chosen from: the network's logits in 32 bits, vocabulary.
    pub logits: Vec<f32>,
    /// Set with the last token.
    pub end: Option<End>,
}

impl Generation {
    /// Begins an answer; `sight` is what the vision tower made of the question's images, without a batch of others.
    ///
    /// # Errors
    /// When the options cannot work or prompt and longest answer do not fit into the longest sequence.
    pub fn new(
        conversation: &Conversation,
        prompt: Prompt,
        sight: Option<VisionOutput>,
        options: AnswerOptions,
    ) -> Result<Self, ModelError> {
        for (name, value) in [
            ("max tokens", options.max_tokens),
            ("prompt piece", options.prompt_piece),
        ] {
            if value == 0 {
                return Err(ModelError::Text(format!("{name}: expected at least 1, found 0")));
            }
        }
        let length = prompt.ids.len().saturating_add(options.max_tokens);
        if length as u64 > conversation.longest() as u64 {
            return Err(ModelError::Text(format!(
                "expected question and answer to be at most {} tokens, found {} and {}; ask for fewer",
                conversation.longest(),
                prompt.ids.len(),
                options.max_tokens
            )));
        }
        Ok(Self {
            tokenizer: Arc::clone(conversation.tokenizer()),
            stops: conversation.stops().to_vec(),
            sampler: Sampler::new(options.sampling)?,
            stream: TextStream::new(conversation.tokenizer())?,
            ids: prompt.ids.clone(),
            options,
            prompt,
            sight,
            cache: KvCache::default(),
            end: None,
        })
    }

    /// Reads the next piece of the prompt or makes the next token; the last piece of the prompt makes the first token.
    /// Nothing after the end. After an error the generation is of no use.
    ///
    /// # Errors
    /// When libtorch refuses, or the logits are not numbers.
    pub fn advance(&mut self, backbone: &Backbone) -> Result<Option<Step>, ModelError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let _no_grad = tch::no_grad_guard();
        let read = self.cache.len() as usize;
        let until = read
            .saturating_add(self.options.prompt_piece)
            .min(self.prompt.ids.len());
        let state = if until > read {
            self.read_prompt(backbone, read, until)?
        } else {
            self.read_token(backbone)?
        };
        if until < self.prompt.ids.len() {
            let left = self.prompt.ids.len() - until;
            return Ok(Some(Step::Read { left }));
        }
        // The images are in the cache now.
        self.sight = None;
        let logits = to_values(&backbone.logits(&state)?)?;
        self.choose(logits).map(|token| Some(Step::Token(token)))
    }

    /// The tokens chosen so far.
    pub fn chosen(&self) -> &[i64] {
        self.ids.get(self.prompt.ids.len()..).unwrap_or_default()
    }

    /// Why the answer ended, once it has.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The state of the last token of `read..until`, (1, 1, D).
    fn read_prompt(&mut self, backbone: &Backbone, read: usize, until: usize) -> Result<Tensor, ModelError> {
        let prompt = &self.prompt;
        let piece = |values: &[i64]| values.get(read..until).unwrap_or_default().to_vec();
        let places = &prompt.image_tokens;
        let before = places.partition_point(|at| *at < read as i64);
        let within = places.partition_point(|at| *at < until as i64) - before;
        let rows: Vec<i64> = places
            .iter()
            .skip(before)
            .take(within)
            .map(|at| at - read as i64)
            .collect();
        let of_piece = |x: &Tensor| x.f_narrow(0, before as i64, within as i64);
        let (tokens, deepstack) = match &self.sight {
            Some(sight) if within > 0 => (
                Some(of_piece(&sight.tokens)?),
                sight.deepstack.iter().map(of_piece).collect::<Result<Vec<_>, _>>()?,
            ),
            _ => (None, Vec::new()),
        };
        let piece = Piece {
            ids: &piece(&prompt.ids),
            positions: &prompt.positions.each_ref().map(|axis| piece(axis)),
            image_rows: &rows,
            visual: tokens.as_ref().map(|tokens| VisualInput {
                tokens,
                deepstack: &deepstack,
            }),
        };
        backbone.read(&piece, &mut self.cache)
    }

    /// The state of the token chosen last, (1, 1, D). Its position follows the largest of all before it.
    fn read_token(&mut self, backbone: &Backbone) -> Result<Tensor, ModelError> {
        let after = self.prompt.positions.iter().flatten().max().map_or(0, |last| last + 1);
        let position = after + self.cache.len() - self.prompt.ids.len() as i64;
        let piece = Piece {
            ids: self.ids.last_chunk::<1>().map_or(&[], |last| last.as_slice()),
            positions: &[vec![position], vec![position], vec![position]],
            image_rows: &[],
            visual: None,
        };
        backbone.read(&piece, &mut self.cache)
    }

    fn choose(&mut self, logits: Vec<f32>) -> Result<Token, ModelError> {
        let id = self.sampler.pick(&logits, &self.ids)?;
        self.ids.push(id);
        if self.stops.contains(&id) {
            self.end = Some(End::Stop);
        } else if self.chosen().len() >= self.options.max_tokens {
            self.end = Some(End::Length);
        }
        let mut text = self.stream.push(&self.tokenizer, id);
        if self.end.is_some() {
            text.push_str(&self.stream.finish());
        }
        Ok(Token {
            id,
            text,
            logits,
            end: self.end,
        })
    }
}

/// # Shapes
/// (1, 1, vocabulary) → vocabulary
fn to_values(logits: &Tensor) -> Result<Vec<f32>, ModelError> {
    let logits = logits
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    let mut values = vec![0.0; logits.numel()];
    let count = values.len();
    logits.f_copy_data(&mut values, count)?;
    Ok(values)
}
