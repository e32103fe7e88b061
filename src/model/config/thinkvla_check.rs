//! Validation of the `thinkvla` object; errors name the field.

use super::thinkvla::{PromptStyle, Proprio, ReadAt, ReasoningConfig, TeacherAnchor, ThinkVlaConfig};
use crate::model::config::check::{LARGEST, below, size};
use crate::model::error::ModelError;

impl ThinkVlaConfig {
    pub(in crate::model) fn validate(&self) -> Result<(), ModelError> {
        for (field, value) in [
            ("thinkvla.chunk_len", self.chunk_len),
            ("thinkvla.action_dim", self.action_dim),
            ("thinkvla.head_hidden", self.head_hidden),
            ("thinkvla.min_pixels", self.min_pixels),
            ("thinkvla.max_pixels", self.max_pixels),
        ] {
            size(field, value)?;
        }
        below("thinkvla.head_blocks", "limit", self.head_blocks, LARGEST)?;
        if self.min_pixels > self.max_pixels {
            return Err(ModelError::config(
                "thinkvla.min_pixels",
                format!("at most max_pixels, {}", self.max_pixels),
                self.min_pixels,
            ));
        }
        if self.action_token.is_empty() {
            return Err(ModelError::config("thinkvla.action_token", "a token", "nothing"));
        }
        match self.proprio {
            Proprio::Projected => size("thinkvla.state_dim", self.state_dim)?,
            Proprio::None | Proprio::Text if self.state_dim != 0 => {
                return Err(ModelError::config(
                    "thinkvla.state_dim",
                    "0, since proprio is not projected",
                    self.state_dim,
                ));
            }
            Proprio::None | Proprio::Text => {}
        }
        if let Some(geometry) = &self.geometry {
            size("thinkvla.geometry.width", geometry.width)?;
        }
        if let Some(reasoning) = &self.reasoning {
            reasoning.validate()?;
        }
        match self.prompt_style {
            PromptStyle::Thinkvla => self.validate_prompt(),
            PromptStyle::StarvlaOft => self.validate_starvla_prompt(),
        }
    }

    /// Checks the order of the prompt: anchors must attend to the task but not to the action text, and queries to the
    /// anchors.
    fn validate_prompt(&self) -> Result<(), ModelError> {
        let (parts, expected): (&[_], _) = match self.reasoning {
            Some(_) => (
                &["{instruction}", "{anchor}", "{queries}"],
                "{instruction}, then {anchor}, then {queries}, each once",
            ),
            None => (
                &["{instruction}", "{queries}"],
                "{instruction}, then {queries}, each once, and no {anchor}, since there is no thinkvla.reasoning",
            ),
        };
        let places: Option<Vec<usize>> = parts.iter().map(|part| unique_position(&self.prompt, part)).collect();
        let stray = self.reasoning.is_none() && self.prompt.contains("{anchor}");
        match places {
            Some(places) if places.is_sorted() && !stray => Ok(()),
            _ => Err(self.bad_prompt(expected)),
        }
    }

    fn validate_starvla_prompt(&self) -> Result<(), ModelError> {
        if self.reasoning.is_some() {
            return Err(ModelError::config(
                "thinkvla.reasoning",
                "nothing with prompt_style starvla_oft, whose prompt has no place for an anchor",
                "anchors",
            ));
        }
        let stray = ["{anchor}", "{queries}"].iter().any(|part| self.prompt.contains(part));
        match unique_position(&self.prompt, "{instruction}") {
            Some(_) if !stray => Ok(()),
            _ => Err(self.bad_prompt(
                "StarVLA's CoT_prompt with {instruction} once; action text and queries follow the instruction by \
                 themselves",
            )),
        }
    }

    fn bad_prompt(&self, expected: &str) -> ModelError {
        ModelError::config("thinkvla.prompt", expected, format!("{:?}", self.prompt))
    }
}

impl ReasoningConfig {
    fn validate(&self) -> Result<(), ModelError> {
        if self.read_at == ReadAt::TaskEnd {
            if !self.anchors.is_empty() {
                return Err(ModelError::config(
                    "thinkvla.reasoning.anchors",
                    "none with read_at task_end",
                    self.anchors.len(),
                ));
            }
            if self.teacher_anchor == TeacherAnchor::AssistantStart {
                return Err(ModelError::config(
                    "thinkvla.reasoning.teacher_anchor",
                    "user_end with read_at task_end, since the assistant says no anchor",
                    "assistant_start",
                ));
            }
        } else if self.anchors.is_empty() {
            return Err(ModelError::config(
                "thinkvla.reasoning.anchors",
                "at least one anchor; leave thinkvla.reasoning out for a network without",
                "none",
            ));
        }
        if self.anchors.iter().any(|anchor| anchor.token.is_empty()) {
            return Err(ModelError::config(
                "thinkvla.reasoning.anchors",
                "a token for each",
                "an empty one",
            ));
        }
        let texts = self.teacher_prompt.texts();
        // A text that begins with a letter begins a new token, so that the task before it keeps its tokens.
        let spoken = |text: &String| text.starts_with(char::is_alphabetic);
        if texts.is_empty() || !texts.iter().all(spoken) {
            return Err(ModelError::config(
                "thinkvla.reasoning.teacher_prompt",
                "a text, or several, each beginning with a letter",
                format!("{texts:?}"),
            ));
        }
        Ok(())
    }
}

/// Returns the position of `part` in `text`, if it occurs exactly once.
fn unique_position(text: &str, part: &str) -> Option<usize> {
    let mut places = text.match_indices(part);
    match (places.next(), places.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}
