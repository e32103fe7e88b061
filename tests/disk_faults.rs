//! Tests of disk faults at every call while an episode is recorded and saved: the error is reported, every episode saved
//! before remains, and the dataset opens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "support/faulty_disk.rs"]
mod faulty_disk;
#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use faulty_disk::{Fault, FaultyDisk};
use serde_json::{Map, json};
use thinkvla::dataset::episode_stats;
use thinkvla::dataset::error::DatasetError;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::reader::{At, Dataset};
use thinkvla::dataset::repair::Repair;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::verify::{Depth, verify};
use thinkvla::dataset::writer::DatasetWriter;

const LENGTHS: [usize; 2] = [3, 4];
const TASKS: [&str; 2] = ["lift the can", "push the box"];

/// Returns whether the error is that of the faulty disk.
fn is_disk(error: &DatasetError) -> bool {
    matches!(error, DatasetError::Io { cause, .. }
        if matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem))
}

/// Records until the first error; returns the number of saved episodes and the error.
fn record(writer: &mut DatasetWriter) -> (usize, Option<DatasetError>) {
    let mut saved = 0;
    for (episode, length) in LENGTHS.into_iter().enumerate() {
        let recorded = (|| {
            writer.begin(TASKS[episode])?;
            for frame in 0..length {
                writer.push(&sample_dataset::frame(writer, ImageMode::Png, episode, frame))?;
            }
            let notes: Map<_, _> = [("dropped".to_owned(), json!(0))].into_iter().collect();
            writer.save(&notes)
        })();
        match recorded {
            Ok(_) => saved += 1,
            Err(error) => return (saved, Some(error)),
        }
    }
    (saved, None)
}

/// Number of disk calls for the creation of a dataset, and in total after recording.
fn calls() -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new(Fault::Full, None);
    let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
    let created = disk.calls();
    assert_eq!(record(&mut writer).0, LENGTHS.len());
    println!(
        "{} calls to the disk, and {created} before them",
        disk.calls() - created
    );
    (created, disk.calls())
}

/// Asserts that the dataset opens and contains the recorded episodes; returns their number.
fn require_intact(root: &Path, depth: Depth) -> usize {
    let dataset = Dataset::open(root).unwrap();
    for episode in dataset.episodes() {
        assert_eq!(episode.length, LENGTHS[episode.index]);
        for frame in 0..episode.length {
            let at = At {
                episode: episode.index,
                frame,
            };
            assert_eq!(dataset.task(at).unwrap(), TASKS[episode.index]);
            for (name, _) in sample_dataset::VECTORS {
                assert_eq!(
                    dataset.values(name, at).unwrap(),
                    sample_dataset::vector(name, episode.index, frame)
                );
            }
        }
    }
    if depth == Depth::Rows {
        let report = verify(root, depth).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let exact = dataset.statistics().unwrap();
        for (name, kept) in episode_stats::load(root).unwrap() {
            assert!(
                kept.of_pictures || kept.count == dataset.frames(),
                "{name}: {} of {}",
                kept.count,
                dataset.frames()
            );
            for (kept, exact) in exact
                .get(&name)
                .into_iter()
                .flat_map(|exact| kept.mean.iter().zip(&exact.mean))
            {
                assert!((kept - exact).abs() < 1e-6, "{name}: mean {kept}, not {exact}");
            }
        }
    }
    dataset.episodes().len()
}

#[test]
fn a_disk_that_fills_or_is_read_only_is_named_and_what_was_saved_stays() {
    let (created, all) = calls();
    for fault in [Fault::Full, Fault::ReadOnly] {
        for at in created + 1..=all {
            let folder = tempfile::tempdir().unwrap();
            let disk = FaultyDisk::new(fault, Some(at));
            let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
            let (saved, error) = record(&mut writer);
            let what = format!("{fault:?} at call {at} of {all}");
            if let Some(error) = error {
                assert!(is_disk(&error), "{what}: {error}");
                let text = error.to_string();
                assert!(
                    text.contains(folder.path().to_str().unwrap()),
                    "{what}: {text} names no file"
                );
            }
            // Before and after a restart of the recorder on a healthy disk.
            assert!(
                (saved..=saved + 1).contains(&require_intact(folder.path(), Depth::Files)),
                "{what}"
            );
            drop(writer);
            DatasetWriter::resume(Arc::new(Disk), folder.path()).unwrap();
            assert!(
                (saved..=saved + 1).contains(&require_intact(folder.path(), Depth::Rows)),
                "{what}"
            );
        }
    }
}

#[test]
fn episodes_that_are_saved_together_are_all_there_or_none_is() {
    let together = |writer: &mut DatasetWriter| {
        let of = |at| sample_dataset::whole(writer, ImageMode::Png, (at, TASKS[at], LENGTHS[at]));
        let both = [0, 1].map(of);
        writer.save_whole(both.into())
    };
    let disk = FaultyDisk::new(Fault::Full, None);
    let folder = tempfile::tempdir().unwrap();
    let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
    let created = disk.calls();
    together(&mut writer).unwrap();
    for at in created + 1..=disk.calls() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(Fault::Full, Some(at));
        let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
        if let Err(error) = together(&mut writer) {
            assert!(is_disk(&error), "call {at}: {error}");
        }
        drop(writer);
        let (mut writer, _) = DatasetWriter::resume(Arc::new(Disk), folder.path()).unwrap();
        let saved = require_intact(folder.path(), Depth::Rows);
        assert!([0, 2].contains(&saved), "call {at}: {saved}");
        if saved == 0 {
            together(&mut writer).unwrap();
            assert_eq!(require_intact(folder.path(), Depth::Rows), 2, "call {at}");
        }
    }
}

#[test]
fn an_episode_that_could_not_be_saved_is_saved_when_there_is_space_again() {
    let (created, all) = calls();
    for at in created + 1..=all {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(Fault::Full, Some(at));
        let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
        let (saved, error) = record(&mut writer);
        disk.recover();
        // Only if it failed during the save, not before, with frames missing.
        if error.is_some() && writer.open_frames() == Some(LENGTHS[saved.min(1)]) {
            writer.save(&Map::new()).unwrap();
            assert_eq!(require_intact(folder.path(), Depth::Rows), saved + 1, "call {at}");
        }
    }
}

#[test]
fn frames_that_were_taken_before_the_disk_was_full_can_be_saved_when_there_is_space_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new(Fault::Full, None);
    let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
    writer.begin(TASKS[0]).unwrap();
    sample_dataset::push(&mut writer, ImageMode::Png, 0, 0..LENGTHS[0]);
    disk.fail_next();
    let next = sample_dataset::frame(&writer, ImageMode::Png, 0, LENGTHS[0]);
    assert!(is_disk(&writer.push(&next).unwrap_err()));
    disk.recover();
    // Nothing after a truncated frame could be found again.
    let error = writer.push(&next).unwrap_err().to_string();
    assert!(error.contains("save the frames"), "{error}");
    writer.save(&Map::new()).unwrap();
    assert_eq!(require_intact(folder.path(), Depth::Rows), 1);
}

#[test]
fn a_loss_of_power_at_any_moment_leaves_a_dataset_that_opens_with_every_saved_episode() {
    let (created, all) = calls();
    for share in [0.0, 0.5, 1.0] {
        for at in created + 1..=all {
            let folder = tempfile::tempdir().unwrap();
            let disk = FaultyDisk::new(Fault::PowerCut(share), Some(at));
            let mut writer = sample_dataset::create(Arc::new(disk.clone()), folder.path(), ImageMode::Png);
            let (saved, error) = record(&mut writer);
            drop(writer);
            disk.lose_power();
            let what = format!("power cut at call {at} of {all}, {share} of the rest written: {error:?}");
            let found = require_intact(folder.path(), Depth::Files);
            assert!(
                (saved..=saved + 1).contains(&found),
                "{what}: {saved} saved, {found} found"
            );
            let (mut writer, resumed) = DatasetWriter::resume(Arc::new(Disk), folder.path()).unwrap();
            assert_eq!(require_intact(folder.path(), Depth::Rows), found, "{what}");
            // An episode is saved or open, never both.
            if let Some(open) = resumed.open {
                assert!(
                    found < LENGTHS.len() && open.frames <= LENGTHS[found],
                    "{what}: {open:?}, {found} found"
                );
                writer.discard().unwrap();
            }
            // Recording can continue.
            if found < LENGTHS.len() {
                writer.begin(TASKS[found]).unwrap();
                sample_dataset::push(&mut writer, ImageMode::Png, found, 0..LENGTHS[found]);
                writer.save(&Map::new()).unwrap();
                assert_eq!(require_intact(folder.path(), Depth::Rows), found + 1, "{what}");
            }
        }
    }
}

#[test]
fn an_episode_file_that_was_torn_cuts_the_dataset_back_to_the_longest_sound_beginning() {
    for torn in [
        "data/chunk-000/file-001.parquet",
        "meta/episodes/chunk-000/file-001.parquet",
    ] {
        let folder = tempfile::tempdir().unwrap();
        sample_dataset::record(folder.path(), ImageMode::Png);
        let path = folder.path().join(torn);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
        let report = verify(folder.path(), Depth::Files).unwrap();
        assert_eq!(report.sound.len(), 1);
        assert!(
            report.problems[0].to_string().contains("file-001"),
            "{:?}",
            report.problems
        );
        let done = Repair::plan(folder.path()).unwrap().apply(&Disk).unwrap();
        let problems = done.join("\n");
        assert!(
            problems.contains("cut back from 3 episodes to the first 1") && problems.contains("file-001"),
            "{problems}"
        );
        let report = verify(folder.path(), Depth::Rows).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let (writer, again) = DatasetWriter::resume(Arc::new(Disk), folder.path()).unwrap();
        assert_eq!(writer.info().total_episodes, 1);
        assert!(again.repairs.is_empty(), "{:?}", again.repairs);
        // LeRobot opens what remains.
        if torn.starts_with("data") {
            let found = sample_dataset::lerobot::run("load.py", &[folder.path().as_os_str()]);
            assert!(found.is_none_or(|found| found.trim() == "1 12"));
        }
    }
}
