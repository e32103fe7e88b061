//! Incremental decoding of tokens to text, with complete characters only.

use std::collections::BTreeMap;

use tokenizers::Tokenizer;
use tokenizers::decoders::DecoderWrapper;

use crate::model::error::ModelError;
use crate::model::init::prune_tokenizer::byte_letter;

/// Decodes tokens piece by piece; the concatenated pieces equal the tokenizer's decoding of all tokens, without control
/// tokens.
///
/// A byte-level token may end within a character; its bytes are held back until the rest arrives. Bytes that cannot be
/// completed become U+FFFD, as in the tokenizer's own decoding.
#[derive(Debug)]
pub struct TextStream {
    alphabet: BTreeMap<char, u8>,
    waiting: Vec<u8>,
}

impl TextStream {
    /// Creates a stream at its start.
    ///
    /// # Errors
    /// When the tokenizer is not byte-level, as Qwen3's is.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, ModelError> {
        let bytes = match tokenizer.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => true,
            Some(DecoderWrapper::Sequence(sequence)) => {
                matches!(sequence.get_decoders(), [DecoderWrapper::ByteLevel(_)])
            }
            _ => false,
        };
        if !bytes {
            return Err(ModelError::Tokenizer(
                "expected byte-level BPE with a ByteLevel decoder, found another; take Qwen3's tokenizer.json".into(),
            ));
        }
        Ok(Self {
            alphabet: (0..=u8::MAX).map(|byte| (byte_letter(byte), byte)).collect(),
            waiting: Vec::new(),
        })
    }

    /// Returns the text that is complete with this token; may be empty.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: i64) -> String {
        let token = u32::try_from(id).ok().and_then(|id| tokenizer.id_to_token(id));
        let Some(token) = token.filter(|token| !tokenizer.get_added_vocabulary().is_special_token(token)) else {
            return String::new();
        };
        let bytes: Option<Vec<u8>> = token.chars().map(|c| self.alphabet.get(&c).copied()).collect();
        self.waiting.extend(bytes.unwrap_or_else(|| token.into_bytes()));
        self.take_whole()
    }

    /// Returns the rest at the end: an incomplete character.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.waiting).into_owned();
        self.waiting.clear();
        rest
    }

    fn take_whole(&mut self) -> String {
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.waiting.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            let at_end = used + invalid.len() == self.waiting.len();
            if at_end && is_unfinished(invalid) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            used += invalid.len();
        }
        self.waiting.drain(..used);
        text
    }
}

/// Reports whether further bytes could complete these to a character.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// One token per byte, in the order of the bytes, then two control tokens and an added word.
    fn tokenizer() -> Tokenizer {
        let vocabulary: serde_json::Map<String, Value> = (0..=u8::MAX)
            .map(|byte| (byte_letter(byte).to_string(), json!(byte)))
            .collect();
        let added = [("<|im_end|>", true), ("<think>", false), ("🔍 here", false)];
        let added: Vec<Value> = added
            .iter()
            .zip(256..)
            .map(|((content, special), id)| {
                json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                       "normalized": false, "special": special})
            })
            .collect();
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary,
                      "merges": []},
        });
        Tokenizer::from_bytes(file.to_string()).unwrap()
    }

    fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut stream = TextStream::new(tokenizer).unwrap();
        let mut pieces: Vec<String> = ids.iter().map(|id| stream.push(tokenizer, i64::from(*id))).collect();
        pieces.push(stream.finish());
        pieces
    }

    fn ids(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        assert_eq!(
            pieces(&tokenizer(), &ids("aé🤖b")),
            ["a", "", "é", "", "", "", "🤖", "b", ""]
        );
    }

    #[test]
    fn bytes_that_make_no_character_are_replaced_as_soon_as_that_is_certain() {
        let tokenizer = tokenizer();
        assert_eq!(pieces(&tokenizer, &[0xFF, 0x41]), ["\u{FFFD}", "A", ""]);
        assert_eq!(pieces(&tokenizer, &[0xF0, 0x9F, 0x41]), ["", "", "\u{FFFD}A", ""]);
        assert_eq!(pieces(&tokenizer, &[0x41, 0xF0, 0x9F]), ["A", "", "", "\u{FFFD}"]);
    }

    #[test]
    fn control_tokens_and_spare_rows_say_nothing() {
        assert_eq!(pieces(&tokenizer(), &[72, 256, 5000, 105]), ["H", "", "", "i", ""]);
    }

    #[test]
    fn another_kind_of_tokenizer_is_refused() {
        let mut other = tokenizer();
        other.with_decoder(Some(tokenizers::decoders::fuse::Fuse::new()));
        assert!(TextStream::new(&other).unwrap_err().to_string().contains("ByteLevel"));
    }

    proptest! {
        /// Random weights generate arbitrary tokens: the pieces must still equal the decoding of all tokens at once.
        #[test]
        fn the_pieces_are_the_whole(ids in prop::collection::vec(0..262u32, 0..60)) {
            let tokenizer = tokenizer();
            prop_assert_eq!(pieces(&tokenizer, &ids).concat(), tokenizer.decode(&ids, true).unwrap());
        }

        #[test]
        fn no_piece_breaks_a_character(text in "\\PC{0,30}") {
            prop_assert_eq!(pieces(&tokenizer(), &ids(&text)).concat(), text);
        }
    }
}
