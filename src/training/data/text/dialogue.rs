//! Converts rows of questions and answers, of either form, to conversations.

use std::path::{Path, PathBuf};

use crate::model::generate::chat_labels::{ConversationTurn, UserPart};

use super::rows::{OneOrMore, Row, RowTurn};

/// Marker of an image in Qwen-VL's finetuning files.
const IMAGE: &str = "<image>";

/// Conversation and the images that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// Files of the images, in the order they are shown.
    pub pictures: Vec<PathBuf>,
    /// Turns of the conversation.
    pub turns: Vec<ConversationTurn>,
    /// Whether it is one of SpatialReasoner's questions about space.
    pub spatial: bool,
}

/// Error of a row that is no conversation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialogueError {
    /// SpatialReasoner's question has no answer.
    #[error("answer_cot: expected the answer to the question, found nothing")]
    NoAnswerToQuestion,
    /// SpatialReasoner's question has no image.
    #[error("image_filename: expected the picture of the question, found nothing")]
    NoPicture,
    /// Images are named in two fields.
    #[error("expected pictures in image or in image_path, found both")]
    BothPictures,
    /// A turn is not of the speaker whose turn it is.
    #[error("turn {turn}, from: expected {expected}, found {found:?}")]
    Speaker {
        /// Number of the turn, from 0.
        turn: usize,
        /// Speaker whose turn it is.
        expected: &'static str,
        /// Speaker found.
        found: String,
    },
    /// The user's turn of this number is empty.
    #[error("turn {0}, value: expected words or {image}, found nothing", image = IMAGE)]
    NoWords(usize),
    /// The assistant's turn of this number is empty.
    #[error("turn {0}, value: expected an answer, found nothing")]
    NoAnswer(usize),
    /// There is no answer among so many turns.
    #[error("conversations: expected a question and an answer, found {0} turns")]
    Turns(usize),
    /// There are not as many markers as images.
    #[error("expected {image} once for each of {expected} pictures, found {found}", image = IMAGE)]
    Markers {
        /// Number of images.
        expected: usize,
        /// Number of markers.
        found: usize,
    },
}

impl Row {
    /// Returns the conversation of the row. Names of images are relative to `folder`.
    ///
    /// # Errors
    /// When the row has no valid conversation; says what was expected and found.
    pub fn dialogue(&self, folder: &Path) -> Result<Dialogue, DialogueError> {
        let (pictures, turns, spatial) = match self.question.as_deref().filter(|question| !question.is_empty()) {
            Some(question) => (
                self.image_filename.clone().into_iter().collect(),
                self.ask(question)?,
                true,
            ),
            None => (self.shown()?, self.turns()?, false),
        };
        Ok(Dialogue {
            pictures: pictures.into_iter().map(|name| folder.join(name)).collect(),
            turns,
            spatial,
        })
    }

    /// Returns the turns of SpatialReasoner's question: image, question and options, and the answer step by step.
    fn ask(&self, question: &str) -> Result<Vec<ConversationTurn>, DialogueError> {
        let answers = [("A", &self.a), ("B", &self.b), ("C", &self.c), ("D", &self.d)];
        let given = answers.into_iter().filter_map(|(letter, text)| {
            let text = text.as_deref().filter(|text| !text.is_empty())?;
            Some(format!("{letter}. {text}\n"))
        });
        let options: String = given.collect();
        let user_text = match options.is_empty() {
            true => question.to_owned(),
            false => format!(
                "Question: {question}\nOptions:\n{options}Please select the correct answer from the options above."
            ),
        };
        let answer = self.answer_cot.as_deref().filter(|answer| !answer.trim().is_empty());
        let answer = answer.ok_or(DialogueError::NoAnswerToQuestion)?;
        if self.image_filename.is_none() {
            return Err(DialogueError::NoPicture);
        }
        let user = vec![UserPart::Image, UserPart::Text(user_text)];
        Ok(vec![
            ConversationTurn::User(user),
            ConversationTurn::Assistant(answer.to_owned()),
        ])
    }

    fn shown(&self) -> Result<Vec<String>, DialogueError> {
        match (&self.image, &self.image_path) {
            (None, None) => Ok(Vec::new()),
            (None, Some(one)) if one.is_empty() => Ok(Vec::new()),
            (Some(OneOrMore::One(one)), None) | (None, Some(one)) => Ok(vec![one.clone()]),
            (Some(OneOrMore::More(names)), None) => Ok(names.clone()),
            (Some(_), Some(_)) => Err(DialogueError::BothPictures),
        }
    }

    fn turns(&self) -> Result<Vec<ConversationTurn>, DialogueError> {
        let rows = self.conversations.as_deref().unwrap_or_default();
        let (mut turns, mut places) = (Vec::with_capacity(rows.len()), 0);
        for (number, one) in rows.iter().enumerate() {
            let human = number % 2 == 0;
            let expected = if human { ["human", "user"] } else { ["gpt", "assistant"] };
            if !expected.contains(&one.from.as_str()) {
                return Err(DialogueError::Speaker {
                    turn: number,
                    expected: expected[0],
                    found: one.from.clone(),
                });
            }
            turns.push(match human {
                true => {
                    let parts = parts(one, self.image_path.is_some());
                    places += parts.iter().filter(|part| **part == UserPart::Image).count();
                    if parts.is_empty() {
                        return Err(DialogueError::NoWords(number));
                    }
                    ConversationTurn::User(parts)
                }
                false if one.value.trim().is_empty() => {
                    return Err(DialogueError::NoAnswer(number));
                }
                false => ConversationTurn::Assistant(one.value.clone()),
            });
        }
        if !turns.iter().any(|turn| matches!(turn, ConversationTurn::Assistant(_))) {
            return Err(DialogueError::Turns(turns.len()));
        }
        let pictures = self.shown()?.len();
        if places != pictures {
            return Err(DialogueError::Markers {
                expected: pictures,
                found: places,
            });
        }
        Ok(turns)
    }
}

/// Splits a user's turn into images and texts; in SpatialReasoner's table the image comes first, wherever its marker
/// stands.
fn parts(turn: &RowTurn, image_first: bool) -> Vec<UserPart> {
    let mut parts = Vec::new();
    for (number, text) in turn.value.split(IMAGE).enumerate() {
        if number > 0 {
            parts.push(UserPart::Image);
        }
        let text = text.trim();
        if !text.is_empty() {
            parts.push(UserPart::Text(text.to_owned()));
        }
    }
    if image_first {
        // Stable, so texts stay in order.
        parts.sort_by_key(|part| *part != UserPart::Image);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(json: &str) -> Result<Dialogue, DialogueError> {
        serde_json::from_str::<Row>(json)
            .unwrap()
            .dialogue(Path::new("pictures"))
    }

    fn text(text: &str) -> UserPart {
        UserPart::Text(text.into())
    }

    #[test]
    fn qwen_s_conversations_show_pictures_where_they_are_marked() {
        let found = dialogue(
            r#"{"id": 3, "image": ["a.png", "b.jpg"], "conversations": [
                {"from": "human", "value": "<image>\nFirst, then <image>\n what changed?\n"},
                {"from": "gpt", "value": "The cup moved."},
                {"from": "human", "value": "Where to?"},
                {"from": "gpt", "value": " Left."}]}"#,
        )
        .unwrap();
        let expected = vec![
            ConversationTurn::User(vec![
                UserPart::Image,
                text("First, then"),
                UserPart::Image,
                text("what changed?"),
            ]),
            ConversationTurn::Assistant("The cup moved.".into()),
            ConversationTurn::User(vec![text("Where to?")]),
            ConversationTurn::Assistant(" Left.".into()),
        ];
        assert_eq!(found.turns, expected);
        assert_eq!(
            found.pictures,
            [PathBuf::from("pictures/a.png"), "pictures/b.jpg".into()]
        );
        assert!(!found.spatial);
    }

    #[test]
    fn spatial_reasoner_s_questions_offer_what_there_is_to_choose_from() {
        let found = dialogue(
            r#"{"question": "Which is higher?", "A": "cup", "B": "can", "C": null, "answer": "B",
                "answer_cot": "The 3D location of ... So B.", "image_filename": "x.jpg", "conversations": []}"#,
        )
        .unwrap();
        let asked = "Question: Which is higher?\nOptions:\nA. cup\nB. can\nPlease select the correct answer from the \
                    options above.";
        let answer = ConversationTurn::Assistant("The 3D location of ... So B.".into());
        assert_eq!(
            found.turns,
            [ConversationTurn::User(vec![UserPart::Image, text(asked)]), answer]
        );
        assert!(found.spatial);
        let open = dialogue(r#"{"question": "How far?", "answer_cot": "1 m", "image_filename": "x.jpg"}"#).unwrap();
        assert_eq!(
            open.turns[0],
            ConversationTurn::User(vec![UserPart::Image, text("How far?")])
        );
    }

    #[test]
    fn spatial_reasoner_s_general_rows_show_the_picture_first() {
        let found = dialogue(
            r#"{"question": "", "image_path": "coco/1.jpg", "conversations": [
                {"from": "human", "value": "What is this?\n<image>"}, {"from": "gpt", "value": "A cat."}]}"#,
        )
        .unwrap();
        assert_eq!(
            found.turns[0],
            ConversationTurn::User(vec![UserPart::Image, text("What is this?")])
        );
        assert!(!found.spatial);
    }

    #[test]
    fn rows_that_cannot_be_learned_from_say_why() {
        let row = |image: &str, turns: &str| format!(r#"{{{image} "conversations": [{turns}]}}"#);
        let human = r#"{"from": "human", "value": "<image> What?"}"#;
        let robot = r#"{"from": "gpt", "value": "This."}"#;
        for (row, expected) in [
            (row("", &format!("{human}, {robot}")), "each of 0 pictures, found 1"),
            (
                row(r#""images": ["a", "b"],"#, &format!("{human}, {robot}")),
                "each of 2 pictures, found 1",
            ),
            (
                row(r#""image": "a","#, robot),
                "turn 0, from: expected human, found \"gpt\"",
            ),
            (
                row(r#""image": "a","#, human),
                "expected a question and an answer, found 1 turns",
            ),
            (
                row(
                    r#""image": "a","#,
                    &format!(r#"{human}, {{"from": "gpt", "value": " "}}"#),
                ),
                "turn 1, value: expected an answer",
            ),
            (row("", ""), "found 0 turns"),
            (
                r#"{"question": "Q?", "image_filename": "x.jpg"}"#.into(),
                "answer_cot: expected",
            ),
            (
                r#"{"question": "Q?", "answer_cot": "x"}"#.into(),
                "image_filename: expected",
            ),
        ] {
            let error = dialogue(&row).unwrap_err().to_string();
            assert!(error.contains(expected), "{row}: {error}");
        }
    }
}
