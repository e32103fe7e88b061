//! Tests of configurations: an invalid one is refused by the name of the field.

use thinkvla::model::config::{Config, PromptStyle, TeacherTexts};

use crate::support::tiny;

/// A change that makes a configuration invalid.
type Change = fn(&mut Config);

fn refused(change: impl Fn(&mut Config)) -> String {
    let mut config = tiny();
    change(&mut config);
    config.validate().unwrap_err().to_string()
}

#[test]
fn every_impossible_field_is_named_with_what_was_found() {
    let cases: [(&str, Change); 25] = [
        ("model_type: expected qwen3_vl, found llama", |c| {
            c.model_type = "llama".into()
        }),
        (
            "text_config.num_attention_heads: expected a multiple of text_config.num_key_value_heads (3), found 4",
            |c| {
                c.text_config.num_key_value_heads = 3;
            },
        ),
        (
            "text_config.num_key_value_heads: expected a size of at least 1, found 0",
            |c| {
                c.text_config.num_key_value_heads = 0;
            },
        ),
        ("text_config.head_dim: expected a multiple of 2", |c| {
            c.text_config.head_dim = 15
        }),
        (
            "mrope_section: expected three shares that sum to head_dim / 2 = 8",
            |c| {
                c.text_config.rope_scaling.mrope_section = [4, 2, 3];
            },
        ),
        ("mrope_section", |c| {
            c.text_config.rope_scaling.mrope_section = [1, 2, 5]
        }),
        ("mrope_interleaved: expected true", |c| {
            c.text_config.rope_scaling.mrope_interleaved = false
        }),
        ("attention_bias: expected false", |c| {
            c.text_config.attention_bias = true
        }),
        ("text_config.hidden_act: expected silu, found gelu", |c| {
            c.text_config.hidden_act = "gelu".into()
        }),
        (
            "vision_config.hidden_size: expected a multiple of vision_config.num_heads (3)",
            |c| {
                c.vision_config.num_heads = 3;
            },
        ),
        ("vision_config.num_position_embeddings: expected a square", |c| {
            c.vision_config.num_position_embeddings = 35;
        }),
        ("deepstack_visual_indexes: expected 0 to 2", |c| {
            c.vision_config.deepstack_visual_indexes = vec![0, 3]
        }),
        ("deepstack_visual_indexes: expected blocks in rising order", |c| {
            c.vision_config.deepstack_visual_indexes = vec![1, 0];
        }),
        (
            "deepstack_visual_indexes: expected at most one for each of the 1 language layers",
            |c| {
                c.text_config.num_hidden_layers = 1;
            },
        ),
        ("out_hidden_size: expected text_config.hidden_size, 32, found 64", |c| {
            c.vision_config.out_hidden_size = 64
        }),
        ("thinkvla.geometry.tap_block: expected 0 to 2", |c| {
            c.thinkvla.geometry.as_mut().unwrap().tap_block = 3;
        }),
        ("thinkvla.action_token_id: expected 0 to 299", |c| {
            c.thinkvla.action_token_id = 300
        }),
        (
            "thinkvla.reasoning.anchors: expected an id other than image_token_id's",
            |c| {
                c.thinkvla.reasoning.as_mut().unwrap().anchors[0].id = c.image_token_id;
            },
        ),
        (
            "thinkvla.prompt: expected {instruction}, then {anchor}, then {queries}",
            |c| {
                c.thinkvla.prompt = "{anchor}{instruction}{queries}".into();
            },
        ),
        (
            "thinkvla.prompt: expected {instruction}, then {queries}, each once, and no {anchor}",
            |c| {
                c.thinkvla.reasoning = None;
            },
        ),
        (
            "thinkvla.reasoning: expected nothing with prompt_style starvla_oft",
            |c| {
                c.thinkvla.prompt_style = PromptStyle::StarvlaOft;
            },
        ),
        (
            "thinkvla.prompt: expected StarVLA's CoT_prompt with {instruction} once",
            |c| {
                (c.thinkvla.prompt_style, c.thinkvla.reasoning) = (PromptStyle::StarvlaOft, None);
            },
        ),
        ("thinkvla.reasoning.anchors: expected at least one anchor", |c| {
            c.thinkvla.reasoning.as_mut().unwrap().anchors.clear();
        }),
        ("thinkvla.reasoning.teacher_prompt: expected a text, or several", |c| {
            c.thinkvla.reasoning.as_mut().unwrap().teacher_prompt = TeacherTexts::Several(vec![]);
        }),
        ("thinkvla.geometry.width: expected a size of at least 1", |c| {
            c.thinkvla.geometry.as_mut().unwrap().width = 0;
        }),
    ];
    for (expected, change) in cases {
        let error = refused(change);
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    }
}

#[test]
fn a_configuration_survives_a_round_trip() {
    let directory = tempfile::tempdir().unwrap();
    tiny().save(directory.path()).unwrap();
    assert_eq!(Config::load(directory.path()).unwrap(), tiny());
}

#[test]
fn a_misspelt_field_of_ours_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let text = serde_json::to_string_pretty(&tiny())
        .unwrap()
        .replace("\"pool\"", "\"pol\"");
    std::fs::write(directory.path().join("config.json"), text).unwrap();
    let error = Config::load(directory.path()).unwrap_err().to_string();
    assert!(error.contains("`pol`") && error.contains("line"), "{error}");
}
