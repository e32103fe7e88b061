//! Fuzzes the tables of episodes and instructions: any content is refused or read.
#![no_main]

mod common;

use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::info::{Info, TASKS};
use thinkvla::dataset::{episode_stats, episodes, tasks};

const EPISODE: &str = "meta/episodes/chunk-000/file-000.parquet";
static TINY: OnceLock<Tiny> = OnceLock::new();

fuzz_target!(
    init: {
        TINY.get_or_init(|| Tiny::new("dataset_episodes", &[EPISODE, TASKS]));
    },
    |data: &[u8]| {
        let Some(tiny) = TINY.get() else { return };
        tiny.put(EPISODE, data);
        tiny.put(TASKS, data);
        tiny.measure(data, |root| {
            let Ok(info) = Info::load(root) else { return };
            drop(episodes::load(root, &info));
            drop(episode_stats::of_episodes(root, &info));
            drop(tasks::load(root));
        });
    }
);
