//! Tests of datasets with videos, ours and LeRobot's, each read by both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::ffi::OsStr;
use std::path::Path;

use sample_dataset::{CAMERAS, EPISODES, VECTORS, difference, lerobot};
use thinkvla::dataset::decoded_images::DecodedImageReader;
use thinkvla::dataset::encode::encode;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::reader::video_path;
use thinkvla::dataset::reader::{At, Dataset};
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::verify::{Depth, verify};

/// Asserts that every image, read forwards and backwards, is that of its row.
fn assert_pictures(root: &Path) {
    let dataset = Dataset::open(root).unwrap();
    let mut reader = DecodedImageReader::new(&dataset, &CAMERAS).unwrap();
    let mut images = Vec::new();
    let all = EPISODES.into_iter().enumerate();
    let rows: Vec<At> = all
        .flat_map(|(episode, (_, length))| (0..length).map(move |frame| At { episode, frame }))
        .collect();
    for at in rows.iter().chain(rows.iter().rev()) {
        reader.read(*at, &mut images).unwrap();
        for (image, camera) in images.iter().zip(CAMERAS) {
            // The next image differs by 2 of 255 in blue, less than one on average.
            let own = difference(image, &sample_dataset::picture(camera, at.episode, at.frame));
            assert!(own < 4.0, "{camera} of {at:?}: {own}");
            let (below, above) = (at.frame.saturating_sub(3), at.frame + 3);
            for other in [below, above].into_iter().filter(|other| other.abs_diff(at.frame) == 3) {
                let difference = difference(image, &sample_dataset::picture(camera, at.episode, other));
                assert!(
                    own < difference,
                    "{camera} of {at:?} is more like frame {other}: {own}, {difference}"
                );
            }
        }
    }
}

#[test]
fn an_encoded_recording_has_the_same_numbers_and_nearly_the_same_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("rows"), folder.path().join("videos"));
    sample_dataset::record(&source, ImageMode::Png);
    encode(&Disk, &Dataset::open(&source).unwrap(), &out, 22).unwrap();
    assert_pictures(&out);
    let (before, after) = (Dataset::open(&source).unwrap(), Dataset::open(&out).unwrap());
    assert_eq!(before.tasks(), after.tasks());
    for (name, _) in VECTORS {
        assert_eq!(before.vector(name).unwrap(), after.vector(name).unwrap(), "{name}");
    }
    assert!(
        encode(&Disk, &after, &folder.path().join("again"), 22).is_err(),
        "encoded twice"
    );
    assert!(
        encode(&Disk, &before, &out, 22).is_err(),
        "into a folder that is not empty"
    );
    let counted = after.statistics().unwrap();
    for (name, of_pictures) in before
        .statistics()
        .unwrap()
        .iter()
        .filter(|(name, _)| CAMERAS.contains(&name.as_str()))
    {
        let means = of_pictures.mean.iter().zip(&counted[name].mean);
        assert!(
            means.into_iter().all(|(a, b)| (a - b).abs() < 0.02),
            "{name}: {of_pictures:?}, {:?}",
            counted[name]
        );
    }
    if let Some(output) = lerobot::run("read.py", &[out.as_os_str(), OsStr::new("video")]) {
        assert!(output.contains("as recorded"), "{output}");
    }
}

#[test]
fn a_video_that_was_cut_off_is_found_when_videos_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let (source, root) = (folder.path().join("rows"), folder.path().join("videos"));
    sample_dataset::record(&source, ImageMode::Png);
    encode(&Disk, &Dataset::open(&source).unwrap(), &root, 22).unwrap();
    assert!(verify(&root, Depth::Videos).unwrap().problems.is_empty());

    let dataset = Dataset::open(&root).unwrap();
    let video = video_path(&root, dataset.info(), &dataset.episodes()[1], CAMERAS[1]).unwrap();
    let file = std::fs::File::options().write(true).open(&video).unwrap();
    file.set_len(file.metadata().unwrap().len() * 2 / 3).unwrap();
    let report = verify(&root, Depth::Videos).unwrap();
    assert_eq!(report.sound.len(), 1, "the episodes before it are sound");
    let [problem] = &report.problems[..] else {
        panic!("{:?}", report.problems)
    };
    assert!(problem.to_string().contains(&*video.to_string_lossy()), "{problem}");
}

#[test]
fn we_see_the_pictures_of_what_lerobot_recorded_as_h264_and_as_av1() {
    for mode in ["h264", "av1"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("dataset");
        if lerobot::run("write.py", &[root.as_os_str(), OsStr::new(mode)]).is_some() {
            assert_pictures(&root);
        }
    }
}
