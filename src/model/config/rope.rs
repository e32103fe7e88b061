//! Rotary positions of the language model, in both of Hugging Face's spellings: `rope_theta` with `rope_scaling`, and
//! `rope_parameters`, which transformers writes since version 5.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Field of the newer spelling.
const NEWER: &str = "text_config.rope_parameters";

/// Rotary positions. Written in the older spelling, which every version of transformers reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RopeFields")]
pub struct Rope {
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Assignment of the frequencies to time, row and column.
    pub rope_scaling: RopeScaling,
}

/// Interleaved multimodal rotary embedding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RopeScaling {
    /// Type; only `default` is supported.
    pub rope_type: String,
    /// Whether the sections are interleaved; always true in Qwen3-VL.
    pub mrope_interleaved: bool,
    /// Numbers of frequencies of time, row and column.
    pub mrope_section: [i64; 3],
}

/// Fields of both spellings; a file has those of one.
#[derive(Deserialize)]
struct RopeFields {
    rope_theta: Option<f64>,
    rope_scaling: Option<Parameters>,
    rope_parameters: Option<Map<String, Value>>,
    partial_rotary_factor: Option<f64>,
}

/// Parameters in either spelling.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Parameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    #[serde(rename = "type")]
    older_type: Option<String>,
    #[serde(default)]
    mrope_interleaved: bool,
    mrope_section: [i64; 3],
    partial_rotary_factor: Option<f64>,
}

/// Error of rotary positions in a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RopeError {
    /// Both spellings are there and differ.
    #[error(
        "{newer}: expected what rope_theta and rope_scaling say beside it, {expected}, found {found}; remove what is wrong",
        newer = NEWER
    )]
    Contradiction {
        /// Positions in the older spelling.
        expected: String,
        /// Positions in the newer spelling.
        found: String,
    },
    /// Neither spelling is there.
    #[error("expected text_config.rope_theta and text_config.rope_scaling, or {newer}, found neither", newer = NEWER)]
    Neither,
    /// Two bases differ.
    #[error("{field}.rope_theta: expected text_config.rope_theta, {expected}, found {found}")]
    Base {
        /// Field of the parameters.
        field: String,
        /// Base beside the parameters.
        expected: f64,
        /// Base among the parameters.
        found: f64,
    },
    /// There is no base.
    #[error("{0}.rope_theta: expected a number, there or as text_config.rope_theta, found none")]
    NoBase(String),
    /// Types of layers have different positions.
    #[error(
        "{newer}.{kind}: expected what is said of {other}, since all layers of Qwen3-VL have the same positions, \
         {expected}, found {found}",
        newer = NEWER
    )]
    Layers {
        /// Type of layer.
        kind: String,
        /// Another type.
        other: String,
        /// Positions of the other type.
        expected: String,
        /// Positions of the type.
        found: String,
    },
    /// The newer spelling is empty.
    #[error("{newer}: expected positions, found none", newer = NEWER)]
    Empty,
    /// Parameters cannot be parsed.
    #[error("{field}: {message}")]
    Parameters {
        /// Field of the parameters.
        field: String,
        /// Error of the parser.
        message: String,
    },
    /// Only a part of each head is rotated.
    #[error("{field}: expected 1, found {found}")]
    Partial {
        /// Field of the share.
        field: String,
        /// Share that is rotated.
        found: f64,
    },
}

impl TryFrom<RopeFields> for Rope {
    type Error = RopeError;

    fn try_from(written: RopeFields) -> Result<Self, RopeError> {
        let RopeFields {
            rope_theta,
            rope_scaling,
            rope_parameters,
            partial_rotary_factor,
        } = written;
        whole("text_config.partial_rotary_factor", partial_rotary_factor)?;
        let older = rope_scaling.map(|scaling| scaling.rope("text_config.rope_scaling", rope_theta));
        let newer = rope_parameters.map(|parameters| in_every_layer(parameters, rope_theta));
        match (older.transpose()?, newer.transpose()?) {
            (Some(older), Some(newer)) if older != newer => Err(RopeError::Contradiction {
                expected: older.description(),
                found: newer.description(),
            }),
            (Some(rope), _) | (None, Some(rope)) => Ok(rope),
            (None, None) => Err(RopeError::Neither),
        }
    }
}

impl Rope {
    /// Describes the parameters for messages.
    fn description(&self) -> String {
        let RopeScaling {
            rope_type,
            mrope_interleaved,
            mrope_section,
        } = &self.rope_scaling;
        let theta = self.rope_theta;
        format!("rope_theta {theta}, {rope_type}, interleaved {mrope_interleaved}, sections {mrope_section:?}")
    }
}

impl Parameters {
    /// Converts to rotary positions, with the separate base unless the parameters contain one.
    fn rope(self, field: &str, theta_beside: Option<f64>) -> Result<Rope, RopeError> {
        whole(&format!("{field}.partial_rotary_factor"), self.partial_rotary_factor)?;
        if let (Some(own), Some(beside)) = (self.rope_theta, theta_beside)
            && own != beside
        {
            return Err(RopeError::Base {
                field: field.to_owned(),
                expected: beside,
                found: own,
            });
        }
        let rope_theta = self.rope_theta.or(theta_beside);
        let rope_theta = rope_theta.ok_or_else(|| RopeError::NoBase(field.to_owned()))?;
        Ok(Rope {
            rope_theta,
            rope_scaling: RopeScaling {
                rope_type: self.rope_type.or(self.older_type).unwrap_or_else(|| "default".into()),
                mrope_interleaved: self.mrope_interleaved,
                mrope_section: self.mrope_section,
            },
        })
    }
}

/// All layers of Qwen3-VL have the same positions: parameters by type of layer must be equal.
fn in_every_layer(parameters: Map<String, Value>, theta_beside: Option<f64>) -> Result<Rope, RopeError> {
    let by_kind = !parameters.is_empty() && parameters.values().all(Value::is_object);
    if !by_kind {
        return one(NEWER, Value::Object(parameters), theta_beside);
    }
    let mut first: Option<(String, Rope)> = None;
    for (kind, own) in parameters {
        let rope = one(&format!("{NEWER}.{kind}"), own, theta_beside)?;
        match &first {
            Some((other, same)) if *same != rope => {
                return Err(RopeError::Layers {
                    kind,
                    other: other.clone(),
                    expected: same.description(),
                    found: rope.description(),
                });
            }
            Some(_) => {}
            None => first = Some((kind, rope)),
        }
    }
    first.map(|(_, rope)| rope).ok_or(RopeError::Empty)
}

fn one(field: &str, parameters: Value, theta_beside: Option<f64>) -> Result<Rope, RopeError> {
    let parameters: Parameters = serde_json::from_value(parameters).map_err(|error| RopeError::Parameters {
        field: field.to_owned(),
        message: error.to_string(),
    })?;
    parameters.rope(field, theta_beside)
}

/// Checks that the whole head is rotated, as in Qwen3-VL.
fn whole(field: &str, share: Option<f64>) -> Result<(), RopeError> {
    match share.filter(|share| *share != 1.0) {
        Some(found) => Err(RopeError::Partial {
            field: field.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}
