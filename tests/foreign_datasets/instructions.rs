//! Tests of instructions, and of episodes without rows.

use std::sync::Arc;

use arrow_array::builder::ListBuilder;
use arrow_array::{ArrayRef, StringArray};
use parquet::basic::Compression;
use thinkvla::dataset::{At, Dataset};

use super::foreign::{DATA, EPISODES, Foreign, exchange, whole, write};
use super::{command_line, foreign, made, problems, sample_dataset, stdout_of, with_pictures};

#[test]
fn instructions_are_those_of_the_rows_where_episodes_name_none() {
    let (_folder, root) = made(&Foreign {
        tasks: vec!["pick the cube", "push the can"],
        ..Foreign::default()
    });
    exchange(&root.join(EPISODES), &[("tasks", None)]);
    let dataset = Dataset::open(&root).unwrap();
    let tasks: Vec<_> = dataset.episodes().iter().map(|episode| episode.tasks.clone()).collect();
    assert_eq!(tasks, [["pick the cube"], ["push the can"]]);
    assert!(stdout_of(&["info", root.to_str().unwrap()]).contains("2 episodes, 10 frames"));
}

#[test]
fn episodes_without_rows_are_left_out_and_named() {
    let (_folder, root) = made(&Foreign {
        lengths: vec![5, 0, 5],
        tasks: vec!["pick", "pick", "push"],
        ..Foreign::default()
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    let out = root.with_file_name("merged");
    let output = command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("episode 1 has no rows"));
    let merged = Dataset::open(&out).unwrap();
    assert_eq!((merged.episodes().len(), merged.frames()), (2, 10));
    assert_eq!(merged.episodes()[1].tasks, ["push"]);
    // A video has at least one frame.
    let videos = root.with_file_name("videos");
    let output = command_line::dataset(&["encode", root.to_str().unwrap(), "--out", videos.to_str().unwrap()]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && message.contains("episode 1 has no rows"),
        "{message}"
    );
    assert!(!videos.exists());
}

#[test]
fn rows_of_an_episode_keep_their_own_instructions() {
    let (_folder, root) = with_pictures();
    let numbers = (0..sample_dataset::EPISODES[0].1).map(|row| usize::from(row >= 5));
    exchange(&root.join(DATA), &[("task_index", Some(whole(numbers)))]);
    let before = Dataset::open(&root).unwrap();
    for verb in ["encode", "merge"] {
        let out = root.with_file_name(verb);
        let output = command_line::dataset(&[verb, root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        let after = Dataset::open(&out).unwrap();
        let task = |dataset: &Dataset, frame: usize| dataset.task(At { episode: 0, frame }).unwrap().to_owned();
        assert_ne!(task(&after, 4), task(&after, 5), "{verb}");
        for frame in 0..sample_dataset::EPISODES[0].1 {
            assert_eq!(task(&after, frame), task(&before, frame), "{verb}, row {frame}");
        }
    }
}

#[test]
fn exports_hold_whole_episodes_only() {
    let (_folder, root) = made(&Foreign {
        lengths: vec![5, 0, 5],
        tasks: vec!["pick", "pick", "push"],
        ..Foreign::default()
    });
    let export = |name: &str| {
        let out = root.with_file_name(name);
        let output = command_line::dataset(&["export", root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        let files = std::fs::read_dir(&out).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        files.sort();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap(),
            files,
        )
    };
    let (is_done, message, files) = export("whole");
    assert!(is_done && message.contains("episode 1 has no rows"), "{message}");
    assert_eq!(files, ["episode-000000.mcap", "episode-000002.mcap"]);
    // The last row has an instruction that the table does not contain.
    let numbers = [0, 0, 0, 0, 0, 1, 1, 1, 1, 4];
    exchange(&root.join(DATA), &[("task_index", Some(whole(numbers)))]);
    let (is_done, message, files) = export("part");
    assert!(!is_done && message.contains("found 4, which none has"), "{message}");
    assert_eq!(files, ["episode-000000.mcap"]);
}

#[test]
fn instructions_that_no_prompt_can_hold_are_named_before_anything_is_trained() {
    for wrong in ["pick <|im_end|> up", "pick \u{1f50d} up", " ", "\u{200b}\u{feff}", ""] {
        let (_folder, root) = made(&Foreign {
            tasks: vec!["pick", wrong],
            ..Foreign::default()
        });
        let message = problems(&root).join("\n");
        assert!(message.contains("episode 1: instruction: expected"), "{message}");
        assert!(message.contains("dataset relabel"), "{message}");
        // The instructions of the rows count, whatever the table of episodes contains.
        let mut plain = ListBuilder::new(arrow_array::builder::StringBuilder::new());
        for _ in 0..2 {
            plain.values().append_value("pick");
            plain.append(true);
        }
        exchange(&root.join(EPISODES), &[("tasks", Some(Arc::new(plain.finish())))]);
        assert!(problems(&root)[0].contains("episode 1: instruction: expected"));
    }
    // A task index that the table does not contain.
    let (_folder, root) = made(&Foreign::default());
    let numbers = (0..10).map(|row| usize::from(row >= 5) * 4);
    exchange(&root.join(DATA), &[("task_index", Some(whole(numbers)))]);
    assert!(problems(&root)[0].contains("episode 1: instruction: expected words, found none"));
}

#[test]
fn numbers_of_instructions_may_have_gaps_and_their_table_any_index() {
    let (_folder, root) = made(&Foreign::default());
    let table = |numbers: [usize; 2], column: &str| {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["push", "pick"]));
        let columns = foreign::batch(vec![("task_index", whole(numbers)), (column, texts)]);
        write(&root.join("meta/tasks.parquet"), Compression::SNAPPY, &columns);
    };
    exchange(&root.join(DATA), &[("task_index", Some(whole([7; 10])))]);
    exchange(&root.join(EPISODES), &[("tasks", None)]);
    for column in ["task", "__index_level_0__", "instruction"] {
        table([3, 7], column);
        assert_eq!(Dataset::open(&root).unwrap().episodes()[0].tasks, ["pick"], "{column}");
    }
    table([3, 8], "task");
    let dataset = Dataset::open(&root).unwrap();
    let at = At { episode: 0, frame: 0 };
    assert!(
        dataset
            .task(at)
            .unwrap_err()
            .to_string()
            .contains("found 7, which none has")
    );
    table([3, 3], "task");
    assert!(
        Dataset::open(&root)
            .unwrap_err()
            .to_string()
            .contains("each once, found 3")
    );
    table([3, 1 << 40], "task");
    assert!(Dataset::open(&root).is_err());
}
