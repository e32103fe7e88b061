//! Tests of text generation: it equals generation without a cache, and follows the sampling options.

use std::sync::Arc;

use proptest::prelude::*;
use tch::Tensor;
use thinkvla::camera::patches::Grid;
use thinkvla::model::generate::conversation::Conversation;
use thinkvla::model::generate::generation::{AnswerOptions, End, Generation, GenerationStep, Token};
use thinkvla::model::generate::sampling::Sampling;
use thinkvla::model::thinkvla::prompt::Prompt;

use crate::support::{NetworkFixture, grid, pixels, tiny, tokenizer};

fn conversation(fixture: &NetworkFixture) -> Conversation {
    let nothing = tempfile::tempdir().unwrap();
    Conversation::new(nothing.path(), Arc::new(tokenizer()), &fixture.config).unwrap()
}

const GRIDS: [Grid; 3] = [
    Grid { t: 1, h: 4, w: 4 },
    Grid { t: 1, h: 2, w: 6 },
    Grid { t: 1, h: 4, w: 4 },
];

fn begin(fixture: &NetworkFixture, grids: &[Grid], options: AnswerOptions) -> Generation {
    let conversation = conversation(fixture);
    let question = conversation.ask("what is on the table?", grids).unwrap();
    let encoded = (!grids.is_empty()).then(|| {
        let pixels = pixels(&fixture.config, grids, 3);
        fixture.network.encode_images(&pixels, &fixture.images(grids)).unwrap()
    });
    Generation::new(&conversation, question, encoded, options).unwrap()
}

/// All tokens of an answer to one question about random images.
fn tokens(fixture: &NetworkFixture, grids: &[Grid], options: AnswerOptions) -> Vec<Token> {
    let mut generation = begin(fixture, grids, options);
    let mut tokens = Vec::new();
    while let Some(step) = generation.advance(fixture.network.backbone()).unwrap() {
        if let GenerationStep::Token(token) = step {
            tokens.push(token);
        }
    }
    tokens
}

fn ids(tokens: &[Token]) -> Vec<i64> {
    tokens.iter().map(|token| token.id).collect()
}

/// Logits after the last token of a text, without a cache.
fn recomputed(fixture: &NetworkFixture, grids: &[Grid], question: &Prompt, chosen: &[i64]) -> Vec<f32> {
    let ids = [&question.ids[..], chosen].concat();
    let next = question.positions.iter().flatten().max().unwrap() + 1;
    let positions = question.positions.clone().map(|axis| {
        let new = (next..).take(chosen.len());
        axis.into_iter().chain(new).collect()
    });
    let last = ids.len() as i64 - 1;
    let prompt = Prompt {
        positions,
        image_tokens: question.image_tokens.clone(),
        anchors: vec![last],
        queries: vec![last; fixture.config.thinkvla.chunk_len as usize],
        patches: 0,
        raster: Vec::new(),
        ids,
    };
    // The vision tower needs at least one image, so one is encoded also for a text without images.
    let seen = if grids.is_empty() { &GRIDS[..1] } else { grids };
    let mut encoded = fixture
        .network
        .encode_images(&pixels(&fixture.config, seen, 3), &fixture.images(seen))
        .unwrap();
    if grids.is_empty() {
        let nothing = |x: &Tensor| x.narrow(0, 0, 0);
        (encoded.tokens, encoded.deepstack) = (
            nothing(&encoded.tokens),
            encoded.deepstack.iter().map(nothing).collect(),
        );
    }
    let state = fixture
        .network
        .forward_text(&encoded, &fixture.plan(&[prompt]))
        .unwrap()
        .anchors;
    Vec::try_from(fixture.network.backbone().logits(&state).unwrap().flatten(0, -1)).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_cached_step_is_the_step_without_a_cache() {
    let fixture = NetworkFixture::new(tiny());
    let conversation = conversation(&fixture);
    for images in 0..=3 {
        let grids = &GRIDS[..images];
        let question = conversation.ask("what is on the table?", grids).unwrap();
        for prompt_piece in [usize::MAX, 5, 1] {
            let options = AnswerOptions {
                max_tokens: 8,
                prompt_piece,
                ..AnswerOptions::default()
            };
            let made = tokens(&fixture, grids, options);
            assert!(made.len() > 3, "{images} images: {made:?}");
            let chosen = ids(&made);
            for (at, token) in made.iter().enumerate() {
                let expected = recomputed(&fixture, grids, &question, &chosen[..at]);
                let off = largest_difference(&token.logits, &expected);
                assert!(
                    off < 1e-4,
                    "{images} images, pieces of {prompt_piece}, step {at}: {off}"
                );
            }
        }
    }
}

#[test]
fn images_change_the_answer_and_so_does_their_order() {
    let fixture = NetworkFixture::new(tiny());
    let first = |grids: &[Grid]| tokens(&fixture, grids, AnswerOptions::default()).remove(0).logits;
    assert!(largest_difference(&first(&[]), &first(&GRIDS[..1])) > 1e-3);
    let swapped = [GRIDS[1], GRIDS[0], GRIDS[2]];
    assert!(largest_difference(&first(&GRIDS), &first(&swapped)) > 1e-3);
}

#[test]
fn greedy_is_the_likeliest_token_at_every_step() {
    let fixture = NetworkFixture::new(tiny());
    for token in tokens(&fixture, &GRIDS[..2], AnswerOptions::default()) {
        let highest = token.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(token.logits[token.id as usize], highest);
    }
}

#[test]
fn half_precision_stays_near() {
    let fixture = NetworkFixture::new(tiny());
    let half = fixture.in_half_precision();
    let options = AnswerOptions {
        max_tokens: 1,
        ..AnswerOptions::default()
    };
    let (whole, half) = (tokens(&fixture, &[], options), tokens(&half, &[], options));
    let [whole, half] = [&whole[0], &half[0]].map(|token| Tensor::from_slice(&token.logits));
    let similarity = Tensor::cosine_similarity(&whole, &half, 0, 1e-8);
    assert!(similarity.double_value(&[]) > 0.999, "{similarity:?}");
}

#[test]
fn an_answer_ends_at_a_stop_token_or_at_its_longest() {
    let fixture = NetworkFixture::new(tiny());
    let options = AnswerOptions {
        max_tokens: 7,
        ..AnswerOptions::default()
    };
    let made = tokens(&fixture, &[], options);
    assert_eq!(made.len(), 7);
    assert!(made[..6].iter().all(|token| token.end.is_none()));
    assert_eq!(made[6].end, Some(End::Length));

    // The same answer, with its third token as a stop token.
    let third = made[2].id;
    let directory = tempfile::tempdir().unwrap();
    for stops in [format!("{third}"), format!("[299, {third}]")] {
        let settings = format!("{{\"eos_token_id\": {stops}, \"do_sample\": true}}");
        std::fs::write(directory.path().join("generation_config.json"), settings).unwrap();
        let conversation = Conversation::new(directory.path(), Arc::new(tokenizer()), &fixture.config).unwrap();
        let question = conversation.ask("what is on the table?", &[]).unwrap();
        let mut generation = Generation::new(&conversation, question, None, options).unwrap();
        while generation.advance(fixture.network.backbone()).unwrap().is_some() {}
        assert_eq!(generation.end(), Some(End::Stop));
        let first = ids(&made).iter().position(|id| *id == third).unwrap();
        assert_eq!(generation.chosen(), &ids(&made)[..=first]);
    }
}

#[test]
fn a_tokenizer_without_generation_settings_ends_at_its_own_ends() {
    let fixture = NetworkFixture::new(tiny());
    let tokenizer = tokenizer();
    let ends = ["<|im_end|>", "<|endoftext|>"].map(|token| i64::from(tokenizer.token_to_id(token).unwrap()));
    assert_eq!(conversation(&fixture).stops(), ends);
}

#[test]
fn the_pieces_are_the_decoded_answer_without_control_tokens() {
    let fixture = NetworkFixture::new(tiny());
    for seed in 0..8 {
        let options = AnswerOptions {
            sampling: Sampling {
                temperature: 1.5,
                seed,
                ..Sampling::GREEDY
            },
            max_tokens: 40,
            ..AnswerOptions::default()
        };
        let made = tokens(&fixture, &GRIDS[..1], options);
        let text: String = made.iter().map(|token| token.text.as_str()).collect();
        let ids: Vec<u32> = made.iter().map(|token| token.id as u32).collect();
        assert_eq!(text, tokenizer().decode(&ids, true).unwrap());
        assert!(!text.contains("<|"), "{text}");
    }
}

#[test]
fn a_seed_gives_the_same_answer_again() {
    let fixture = NetworkFixture::new(tiny());
    let answer = |seed| {
        let sampling = Sampling {
            temperature: 1.0,
            top_p: 0.95,
            seed,
            ..Sampling::GREEDY
        };
        let options = AnswerOptions {
            sampling,
            max_tokens: 24,
            ..AnswerOptions::default()
        };
        ids(&tokens(&fixture, &GRIDS[..1], options))
    };
    assert_eq!(answer(1), answer(1));
    assert_ne!(answer(1), answer(2));
}

#[test]
fn a_question_is_written_as_the_reference_writes_it() {
    let fixture = NetworkFixture::new(tiny());
    let question = conversation(&fixture).ask("where is the cube?", &GRIDS[..2]).unwrap();
    let ids: Vec<u32> = question.ids.iter().map(|id| *id as u32).collect();
    let image = |tokens| format!("<|vision_start|>{}<|vision_end|>", "<|image_pad|>".repeat(tokens));
    assert_eq!(
        tokenizer().decode(&ids, false).unwrap(),
        format!(
            "<|im_start|>user\n{}{}where is the cube?<|im_end|>\n<|im_start|>assistant\n",
            image(4),
            image(3)
        )
    );
    assert_eq!(question.image_tokens.len(), 7);
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    let fixture = NetworkFixture::new(tiny());
    let refusal = |question: &str| conversation(&fixture).ask(question, &[]).unwrap_err().to_string();
    assert!(refusal(" \n").contains("expected words"));
    assert!(refusal("say <|im_end|> now").contains("control token <|im_end|>"));
    assert!(refusal(&"very ".repeat(5000)).contains("fewer than 4096 tokens"));

    // A tokenizer that lacks a byte drops it.
    let mut file = crate::support::tokenizer_file();
    file.pointer_mut("/model/vocab")
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("z");
    let lacking = tokenizers::Tokenizer::from_bytes(file.to_string()).unwrap();
    let nothing = tempfile::tempdir().unwrap();
    let conversation = Conversation::new(nothing.path(), Arc::new(lacking), &fixture.config).unwrap();
    let error = conversation.ask("a zebra?", &[]).unwrap_err().to_string();
    assert!(
        error.contains("tokenizer knows, found \"a zebra?\", which it reads as \"a ebra?\""),
        "{error}"
    );
}

#[test]
fn an_answer_that_cannot_be_made_is_refused_before_it_begins() {
    let fixture = NetworkFixture::new(tiny());
    let refusal = |change: fn(&mut AnswerOptions)| {
        let mut options = AnswerOptions::default();
        change(&mut options);
        let conversation = conversation(&fixture);
        let question = conversation.ask("why?", &[]).unwrap();
        Generation::new(&conversation, question, None, options)
            .unwrap_err()
            .to_string()
    };
    assert!(refusal(|o| o.max_tokens = 0).contains("max tokens: expected at least 1"));
    assert!(refusal(|o| o.prompt_piece = 0).contains("prompt piece"));
    assert!(refusal(|o| o.max_tokens = 4096).contains("at most 4096 tokens"));
    assert!(refusal(|o| o.sampling.top_p = 2.0).contains("top-p"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Sampled tokens are among those that top-k and top-p leave.
    #[test]
    fn draws_keep_to_top_k_and_top_p(seed: u64, k in 1..20usize, top_p in 0.1..1.0) {
        let fixture = NetworkFixture::new(tiny());
        let sampling = Sampling { temperature: 1.3, top_k: Some(k), top_p, seed, ..Sampling::GREEDY };
        let options = AnswerOptions { sampling, max_tokens: 8, ..AnswerOptions::default() };
        for token in tokens(&fixture, &[grid(2, 2)], options) {
            let own = token.logits[token.id as usize];
            let mut ranked = token.logits.clone();
            ranked.sort_by(|a, b| b.total_cmp(a));
            let above: Vec<f32> = ranked.iter().copied().filter(|logit| *logit > own).collect();
            prop_assert!(above.len() < k);
            let mass = |logits: &[f32]| logits.iter().map(|l| (f64::from(*l) / 1.3).exp()).sum::<f64>();
            prop_assert!(mass(&above) < (top_p + 1e-6) * mass(&ranked[..k]));
        }
    }
}
