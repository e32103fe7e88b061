//! Tests of checkpoints in the layouts of other projects: they load unchanged, and defects are named.

mod files;
mod inputs;
mod rotary;

use std::path::Path;

use serde_json::{Value, json};
use tch::Device;
use thinkvla::contract::Normalisation;
use thinkvla::inspect::check::CheckpointCheck;
use thinkvla::model::checkpoint::weights::CheckpointPart;
use thinkvla::model::checkpoint::{BackboneCheckpoint, CheckpointOptions, Format, Manifest, Placement};
use thinkvla::model::config::{HiddenTap, PromptStyle};

use crate::case::sets;
use crate::support::checkpoint;

const ON_CPU: Placement = Placement {
    device: Device::Cpu,
    compute: None,
};

/// A copy of one of the reference's directories, to be changed.
pub fn copy(of: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy_into(of, directory.path());
    directory
}

fn copy_into(of: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_into(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

/// Changes a JSON file.
pub fn change(file: &Path, change: impl Fn(&mut Value)) {
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(file, json.to_string()).unwrap();
}

/// Rewrites a directory of transformers 4 as version 5 writes it.
pub fn as_version_5(directory: &Path) {
    let at = |name: &str| directory.join(name);
    change(&at("config.json"), |json| {
        let text = json["text_config"].as_object_mut().unwrap();
        let mut rope = text.remove("rope_scaling").unwrap();
        rope["rope_theta"] = text.remove("rope_theta").unwrap();
        text.insert("rope_parameters".into(), rope);
        json["vision_config"]["model_type"] = "qwen3_vl_vision".into();
        json["vision_config"]["rope_parameters"] = json!({"rope_theta": 10_000.0, "rope_type": "axial"});
        json["transformers_version"] = "5.24.0".into();
    });
    let part = |name: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(at(name)).unwrap()).unwrap() };
    let mut images = part("preprocessor_config.json");
    images["image_processor_type"] = "Qwen2VLImageProcessor".into();
    let absent = |(_, value): &(&String, &Value)| value.is_null();
    let nulls: Vec<String> = images
        .as_object()
        .unwrap()
        .iter()
        .filter(absent)
        .map(|(key, _)| key.clone())
        .collect();
    nulls
        .iter()
        .for_each(|key| drop(images.as_object_mut().unwrap().remove(key)));
    let processor = json!({
        "image_processor": images,
        "processor_class": "Qwen3VLProcessor",
        "video_processor": part("video_preprocessor_config.json"),
    });
    std::fs::write(at("processor_config.json"), processor.to_string()).unwrap();
    change(&at("tokenizer_config.json"), |json| {
        let fields = json.as_object_mut().unwrap();
        for older in [
            "added_tokens_decoder",
            "additional_special_tokens",
            "extra_special_tokens",
        ] {
            fields.remove(older);
        }
        fields.insert("backend".into(), "tokenizers".into());
        fields.insert("add_prefix_space".into(), Value::Null);
    });
    for older in [
        "preprocessor_config.json",
        "video_preprocessor_config.json",
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
    ] {
        std::fs::remove_file(at(older)).unwrap();
    }
}

pub fn read(path: &Path) -> Result<Manifest, String> {
    Manifest::read(path, &CheckpointOptions::default()).map_err(|e| e.to_string())
}

/// Asserts that two checkpoints have bit-identical tensors.
#[track_caller]
pub fn require_same_tensors(expected: &Manifest, found: &Manifest) {
    for key in expected.files.keys() {
        let (old, new) = (expected.files.get(key).unwrap(), found.files.get(key).unwrap());
        assert_eq!(
            (old.dtype, old.shape, old.data),
            (new.dtype, new.shape, new.data),
            "{key} of {}",
            found.files.path().display()
        );
    }
}

#[track_caller]
pub fn refused(path: &Path, expected: &str) {
    let error = read(path).unwrap_err();
    assert!(error.contains(expected), "expected {expected:?} in {error:?}");
}

#[test]
fn every_layout_is_recognised() {
    let ours = checkpoint(1);
    let run = sets().join("starvla/run");
    let weights = run.join("checkpoints/steps_1000_model.safetensors");
    for (path, format) in [
        (ours.path(), Format::Thinkvla),
        (&sets().join("deep/checkpoint"), Format::HuggingFace),
        (&run, Format::Starvla),
        (&weights, Format::Starvla),
    ] {
        let manifest = read(path).unwrap();
        assert_eq!(manifest.format, format);
        let coverage = manifest.coverage(CheckpointPart::Everything).unwrap();
        assert_eq!(coverage.problems, Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn the_backbone_of_every_layout_can_be_had_alone() {
    let ours = checkpoint(1);
    for path in [
        ours.path(),
        &sets().join("every_layer/checkpoint"),
        &sets().join("starvla/run"),
    ] {
        let loaded = BackboneCheckpoint::load(path, ON_CPU).unwrap();
        assert!(loaded.rule.min_pixels > 0 && loaded.home.join("tokenizer.json").exists());
    }
}

#[test]
fn a_run_says_how_it_was_trained() {
    let manifest = read(&sets().join("starvla/run")).unwrap();
    let ours = manifest.thinkvla.as_ref().unwrap();
    assert_eq!(
        (ours.prompt_style, ours.hidden_tap),
        (PromptStyle::StarvlaOft, HiddenTap::PreNorm)
    );
    assert_eq!(
        (ours.chunk_len, ours.action_dim, ours.head_hidden, ours.head_blocks),
        (8, 7, 64, 2)
    );
    assert!(ours.prompt.starts_with("Your task is {instruction}. To identify"));
    assert!(ours.geometry.is_none() && ours.reasoning.is_none());
    // LIBERO's gripper has a mask of true, and is still not normalised.
    let modes: Vec<_> = manifest.actions.iter().map(|of| of.normalisation).collect();
    assert_eq!(modes[..6], [Normalisation::MinMax; 6]);
    assert_eq!((modes[6], manifest.actions[2].max), (Normalisation::None, 0.6));
    let error = manifest.contract().unwrap_err().to_string();
    assert!(error.contains("--robot FILE"), "{error}");
}

#[test]
fn the_coverage_report_says_which_tensor_went_where() {
    let manifest = read(&sets().join("starvla/run")).unwrap();
    let report = manifest.coverage(CheckpointPart::Everything).unwrap().to_string();
    for expected in [
        "used      model.visual.pos_embed.weight",
        "of steps_1000_model.safetensors, there qwen_vl_interface.model.model.visual.pos_embed.weight",
        "not read  lm_head.weight",
        "1 not read, 0 problems",
    ] {
        assert!(report.contains(expected), "expected {expected:?} in {report}");
    }
    let backbone = manifest.coverage(CheckpointPart::Backbone).unwrap();
    assert!(backbone.unused.iter().any(|key| key.starts_with("action_model.")));
}

#[test]
fn a_run_without_its_base_model_asks_for_it() {
    let directory = copy(&sets().join("starvla"));
    let run = directory.path().join("run");
    std::fs::rename(directory.path().join("base"), directory.path().join("elsewhere")).unwrap();
    refused(&run, "name the base model's directory with --base");
    let options = CheckpointOptions {
        base: Some(directory.path().join("elsewhere")),
        ..CheckpointOptions::default()
    };
    assert!(Manifest::read(&run, &options).is_ok());
}

#[test]
fn the_robot_of_a_run_is_chosen_by_its_tag() {
    let directory = copy(&sets().join("starvla"));
    let run = directory.path().join("run");
    change(&run.join("dataset_statistics.json"), |json| {
        json["oxe_bridge"] = json["franka"].clone();
        json["mine"] = json["franka"].clone();
    });
    refused(
        &run,
        "expected one tag, found franka, mine, oxe_bridge; choose one with --tag",
    );
    let with = |tag: &str| {
        let options = CheckpointOptions {
            tag: Some(tag.into()),
            ..CheckpointOptions::default()
        };
        Manifest::read(&run, &options).map_err(|e| e.to_string())
    };
    let bridge = with("oxe_bridge").unwrap().actions;
    assert_eq!(
        (bridge[0].normalisation, bridge[6].normalisation),
        (Normalisation::Q99, Normalisation::Binary)
    );
    assert!(with("none").unwrap_err().contains("expected the tag none"));
    assert!(
        with("mine")
            .unwrap_err()
            .contains("how the 7 values of an action of mine were normalised")
    );
}

#[test]
fn a_run_of_another_framework_is_refused_by_its_field() {
    for (from, to, expected) in [
        (
            "name: QwenOFT",
            "name: QwenGR00T",
            "framework.name: expected QwenOFT, found QwenGR00T",
        ),
        (
            "action_model_type: MLP",
            "action_model_type: DiT-B",
            "expected MLP, found DiT-B",
        ),
    ] {
        let directory = copy(&sets().join("starvla"));
        let file = directory.path().join("run/config.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        std::fs::write(&file, text.replace(from, to)).unwrap();
        refused(&directory.path().join("run"), expected);
    }
}

#[test]
fn a_directory_of_version_5_is_the_same_checkpoint() {
    for set in ["deep", "every_layer"] {
        let older = sets().join(set).join("checkpoint");
        let newer = copy(&older);
        as_version_5(newer.path());
        let (old, new) = (read(&older).unwrap(), read(newer.path()).unwrap());
        assert_eq!(
            (&old.qwen3_vl, old.bounds, old.compute),
            (&new.qwen3_vl, new.bounds, new.compute)
        );
        let verdict = |path: &Path| {
            let check = CheckpointCheck {
                options: &CheckpointOptions::default(),
                dataset: None,
                constant: &[],
            };
            let mut report = check.run(path);
            // Measured again each time.
            report.facts.retain(|(name, _)| name != "latency");
            report
        };
        assert_eq!(verdict(newer.path()), verdict(&older));
        assert_eq!(verdict(&older).failures, Vec::<String>::new());
    }
}
