//! Tests of training on questions and answers beside the demonstrations.

use std::sync::Arc;

use serde_json::json;
use thinkvla::model::checkpoint::{CheckpointOptions, Manifest};
use thinkvla::training::batch::{LabelledConversation, MASKED, VlmBatch};
use thinkvla::training::config::{TextSettings, TextSource};
use thinkvla::training::data::loader::{BatchSequence, Batches, Loader};
use thinkvla::training::data::text::vlm_batches::VlmBatches;
use thinkvla::training::data::vla_batches::Side;
use tokenizers::Tokenizer;

use super::tiny_run::questions::SECTION;
use super::tiny_run::{RunFixture, bytes, metrics};

fn batch_source(fixture: &RunFixture, sources: Vec<TextSource>) -> Result<VlmBatches, String> {
    let settings = TextSettings {
        sources,
        batch: 8,
        ..TextSettings::default()
    };
    open(fixture, &settings)
}

fn open(fixture: &RunFixture, settings: &TextSettings) -> Result<VlmBatches, String> {
    let manifest = Manifest::read(&fixture.path("start"), &CheckpointOptions::default()).unwrap();
    let config = manifest.config().unwrap();
    VlmBatches::open(settings, 7, &manifest, &config).map_err(|e| e.to_string())
}

fn source(fixture: &RunFixture, name: &str) -> TextSource {
    TextSource {
        path: fixture.path("questions").join(name),
        images: None,
        weight: 1.0,
        anchor: None,
        held_out: false,
    }
}

fn first(batch_source: &VlmBatches, side: Side) -> Result<VlmBatch, String> {
    let mut readers = batch_source.readers().unwrap();
    batch_source.batch(side, 0, &mut readers).map_err(|e| e.to_string())
}

/// Text of the tokens with labels.
fn learned(fixture: &RunFixture, one: &LabelledConversation) -> String {
    let tokenizer = Tokenizer::from_file(fixture.path("start/tokenizer.json")).unwrap();
    let ids = one
        .labels
        .iter()
        .filter(|label| **label != MASKED)
        .map(|label| *label as u32);
    tokenizer.decode(&ids.collect::<Vec<_>>(), false).unwrap()
}

#[test]
fn only_what_the_assistant_says_is_learned_through_the_end_of_its_turns() {
    let fixture = RunFixture::new("");
    let batch = first(
        &batch_source(&fixture, vec![source(&fixture, "qwen.json")]).unwrap(),
        Side::Trained,
    )
    .unwrap();
    let mut seen = 0;
    for one in &batch.conversations {
        let text = learned(&fixture, one);
        let grids = if text.contains("picture") { 2 } else { 0 };
        seen += grids;
        match grids {
            0 => assert_eq!(text, "the robot<|im_end|>\n"),
            _ => {
                let (first, second) = text.split_once('\n').unwrap();
                assert!(first.starts_with("picture ") && first.ends_with("<|im_end|>"), "{text}");
                assert_eq!(second, "yes<|im_end|>\n");
            }
        }
        for (label, id) in one.labels.iter().zip(&one.prompt.ids) {
            assert!(*label == MASKED || label == id);
        }
    }
    assert_eq!(batch.pictures.unwrap().grids.len(), seen);
}

#[test]
fn answers_about_space_begin_with_the_anchor_and_others_do_not_unless_one_says_so() {
    let fixture = RunFixture::new("");
    let all = |name: &str, anchor| {
        let mut source = source(&fixture, name);
        source.anchor = anchor;
        let batch = first(&batch_source(&fixture, vec![source]).unwrap(), Side::Trained).unwrap();
        let texts: Vec<String> = batch.conversations.iter().map(|one| learned(&fixture, one)).collect();
        let begun = texts.iter().filter(|text| text.starts_with("<|reasoning_anchor|>"));
        (
            begun.count(),
            texts[0].matches("<|reasoning_anchor|>").count(),
            texts[0].clone(),
        )
    };
    let (begun, _, text) = all("spatial.jsonl", None);
    assert_eq!(begun, 8);
    assert!(text.starts_with("<|reasoning_anchor|>the can is at "), "{text}");
    assert_eq!(all("spatial.jsonl", Some(false)).0, 0);
    assert_eq!(all("qwen.json", None).0, 0);
    let (begun, anchors, text) = all("qwen.json", Some(true));
    assert_eq!(
        (begun, anchors),
        (8, text.matches("<|im_end|>").count()),
        "each answer has its own"
    );
}

#[test]
fn what_is_behind_the_longest_is_cut_off_and_never_an_image() {
    let fixture = RunFixture::new("");
    let cut = |longest| {
        let settings = TextSettings {
            sources: vec![source(&fixture, "spatial.jsonl")],
            longest,
            ..TextSettings::default()
        };
        first(&open(&fixture, &settings).unwrap(), Side::Trained)
    };
    let whole = cut(2048).unwrap().conversations.remove(0);
    let tokens = whole.prompt.ids.len();
    let shorter = cut(tokens - 4).unwrap().conversations.remove(0);
    assert_eq!(shorter.prompt.ids, whole.prompt.ids[..tokens - 4]);
    assert_eq!(shorter.labels, whole.labels[..tokens - 4]);
    assert_eq!(shorter.prompt.positions[2], whole.prompt.positions[2][..tokens - 4]);
    let error = cut(10).unwrap_err();
    assert!(
        error.contains("spatial.jsonl: line ") && error.contains("within 10 tokens"),
        "{error}"
    );
}

#[test]
fn rows_of_a_held_out_picture_are_never_trained_on() {
    let fixture = RunFixture::new("");
    let settings = TextSettings {
        sources: vec![source(&fixture, "spatial.jsonl")],
        batch: 60,
        held_out_share: 0.3,
        ..TextSettings::default()
    };
    let batch_source = open(&fixture, &settings).unwrap();
    // Two of six images are held out.
    assert_eq!(
        (batch_source.rows(Side::Trained), batch_source.rows(Side::HeldOut)),
        (4, 2)
    );
    let texts = |side| {
        let conversations = first(&batch_source, side).unwrap().conversations;
        let texts = conversations.iter().map(|one| learned(&fixture, one));
        texts.collect::<std::collections::BTreeSet<_>>()
    };
    let (trained, held_out) = (texts(Side::Trained), texts(Side::HeldOut));
    assert_eq!((trained.len(), held_out.len()), (4, 2), "of 60 draws");
    assert!(trained.is_disjoint(&held_out));
}

#[test]
fn answers_do_not_depend_on_threads_nor_on_where_a_run_begins() {
    let fixture = RunFixture::new("");
    let sources = ["qwen.json", "spatial.jsonl"].map(|name| source(&fixture, name));
    let batch_source = Arc::new(batch_source(&fixture, sources.to_vec()).unwrap());
    let mut one = Loader::start(&batch_source, BatchSequence { first: 0, every: 1 }, 1, 1);
    let mut three = Loader::start(&batch_source, BatchSequence { first: 2, every: 1 }, 3, 2);
    let all: Vec<VlmBatch> = (0..7).map(|_| one.take().unwrap()).collect();
    for batch in &all[2..] {
        let other = three.take().unwrap();
        assert_eq!(batch.conversations, other.conversations);
        let pixels = |of: &VlmBatch| of.pictures.as_ref().unwrap().pixels.shallow_clone();
        assert!(pixels(batch).equal(&pixels(&other)));
    }
    assert_ne!(all[0].conversations, all[1].conversations);
}

#[test]
fn files_rows_and_pictures_that_cannot_be_used_are_named() {
    let fixture = RunFixture::new("");
    let folder = fixture.path("questions");
    let refused = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        batch_source(&fixture, vec![source(&fixture, name)])
            .and_then(|batch_source| first(&batch_source, Side::Trained))
            .unwrap_err()
    };
    let row = |image: &str, answer: &str| {
        json!({"image": image, "conversations": [{"from": "human", "value": "<image>\nwhat?"},
            {"from": "gpt", "value": answer}]})
        .to_string()
    };
    std::fs::write(folder.join("broken.png"), b"\x89PNG, and no more").unwrap();
    let good = row("0.jpg", "this");
    for (name, text, expected) in [
        (
            "a.json",
            format!("[{good}, {}]", row("gone.png", "this")),
            vec!["a.json: row 1", "gone.png"],
        ),
        (
            "b.jsonl",
            format!("{good}\n{{\"image\": 3}}\n"),
            vec!["b.jsonl: line 2", "expected an object"],
        ),
        ("c.json", "{}".into(), vec!["c.json", "expected a JSON list"]),
        ("d.json", "[]".into(), vec!["d.json", "at least one row"]),
        (
            "e.jsonl",
            row("broken.png", "this"),
            vec!["e.jsonl: line 1", "broken.png", "expected a whole Png"],
        ),
        (
            "f.jsonl",
            row("0.jpg", "so <|im_end|>"),
            vec!["f.jsonl: line 1", "control token <|im_end|>"],
        ),
        ("g.csv", "question".into(), vec!["g.csv", ".json, .jsonl or .parquet"]),
        ("h.parquet", "PAR1".into(), vec!["h.parquet"]),
    ] {
        let error = refused(name, &text);
        assert!(expected.iter().all(|part| error.contains(part)), "{name}: {error}");
    }
    let missing = batch_source(&fixture, vec![source(&fixture, "nowhere.json")]).unwrap_err();
    assert!(missing.contains("nowhere.json"), "{missing}");
}

#[test]
fn answers_that_are_only_measured_change_no_weight() {
    let trained = |section: &str| {
        let fixture = RunFixture::new(section);
        let mut config = fixture.load();
        config.method.text_weight = 0.0;
        let outcome = fixture.open(config, false).unwrap().train(Some(3)).unwrap();
        let [weights, _] = bytes(&outcome.checkpoint);
        (weights, outcome.text)
    };
    let (with, measured) = trained(SECTION);
    let (without, nothing) = trained("");
    assert!(with == without);
    assert!(measured.before.unwrap() != measured.now.unwrap());
    assert_eq!((nothing.before, nothing.now), (None, None));
}

#[test]
fn a_run_that_could_not_learn_its_answers_is_refused() {
    let fixture = RunFixture::new(SECTION);
    let mut config = fixture.load();
    config.selection = thinkvla::model::trainable::Selection::Added { also: Vec::new() };
    let error = fixture.open(config, false).err().unwrap();
    assert!(error.contains("method.text_weight: expected 0"), "{error}");
    let mut config = fixture.load();
    config.text.sources.iter_mut().for_each(|source| source.held_out = true);
    let error = fixture.open(config, false).err().unwrap();
    assert!(
        error.contains("text.sources: expected one that is trained on"),
        "{error}"
    );
}

#[test]
fn the_streams_are_compared_on_the_way_and_learn_the_same_with_it() {
    let fixture = RunFixture::new(SECTION);
    let run = |name: &str, every| {
        let mut config = fixture.load();
        config.out = fixture.path(name);
        config.validation.similarity_every = every;
        let outcome = fixture.open(config, false).unwrap().train(Some(4)).unwrap();
        (bytes(&outcome.checkpoint), metrics(&fixture.path(name)))
    };
    let ((with, compared), (without, alone)) = (run("with", 2), run("without", 0));
    assert!(with[0] == without[0], "weights");
    let found: Vec<bool> = compared.iter().map(|step| !step["similarity"].is_null()).collect();
    assert_eq!(found, [true, false, true, false]);
    let first = &compared[0]["similarity"];
    assert!(
        (0.0..=1.0 + 1e-9).contains(&first["similarity"].as_f64().unwrap()),
        "{first}"
    );
    assert!(
        first["ranks"][0].as_u64().unwrap() > 0 && first["ranks"][1].as_u64().unwrap() > 0,
        "{first}"
    );
    assert!(alone.iter().all(|step| step["similarity"].is_null()));
}
