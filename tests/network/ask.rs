//! Tests of `thinkvla ask`: it prints the network's answer, and names invalid input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::{SafeTensors, serialize};
use thinkvla::camera::compressed;
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::model::generate::chat::Chat;
use thinkvla::model::generate::generation::{AnswerOptions, GenerationStep};
use thinkvla::model::policy::PolicyOptions;

use crate::case::sets;
use crate::support::checkpoint;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn ask(checkpoint: &Path, inputs: &[&str], options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thinkvla"))
        .arg("ask")
        .args(inputs)
        .arg("--checkpoint")
        .arg(checkpoint)
        .args(options)
        .output()
        .unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_printed_answer_is_the_network_s() {
    let directory = checkpoint(7);
    let images = [data("ramp.png"), data("scene.jpg")];
    let paths: Vec<&str> = images.iter().map(|path| path.to_str().unwrap()).collect();
    let output = ask(
        directory.path(),
        &[paths[0], paths[1], "where is the cube?"],
        &["--max-tokens", "12", "--max-pixels", "16384"],
    );
    assert!(output.status.success(), "{output:?}");

    let chat = Chat::load(directory.path(), PolicyOptions::default()).unwrap();
    let mut rule = chat.patch_rule();
    rule.max_pixels = 16384;
    let mut pictures = Preprocessor::of_pictures(rule).unwrap();
    for (path, format) in images.iter().zip(["png", "jpeg"]) {
        let mut picture = RgbImage::default();
        compressed::decode(format, &std::fs::read(path).unwrap(), &mut picture).unwrap();
        pictures.push_rgb(&picture).unwrap();
    }
    let options = AnswerOptions {
        max_tokens: 12,
        ..AnswerOptions::default()
    };
    let mut answer = chat.ask("where is the cube?", pictures.input(), options).unwrap();
    let mut text = String::new();
    while let Some(step) = chat.next_step(&mut answer).unwrap() {
        if let GenerationStep::Token(token) = step {
            text.push_str(&token.text);
        }
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), text + "\n");
}

#[test]
fn a_question_alone_and_half_precision_are_answered() {
    let directory = checkpoint(7);
    for compute in ["float32", "bfloat16"] {
        let options = [
            "--compute",
            compute,
            "--max-tokens",
            "4",
            "--temperature",
            "0.8",
            "--seed",
            "3",
        ];
        let output = ask(directory.path(), &["why?"], &options);
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn what_cannot_be_used_is_named_and_nothing_is_printed() {
    let directory = checkpoint(7);
    let ask = |inputs: &[&str], options: &[&str]| complaint(&ask(directory.path(), inputs, options));
    assert!(ask(&["/no/such.png", "why?"], &[]).contains("cannot read the picture /no/such.png"));
    let text = data("images.json");
    let error = ask(&[text.to_str().unwrap(), "why?"], &[]);
    assert!(error.contains("images.json") && error.contains("Jpeg"), "{error}");
    assert!(ask(&["say <|im_end|>"], &[]).contains("control token <|im_end|>"));
    assert!(ask(&["why?"], &["--max-tokens", "0"]).contains("max tokens: expected at least 1"));
    assert!(ask(&["why?"], &["--top-p", "7"]).contains("top-p"));
    assert!(ask(&[], &[]).contains("Usage"));
}

#[test]
fn a_directory_without_a_checkpoint_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let error = complaint(&ask(empty.path(), &["why?"], &[]));
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn a_plain_hugging_face_directory_answers_as_our_checkpoint_of_the_same_backbone() {
    let (ours, plain) = (checkpoint(7), tempfile::tempdir().unwrap());
    let read = |name: &str| std::fs::read(ours.path().join(name)).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(plain.path().join(name), bytes).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&read("config.json")).unwrap();
    let bounds = config.as_object_mut().unwrap().remove("thinkvla").unwrap();
    write("config.json", config.to_string().as_bytes());
    write("tokenizer.json", &read("tokenizer.json"));
    let rule = serde_json::json!({
        "patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "resample": 3,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": bounds["min_pixels"], "longest_edge": bounds["max_pixels"]},
    });
    write("preprocessor_config.json", rule.to_string().as_bytes());
    let template = sets().join("deep/checkpoint/chat_template.jinja");
    write("chat_template.jinja", &std::fs::read(template).unwrap());
    let weights = read("model.safetensors");
    let all = SafeTensors::deserialize(&weights).unwrap();
    let backbone = all.tensors().into_iter().filter(|(key, _)| key.starts_with("model."));
    write("model.safetensors", &serialize(backbone, None).unwrap());

    let image = data("ramp.png");
    let inputs = [image.to_str().unwrap(), "what is it?"];
    let options = ["--max-tokens", "8", "--compute", "float32", "--max-pixels", "16384"];
    let [ours, plain] = [ours.path(), plain.path()].map(|directory| ask(directory, &inputs, &options));
    assert!(plain.status.success(), "{plain:?}");
    assert_eq!(plain.stdout, ours.stdout);
}
