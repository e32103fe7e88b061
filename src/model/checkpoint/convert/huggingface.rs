//! Writes a Hugging Face directory without its weights, in spellings that transformers 4.57 and 5 both read.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::files::{copy, read_json, save_tokenizer, write_json, write_text};
use super::{Conversion, Target};
use crate::model::checkpoint::manifest::{Format, Manifest};
use crate::model::checkpoint::processor::{self, PREPROCESSOR};
use crate::model::checkpoint::{CHAT_TEMPLATE, TOKENIZER_CONFIG, template};
use crate::model::config::{FILE_NAME, Precision};
use crate::model::error::ModelError;
use crate::model::generate::conversation::GENERATION_CONFIG;

/// Files that are copied unchanged where they exist.
const COPIED_FILES: [&str; 4] = [
    GENERATION_CONFIG,
    CHAT_TEMPLATE,
    "chat_template.json",
    "special_tokens_map.json",
];
/// File of the reference's video preprocessing.
const VIDEOS: &str = "video_preprocessor_config.json";
/// The same settings as a part of the newer processor's file.
const VIDEO_PART: &str = "video_processor";
/// Class of the tokenizer.
const TOKENIZER_CLASS: &str = "Qwen2Tokenizer";

/// Writes everything except the weights.
pub(super) fn describe(conversion: &Conversion, from: &Manifest, target: &Target, to: &Path) -> Result<(), ModelError> {
    save_tokenizer(target, to)?;
    write_json(&to.join(FILE_NAME), &config(conversion, from)?)?;
    write_json(
        &to.join(PREPROCESSOR),
        &from.bounds.to_json(&from.qwen3_vl.vision_config),
    )?;
    if from.format == Format::Thinkvla {
        copy(from, &[GENERATION_CONFIG], to)?;
        write_text(&to.join(CHAT_TEMPLATE), template::PLAIN)?;
        return write_json(&to.join(TOKENIZER_CONFIG), &plain_tokenizer());
    }
    copy(from, &COPIED_FILES, to)?;
    describe_tokenizer(from, to)?;
    describe_videos(from, to)
}

/// Returns `config.json` with all its fields except ours.
fn config(conversion: &Conversion, from: &Manifest) -> Result<Value, ModelError> {
    let path = from.home.join(FILE_NAME);
    let mut config = read_json(&path)?;
    let Some(fields) = config.as_object_mut() else {
        return Ok(config);
    };
    fields.remove("thinkvla");
    if let Some(text) = fields.get_mut("text_config").and_then(Value::as_object_mut)
        && text.remove("rope_parameters").is_some()
    {
        let rope = serde_json::to_value(&from.qwen3_vl.text_config.rope).map_err(|e| ModelError::read(&path, e))?;
        text.extend(rope.as_object().cloned().unwrap_or_default());
    }
    let chosen = conversion.options.dtype;
    if chosen.is_some() || !["dtype", "torch_dtype"].iter().any(|name| fields.contains_key(*name)) {
        name_dtype(fields, chosen.unwrap_or(from.compute));
    }
    Ok(config)
}

/// Sets the type of the weights at the top level and in the parts that name one.
fn name_dtype(fields: &mut Map<String, Value>, dtype: Precision) {
    fields.remove("torch_dtype");
    fields.insert("dtype".into(), dtype.to_string().into());
    for part in ["text_config", "vision_config"] {
        let own = fields.get_mut(part).and_then(Value::as_object_mut);
        if let Some(name) = own.and_then(|own| own.get_mut("dtype")) {
            *name = dtype.to_string().into();
        }
    }
}

fn plain_tokenizer() -> Value {
    json!({
        "tokenizer_class": TOKENIZER_CLASS,
        "processor_class": "Qwen3VLProcessor",
        "bos_token": null,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": null,
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
    })
}

/// Writes the tokenizer's description, with settings that transformers 5 spells differently as version 4 reads them.
fn describe_tokenizer(from: &Manifest, to: &Path) -> Result<(), ModelError> {
    let path = from.home.join(TOKENIZER_CONFIG);
    if !path.exists() {
        return Ok(());
    }
    let mut config = read_json(&path)?;
    if let Some(fields) = config.as_object_mut() {
        if fields.get("extra_special_tokens").is_some_and(Value::is_array)
            && let Some(tokens) = fields.remove("extra_special_tokens")
        {
            fields.entry("additional_special_tokens").or_insert(tokens);
        }
        if fields
            .get("tokenizer_class")
            .is_some_and(|class| class == "TokenizersBackend")
        {
            fields.insert("tokenizer_class".into(), TOKENIZER_CLASS.into());
        }
    }
    write_json(&to.join(TOKENIZER_CONFIG), &config)
}

fn describe_videos(from: &Manifest, to: &Path) -> Result<(), ModelError> {
    copy(from, &[VIDEOS], to)?;
    match processor::part(&from.home, VIDEO_PART)? {
        Some(videos) if !to.join(VIDEOS).exists() => write_json(&to.join(VIDEOS), &videos),
        _ => Ok(()),
    }
}
