//! Benchmark of one chunk of the small model: two views of 128 x 128 px, on one thread and on two. Needs
//! THINKVLA_TOKENIZER.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use thinkvla::camera::patches::Grid;
use thinkvla::model::init::presets::{NewCheckpoint, Preset};
use thinkvla::model::init::variant::CheckpointVariant;
use thinkvla::model::policy::{Observation, Policy, PolicyOptions};

fn chunk(criterion: &mut Criterion) {
    let tokenizer = PathBuf::from(std::env::var_os("THINKVLA_TOKENIZER").unwrap());
    let directory = tempfile::tempdir().unwrap();
    let new = NewCheckpoint {
        size: Preset::Small,
        seed: 0,
        tokenizer: &tokenizer,
        robot: None,
        variant: &CheckpointVariant::default(),
        copied: None,
    };
    new.write(directory.path()).unwrap();
    let grids = [Grid { t: 1, h: 8, w: 8 }; 2];
    let pixel_values = vec![0.25; 2 * 64 * 1536];
    let observation = Observation {
        pixel_values: &pixel_values,
        grids: &grids,
        state: &[],
        instruction: "pick up the red cube",
    };
    for threads in [1, 2] {
        let options = PolicyOptions {
            threads: Some(threads),
            ..PolicyOptions::default()
        };
        let mut policy = Policy::load(directory.path(), options).unwrap();
        policy.act(&observation).unwrap();
        criterion.bench_function(&format!("chunk, small, {threads} threads"), |bencher| {
            bencher.iter(|| policy.act(&observation).unwrap());
        });
    }
    criterion.bench_function("load, small", |bencher| {
        bencher.iter(|| Policy::load(directory.path(), PolicyOptions::default()).unwrap());
    });
}

criterion_group!(benches, chunk);
criterion_main!(benches);
