//! Tests of checkpoints written by transformers: the results in Rust equal those of transformers.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use thinkvla::inspect::parity::{self, Finding, ParityReport, ParityTolerance, Subject};
use thinkvla::model::config::Precision;
use thinkvla::model::generate::generation::{AnswerOptions, End, Generation, GenerationStep, Token};
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::model::policy::PolicyOptions;

use crate::case::{Case, Message, sets};
use crate::stored::Stored;
use crate::support::distance;

/// Largest absolute deviation in 32 bits.
const CLOSE: f64 = 1e-4;
/// Smallest cosine in bfloat16.
const ALIKE: f64 = 0.999;

/// All cases, each with its checkpoint.
fn cases() -> Vec<(Case, PathBuf)> {
    let folders = std::fs::read_dir(sets()).unwrap().map(|set| set.unwrap().path());
    let mut files: Vec<PathBuf> = folders
        .filter(|set| set.join("checkpoint").exists())
        .flat_map(|set| std::fs::read_dir(set).unwrap().map(|file| file.unwrap().path()))
        .filter(|file| file.extension().is_some_and(|e| e == "safetensors"))
        .filter(|file| !file.ends_with("generation.safetensors"))
        .collect();
    files.sort();
    let checkpoint = |file: &Path| file.with_file_name("checkpoint");
    files.iter().map(|file| (Case::read(file), checkpoint(file))).collect()
}

/// Reports of every case against its checkpoint.
fn reports(compute: Precision, tolerance: ParityTolerance) -> Vec<ParityReport> {
    let mut reports = Vec::new();
    for (case, checkpoint) in cases() {
        let options = PolicyOptions {
            device: DeviceChoice::Cpu,
            compute: Some(compute),
            threads: None,
        };
        let subject = Subject::load(&checkpoint, options).unwrap();
        let file = parity::Case::open(&sets().join(&case.name)).unwrap();
        let report = subject.compare(&file, tolerance).unwrap();
        let expected = case.tensors.keys().filter(|key| key.starts_with("expected.")).count();
        assert_eq!(report.rows.len(), expected, "{}", case.name);
        assert!(report.passed(), "{}\n{report}", case.name);
        reports.push(report);
    }
    reports
}

/// Name, deviation and cosine of every floating-point tensor.
fn figures(reports: &[ParityReport]) -> impl Iterator<Item = (&str, f64, f64)> {
    let rows = reports.iter().flat_map(|report| &report.rows);
    rows.filter_map(|row| match row.finding {
        Finding::Values { deviation, cosine } => Some((row.name.as_str(), deviation, cosine)),
        _ => None,
    })
}

#[test]
fn the_cases_cover_what_ports_get_wrong() {
    let all = cases();
    let mut checkpoints: Vec<_> = all.iter().map(|(_, checkpoint)| checkpoint).collect();
    checkpoints.dedup();
    assert!(checkpoints.len() >= 8, "{checkpoints:?}");
    let images = |case: &Case| case.messages().iter().map(|m| m.images.len()).collect::<Vec<_>>();
    for wanted in [&[1][..], &[2], &[3], &[0], &[2, 1, 3], &[0, 2]] {
        assert!(all.iter().any(|(case, _)| images(case) == wanted), "{wanted:?}");
    }
}

#[test]
fn ids_positions_and_states_are_the_reference_s_in_32_bits_and_patches_to_the_last_bit() {
    let tolerance = ParityTolerance {
        deviation: Some(CLOSE),
        cosine: None,
    };
    let reports = reports(Precision::Float32, tolerance);
    let mut worst = 0.0_f64;
    for (name, deviation, _) in figures(&reports) {
        assert!(name != "expected.pixel_values" || deviation == 0.0, "{deviation:.1e}");
        worst = worst.max(deviation);
    }
    println!("largest deviation: {worst:.1e}");
}

#[test]
fn states_point_where_the_reference_s_do_in_bfloat16() {
    let tolerance = ParityTolerance {
        deviation: None,
        cosine: Some(ALIKE),
    };
    let reports = reports(Precision::Bfloat16, tolerance);
    let smallest = figures(&reports).map(|(.., cosine)| cosine).fold(1.0, f64::min);
    println!("smallest cosine: {smallest:.5}");
}

#[test]
fn a_padded_batch_gives_the_states_each_message_has_alone() {
    for (case, checkpoint) in cases() {
        let messages = case.messages();
        if messages.len() == 1 {
            continue;
        }
        let model = Stored::load(&checkpoint, Kind::Float);
        let together = model.states(&messages);
        for (row, message) in messages.iter().enumerate() {
            let alone = model.states(std::slice::from_ref(message));
            let off = distance(&alone[0], &together[row]);
            assert!(off < 5e-5, "{}, message {row}: {off:.1e}", case.name);
        }
    }
}

fn answer(model: &Stored, message: &Message, steps: usize) -> Vec<Token> {
    let (values, grids) = model.pixels(&message.images);
    let question = model.conversation.ask(&message.text, &grids).unwrap();
    let encoded = (!grids.is_empty()).then(|| tch::no_grad(|| model.encode_images(&values, &grids)));
    let options = AnswerOptions {
        max_tokens: steps,
        ..AnswerOptions::default()
    };
    let mut generation = Generation::new(&model.conversation, question, encoded, options).unwrap();
    let mut tokens = Vec::new();
    while let Some(step) = generation.advance(&model.backbone).unwrap() {
        if let GenerationStep::Token(token) = step {
            tokens.push(token);
        }
    }
    assert_eq!(generation.end(), Some(End::Length));
    tokens
}

/// Compares answers token by token; of every step's logits, the largest ones by their ids and all by their sum.
fn check_answers(set: &str) {
    // For such a small network, sharing a step among threads takes longer than computing it.
    tch::set_num_threads(1);
    let folder = sets().join(set);
    let case = Case::read(&folder.join("generation.safetensors"));
    let model = Stored::load(&folder.join("checkpoint"), Kind::Float);
    let steps = case.expected("tokens").size()[1];
    let messages = case.messages();
    assert!(messages.len() >= 20 && steps >= 32);
    for (message, row) in messages.iter().zip(0..) {
        let tokens = answer(&model, message, steps as usize);
        let ours: Vec<i64> = tokens.iter().map(|token| token.id).collect();
        let expected: Vec<i64> = case.expected("tokens").get(row).try_into().unwrap();
        assert_eq!(ours, expected, "{set}: {:?}", message.text);
        let mut distinct = ours.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() >= 10, "{set}: {:?} has a dull answer", message.text);
        for (token, step) in tokens.iter().zip(0..) {
            let of_step = |name: &str| case.expected(name).get(row).get(step);
            let logits = Tensor::from_slice(&token.logits);
            let top = distance(&logits.index_select(0, &of_step("top_indices")), &of_step("top_values"));
            let all = distance(&logits.logsumexp([0], false), &of_step("logsumexp"));
            assert!(
                top.max(all) <= CLOSE,
                "{set}: {:?}, step {step}: {top:.1e}, {all:.1e}",
                message.text
            );
        }
    }
}

#[test]
fn greedy_answers_are_the_reference_s_with_one_text_head_for_both_ends() {
    check_answers("grouped");
}

#[test]
fn greedy_answers_are_the_reference_s_with_a_text_head_of_its_own() {
    check_answers("ungrouped");
}

#[test]
fn greedy_answers_are_the_reference_s_with_a_tap_for_every_layer() {
    check_answers("every_layer");
}
