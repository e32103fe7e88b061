//! Fuzzes the import of recordings, also of compressed ones: any content is refused or becomes rows.
#![no_main]

mod common;

use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use thinkvla::contract::Contract;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::mcap::{ColumnSource, ExportOptions, ImportOptions, StampClock, export_episodes, import_bags};

/// Memory allowed in addition to the chunks of the recording, for the dataset that is written (bytes).
const MARGIN: usize = 64 << 20;
const VECTORS: [&str; 2] = ["action", "observation.state"];
static TINY: OnceLock<Tiny> = OnceLock::new();

fn tiny() -> Tiny {
    let tiny = Tiny::new("recording", &[]);
    let out = tiny.root().with_extension("recordings");
    drop(std::fs::remove_dir_all(&out));
    let options = ExportOptions {
        episodes: 0..1,
        start_ns: 1_000_000_000,
    };
    let written = export_episodes(&Dataset::open(tiny.root()).unwrap(), &out, &options).unwrap();
    let corpus = common::corpus("recording");
    let bytes = std::fs::read(&written[0]).unwrap();
    std::fs::write(corpus.join("mcap"), [&[0], &bytes[..]].concat()).unwrap();
    std::fs::write(
        corpus.join("zstd"),
        [&[1], &zstd::bulk::compress(&bytes, 3).unwrap()[..]].concat(),
    )
    .unwrap();
    tiny
}

fn source(name: &str) -> ColumnSource {
    ColumnSource {
        name: name.into(),
        topics: vec![],
    }
}

fuzz_target!(
    init: {
        TINY.get_or_init(tiny);
    },
    |data: &[u8]| {
        let (Some((choice, data)), Some(tiny)) = (data.split_first(), TINY.get()) else { return };
        let name = ["tried.mcap", "tried.mcap.zstd"][usize::from(choice % 2)];
        tiny.put(name, data);
        let options = ImportOptions {
            bags: vec![tiny.root().join(name)],
            vectors: VECTORS.map(source).into(),
            cameras: vec![source("top")],
            task: Some("task".into()),
            task_topic: None,
            max_age_s: 0.2,
            clock: StampClock::Header,
            images: ImageMode::Png,
        };
        let contract = Contract::load(tiny.root()).unwrap();
        let into = tiny.root().join("imported");
        let taken = common::taken(|| drop(import_bags(&into, &contract, &options)));
        assert!(taken <= 2 * data.len() + MARGIN, "{taken} bytes of memory for a file of {} bytes", data.len());
        drop(std::fs::remove_dir_all(&into));
    }
);
