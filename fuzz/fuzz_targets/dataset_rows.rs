//! Whatever a table of rows holds, it is refused or every row and the bytes of every picture can be read.
#![no_main]

mod common;

use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::info::{INFO, Info};
use thinkvla::dataset::layout::ACTION;
use thinkvla::dataset::{At, Dataset};

const ROWS: &str = "data/chunk-000/file-000.parquet";
static TINY: OnceLock<Tiny> = OnceLock::new();

/// With lists in JSON lines, which are quicker to read than tables.
fn tiny() -> Tiny {
    let tiny = Tiny::new("dataset_rows", &[ROWS]);
    let info = std::fs::read_to_string(tiny.root().join(INFO)).expect("the dataset was made");
    tiny.put(INFO, info.replace("v3.0", "v2.1").as_bytes());
    tiny.put("meta/episodes.jsonl", br#"{"episode_index": 0, "tasks": ["task 0"], "length": 2}"#);
    tiny.put("meta/tasks.jsonl", br#"{"task_index": 0, "task": "task 0"}"#);
    Info::load(tiny.root()).expect("it is of v2.1");
    tiny
}

fuzz_target!(
    init: {
        TINY.get_or_init(tiny);
    },
    |data: &[u8]| {
        let Some(tiny) = TINY.get() else { return };
        tiny.put(ROWS, data);
        tiny.measure(data, |root| {
            let Ok(dataset) = Dataset::open(root) else { return };
            let mut pictures = dataset.pictures(&["observation.images.top"]).expect("the column is there");
            for frame in 0..2 {
                let at = At { episode: 0, frame };
                let chunk = dataset.chunk(ACTION, at, 4).expect("the row is there");
                assert_eq!(chunk.values.len(), 4 * 7);
                drop(pictures.read(at));
            }
        });
    }
);
