//! Tests of files: shards, truncated ones, and ones that are something else.

use serde_json::Value;

use super::{change, copy, read, refused};
use crate::case::sets;
use crate::support::checkpoint;

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
fn missing_weights_are_reported_whatever_lies_beside_them() {
    let directory = copy(&sets().join("every_layer/checkpoint"));
    std::fs::remove_file(directory.path().join("model.safetensors.index.json")).unwrap();
    refused(directory.path(), "index.json: expected the index of model-0000");
    let ours = checkpoint(1);
    std::fs::remove_file(ours.path().join("model.safetensors")).unwrap();
    // As in the cache of Hugging Face's hub.
    std::os::unix::fs::symlink("../../blobs/0", ours.path().join("model.safetensors")).unwrap();
    refused(
        ours.path(),
        "model.safetensors: it is a link to ../../blobs/0, which is not there",
    );
    std::fs::remove_file(ours.path().join("model.safetensors")).unwrap();
    for name in ["optimizer.pt", "rng_state_0.pth", "training_args.bin"] {
        std::fs::write(ours.path().join(name), b"\x80\x02}.").unwrap();
    }
    refused(ours.path(), "model.safetensors: expected weights, found neither");
}

#[test]
fn a_part_of_a_checkpoint_is_refused_with_the_name_of_the_whole() {
    let ours = checkpoint(1);
    let whole = format!("name its directory, {};", ours.path().display());
    for file in ["model.safetensors", "config.json"] {
        refused(&ours.path().join(file), &whole);
    }
    let directory = copy(&sets().join("starvla"));
    let run = directory.path().join("run");
    let weights = run.join("checkpoints/steps_1000_model.safetensors");
    refused(
        &run.join("checkpoints"),
        &format!("name its directory, {};", run.display()),
    );
    // Files beside the weights do not make them another checkpoint.
    std::fs::write(run.join("checkpoints/config.json"), "{}").unwrap();
    read(&weights).unwrap();
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
fn checkpoints_of_other_networks_are_refused_by_their_names() {
    let ours = checkpoint(1);
    for (field, name) in [("model_type", "pi0"), ("model_type", "llama"), ("type", "smolvla")] {
        let text = format!("{{\"{field}\": \"{name}\", \"hidden_size\": 16}}");
        std::fs::write(ours.path().join("config.json"), text).unwrap();
        refused(
            ours.path(),
            &format!("config.json, {field}: expected qwen3_vl, found {name}, another network; checkpoints of"),
        );
    }
}

#[test]
fn the_answer_of_a_server_is_not_taken_for_weights() {
    let ours = checkpoint(1);
    std::fs::write(ours.path().join("model.safetensors"), "Entry not found").unwrap();
    refused(ours.path(), "the text of a server that refused the download");
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
