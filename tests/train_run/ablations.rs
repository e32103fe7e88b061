//! Tests of the files in `config/train/ablations`: each trains exactly the parts that it is about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tch::Tensor;
use thinkvla::training::config::TrainingConfig;

use super::geometry::{ALIGNED, write_tiny_vggt};
use super::tiny_run::questions::SECTION;
use super::tiny_run::{RunFixture, bytes, metrics};

/// Expected parts of an ablation besides backbone and action head, and its losses.
struct Expected {
    name: &'static str,
    /// Prefixes of the parameters added to Qwen3-VL.
    added: &'static [&'static str],
    /// Whether there is distillation from a teacher.
    distilled: bool,
    /// Whether questions are trained; only the text head reads the final norm.
    cotrained: bool,
}

const GEOMETRY: [&str; 2] = ["geo_adapter.", "geo_proj."];

fn expected() -> Vec<Expected> {
    const WHOLE: &[&str] = &[GEOMETRY[0], GEOMETRY[1], "reason_adapter.", "reason_proj."];
    let of = |name, added, distilled| Expected {
        name,
        added,
        distilled,
        cotrained: name != "r1_oft_baseline",
    };
    vec![
        of("r1_oft_baseline", &[], false),
        of("r2_cotrain_2d", &[], false),
        of("r3_cotrain_3d", &[], false),
        of("r4_geometry", &GEOMETRY, false),
        of("r5_no_anchor", WHOLE, true),
        of(
            "r6_no_reasoning_adapter",
            &[GEOMETRY[0], GEOMETRY[1], "reason_proj."],
            false,
        ),
        of("r7_full", WHOLE, true),
        of("fusion_add", WHOLE, true),
        of(
            "fusion_gate",
            &[
                GEOMETRY[0],
                GEOMETRY[1],
                "reason_adapter.",
                "reason_proj.",
                "reason_gate.",
            ],
            true,
        ),
        of(
            "fusion_cross_attention",
            &[GEOMETRY[0], GEOMETRY[1], "reason_adapter.", "reason_attn."],
            true,
        ),
        of("distill_anchor", WHOLE, true),
        of("distill_privileged", &GEOMETRY, true),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/train/ablations")
}

/// The configuration in the ablation's file, with the tiny checkpoint and recording.
fn config(fixture: &RunFixture, name: &str) -> TrainingConfig {
    let shipped = TrainingConfig::load(&folder().join(name).with_extension("yaml")).unwrap();
    let tiny = fixture.load();
    TrainingConfig {
        out: fixture.path(name),
        network: shipped.network,
        method: shipped.method,
        ..tiny
    }
}

#[test]
fn each_file_trains_what_it_is_about() {
    let fixture = RunFixture::new(&format!("{ALIGNED}{SECTION}"));
    write_tiny_vggt(&fixture.path("vggt.safetensors"));
    for of in expected() {
        let outcome = fixture
            .open(config(&fixture, of.name), false)
            .unwrap()
            .train(Some(3))
            .unwrap();
        check_graph(&outcome.checkpoint, &of);
        for scalars in metrics(&fixture.path(of.name)) {
            let found = ["geometry", "reasoning", "text"].map(|loss| scalars.get(loss).is_some());
            let expected = [of.added.contains(&GEOMETRY[0]), of.distilled, of.cotrained];
            assert_eq!(found, expected, "{}", of.name);
        }
    }
}

/// Checks which parameters are trained: the mean square of a gradient is 0 if there never was one.
fn check_graph(checkpoint: &Path, of: &Expected) {
    let state = Tensor::read_safetensors(checkpoint.join("training.safetensors")).unwrap();
    let mut lacking: BTreeSet<&str> = of.added.iter().copied().collect();
    let squares = state
        .iter()
        .filter_map(|(key, square)| Some((key.strip_suffix(".exp_avg_sq")?, square)));
    for (key, square) in squares {
        let learns = square.max().double_value(&[]) > 0.0;
        let own = of.added.iter().find(|prefix| key.starts_with(**prefix));
        assert!(
            own.is_some() || key.starts_with("model.") || key.starts_with("action_model."),
            "{} has {key}",
            of.name
        );
        if let Some(own) = own {
            lacking.remove(own);
        }
        assert_eq!(
            learns,
            of.cotrained || key != "model.language_model.norm.weight",
            "{}: {key}",
            of.name
        );
    }
    assert!(lacking.is_empty(), "{} lacks {lacking:?}", of.name);
}

#[test]
fn every_file_is_tried() {
    let entries = std::fs::read_dir(folder()).unwrap();
    let shipped: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let tried: BTreeSet<String> = expected().iter().map(|of| of.name.to_owned()).collect();
    assert_eq!(shipped, tried);
}

#[test]
fn words_about_a_task_are_resumed_to_the_bit() {
    let fixture = RunFixture::new(&format!("{ALIGNED}{SECTION}"));
    write_tiny_vggt(&fixture.path("vggt.safetensors"));
    let config = |out: &str| {
        let mut config = config(&fixture, "distill_privileged");
        config.out = fixture.path(out);
        (config.method.privileged_every, config.method.privileged_tokens) = (4, 6);
        config
    };
    let whole = fixture.open(config("whole"), false).unwrap().train(Some(8)).unwrap();
    fixture.open(config("parts"), false).unwrap().train(Some(6)).unwrap();
    let parts = fixture.open(config("parts"), true).unwrap().train(Some(8)).unwrap();
    assert!(bytes(&whole.checkpoint) == bytes(&parts.checkpoint));
}
