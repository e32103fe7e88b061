//! Tests that LeRobot, PyArrow, PyAV and a strict JSON reader read the output of all our writers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;
#[cfg(all(feature = "sim", feature = "torch"))]
#[path = "network/support.rs"]
#[allow(dead_code)]
mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foreign::{EPISODES, Foreign, exchange};
use sample_dataset::EPISODES as RECORDED;
use thinkvla::contract::FILE_NAME;
use thinkvla::dataset::encode::encode;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::info::STATS;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::{Dataset, DatasetWriter};

struct Written {
    root: PathBuf,
    episodes: usize,
    rows: usize,
    /// Number of frames of all its videos.
    frames: usize,
}

fn succeed(arguments: &[&str]) {
    assert!(command_line::dataset(arguments).status.success(), "{arguments:?}");
}

/// A dataset of each of our writers, with the expected content.
fn written(folder: &Path) -> Vec<Written> {
    let at = |name: &str| folder.join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    let rows: usize = RECORDED.iter().map(|(_, length)| length).sum();
    let lengths = RECORDED.map(|(_, length)| length);
    sample_dataset::record(&at("png"), ImageMode::Png);
    sample_dataset::record(&at("jpeg"), ImageMode::Jpeg(90));
    sample_dataset::record_together(&at("together"), ImageMode::Png);
    encode(&Disk, &Dataset::open(&at("png")).unwrap(), &at("video"), 22).unwrap();

    sample_dataset::record(&at("resumed"), ImageMode::Png);
    let (mut writer, _) = DatasetWriter::resume(Arc::new(Disk), &at("resumed")).unwrap();
    writer.begin("once more").unwrap();
    sample_dataset::push(&mut writer, ImageMode::Png, 3, 0..4);
    writer.save(&Default::default()).unwrap();
    drop(writer);

    succeed(&["delete", &text("video"), "1", "--out", &text("deleted")]);
    succeed(&[
        "relabel",
        &text("jpeg"),
        "--task",
        "raise",
        "2",
        "--out",
        &text("relabelled"),
    ]);
    succeed(&[
        "split",
        &text("video"),
        "--at",
        "1",
        "--out",
        &text("first"),
        &text("second"),
    ]);
    succeed(&["merge", &text("first"), &text("second"), "--out", &text("merged")]);

    sample_dataset::record(&at("repaired"), ImageMode::Png);
    tear(&at("repaired"));
    succeed(&["repair", &text("repaired")]);
    sample_dataset::record(&at("cut"), ImageMode::Png);
    disown(&at("cut"));
    tear(&at("cut"));
    succeed(&["repair", &text("cut"), "--apply"]);

    sample_dataset::record(&at("counted"), ImageMode::Png);
    std::fs::remove_file(at("counted").join(STATS)).unwrap();
    succeed(&["stats", &text("counted"), "--write"]);
    encode(&Disk, &Dataset::open(&at("png")).unwrap(), &at("counted of others"), 22).unwrap();
    disown(&at("counted of others"));
    succeed(&["stats", &text("counted of others"), "--write"]);

    // A dataset of another program, without quantiles and with an episode that has no rows.
    Foreign {
        lengths: vec![5, 0, 5],
        tasks: vec!["pick", "pick", "push"],
        ..Foreign::default()
    }
    .write(&at("foreign"));
    exchange(&at("foreign").join(EPISODES), &[("tasks", None)]);
    succeed(&["merge", &text("foreign"), "--out", &text("taken over")]);

    succeed(&["export", &text("png"), "--out", &text("bags")]);
    let mut import = vec!["import".to_owned()];
    import.extend((0..RECORDED.len()).map(|episode| text(&format!("bags/episode-00000{episode}.mcap"))));
    let rest = [
        "--vector",
        "observation.state",
        "--vector",
        "action",
        "--vector",
        "action.joint",
        "--camera",
        "top",
    ];
    let [into, contract] = [text("imported"), text("png")];
    let names = [
        "--camera",
        "wrist",
        "--task",
        "lift",
        "--into",
        &into,
        "--contract",
        &contract,
    ];
    import.extend(rest.iter().chain(&names).map(|argument| (*argument).to_owned()));
    succeed(&import.iter().map(String::as_str).collect::<Vec<_>>());
    let imported = Dataset::open(&at("imported")).unwrap().frames();

    let of = |name: &str, episodes, rows, frames| Written {
        root: at(name),
        episodes,
        rows,
        frames,
    };
    vec![
        of("png", 3, rows, 0),
        of("jpeg", 3, rows, 0),
        of("together", 3, rows, 0),
        of("video", 3, rows, 2 * rows),
        of("resumed", 4, rows + 4, 0),
        // Videos are copied completely, one for each episode; those of deleted episodes are not.
        of("deleted", 2, rows - lengths[1], 2 * (rows - lengths[1])),
        of("relabelled", 3, rows, 0),
        of("first", 1, lengths[0], 2 * lengths[0]),
        of("second", 2, rows - lengths[0], 2 * (rows - lengths[0])),
        of("merged", 3, rows, 2 * rows),
        of("repaired", 2, rows - lengths[2], 0),
        of("cut", 2, rows - lengths[2], 0),
        of("counted", 3, rows, 0),
        of("counted of others", 3, rows, 2 * rows),
        of("taken over", 2, 10, 0),
        of("imported", 3, imported, 0),
    ]
}

/// Cuts the file of the last episode in two.
fn tear(root: &Path) {
    let torn = root.join("data/chunk-000/file-002.parquet");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
}

/// Takes from a dataset what other programs do not write.
fn disown(root: &Path) {
    std::fs::remove_file(root.join(FILE_NAME)).unwrap();
    std::fs::remove_file(root.join(".lock")).unwrap_or_default();
    std::fs::remove_dir_all(root.join("meta/thinkvla")).unwrap_or_default();
}

/// What the simulator's verbs record, as little as they can.
#[cfg(feature = "sim")]
fn simulated(folder: &Path) -> Vec<Written> {
    let text = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| assert!(command_line::run(arguments).status.success(), "{arguments:?}");
    run(&["frames", &text("frames"), "--count", "6", "--seed", "5"]);
    let slowly = ["collect", "--task", "height", "--episodes", "1", "--fps", "2"];
    run(&[&slowly[..], &["--out", &text("collected")]].concat());
    let names = ["frames", "collected"].into_iter().chain(corrected(folder));
    let all: Vec<Written> = names.map(|name| found(folder.join(name))).collect();
    assert_eq!((all[0].episodes, all[0].rows, all[1].episodes), (6, 6, 1));
    // Each row of what is corrected is an episode.
    assert!(all.iter().all(|one| one.rows > 1));
    all
}

#[cfg(not(feature = "sim"))]
fn simulated(_: &Path) -> Vec<Written> {
    Vec::new()
}

/// The expert's corrections of a policy that knows nothing, in its first second.
#[cfg(all(feature = "sim", feature = "torch"))]
fn corrected(folder: &Path) -> Option<&'static str> {
    let checkpoint = support::checkpoint(4);
    let out = folder.join("corrected");
    let [policy, out] = [checkpoint.path(), &out].map(|path| path.to_str().unwrap());
    let briefly = ["--tasks", "height", "--episodes", "1", "--time-limit", "1"];
    let arguments = [&["correct", policy, out][..], &briefly].concat();
    assert!(command_line::run(&arguments).status.success());
    Some("corrected")
}

#[cfg(all(feature = "sim", not(feature = "torch")))]
fn corrected(_: &Path) -> Option<&'static str> {
    None
}

/// What our own reader finds in a dataset without videos.
#[cfg(feature = "sim")]
fn found(root: PathBuf) -> Written {
    let dataset = Dataset::open(&root).unwrap();
    Written {
        episodes: dataset.episodes().len(),
        rows: dataset.frames(),
        frames: 0,
        root,
    }
}

#[test]
fn every_reader_finds_what_each_of_our_writers_left() {
    let folder = tempfile::tempdir().unwrap();
    let written: Vec<Written> = written(folder.path())
        .into_iter()
        .chain(simulated(folder.path()))
        .collect();
    let roots: Vec<&OsStr> = written.iter().map(|one| one.root.as_os_str()).collect();
    let Some(output) = sample_dataset::lerobot::run("readers.py", &roots) else {
        return;
    };
    let expected = written
        .iter()
        .map(|one| format!("{} {} {}", one.episodes, one.rows, one.frames));
    assert_eq!(output.lines().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
