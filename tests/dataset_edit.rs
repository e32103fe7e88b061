//! Tests of deleting, re-labelling, merging and splitting episodes: every remaining row is as it was recorded.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sample_dataset::{CAMERAS, EPISODES};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::episode_stats;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::reader::{At, Dataset};
use thinkvla::dataset::verify::{Depth, verify};

fn succeeds(arguments: &[&str]) -> String {
    let output = command_line::dataset(arguments);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn recording(folder: &Path, name: &str) -> (PathBuf, String) {
    let root = folder.join(name);
    sample_dataset::record(&root, ImageMode::Png);
    let text = root.to_str().unwrap().to_owned();
    (root, text)
}

/// Asserts that the dataset consists of these episodes of the recording, with these instructions.
fn require(root: &Path, expected: &[(usize, &str)]) {
    let report = verify(root, Depth::Rows).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let dataset = Dataset::open(root).unwrap();
    assert_eq!(dataset.episodes().len(), expected.len());
    let mut reader = dataset.pictures(&CAMERAS).unwrap();
    let mut found = RgbImage::default();
    for (episode, (original, task)) in expected.iter().enumerate() {
        assert_eq!(dataset.episodes()[episode].length, EPISODES[*original].1);
        assert_eq!(dataset.episodes()[episode].tasks, [*task]);
        for frame in 0..EPISODES[*original].1 {
            let at = At { episode, frame };
            assert_eq!(dataset.task(at).unwrap(), *task);
            for (name, _) in sample_dataset::VECTORS {
                assert_eq!(
                    dataset.values(name, at).unwrap(),
                    sample_dataset::vector(name, *original, frame)
                );
            }
            for (picture, camera) in reader.read(at).unwrap().iter().zip(CAMERAS) {
                picture.decode(&mut found).unwrap();
                assert_eq!(found, sample_dataset::picture(camera, *original, frame));
            }
        }
    }
    let kept = episode_stats::load(root).unwrap();
    for (name, exact) in dataset.statistics().unwrap() {
        let found = [&kept[&name].min, &kept[&name].max, &kept[&name].mean, &kept[&name].std];
        let pairs = found.into_iter().zip([&exact.min, &exact.max, &exact.mean, &exact.std]);
        assert!(
            pairs
                .flat_map(|(a, b)| a.iter().zip(b))
                .all(|(a, b)| (a - b).abs() < 1e-6),
            "{name}"
        );
    }
}

#[test]
fn a_deleted_episode_is_gone_and_the_others_move_up() {
    let folder = tempfile::tempdir().unwrap();
    let (root, text) = recording(folder.path(), "set");
    let message = succeeds(&["delete", &text, "1"]);
    require(&root, &[(0, "lift the can"), (2, "lift the can")]);
    // The original is kept until the user removes it.
    assert!(message.contains("set.before"), "{message}");
    require(
        &folder.path().join("set.before"),
        &[0, 1, 2].map(|i| (i, EPISODES[i].0)),
    );
    assert!(!command_line::dataset(&["delete", &text, "0"]).status.success());
    require(&root, &[(0, "lift the can"), (2, "lift the can")]);
}

#[test]
fn files_of_the_user_stay_with_a_dataset_that_is_changed_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (root, text) = recording(folder.path(), "set");
    for (file, bytes) in [
        ("README.md", &b"mine"[..]),
        ("paper.pdf", b"%PDF-1.7"),
        ("notes.tmp", b""),
    ] {
        std::fs::write(root.join(file), bytes).unwrap();
    }
    std::fs::create_dir(root.join("drawings")).unwrap();
    let message = succeeds(&["delete", &text, "1"]);
    for file in ["README.md", "paper.pdf", "notes.tmp"] {
        let before = folder.path().join("set.before").join(file);
        assert_eq!(std::fs::read(root.join(file)).unwrap(), std::fs::read(before).unwrap());
    }
    assert!(
        message.contains("found the folders drawings; they were not copied"),
        "{message}"
    );
    require(&root, &[(0, "lift the can"), (2, "lift the can")]);
}

/// Files below a folder, without the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| !path.ends_with(".lock"))
        .collect();
    all.sort();
    all
}

#[test]
fn nothing_is_written_into_a_dataset_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (root, text) = recording(folder.path(), "set");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    let [sub, videos, meta, linked, a, inside_a] =
        ["set/sub", "set/videos", "set/meta", "link/new", "a", "new/../a/../a/b"]
            .map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let before = files(folder.path());
    for arguments in [
        &["merge", &text, "--out", &sub][..],
        &["merge", &text, "--out", &linked],
        &["relabel", &text, "--task", "push", "--out", &sub],
        &["encode", &text, "--out", &videos],
        &["export", &text, "--out", &meta],
        &["export", &text, "--out", &text],
        &["split", &text, "--at", "1", "--out", &a, &sub],
        &["split", &text, "--at", "1", "--out", &a, &a],
        &["split", &text, "--at", "1", "--out", &a, &inside_a],
    ] {
        let output = command_line::dataset(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        let named = message.contains("inside of") || message.contains("twice");
        assert!(!output.status.success() && named, "{arguments:?}: {message}");
        assert_eq!(files(folder.path()), before, "{arguments:?}");
        assert!(!Path::new(&a).exists() && !Path::new(&sub).exists());
    }
}

#[test]
fn nothing_is_written_when_one_of_several_places_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (_, text) = recording(folder.path(), "set");
    let [a, b, bags] = ["a", "b", "bags"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    for taken in ["b/mine", "bags/episode-000002.mcap", "set.before/mine"] {
        let taken = folder.path().join(taken);
        std::fs::create_dir_all(taken.parent().unwrap()).unwrap();
        std::fs::write(taken, b"mine").unwrap();
    }
    let before = files(folder.path());
    for (arguments, named) in [
        (
            &["split", &text, "--at", "1", "--out", &a, &b][..],
            "new or empty folder",
        ),
        (
            &["export", &text, "--out", &bags][..],
            "episode-000002.mcap: expected no file",
        ),
        (&["delete", &text, "1"][..], "set.before is still there"),
    ] {
        let output = command_line::dataset(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && message.contains(named),
            "{arguments:?}: {message}"
        );
        assert_eq!(files(folder.path()), before, "{arguments:?}");
    }
    assert!(!Path::new(&a).exists());
}

#[test]
fn a_relabelled_episode_has_the_new_instruction_in_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let (root, text) = recording(folder.path(), "set");
    let out = folder.path().join("new");
    succeeds(&[
        "relabel",
        &text,
        "--task",
        "raise the can",
        "2",
        "--out",
        out.to_str().unwrap(),
    ]);
    require(&out, &[(0, "lift the can"), (1, "push the box"), (2, "raise the can")]);
    require(&root, &[0, 1, 2].map(|i| (i, EPISODES[i].0)));
}

#[test]
fn a_dataset_that_was_split_is_whole_again_when_it_is_merged() {
    let folder = tempfile::tempdir().unwrap();
    let (_, text) = recording(folder.path(), "set");
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    succeeds(&["split", &text, "--at", "1", "--out", &a, &b]);
    require(Path::new(&a), &[(0, "lift the can")]);
    require(Path::new(&b), &[(1, "push the box"), (2, "lift the can")]);
    succeeds(&["merge", &a, &b, "--out", &c]);
    require(Path::new(&c), &[0, 1, 2].map(|i| (i, EPISODES[i].0)));
    if let Some(found) = sample_dataset::lerobot::run("load.py", &[&a, &b, &c].map(OsStr::new)) {
        assert_eq!(found, "1 12\n2 16\n3 28\n");
    }
}

#[test]
fn datasets_with_different_columns_are_not_merged_and_the_difference_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, a) = recording(folder.path(), "a");
    let (root, b) = recording(folder.path(), "b");
    let info = root.join("meta/info.json");
    let text = std::fs::read_to_string(&info).unwrap();
    std::fs::write(&info, text.replace("\"joint1\"", "\"shoulder\"")).unwrap();
    let out = folder.path().join("c");
    let output = command_line::dataset(&["merge", &a, &b, "--out", out.to_str().unwrap()]);
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("action.joint") && message.contains("shoulder"),
        "{message}"
    );
    assert!(!out.exists());
}

#[test]
fn datasets_with_different_contracts_are_not_merged_and_the_difference_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, a) = recording(folder.path(), "a");
    let (root, b) = recording(folder.path(), "b");
    let contract = root.join("contract.yaml");
    let text = std::fs::read_to_string(&contract).unwrap();
    let out = folder.path().join("c");
    for (from, to, difference) in [
        ("sequential", "from_anchor", "data.composition: expected Sequential, as"),
        ("rm75", "rm65", "robot.arm: expected rm75, as"),
    ] {
        assert!(text.contains(from), "{text}");
        std::fs::write(&contract, text.replace(from, to)).unwrap();
        for merged in [&a, &b] {
            let other = if merged == &a { &b } else { &a };
            let output = command_line::dataset(&["merge", merged, other, "--out", out.to_str().unwrap()]);
            let said = String::from_utf8_lossy(&output.stderr);
            let field = difference.split(':').next().unwrap();
            assert!(!output.status.success() && said.contains(field), "{said}");
            assert!(merged != &a || said.contains(difference), "{said}");
        }
    }
    std::fs::remove_file(&contract).unwrap();
    for sources in [[&a, &b], [&b, &a]] {
        let output = command_line::dataset(&["merge", sources[0], sources[1], "--out", out.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("b/contract.yaml: expected a contract as in"),
            "{said}"
        );
    }
    assert!(!out.exists());
}

#[test]
fn verify_and_repair_say_what_is_wrong_and_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let (root, text) = recording(folder.path(), "set");
    assert!(succeeds(&["verify", &text]).contains("3 episodes, 28 frames: sound"));
    let torn = root.join("data/chunk-000/file-002.parquet");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let output = command_line::dataset(&["verify", &text]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stdout).unwrap();
    assert!(
        message.contains("file-002.parquet") && message.contains("the first 2 episodes, 19 frames"),
        "{message}"
    );
    let message = succeeds(&["repair", &text]);
    assert!(message.contains("cut back from 3 episodes to the first 2"), "{message}");
    assert!(root.join(".cut/1/data/chunk-000/file-002.parquet").exists());
    require(&root, &[0, 1].map(|i| (i, EPISODES[i].0)));
}
