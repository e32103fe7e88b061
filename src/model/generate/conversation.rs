//! Prompts of conversations: images and a question of the user, then the beginning of the assistant's turn.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokenizers::{NormalizedString, Normalizer as _, Tokenizer};

use crate::camera::patches::Grid;
use crate::files;
use crate::model::config::Qwen3VlConfig;
use crate::model::error::ModelError;
use crate::model::json;
use crate::model::thinkvla::prompt::{self, Prompt, encode, positions};

/// File name of the reference's generation settings in a checkpoint directory; only the stop tokens are read.
pub const GENERATION_CONFIG: &str = "generation_config.json";

/// Default tokens that end an answer, without [`GENERATION_CONFIG`]: end of turn and end of text.
const STOPS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// Builds question prompts for one checkpoint.
#[derive(Debug)]
pub struct Conversation {
    tokenizer: Arc<Tokenizer>,
    control: Vec<String>,
    stops: Vec<i64>,
    image_id: i64,
    merge: i64,
    longest: i64,
}

impl Conversation {
    /// Prepares conversations with the checkpoint in `directory`, whose tokenizer and configuration have been read
    /// already.
    ///
    /// # Errors
    /// When the tokenizer has no token that ends an answer, or `generation_config.json` is damaged.
    pub fn new(directory: &Path, tokenizer: Arc<Tokenizer>, config: &Qwen3VlConfig) -> Result<Self, ModelError> {
        let stops = match stops_of(directory)? {
            Some(stops) => stops,
            None => STOPS
                .iter()
                .filter_map(|token| tokenizer.token_to_id(token).map(i64::from))
                .collect(),
        };
        if stops.is_empty() {
            return Err(ModelError::Tokenizer(format!(
                "expected a token that ends an answer ({}), found none; take Qwen3's tokenizer.json",
                STOPS.join(" or ")
            )));
        }
        let added = tokenizer.get_added_tokens_decoder();
        Ok(Self {
            control: added.into_values().filter(|t| t.special).map(|t| t.content).collect(),
            stops,
            image_id: config.image_token_id,
            merge: config.vision_config.spatial_merge_size,
            longest: config.text_config.max_position_embeddings,
            tokenizer,
        })
    }

    /// Returns the tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Returns the ids of tokens that end an answer.
    pub fn stops(&self) -> &[i64] {
        &self.stops
    }

    /// Returns the longest conversation, including the answer (tokens).
    pub fn longest(&self) -> i64 {
        self.longest
    }

    /// Returns the id of the tokens that image embeddings replace.
    pub(super) fn image_id(&self) -> i64 {
        self.image_id
    }

    /// Returns the number of rows, and of columns, of patches that become one token.
    pub(super) fn merge(&self) -> i64 {
        self.merge
    }

    /// Returns the prompt of a question about images of these sizes, as the reference's chat template writes it: images
    /// first, no system message. It contains no reasoning anchor; a network trained on answers with anchors begins with
    /// them itself.
    ///
    /// # Errors
    /// When the question is empty, holds a control token or characters the tokenizer has no token for, or leaves no
    /// room for an answer.
    pub fn ask(&self, question: &str, grids: &[Grid]) -> Result<Prompt, ModelError> {
        self.check(question)?;
        let images: Vec<_> = grids.iter().map(|grid| prompt::merged(*grid, self.merge)).collect();
        let turn = format!(
            "<|im_start|>user\n{}{question}<|im_end|>\n<|im_start|>assistant\n",
            prompt::image_text(&images)
        );
        let ids = encode(&self.tokenizer, &turn)?;
        if ids.len() as i64 >= self.longest {
            return Err(ModelError::Text(format!(
                "expected a question of fewer than {} tokens, images included, found {}; ask in fewer words or of \
                 smaller images",
                self.longest,
                ids.len()
            )));
        }
        let at = (0..).zip(&ids).filter(|(_, id)| **id == self.image_id);
        Ok(Prompt {
            image_tokens: at.map(|(at, _)| at).collect(),
            positions: positions(&ids, self.image_id, &images),
            anchors: Vec::new(),
            queries: Vec::new(),
            patches: grids.iter().map(|grid| grid.patches() as i64).sum(),
            raster: Vec::new(),
            ids,
        })
    }

    /// Checks that a question or an answer can be encoded.
    pub(super) fn check(&self, text: &str) -> Result<(), ModelError> {
        if text.trim().is_empty() {
            return Err(ModelError::Text("expected words, found nothing".into()));
        }
        if let Some(token) = self.control.iter().find(|token| text.contains(*token)) {
            return Err(ModelError::Text(format!(
                "expected plain words, found the control token {token} in {text:?}"
            )));
        }
        // A tokenizer without a token for a character drops it, and the network would get another text.
        let mut normal = NormalizedString::from(text);
        if let Some(normalizer) = self.tokenizer.get_normalizer() {
            normalizer
                .normalize(&mut normal)
                .map_err(|e| ModelError::Tokenizer(e.to_string()))?;
        }
        let ids: Vec<u32> = encode(&self.tokenizer, text)?
            .into_iter()
            .filter_map(|id| u32::try_from(id).ok())
            .collect();
        let read = self
            .tokenizer
            .decode(&ids, false)
            .map_err(|e| ModelError::Tokenizer(e.to_string()))?;
        if read != normal.get() {
            return Err(ModelError::Text(format!(
                "expected characters the checkpoint's tokenizer knows, found {text:?}, which it reads as {read:?}"
            )));
        }
        Ok(())
    }
}

/// Returns the tokens at which the reference ends an answer; `None` where the directory does not state them.
fn stops_of(directory: &Path) -> Result<Option<Vec<i64>>, ModelError> {
    /// The part of the file that is read.
    #[derive(Deserialize)]
    struct Settings {
        eos_token_id: Option<OneOrMore>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(i64),
        More(Vec<i64>),
    }
    let path = directory.join(GENERATION_CONFIG);
    let text = match files::read_text(&path, files::CONFIGURATION) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ModelError::read(&path, error)),
    };
    let settings: Settings = json::parse(&path, text.as_bytes())?;
    Ok(settings.eos_token_id.map(|ids| match ids {
        OneOrMore::One(id) => vec![id],
        OneOrMore::More(ids) => ids,
    }))
}
