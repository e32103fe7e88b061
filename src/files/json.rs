//! Reads JSON with NaN and infinities, which the standard lacks and Python writes.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Spellings of non-finite numbers, longest first.
const NOT_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Parses JSON; NaN and infinities are read as null.
///
/// # Errors
/// When the text is neither JSON nor JSON with NaN or infinities, or does not match `T`.
pub fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| match with_nulls(text) {
        Cow::Owned(text) => serde_json::from_str(&text),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Describes the error of a text that could not be parsed, with advice for an empty or truncated file.
pub fn explain(text: &[u8], error: &serde_json::Error) -> String {
    let empty = text.iter().all(u8::is_ascii_whitespace);
    match (empty, error.is_eof()) {
        (true, _) => "expected JSON, found an empty file; fetch it again".to_owned(),
        (false, true) => format!("{error}: the file is truncated; fetch it again"),
        (false, false) => error.to_string(),
    }
}

/// Returns the first NaN or infinity outside of strings, and its line, counted from 1; `None` if there is none.
pub fn not_a_number(text: &str) -> Option<(&'static str, usize)> {
    let Cow::Owned(replaced) = with_nulls(text) else {
        return None;
    };
    let same = text.bytes().zip(replaced.bytes()).take_while(|(a, b)| a == b).count();
    let (before, rest) = text.split_at_checked(same)?;
    let name = NOT_NUMBERS.into_iter().find(|name| rest.starts_with(name))?;
    Some((name, before.matches('\n').count() + 1))
}

/// Replaces every NaN and infinity outside of strings by null.
fn with_nulls(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut taken, mut at) = (0, 0);
    let mut in_string = false;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let found = NOT_NUMBERS
            .into_iter()
            .find(|name| !in_string && rest.starts_with(name));
        if let Some(name) = found {
            out.push_str(text.get(taken..at).unwrap_or_default());
            out.push_str("null");
            at += name.len();
            taken = at;
            continue;
        }
        let mut characters = rest.chars();
        let next = characters.next().unwrap_or_default();
        in_string ^= next == '"';
        at += next.len_utf8();
        if in_string && next == '\\' {
            at += characters.next().map_or(0, char::len_utf8);
        }
    }
    if taken == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(taken..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let text =
            "{\"std\": [NaN, 1.5, -Infinity], \"NaN\": \"a \\\"NaN\\\" \u{1f600} Infinity\", \"last\": Infinity}";
        let found: Value = parse(text).unwrap();
        assert_eq!(
            found,
            json!({"std": [null, 1.5, null], "NaN": "a \"NaN\" \u{1f600} Infinity", "last": null})
        );
    }

    #[test]
    fn the_first_that_is_not_a_number_is_found_with_its_line() {
        assert_eq!(
            not_a_number("{\"NaN\": 1,\n\"a\": [0, -Infinity, NaN]}"),
            Some(("-Infinity", 2))
        );
        assert_eq!(not_a_number("NaN"), Some(("NaN", 1)));
        assert_eq!(not_a_number("{\"NaN\": \"Infinity\"}"), None);
    }

    #[test]
    fn empty_and_truncated_texts_are_called_so() {
        for (text, said) in [(" \n", "an empty file"), ("{\"a\": [1,", "the file is truncated")] {
            let error = parse::<Value>(text).unwrap_err();
            assert!(explain(text.as_bytes(), &error).contains(said), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_otherwise_is_said_of_the_text_as_it_is() {
        let problem = parse::<Value>("{\"a\": 1,}").unwrap_err().to_string();
        assert!(problem.contains("line 1 column 9"), "{problem}");
        assert!(parse::<Value>("{\"a\": nan}").is_err());
    }
}
