//! Tests of the teacher: it gets the student's images and additional text, and its anchor states differ.

use tch::Tensor;
use thinkvla::model::config::TeacherTexts;
use thinkvla::model::thinkvla::prompt::Prompt;
use tokenizers::{AddedToken, Tokenizer};

use crate::support::{NetworkFixture, choices, distance, grid, pixels, real_tokenizer, tiny, tiny_variant, tokenizer};

const TASK: &str = "lift the cube";

fn text(prompt: &Prompt) -> String {
    let ids: Vec<u32> = prompt.ids.iter().map(|id| *id as u32).collect();
    let text = tokenizer().decode(&ids, false).unwrap();
    text.split_once("<|vision_end|>").unwrap().1.to_owned()
}

/// States of the anchor in a prompt.
fn anchor(fixture: &NetworkFixture, prompt: Prompt) -> Tensor {
    let grids = [grid(4, 4)];
    let encoded = fixture
        .network
        .encode_images(&pixels(&fixture.config, &grids, 3), &fixture.images(&grids))
        .unwrap();
    fixture
        .network
        .forward_text(&encoded, &fixture.plan(&[prompt]))
        .unwrap()
        .anchors
}

#[test]
fn the_teacher_s_anchor_stands_behind_what_it_is_told() {
    let knowledge = "Think of distances.";
    let teach = |place: &str| {
        let set = [
            format!("reasoning.teacher_prompt={knowledge}"),
            format!("reasoning.teacher_anchor={place}"),
        ];
        let fixture = NetworkFixture::new(tiny_variant(&choices([&set[0], &set[1]])));
        text(&fixture.prompter.teacher(TASK, &[grid(4, 4)], 0).unwrap().prompt)
    };
    assert_eq!(
        teach("user_end"),
        "Your task is lift the cube. Think of distances.<|reasoning_anchor|><|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        teach("assistant_start"),
        "Your task is lift the cube. Think of distances.<|im_end|>\n<|im_start|>assistant\n<|reasoning_anchor|>"
    );
}

#[test]
fn images_and_task_are_the_same_tokens_for_teacher_and_student() {
    let fixture = NetworkFixture::new(tiny());
    for instruction in [
        "lift the cube",
        "lift the cube.",
        "put it at 3",
        "stop!",
        "nimm den W\u{fc}rfel",
    ] {
        let grids = [grid(4, 4), grid(2, 6)];
        let student = fixture.prompt(instruction, &grids);
        let teacher = fixture.prompter.teacher(instruction, &grids, 0).unwrap();
        assert_eq!(teacher.shared as i64, student.anchors[0], "{instruction}");
        let shared = |prompt: &Prompt| {
            let positions = prompt.positions.each_ref().map(|axis| axis[..teacher.shared].to_vec());
            (prompt.ids[..teacher.shared].to_vec(), positions)
        };
        assert_eq!(shared(&teacher.prompt), shared(&student), "{instruction}");
        assert!(teacher.prompt.queries.is_empty());
        assert_eq!(teacher.prompt.image_tokens, student.image_tokens);
    }
}

#[test]
fn the_real_tokenizer_keeps_the_task_for_every_text_of_the_teacher() {
    let Some(path) = real_tokenizer() else {
        eprintln!("skipped: THINKVLA_TOKENIZER names no file");
        return;
    };
    let mut real = Tokenizer::from_file(path).unwrap();
    real.add_special_tokens(&[AddedToken::from("<|reasoning_anchor|>", true)]);
    let config = thinkvla::model::init::presets::Preset::Qwen3Vl2b.config(&real).unwrap();
    let prompter = thinkvla::model::thinkvla::prompt::Prompter::new(real, &config).unwrap();
    let teacher = prompter.teacher("pick up the red block", &[grid(16, 16)], 0).unwrap();
    let student = prompter.student("pick up the red block", &[grid(16, 16)]).unwrap();
    assert_eq!(teacher.prompt.ids[..teacher.shared], student.ids[..teacher.shared]);
    assert_eq!(teacher.prompt.anchors.len(), 1);
    assert!(
        teacher.prompt.anchors[0] > student.anchors[0] + 30,
        "behind the teacher's words"
    );
}

#[test]
fn the_teacher_thinks_otherwise_than_the_student() {
    for place in ["user_end", "assistant_start"] {
        let fixture = NetworkFixture::new(tiny_variant(&choices([&format!("reasoning.teacher_anchor={place}")])));
        let grids = [grid(4, 4)];
        let student = anchor(&fixture, fixture.prompt(TASK, &grids));
        let teacher = anchor(&fixture, fixture.prompter.teacher(TASK, &grids, 0).unwrap().prompt);
        assert!(distance(&student, &teacher) > 1e-3, "{place}");
    }
}

/// The control: an anchor before the teacher's words does not depend on them.
#[test]
fn an_anchor_before_the_teacher_s_words_has_the_student_s_state() {
    let knowledge = TeacherTexts::default();
    let before = tiny_variant(&choices([&format!(
        "prompt=Your task is {{instruction}}.{{anchor}} {}{{queries}}",
        knowledge.texts()[0]
    )]));
    let grids = [grid(4, 4)];
    let (usual, before) = (NetworkFixture::new(tiny()), NetworkFixture::new(before));
    let student = anchor(&usual, usual.prompt(TASK, &grids));
    let same = anchor(&before, before.prompt(TASK, &grids));
    assert!(distance(&student, &same) < 2e-5);
}

#[test]
fn a_step_draws_one_of_several_texts() {
    let fixture = NetworkFixture::new(tiny_variant(&choices([
        r#"reasoning.teacher_prompt=["Think of near things.", "Think of far things."]"#,
    ])));
    assert_eq!(fixture.prompter.teacher_texts(), 2);
    let teach = |choice| fixture.prompter.teacher(TASK, &[grid(4, 4)], choice);
    assert!(text(&teach(0).unwrap().prompt).contains(" Think of near things.<|"));
    assert!(text(&teach(1).unwrap().prompt).contains(" Think of far things.<|"));
    let error = teach(2).unwrap_err().to_string();
    assert!(
        error.contains("a text number 2") && error.contains("found 2 texts"),
        "{error}"
    );
}

#[test]
fn the_teacher_cannot_be_told_control_tokens() {
    let fixture = NetworkFixture::new(tiny_variant(&choices(["reasoning.teacher_prompt=Look <|image_pad|>"])));
    let error = fixture
        .prompter
        .teacher(TASK, &[grid(4, 4)], 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("teacher_prompt") && error.contains("<|image_pad|>"),
        "{error}"
    );
}

#[test]
fn without_reasoning_there_is_no_teacher() {
    let fixture = NetworkFixture::new(tiny_variant(&choices(["reasoning=null"])));
    let error = fixture
        .prompter
        .teacher(TASK, &[grid(4, 4)], 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("teacher_prompt") && error.contains("found 0 texts"),
        "{error}"
    );
}
