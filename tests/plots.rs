//! Tests of plots of datasets and curves: they show the measured values.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use sample_dataset::{EPISODES, create};
use std::sync::Arc;
use thinkvla::camera::compressed::decode;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::encode::encode;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::storage::Disk;
use thinkvla::figures::{Figure, Histogram, Lines, Panel, PointMark, Series, colour, plot_dataset};

const BLUE: [u8; 3] = [0, 114, 178];

fn line(points: Vec<[f64; 2]>) -> Panel {
    Panel::Lines(Lines {
        title: "loss".into(),
        x: "step".into(),
        y: "loss".into(),
        series: vec![Series {
            name: None,
            points,
            colour: colour(0),
            opacity: 1.0,
            mark: PointMark::Line(3),
        }],
        ..Lines::default()
    })
}

/// Columns and rows of the pixels of this colour.
fn pixels(image: &RgbImage, wanted: [u8; 3]) -> Vec<(u32, u32)> {
    let all = (0..image.height()).flat_map(|y| (0..image.width()).map(move |x| (x, y)));
    all.filter(|(x, y)| image.pixel(*x, *y) == Some(wanted)).collect()
}

#[test]
fn a_rising_line_rises_and_gaps_stay_open() {
    let points = (0..=20).map(|i| {
        [
            f64::from(i),
            if (8..=12).contains(&i) { f64::NAN } else { f64::from(i) },
        ]
    });
    let image = Figure::new("training", 1, vec![line(points.collect())]).draw().unwrap();
    let found = pixels(&image, BLUE);
    let height = |x: u32| {
        found
            .iter()
            .filter(|(column, _)| *column == x)
            .map(|(_, row)| *row)
            .min()
    };
    let columns: Vec<u32> = found.iter().map(|(x, _)| *x).collect();
    let (first, last) = (*columns.iter().min().unwrap(), *columns.iter().max().unwrap());
    assert!(
        height(first + 5).unwrap() > height(last - 5).unwrap() + 150,
        "higher values are higher up"
    );
    assert_eq!(
        height((first + last) / 2),
        None,
        "nothing is drawn where nothing was measured"
    );
}

#[test]
fn bars_are_as_high_as_values_are_frequent() {
    let values = [0.0; 30].into_iter().chain([1.0; 10]).chain([f64::NAN]).collect();
    let histogram = Histogram {
        values,
        bins: 10,
        colour: Some(colour(1)),
        ..Histogram::default()
    };
    let image = Figure::new("steps", 1, vec![Panel::Histogram(histogram)])
        .draw()
        .unwrap();
    let orange = |pixel: [u8; 3]| pixel[0] > 200 && (100..150).contains(&pixel[1]) && pixel[2] < 60;
    let count = |columns: std::ops::Range<u32>| {
        let all = columns.flat_map(|x| (80..image.height()).map(move |y| (x, y)));
        all.filter(|(x, y)| image.pixel(*x, *y).is_some_and(orange)).count() as f64
    };
    let (left, right) = (count(0..image.width() / 2), count(image.width() / 2..image.width()));
    assert!((left / right - 3.0).abs() < 0.2, "30 to 10: {left}, {right}");
}

#[test]
fn figures_without_panels_or_values_do_not_crash() {
    assert!(Figure::new("nothing", 3, Vec::new()).draw().is_err());
    for points in [
        vec![],
        vec![[1.0, f64::INFINITY]],
        vec![[0.0, 5.0]],
        vec![[0.0, 1e300], [1.0, -1e300]],
    ] {
        Figure::new("odd", 3, vec![line(points)]).draw().unwrap();
    }
    Figure::new("odd", 3, vec![Panel::Histogram(Histogram::default())])
        .draw()
        .unwrap();
}

#[test]
fn a_dataset_is_plotted_whether_its_pictures_are_in_rows_or_in_videos() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, videos) = (folder.path().join("rows"), folder.path().join("videos"));
    sample_dataset::record(&rows, ImageMode::Png);
    encode(&Disk, &Dataset::open(&rows).unwrap(), &videos, 22).unwrap();
    for root in [rows, videos] {
        let out = root.join("plots");
        let paths = plot_dataset(&Dataset::open(&root).unwrap(), &out).unwrap();
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let expected = [
            "trajectories.png",
            "action.png",
            "action_joint.png",
            "timing.png",
            "contact_sheet_top.png",
            "contact_sheet_wrist.png",
        ];
        assert_eq!(names, expected);
        for path in paths {
            let mut image = RgbImage::default();
            decode("png", &std::fs::read(&path).unwrap(), &mut image).unwrap();
            let mut colours: Vec<_> = image.data().as_chunks::<3>().0.to_vec();
            colours.sort_unstable();
            colours.dedup();
            assert!(colours.len() > 20, "{} is empty", path.display());
        }
    }
    assert!(EPISODES.len() > 1);
}

#[test]
fn a_dataset_without_episodes_says_so() {
    let folder = tempfile::tempdir().unwrap();
    drop(create(Arc::new(Disk), folder.path(), ImageMode::Png));
    let dataset = Dataset::open(folder.path()).unwrap();
    let error = plot_dataset(&dataset, &folder.path().join("plots"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("at least one episode"), "{error}");
}
