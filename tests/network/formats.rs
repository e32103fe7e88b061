//! Tests of checkpoints in the layouts of other projects: they load unchanged, and defects are named.

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

const HERE: Placement = Placement {
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
        let loaded = BackboneCheckpoint::load(path, HERE).unwrap();
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
fn both_spellings_of_the_image_bounds_are_read_and_the_older_one_counts() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let file = directory.path().join("preprocessor_config.json");
    let bounds = || read(directory.path()).unwrap().bounds;
    let newer = bounds();
    change(&file, |json| {
        json["size"] = Value::Null;
        json["min_pixels"] = json!(newer.min_pixels);
        json["max_pixels"] = json!(newer.max_pixels);
    });
    assert_eq!(bounds(), newer);
    change(&file, |json| {
        json["size"] = json!({"shortest_edge": 1, "longest_edge": 2})
    });
    assert_eq!(bounds(), newer);
    change(&file, |json| {
        json["size"] = Value::Null;
        json["min_pixels"] = Value::Null;
    });
    refused(directory.path(), "found neither");
}

#[test]
fn another_image_rule_is_refused_by_its_field() {
    for (field, value, expected) in [
        ("patch_size", json!(14), "patch_size: expected vision_config.patch_size"),
        ("image_mean", json!([0.48, 0.46, 0.41]), "image_mean: expected 0.5"),
        ("resample", json!(2), "resample: expected 3 (bicubic), found 2"),
        ("do_normalize", json!(false), "do_normalize: expected true, found false"),
        (
            "image_processor_type",
            json!("CLIPImageProcessor"),
            "found CLIPImageProcessor",
        ),
    ] {
        let directory = copy(&sets().join("deep/checkpoint"));
        change(&directory.path().join("preprocessor_config.json"), |json| {
            json[field] = value.clone()
        });
        refused(directory.path(), expected);
    }
}

#[test]
fn the_chat_template_is_found_in_every_place_and_must_be_the_known_one() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let at = |name: &str| directory.path().join(name);
    let template = std::fs::read_to_string(at("chat_template.jinja")).unwrap();
    std::fs::remove_file(at("chat_template.jinja")).unwrap();
    refused(directory.path(), "chat_template.jinja");
    let json = json!({"chat_template": template}).to_string();
    std::fs::write(at("chat_template.json"), &json).unwrap();
    assert!(read(directory.path()).is_ok());
    std::fs::remove_file(at("chat_template.json")).unwrap();
    change(&at("tokenizer_config.json"), |config| {
        config["chat_template"] = template.clone().into()
    });
    assert!(read(directory.path()).is_ok());
    std::fs::write(at("chat_template.jinja"), template.replace("assistant", "robot")).unwrap();
    refused(directory.path(), "expected the chat template of Qwen3-VL");
}

#[test]
fn shards_must_be_what_the_index_says() {
    let of = sets().join("every_layer/checkpoint");
    let index = "model.safetensors.index.json";
    let key = "model.language_model.norm.weight";
    let break_index = |with: &dyn Fn(&mut Value)| {
        let directory = copy(&of);
        change(&directory.path().join(index), with);
        read(directory.path()).unwrap_err()
    };
    let missing = break_index(&|json| json["weight_map"][key] = "model-00009-of-00004.safetensors".into());
    assert!(missing.contains("model-00009-of-00004.safetensors"), "{missing}");
    let wrong = break_index(&|json| json["weight_map"]["model.no.such.weight"] = json["weight_map"][key].clone());
    assert!(
        wrong.contains("holds model.no.such.weight, which it does not"),
        "{wrong}"
    );
    for name in ["../model.safetensors", "/model.safetensors", "..", "/", ""] {
        let outside = break_index(&|json| json["weight_map"][key] = name.into());
        assert!(outside.contains("files beside it"), "{outside}");
    }
}

#[test]
fn pickles_are_refused_with_the_way_to_convert_them() {
    let directory = copy(&sets().join("starvla"));
    let run = directory.path().join("run");
    let weights = run.join("checkpoints/steps_1000_model.safetensors");
    let pickle = run.join("checkpoints/steps_1000_pytorch_model.pt");
    std::fs::rename(weights, &pickle).unwrap();
    for path in [run, pickle] {
        let error = read(&path).unwrap_err();
        assert!(error.contains("never read") && error.contains("save_file"), "{error}");
        assert!(error.contains("steps_1000_pytorch_model.pt ") && error.contains("steps_1000_model.safetensors"));
    }
    let directory = copy(&sets().join("deep/checkpoint"));
    std::fs::rename(
        directory.path().join("model.safetensors"),
        directory.path().join("pytorch_model.bin"),
    )
    .unwrap();
    refused(directory.path(), "pytorch_model.bin");
}

#[test]
fn an_adapter_without_its_base_is_refused_with_the_way_to_merge_it() {
    let ours = checkpoint(1);
    let at = |name: &str| ours.path().join(name);
    std::fs::write(at("adapter_config.json"), "{\"peft_type\": \"LORA\"}").unwrap();
    // Beside whole weights it harms nothing.
    read(ours.path()).unwrap();
    std::fs::rename(at("model.safetensors"), at("adapter_model.safetensors")).unwrap();
    refused(ours.path(), "merge_and_unload()");
    // PEFT writes no config.json.
    std::fs::remove_file(at("config.json")).unwrap();
    refused(ours.path(), "an adapter of PEFT");
}

#[test]
fn byte_order_marks_are_skipped_and_what_is_not_a_number_is_named() {
    let ours = checkpoint(1);
    let at = |name: &str| ours.path().join(name);
    for name in ["tokenizer.json", "config.json"] {
        let text = std::fs::read(at(name)).unwrap();
        std::fs::write(at(name), [b"\xef\xbb\xbf", &text[..]].concat()).unwrap();
    }
    read(ours.path()).unwrap();
    let config = std::fs::read_to_string(at("config.json")).unwrap();
    let config = config
        .trim_start_matches('\u{feff}')
        .trim_start()
        .replacen('{', "{\"added\": NaN, ", 1);
    std::fs::write(at("config.json"), config).unwrap();
    refused(
        ours.path(),
        "config.json: expected finite numbers, found NaN in line 1; write the number",
    );
}

#[test]
fn the_answer_of_a_server_is_not_taken_for_weights() {
    let ours = checkpoint(1);
    std::fs::write(ours.path().join("model.safetensors"), "Entry not found").unwrap();
    refused(ours.path(), "the text of a server that refused the download");
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

#[test]
fn other_rotary_positions_of_the_vision_tower_are_refused() {
    let directory = copy(&sets().join("deep/checkpoint"));
    for (parameters, expected) in [
        (json!({"rope_theta": 5000.0}), "rope_theta: expected 10000, found 5000"),
        (json!({"rope_type": "yarn"}), "rope_type: expected axial, found yarn"),
    ] {
        change(&directory.path().join("config.json"), |json| {
            json["vision_config"]["rope_parameters"] = parameters.clone()
        });
        refused(directory.path(), expected);
    }
}

#[test]
fn the_image_processor_is_known_by_each_of_its_names() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let file = directory.path().join("preprocessor_config.json");
    for name in [
        "Qwen2VLImageProcessor",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessorPil",
    ] {
        change(&file, |json| json["image_processor_type"] = name.into());
        assert!(read(directory.path()).is_ok(), "{name}");
    }
    change(&file, |json| {
        json["image_processor_type"] = "Qwen2VLImageProcessorOther".into()
    });
    refused(directory.path(), "found Qwen2VLImageProcessorOther");
}

#[test]
fn two_files_of_the_image_processor_must_say_the_same() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let older = directory.path().join("preprocessor_config.json");
    let kept = std::fs::read(&older).unwrap();
    as_version_5(directory.path());
    let newer = directory.path().join("processor_config.json");
    let bounds = read(directory.path()).unwrap().bounds;
    std::fs::write(&older, kept).unwrap();
    assert_eq!(read(directory.path()).unwrap().bounds, bounds);
    change(&newer, |json| {
        json["image_processor"]["size"]["shortest_edge"] = json!(4096)
    });
    refused(directory.path(), "as preprocessor_config.json says, found 4096 to");
    // The processor's file alone contains nothing about images.
    change(&newer, |json| {
        drop(json.as_object_mut().unwrap().remove("image_processor"))
    });
    assert_eq!(read(directory.path()).unwrap().bounds, bounds);
    std::fs::remove_file(&older).unwrap();
    refused(
        directory.path(),
        "no processor_config.json with an image_processor either",
    );
    change(&newer, |json| json["image_processor"] = json!({"patch_size": "8"}));
    refused(directory.path(), "image_processor: invalid type");
}

/// A change to `text_config` or to its rotary positions.
type Change = fn(&mut Value);

/// Writes the rotary positions by kind of layer, and changes those of one kind.
fn by_kind(text: &mut Value, change_one: Change) {
    let rope = text["rope_parameters"].take();
    text["rope_parameters"] = json!({"full_attention": rope, "sliding_attention": rope});
    change_one(&mut text["rope_parameters"]["sliding_attention"]);
}

/// Writes the rotary positions in the older spelling, too.
fn beside(text: &mut Value) {
    let mut rope = text["rope_parameters"].clone();
    text["rope_theta"] = rope.as_object_mut().unwrap().remove("rope_theta").unwrap();
    text["rope_scaling"] = rope;
}

#[test]
fn rotary_positions_of_layers_must_agree_and_are_named_where_they_do_not() {
    let of = sets().join("deep/checkpoint");
    let with = |change_text: Change| {
        let directory = copy(&of);
        as_version_5(directory.path());
        change(&directory.path().join("config.json"), |json| {
            change_text(&mut json["text_config"])
        });
        read(directory.path())
    };
    let same = read(&of).unwrap().qwen3_vl;
    assert_eq!(with(|text| by_kind(text, |_| ())).unwrap().qwen3_vl, same);
    assert_eq!(with(beside).unwrap().qwen3_vl, same);
    let cases: [(Change, &str); 8] = [
        (
            |text| by_kind(text, |one| one["rope_theta"] = json!(1e4)),
            "text_config.rope_parameters.sliding_attention: expected what is said of full_attention",
        ),
        (
            |text| by_kind(text, |one| one["mrope_section"] = json!([2, 4, 2])),
            "sections [4, 2, 2], found rope_theta 5000000, default, interleaved true, sections [2, 4, 2]",
        ),
        (
            |text| {
                beside(text);
                text["rope_parameters"]["mrope_section"] = json!([2, 4, 2]);
            },
            "text_config.rope_parameters: expected what rope_theta and rope_scaling say beside it",
        ),
        (
            |text| {
                beside(text);
                text["rope_theta"] = json!(1e4);
            },
            "text_config.rope_parameters.rope_theta: expected text_config.rope_theta, 10000, found 5000000",
        ),
        (
            |text| drop(text["rope_parameters"].as_object_mut().unwrap().remove("rope_theta")),
            "text_config.rope_parameters.rope_theta: expected a number",
        ),
        (
            |text| text["rope_parameters"]["partial_rotary_factor"] = json!(0.5),
            "text_config.rope_parameters.partial_rotary_factor: expected 1, found 0.5",
        ),
        (
            |text| text["rope_parameters"]["rope_type"] = json!("yarn"),
            "rope_type: expected default, found yarn",
        ),
        (
            |text| drop(text.as_object_mut().unwrap().remove("rope_parameters")),
            "or text_config.rope_parameters, found neither",
        ),
    ];
    for (change_text, expected) in cases {
        let error = with(change_text).unwrap_err();
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    }
}

#[test]
fn a_template_may_be_one_of_several() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let at = |name: &str| directory.path().join(name);
    let template = std::fs::read_to_string(at("chat_template.jinja")).unwrap();
    std::fs::remove_file(at("chat_template.jinja")).unwrap();
    change(&at("tokenizer_config.json"), |json| {
        json["chat_template"] = json!([{"name": "tools", "template": "x"}, {"name": "default", "template": template}]);
    });
    assert!(read(directory.path()).is_ok());
}

#[test]
fn empty_and_truncated_files_are_called_so() {
    for name in ["config.json", "tokenizer.json", "preprocessor_config.json"] {
        let directory = copy(&sets().join("deep/checkpoint"));
        let file = directory.path().join(name);
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
        refused(directory.path(), "the file is truncated");
        for empty in ["", " \n"] {
            std::fs::write(&file, empty).unwrap();
            refused(directory.path(), "found an empty file; fetch it again");
        }
    }
    let directory = copy(&sets().join("deep/checkpoint"));
    std::fs::write(directory.path().join("model.safetensors"), "").unwrap();
    refused(directory.path(), "expected safetensors, found an empty file");
}

#[test]
fn known_files_in_place_of_ours_are_called_by_their_names() {
    for (bytes, expected) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"[..],
            "`git lfs pull`",
        ),
        (b"PK\x03\x04\0\0\0\0", "zip archive"),
        (b"<!DOCTYPE html><html></html>", "HTML page"),
        (b"\x80\x02}q\0.", "pickle"),
        (b"GGUF\x03\0\0\0", "gguf"),
    ] {
        for name in ["model.safetensors", "tokenizer.json", "config.json"] {
            let directory = copy(&sets().join("deep/checkpoint"));
            std::fs::write(directory.path().join(name), bytes).unwrap();
            refused(directory.path(), expected);
        }
    }
}
