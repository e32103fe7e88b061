//! Parser of Rust sources: as much of it as the rules need.

/// Token of a source file: an identifier, `::`, or another character.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// Returns the tokens of a source text without comments, strings and characters.
pub fn tokens(text: &str) -> Vec<Token> {
    let source: Vec<char> = text.chars().collect();
    let at = |i: usize| source.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut all, mut i, mut line) = (Vec::new(), 0, 1);
    while i < source.len() {
        let begin = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < source.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= source.len() {
                        break;
                    }
                }
            }
            '"' => i = string_end(&source, i),
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < source.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => {
                i += 1;
                while is_word(at(i)) {
                    i += 1;
                }
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                all.push(Token {
                    text: "::".to_owned(),
                    line,
                });
            }
            c if is_word(c) => {
                while is_word(at(i)) {
                    i += 1;
                }
                let word: String = source[begin..i].iter().collect();
                let mut hashes = 0;
                while at(i + hashes) == '#' {
                    hashes += 1;
                }
                if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    i = raw_string_end(&source, i + hashes, hashes);
                } else {
                    all.push(Token { text: word, line });
                }
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    all.push(Token {
                        text: c.to_string(),
                        line,
                    });
                }
            }
        }
        line += source[begin..i.min(source.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    all
}

/// Returns the position behind the string that begins at `start`.
fn string_end(source: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < source.len() && source[i] != '"' {
        i += if source[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Returns the position behind the raw string whose opening quote stands at `start`.
fn raw_string_end(source: &[char], start: usize, hashes: usize) -> usize {
    let mut i = start + 1;
    while i < source.len() {
        let closes = source[i] == '"' && source[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        i += 1;
        if closes {
            return i + hashes;
        }
    }
    i
}

/// Returns the first names of all paths that begin at the crate's root, with their lines. `depth` is the number of
/// modules above the file's items, by which `super` counts.
pub fn roots(all: &[Token], depth: usize) -> Vec<(String, usize)> {
    let text = |i: usize| all.get(i).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    // One entry for each open brace: whether it is that of an inline module.
    let mut braces: Vec<bool> = Vec::new();
    for i in 0..all.len() {
        match text(i) {
            "{" => braces.push(i >= 2 && text(i - 2) == "mod"),
            "}" => {
                braces.pop();
            }
            _ => {}
        }
        let begins = i == 0 || text(i - 1) != "::";
        let mut behind = match text(i) {
            "crate" if begins => i + 1,
            "super" if begins => {
                let mut supers = 1;
                while text(i + 2 * supers - 1) == "::" && text(i + 2 * supers) == "super" {
                    supers += 1;
                }
                if supers != depth + braces.iter().filter(|module| **module).count() {
                    continue;
                }
                i + 2 * supers - 1
            }
            _ => continue,
        };
        if text(behind) != "::" {
            continue;
        }
        behind += 1;
        if text(behind) != "{" {
            found.push((text(behind).to_owned(), all[behind].line));
            continue;
        }
        // A list: the first name of each of its entries.
        let (mut open, mut first) = (0, false);
        for token in &all[behind..] {
            match token.text.as_str() {
                "{" => (open, first) = (open + 1, open == 0),
                "}" if open == 1 => break,
                "}" => open -= 1,
                "," => first = open == 1,
                name if first => {
                    found.push((name.to_owned(), token.line));
                    first = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// Returns the names of the public types that are defined outside of inline test modules, with their lines.
pub fn public_types(all: &[Token]) -> Vec<(String, usize)> {
    let text = |i: usize| all.get(i).map_or("", |token| token.text.as_str());
    let (mut found, mut i) = (Vec::new(), 0);
    while i < all.len() {
        let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
        if (0..attribute.len()).all(|k| text(i + k) == attribute[k]) {
            i += attribute.len();
            // The item ends at its first semicolon or with its braces.
            let mut open = 0;
            while i < all.len() {
                match text(i) {
                    "{" => open += 1,
                    "}" => open -= 1,
                    _ => {}
                }
                i += 1;
                if open == 0 && matches!(text(i - 1), "}" | ";") {
                    break;
                }
            }
            continue;
        }
        if text(i) == "pub" && matches!(text(i + 1), "struct" | "enum" | "trait") {
            found.push((text(i + 2).to_owned(), all[i].line));
        }
        i += 1;
    }
    found
}

/// Function with a body.
#[derive(Debug, PartialEq)]
pub struct Function {
    pub name: String,
    /// Line of its `fn`.
    pub line: usize,
    /// Number of lines from there to its closing brace.
    pub lines: usize,
}

/// Returns the functions that have a body; declarations have none.
pub fn functions(all: &[Token]) -> Vec<Function> {
    let text = |i: usize| all.get(i).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    for (i, first) in all.iter().enumerate() {
        // A type `fn(u8)` has no name.
        if first.text != "fn" || !text(i + 1).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            continue;
        }
        let (mut brackets, mut braces) = (0, 0);
        for token in &all[i + 2..] {
            match token.text.as_str() {
                "(" | "[" => brackets += 1,
                ")" | "]" => brackets -= 1,
                "{" => braces += 1,
                "}" => braces -= 1,
                _ => {}
            }
            let outside = brackets == 0 && braces == 0;
            if outside && token.text == "}" {
                found.push(Function {
                    name: text(i + 1).to_owned(),
                    line: first.line,
                    lines: token.line - first.line + 1,
                });
            }
            if outside && matches!(token.text.as_str(), "}" | ";") {
                break;
            }
        }
    }
    found
}

#[test]
fn the_parser_reads_paths_and_leaves_out_text() {
    let text = r###"
        //! crate::comment
        use crate::{alpha::{One, Two}, beta, gamma::*};
        /* crate::block /* crate::nested */ */
        pub use crate::delta::Three;
        fn f<'a>(x: &'a str) -> char { let _ = "crate::string \" crate::more"; let _ = r#"crate::raw " "#; '"' }
        const Q: char = '\''; const N: &[u8] = b"crate::bytes";
        fn g() { crate::epsilon::run(); other::crate_::no(); super::zeta::go(); super::super::eta::no() }
        mod inner { use super::theta; use super::super::iota::Four; }
    "###;
    let names: Vec<(String, usize)> = roots(&tokens(text), 1);
    let expected = [
        ("alpha", 3),
        ("beta", 3),
        ("gamma", 3),
        ("delta", 5),
        ("epsilon", 8),
        ("zeta", 8),
        ("iota", 9),
    ];
    assert_eq!(names, expected.map(|(name, line)| (name.to_owned(), line)));
}

#[test]
fn the_parser_finds_public_types_outside_of_tests() {
    let text = "
        pub struct One(u8);
        pub(crate) enum Hidden {}
        #[cfg(test)]
        mod tests { pub struct InTest { x: u8 } }
        #[cfg(test)]
        mod more_tests;
        pub trait Two {} // pub struct Comment;
    ";
    let names: Vec<String> = public_types(&tokens(text)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["One", "Two"]);
}

#[test]
fn the_parser_measures_functions() {
    let text = "
        fn one_line(of: [u8; 4]) -> fn(u8) -> u8 { body }
        pub fn outer<T>(
            x: T,
        ) -> [u8; 2]
        where
            T: Copy,
        {
            fn inner() {
            }
            let text = \"}\"; // }
        }
        trait Declares { fn declared(x: [u8; 2]) -> u8; }
    ";
    let expected = [("one_line", 2, 1), ("outer", 3, 10), ("inner", 9, 2)];
    let expected = expected.map(|(name, line, lines)| Function {
        name: name.to_owned(),
        line,
        lines,
    });
    assert_eq!(functions(&tokens(text)), expected);
}
