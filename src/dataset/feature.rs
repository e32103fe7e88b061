//! Descriptions of the columns of a dataset.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::{Names, NamesError};

/// Type of a feature's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 16-bit floating-point numbers, which are read as 32-bit ones.
    Float16,
    /// 32-bit floating-point numbers.
    #[serde(alias = "float")]
    Float32,
    /// 64-bit floating-point numbers.
    #[serde(alias = "double")]
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

/// Types besides those of [`Dtype`] that LeRobot's columns can have: the types of Hugging Face's datasets.
const OTHERS: [&str; 19] = [
    "audio",
    "binary",
    "bool",
    "date32",
    "date64",
    "int16",
    "int32",
    "int8",
    "language",
    "large_binary",
    "large_string",
    "null",
    "string",
    "string_view",
    "binary_view",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
];
/// Beginnings of types whose names go on with a unit or a precision.
const BEGINNINGS: [&str; 5] = ["decimal", "duration", "time32", "time64", "timestamp"];

impl Dtype {
    /// Returns the name as it is written.
    pub fn name(&self) -> &str {
        match self {
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int64 => "int64",
            Self::Image => "image",
            Self::Video => "video",
            Self::Other(name) => name,
        }
    }

    /// Returns whether LeRobot has this type, also if it is not read here.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Other(name) => {
                OTHERS.contains(&name.as_str()) || BEGINNINGS.iter().any(|begin| name.starts_with(*begin))
            }
            _ => true,
        }
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
    /// Properties of a video, as v2.0 calls them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_info: Option<Value>,
}

impl Feature {
    /// Returns the description of a vector of named 32-bit numbers.
    pub fn vector(names: &[String]) -> Self {
        Self {
            dtype: Dtype::Float32,
            shape: vec![names.len()],
            names: Names::List(names.iter().cloned().map(Names::One).collect()),
            info: None,
            video_info: None,
        }
    }

    /// Returns the description of images of this size (px) in the rows.
    pub fn image(width: u32, height: u32) -> Self {
        Self {
            dtype: Dtype::Image,
            shape: vec![height as usize, width as usize, 3],
            names: Names::List(
                ["height", "width", "channels"]
                    .map(|name| Names::One(name.into()))
                    .to_vec(),
            ),
            info: None,
            video_info: None,
        }
    }

    /// Returns the description of one number per row.
    pub fn scalar(dtype: Dtype) -> Self {
        Self {
            dtype,
            shape: vec![1],
            names: Names::default(),
            info: None,
            video_info: None,
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

    /// Returns whether rows are vectors of floating-point numbers, which readers keep in memory. A shape such as (7, 1)
    /// is one of a vector too.
    pub fn is_vector(&self) -> bool {
        let is_number = matches!(self.dtype, Dtype::Float16 | Dtype::Float32 | Dtype::Float64);
        is_number && matches!(self.shape.as_slice(), [_] | [1, _] | [_, 1])
    }

    /// Returns whether the column holds colour or grey images.
    pub fn is_picture(&self) -> bool {
        matches!(self.dtype, Dtype::Image | Dtype::Video) && !self.is_depth()
    }

    /// Returns whether the column holds depth images, which are not read.
    pub fn is_depth(&self) -> bool {
        let marked = |key: &str| {
            let all = self.info.iter().chain(&self.video_info);
            all.filter_map(|info| info.get(key)).find_map(Value::as_bool)
        };
        ["is_depth_map", "video.is_depth_map"].into_iter().find_map(marked) == Some(true)
    }

    /// Names of the values; `0`, `1`, … where none are given or understood.
    pub fn value_names(&self) -> Vec<String> {
        let own = self.own_names().ok().flatten();
        own.unwrap_or_else(|| (0..self.len()).map(|i| i.to_string()).collect())
    }

    /// Names of the values in their order; nothing if the column has no names.
    ///
    /// # Errors
    /// When there is not one name for each value, or it is not clear which is whose; with what to do.
    pub fn own_names(&self) -> Result<Option<Vec<String>>, NamesError> {
        self.names.of_values(self.len())
    }

    /// Number of channels of images: 1 for grey, 4 for colours with transparency, else 3. Videos are decoded without
    /// transparency.
    pub fn channels(&self) -> usize {
        match self.shape.as_slice() {
            [_, _, 1] | [1, _, _] | [_, _] => 1,
            [_, _, 4] | [4, _, _] if self.dtype == Dtype::Image => 4,
            _ => 3,
        }
    }

    /// Width and height of images (px), where the shape has the height first.
    pub fn size(&self) -> Option<(u32, u32)> {
        match self.shape.as_slice() {
            // Some older datasets put channels first.
            [height, width, 1 | 3 | 4] | [1 | 3 | 4, height, width] | [height, width] if self.is_picture() => {
                Some((u32::try_from(*width).ok()?, u32::try_from(*height).ok()?))
            }
            _ => None,
        }
    }

    /// Returns whether images of this width and height (px) have the described size. The names of the shape may put the
    /// width first, which LeRobot does not read.
    pub fn has_size(&self, (width, height): (u32, u32)) -> bool {
        let names = self
            .names
            .of_values(self.shape.len())
            .ok()
            .flatten()
            .unwrap_or_default();
        let place = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let size = self.size();
        let swapped = place("width")
            .zip(place("height"))
            .is_some_and(|(of_width, of_height)| of_width < of_height);
        match swapped {
            true => size == Some((height, width)),
            false => size == Some((width, height)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_a_name_each_are_numbered() {
        for json in [
            "null",
            r#"["x","y"]"#,
            r#"{"tool":["x","y"],"gripper":[]}"#,
            r#""grip""#,
        ] {
            let text = format!("{{\"dtype\": \"float32\", \"shape\": [3], \"names\": {json}}}");
            let feature: Feature = serde_json::from_str(&text).unwrap();
            assert_eq!(feature.value_names(), ["0", "1", "2"], "{json}");
        }
    }
}
