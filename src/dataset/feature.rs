//! What a dataset says of each of its columns.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Type of a feature's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit numbers.
    Float32,
    /// 64-bit numbers.
    Float64,
    /// 64-bit integers.
    Int64,
    /// Pictures, one file's bytes in each row.
    Image,
    /// Pictures in a video file.
    Video,
    /// Anything else, which is passed over.
    #[serde(untagged)]
    Other(String),
}

/// A column, as `meta/info.json` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Type.
    pub dtype: Dtype,
    /// Shape of one row; height, width, channels for pictures.
    pub shape: Vec<usize>,
    /// Names of the values: a list, or in older datasets a list within an object.
    #[serde(default)]
    pub names: Value,
    /// What is known of a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Value>,
}

impl Feature {
    /// Numbers, named one by one.
    pub fn vector(names: &[String]) -> Self {
        Self {
            dtype: Dtype::Float32,
            shape: vec![names.len()],
            names: names.into(),
            info: None,
        }
    }

    /// Pictures in the rows themselves.
    pub fn image(width: u32, height: u32) -> Self {
        Self {
            dtype: Dtype::Image,
            shape: vec![height as usize, width as usize, 3],
            names: ["height", "width", "channels"].map(Value::from).to_vec().into(),
            info: None,
        }
    }

    /// One number a row.
    pub fn scalar(dtype: Dtype) -> Self {
        Self {
            dtype,
            shape: vec![1],
            names: Value::Null,
            info: None,
        }
    }

    /// Values in a row.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether rows hold nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds numbers that we keep in memory.
    pub fn is_vector(&self) -> bool {
        matches!(self.dtype, Dtype::Float32 | Dtype::Float64) && self.shape.len() == 1
    }

    /// Whether it holds pictures.
    pub fn is_picture(&self) -> bool {
        matches!(self.dtype, Dtype::Image | Dtype::Video)
    }

    /// Names of the values; `0`, `1`, … where none are given.
    pub fn value_names(&self) -> Vec<String> {
        let list = match &self.names {
            Value::Object(groups) => groups.values().next(),
            other => Some(other),
        };
        let names: Vec<_> = list
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if names.len() == self.len() {
            return names;
        }
        (0..self.len()).map(|i| i.to_string()).collect()
    }

    /// Width and height of pictures [px].
    pub fn size(&self) -> Option<(u32, u32)> {
        match self.shape.as_slice() {
            [height, width, 3] if self.is_picture() => {
                Some((u32::try_from(*width).ok()?, u32::try_from(*height).ok()?))
            }
            // Some older datasets put channels first.
            [3, height, width] if self.is_picture() => {
                Some((u32::try_from(*width).ok()?, u32::try_from(*height).ok()?))
            }
            _ => None,
        }
    }
}
