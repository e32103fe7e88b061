//! Encoding of a whole conversation, including answers, for training.

use std::ops::Range;

use crate::camera::patches::Grid;
use crate::model::error::ModelError;
use crate::model::thinkvla::prompt::{self, Prompt, encode, positions};

use super::conversation::Conversation;

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversationTurn {
    /// Images and texts of the user, in this order.
    User(Vec<UserPart>),
    /// Text of the assistant.
    Assistant(String),
}

/// Part of a user's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPart {
    /// The next image.
    Image,
    /// Text.
    Text(String),
}

/// Settings of the encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelOptions {
    /// Beginning of every answer: the texts of the reasoning anchors, concatenated, or empty.
    pub anchors: String,
    /// Largest number of tokens; those after it are cut off, as in the reference's training.
    pub longest: usize,
}

/// An encoded conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledChat {
    /// All tokens.
    pub prompt: Prompt,
    /// Ranges of the assistant's tokens: from the first token of an answer through the end of its turn and the newline
    /// after it.
    pub answers: Vec<Range<usize>>,
}

impl Conversation {
    /// Encodes a conversation about images of these sizes like the reference's chat template: images at their places,
    /// no system message. Up to an answer the tokens are those of [`Self::ask`].
    ///
    /// # Errors
    /// When a text is empty, holds a control token or characters the tokenizer has no token for; when the number of
    /// images in the turns differs from that of `grids`; when no token of an answer, or only a part of an image, is
    /// within [`LabelOptions::longest`].
    pub fn write(
        &self,
        turns: &[ConversationTurn],
        grids: &[Grid],
        writing: &LabelOptions,
    ) -> Result<LabelledChat, ModelError> {
        let images: Vec<_> = grids.iter().map(|grid| prompt::merged(*grid, self.merge())).collect();
        let mut unseen = images.iter();
        let shown = turns.iter().filter_map(|turn| match turn {
            ConversationTurn::User(parts) => Some(parts.iter().filter(|part| **part == UserPart::Image).count()),
            ConversationTurn::Assistant(_) => None,
        });
        let shown: usize = shown.sum();
        if shown != images.len() {
            return Err(ModelError::Text(format!(
                "expected a place for each of {} images, found {shown}",
                images.len()
            )));
        }
        let (mut ids, mut answers) = (Vec::new(), Vec::new());
        for turn in turns {
            match turn {
                ConversationTurn::User(parts) => {
                    let mut content = String::new();
                    for part in parts {
                        match part {
                            UserPart::Image => {
                                content += &prompt::image_text(unseen.next().map_or(&[], std::slice::from_ref))
                            }
                            UserPart::Text(text) => {
                                self.check(text)?;
                                content += text;
                            }
                        }
                    }
                    ids.extend(encode(
                        self.tokenizer(),
                        &format!("<|im_start|>user\n{content}<|im_end|>\n"),
                    )?);
                }
                ConversationTurn::Assistant(text) => {
                    self.check(text)?;
                    // Encoded separately, so that an answer that begins with a space has the same tokens as in
                    // generation.
                    ids.extend(encode(self.tokenizer(), "<|im_start|>assistant\n")?);
                    let start = ids.len();
                    ids.extend(encode(
                        self.tokenizer(),
                        &format!("{}{text}<|im_end|>\n", writing.anchors),
                    )?);
                    answers.push(start..ids.len());
                }
            }
        }
        self.cut(self.prompt(ids, &images, grids), answers, writing.longest)
    }

    /// Returns the prompt of a whole conversation; `images` are the sizes of the merged `grids`.
    fn prompt(&self, ids: Vec<i64>, images: &[(i64, i64)], grids: &[Grid]) -> Prompt {
        let at = (0..).zip(&ids).filter(|(_, id)| **id == self.image_id());
        Prompt {
            positions: positions(&ids, self.image_id(), images),
            image_tokens: at.map(|(at, _)| at).collect(),
            anchors: Vec::new(),
            queries: Vec::new(),
            patches: grids.iter().map(|grid| grid.patches() as i64).sum(),
            raster: Vec::new(),
            ids,
        }
    }

    /// Cuts a conversation after its first `longest` tokens, with the ranges of its answers.
    fn cut(&self, mut prompt: Prompt, answers: Vec<Range<usize>>, longest: usize) -> Result<LabelledChat, ModelError> {
        let whole = prompt.ids.len();
        let longest = longest.min(usize::try_from(self.longest()).unwrap_or(usize::MAX));
        prompt.ids.truncate(longest);
        prompt.positions.iter_mut().for_each(|axis| axis.truncate(longest));
        let answers = answers.into_iter().map(|of| of.start..of.end.min(longest));
        let answers: Vec<Range<usize>> = answers.filter(|of| !of.is_empty()).collect();
        let seen = prompt.image_tokens.last().is_none_or(|last| (*last as usize) < longest);
        if answers.is_empty() || !seen {
            return Err(ModelError::Text(format!(
                "expected all images and the beginning of an answer within {longest} tokens, found {whole} tokens in all; \
                 allow longer conversations or show smaller images"
            )));
        }
        Ok(LabelledChat { prompt, answers })
    }
}
