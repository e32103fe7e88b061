//! Tests of rotary positions.

use serde_json::{Value, json};

use super::{as_version_5, change, copy, read, refused};
use crate::case::sets;

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
