//! Tests of compatibility with LeRobot: it opens our recordings, and we open its recordings.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use sample_dataset::{CAMERAS, EPISODES, VECTORS, lerobot};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::reader::{At, Dataset};
use thinkvla::dataset::verify::{Depth, verify};

fn lerobot_reads(root: &Path, mode: &str) {
    if let Some(output) = lerobot::run("read.py", &[root.as_os_str(), OsStr::new(mode)]) {
        assert!(output.contains("as recorded"), "{output}");
    }
}

#[test]
fn lerobot_opens_a_recording_with_png_columns_and_finds_every_pixel() {
    let folder = tempfile::tempdir().unwrap();
    sample_dataset::record(folder.path(), ImageMode::Png);
    lerobot_reads(folder.path(), "png");
}

#[test]
fn lerobot_opens_a_recording_with_jpeg_columns() {
    let folder = tempfile::tempdir().unwrap();
    sample_dataset::record(folder.path(), ImageMode::Jpeg(92));
    lerobot_reads(folder.path(), "jpeg");
}

#[test]
fn lerobot_opens_episodes_that_were_saved_together_and_so_do_we() {
    let folder = tempfile::tempdir().unwrap();
    sample_dataset::record_together(folder.path(), ImageMode::Png);
    let files = std::fs::read_dir(folder.path().join("data/chunk-000")).unwrap();
    assert_eq!(files.count(), 2);
    let dataset = Dataset::open(folder.path()).unwrap();
    let mut reader = dataset.pictures(&CAMERAS).unwrap();
    let mut found = RgbImage::default();
    for (episode, (task, length)) in EPISODES.into_iter().enumerate() {
        for at in (0..length).map(|frame| At { episode, frame }) {
            assert_eq!(dataset.task(at).unwrap(), task);
            for (name, _) in VECTORS {
                let recorded = sample_dataset::vector(name, episode, at.frame);
                assert_eq!(dataset.values(name, at).unwrap(), recorded, "{name} {at:?}");
            }
            for (picture, camera) in reader.read(at).unwrap().iter().zip(CAMERAS) {
                picture.decode(&mut found).unwrap();
                assert_eq!(
                    found,
                    sample_dataset::picture(camera, episode, at.frame),
                    "{camera} {at:?}"
                );
            }
        }
    }
    let report = verify(folder.path(), Depth::Rows).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    lerobot_reads(folder.path(), "png");
}

fn require_recorded(root: &Path) -> Dataset {
    let dataset = Dataset::open(root).unwrap();
    assert_eq!(dataset.info().fps, f64::from(sample_dataset::FPS));
    assert_eq!(dataset.tasks(), ["lift the can", "push the box"]);
    assert_eq!(
        dataset.episodes().iter().map(|e| e.length).collect::<Vec<_>>(),
        EPISODES.map(|(_, length)| length)
    );
    for (episode, (task, length)) in EPISODES.into_iter().enumerate() {
        for frame in 0..length {
            let at = At { episode, frame };
            assert_eq!(dataset.task(at).unwrap(), task);
            for (name, _) in VECTORS {
                assert_eq!(
                    dataset.values(name, at).unwrap(),
                    sample_dataset::vector(name, episode, frame),
                    "{name} {at:?}"
                );
            }
            let chunk = dataset.chunk("action", at, 4).unwrap();
            let wanted = (frame..frame + 4).flat_map(|f| sample_dataset::vector("action", episode, f.min(length - 1)));
            assert_eq!(chunk.values, wanted.collect::<Vec<_>>());
            assert_eq!(chunk.valid, 4.min(length - frame));
        }
    }
    let report = verify(root, Depth::Rows).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    dataset
}

#[test]
fn we_open_what_lerobot_recorded_with_png_columns() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dataset");
    if lerobot::run("write.py", &[root.as_os_str(), OsStr::new("png")]).is_none() {
        return;
    }
    let dataset = require_recorded(&root);
    sample_dataset::require_pictures(&dataset);
}

#[test]
fn we_read_the_numbers_of_what_lerobot_recorded_as_video() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dataset");
    if lerobot::run("write.py", &[root.as_os_str(), OsStr::new("h264")]).is_some() {
        require_recorded(&root);
    }
}

#[test]
fn we_read_a_dataset_in_the_layout_of_libero_and_lerobot_opens_what_we_make_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    if lerobot::run("write_v21.py", &[old.as_os_str()]).is_none() {
        return;
    }
    let dataset = require_recorded(&old);
    assert_eq!(dataset.info().features["action"].value_names()[6], "action6");
    let merged = Command::new(env!("CARGO_BIN_EXE_thinkvla"))
        .args([
            OsStr::new("dataset"),
            OsStr::new("merge"),
            old.as_os_str(),
            OsStr::new("--out"),
            new.as_os_str(),
        ])
        .output()
        .unwrap();
    assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stderr));
    require_recorded(&new);
    lerobot_reads(&new, "video");
}
