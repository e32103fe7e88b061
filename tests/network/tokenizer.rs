//! Tests of the pruned tokenizer: it is small, preserves every text and keeps the tokens that the prompt needs.

use proptest::prelude::*;
use serde_json::Value;
use thinkvla::model::init::prune_tokenizer::{Keep, prune};
use tokenizers::Tokenizer;

use crate::support::{CONTROL, real_tokenizer, tokenizer_file};

fn pruned(large: &Value, rows: usize) -> Tokenizer {
    let keep = Keep {
        rows,
        words: &["🔍"],
        control: &CONTROL,
    };
    Tokenizer::from_bytes(prune(large, keep).unwrap().to_string()).unwrap()
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn ids_are_dense_and_no_more_than_asked_for() {
    let small = pruned(&tokenizer_file(), 256 + 8 + 5);
    let mut all: Vec<u32> = small.get_vocab(true).into_values().collect();
    all.sort_unstable();
    assert_eq!(all, (0..256 + 8 + 5).collect::<Vec<_>>());
    assert_eq!(ids(&small, "🔍🔍🔍").len(), 3);
    assert_eq!(ids(&small, "<|reasoning_anchor|>").len(), 1);
}

#[test]
fn a_word_that_is_not_one_token_is_refused_by_name() {
    let keep = Keep {
        rows: 300,
        words: &["cube"],
        control: &CONTROL,
    };
    let error = prune(&tokenizer_file(), keep).unwrap_err().to_string();
    assert!(error.contains("cube"), "{error}");
    let keep = Keep {
        rows: 260,
        words: &[],
        control: &CONTROL,
    };
    assert!(prune(&tokenizer_file(), keep).is_err());
    assert!(prune(&serde_json::json!({"model": {"type": "WordPiece"}}), keep).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_survives_the_small_tokenizer(text in "[a-z \\n0-9éüß中文字🔍🤖.,!-]{0,60}") {
        let small = pruned(&tokenizer_file(), 272);
        // The tokenizer normalises to NFC; these texts are in NFC already.
        prop_assert_eq!(small.decode(&ids(&small, &text), false).unwrap(), text);
    }
}

#[test]
fn the_real_tokenizer_prunes_to_4096_rows() {
    let Some(path) = real_tokenizer() else {
        eprintln!("skipped: THINKVLA_TOKENIZER names no file");
        return;
    };
    let large: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let small = pruned(&large, 4096);
    assert_eq!(small.get_vocab_size(true), 4096);
    assert_eq!(ids(&small, &"🔍".repeat(16)).len(), 16);
    for text in [
        "Pick up the red cube, then place it at the left.",
        "把红色方块放进盒子里。",
        "Größe: 3.5 cm → 🤖\n\n",
    ] {
        assert_eq!(small.decode(&ids(&small, text), false).unwrap(), text);
    }
}
