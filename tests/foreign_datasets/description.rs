//! Tests of descriptions and statistics that say less than ours.

use std::path::Path;

use serde_json::{Value, json};
use thinkvla::dataset::{Dataset, episode_stats};

use super::foreign::{Foreign, describe, exchange, read};
use super::{command_line, made, problems, sample_dataset, stdout_of, with_pictures};

/// Removes columns from the table of each of the three episodes.
fn remove_of_episodes(root: &Path, is_removed: impl Fn(&str) -> bool) {
    for file in 0..3 {
        let path = root.join(format!("meta/episodes/chunk-000/file-00{file}.parquet"));
        let names: Vec<String> = read(&path)
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let removed: Vec<_> = names
            .iter()
            .filter(|name| is_removed(name))
            .map(|name| (name.as_str(), None))
            .collect();
        assert!(!removed.is_empty());
        exchange(&path, &removed);
    }
}

#[test]
fn pictures_are_encoded_where_statistics_are_missing() {
    let (_folder, root) = with_pictures();
    remove_of_episodes(&root, |name| name.starts_with("stats/"));
    let statistics = root.join("meta/stats.json");
    std::fs::remove_file(&statistics).unwrap();
    let (out, other) = (root.with_file_name("videos"), root.with_file_name("other"));
    let encode =
        |out: &Path| command_line::dataset(&["encode", root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(encode(&out).status.success());
    let all = episode_stats::load(&out).unwrap();
    assert!(all["action"].is_whole(7) && all[sample_dataset::CAMERAS[0]].is_whole(3));
    let of_episodes = episode_stats::of_episodes(&out, Dataset::open(&out).unwrap().info()).unwrap();
    assert!((0..3).all(|episode| of_episodes[&episode]["action"].is_whole(7)));
    // A file that is damaged is named before anything is encoded.
    std::fs::write(&statistics, "{").unwrap();
    let refused = encode(&other);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && message.contains("stats.json"), "{message}");
    assert!(!other.join("videos").exists());
}

#[test]
fn quantiles_that_are_missing_are_counted_and_not_invented() {
    let (_folder, root) = with_pictures();
    remove_of_episodes(&root, |name| name.rsplit('/').next().unwrap().starts_with('q'));
    let exact = Dataset::open(&root).unwrap();
    let out = root.with_file_name("merged");
    assert!(
        command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()])
            .status
            .success()
    );
    let of_episodes = episode_stats::of_episodes(&out, Dataset::open(&out).unwrap().info()).unwrap();
    for (name, width) in sample_dataset::VECTORS {
        let values = exact.vector(name).unwrap();
        for episode in exact.episodes() {
            let rows = episode.from * width..(episode.from + episode.length) * width;
            let expected = thinkvla::dataset::statistics::Statistics::of_rows(&values[rows], width);
            assert_eq!(
                of_episodes[&episode.index][name].quantiles, expected.quantiles,
                "{name}"
            );
        }
    }
    let all: Value = serde_json::from_str(&std::fs::read_to_string(out.join("meta/stats.json")).unwrap()).unwrap();
    for (name, of) in all.as_object().unwrap() {
        for (statistic, values) in of.as_object().unwrap() {
            assert!(!values.as_array().unwrap().is_empty(), "{name} {statistic}");
        }
    }
}

#[test]
fn episodes_that_are_counted_and_not_there_are_missed() {
    let (_folder, root) = made(&Foreign::default());
    std::fs::remove_dir_all(root.join("meta/episodes")).unwrap();
    let message = Dataset::open(&root).unwrap_err().to_string();
    assert!(
        message.contains("meta/info.json: expected 2 episodes, found 0 in meta"),
        "{message}"
    );
    let out = root.with_file_name("merged");
    let arguments = ["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert!(!command_line::dataset(&arguments).status.success());
    assert!(!out.exists());
}

#[test]
fn a_description_may_say_less_or_say_it_otherwise() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 11] = [
        ("no total of tasks", |info| {
            drop(info.as_object_mut().unwrap().remove("total_tasks"))
        }),
        ("no totals at all", |info| {
            for total in [
                "total_tasks",
                "total_episodes",
                "total_frames",
                "robot_type",
                "chunks_size",
                "data_path",
            ] {
                info.as_object_mut().unwrap().remove(total);
            }
        }),
        ("totals that are null", |info| {
            info["total_episodes"] = Value::Null;
            info["total_tasks"] = Value::Null;
            info["chunks_size"] = Value::Null;
            info["data_path"] = Value::Null;
        }),
        ("totals with a fraction of 0", |info| {
            info["total_episodes"] = json!(2.0);
            info["total_frames"] = json!(10.0);
            info["chunks_size"] = json!(1000.0);
        }),
        ("a version without its letter", |info| {
            info["codebase_version"] = json!("3.0")
        }),
        ("several robots", |info| info["robot_type"] = json!(["rm75", "rm65"])),
        ("no robot", |info| info["robot_type"] = Value::Null),
        ("splits that are null", |info| info["splits"] = Value::Null),
        ("splits that are lists", |info| {
            info["splits"] = json!({"train": [0, 1]})
        }),
        ("more than is known", |info| {
            info["license"] = json!({"spdx": "CC0-1.0"})
        }),
        ("names in groups", |info| {
            info["features"]["action"]["names"] = json!({"tool": ["x", "y", "z", "rx", "ry", "rz"], "zz": ["gripper"]});
        }),
    ];
    for (what, change) in changes {
        let (_folder, root) = made(&Foreign::default());
        describe(&root, change);
        let dataset = Dataset::open(&root).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((dataset.episodes().len(), dataset.frames()), (2, 10), "{what}");
        assert_eq!(
            (dataset.info().total_episodes, dataset.info().total_frames),
            (2, 10),
            "{what}"
        );
        let names = dataset.info().features["action"].value_names();
        assert_eq!(names.join(" "), "x y z rx ry rz gripper", "{what}");
    }
    for wrong in [json!(1.5), json!(-1), json!(1e300)] {
        for total in ["total_episodes", "total_frames", "total_tasks", "chunks_size"] {
            let (_folder, root) = made(&Foreign::default());
            describe(&root, |info| info[total] = wrong.clone());
            let message = Dataset::open(&root).unwrap_err().to_string();
            assert!(
                message.contains("meta/info.json") && message.contains("expected a whole number"),
                "{total}: {message}"
            );
        }
    }
    for version in [Value::Null, json!(3.0), json!("v1.6"), json!("v3.1")] {
        let (_folder, root) = made(&Foreign::default());
        describe(&root, |info| info["codebase_version"] = version.clone());
        let message = Dataset::open(&root).unwrap_err().to_string();
        let expected = format!("codebase_version: expected \"v2.0\", \"v2.1\" or \"v3.0\", found {version}");
        assert!(
            message.contains("meta/info.json") && message.contains(&expected),
            "{message}"
        );
    }
    // As written by Windows and Python.
    let (_folder, root) = made(&Foreign::default());
    let path = root.join("meta/info.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("\u{feff}{}", text.replacen('{', "{\"rest\": NaN, ", 1))).unwrap();
    assert_eq!(Dataset::open(&root).unwrap().frames(), 10);
}

#[test]
fn a_dataset_without_episodes_is_empty_and_not_damaged() {
    let (_folder, root) = made(&Foreign::default());
    for (version, description) in [("v3.0", "none"), ("v2.1", "older")] {
        let empty = root.with_file_name(description);
        std::fs::create_dir_all(empty.join("meta")).unwrap();
        std::fs::copy(root.join("meta/info.json"), empty.join("meta/info.json")).unwrap();
        describe(&empty, |info| {
            info["codebase_version"] = json!(version);
            info["total_episodes"] = json!(0);
            info["total_frames"] = json!(0);
        });
        assert_eq!(problems(&empty), Vec::<String>::new());
        let [set, empty, out] =
            [&root, &empty, &root.with_file_name(version)].map(|path| path.to_str().unwrap().to_owned());
        assert!(stdout_of(&["info", &empty]).contains("0 episodes, 0 frames"));
        let merged = stdout_of(&["merge", &empty, &set, "--out", &out]);
        assert!(merged.contains(&format!("{empty}: 0 episodes, left out")), "{merged}");
        assert!(merged.contains("2 episodes, 10 frames"), "{merged}");
        let refused = command_line::dataset(&["merge", &empty, "--out", &format!("{out}-none")]);
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(message.contains("nothing has been recorded yet"), "{message}");
    }
}

#[test]
fn the_cause_of_a_missing_file_is_named_once() {
    let (_folder, root) = made(&Foreign::default());
    std::fs::remove_file(root.join("meta/tasks.parquet")).unwrap();
    let refused = command_line::dataset(&["info", root.to_str().unwrap()]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
}
