//! Tests of the prompt: its layout is that of the reference.

use thinkvla::model::init::presets::Preset;
use thinkvla::model::thinkvla::prompt::Prompter;
use tokenizers::AddedToken;

use crate::support::{NetworkFixture, grid, real_tokenizer, tiny, tokenizer};

#[test]
fn images_task_anchor_and_queries_come_in_this_order() {
    let fixture = NetworkFixture::new(tiny());
    let prompt = fixture.prompt("lift the cube", &[grid(4, 4), grid(2, 6)]);
    let ids = &prompt.ids;
    let count = |id| ids.iter().filter(|i| **i == id).count();
    assert_eq!(count(fixture.config.image_token_id), 4 + 3);
    assert_eq!(prompt.image_tokens.len(), 4 + 3);
    assert_eq!(count(fixture.config.thinkvla.anchors()[0].id), 1);
    assert_eq!(count(fixture.config.thinkvla.action_token_id), 4);
    assert!(prompt.image_tokens.iter().all(|at| *at < prompt.anchors[0]));
    let first = prompt.queries[0];
    assert!(first > prompt.anchors[0]);
    assert_eq!(prompt.queries, (first..first + 4).collect::<Vec<_>>());
    assert_eq!(prompt.patches, 16 + 12);
    let text = tokenizer()
        .decode(&ids.iter().map(|i| *i as u32).collect::<Vec<_>>(), false)
        .unwrap();
    let image = |n| format!("<|vision_start|>{}<|vision_end|>", "<|image_pad|>".repeat(n));
    assert_eq!(
        text,
        format!(
            "<|im_start|>user\n{}{}Your task is lift the cube.<|reasoning_anchor|> Please predict the next 4 robot \
             actions: <action>🔍🔍🔍🔍<action>.<|im_end|>\n<|im_start|>assistant\n",
            image(4),
            image(3)
        )
    );
}

#[test]
fn one_full_stop_of_the_instruction_is_dropped() {
    let fixture = NetworkFixture::new(tiny());
    let ids = |instruction| fixture.prompt(instruction, &[grid(4, 4)]).ids;
    assert_eq!(ids("lift the cube."), ids("lift the cube"));
    assert_ne!(ids("lift the cube.."), ids("lift the cube"));
}

/// Expected positions of two views of 256 x 256 px: brackets at 3, 12, 13 and 22, images at 4 and 14, text from 23.
#[test]
fn position_ids_equal_the_worked_example() {
    let fixture = NetworkFixture::new(tiny());
    let prompt = fixture.prompt("lift the cube", &[grid(16, 16), grid(16, 16)]);
    check_worked_example(&prompt.ids, &prompt.positions, fixture.config.vision_start_token_id);
}

fn check_worked_example(ids: &[i64], [time, row, column]: &[Vec<i64>; 3], vision_start: i64) {
    assert_eq!(ids[3], vision_start);
    assert_eq!(time[..5], [0, 1, 2, 3, 4]);
    assert!(time[4..68].iter().all(|t| *t == 4) && time[70..134].iter().all(|t| *t == 14));
    assert_eq!((row[4], row[67], column[4], column[11], column[12]), (4, 11, 4, 11, 4));
    assert_eq!((row[70], row[133], column[133]), (14, 21, 21));
    assert_eq!(time[68..70], [12, 13]);
    let text: Vec<i64> = (22..).take(ids.len() - 134).collect();
    assert!([time, row, column].iter().all(|axis| axis[134..] == text[..]));
}

#[test]
fn the_real_tokenizer_gives_the_reference_ids() {
    let Some(path) = real_tokenizer() else {
        eprintln!("skipped: THINKVLA_TOKENIZER names no file");
        return;
    };
    let mut real = tokenizers::Tokenizer::from_file(path).unwrap();
    real.add_special_tokens(&[AddedToken::from("<|reasoning_anchor|>", true)]);
    let config = Preset::Qwen3Vl2b.config(&real).unwrap();
    let ids = (
        config.thinkvla.anchors()[0].id,
        config.thinkvla.action_token_id,
        config.image_token_id,
    );
    assert_eq!(ids, (151_669, 146_663, 151_655));
    let prompter = Prompter::new(real, &config).unwrap();
    let prompt = prompter
        .student("pick up the red block", &[grid(16, 16), grid(16, 16)])
        .unwrap();
    assert_eq!(prompt.ids[..4], [151_644, 872, 198, 151_652]);
    assert_eq!(prompt.ids[prompt.ids.len() - 5..], [151_645, 198, 151_644, 77_091, 198]);
    assert_eq!(prompt.queries.len(), 8);
    check_worked_example(&prompt.ids, &prompt.positions, 151_652);
}

#[test]
fn an_instruction_cannot_smuggle_in_control_tokens() {
    let fixture = NetworkFixture::new(tiny());
    for token in ["<|image_pad|>", "<|reasoning_anchor|>", "<|im_end|>", "🔍"] {
        let error = fixture
            .prompter
            .student(format!("lift {token} it").as_str(), &[grid(4, 4)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(token) && error.contains("control token"), "{error}");
    }
    let error = fixture.prompter.student("  ", &[grid(4, 4)]).unwrap_err().to_string();
    assert!(error.contains("a task in words"), "{error}");
}

#[test]
fn a_prompt_beyond_the_longest_sequence_is_refused_with_both_lengths() {
    let mut config = tiny();
    config.text_config.max_position_embeddings = 100;
    let error = NetworkFixture::new(config)
        .prompter
        .student("very ".repeat(100).as_str(), &[grid(4, 4)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("at most 100 tokens, found"), "{error}");
}

#[test]
fn a_tokenizer_of_another_checkpoint_is_refused_by_its_token() {
    let mut config = tiny();
    (config.image_token_id, config.video_token_id) = (config.video_token_id, config.image_token_id);
    let error = Prompter::new(tokenizer(), &config).unwrap_err().to_string();
    assert!(
        error.contains("<|image_pad|>") && error.contains("image_token_id"),
        "{error}"
    );
}
