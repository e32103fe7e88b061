//! Fuzzes the table of rows: any content is refused, or every row and the bytes of every image can be read.
#![no_main]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use thinkvla::dataset::info::{INFO, Info};
use thinkvla::dataset::schema::ACTION;
use thinkvla::dataset::{At, Dataset};

const ROWS: &str = "data/chunk-000/file-000.parquet";
static TINY: OnceLock<Tiny> = OnceLock::new();

/// A dataset with lists in JSON lines, which are faster to read than tables.
fn tiny() -> Tiny {
    let tiny = Tiny::new("dataset_rows", &[ROWS]);
    as_others_write(&tiny.root().join(ROWS));
    let info = std::fs::read_to_string(tiny.root().join(INFO)).expect("the dataset was made");
    tiny.put(INFO, info.replace("v3.0", "v2.1").as_bytes());
    tiny.put(
        "meta/episodes.jsonl",
        br#"{"episode_index": 0, "tasks": ["task 0"], "length": 2}"#,
    );
    tiny.put("meta/tasks.jsonl", br#"{"task_index": 0, "task": "task 0"}"#);
    Info::load(tiny.root()).expect("it is of v2.1");
    tiny
}

/// The same rows in the codecs and encodings of other writers, for the corpus.
fn as_others_write(rows: &Path) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(rows).unwrap()).unwrap();
    let batches: Vec<_> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    let properties = || WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0);
    let plain = || properties().set_dictionary_enabled(false);
    let picture = |part: &str| ColumnPath::new(vec!["observation.images.top".to_owned(), part.to_owned()]);
    let ways = [
        (
            "gzip",
            properties().set_compression(Compression::GZIP(GzipLevel::default())),
        ),
        (
            "zstd",
            properties().set_compression(Compression::ZSTD(ZstdLevel::default())),
        ),
        (
            "brotli",
            properties().set_compression(Compression::BROTLI(BrotliLevel::default())),
        ),
        ("lz4", properties().set_compression(Compression::LZ4_RAW)),
        (
            "split",
            plain().set_column_encoding("action.list.element".into(), Encoding::BYTE_STREAM_SPLIT),
        ),
        (
            "lengths",
            plain()
                .set_column_encoding(picture("bytes"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_encoding(picture("path"), Encoding::DELTA_LENGTH_BYTE_ARRAY),
        ),
        (
            "differences",
            plain().set_column_encoding("index".into(), Encoding::DELTA_BINARY_PACKED),
        ),
    ];
    for (name, way) in ways {
        let file = File::create(common::corpus("dataset_rows").join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(way.build())).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.close().unwrap();
    }
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
