//! Fuzzes the configurations of a StarVLA run: any content is refused or read, within memory bounded by its size.
#![no_main]

mod common;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use thinkvla::model::checkpoint::{CheckpointOptions, Manifest};

/// Memory that reading YAML may take (bytes); the parser has a limit of its own, whatever the number of aliases.
const MARGIN: usize = 16 << 20;
/// Separator of the two configurations in an input.
const BETWEEN: &[u8] = b"\n---8<---\n";
static RUN: OnceLock<PathBuf> = OnceLock::new();

/// A run that names a base model which does not exist: its configurations are read, and nothing after them.
fn run() -> PathBuf {
    let run = common::memory_folder().join(format!("thinkvla-fuzz-starvla-{}", std::process::id()));
    std::fs::create_dir_all(run.join("checkpoints")).unwrap();
    std::fs::write(run.join("checkpoints/steps_1_model.safetensors"), b"").unwrap();
    let corpus = common::corpus("starvla");
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/reference/starvla/run");
    let read = std::fs::read(reference.join("config.yaml")).unwrap();
    let full = std::fs::read(reference.join("config.full.yaml")).unwrap_or_else(|_| read.clone());
    std::fs::write(corpus.join("both"), [&read[..], BETWEEN, &full].concat()).unwrap();
    std::fs::write(corpus.join("one"), &full).unwrap();
    run
}

fuzz_target!(
    init: {
        RUN.get_or_init(run);
    },
    |data: &[u8]| {
        let Some(run) = RUN.get() else { return };
        let at = data.windows(BETWEEN.len()).position(|part| part == BETWEEN);
        let (read, full) = match at {
            Some(at) => (&data[..at], &data[at + BETWEEN.len()..]),
            None => (data, data),
        };
        std::fs::write(run.join("config.yaml"), read).unwrap();
        std::fs::write(run.join("config.full.yaml"), full).unwrap();
        let taken = common::taken(|| {
            let found = Manifest::read(run, &CheckpointOptions::default()).map(drop);
            assert!(found.is_err(), "its base model is not there");
        });
        assert!(taken <= 2 * data.len() + MARGIN, "{taken} bytes of memory for {} bytes", data.len());
    }
);
