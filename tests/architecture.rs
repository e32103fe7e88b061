//! Architecture of the sources: which folder may use which, which may name the heavy crates, how long a file may be,
//! and that a type's name stands for one type. The tables below are the rules; the lists of exceptions only shrink.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level folder or file of `src` may use of the others. There are no circles, and a test keeps it so.
const MAY_USE: &[(&str, &[&str])] = &[
    ("camera", &["contract", "files", "types"]),
    ("contract", &["files"]),
    ("control", &["contract", "files", "types"]),
    ("dataset", &["camera", "contract", "control", "files", "writer_lock"]),
    (
        "eval",
        &[
            "camera",
            "contract",
            "control",
            "dataset",
            "figures",
            "files",
            "model",
            "parallel",
            "sim",
            "stats",
            "supervisor",
            "training",
            "types",
            "writer_lock",
        ],
    ),
    ("figures", &["camera", "contract", "control", "dataset"]),
    ("files", &[]),
    (
        "inspect",
        &["camera", "contract", "dataset", "model", "stats", "torch_ext"],
    ),
    (
        "model",
        &["camera", "contract", "control", "files", "torch_ext", "writer_lock"],
    ),
    ("parallel", &[]),
    ("parent", &[]),
    ("random", &[]),
    ("realman", &["control", "types"]),
    ("recording", &["control", "dataset", "types"]),
    (
        "ros",
        &[
            "camera",
            "contract",
            "control",
            "dataset",
            "eval",
            "figures",
            "files",
            "inspect",
            "model",
            "parent",
            "realman",
            "recording",
            "sim",
            "stats",
            "supervisor",
            "teleop",
            "training",
            "types",
            "writer_lock",
        ],
    ),
    (
        "sim",
        &[
            "camera",
            "contract",
            "control",
            "dataset",
            "files",
            "parallel",
            "random",
            "realman",
            "recording",
            "stats",
            "supervisor",
            "types",
            "writer_lock",
        ],
    ),
    ("stats", &[]),
    ("supervisor", &["contract", "control", "realman", "types"]),
    ("teleop", &["contract", "control", "files", "types"]),
    ("torch_ext", &[]),
    (
        "training",
        &[
            "camera",
            "contract",
            "dataset",
            "figures",
            "files",
            "model",
            "parallel",
            "random",
            "sim",
            "torch_ext",
            "writer_lock",
        ],
    ),
    ("types", &[]),
    ("writer_lock", &[]),
];

/// Crates, and the keyword `unsafe`, that only some places may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    (
        "tch",
        &[
            "src/eval/diagnosis.rs",
            "src/inspect/",
            "src/model/",
            "src/torch_ext/",
            "src/training/",
        ],
    ),
    ("torch_sys", &["src/torch_ext/"]),
    ("rclrs", &["src/ros/"]),
    ("ros_env", &["src/ros/"]),
    ("mujoco_rs", &["src/sim/"]),
    ("unsafe", &["src/model/layers/sys.rs", "src/torch_ext/"]),
];

/// Longest file (lines).
const LONGEST: usize = 600;

/// Files that are longer, with their length today.
const LONGER: &[(&str, usize)] = &[];

/// Public types whose name several types have, with their number today.
const SHARED_NAMES: &[(&str, usize)] = &[];

/// Token of a source file: an identifier, `::`, or another character.
#[derive(Debug, Clone, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// Returns the tokens of a source text without comments, strings and characters.
fn tokens(text: &str) -> Vec<Token> {
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
fn roots(all: &[Token], depth: usize) -> Vec<(String, usize)> {
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
fn public_types(all: &[Token]) -> Vec<(String, usize)> {
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

/// Source file of the library.
struct Source {
    /// Path from the package's root, with `/`.
    path: String,
    /// Top-level folder or file of `src`, without extension.
    room: String,
    /// Number of modules above the file's items.
    depth: usize,
    /// Number of lines.
    lines: usize,
    tokens: Vec<Token>,
}

impl Source {
    fn is_test(&self) -> bool {
        let stem = self.path.trim_end_matches(".rs");
        stem.ends_with("tests") || stem.contains("/tests/")
    }
}

/// Reads all files of the library; its programs in `src/bin` only use it.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').skip(1).collect();
        if parts[0] == "bin" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let named = parts.last().is_some_and(|name| *name == "mod" || *name == "lib");
        all.push(Source {
            room: parts[0].to_owned(),
            depth: parts.len() - usize::from(named),
            lines: text.lines().count(),
            tokens: tokens(&text),
            path,
        });
    }
    assert!(
        all.len() > 100,
        "expected more than 100 source files, found {}: the tests of this file would say nothing",
        all.len()
    );
    all
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn folders_use_only_what_the_table_allows() {
    let all = sources();
    let rooms: BTreeSet<&str> = all
        .iter()
        .map(|source| source.room.as_str())
        .filter(|room| *room != "lib")
        .collect();
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let (mut problems, mut used) = (Vec::new(), BTreeSet::new());
    for room in &rooms {
        if !table.contains_key(room) {
            problems.push(format!(
                "src/{room}: expected an entry in MAY_USE, found none; say there what it may use"
            ));
        }
    }
    for source in &all {
        for (name, line) in roots(&source.tokens, source.depth) {
            if name == source.room || !rooms.contains(name.as_str()) || source.room == "lib" {
                continue;
            }
            let allowed = table.get(source.room.as_str()).copied().unwrap_or_default();
            if !allowed.contains(&name.as_str()) {
                problems.push(format!(
                    "{}:{line}: expected only {allowed:?} from src/{}, found crate::{name}; move the code to where it \
                     may use it, pass it in, or, if {name} belongs below {}, add it to MAY_USE",
                    source.path, source.room, source.room
                ));
            }
            used.insert((source.room.clone(), name));
        }
    }
    assert!(
        used.len() > 40,
        "expected more than 40 uses between folders, found {}: the parser sees too little",
        used.len()
    );
    for (room, allowed) in MAY_USE {
        for name in *allowed {
            if !used.contains(&((*room).to_owned(), (*name).to_owned())) {
                problems.push(format!(
                    "tests/architecture.rs: expected src/{room} to use {name}, as MAY_USE allows, found no use; remove it there"
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn there_are_no_circles_between_folders() {
    // Folders that use only what is settled already are settled themselves; a circle never is.
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    loop {
        let next: Vec<&str> = MAY_USE
            .iter()
            .filter(|(room, uses)| !settled.contains(room) && uses.iter().all(|used| settled.contains(used)))
            .map(|(room, _)| *room)
            .collect();
        if next.is_empty() {
            break;
        }
        settled.extend(next);
    }
    let circles: Vec<&str> = MAY_USE
        .iter()
        .map(|(room, _)| *room)
        .filter(|room| !settled.contains(room))
        .collect();
    assert!(
        circles.is_empty(),
        "tests/architecture.rs: expected no circles in MAY_USE, found some among {circles:?}; move what both sides need \
         into a folder below them"
    );
}

#[test]
fn heavy_crates_and_unsafe_stay_where_they_belong() {
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for source in sources() {
        let text = |i: usize| source.tokens.get(i).map_or("", |token| token.text.as_str());
        for i in 0..source.tokens.len() {
            let Some((name, places)) = MAY_NAME.iter().find(|(name, _)| *name == text(i)) else {
                continue;
            };
            let before = if i == 0 { "" } else { text(i - 1) };
            let names = *name == "unsafe" || (text(i + 1) == "::" && before != "::") || before == "use";
            if !names {
                continue;
            }
            seen.insert(*name);
            if !places.iter().any(|place| source.path.starts_with(*place)) {
                problems.push(format!(
                    "{}:{}: expected {name} only in {places:?}, found it here; move the code there, or call a safe \
                     function of it",
                    source.path, source.tokens[i].line
                ));
            }
        }
    }
    for (name, _) in MAY_NAME {
        if !seen.contains(name) {
            problems.push(format!(
                "tests/architecture.rs: expected {name} somewhere in src, found it nowhere; remove it from MAY_NAME"
            ));
        }
    }
    report(&problems);
}

#[test]
fn files_are_short() {
    let mut problems = Vec::new();
    let all = sources();
    for source in &all {
        let most = LONGER
            .iter()
            .find(|(path, _)| *path == source.path)
            .map_or(LONGEST, |(_, lines)| *lines);
        if source.lines > most {
            problems.push(format!(
                "{}:{}: expected at most {most} lines, found {}; split the file by what it holds",
                source.path, source.lines, source.lines
            ));
        }
    }
    for (path, lines) in LONGER {
        match all.iter().find(|source| source.path == *path) {
            Some(source) if source.lines > LONGEST => {
                if source.lines < *lines {
                    problems.push(format!("tests/architecture.rs: {path}: expected {lines} lines, found {}; lower it in LONGER", source.lines));
                }
            }
            _ => problems.push(format!("tests/architecture.rs: {path}: expected a file of more than {LONGEST} lines, found none; remove it from LONGER")),
        }
    }
    report(&problems);
}

#[test]
fn a_type_name_stands_for_one_type() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (name, line) in public_types(&source.tokens) {
            places.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    assert!(
        places.len() > 300,
        "expected more than 300 public types, found {}: the parser sees too little",
        places.len()
    );
    let mut problems = Vec::new();
    for (name, found) in &places {
        let allowed = SHARED_NAMES
            .iter()
            .find(|(shared, _)| shared == name)
            .map_or(1, |(_, number)| *number);
        if found.len() > allowed {
            let mut problem = format!(
                "{}: expected {allowed} public type(s) named {name}, found {}:",
                found[0],
                found.len()
            );
            for place in found {
                write!(problem, " {place}").unwrap();
            }
            problem.push_str("; choose a name that says which one it is");
            problems.push(problem);
        }
    }
    for (name, number) in SHARED_NAMES {
        let found = places.get(*name).map_or(0, Vec::len);
        if found < *number {
            problems.push(format!(
                "tests/architecture.rs: expected {number} public types named {name}, found {found}; lower it in SHARED_NAMES, or \
                 remove it"
            ));
        }
    }
    report(&problems);
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
