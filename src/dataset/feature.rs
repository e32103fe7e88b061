//! Descriptions of the columns of a dataset.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Type of a feature's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floating-point numbers.
    Float32,
    /// 64-bit floating-point numbers.
    Float64,
    /// 64-bit integers.
    Int64,
    /// Encoded images, one in each row.
    Image,
    /// Images in a video file.
    Video,
    /// Any other type, which is not read.
    #[serde(untagged)]
    Other(String),
}

/// Names of a column's values, as written in `meta/info.json`.
#[derive(Debug, Clone, PartialEq)]
pub enum Names {
    /// A list, flat or nested, or null.
    List(Value),
    /// Lists by group, in the order of the values.
    Groups(Vec<(String, Value)>),
}

impl Default for Names {
    fn default() -> Self {
        Self::List(Value::Null)
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::List(list) => list.serialize(serializer),
            Self::Groups(groups) => serializer.collect_map(groups.iter().map(|(name, list)| (name, list))),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// Reads [`Names`] with their groups in the order of the file, which a map of [`Value`] does not keep.
struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names, or lists by group")
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names::default())
    }

    fn visit_str<E>(self, name: &str) -> Result<Names, E> {
        Ok(Names::List(name.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element::<Value>()? {
            names.push(name);
        }
        Ok(Names::List(names.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut groups = Vec::new();
        while let Some(group) = map.next_entry()? {
            groups.push(group);
        }
        Ok(Names::Groups(groups))
    }
}

/// Description of a column in `meta/info.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Type of the values.
    pub dtype: Dtype,
    /// Shape of one row; height, width, channels for images.
    pub shape: Vec<usize>,
    /// Names of the values: a list, or lists within a list or an object.
    #[serde(default)]
    pub names: Names,
    /// Properties of a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Value>,
}

impl Feature {
    /// Returns the description of a vector of named 32-bit numbers.
    pub fn vector(names: &[String]) -> Self {
        Self {
            dtype: Dtype::Float32,
            shape: vec![names.len()],
            names: Names::List(names.into()),
            info: None,
        }
    }

    /// Returns the description of images of this size (px) in the rows.
    pub fn image(width: u32, height: u32) -> Self {
        Self {
            dtype: Dtype::Image,
            shape: vec![height as usize, width as usize, 3],
            names: Names::List(["height", "width", "channels"].map(Value::from).to_vec().into()),
            info: None,
        }
    }

    /// Returns the description of one number per row.
    pub fn scalar(dtype: Dtype) -> Self {
        Self {
            dtype,
            shape: vec![1],
            names: Names::default(),
            info: None,
        }
    }

    /// Returns the number of values in a row.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether rows hold no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether rows are vectors of floating-point numbers, which readers keep in memory.
    pub fn is_vector(&self) -> bool {
        matches!(self.dtype, Dtype::Float32 | Dtype::Float64) && self.shape.len() == 1
    }

    /// Returns whether the column holds colour or grey images.
    pub fn is_picture(&self) -> bool {
        matches!(self.dtype, Dtype::Image | Dtype::Video) && !self.is_depth()
    }

    /// Returns whether the column holds depth images, which are not read.
    pub fn is_depth(&self) -> bool {
        let marked = |key: &str| {
            self.info
                .as_ref()
                .and_then(|info| info.get(key))
                .and_then(Value::as_bool)
        };
        ["is_depth_map", "video.is_depth_map"].into_iter().find_map(marked) == Some(true)
    }

    /// Names of the values; `0`, `1`, … where none are given.
    pub fn value_names(&self) -> Vec<String> {
        self.own_value_names()
            .unwrap_or_else(|| (0..self.len()).map(|i| i.to_string()).collect())
    }

    /// Names of the values if there is one for each: from a list, nested lists, or the groups of an object in order.
    pub fn own_value_names(&self) -> Option<Vec<String>> {
        /// Collects all names at any depth.
        fn flat(names: &Value, out: &mut Vec<String>) {
            match names {
                Value::String(name) => out.push(name.clone()),
                Value::Array(inner) => inner.iter().for_each(|names| flat(names, out)),
                Value::Object(groups) => groups.values().for_each(|names| flat(names, out)),
                _ => (),
            }
        }
        let mut names = Vec::new();
        match &self.names {
            Names::List(list) => flat(list, &mut names),
            Names::Groups(groups) => match places(groups) {
                Some(by_place) => names.extend(by_place.into_iter().map(|(_, name)| name.to_owned())),
                None => groups.iter().for_each(|(_, list)| flat(list, &mut names)),
            },
        }
        (names.len() == self.len()).then_some(names)
    }

    /// Number of colour channels of images: 1 for grey, else 3.
    pub fn channels(&self) -> usize {
        match self.shape.as_slice() {
            [_, _, 1] | [1, _, _] | [_, _] => 1,
            _ => 3,
        }
    }

    /// Width and height of images (px).
    pub fn size(&self) -> Option<(u32, u32)> {
        match self.shape.as_slice() {
            // Some older datasets put channels first.
            [height, width, 1 | 3] | [1 | 3, height, width] | [height, width] if self.is_picture() => {
                Some((u32::try_from(*width).ok()?, u32::try_from(*height).ok()?))
            }
            _ => None,
        }
    }
}

/// Names sorted by position, if an object gives each name a position.
fn places(groups: &[(String, Value)]) -> Option<Vec<(u64, &str)>> {
    let numbered = groups
        .iter()
        .map(|(name, place)| Some((place.as_u64()?, name.as_str())));
    let mut places = numbered.collect::<Option<Vec<_>>>()?;
    places.sort_unstable();
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> (Vec<String>, String) {
        let text = format!("{{\"dtype\": \"float32\", \"shape\": [3], \"names\": {json}}}");
        let feature: Feature = serde_json::from_str(&text).unwrap();
        let written = serde_json::to_value(&feature).unwrap();
        (feature.value_names(), written.get("names").unwrap().to_string())
    }

    #[test]
    fn names_are_found_however_they_are_nested() {
        for json in [
            r#"["x","y","grip"]"#,
            r#"[["x","y","grip"]]"#,
            r#"{"motors":["x","y","grip"]}"#,
            r#"{"tool":["x","y"],"gripper":["grip"]}"#,
            r#"{"tool":{"p":["x"],"q":["y"]},"gripper":"grip"}"#,
            r#"{"grip":2,"x":0,"y":1}"#,
        ] {
            let (found, written) = names(json);
            assert_eq!(found, ["x", "y", "grip"], "{json}");
            assert_eq!(written.len(), json.len(), "{written}");
        }
    }

    #[test]
    fn values_without_a_name_each_are_numbered() {
        for json in [
            "null",
            r#"["x","y"]"#,
            r#"{"tool":["x","y"],"gripper":[]}"#,
            r#""grip""#,
        ] {
            assert_eq!(names(json).0, ["0", "1", "2"], "{json}");
        }
    }
}
