//! Text of a prompt and its tokens.

use tokenizers::Tokenizer;

use crate::camera::patches::Grid;
use crate::model::error::ModelError;

/// Qwen3-VL's image placeholder and its delimiters.
pub(super) const IMAGE: &str = "<|image_pad|>";
pub(super) const VISION_START: &str = "<|vision_start|>";
pub(super) const VISION_END: &str = "<|vision_end|>";

/// Returns the rows and columns of an image's tokens, `merge` x `merge` patches each.
pub(in crate::model) fn merged(grid: Grid, merge: i64) -> (i64, i64) {
    (i64::from(grid.h) / merge, i64::from(grid.w) / merge)
}

/// Returns the placeholders of images with these rows and columns of tokens.
pub(in crate::model) fn image_text(images: &[(i64, i64)]) -> String {
    images
        .iter()
        .map(|(rows, columns)| {
            let tokens = IMAGE.repeat((rows * columns) as usize);
            format!("{VISION_START}{tokens}{VISION_END}")
        })
        .collect()
}

/// Encodes a text; control tokens in it are recognised.
pub(in crate::model) fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<i64>, ModelError> {
    let encoding = tokenizer
        .encode_fast(text, false)
        .map_err(|e| ModelError::Tokenizer(e.to_string()))?;
    Ok(encoding.get_ids().iter().copied().map(i64::from).collect())
}
