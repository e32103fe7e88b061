//! Makes topic names that ROS 2 accepts from names of columns, which may be nearly anything.

use std::collections::BTreeSet;

/// Maximum length of the part of a topic made of a column's name; ROS 2 accepts topics of up to 247 characters.
const LONGEST: usize = 180;

/// Topics of a recording, each assigned once.
#[derive(Debug, Default)]
pub(super) struct TopicNames {
    taken: BTreeSet<String>,
}

/// Wanted topic: the name of a column between a prefix and a suffix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Prefix, e.g. `/camera/`.
    pub before: &'static str,
    /// Name of the column.
    pub column: &'a str,
    /// Suffix, e.g. `/image/compressed`.
    pub after: &'static str,
}

impl Wanted<'_> {
    fn topic(&self, part: &str) -> String {
        format!("{}{part}{}", self.before, self.after)
    }
}

impl TopicNames {
    /// Reserves these topics, which have a fixed meaning.
    pub fn except(reserved: &[&str]) -> Self {
        Self {
            taken: reserved.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    /// Returns for each of `wanted` the part of its topic that stands for the column. Names that ROS 2 accepts are
    /// kept; of others that become the same name, the second gets the suffix `_2`.
    pub fn assign(&mut self, wanted: &[Wanted<'_>]) -> Vec<String> {
        let mut parts = vec![String::new(); wanted.len()];
        for accepted in [true, false] {
            for (wanted, assigned) in wanted.iter().zip(&mut parts) {
                let part = part(wanted.column);
                if (part == wanted.column.replace('.', "/")) == accepted {
                    *assigned = self.free(wanted, &part);
                }
            }
        }
        parts
    }

    fn free(&mut self, wanted: &Wanted<'_>, part: &str) -> String {
        let numbered = (2..).map(|number| format!("{part}_{number}"));
        let mut candidates = std::iter::once(part.to_owned()).chain(numbered);
        let free = candidates.find(|part| self.taken.insert(wanted.topic(part)));
        free.unwrap_or_default()
    }
}

/// Converts a column's name to a part of a topic; dots separate tokens.
fn part(column: &str) -> String {
    let tokens: Vec<String> = column.split(['.', '/']).map(token).collect();
    let mut part = tokens.join("/");
    part.truncate(LONGEST);
    part.trim_end_matches(['/', '_']).to_owned()
}

/// Converts a name to a token of letters, digits and single underscores. It begins with a letter: ROS 2 refuses a
/// leading digit, and a leading underscore would hide the topic.
fn token(name: &str) -> String {
    let mut token = String::new();
    for letter in name.chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() => token.push(letter),
            _ if token.ends_with('_') => {}
            _ => token.push('_'),
        }
    }
    let token = token.trim_matches('_');
    if token.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return token.to_owned();
    }
    format!("n{token}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(columns: &[&str]) -> Vec<String> {
        let wanted: Vec<_> = columns
            .iter()
            .map(|column| Wanted {
                before: "/camera/",
                column,
                after: "/image/compressed",
            })
            .collect();
        TopicNames::default().assign(&wanted)
    }

    /// Checks a topic like `rmw_validate_full_topic_name`, and refuses what ROS 2 hides or only tolerates.
    fn is_accepted(topic: &str) -> bool {
        let tokens: Vec<_> = topic.split('/').skip(1).collect();
        topic.starts_with('/')
            && topic.len() <= 247
            && tokens.iter().all(|token| {
                token.starts_with(|c: char| c.is_ascii_alphabetic())
                    && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !token.contains("__")
            })
    }

    #[test]
    fn names_that_ros_accepts_are_kept_and_others_are_made_so() {
        assert_eq!(
            parts(&["top", "wrist.left", "cam_high"]),
            ["top", "wrist/left", "cam_high"]
        );
        assert_eq!(
            parts(&["0", "cam-left", "_x", "a..b", "", "über", "手"]),
            ["n0", "cam_left", "x", "a/n/b", "n", "ber", "n_2"]
        );
    }

    #[test]
    fn two_columns_never_share_a_topic_and_one_that_is_accepted_keeps_its_name() {
        assert_eq!(
            parts(&["cam-left", "cam left", "cam_left"]),
            ["cam_left_2", "cam_left_3", "cam_left"]
        );
        let mut names = TopicNames::except(&["/instruction"]);
        let wanted = |column| Wanted {
            before: "/",
            column,
            after: "",
        };
        let found = names.assign(&[wanted("instruction"), wanted("a.b"), wanted("a/b")]);
        assert_eq!(found, ["instruction_2", "a/b", "a/b_2"]);
    }

    proptest! {
        #[test]
        fn whatever_columns_are_called_topics_are_accepted(
            columns in prop::collection::btree_set(prop_oneof!["[-_.0-9ab]{0,6}", ".{0,12}", "[a.]{300}"], 1..12)
        ) {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let found = parts(&columns);
            let topics: BTreeSet<String> = found.iter().map(|part| format!("/camera/{part}/image/compressed")).collect();
            prop_assert_eq!(topics.len(), columns.len());
            prop_assert!(topics.iter().all(|topic| is_accepted(topic)), "{:?}", topics);
        }
    }
}
