//! Tests of geometry targets from the simulator: the adapter learns them, and a missing one is an error.

use std::path::Path;

use serde_json::Value;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::frames::{FrameOrder, Mix, create_dataset, write};
use thinkvla::training::geometry::rendered;

use super::tiny_run::{RunFixture, metrics};

const POINTS: &str = "geometry: {points: true, cache: HERE/cache}\n";

/// Generates frames, each an episode of one row, with their targets in `cache` if one is given.
fn scenes(fixture: &RunFixture, name: &str, cache: Option<&Path>) {
    let row_callback = cache.map(|cache| rendered::writer(cache).unwrap());
    let order = FrameOrder {
        sim: SimConfig::shipped().unwrap(),
        count: 8,
        seed: 3,
        steps: 8,
        mix: Mix::default(),
        images: ImageMode::Jpeg(90),
        jobs: 2,
        row_callback,
    };
    let mut writer = create_dataset(&fixture.path(name), order.images, order.steps).unwrap();
    write(&order, &mut writer, |_, _| ()).unwrap();
}

fn learned(fixture: &RunFixture, name: &str, steps: u64) -> Result<Vec<Value>, String> {
    let mut config = fixture.load();
    config.method.geometry_weight = 0.5;
    config.data.datasets[0].path = fixture.path(name);
    fixture
        .open(config.clone(), false)?
        .train(Some(steps))
        .map_err(|e| e.to_string())?;
    Ok(metrics(&config.out))
}

#[test]
fn frames_teach_their_chunks_and_the_points() {
    let fixture = RunFixture::new(POINTS);
    scenes(&fixture, "scenes", Some(&fixture.path("cache")));
    let metrics = learned(&fixture, "scenes", 60).unwrap();
    let mean =
        |name: &str, part: &[Value]| part.iter().map(|s| s[name].as_f64().unwrap()).sum::<f64>() / part.len() as f64;
    for name in ["geometry", "action"] {
        let [first, last] = [mean(name, &metrics[..10]), mean(name, &metrics[50..])];
        assert!(first > 0.0 && last < 0.9 * first, "{name}: {first} to {last}");
    }
}

#[test]
fn a_row_without_its_points_is_named_with_what_writes_them() {
    let fixture = RunFixture::new(POINTS);
    scenes(&fixture, "bare", None);
    let refused = learned(&fixture, "bare", 1).unwrap_err();
    for message in [
        "bare: episode ",
        "frame 0",
        "what the rays of these 2 views meet",
        "--geometry",
    ] {
        assert!(refused.contains(message), "{refused}");
    }
}
