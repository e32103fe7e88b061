//! The prompt of the student and of inference: images, task, reasoning anchor, action text, action queries.

use std::sync::Arc;

use tokenizers::Tokenizer;

use crate::camera::patches::Grid;

use super::config::Config;
use super::error::ModelError;

/// Qwen3-VL's image placeholder and its brackets.
const IMAGE: &str = "<|image_pad|>";
const VISION_START: &str = "<|vision_start|>";
const VISION_END: &str = "<|vision_end|>";

/// One prompt as tokens. Places count from its first token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, L.
    pub ids: Vec<i64>,
    /// Time, row and column of each token, 3 x L.
    pub positions: [Vec<i64>; 3],
    /// Places of the image tokens, in order.
    pub image_tokens: Vec<i64>,
    /// Place of the reasoning anchor.
    pub anchor: i64,
    /// Places of the K action queries, in order.
    pub queries: Vec<i64>,
    /// Patches of all its images.
    pub patches: i64,
}

/// Position of what fills a prompt up; nothing attends to it.
const FILLER_POSITION: i64 = 1;

impl Prompt {
    /// Fills up behind the last token, to a number of tokens that is a multiple of `rows`: matrix kernels run full
    /// blocks faster. What stands before is blind to it.
    pub fn filled_up(mut self, rows: usize) -> Self {
        let length = self.ids.len().next_multiple_of(rows.max(1));
        self.ids.resize(length, 0);
        for axis in &mut self.positions {
            axis.resize(length, FILLER_POSITION);
        }
        self
    }
}

/// Writes prompts for one checkpoint.
#[derive(Debug)]
pub struct Prompter {
    tokenizer: Arc<Tokenizer>,
    template: String,
    control: Vec<String>,
    image_id: i64,
    anchor_id: i64,
    query_id: i64,
    chunk_len: usize,
    merge: i64,
    longest: i64,
}

impl Prompter {
    /// Checks that the tokenizer and the configuration mean the same ids.
    ///
    /// # Errors
    /// Names the token whose id differs or that is not one token.
    pub fn new(tokenizer: impl Into<Arc<Tokenizer>>, config: &Config) -> Result<Self, ModelError> {
        let tokenizer = tokenizer.into();
        let ours = &config.thinkvla;
        for (token, field, id) in [
            (IMAGE, "image_token_id", config.image_token_id),
            (VISION_START, "vision_start_token_id", config.vision_start_token_id),
            (VISION_END, "vision_end_token_id", config.vision_end_token_id),
            (&ours.anchor_token, "thinkvla.anchor_token_id", ours.anchor_token_id),
            (&ours.action_token, "thinkvla.action_token_id", ours.action_token_id),
        ] {
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
        control.extend([ours.anchor_token.clone(), ours.action_token.clone()]);
        let chunk_len = ours.chunk_len as usize;
        Ok(Self {
            template: ours
                .prompt
                .replace("{chunk_len}", &chunk_len.to_string())
                .replace("{anchor}", &ours.anchor_token)
                .replace("{queries}", &ours.action_token.repeat(chunk_len)),
            tokenizer,
            control,
            image_id: config.image_token_id,
            anchor_id: ours.anchor_token_id,
            query_id: ours.action_token_id,
            chunk_len,
            merge: config.vision_config.spatial_merge_size,
            longest: config.text_config.max_position_embeddings,
        })
    }

    /// The prompt of the student and of inference (3DThinkVLA (3)). One trailing full stop of the instruction is
    /// dropped, since the template has its own.
    ///
    /// # Errors
    /// When the instruction is empty, holds one of the tokenizer's control tokens, or makes the prompt too long.
    pub fn student(&self, instruction: &str, grids: &[Grid]) -> Result<Prompt, ModelError> {
        self.check(instruction)?;
        let task = instruction.strip_suffix('.').unwrap_or(instruction);
        let text = self.template.replace("{instruction}", task);
        let merged: Vec<_> = grids.iter().map(|grid| merged(*grid, self.merge)).collect();
        let images = image_text(&merged);
        let ids = encode(
            &self.tokenizer,
            &format!("<|im_start|>user\n{images}{text}<|im_end|>\n<|im_start|>assistant\n"),
        )?;
        if ids.len() as i64 > self.longest {
            return Err(ModelError::Instruction(format!(
                "expected a prompt of at most {} tokens, found {}; use a shorter instruction",
                self.longest,
                ids.len()
            )));
        }
        let places = |id| -> Vec<i64> { (0..).zip(&ids).filter(|(_, i)| **i == id).map(|(at, _)| at).collect() };
        let image_tokens = places(self.image_id);
        let queries = places(self.query_id);
        let [anchor] = places(self.anchor_id)[..] else {
            return Err(ModelError::Tokenizer(
                "expected one reasoning anchor in a prompt".into(),
            ));
        };
        if queries.len() != self.chunk_len {
            return Err(ModelError::Tokenizer(format!(
                "expected {} action queries in a row to be as many tokens, found {}",
                self.chunk_len,
                queries.len()
            )));
        }
        Ok(Prompt {
            positions: positions(&ids, self.image_id, &merged),
            image_tokens,
            anchor,
            queries,
            patches: grids.iter().map(|grid| grid.patches() as i64).sum(),
            ids,
        })
    }

    fn check(&self, instruction: &str) -> Result<(), ModelError> {
        if instruction.trim().is_empty() {
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
}

/// Rows and columns of an image's tokens, `merge` x `merge` patches each.
pub(super) fn merged(grid: Grid, merge: i64) -> (i64, i64) {
    (i64::from(grid.h) / merge, i64::from(grid.w) / merge)
}

/// Placeholders of images of so many rows and columns of tokens.
pub(super) fn image_text(images: &[(i64, i64)]) -> String {
    images
        .iter()
        .map(|(rows, columns)| {
            let tokens = IMAGE.repeat((rows * columns) as usize);
            format!("{VISION_START}{tokens}{VISION_END}")
        })
        .collect()
}

/// Ids of a text; control tokens in it count as such.
pub(super) fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<i64>, ModelError> {
    let encoding = tokenizer
        .encode_fast(text, false)
        .map_err(|e| ModelError::Tokenizer(e.to_string()))?;
    Ok(encoding.get_ids().iter().copied().map(i64::from).collect())
}

/// Time, row and column of each token (Qwen3-VL reference): text runs on equally in all three; an image's tokens share
/// the time of its first and spread by row and column from there; the text after it goes on behind its longer side.
pub(super) fn positions(ids: &[i64], image_id: i64, images: &[(i64, i64)]) -> [Vec<i64>; 3] {
    let mut positions: [Vec<i64>; 3] = Default::default();
    let mut images = images.iter();
    let mut next = 0;
    let mut at = 0;
    while let Some(&id) = ids.get(at) {
        let (time, rows, columns) = match images.as_slice().first() {
            Some(&(rows, columns)) if id == image_id => {
                images.next();
                (next, rows, columns)
            }
            _ => (next, 1, 1),
        };
        for row in 0..rows {
            for column in 0..columns {
                for (axis, value) in positions.iter_mut().zip([time, time + row, time + column]) {
                    axis.push(value);
                }
            }
        }
        next += rows.max(columns);
        at += (rows * columns) as usize;
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of two 256 x 256 views by hand: text 0-2, image brackets at 3, 12, 13 and 22.
    #[test]
    fn images_spread_and_text_goes_on_behind_them() {
        let image = 9;
        let mut ids = vec![1, 1, 1];
        for _ in 0..2 {
            ids.push(2);
            ids.extend([image; 64]);
            ids.push(3);
        }
        ids.extend([1, 1]);
        let [time, row, column] = positions(&ids, image, &[(8, 8), (8, 8)]);
        assert_eq!(time[..5], [0, 1, 2, 3, 4]);
        assert!(time[4..68].iter().all(|t| *t == 4));
        assert_eq!((row[4], row[11], row[12], row[67]), (4, 4, 5, 11));
        assert_eq!((column[4], column[11], column[12], column[67]), (4, 11, 4, 11));
        assert_eq!((time[68], time[69]), (12, 13));
        assert!(time[70..134].iter().all(|t| *t == 14));
        assert_eq!((row[133], column[133]), (21, 21));
        assert_eq!(time[134..], [22, 23, 24]);
        assert_eq!([&time[134..], &time[134..]], [&row[134..], &column[134..]]);
    }

    #[test]
    fn a_wide_image_pushes_the_text_by_its_width() {
        let [time, row, column] = positions(&[1, 9, 9, 9, 1], 9, &[(1, 3)]);
        assert_eq!(
            (time, row, column),
            (vec![0, 1, 1, 1, 4], vec![0, 1, 1, 1, 4], vec![0, 1, 2, 3, 4])
        );
    }
}
