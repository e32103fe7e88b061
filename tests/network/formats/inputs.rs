//! Tests of what a checkpoint says of its inputs: the image processor and the chat template.

use serde_json::{Value, json};

use super::{as_version_5, change, copy, read, refused};
use crate::case::sets;

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
