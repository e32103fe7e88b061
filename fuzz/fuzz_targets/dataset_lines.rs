//! Fuzzes the JSON lines of a v2.1 dataset and the file of an open episode: any content is refused or read.
#![no_main]

mod common;

use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::info::{INFO, Info};
use thinkvla::dataset::{Dataset, episode_stats, episodes, open_episode, tasks};

static TINY: OnceLock<Tiny> = OnceLock::new();
const LISTS: [&str; 3] = ["meta/episodes.jsonl", "meta/tasks.jsonl", "meta/episodes_stats.jsonl"];
const OPEN: &str = ".open/episode";

fn tiny() -> Tiny {
    let tiny = Tiny::new("dataset_lines", &[]);
    let info = std::fs::read_to_string(tiny.root().join(INFO)).expect("the dataset was made");
    tiny.put(INFO, info.replace("v3.0", "v2.1").as_bytes());
    tiny.put(LISTS[0], br#"{"episode_index": 0, "tasks": ["lift"], "length": 2}"#);
    tiny.put(LISTS[1], br#"{"task_index": 0, "task": "lift"}"#);
    let one = r#"{"min": [0], "max": [1], "mean": [0.5], "std": [0.1], "count": [2]}"#;
    let statistics = format!(r#"{{"episode_index": 0, "stats": {{"action": {one}}}}}"#);
    tiny.put(LISTS[2], statistics.as_bytes());
    tiny.put(
        OPEN,
        b"{\"episode\":0,\"task\":\"lift\",\"vectors\":[1],\"pictures\":0}\n\x04\0\0\0\x1c\xdf\x44\x21\0\0\0\0",
    );
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/dataset_lines");
    for (number, name) in LISTS.into_iter().chain([OPEN]).enumerate() {
        drop(std::fs::copy(
            tiny.root().join(name),
            corpus.join(format!("seed-{number}")),
        ));
    }
    tiny
}

fuzz_target!(
    init: {
        TINY.get_or_init(tiny);
    },
    |data: &[u8]| {
        let Some(tiny) = TINY.get() else { return };
        for name in LISTS.into_iter().chain([OPEN]) {
            tiny.put(name, data);
        }
        tiny.measure(data, |root| {
            let Ok(info) = Info::load(root) else { return };
            drop(episodes::load_lines(root, &info));
            drop(tasks::load_lines(root));
            drop(episode_stats::of_episodes(root, &info));
            drop(open_episode::find(root, &info));
            drop(Dataset::open(root));
        });
    }
);
