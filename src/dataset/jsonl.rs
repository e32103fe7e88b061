//! Reads lists of LeRobot v2: one JSON object per line.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};

use super::error::DatasetError;
use super::info::whole;
use crate::files::{self, json};

/// Maximum number of different texts in a list, which are the instructions of an episode.
const MAX_TEXTS: usize = 1000;

/// Reads all lines; blank ones are skipped.
///
/// # Errors
/// When the file is missing or a line is not JSON of this kind; the error names the line.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DatasetError> {
    let mut lines = Vec::new();
    for_each(path, |line| lines.push(line))?;
    Ok(lines)
}

/// Reads line by line, so that only one of them is in memory beside the text; blank ones are skipped.
///
/// # Errors
/// As [`read`].
pub fn for_each<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> Result<(), DatasetError> {
    let text = files::read_text(path, files::LINES).map_err(DatasetError::io("read", path))?;
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let parsed = json::parse(line);
        take(parsed.map_err(|e| DatasetError::content(path, format!("line {number}: {e}")))?);
    }
    Ok(())
}

/// Reads a whole number, which may have a fraction of 0.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer)?.ok_or_else(|| D::Error::custom("expected a whole number, found null"))
}

/// Reads a list of texts, each once; one text is a list of one, and null an empty one.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts)
}

/// Visitor of [`texts`]. A text takes 24 bytes of memory and its length, and 3 bytes of the file: their number is bounded.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of texts or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut texts: Vec<String> = Vec::new();
        while let Some(text) = list.next_element()? {
            if texts.contains(&text) {
                continue;
            }
            if texts.len() == MAX_TEXTS {
                let problem = format!("expected at most {MAX_TEXTS} different texts in a list, found more");
                return Err(A::Error::custom(problem));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Vec<String>, String> {
        let mut json = serde_json::Deserializer::from_str(list);
        texts(&mut json).map_err(|e| e.to_string())
    }

    #[test]
    fn texts_are_a_list_or_one_or_none() {
        assert_eq!(read(r#"["b", "a", "b"]"#).unwrap(), ["b", "a"]);
        assert_eq!(read(r#""a""#).unwrap(), ["a"]);
        assert_eq!(read("null").unwrap(), [""; 0]);
        for wrong in ["[null]", "[[\"a\"]]", "7", "{}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_memory_of_texts_does_not_grow_with_their_number() {
        let empty = format!("[{}\"\"]", "\"\",".repeat(1 << 20));
        assert!(read(&empty).unwrap().capacity() <= 4);
        let different: Vec<String> = (0..=MAX_TEXTS).map(|number| number.to_string()).collect();
        let json = |texts: &[String]| serde_json::to_string(texts).unwrap();
        assert_eq!(read(&json(&different[1..])).unwrap(), different[1..]);
        let problem = read(&json(&different)).unwrap_err();
        assert!(problem.contains("at most 1000 different texts"), "{problem}");
    }
}
