//! Names of a column's values, in all forms that `meta/info.json` may have, and in the order of the file.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Advice where names are not understood.
const ADVICE: &str = "write one name for each value into meta/info.json, as a list ([\"x\", \"y\"]) or each with its \
                      place ({\"x\": 0, \"y\": 1}), or null if the values have the expected order";
/// Maximum number of names in a message.
const SHOWN: usize = 32;
/// Key of the name of a value that is described by an object.
const NAME: &str = "name";
/// Keys of the place of a value that is described by an object.
const PLACES: [&str; 3] = ["index", "place", "position"];

/// Names of a column's values as they are written. Maps of [`Value`] would sort their keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Names {
    /// No names.
    #[default]
    Null,
    /// A name.
    One(String),
    /// Place of a value in a row.
    Place(u64),
    /// Anything that is neither a name nor a place.
    Other(Value),
    /// A list.
    List(Vec<Names>),
    /// Groups by name, or names with their places.
    Groups(Vec<(String, Names)>),
}

/// Error when names are not understood, with advice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; {ADVICE}")]
pub struct NamesError(NamesProblem);

/// Reason why names are not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NamesProblem {
    /// There are more or fewer names than values.
    #[error("expected {expected} names, one for each value, found {found}: {}", .names.join(", "))]
    Count {
        expected: usize,
        found: usize,
        /// The first names.
        names: Vec<String>,
    },
    /// Several lists could be the names; these are their own.
    #[error("expected one list of {count} different names, found {} and {last}", .others.join(", "))]
    Lists {
        count: usize,
        others: Vec<String>,
        last: String,
    },
    /// Something else is in the place of names.
    #[error("expected names, found {0}")]
    Other(String),
    /// Only some names have places, and this one has none.
    #[error("expected a place for each name or for none, found none for {0}")]
    NoPlace(String),
    /// A place is beyond the last.
    #[error("expected places from 0 to {last}, found {place} for {name}")]
    Beyond { last: usize, place: usize, name: String },
    /// Two names have one place.
    #[error("expected each place once, found place {place} for {other} and for {name}")]
    Twice { place: usize, other: String, name: String },
}

/// A name, and its place if that is written.
type Entry = (Option<usize>, String);

impl Names {
    /// Returns the name of each of `count` values in their order; nothing if there are no names.
    ///
    /// # Errors
    /// When there is not one name for each value, or it is not clear which is whose.
    pub fn of_values(&self, count: usize) -> Result<Option<Vec<String>>, NamesError> {
        self.understood(count).map_err(NamesError)
    }

    fn understood(&self, count: usize) -> Result<Option<Vec<String>>, NamesProblem> {
        let all = self.entries();
        match all {
            Ok(all) if all.is_empty() => Ok(None),
            // The name of the whole vector: openpi's examples call all seven values "actions".
            Ok(all) if count > 1 && matches!(all.as_slice(), [(None, _)]) => Ok(None),
            Ok(all) if all.len() == count => in_places(all).map(Some),
            all => {
                if let Some(names) = self.beside_others(count)? {
                    return Ok(Some(names));
                }
                let all = all?;
                Err(NamesProblem::Count {
                    expected: count,
                    found: all.len(),
                    names: all.into_iter().take(SHOWN).map(|(_, name)| name).collect(),
                })
            }
        }
    }

    /// Returns the names from the only list that can be them, where lists of equal length lie side by side: names and
    /// units.
    fn beside_others(&self, count: usize) -> Result<Option<Vec<String>>, NamesProblem> {
        let Self::Groups(groups) = self else { return Ok(None) };
        if let [(_, only)] = groups.as_slice() {
            return only.beside_others(count);
        }
        let as_long = |names: &Self| matches!(names, Self::List(list) if list.len() == count);
        if !groups.iter().all(|(_, names)| as_long(names)) {
            return Ok(None);
        }
        let fitting = groups.iter().filter_map(|(group, names)| {
            let names = names.entries().and_then(in_places).ok()?;
            let different: BTreeSet<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            let fits = different.len() == count && !different.contains("");
            fits.then_some((group.as_str(), names))
        });
        let mut fitting: Vec<_> = fitting.collect();
        match (fitting.pop(), fitting.len()) {
            (Some((_, names)), 0) => Ok(Some(names)),
            (Some((last, _)), _) => {
                let others = fitting.iter().map(|(group, _)| (*group).to_owned());
                Err(NamesProblem::Lists {
                    count,
                    others: others.collect(),
                    last: last.to_owned(),
                })
            }
            (None, _) => Ok(None),
        }
    }

    /// Collects all names at any depth.
    fn entries(&self) -> Result<Vec<Entry>, NamesProblem> {
        let mut all = Vec::new();
        self.collect(&mut all)?;
        Ok(all)
    }

    fn collect(&self, all: &mut Vec<Entry>) -> Result<(), NamesProblem> {
        match self {
            Self::Null => (),
            Self::One(name) => all.push((None, name.clone())),
            Self::Place(_) | Self::Other(_) => {
                let found = serde_json::to_string(self).unwrap_or_default();
                return Err(NamesProblem::Other(found));
            }
            Self::List(list) => {
                for names in list {
                    match names.described() {
                        Some(entry) => all.push(entry),
                        None => names.collect(all)?,
                    }
                }
            }
            Self::Groups(groups) => match placed(groups) {
                Some(entries) => all.extend(entries),
                None => groups.iter().try_for_each(|(_, names)| names.collect(all))?,
            },
        }
        Ok(())
    }

    /// Returns the name of a value that is described by an object: `{"name": "x", "unit": "m"}`.
    fn described(&self) -> Option<Entry> {
        let Self::Groups(parts) = self else { return None };
        let part = |wanted: &str| parts.iter().find(|(key, _)| key == wanted).map(|(_, part)| part);
        let Some(Self::One(name)) = part(NAME) else { return None };
        let place = PLACES.into_iter().find_map(|key| part(key)?.place());
        Some((place, name.clone()))
    }

    /// Returns the place that is written as a number or as text.
    fn place(&self) -> Option<usize> {
        match self {
            Self::Place(place) => usize::try_from(*place).ok(),
            Self::One(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Returns the names of an object from names to places, or from places to names.
fn placed(groups: &[(String, Names)]) -> Option<Vec<Entry>> {
    let by_name = groups
        .iter()
        .map(|(name, place)| Some((Some(place.place()?), name.clone())));
    let by_place = groups.iter().map(|(place, name)| match name {
        Names::One(name) => Some((Some(place.parse::<usize>().ok()?), name.clone())),
        _ => None,
    });
    let by_name: Option<Vec<Entry>> = by_name.collect();
    by_name.or_else(|| by_place.collect())
}

/// Sorts names by their places, where these are written.
fn in_places(entries: Vec<Entry>) -> Result<Vec<String>, NamesProblem> {
    if entries.iter().all(|(place, _)| place.is_none()) {
        return Ok(entries.into_iter().map(|(_, name)| name).collect());
    }
    let last = entries.len().saturating_sub(1);
    let mut names: Vec<Option<String>> = vec![None; entries.len()];
    for (place, name) in entries {
        let Some(place) = place else {
            return Err(NamesProblem::NoPlace(name));
        };
        match names.get_mut(place) {
            None => return Err(NamesProblem::Beyond { last, place, name }),
            Some(Some(other)) => {
                let other = other.clone();
                return Err(NamesProblem::Twice { place, other, name });
            }
            Some(free) => *free = Some(name),
        }
    }
    Ok(names.into_iter().flatten().collect())
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::One(name) => serializer.serialize_str(name),
            Self::Place(place) => serializer.serialize_u64(*place),
            Self::Other(value) => value.serialize(serializer),
            Self::List(list) => serializer.collect_seq(list),
            Self::Groups(groups) => serializer.collect_map(groups.iter().map(|(name, names)| (name, names))),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// Reads [`Names`].
struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names, or lists by group")
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Names, E> {
        Ok(Names::Other(value.into()))
    }

    fn visit_u64<E>(self, place: u64) -> Result<Names, E> {
        Ok(Names::Place(place))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Names, E> {
        Ok(u64::try_from(value).map_or_else(|_| Names::Other(value.into()), Names::Place))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Names, E> {
        Ok(Names::Other(value.into()))
    }

    fn visit_str<E>(self, name: &str) -> Result<Names, E> {
        Ok(Names::One(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        Ok(Names::List(names))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut groups = Vec::new();
        while let Some(group) = map.next_entry()? {
            groups.push(group);
        }
        Ok(Names::Groups(groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Names {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn names_have_the_order_of_the_file_or_of_their_places() {
        for json in [
            r#"["x","y","grip"]"#,
            r#"[["x","y","grip"]]"#,
            r#"{"motors":["x","y","grip"]}"#,
            r#"{"tool":["x","y"],"gripper":["grip"]}"#,
            r#"{"tool":{"p":["x"],"q":["y"]},"gripper":"grip"}"#,
            r#"{"tool":{"q":["x"],"p":["y"]},"gripper":"grip"}"#,
            r#"{"z":{"tool":{"q":["x"],"p":["y"]}},"a":["grip"]}"#,
            r#"{"grip":2,"x":0,"y":1}"#,
            r#"{"motors":{"grip":2,"x":0,"y":1}}"#,
            r#"{"motors":{"grip":"2","x":"0","y":"1"}}"#,
            r#"{"2":"grip","1":"y","0":"x"}"#,
            r#"[{"name":"x","unit":"m"},{"name":"y","unit":"m"},{"name":"grip","unit":""}]"#,
            r#"[{"name":"grip","index":2},{"name":"x","index":0},{"name":"y","index":1}]"#,
            r#"{"units":["m","m",""],"axes":["x","y","grip"]}"#,
            r#"{"axes":["x","y","grip"],"scale":[1.0,1.0,-2]}"#,
        ] {
            let found = read(json);
            let names = found.of_values(3).unwrap().unwrap();
            assert_eq!(names, ["x", "y", "grip"], "{json}");
            assert_eq!(serde_json::to_string(&found).unwrap(), json);
        }
        for json in ["null", "[]", "{}", r#"{"motors":null}"#] {
            assert_eq!(read(json).of_values(3), Ok(None), "{json}");
        }
    }

    #[test]
    fn names_that_are_not_clear_are_refused_with_what_to_write() {
        for (json, problem) in [
            (r#"["x","y"]"#, "expected 3 names, one for each value, found 2: x, y"),
            (r#"{"tool":["x","y"],"gripper":[]}"#, "found 2: x, y"),
            (r#"{"tool":["x","y","z"],"gripper":["grip"]}"#, "found 4: x, y, z, grip"),
            (r#"{"x":0,"y":0,"grip":2}"#, "found place 0 for x and for y"),
            (
                r#"{"x":1,"y":2,"grip":3}"#,
                "expected places from 0 to 2, found 3 for grip",
            ),
            (r#"{"arm":{"x":0,"y":1},"hand":["grip"]}"#, "found none for grip"),
            (r#"{"x":0,"y":1,"grip":-1}"#, "expected names, found 0"),
            (r#"[0,1,2]"#, "expected names, found 0"),
            (
                r#"{"axes":["x","y","grip"],"frames":["a","b","c"]}"#,
                "expected one list of 3 different names, found axes and frames",
            ),
            (r#"{"a":["m","m","m"],"b":["s","s","s"]}"#, "found 6: m, m, m"),
        ] {
            let said = read(json).of_values(3).unwrap_err().to_string();
            assert!(said.contains(problem) && said.ends_with(ADVICE), "{json}: {said}");
        }
    }
}
