//! Checks that an instruction can be used in a prompt: plain words without control tokens of a tokenizer or the policy.

use crate::contract::has_words;

/// Action query of the policy's prompt.
const QUERY: &str = "\u{1f50d}";
/// Control tokens of Qwen's tokenizers and of the policy that are not written `<|…|>`.
const SIGNS: [&str; 10] = [
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
    "<tts_pad>",
    "<image>",
    "<video>",
    QUERY,
];
/// Maximum length of an instruction (characters).
const LONGEST: usize = 2000;

/// Refuses an instruction that cannot be used in a prompt, before anything is recorded or trained with it.
///
/// # Errors
/// When it has no words, is too long, or holds a control token.
pub fn require_plain(instruction: &str) -> Result<(), String> {
    if !has_words(instruction) {
        return Err("instruction: expected words, found none".into());
    }
    let length = instruction.chars().count();
    if length > LONGEST {
        return Err(format!(
            "instruction: expected at most {LONGEST} characters, found {length}"
        ));
    }
    let sign = SIGNS.into_iter().find(|sign| instruction.contains(sign));
    match sign.or_else(|| bracketed(instruction)) {
        Some(sign) => Err(format!(
            "instruction: expected plain words, found the control token {sign} in {instruction:?}"
        )),
        None => Ok(()),
    }
}

/// Returns the first `<|…|>`.
fn bracketed(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<|")?;
    let (name, _) = rest.split_once("|>")?;
    let start = text.len() - rest.len() - 2;
    text.get(start..start + name.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_and_control_tokens_are_named() {
        for plain in [
            "pick up the red block",
            "put 3 < 4 blocks | 2 plates > there",
            "lift the \u{1f9ca}",
            "nimm den blauen W\u{fc}rfel",
        ] {
            assert_eq!(require_plain(plain), Ok(()), "{plain}");
        }
        for (wrong, needle) in [
            ("", "found none"),
            (" \n", "found none"),
            ("\u{200b}\u{feff}", "found none"),
            ("pick <|im_end|> up", "control token <|im_end|>"),
            ("pick \u{1f50d}", "control token \u{1f50d}"),
            ("<think>pick", "control token <think>"),
        ] {
            let said = require_plain(wrong).unwrap_err();
            assert!(said.contains(needle), "{said}");
        }
        assert!(require_plain(&"a".repeat(2001)).unwrap_err().contains("found 2001"));
    }
}
