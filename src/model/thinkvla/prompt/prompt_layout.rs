//! Texts that a prompt is made of.

use crate::model::config::{PromptStyle, TeacherAnchor, ThinkVlaConfig};

/// Text that StarVLA's Qwen3-VL-OFT appends to every instruction.
const STARVLA_ACTION: &str = " Please predict the next {chunk_len} robot actions: <action>{queries}<action>.";

/// Parts of the user's text.
#[derive(Debug)]
pub(super) struct Layout {
    /// The task, with the placeholder `{instruction}`.
    pub(super) task: String,
    /// The anchors, concatenated.
    pub(super) anchors: String,
    /// Text after the anchors.
    pub(super) action: String,
    /// Whether an instruction's trailing full stop is dropped.
    pub(super) drops_full_stop: bool,
    /// Texts of the teacher.
    pub(super) teacher: Vec<String>,
    /// Position of the teacher's anchors.
    pub(super) teacher_anchor: TeacherAnchor,
}

impl Layout {
    /// Returns the texts that a configuration names.
    pub(super) fn of(ours: &ThinkVlaConfig) -> Self {
        let fill = |text: &str| {
            text.replace("{chunk_len}", &ours.chunk_len.to_string())
                .replace("{queries}", &ours.action_token.repeat(ours.chunk_len as usize))
        };
        let (task, action) = match ours.prompt_style {
            PromptStyle::Thinkvla => {
                let (task, action) = ours
                    .prompt
                    .split_once("{anchor}")
                    .unwrap_or_else(|| end_of_task(&ours.prompt));
                (fill(task), fill(action))
            }
            PromptStyle::StarvlaOft => {
                let instruction = format!("{{instruction}}{}", fill(STARVLA_ACTION));
                (ours.prompt.replace("{instruction}", &instruction), String::new())
            }
        };
        let reasoning = ours.reasoning.as_ref();
        Self {
            task,
            anchors: ours.anchors().iter().map(|anchor| anchor.token.as_str()).collect(),
            action,
            drops_full_stop: ours.prompt_style == PromptStyle::Thinkvla,
            teacher: reasoning.map_or(Vec::new(), |reasoning| reasoning.teacher_prompt.texts().to_vec()),
            teacher_anchor: reasoning.map_or_else(TeacherAnchor::default, |reasoning| reasoning.teacher_anchor),
        }
    }
}

/// Splits a prompt without an anchor at its place: after the sentence with the instruction.
fn end_of_task(prompt: &str) -> (&str, &str) {
    let placeholder = "{instruction}";
    let behind = prompt
        .find(placeholder)
        .map_or(prompt.len(), |at| at + placeholder.len());
    let stop = prompt.get(behind..).is_some_and(|rest| rest.starts_with('.'));
    prompt
        .split_at_checked(behind + usize::from(stop))
        .unwrap_or((prompt, ""))
}
