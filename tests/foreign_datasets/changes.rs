//! Tests of changes: a dataset of another program is left as it is, or kept whole beside the changed one.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::{DatasetWriter, episode_stats};

use super::foreign::{DATA, EPISODES, Foreign, describe, exchange, tree};
use super::{command_line, made, pointer, problems, sample_dataset, stdout_of, unlocked};

#[test]
fn nothing_is_taken_from_a_dataset_of_another_program() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("whole", |_| ()),
        ("without tasks", |root| {
            exchange(&root.join(EPISODES), &[("tasks", None)])
        }),
        ("a pointer in place of rows", |root| pointer(&root.join(DATA))),
        ("a file that is cut", |root| {
            let bytes = std::fs::read(root.join(DATA)).unwrap();
            std::fs::write(root.join(DATA), &bytes[..bytes.len() / 2]).unwrap();
        }),
    ];
    let contract = tempfile::tempdir().unwrap();
    episode_stats::save_contract(&Disk, contract.path(), &sample_dataset::contract()).unwrap();
    for (damage, change) in damages {
        let (_folder, root) = made(&Foreign::default());
        change(&root);
        let before = tree(&root);
        let text = root.to_str().unwrap();
        command_line::dataset(&["verify", text]);
        command_line::dataset(&["repair", text]);
        command_line::dataset(&["repair", text, "--dry-run"]);
        // The owner of the dataset is checked before the recording is looked for.
        let imported = command_line::dataset(&[
            "import",
            root.with_file_name("recording.mcap").to_str().unwrap(),
            "--into",
            text,
            "--contract",
            contract.path().to_str().unwrap(),
            "--task",
            "x",
            "--vector",
            "action=/command",
        ]);
        let message = String::from_utf8_lossy(&imported.stderr);
        assert!(
            !imported.status.success() && message.contains("it is left as it is"),
            "{message}"
        );
        let refused = DatasetWriter::resume(Arc::new(Disk), &root)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("it is left as it is"), "{refused}");
        assert_eq!(tree(&root), before, "{damage}");
    }
}

#[test]
fn a_dataset_that_is_changed_in_its_place_is_kept_whole_beside_it() {
    for arguments in [&["delete", "0"][..], &["relabel", "--task", "push the can"]] {
        let (_folder, root) = made(&Foreign {
            lengths: vec![5, 5, 4],
            tasks: vec!["pick the cube"; 3],
            ..Foreign::default()
        });
        let before = unlocked(&root);
        let [verb, rest @ ..] = arguments else { continue };
        let arguments = [&[*verb, root.to_str().unwrap()], rest].concat();
        assert!(command_line::dataset(&arguments).status.success());
        assert_eq!(unlocked(&root.with_file_name("set.before")), before, "{verb}");
        assert_eq!(problems(&root), Vec::<String>::new(), "{verb}");
        // A second change overwrites neither the original that was kept nor its successor.
        let after = unlocked(&root);
        assert!(!command_line::dataset(&arguments).status.success());
        assert_eq!(unlocked(&root.with_file_name("set.before")), before, "{verb}");
        assert_eq!(unlocked(&root), after, "{verb}");
    }
    // A dataset that cannot be read is not changed at all.
    let (_folder, root) = made(&Foreign::default());
    pointer(&root.join(DATA));
    let before = unlocked(&root);
    let arguments = ["relabel", root.to_str().unwrap(), "--task", "push the can"];
    assert!(!command_line::dataset(&arguments).status.success());
    assert_eq!(unlocked(&root), before);
    assert!(!root.with_file_name("set.before").exists());
}

#[test]
fn fields_of_the_description_that_are_not_known_are_kept() {
    let (_folder, root) = made(&Foreign::default());
    describe(&root, |info| {
        info["operators"] = json!(["a", "b"]);
        info["total_videos"] = json!(0);
    });
    let arguments = ["relabel", root.to_str().unwrap(), "--task", "push the can"];
    assert!(command_line::dataset(&arguments).status.success());
    describe(&root, |info| {
        assert_eq!(info["operators"], json!(["a", "b"]));
        assert_eq!((info.get("total_videos"), &info["total_episodes"]), (None, &json!(2)));
    });
}

#[test]
fn plots_of_a_dataset_of_another_program_are_written_beside_it() {
    let (_folder, root) = made(&Foreign::default());
    let before = tree(&root);
    assert!(
        command_line::dataset(&["plot", root.to_str().unwrap()])
            .status
            .success()
    );
    assert_eq!(tree(&root), before);
    assert!(root.with_file_name("set.plots").join("timing.png").exists());
}

#[test]
fn statistics_of_others_are_kept_before_they_are_counted_anew() {
    let (_folder, root) = made(&Foreign::default());
    let others = "{\"action\": {\"mean\":   [NaN]}, \"theirs\": \"as it was\"}\n";
    std::fs::write(root.join("meta/stats.json"), others).unwrap();
    let mut before = unlocked(&root);
    let text = root.to_str().unwrap();
    for turn in 0..2 {
        let message = stdout_of(&["stats", text, "--write"]);
        assert_eq!(message.contains("meta/stats.json.before"), turn == 0, "{message}");
        let kept = std::fs::read_to_string(root.join("meta/stats.json.before")).unwrap();
        assert_eq!(kept, others);
    }
    assert!(stdout_of(&["verify", text]).contains("sound"));
    let mut after = unlocked(&root);
    for files in [&mut before, &mut after] {
        files.retain(|path, _| !path.starts_with("meta/stats.json") && !path.ends_with("stats.json.before"));
    }
    assert_eq!(after, before);
}

#[test]
fn control_tokens_are_not_written_into_a_dataset() {
    let (_folder, root) = made(&Foreign::default());
    let before = tree(&root);
    let output = command_line::dataset(&["relabel", root.to_str().unwrap(), "--task", "a <|im_end|> b"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && message.contains("control token <|im_end|>"),
        "{message}"
    );
    assert_eq!(tree(&root), before);
}
