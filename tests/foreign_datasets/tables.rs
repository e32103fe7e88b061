//! Tests of tables: however they are compressed and encoded, their rows are read or named.

use std::sync::Arc;

use arrow_array::Float64Array;
use arrow_array::cast::AsArray;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, Type, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use serde_json::Value;
use thinkvla::dataset::Dataset;

use super::foreign::{DATA, EPISODES, Foreign, exchange, read, whole, write, write_as};
use super::{made, problems};

#[test]
fn tables_are_read_however_they_are_compressed() {
    let foreign = Foreign::default();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let (_folder, root) = made(&foreign);
        for file in [DATA, EPISODES, "meta/tasks.parquet"] {
            let rows = read(&root.join(file));
            write(&root.join(file), compression, &rows);
        }
        let expected: Vec<f32> = (0..10).flat_map(|row| foreign.row(row)).collect();
        assert_eq!(
            Dataset::open(&root).unwrap().vector("action").unwrap(),
            expected,
            "{compression:?}"
        );
    }
}

/// The leaf columns of a table, with their types.
fn leaves(batch: &arrow_array::RecordBatch) -> Vec<(ColumnPath, Type)> {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    let written = writer.close().unwrap();
    let columns = written.file_metadata().schema_descr().columns().to_vec();
    columns
        .iter()
        .map(|of| (of.path().clone(), of.physical_type()))
        .collect()
}

#[test]
fn tables_are_read_however_their_pages_are_encoded() {
    let foreign = Foreign {
        lengths: vec![200, 100],
        ..Foreign::default()
    };
    let expected: Vec<f32> = (0..300).flat_map(|row| foreign.row(row)).collect();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for compression in [Compression::UNCOMPRESSED, Compression::ZSTD(ZstdLevel::default())] {
            let (_folder, root) = made(&foreign);
            for file in [DATA, EPISODES, "meta/tasks.parquet"] {
                let path = root.join(file);
                let rows = read(&path);
                let mut properties = WriterProperties::builder()
                    .set_dictionary_enabled(false)
                    .set_writer_version(version)
                    .set_compression(compression);
                for (column, of) in leaves(&rows) {
                    let encoding = match of {
                        Type::FLOAT | Type::DOUBLE => Encoding::BYTE_STREAM_SPLIT,
                        Type::INT32 | Type::INT64 => Encoding::DELTA_BINARY_PACKED,
                        _ => Encoding::DELTA_LENGTH_BYTE_ARRAY,
                    };
                    properties = properties.set_column_encoding(column, encoding);
                }
                write_as(&path, properties, &rows);
            }
            assert_eq!(problems(&root), Vec::<String>::new(), "{version:?} {compression:?}");
            let dataset = Dataset::open(&root).unwrap();
            assert_eq!(dataset.vector("action").unwrap(), expected);
            assert_eq!(dataset.episodes()[1].tasks, ["pick the cube"]);
        }
    }
    let (_folder, root) = made(&foreign);
    let path = root.join("meta/tasks.parquet");
    let texts = ColumnPath::from("task");
    let properties = WriterProperties::builder().set_column_dictionary_enabled(texts.clone(), false);
    write_as(
        &path,
        properties.set_column_encoding(texts, Encoding::DELTA_BYTE_ARRAY),
        &read(&path),
    );
    let message = Dataset::open(&root).unwrap_err().to_string();
    assert!(message.contains("encoding 7, which is not read"), "{message}");
}

#[test]
fn late_times_are_as_right_as_32_bits_can_be() {
    let (_folder, root) = made(&Foreign {
        fps: 7,
        lengths: vec![14_500],
        tasks: vec!["wait"],
        ..Foreign::default()
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    let rows = read(&root.join(DATA));
    let times = rows.column_by_name("timestamp").unwrap();
    let late: Vec<f32> = times
        .as_primitive::<arrow_array::types::Float32Type>()
        .values()
        .iter()
        .map(|t| if *t > 0.0 { t + 0.002 } else { *t })
        .collect();
    exchange(
        &root.join(DATA),
        &[("timestamp", Some(Arc::new(arrow_array::Float32Array::from(late))))],
    );
    assert!(problems(&root)[0].contains("frame 1 at 7 Hz"), "{:?}", problems(&root));
}

#[test]
fn values_that_are_all_the_same_take_few_bytes() {
    let foreign = Foreign {
        lengths: vec![1500],
        tasks: vec!["touch"],
        column: "observation.tactile",
        names: Value::Null,
        width: 1024,
        ..Foreign::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write_with(&root, |_| vec![0.0; 1024]);
    assert!(std::fs::metadata(root.join(DATA)).unwrap().len() < 100_000);
    let dataset = Dataset::open(&root).unwrap();
    assert_eq!(dataset.vector("observation.tactile").unwrap().len(), 1500 * 1024);
}

#[test]
fn rows_of_another_length_are_named_even_where_the_total_fits() {
    let foreign = Foreign::default();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write_with(&root, |row| match row {
        2 => vec![0.0; 6],
        3 => vec![0.0; 8],
        _ => vec![0.0; 7],
    });
    let message = problems(&root).join("\n");
    assert!(
        message.contains("column action, row 2: expected 7 values, found 6"),
        "{message}"
    );
    assert!(Dataset::open(&root).unwrap_err().to_string().contains("row 2"));
}

#[test]
fn the_row_of_a_value_that_is_not_finite_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    Foreign::default().write_with(&root, |row| match row {
        8 => vec![0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0],
        _ => vec![0.0; 7],
    });
    let message = problems(&root).join("\n");
    assert!(message.contains("action, row 8: expected numbers"), "{message}");
}

#[test]
fn the_row_without_a_usable_time_or_number_is_named() {
    let number_at = |bad: f64| Float64Array::from_iter_values((0..10).map(|row| if row == 7 { bad } else { 0.0 }));
    for (column, bad, found) in [
        ("timestamp", f64::NAN, "expected finite numbers, found NaN"),
        ("timestamp", f64::INFINITY, "expected finite numbers, found inf"),
        ("task_index", f64::NAN, "expected whole numbers, found NaN"),
        ("task_index", -1.0, "expected 0 or more, found -1"),
        ("task_index", 0.5, "expected whole numbers, found 0.5"),
    ] {
        let (_folder, root) = made(&Foreign::default());
        exchange(&root.join(DATA), &[(column, Some(Arc::new(number_at(bad))))]);
        let message = Dataset::open(&root).unwrap_err().to_string();
        let named = format!("row 7: column {column}: {found}");
        assert!(message.contains(&named), "{message}");
    }
    let (_folder, root) = made(&Foreign::default());
    let times: Float64Array = (0..10).map(|row| (row != 7).then_some(0.1)).collect();
    exchange(&root.join(DATA), &[("timestamp", Some(Arc::new(times)))]);
    let message = Dataset::open(&root).unwrap_err().to_string();
    assert!(
        message.contains("row 7: column timestamp: expected a value in every row"),
        "{message}"
    );
}

#[test]
fn rows_in_another_order_than_described_are_named() {
    let (_folder, root) = made(&Foreign::default());
    let mut frames: Vec<usize> = (0..5).chain(0..5).collect();
    frames.swap(7, 8);
    exchange(&root.join(DATA), &[("frame_index", Some(whole(frames)))]);
    let message = Dataset::open(&root).unwrap_err().to_string();
    assert!(
        message.contains("row 7: expected frame 2 of episode 1, found frame 3 of episode 1"),
        "{message}"
    );
    // These columns are optional.
    exchange(&root.join(DATA), &[("frame_index", None), ("episode_index", None)]);
    assert_eq!(Dataset::open(&root).unwrap().frames(), 10);
}
