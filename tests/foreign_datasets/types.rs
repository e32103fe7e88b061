//! Tests of the types of columns.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, PrimitiveBuilder};
use arrow_array::types::{ArrowPrimitiveType, Float16Type};
use arrow_array::{ArrayRef, Float64Array, Int16Array, UInt64Array};
use serde_json::json;
use thinkvla::dataset::{Dataset, episode_stats};

use super::foreign::{DATA, Foreign, describe, exchange, extend};
use super::{made, problems, stdout_of};

#[test]
fn numbers_are_read_whatever_type_they_are_stored_as() {
    let foreign = Foreign::default();
    let (_folder, root) = made(&foreign);
    let expected: Vec<f32> = (0..10).flat_map(|row| foreign.row(row)).collect();
    let episodes = (0..10).map(|row| row / 5);
    exchange(
        &root.join(DATA),
        &[
            ("task_index", Some(Arc::new(UInt64Array::from(vec![0; 10])))),
            ("episode_index", Some(Arc::new(Int16Array::from_iter_values(episodes)))),
            (
                "index",
                Some(Arc::new(Float64Array::from_iter_values((0..10).map(f64::from)))),
            ),
        ],
    );
    assert_eq!(Dataset::open(&root).unwrap().vector("action").unwrap(), expected);
    assert_eq!(problems(&root), Vec::<String>::new());
    let broken = Float64Array::from_iter_values((0..10).map(|row| f64::from(row) + 0.5));
    exchange(&root.join(DATA), &[("index", Some(Arc::new(broken)))]);
    assert!(problems(&root)[0].contains("column index: expected whole numbers, found 0.5"));
}

/// A column of lists of 16-bit numbers.
fn halves(foreign: &Foreign) -> ArrayRef {
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    let mut rows = ListBuilder::new(PrimitiveBuilder::<Float16Type>::new());
    for row in 0..10 {
        for value in foreign.row(row) {
            rows.values().append_value(Half::from_f32(value));
        }
        rows.append(true);
    }
    Arc::new(rows.finish())
}

/// A column of lists of lists of one number.
fn lists_of_lists(foreign: &Foreign) -> ArrayRef {
    let mut rows = ListBuilder::new(ListBuilder::new(Float32Builder::new()));
    for row in 0..10 {
        for value in foreign.row(row) {
            rows.values().values().append_value(value);
            rows.values().append(true);
        }
        rows.append(true);
    }
    Arc::new(rows.finish())
}

#[test]
fn actions_of_16_bits_or_of_two_dimensions_are_read() {
    let foreign = Foreign::default();
    let expected: Vec<f32> = (0..10).flat_map(|row| foreign.row(row)).collect();
    let of_16_bits = halves(&foreign);
    let nested = lists_of_lists(&foreign);
    for (dtype, shape, column) in [
        ("float16", json!([7]), Some(of_16_bits)),
        ("float32", json!([7, 1]), Some(nested)),
        ("float32", json!([7, 1]), None),
        ("float32", json!([1, 7]), None),
        ("float", json!([7]), None),
        ("double", json!([7]), None),
    ] {
        let (_folder, root) = made(&foreign);
        describe(&root, |info| {
            info["features"]["action"]["dtype"] = json!(dtype);
            info["features"]["action"]["shape"] = shape.clone();
        });
        if let Some(column) = column {
            exchange(&root.join(DATA), &[("action", Some(column))]);
        }
        let found = Dataset::open(&root).unwrap();
        assert_eq!(found.vector("action").unwrap(), expected, "{dtype} {shape}");
        assert_eq!(found.info().features["action"].value_names()[6], "gripper");
        assert_eq!(problems(&root), Vec::<String>::new(), "{dtype} {shape}");
    }
}

#[test]
fn types_that_are_not_read_or_not_known_are_named() {
    for (dtype, known) in [
        ("int64", true),
        ("bool", true),
        ("Float32", false),
        ("torch.float32", false),
    ] {
        let (_folder, root) = made(&Foreign::default());
        describe(&root, |info| info["features"]["action"]["dtype"] = json!(dtype));
        let dataset = Dataset::open(&root).unwrap();
        let message = dataset.vector("action").unwrap_err().to_string();
        assert!(
            message.contains("column action") && message.contains(&format!("found {dtype} of shape [7]")),
            "{message}"
        );
        let found = problems(&root).join("\n");
        assert_eq!(found.is_empty(), known, "{found}");
        assert_eq!(
            found.contains("column action: expected a dtype of LeRobot"),
            !known,
            "{found}"
        );
    }
}

#[test]
fn a_column_of_lists_of_one_is_a_column_of_numbers() {
    let (_folder, root) = made(&Foreign::default());
    let mut times = ListBuilder::new(Float32Builder::new());
    for row in 0..10 {
        times.values().append_value((row % 5) as f32 / 10.0);
        times.append(true);
    }
    exchange(&root.join(DATA), &[("timestamp", Some(Arc::new(times.finish())))]);
    assert_eq!(problems(&root), Vec::<String>::new());
}

#[test]
fn statistics_of_64_bits_keep_what_32_bits_would_round() {
    let (_folder, root) = made(&Foreign::default());
    // Seconds since 1970, of which 32 bits hold every 128th.
    let first = 1.7e9;
    let times = Float64Array::from_iter_values((0..10).map(|row| first + f64::from(row) / 8.0));
    extend(&root.join(DATA), vec![("observation.clock", Arc::new(times))]);
    describe(&root, |info| {
        info["features"]["observation.clock"] = json!({"dtype": "float64", "shape": [1], "names": null});
    });
    let out = root.with_file_name("merged");
    let [from, to] = [&root, &out].map(|path| path.to_str().unwrap());
    stdout_of(&["merge", from, "--out", to]);
    // Columns stay apart where numbers have many digits.
    let table = stdout_of(&["stats", from, "--write"]);
    assert!(table.contains(" 1700000000 1700000001 1700000001"), "{table}");
    for root in [&root, &out] {
        let clock = &episode_stats::load(root).unwrap()["observation.clock"];
        assert_eq!((clock.min[0], clock.max[0]), (first, first + 9.0 / 8.0));
        assert_eq!(clock.mean[0], first + 4.5 / 8.0);
        assert!((clock.std[0] - 8.25_f64.sqrt() / 8.0).abs() < 1e-6, "{clock:?}");
    }
}
