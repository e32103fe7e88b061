//! Tests with transformers: it reads the directories that we write, we read those that it writes, and the PyTorch command
//! that we recommend works.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use thinkvla::inspect::check::CheckpointCheck;
use thinkvla::model::checkpoint::convert::Conversion;
use thinkvla::model::checkpoint::{CheckpointOptions, Format};
use thinkvla::model::config::Precision;
use thinkvla::model::init::variant::CheckpointVariant;

use crate::case::{sets, tensors};
use crate::formats::{as_version_5, change, copy, read, require_same_tensors};
use crate::support::checkpoint;

/// Python interpreter and folders of transformers 4.57 and 5; `None` where there are none. On CI they must exist.
fn versions() -> Option<(PathBuf, [PathBuf; 2])> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (Some(python), Some(folders)) = (named("THINKVLA_LEROBOT_PYTHON"), named("THINKVLA_TRANSFORMERS")) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "transformers is missing: tools/setup/transformers_env.sh provides it, or says what it needs"
        );
        eprintln!(
            "SKIPPED: without transformers nothing is known of what it makes of our checkpoints; this runs it:\n  \
             tools/setup/transformers_env.sh && . tools/env.sh && cargo test"
        );
        return None;
    };
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    Some((python.into(), folders.try_into().unwrap()))
}

/// Output of a script with one of the versions.
fn run(python: &Path, folder: &Path, arguments: &[&OsStr]) -> String {
    let mut command = Command::new(python);
    command.args(arguments).env("PYTHONPATH", folder);
    command.env("HF_HUB_OFFLINE", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {reported}", folder.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transformers")
        .join(name)
}

/// Result of loading each directory with one of the versions; asserts that no weights are missing or left over.
fn loaded(python: &Path, folder: &Path, directories: &[&Path]) -> Vec<Value> {
    let script = script("load.py");
    let directories = directories.iter().map(|directory| directory.as_os_str());
    let arguments: Vec<&OsStr> = std::iter::once(script.as_os_str()).chain(directories).collect();
    let reported = run(python, folder, &arguments);
    let reported: Vec<Value> = reported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reported.len() + 1, arguments.len());
    for one in &reported {
        assert_eq!(one["wrong"], serde_json::json!([]), "{}: {one}", folder.display());
        assert_eq!(one["model"], "Qwen3VLForConditionalGeneration");
    }
    reported
}

fn to_hugging_face(from: &Path, to: &Path, dtype: Option<Precision>) {
    let conversion = Conversion {
        to: Format::HuggingFace,
        options: &CheckpointOptions {
            dtype,
            ..CheckpointOptions::default()
        },
        variant: &CheckpointVariant::default(),
        seed: 0,
    };
    conversion.run(from, to).unwrap();
}

#[test]
fn transformers_reads_what_we_write_of_either_spelling_as_it_reads_the_original() {
    let Some((python, folders)) = versions() else {
        return;
    };
    for set in ["deep", "every_layer"] {
        let original = sets().join(set).join("checkpoint");
        let newer = copy(&original);
        as_version_5(newer.path());
        // As version 5 writes them; version 4 misinterprets a list, or does not know the class.
        change(&newer.path().join("tokenizer_config.json"), |json| {
            json["extra_special_tokens"] = serde_json::json!(["<|im_start|>"]);
            json["tokenizer_class"] = "TokenizersBackend".into();
        });
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        to_hugging_face(&original, &old, None);
        to_hugging_face(newer.path(), &new, None);
        let reported = folders
            .each_ref()
            .map(|version| loaded(&python, version, &[&original, &old, &new]));
        for reported in &reported {
            assert!(
                reported[0] == reported[1] && reported[0] == reported[2],
                "{reported:#?}"
            );
        }
        // The inputs of the network are the same in both; its sums are rounded differently.
        for part in ["ids", "patches"] {
            assert_eq!(reported[0][0][part], reported[1][0][part], "{part}");
        }
    }
}

#[test]
fn transformers_reads_the_backbone_of_our_own() {
    let Some((python, folders)) = versions() else {
        return;
    };
    let ours = checkpoint(3);
    let folder = tempfile::tempdir().unwrap();
    let [plain, short] = ["plain", "short"].map(|name| folder.path().join(name));
    to_hugging_face(ours.path(), &plain, Some(Precision::Float32));
    to_hugging_face(ours.path(), &short, Some(Precision::Bfloat16));
    for version in &folders {
        let reported = loaded(&python, version, &[&plain, &short]);
        assert!(reported[0]["ids"] == reported[1]["ids"] && reported[0]["patches"] == reported[1]["patches"]);
    }
}

#[test]
fn we_read_what_either_version_of_transformers_writes() {
    let Some((python, folders)) = versions() else {
        return;
    };
    for set in ["deep", "every_layer"] {
        let original = sets().join(set).join("checkpoint");
        let expected = read(&original).unwrap();
        for (version, shard) in folders
            .iter()
            .flat_map(|version| [(version, "5GB"), (version, "100KB")])
        {
            let folder = tempfile::tempdir().unwrap();
            let written = folder.path().join("written");
            let script = script("save.py");
            let arguments = [
                script.as_os_str(),
                original.as_os_str(),
                written.as_os_str(),
                OsStr::new(shard),
            ];
            run(&python, version, &arguments);
            let (at, found) = (
                format!("{set}, {}, {shard}", version.display()),
                read(&written).unwrap(),
            );
            assert_eq!(found.format, Format::HuggingFace, "{at}");
            assert_eq!(
                (&found.qwen3_vl, found.bounds),
                (&expected.qwen3_vl, expected.bounds),
                "{at}"
            );
            require_same_tensors(&expected, &found);
            let check = CheckpointCheck {
                options: &CheckpointOptions::default(),
                dataset: None,
                constant: &[],
            };
            assert_eq!(check.run(&written).failures, Vec::<String>::new(), "{at}");
        }
    }
}

#[test]
fn pickles_of_torch_are_read_and_older_ones_become_safetensors_by_the_command_that_is_told() {
    let Some((python, [version, _])) = versions() else {
        return;
    };
    let directory = copy(&sets().join("starvla"));
    let run_directory = directory.path().join("run");
    let safe = run_directory.join("checkpoints/steps_1000_model.safetensors");
    let pickled = run_directory.join("checkpoints/steps_1000_pytorch_model.pt");
    let before = std::fs::read(&safe).unwrap();
    let save = |form: &str| {
        let script = script("save_pickle.py");
        let arguments = [
            script.as_os_str(),
            safe.as_os_str(),
            pickled.as_os_str(),
            OsStr::new(form),
        ];
        run(&python, &version, &arguments);
    };
    save("new");
    let (old, new) = (read(&safe).unwrap(), read(&pickled).unwrap());
    require_same_tensors(&old, &new);
    drop((old, new));
    save("old");
    std::fs::remove_file(&safe).unwrap();
    let reported = read(&run_directory).unwrap_err();
    let command = reported.split_once("python3 -c '").unwrap().1;
    let (script, _) = command.split_once("' ").unwrap();
    let arguments = [
        OsStr::new("-c"),
        OsStr::new(script),
        pickled.as_os_str(),
        safe.as_os_str(),
    ];
    run(&python, &version, &arguments);
    let after = std::fs::read(&safe).unwrap();
    let all = |bytes: &[u8]| tensors(&safetensors::SafeTensors::deserialize(bytes).unwrap());
    let (before, after) = (all(&before), all(&after));
    assert_eq!(before.len(), after.len());
    assert!(before.iter().all(|(key, old)| *old == after[key]));
}
