//! Checkpoints that transformers wrote give in Rust what they give there.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use thinkvla::model::text::generation::{AnswerOptions, End, Generation, Step, Token};

use crate::case::{Case, Message, sets};
use crate::stored::{Run, Stored};
use crate::support::distance;

/// Largest deviation in 32 bits, absolute.
const CLOSE: f64 = 1e-4;
/// Smallest cosine in bfloat16.
const ALIKE: f64 = 0.999;

/// All cases of all checkpoints, each with its checkpoint.
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

fn run(case: &Case, checkpoint: &Path, kind: Kind) -> Run {
    let tap = case.metadata["layer18_block"].parse().unwrap();
    Stored::load(checkpoint, kind).run(&case.messages(), tap)
}

/// The part of an expected (B, L, …) tensor that belongs to message `row`, without padding.
fn of_message(case: &Case, name: &str, row: usize, length: usize) -> Tensor {
    let all = case.expected(name).get(row as i64);
    all.narrow(0, all.size()[0] - length as i64, length as i64)
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
fn patches_ids_and_positions_are_the_reference_s() {
    for (case, checkpoint) in cases() {
        let run = run(&case, &checkpoint, Kind::Float);
        if let Some(pixels) = &run.pixels {
            assert!(pixels == case.expected("pixel_values"), "patches of {}", case.name);
        }
        for (row, question) in run.questions.iter().enumerate() {
            let length = question.ids.len();
            let ids: Vec<i64> = of_message(&case, "input_ids", row, length).try_into().unwrap();
            assert_eq!(question.ids, ids, "{}, message {row}", case.name);
            let mask = case.expected("attention_mask").get(row as i64);
            assert_eq!(mask.sum(Kind::Int64).int64_value(&[]), length as i64, "{}", case.name);
            for (axis, positions) in question.positions.iter().enumerate() {
                let expected = case.expected("position_ids").get(axis as i64).get(row as i64);
                let padding = expected.size()[0] - length as i64;
                let expected: Vec<i64> = expected.narrow(0, padding, length as i64).try_into().unwrap();
                assert_eq!(*positions, expected, "{}, message {row}, axis {axis}", case.name);
            }
        }
    }
}

/// Every state that a case holds, with its name, ours first.
fn states(case: &Case, run: &Run) -> Vec<(String, Tensor, Tensor)> {
    let mut all = Vec::new();
    if let Some(tap) = &run.tap {
        all.push((
            "layer18".into(),
            tap.shallow_clone(),
            case.expected("layer18").shallow_clone(),
        ));
    }
    for (name, ours) in [
        ("hidden_pre_norm", &run.pre_norm),
        ("hidden_post_norm", &run.post_norm),
        ("logits", &run.logits),
    ] {
        for (row, ours) in ours.iter().enumerate() {
            let expected = of_message(case, name, row, ours.size()[0] as usize);
            all.push((format!("{name} of message {row}"), ours.shallow_clone(), expected));
        }
    }
    all
}

#[test]
fn states_are_the_reference_s_in_32_bits() {
    let mut worst = 0.0_f64;
    for (case, checkpoint) in cases() {
        for (name, ours, expected) in states(&case, &run(&case, &checkpoint, Kind::Float)) {
            let off = distance(&ours, &expected);
            assert!(off <= CLOSE, "{}, {name}: {off:.1e}", case.name);
            worst = worst.max(off);
        }
    }
    println!("largest deviation: {worst:.1e}");
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    let flat = |x: &Tensor| x.flatten(0, -1).to_kind(Kind::Double);
    let (a, b) = (flat(a), flat(b));
    (a.dot(&b) / (a.norm() * b.norm())).double_value(&[])
}

#[test]
fn states_point_where_the_reference_s_do_in_bfloat16() {
    let mut worst = 1.0_f64;
    for (case, checkpoint) in cases() {
        for (name, ours, expected) in states(&case, &run(&case, &checkpoint, Kind::BFloat16)) {
            let alike = cosine(&ours, &expected);
            assert!(alike >= ALIKE, "{}, {name}: {alike:.5}", case.name);
            worst = worst.min(alike);
        }
    }
    println!("smallest cosine: {worst:.5}");
}

#[test]
fn a_padded_batch_gives_the_states_each_message_has_alone() {
    for (case, checkpoint) in cases() {
        let messages = case.messages();
        if messages.len() == 1 {
            continue;
        }
        let model = Stored::load(&checkpoint, Kind::Float);
        let together = model.run(&messages, 0);
        for (row, message) in messages.iter().enumerate() {
            let alone = model.run(std::slice::from_ref(message), 0);
            let off = distance(&alone.pre_norm[0], &together.pre_norm[row]);
            assert!(off < 5e-5, "{}, message {row}: {off:.1e}", case.name);
        }
    }
}

fn answer(model: &Stored, message: &Message, steps: usize) -> Vec<Token> {
    let (values, grids) = model.pixels(&message.images);
    let question = model.conversation.ask(&message.text, &grids).unwrap();
    let sight = (!grids.is_empty()).then(|| tch::no_grad(|| model.see(&values, &grids, 0)));
    let options = AnswerOptions {
        max_tokens: steps,
        ..AnswerOptions::default()
    };
    let mut generation = Generation::new(&model.conversation, question, sight, options).unwrap();
    let mut tokens = Vec::new();
    while let Some(step) = generation.advance(&model.backbone).unwrap() {
        if let Step::Token(token) = step {
            tokens.push(token);
        }
    }
    assert_eq!(generation.end(), Some(End::Length));
    tokens
}

/// Token by token, and of every step's logits the largest by their ids and all by their sum.
fn check_answers(set: &str) {
    // Steps of so small a network take longer to share among threads than to do.
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
