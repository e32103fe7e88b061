//! Tests of lengths: of all files in Rust and Python, and of the functions of the library and its programs.

use super::parser::{functions, tokens};
use super::{report, texts};

/// Longest file (lines).
const LONGEST_FILE: usize = 400;

/// Longest function of `src` (lines).
const LONGEST_FUNCTION: usize = 60;

/// Names of functions of any length: what they hold is a list, one entry after the other.
const LISTS: &[&str] = &["declare"];

#[test]
fn files_are_short() {
    let mut problems = Vec::new();
    let files = texts("", &["rs", "py"]);
    for (path, text) in &files {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            problems.push(format!(
                "{path}:{lines}: expected at most {LONGEST_FILE} lines, found {lines}; split the file by what it holds"
            ));
        }
    }
    assert!(
        files.len() > 500,
        "expected more than 500 files in Rust and Python, found {}: the test would say nothing",
        files.len()
    );
    report(&problems);
}

#[test]
fn functions_are_short() {
    let (mut problems, mut seen) = (Vec::new(), 0);
    for (path, text) in texts("src", &["rs"]) {
        for function in functions(&tokens(&text)) {
            seen += 1;
            if function.lines > LONGEST_FUNCTION && !LISTS.contains(&function.name.as_str()) {
                problems.push(format!(
                    "{path}:{}: expected at most {LONGEST_FUNCTION} lines of function {}, found {}; split it by what it \
                     does",
                    function.line, function.name, function.lines
                ));
            }
        }
    }
    assert!(
        seen > 3000,
        "expected more than 3000 functions, found {seen}: the parser sees too little"
    );
    report(&problems);
}
