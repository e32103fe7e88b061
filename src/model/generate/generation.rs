//! Step-by-step generation of an answer: first the prompt is read in pieces, then each step returns one token.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};
use tokenizers::Tokenizer;

use crate::model::error::ModelError;
use crate::model::qwen3_vl::backbone::Backbone;
use crate::model::qwen3_vl::text_model::{TokenPiece, VisualInput};
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::model::thinkvla::prompt::Prompt;

use super::conversation::Conversation;
use super::sampling::{Sampling, TokenSampler};
use super::stream::TextStream;
use crate::model::qwen3_vl::kv_cache::KvCache;

/// Settings of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnswerOptions {
    /// Selection of the tokens.
    pub sampling: Sampling,
    /// Longest answer (tokens), including control tokens; at least 1.
    pub max_tokens: usize,
    /// Number of tokens of the prompt that one step reads, at least 1; smaller pieces make these steps shorter but the
    /// total time longer.
    pub prompt_piece: usize,
}

impl Default for AnswerOptions {
    /// Returns greedy sampling, at most 128 tokens, and the prompt in one step.
    fn default() -> Self {
        Self {
            sampling: Sampling::GREEDY,
            max_tokens: 128,
            prompt_piece: usize::MAX,
        }
    }
}

/// An answer that is being generated. It owns all its state: between two steps the network can be used otherwise.
#[derive(Debug)]
pub struct Generation {
    tokenizer: Arc<Tokenizer>,
    stops: Vec<i64>,
    options: AnswerOptions,
    sampler: TokenSampler,
    stream: TextStream,
    /// Ids of the prompt, then of the chosen tokens.
    ids: Vec<i64>,
    prompt: Prompt,
    encoded: Option<VisionOutput>,
    cache: KvCache,
    end: Option<End>,
}

/// Reason for the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The network chose a stop token.
    Stop,
    /// The answer has the largest number of tokens.
    Length,
}

/// Result of one step.
#[derive(Debug)]
pub enum GenerationStep {
    /// A piece of the prompt was read.
    Read {
        /// Number of remaining tokens of the prompt.
        left: usize,
    },
    /// A token was chosen.
    Token(Token),
}

/// A chosen token.
#[derive(Debug)]
pub struct Token {
    /// Id; a control token's when the network ends the answer.
    pub id: i64,
    /// Text that is complete with this token, without control tokens; may be empty.
    pub text: String,
    /// Logits from which it was chosen, one for each token of the vocabulary, in 32 bits.
    pub logits: Vec<f32>,
    /// Reason for the end, with the last token.
    pub end: Option<End>,
}

impl Generation {
    /// Begins an answer; `encoded` is the vision tower's output for the question's images only.
    ///
    /// # Errors
    /// When the options are invalid, or prompt and longest answer exceed the longest sequence.
    pub fn new(
        conversation: &Conversation,
        prompt: Prompt,
        encoded: Option<VisionOutput>,
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
            sampler: TokenSampler::new(options.sampling)?,
            stream: TextStream::new(conversation.tokenizer())?,
            ids: prompt.ids.clone(),
            options,
            prompt,
            encoded,
            cache: KvCache::default(),
            end: None,
        })
    }

    /// Reads the next piece of the prompt or generates the next token; the last piece of the prompt gives the first
    /// token. Returns `None` after the end. The generation must not be used after an error.
    ///
    /// # Errors
    /// When libtorch fails, or the logits are NaN.
    pub fn advance(&mut self, backbone: &Backbone) -> Result<Option<GenerationStep>, ModelError> {
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
            return Ok(Some(GenerationStep::Read { left }));
        }
        // The images are in the cache from now on.
        self.encoded = None;
        let logits = to_values(&backbone.logits(&state)?)?;
        self.choose(logits).map(|token| Some(GenerationStep::Token(token)))
    }

    /// Returns the tokens chosen so far.
    pub fn chosen(&self) -> &[i64] {
        self.ids.get(self.prompt.ids.len()..).unwrap_or_default()
    }

    /// Returns the reason for the end, once the answer has ended.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Reads the tokens `read..until` of the prompt; returns the state of the last, (1, 1, D).
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
        let (tokens, deepstack) = match &self.encoded {
            Some(encoded) if within > 0 => (
                Some(of_piece(&encoded.tokens)?),
                encoded.deepstack.iter().map(of_piece).collect::<Result<Vec<_>, _>>()?,
            ),
            _ => (None, Vec::new()),
        };
        let piece = TokenPiece {
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

    /// Reads the token chosen last; returns its state, (1, 1, D). Its position follows the largest of all before it.
    fn read_token(&mut self, backbone: &Backbone) -> Result<Tensor, ModelError> {
        let after = self.prompt.positions.iter().flatten().max().map_or(0, |last| last + 1);
        let position = after + self.cache.len() - self.prompt.ids.len() as i64;
        let piece = TokenPiece {
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
