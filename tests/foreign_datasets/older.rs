//! Tests of LeRobot layouts before v3.0, and of incomplete statistics.

use std::path::{Path, PathBuf};

use serde_json::Value;
use thinkvla::dataset::statistics::Statistics;
use thinkvla::dataset::{Dataset, episode_stats};

use super::command_line;
use super::foreign::{Foreign, extend, older_rows, read, whole};
use super::problems;

fn older(foreign: &Foreign, version: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write_older(&root, version);
    (folder, root)
}

/// Merges one dataset into a new one; returns its path and the output.
fn merged(root: &Path) -> (PathBuf, String) {
    let out = root.with_file_name("merged");
    let output = command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(output.status.success());
    (out, String::from_utf8(output.stderr).unwrap())
}

/// Asserts that the statistics of each episode follow from its rows.
fn require_exact(foreign: &Foreign, root: &Path) {
    let found = episode_stats::of_episodes(root, Dataset::open(root).unwrap().info()).unwrap();
    assert_eq!(found.len(), foreign.lengths.len());
    for (episode, own) in found {
        let expected = Statistics::of_rows(&foreign.values(episode), foreign.width);
        assert_eq!(own[foreign.column], expected, "episode {episode}");
    }
}

/// Reads a JSON file strictly, without NaN.
fn strict(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn no_row_is_lost_where_the_lengths_of_episodes_are_too_small() {
    let (_folder, root) = older(&Foreign::default(), "v2.1");
    let lengths = root.join("meta/episodes.jsonl");
    let text = std::fs::read_to_string(&lengths).unwrap();
    std::fs::write(&lengths, text.replace("\"length\":5", "\"length\":4")).unwrap();
    let outs = ["out", "other"].map(|name| root.with_file_name(name));
    let [from, out, other] = [&root, &outs[0], &outs[1]].map(|path| path.to_str().unwrap());
    for change in [
        &["merge", from, "--out", out][..],
        &["split", from, "--at", "1", "--out", out, other],
        &["delete", from, "0", "--out", out],
        &["relabel", from, "--task", "push", "--out", out],
        &["export", from, "--out", out],
    ] {
        let output = command_line::dataset(change);
        let message = String::from_utf8(output.stderr).unwrap();
        let named = message.contains("episode_000000.parquet") && message.contains("expected 4 rows, found 5");
        assert!(!output.status.success() && named, "{change:?}: {message}");
        assert!(outs.iter().all(|out| !out.exists()), "{change:?}");
    }
}

#[test]
fn older_layouts_are_read_and_the_quantiles_they_lack_are_counted() {
    let foreign = Foreign {
        lengths: vec![5, 9, 3],
        tasks: vec!["pick", "push", "pick"],
        ..Foreign::default()
    };
    for version in ["v2.1", "v2.0"] {
        let (_folder, root) = older(&foreign, version);
        assert_eq!(problems(&root), Vec::<String>::new(), "{version}");
        let dataset = Dataset::open(&root).unwrap();
        let expected: Vec<f32> = (0..3).flat_map(|episode| foreign.values(episode)).collect();
        assert_eq!(dataset.vector("action").unwrap(), expected, "{version}");
        let tasks: Vec<_> = dataset
            .episodes()
            .iter()
            .map(|episode| episode.tasks.concat())
            .collect();
        assert_eq!(tasks, foreign.tasks, "{version}");
        let (out, _) = merged(&root);
        require_exact(&foreign, &out);
        assert_eq!(problems(&out), Vec::<String>::new(), "{version}");
    }
}

#[test]
fn lines_of_episodes_may_have_any_order_but_each_episode_once() {
    let foreign = Foreign {
        lengths: vec![5, 9, 3],
        tasks: vec!["pick", "push", "pick"],
        ..Foreign::default()
    };
    let (_folder, root) = older(&foreign, "v2.1");
    let path = root.join("meta/episodes.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.rotate_left(1);
    std::fs::write(&path, lines.join("\n")).unwrap();
    assert_eq!(problems(&root), Vec::<String>::new());
    let dataset = Dataset::open(&root).unwrap();
    let lengths: Vec<_> = dataset.episodes().iter().map(|episode| episode.length).collect();
    assert_eq!(lengths, foreign.lengths);
    let expected: Vec<f32> = (0..3).flat_map(|episode| foreign.values(episode)).collect();
    assert_eq!(dataset.vector("action").unwrap(), expected);
    lines.push(lines[0]);
    std::fs::write(&path, lines.join("\n")).unwrap();
    let message = Dataset::open(&root).unwrap_err().to_string();
    assert!(message.contains("found episode 1 more than once"), "{message}");
}

#[test]
fn lines_may_be_written_as_pandas_and_people_write_them() {
    for (file, from, to) in [
        ("episodes.jsonl", "\"length\":5", "\"length\":5.0"),
        ("episodes.jsonl", "\"episode_index\":1", "\"episode_index\":1.0"),
        ("episodes.jsonl", "[\"pick the cube\"]", "\"pick the cube\""),
        ("episodes.jsonl", "[\"pick the cube\"]", "null"),
        ("episodes_stats.jsonl", "\"episode_index\":1", "\"episode_index\":1.0"),
        ("episodes_stats.jsonl", "\"stats\":", "\"stats\":null,\"others\":"),
        ("tasks.jsonl", "\"task_index\":0", "\"task_index\":0.0"),
    ] {
        let (_folder, root) = older(&Foreign::default(), "v2.1");
        let path = root.join("meta").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let dataset = Dataset::open(&root).unwrap_or_else(|e| panic!("{to}: {e}"));
        assert_eq!(dataset.frames(), 10, "{to}");
        assert_eq!(dataset.episodes()[1].tasks, ["pick the cube"], "{to}");
        merged(&root);
    }
    let (_folder, root) = older(&Foreign::default(), "v2.1");
    let path = root.join("meta/tasks.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.repeat(2)).unwrap();
    assert_eq!(Dataset::open(&root).unwrap().tasks(), ["pick the cube"]);
    std::fs::write(&path, text.clone() + &text.replace("pick", "push")).unwrap();
    let message = Dataset::open(&root).unwrap_err().to_string();
    assert!(message.contains("each once, found 0"), "{message}");
}

#[test]
fn columns_that_are_not_described_are_left_out_and_named() {
    let (_folder, root) = older(&Foreign::default(), "v2.1");
    extend(&root.join(older_rows(0)), vec![("__index_level_0__", whole(0..5))]);
    assert_eq!(problems(&root), Vec::<String>::new());
    let (out, said) = merged(&root);
    assert!(
        said.contains("does not describe are left out: __index_level_0__"),
        "{said}"
    );
    let rows = read(&out.join("data/chunk-000/file-000.parquet"));
    assert!(rows.column_by_name("__index_level_0__").is_none());
}

#[test]
fn statistics_of_episodes_that_are_cut_are_named() {
    let (_folder, root) = older(&Foreign::default(), "v2.1");
    let path = root.join("meta/episodes_stats.jsonl");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let message = problems(&root).join("\n");
    assert!(message.contains("episodes_stats.jsonl: line 2"), "{message}");
}

#[test]
fn groups_of_values_may_be_described_with_nulls() {
    let (_folder, root) = older(&Foreign::default(), "v2.0");
    let groups =
        r#"{"action": {"tool": {"start": 0, "end": 6, "absolute": null, "original_key": null, "range": null}}}"#;
    std::fs::write(root.join("meta/modality.json"), groups).unwrap();
    let dataset = Dataset::open(&root).unwrap();
    let at = thinkvla::dataset::At { episode: 0, frame: 4 };
    let chunk = dataset.chunk("action", at, 2).unwrap();
    assert_eq!(chunk.values[..7], chunk.values[7..]);
}

#[test]
fn statistics_that_are_no_numbers_are_counted_anew() {
    let foreign = Foreign::default();
    let (_folder, root) = older(&foreign, "v2.1");
    let path = root.join("meta/episodes_stats.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    // Replaces the first number of each list by what Python writes for a non-finite value.
    let with = |text: &str, name: &str, value: &str| {
        let (before, behind) = text.split_once(&format!("\"{name}\":[")).unwrap();
        let (_, rest) = behind.split_once(',').unwrap();
        format!("{before}\"{name}\":[{value},{rest}")
    };
    let wrong = with(&with(&text, "mean", "NaN"), "max", "-Infinity");
    std::fs::write(&path, wrong).unwrap();
    std::fs::write(
        root.join("meta/stats.json"),
        "{\"action\": {\"mean\": [NaN], \"min\": [-Infinity]}}",
    )
    .unwrap();
    assert_eq!(problems(&root), Vec::<String>::new());
    let (out, _) = merged(&root);
    require_exact(&foreign, &out);
    let mean = &strict(&out.join("meta/stats.json"))["action"]["mean"];
    assert!(mean.as_array().unwrap().iter().all(Value::is_f64), "{mean}");
    strict(&out.join("meta/info.json"));
}

#[test]
fn merged_episodes_have_tables_of_the_same_columns() {
    let foreign = Foreign::default();
    // The older version has no statistics of episodes; the other has some of another column, and none of quantiles.
    let (_old, old) = older(&foreign, "v2.0");
    let (_new, new) = older(&foreign, "v2.1");
    let path = new.join("meta/episodes_stats.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let one = r#"{"min": [0], "max": [1], "mean": [0.5], "std": [0.1], "count": [5]}"#;
    let more = format!("\"stats\":{{\"next.done\":{one},\"timestamp\":{one},");
    std::fs::write(&path, text.replace("\"stats\":{", &more)).unwrap();
    let out = old.with_file_name("merged");
    let [old, new, to] = [&old, &new, &out].map(|path| path.to_str().unwrap());
    assert!(
        command_line::dataset(&["merge", old, new, "--out", to])
            .status
            .success()
    );
    let columns = |episode: usize| -> Vec<String> {
        let table = read(&out.join(format!("meta/episodes/chunk-000/file-00{episode}.parquet")));
        let schema = table.schema();
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    assert!(columns(0).contains(&"stats/timestamp/q50".to_owned()));
    assert!((1..4).all(|episode| columns(episode) == columns(0)));
    // Where all episodes have statistics of another column, they are kept.
    let (out, _) = merged(Path::new(new));
    let own = episode_stats::of_episodes(&out, Dataset::open(&out).unwrap().info()).unwrap();
    assert!(own.values().all(|own| own.contains_key("next.done")));
}

#[test]
fn an_episode_without_a_finite_value_does_not_change_the_statistics_of_all() {
    let foreign = Foreign::default();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    // No value is near 0, so that a 0 in place of NaN would show.
    let values = |row: usize| -> Vec<f32> { foreign.row(row).into_iter().map(|value| value + 1.0).collect() };
    foreign.write_with(&root, |row| {
        let mut values = values(row);
        if row < 5 {
            values[0] = f32::NAN;
        }
        values
    });
    let (out, _) = merged(&root);
    let of_second: Vec<f32> = (5..10).flat_map(values).collect();
    let expected = Statistics::of_rows(&of_second, 7);
    let all = episode_stats::load(&out).unwrap().remove("action").unwrap();
    for ((name, found), (_, expected)) in all.named().zip(expected.named()) {
        assert!((found[0] - expected[0]).abs() < 1e-9, "{name}: {found:?}");
    }
    let own = episode_stats::of_episodes(&out, Dataset::open(&out).unwrap().info()).unwrap();
    assert!(own[&0]["action"].named().all(|(_, found)| found[0].is_nan()));
    assert!(own[&1]["action"].is_whole(7));
}

#[test]
fn episodes_without_rows_are_left_out_of_older_layouts_and_named() {
    let foreign = Foreign {
        lengths: vec![5, 0, 4],
        tasks: vec!["pick", "pick", "push"],
        ..Foreign::default()
    };
    // Some programs write a file for an empty episode, others do not.
    for has_file in [true, false] {
        let (_folder, root) = older(&foreign, "v2.1");
        if !has_file {
            std::fs::remove_file(root.join(older_rows(1))).unwrap();
        }
        assert_eq!(problems(&root), Vec::<String>::new(), "{has_file}");
        assert_eq!(Dataset::open(&root).unwrap().frames(), 9);
        let (out, message) = merged(&root);
        assert!(message.contains("episode 1 has no rows and is left out"), "{message}");
        let dataset = Dataset::open(&out).unwrap();
        let found: Vec<_> = dataset
            .episodes()
            .iter()
            .map(|of| (of.length, of.tasks.concat()))
            .collect();
        assert_eq!(found, [(5, "pick".to_owned()), (4, "push".to_owned())]);
    }
}
