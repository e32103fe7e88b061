//! Tests of shuffled reading: every row comes once, in an order that follows from the seed, with the requested crop of the
//! images.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::ops::ControlFlow;

use sample_dataset::{CAMERAS, EPISODES};
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::shuffled::{ShuffleRule, ShuffledSample, shuffled};
use thinkvla::dataset::{At, Dataset};

fn samples(dataset: &Dataset, rule: &ShuffleRule) -> Vec<ShuffledSample> {
    let mut all = Vec::new();
    shuffled(dataset, rule, |sample| {
        all.push(sample);
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

#[test]
fn every_row_comes_once_with_its_own_actions_and_part_of_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    sample_dataset::record(folder.path(), ImageMode::Png);
    let dataset = Dataset::open(folder.path()).unwrap();
    let rule = ShuffleRule {
        pictures: CAMERAS.map(str::to_owned).to_vec(),
        crop: (32, 40),
        action: "action.joint".into(),
        horizon: 4,
        seed: 7,
        threads: 2,
    };
    let found = samples(&dataset, &rule);
    let mut rows: Vec<(usize, usize)> = found.iter().map(|s| (s.at.episode, s.at.frame)).collect();
    let expected: Vec<_> = (0..3).flat_map(|e| (0..EPISODES[e].1).map(move |f| (e, f))).collect();
    assert_ne!(rows, expected, "shuffled");
    rows.sort_unstable();
    assert_eq!(rows, expected);
    let mut corners = Vec::new();
    for sample in &found {
        let At { episode, frame } = sample.at;
        assert_eq!(sample.task, EPISODES[episode].0);
        assert_eq!(
            sample.actions.values[..8],
            sample_dataset::vector("action.joint", episode, frame)
        );
        let [red, green, _] = sample.pictures[0].pixel(0, 0).unwrap();
        let (left, top) = (u32::from(red - 20) / 3, u32::from(green - 20) / 4);
        for (part, camera) in sample.pictures.iter().zip(CAMERAS) {
            assert_eq!((part.width(), part.height()), rule.crop);
            let whole = sample_dataset::picture(camera, episode, frame);
            for (x, y) in [(0, 0), (31, 0), (13, 22), (31, 39)] {
                assert_eq!(part.pixel(x, y), whole.pixel(left + x, top + y), "{camera} at {x}, {y}");
            }
        }
        corners.push((left, top));
    }
    corners.sort_unstable();
    corners.dedup();
    assert!(corners.len() > 10, "parts are from all over the picture: {corners:?}");
    // The number of threads and a second run change nothing; another seed does.
    assert_eq!(
        samples(
            &dataset,
            &ShuffleRule {
                threads: 1,
                ..rule.clone()
            }
        ),
        found
    );
    assert_ne!(samples(&dataset, &ShuffleRule { seed: 8, ..rule }), found);
}

#[test]
fn a_part_larger_than_the_pictures_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    sample_dataset::record(folder.path(), ImageMode::Png);
    let dataset = Dataset::open(folder.path()).unwrap();
    let rule = ShuffleRule {
        pictures: vec![CAMERAS[0].to_owned()],
        crop: (224, 224),
        action: "action".into(),
        horizon: 8,
        seed: 1,
        threads: 2,
    };
    let error = shuffled(&dataset, &rule, |_| ControlFlow::Continue(()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("224x224") && error.contains("64x48"), "{error}");
}
