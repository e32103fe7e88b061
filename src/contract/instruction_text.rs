//! Whether an instruction says anything: recorder, `relabel`, `verify`, training and policy must agree on it.

/// Returns whether a text has a character that is seen: spaces, control characters and those without a width do not count.
pub fn has_words(instruction: &str) -> bool {
    !instruction.chars().all(is_invisible)
}

/// Whether a character is white space, a control character, or one that Unicode calls ignorable (soft hyphen, joiners,
/// marks of direction, variation selectors, byte order mark, fillers, tags).
fn is_invisible(character: char) -> bool {
    let ignorable = matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    ignorable || character.is_whitespace() || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_says_nothing() {
        for nothing in [
            "",
            " \n",
            "\u{200b}",
            "\u{feff}",
            " \u{200b}\u{2060}\u{ad}\t\u{0}",
            "\u{3000}\u{fe0f}",
        ] {
            assert!(!has_words(nothing), "{nothing:?}");
        }
        for words in [
            "pick",
            "\u{feff}pick",
            "\u{62}\u{200d}",
            "\u{53d6}",
            "1",
            "\u{1f9ca}\u{fe0f}",
        ] {
            assert!(has_words(words), "{words:?}");
        }
    }
}
