//! Tests of repairs: only what is damaged is moved aside, and it can be put back.

use std::sync::Arc;

use serde_json::json;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::{Dataset, DatasetWriter};

use super::foreign::{DATA, Foreign, describe, tree};
use super::{command_line, made, pointer, sample_dataset, stdout_of, unlocked, with_pictures};

#[test]
fn an_episode_that_is_not_counted_is_moved_aside_and_can_be_put_back() {
    let (_folder, root) = with_pictures();
    describe(&root, |info| {
        info["total_episodes"] = json!(1);
        info["total_frames"] = json!(12);
    });
    let before = tree(&root);
    let text = root.to_str().unwrap();
    let message = stdout_of(&["repair", text]);
    assert!(
        message.contains("would move") && message.contains("nothing was changed"),
        "{message}"
    );
    assert_eq!(tree(&root), before);

    stdout_of(&["repair", text, "--apply"]);
    for file in [1, 2] {
        let rows = format!("data/chunk-000/file-00{file}.parquet");
        assert!(!root.join(&rows).exists());
        assert_eq!(tree(&root)[&root.join(".cut/1").join(&rows)], before[&root.join(&rows)]);
    }
    let message = stdout_of(&["repair", text, "--undo"]);
    assert!(message.contains("4 files"), "{message}");
    let mut after = tree(&root);
    after.retain(|path, _| !path.ends_with(".lock"));
    assert_eq!(after, before);
}

#[test]
fn a_cut_of_a_foreign_dataset_is_taken_back_whole_unless_it_has_grown() {
    let (_folder, root) = with_pictures();
    let torn = root.join("data/chunk-000/file-001.parquet");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let before = tree(&root);
    let text = root.to_str().unwrap();
    let message = stdout_of(&["verify", text]);
    assert!(
        message.contains("the first 1 episodes") && message.contains("--dry-run"),
        "{message}"
    );
    stdout_of(&["repair", text, "--apply"]);
    assert_eq!(Dataset::open(&root).unwrap().frames(), sample_dataset::EPISODES[0].1);
    // A file of the same name has been created since.
    std::fs::write(&torn, "new").unwrap();
    assert!(!command_line::dataset(&["repair", text, "--undo"]).status.success());
    std::fs::remove_file(&torn).unwrap();
    assert!(command_line::dataset(&["repair", text, "--undo"]).status.success());
    let mut after = tree(&root);
    after.retain(|path, _| !path.ends_with(".lock"));
    assert_eq!(after, before);
}

#[test]
fn a_saved_episode_that_cannot_be_read_is_named_and_opening_to_record_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    for notes in ["notes.tmp", "meta/notes.tmp", "data/chunk-000/notes.parquet.tmp"] {
        std::fs::write(root.join(notes), "mine").unwrap();
    }
    for file in [
        "data/chunk-000/file-001.parquet",
        "meta/episodes/chunk-000/file-001.parquet",
    ] {
        let whole = std::fs::read(root.join(file)).unwrap();
        let others = [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"[..],
                "git-lfs",
            ),
            (b"<!DOCTYPE html><html>403</html>", "HTML page"),
            (b"PK\x03\x04\x14\0\0\0", "zip archive"),
        ];
        let torn = (&whole[..whole.len() / 2], "run `thinkvla dataset repair`");
        for (bytes, name) in others.into_iter().chain([torn]) {
            std::fs::write(root.join(file), bytes).unwrap();
            let before = unlocked(&root);
            let resumed = DatasetWriter::resume(Arc::new(Disk), &root).map(drop);
            let refused = resumed.unwrap_err().to_string();
            assert!(
                refused.contains("file-001.parquet") && refused.contains(name),
                "{refused}"
            );
            if bytes != torn.0 {
                let repaired = command_line::dataset(&["repair", root.to_str().unwrap()]);
                let message = String::from_utf8(repaired.stderr).unwrap();
                assert!(!repaired.status.success() && message.contains(name), "{message}");
            }
            assert_eq!(unlocked(&root), before, "{file}, {name}");
        }
        std::fs::write(root.join(file), &whole).unwrap();
    }
}

#[test]
fn only_files_that_a_recorder_was_writing_are_removed_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    let others = ["notes.tmp", "meta/notes.tmp", "data/chunk-000/file-one.parquet.tmp"];
    let unfinished = [
        "contract.yaml.tmp",
        "meta/info.json.tmp",
        "meta/tasks.parquet.tmp",
        "meta/thinkvla/episode-000003.json.tmp",
        "meta/episodes/chunk-000/file-003.parquet.tmp",
        "data/chunk-000/file-003.parquet.tmp",
    ];
    for file in others.iter().chain(&unfinished) {
        std::fs::write(root.join(file), "a part").unwrap();
    }
    let (_, resumed) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
    assert_eq!(resumed.repairs.len(), unfinished.len(), "{:?}", resumed.repairs);
    assert!(unfinished.iter().all(|file| !root.join(file).exists()));
    assert!(others.iter().all(|file| root.join(file).exists()));
}

#[test]
fn repair_is_recommended_only_where_it_leaves_something() {
    let (_folder, root) = made(&Foreign::default());
    pointer(&root.join(DATA));
    let message = stdout_of(&["verify", root.to_str().unwrap()]);
    assert!(
        message.contains("git-lfs pointer")
            && message.contains("`git lfs pull`")
            && message.contains("repair does not mend this"),
        "{message}"
    );
}
