//! Architecture of the sources: which folder may use which, which may name the heavy crates, how long files and functions
//! may be, and that a type's name stands for one type. The tables of the modules are the rules; the lists of exceptions
//! only shrink.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod folders;
mod lengths;
mod parser;
mod type_names;

use std::fs;
use std::path::{Path, PathBuf};

use parser::{Token, tokens};

/// Folders that builds write.
const BUILT: &[&str] = &["build", "fuzz/target", "install", "log", "out", "target"];

/// Source file of the library.
struct Source {
    /// Path from the package's root, with `/`.
    path: String,
    /// Top-level folder or file of `src`, without extension.
    folder: String,
    /// Number of modules above the file's items.
    depth: usize,
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
    let mut all = Vec::new();
    for (path, text) in texts("src", &["rs"]) {
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').skip(1).collect();
        if parts[0] == "bin" {
            continue;
        }
        let named = parts.last().is_some_and(|name| *name == "mod" || *name == "lib");
        all.push(Source {
            folder: parts[0].to_owned(),
            depth: parts.len() - usize::from(named),
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

/// Reads the files below a folder of the package that have one of the extensions. Returns their paths from the package's
/// root, with `/`, and their texts.
fn texts(folder: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), extensions, &mut files);
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        all.push((path, fs::read_to_string(&file).unwrap()));
    }
    all
}

fn collect(folder: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && !BUILT.iter().any(|built| path == root.join(built)) {
                collect(&path, extensions, files);
            }
        } else if path
            .extension()
            .is_some_and(|of| extensions.iter().any(|extension| of == *extension))
        {
            files.push(path);
        }
    }
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
