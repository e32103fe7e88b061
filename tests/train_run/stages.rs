//! Tests of stages of a run: each continues from the one before it, and an interruption does not change the result.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use thinkvla::model::trainable::Selection;
use thinkvla::training::config::TrainingConfig;
use thinkvla::training::config::settings::{Clip, Distill};
use thinkvla::training::run::stages;

use super::tiny_run::{RunFixture, bytes, metrics};

const STAGES: &str = "
stages:
  - stage: head
    steps: 6
    selection: {train: added}
  - stage: all
    steps: 5
    data: {augment: {contrast: 0.1, colour: 0.1}}
";

/// Settings common to the stages.
fn common(fixture: &RunFixture) -> TrainingConfig {
    let mut config = fixture.load();
    (config.optimiser.ema, config.optimiser.clip) = (Some(0.9), Clip::PerGroup);
    config
}

fn tensors(path: &Path) -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(path.join("model.safetensors")).unwrap()
}

fn differ(one: &Path, other: &Path, starts: &str) -> bool {
    let other = tensors(other);
    tensors(one).iter().any(|(key, value)| {
        let same = |(name, found): &(String, Tensor)| name == key && found.equal(value);
        key.starts_with(starts) && !other.iter().any(same)
    })
}

#[test]
fn each_stage_trains_what_it_selects_of_what_the_one_before_left() {
    let fixture = RunFixture::new(STAGES);
    let outcome = stages::train(common(&fixture), &fixture.config, false, None, &|| false).unwrap();
    let last: PathBuf = outcome.checkpoint;
    assert_eq!(last, fixture.path("out/all/step-00000005"));
    let (start, head) = (fixture.path("start"), fixture.path("out/head/step-00000006"));
    assert!(!differ(&start, &head, "model.") && differ(&start, &head, "action_model."));
    assert!(differ(&head, &last, "model.") && differ(&head, &last, "action_model."));
    assert_eq!(metrics(&fixture.path("out/head")).len(), 6);
}

#[test]
fn a_stage_that_is_cut_off_goes_on_to_the_bit() {
    let fixture = RunFixture::new(STAGES);
    let stage = |out: &str| {
        let config = common(&fixture).stages(&fixture.config).unwrap().remove(1);
        TrainingConfig {
            out: fixture.path(out),
            ..config
        }
    };
    let whole = fixture.open(stage("whole"), false).unwrap().train(None).unwrap();
    fixture.open(stage("parts"), false).unwrap().train(Some(2)).unwrap();
    let resumed = fixture.open(stage("parts"), true).unwrap().train(None).unwrap();
    assert!(bytes(&whole.checkpoint) == bytes(&resumed.checkpoint));
}

#[test]
fn a_checkpoint_holds_the_mean_of_the_weights_and_resumes_from_the_weights_themselves() {
    let fixture = RunFixture::new("");
    let averaged = fixture.open(common(&fixture), false).unwrap().train(Some(4)).unwrap();
    let mut config = common(&fixture);
    (config.out, config.optimiser.ema) = (fixture.path("raw"), None);
    let raw = fixture.open(config, false).unwrap().train(Some(4)).unwrap();
    assert!(differ(&averaged.checkpoint, &raw.checkpoint, "action_model."));
    // Optimiser steps act on the weights, not on their mean, so both runs have the same.
    let value = |folder: &Path| {
        let all = Tensor::read_safetensors(folder.join("training.safetensors")).unwrap();
        let found = all
            .into_iter()
            .find(|(key, _)| key == "action_model.model.fc2.weight.value");
        found.unwrap().1
    };
    assert!(value(&averaged.checkpoint).equal(&value(&raw.checkpoint)));
    // The mean over few steps lies between the start and the end.
    let weight = |folder: &Path| {
        let all = tensors(folder).into_iter();
        let found = all
            .into_iter()
            .find(|(key, _)| key == "action_model.model.fc2.weight")
            .unwrap();
        found.1.to_kind(Kind::Double)
    };
    let way = |a: &Tensor, b: &Tensor| (a - b).norm().double_value(&[]);
    let (start, mean, end) = (
        weight(&fixture.path("start")),
        weight(&averaged.checkpoint),
        weight(&raw.checkpoint),
    );
    assert!(way(&start, &mean) < way(&start, &end) && way(&mean, &end) < way(&start, &end));
}

#[test]
fn vision_that_is_kept_teaches_what_vision_that_is_seen_each_time_does() {
    const FROZEN: &str = "selection: {train: all_but, modules: [model.visual.patch_embed, model.visual.pos_embed, \
                          model.visual.blocks]}\nvalidation: {share: 0.4, every_steps: 3, batches: 1}\n";
    let fixture = RunFixture::new(FROZEN);
    let losses = |keep: bool| {
        let mut config = fixture.load();
        config.data.keep_vision = keep;
        config.method.distill = Distill::None;
        config.out = fixture.path(if keep { "kept" } else { "seen" });
        fixture
            .open(config.clone(), false)?
            .train(Some(6))
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(metrics(&config.out))
    };
    let (kept, seen) = (losses(true).unwrap(), losses(false).unwrap());
    for (kept, seen) in kept.iter().zip(&seen) {
        for name in ["action", "held_out", "held_out_shuffled"] {
            let Some(seen) = seen[name].as_f64() else { continue };
            let kept = kept[name].as_f64().unwrap();
            // The block outputs are stored in 16 bits.
            assert!((kept - seen).abs() < 0.02 * seen, "{name}: {kept} and {seen}");
        }
    }
    let mut unseen = fixture.load();
    unseen.data.keep_vision = true;
    (unseen.method.geometry_weight, unseen.method.distill) = (0.0, Distill::Privileged);
    let refused = fixture.open(unseen, false).err().unwrap();
    assert!(
        refused.contains("method.distill: expected none or anchor with data.keep_vision"),
        "{refused}"
    );
    let mut moving = fixture.load();
    moving.data.keep_vision = true;
    moving.selection = Selection::Everything;
    let refused = fixture.open(moving, false).err().unwrap();
    assert!(
        refused.contains("data.keep_vision: expected a selection") && refused.contains("model.visual.patch_embed"),
        "{refused}"
    );
}
