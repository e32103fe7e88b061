//! Whatever a table of rows holds, it is refused or every row and the bytes of every picture can be read.
#![no_main]

mod common;

use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::layout::ACTION;
use thinkvla::dataset::verify::{Depth, verify};
use thinkvla::dataset::{At, Dataset};

const ROWS: &str = "data/chunk-000/file-000.parquet";
static TINY: OnceLock<Tiny> = OnceLock::new();

fuzz_target!(
    init: {
        TINY.get_or_init(|| Tiny::new("dataset_rows", &[ROWS]));
    },
    |data: &[u8]| {
        let Some(tiny) = TINY.get() else { return };
        tiny.put(ROWS, data);
        tiny.measure(data, |root| {
            drop(verify(root, Depth::Files));
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
