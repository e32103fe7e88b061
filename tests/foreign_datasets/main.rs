//! Tests of datasets from other programs: they are read as their own program reads them, or refused with a reason, and
//! never damaged.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod changes;
#[path = "../support/command_line.rs"]
mod command_line;
mod description;
#[path = "../support/foreign.rs"]
mod foreign;
mod grey_and_depth;
mod instructions;
mod names;
mod older;
mod orientation;
mod other_files;
mod repairs;
#[path = "../support/sample_dataset/mod.rs"]
mod sample_dataset;
mod tables;
mod types;
mod videos;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, StructArray};
use foreign::{Foreign, tree};
use thinkvla::contract::FILE_NAME;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::verify::{Depth, verify};

fn stdout_of(arguments: &[&str]) -> String {
    String::from_utf8(command_line::dataset(arguments).stdout).unwrap()
}

fn made(foreign: &Foreign) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write(&root);
    (folder, root)
}

/// A recording with images as another program would have left it.
fn with_pictures() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    std::fs::remove_file(root.join(FILE_NAME)).unwrap();
    std::fs::remove_dir_all(root.join("meta/thinkvla")).unwrap();
    std::fs::remove_file(root.join(".lock")).unwrap_or_default();
    (folder, root)
}

fn problems(root: &Path) -> Vec<String> {
    let report = verify(root, Depth::Rows).unwrap();
    report.problems.iter().map(ToString::to_string).collect()
}

fn pointer(path: &Path) {
    std::fs::write(
        path,
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
    )
    .unwrap();
}

/// All files except the lock file.
fn unlocked(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = tree(root).into_iter().filter(|(path, _)| !path.ends_with(".lock"));
    files
        .map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_owned(), bytes))
        .collect()
}

/// The same images in another file format.
fn redrawn(column: &ArrayRef, draw: impl Fn(u32, u32) -> Vec<u8>) -> ArrayRef {
    let old = column.as_struct();
    let bytes: Vec<_> = (0..old.len())
        .map(|_| draw(sample_dataset::WIDTH, sample_dataset::HEIGHT))
        .collect();
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&bytes));
    let paths = Arc::clone(old.column(1));
    Arc::new(StructArray::try_new(old.fields().clone(), vec![bytes, paths], None).unwrap())
}
