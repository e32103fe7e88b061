//! A whole conversation as tokens, answers included, for training on it.

use std::ops::Range;

use crate::camera::patches::Grid;
use crate::model::error::ModelError;
use crate::model::prompt::{self, Prompt, encode, positions};

use super::conversation::Conversation;

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// What the user shows and says, in this order.
    User(Vec<Shown>),
    /// What the assistant says.
    Assistant(String),
}

/// Part of what a user shows and says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The next image.
    Image,
    /// Text.
    Text(String),
}

/// How conversations are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// What every answer begins with: the texts of the reasoning anchors in a row, or nothing.
    pub anchors: String,
    /// Most tokens; what is behind them is cut off, as the reference's training does.
    pub longest: usize,
}

/// A conversation as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// All of it.
    pub prompt: Prompt,
    /// Where the assistant speaks: from the first token of an answer through the end of its turn and the newline behind.
    pub answers: Vec<Range<usize>>,
}

impl Conversation {
    /// Writes a conversation about images of these sizes as the reference's chat template does: images where the user
    /// shows them, no system message. Up to an answer the tokens are those of [`Self::ask`].
    ///
    /// # Errors
    /// When a text is empty, holds a control token or characters the tokenizer has no token for; when as many images are
    /// shown as are not there; when nothing of an answer, or not the whole of an image, is within [`Writing::longest`].
    pub fn write(&self, turns: &[Turn], grids: &[Grid], writing: &Writing) -> Result<Written, ModelError> {
        let images: Vec<_> = grids.iter().map(|grid| prompt::merged(*grid, self.merge())).collect();
        let mut unseen = images.iter();
        let shown = turns.iter().filter_map(|turn| match turn {
            Turn::User(parts) => Some(parts.iter().filter(|part| **part == Shown::Image).count()),
            Turn::Assistant(_) => None,
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
                Turn::User(parts) => {
                    let mut said = String::new();
                    for part in parts {
                        match part {
                            Shown::Image => {
                                said += &prompt::image_text(unseen.next().map_or(&[], std::slice::from_ref))
                            }
                            Shown::Text(text) => {
                                self.check(text)?;
                                said += text;
                            }
                        }
                    }
                    ids.extend(encode(
                        self.tokenizer(),
                        &format!("<|im_start|>user\n{said}<|im_end|>\n"),
                    )?);
                }
                Turn::Assistant(text) => {
                    self.check(text)?;
                    // In two pieces, so that an answer that begins with space is read as it will be said.
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
        self.cut(ids, answers, (&images, grids), writing.longest)
    }

    fn cut(
        &self,
        mut ids: Vec<i64>,
        answers: Vec<Range<usize>>,
        (images, grids): (&[(i64, i64)], &[Grid]),
        longest: usize,
    ) -> Result<Written, ModelError> {
        let whole = ids.len();
        let longest = longest.min(usize::try_from(self.longest()).unwrap_or(usize::MAX));
        let mut positions = positions(&ids, self.image_id(), images);
        let at = (0..).zip(&ids).filter(|(_, id)| **id == self.image_id());
        let image_tokens: Vec<i64> = at.map(|(at, _)| at).collect();
        ids.truncate(longest);
        positions.iter_mut().for_each(|axis| axis.truncate(longest));
        let answers = answers.into_iter().map(|of| of.start..of.end.min(longest));
        let answers: Vec<Range<usize>> = answers.filter(|of| !of.is_empty()).collect();
        let seen = image_tokens.last().is_none_or(|last| (*last as usize) < longest);
        if answers.is_empty() || !seen {
            return Err(ModelError::Text(format!(
                "expected all images and the beginning of an answer within {longest} tokens, found {whole} tokens in all; \
                 allow longer conversations or show smaller images"
            )));
        }
        Ok(Written {
            prompt: Prompt {
                positions,
                image_tokens,
                anchors: Vec::new(),
                queries: Vec::new(),
                patches: grids.iter().map(|grid| grid.patches() as i64).sum(),
                raster: Vec::new(),
                ids,
            },
            answers,
        })
    }
}
