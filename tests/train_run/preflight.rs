//! Tests that errors which would end a run later are reported before its first step.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StructArray};
use serde_json::{Value, json};

use super::command_line;
use super::foreign::{exchange, read};
use super::sample_dataset::CAMERAS;
use super::tiny_run::RunFixture;
use super::tiny_run::questions::SECTION;

/// Truncates the first camera's images in a file of rows.
fn cut_pictures(rows: &Path) {
    let found = read(rows);
    let column = found.column_by_name(CAMERAS[0]).unwrap().as_struct();
    let whole = column.column(0).as_binary::<i32>();
    let cut = BinaryArray::from_iter_values(whole.iter().map(|bytes| {
        let bytes = bytes.unwrap();
        &bytes[..bytes.len() / 2]
    }));
    let columns: Vec<ArrayRef> = vec![Arc::new(cut), Arc::clone(column.column(1))];
    let pictures = StructArray::try_new(column.fields().clone(), columns, None).unwrap();
    exchange(rows, &[(CAMERAS[0], Some(Arc::new(pictures)))]);
}

#[test]
fn pictures_that_cannot_be_read_are_named() {
    let fixture = RunFixture::new("");
    cut_pictures(&fixture.path("data/data/chunk-000/file-001.parquet"));
    let message = fixture.open(fixture.load(), false).err().unwrap();
    assert!(
        message.contains("of 3 rows that were looked at, 1 cannot be read") && message.contains("episode 1, frame"),
        "{message}"
    );
}

#[test]
fn videos_that_are_missing_or_something_else_are_named() {
    let fixture = RunFixture::new("");
    let encoded = fixture.path("encoded");
    let (data, out) = (fixture.path("data"), encoded.to_str().unwrap());
    let made = command_line::dataset(&["encode", data.to_str().unwrap(), "--out", out]);
    assert!(made.status.success());
    let mut config = fixture.load();
    config.data.datasets[0].path.clone_from(&encoded);
    fixture.open(config.clone(), false).map(drop).unwrap();
    let videos = encoded.join("videos").join(CAMERAS[0]).join("chunk-000");
    std::fs::write(
        videos.join("file-001.mp4"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
    )
    .unwrap();
    std::fs::write(videos.join("file-000.mp4"), "").unwrap();
    std::fs::remove_file(videos.join("file-002.mp4")).unwrap();
    let message = fixture.open(config, false).err().unwrap();
    for part in [
        "3 of 6 videos",
        "file-000.mp4: it is an empty file",
        "file-001.mp4: this is a git-lfs pointer",
        "`git lfs pull`",
        "file-002.mp4: No such file",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn videos_that_end_before_their_rows_are_named() {
    let fixture = RunFixture::new("");
    let encoded = fixture.path("encoded");
    let (data, out) = (fixture.path("data"), encoded.to_str().unwrap());
    let made = command_line::dataset(&["encode", data.to_str().unwrap(), "--out", out]);
    assert!(made.status.success());
    let mut config = fixture.load();
    config.data.datasets[0].path.clone_from(&encoded);
    // All rows of one episode are a second late, behind the end of its video.
    let episodes = encoded.join("meta/episodes/chunk-000/file-001.parquet");
    let column = format!("videos/{}/from_timestamp", CAMERAS[0]);
    let late: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    exchange(&episodes, &[(&column, Some(Arc::clone(&late)))]);
    let message = fixture.open(config.clone(), false).err().unwrap();
    for part in ["the videos of 1 episodes", "of episode 1: second", "file-001.mp4"] {
        assert!(message.contains(part), "{message}");
    }
    // The next episode has its rows in the same file: it is named once.
    let episodes = encoded.join("meta/episodes/chunk-000/file-002.parquet");
    let file = format!("videos/{}/file_index", CAMERAS[0]);
    let first: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    exchange(&episodes, &[(&column, Some(late)), (&file, Some(first))]);
    let message = fixture.open(config, false).err().unwrap();
    for part in ["the videos of 2 episodes", "the first of 2 episodes of this file"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(message.matches("file-001.mp4").count(), 1, "{message}");
}

#[test]
fn questions_and_answers_that_cannot_be_learned_from_are_named() {
    for (row, problem) in [
        (
            json!([{"from": "human", "value": "which ".repeat(3000)}, {"from": "gpt", "value": "this"}]),
            "tokens in all",
        ),
        (
            json!([{"from": "human", "value": "which?"}, {"from": "gpt", "value": "<|im_end|>"}]),
            "control token",
        ),
    ] {
        let fixture = RunFixture::new(SECTION);
        let file = fixture.path("questions/qwen.json");
        let mut rows: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        rows.push(json!({"conversations": row}));
        std::fs::write(&file, Value::Array(rows).to_string()).unwrap();
        let message = fixture.open(fixture.load(), false).err().unwrap();
        assert!(
            message.contains("1 of 14 conversations") && message.contains("row 7") && message.contains(problem),
            "{message}"
        );
    }
}

#[test]
fn a_disk_without_room_for_the_checkpoints_is_told() {
    let fixture = RunFixture::new("");
    let mut config = fixture.load();
    (config.steps, config.checkpoints.every_steps, config.checkpoints.keep) = (1 << 40, 1, 1 << 40);
    let message = fixture.open(config.clone(), false).err().unwrap();
    assert!(
        message.contains("of free space for checkpoints") && message.contains("lower checkpoints.keep"),
        "{message}"
    );
    // Space is required only for as many checkpoints as the run writes.
    config.steps = 2;
    fixture.open(config, false).map(drop).unwrap();
}

#[test]
fn instructions_that_make_the_prompt_too_long_are_named_before_the_first_step() {
    let fixture = RunFixture::new("");
    let file = fixture.path("start/config.json");
    let open_with = |longest: usize| {
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        config["text_config"]["max_position_embeddings"] = longest.into();
        std::fs::write(&file, config.to_string()).unwrap();
        fixture.open(fixture.load(), false).map(drop)
    };
    // Lengths of the prompts of the three episodes.
    let message = open_with(8).unwrap_err();
    assert!(message.contains("dataset relabel"), "{message}");
    let found = message.split("expected a prompt of at most 8 tokens, found ").skip(1);
    let lengths: Vec<usize> = found
        .map(|rest| rest.split(';').next().unwrap().parse().unwrap())
        .collect();
    let longest = *lengths.iter().max().unwrap();
    // A teacher's prompt may be longer than the student's, which is built first.
    let fits = (longest..longest + 500)
        .step_by(100)
        .find(|most| open_with(*most).is_ok());
    assert!(fits.is_some(), "{:?}", open_with(4096));
    let message = open_with(longest - 1).unwrap_err();
    let place = lengths.iter().position(|length| *length == longest).unwrap();
    assert!(
        message.contains(&format!("episode {place}: ")) && message.contains(&format!("found {longest}; use a shorter")),
        "{message}"
    );
}
