//! Reduces a byte-level BPE tokenizer to fewer tokens.
//!
//! Any text still round-trips, since every byte keeps its token; words are only split into more tokens.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::error::ModelError;

/// Requirements of the reduced tokenizer.
#[derive(Debug, Clone, Copy)]
pub struct Keep<'a> {
    /// Largest number of tokens, including control tokens.
    pub rows: usize,
    /// Words that must remain one token each.
    pub words: &'a [&'a str],
    /// Control tokens; those that the original tokenizer lacks are added.
    pub control: &'a [&'a str],
}

/// Keeps the bytes, the merges of highest rank and the tokens required by [`Keep`]; ids are reassigned without gaps.
///
/// # Errors
/// When the tokenizer is not byte-level BPE, or a required word is not one token of it or does not fit.
pub fn prune(tokenizer: &Value, keep: Keep) -> Result<Value, ModelError> {
    let refuse = |message: &str| ModelError::Tokenizer(message.to_owned());
    let vocabulary = tokenizer
        .pointer("/model/vocab")
        .and_then(Value::as_object)
        .ok_or_else(|| refuse("expected byte-level BPE with model.vocab, found none"))?;
    let merges: Vec<Merge> = tokenizer
        .pointer("/model/merges")
        .and_then(Value::as_array)
        .and_then(|merges| merges.iter().map(Merge::parse).collect())
        .ok_or_else(|| refuse("expected byte-level BPE with model.merges of two parts each, found none"))?;

    let mut tokens: BTreeSet<String> = vocabulary
        .keys()
        .filter(|token| token.chars().count() == 1)
        .cloned()
        .collect();
    let room = keep
        .rows
        .checked_sub(keep.control.len())
        .filter(|room| *room > tokens.len())
        .ok_or_else(|| refuse("expected room for every byte and every control token"))?;
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    for word in keep.words {
        let pieces = byte_level(word);
        if !vocabulary.contains_key(&pieces) {
            return Err(ModelError::Tokenizer(format!(
                "expected {word} to be one token, found none"
            )));
        }
        keep_word(&pieces, &merges, &mut kept, &mut tokens);
    }
    for (rank, merge) in merges.iter().enumerate() {
        let whole = merge.whole();
        let has_parts = tokens.contains(&merge.left) && tokens.contains(&merge.right);
        if !has_parts || kept.contains(&rank) || (tokens.len() >= room && !tokens.contains(&whole)) {
            continue;
        }
        kept.insert(rank);
        tokens.insert(whole);
    }
    if tokens.len() > room {
        return Err(refuse(
            "expected the words to keep to fit, found more than there are rows",
        ));
    }
    let kept = kept.iter().filter_map(|rank| merges.get(*rank));
    build(tokenizer, vocabulary, &tokens, kept, keep.control)
}

/// One merge; its rank is its position in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Merge {
    left: String,
    right: String,
}

impl Merge {
    /// Parses both notations in use: `"a b"` and `["a", "b"]`.
    fn parse(value: &Value) -> Option<Self> {
        let (left, right) = match value {
            Value::String(both) => both.split_once(' ')?,
            Value::Array(both) => match both.as_slice() {
                [left, right] => (left.as_str()?, right.as_str()?),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self {
            left: left.to_owned(),
            right: right.to_owned(),
        })
    }

    fn whole(&self) -> String {
        format!("{}{}", self.left, self.right)
    }
}

/// Keeps the merges that build a word from its bytes.
fn keep_word(word: &str, merges: &[Merge], kept: &mut BTreeSet<usize>, tokens: &mut BTreeSet<String>) {
    let mut wanted = vec![word.to_owned()];
    while let Some(token) = wanted.pop() {
        if !tokens.insert(token.clone()) {
            continue;
        }
        let rank = merges.iter().position(|merge| merge.whole() == token);
        if let Some((rank, merge)) = rank.and_then(|rank| Some((rank, merges.get(rank)?))) {
            kept.insert(rank);
            wanted.extend([merge.left.clone(), merge.right.clone()]);
        }
    }
}

fn build<'a>(
    tokenizer: &Value,
    vocabulary: &Map<String, Value>,
    tokens: &BTreeSet<String>,
    kept: impl Iterator<Item = &'a Merge>,
    control: &[&str],
) -> Result<Value, ModelError> {
    // Keeps the original order, so that frequent tokens come first.
    let mut order: BTreeMap<u64, &String> = BTreeMap::new();
    for token in tokens {
        let id = vocabulary.get(token).and_then(Value::as_u64);
        let id =
            id.ok_or_else(|| ModelError::Tokenizer(format!("expected an id for the merge {token}, found none")))?;
        order.insert(id, token);
    }
    let ids: Map<String, Value> = order
        .values()
        .zip(0u64..)
        .map(|(t, id)| ((*t).clone(), json!(id)))
        .collect();
    let added: Vec<Value> = control
        .iter()
        .zip(ids.len()..)
        .map(|(content, id)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let merges: Vec<Value> = kept.map(|merge| json!([merge.left, merge.right])).collect();
    let mut small = tokenizer.clone();
    for (place, value) in [
        ("/model/vocab", Value::Object(ids)),
        ("/model/merges", Value::Array(merges)),
        ("/added_tokens", Value::Array(added)),
    ] {
        if let Some(slot) = small.pointer_mut(place) {
            *slot = value;
        }
    }
    Ok(small)
}

/// Returns a word in byte-level BPE's alphabet.
fn byte_level(word: &str) -> String {
    word.bytes().map(byte_letter).collect()
}

/// Returns a byte in byte-level BPE's alphabet: printable bytes are their own characters, the others are characters
/// from 256 on.
pub(in crate::model) fn byte_letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|b| !printable(*b)).count() as u32;
    char::from_u32(256 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_map_to_the_alphabet_of_byte_level_bpe() {
        assert_eq!(byte_level(" a\n"), "ĠaĊ");
        assert_eq!(byte_level("🔍"), "ðŁĶį");
    }
}
