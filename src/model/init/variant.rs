//! Options in which a new checkpoint differs from the default of its size.

use serde_json::Value;

use crate::contract::{ActionSpace, DimensionStatistics, Normalisation};
use crate::control::proprioception::TRACKING_ERROR;

use crate::model::config::{Config, PromptStyle, Proprio};
use crate::model::error::ModelError;

/// Token of the reasoning anchor, without delimiters.
const ANCHOR: &str = "reasoning_anchor";

/// StarVLA's prompt of Qwen3-VL-OFT on LIBERO.
pub(in crate::model) const STARVLA_PROMPT: &str = "Your task is {instruction}. To identify the key objects for your task. Locate their \
                              bounding boxes in [x1,y1,x2,y2] format.";

/// Options of a new checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointVariant {
    /// Plain Qwen3-VL-OFT: StarVLA's prompt, no geometry, no reasoning.
    pub baseline: bool,
    /// Number of reasoning anchors.
    pub anchors: usize,
    /// Space of the actions.
    pub action_space: ActionSpace,
    /// Form in which the network gets the robot's state.
    pub proprio: Proprio,
    /// Fields of the `thinkvla` object to set, in order.
    pub set: Vec<FieldChoice>,
}

impl Default for CheckpointVariant {
    fn default() -> Self {
        Self {
            baseline: false,
            anchors: 1,
            action_space: ActionSpace::Ee7,
            proprio: Proprio::None,
            set: Vec::new(),
        }
    }
}

/// A field of the `thinkvla` object and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChoice {
    /// Path of the field, with dots: `geometry.pool`.
    pub field: String,
    /// Value; null removes the field.
    pub value: Value,
}

impl std::str::FromStr for FieldChoice {
    type Err = ModelError;

    /// Parses `FIELD=VALUE`; a value that is not JSON is text.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        let (field, value) = text
            .split_once('=')
            .filter(|(field, _)| !field.is_empty())
            .ok_or_else(|| ModelError::choice("FIELD=VALUE, e.g. geometry.pool=max", text))?;
        Ok(Self {
            field: field.to_owned(),
            value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        })
    }
}

impl CheckpointVariant {
    /// Returns the texts of the anchors' tokens; none in the baseline.
    pub fn anchor_tokens(&self) -> Vec<String> {
        let anchors = if self.baseline { 0 } else { self.anchors };
        let name = |i| match i {
            0 => format!("<|{ANCHOR}|>"),
            i => format!("<|{ANCHOR}_{i}|>"),
        };
        (0..anchors).map(name).collect()
    }

    /// Returns the configuration with these options.
    ///
    /// # Errors
    /// When a field does not exist in the `thinkvla` object, or its value is invalid.
    pub fn apply(&self, mut config: Config) -> Result<Config, ModelError> {
        let ours = &mut config.thinkvla;
        ours.action_dim = self.action_space.dim() as i64;
        ours.proprio = self.proprio;
        if self.proprio == Proprio::Projected {
            ours.state_dim = self.state_statistics().len() as i64;
        }
        if self.baseline {
            (ours.geometry, ours.reasoning) = (None, None);
            (ours.prompt_style, ours.prompt) = (PromptStyle::StarvlaOft, STARVLA_PROMPT.into());
        }
        chosen(config, &self.set)
    }

    /// Returns statistics of the actions of a typical table-top task at 10 Hz: up to 2 cm and 0.1 rad per step.
    pub(in crate::model) fn action_statistics(&self) -> Vec<DimensionStatistics> {
        let [x, y, z] = ["x", "y", "z"].map(|name| dimension(name, Normalisation::MinMax, [-0.02, 0.02]));
        let turn = |name: &str| dimension(name, Normalisation::MinMax, [-0.1, 0.1]);
        let mut statistics = match self.action_space {
            ActionSpace::Ee7 => vec![x, y, z, turn("rx"), turn("ry"), turn("rz")],
            ActionSpace::Joint8 => (1..=7).map(|i| turn(&format!("joint{i}"))).collect(),
        };
        statistics.push(dimension("gripper", Normalisation::None, [0.0, 1.0]));
        statistics
    }

    /// Returns statistics of the state, if the network gets it: the tool's pose or the joints, as in the actions, and
    /// the gripper.
    pub(in crate::model) fn state_statistics(&self) -> Vec<DimensionStatistics> {
        match self.proprio {
            Proprio::None => return Vec::new(),
            Proprio::Projected if self.action_space == ActionSpace::Ee7 => return projected_state(),
            Proprio::Text | Proprio::Projected => {}
        }
        let half_turn = [-std::f64::consts::PI, std::f64::consts::PI];
        let mut statistics: Vec<_> = match self.action_space {
            ActionSpace::Ee7 => {
                let reach = ["x", "y", "z"].map(|name| dimension(name, Normalisation::MinMax, [-0.8, 0.8]));
                let turns = ["rx", "ry", "rz"].map(|name| dimension(name, Normalisation::MinMax, half_turn));
                reach.into_iter().chain(turns).collect()
            }
            ActionSpace::Joint8 => (1..=7)
                .map(|i| dimension(&format!("joint{i}"), Normalisation::MinMax, half_turn))
                .collect(),
        };
        statistics.push(dimension("gripper", Normalisation::MinMax, [0.0, 1.0]));
        statistics
    }
}

/// Sets fields of the `thinkvla` object of a configuration, in order. Without reasoning the anchor is removed from the
/// prompt.
///
/// # Errors
/// When a field does not exist, a value is invalid, or the resulting configuration is invalid.
pub fn chosen(mut config: Config, choices: &[FieldChoice]) -> Result<Config, ModelError> {
    let ours = &mut config.thinkvla;
    if !choices.is_empty() {
        let mut object = serde_json::to_value(&*ours).map_err(|e| refused(e.to_string()))?;
        for choice in choices {
            set(&mut object, choice)?;
        }
        *ours = serde_json::from_value(object).map_err(|e| refused(e.to_string()))?;
    }
    if ours.reasoning.is_none() {
        ours.prompt = ours.prompt.replace("{anchor}", "");
    }
    config.validate()?;
    Ok(config)
}

/// Returns statistics of the state of a table-top arm with a tool that points down: position of the tool, rotation
/// about the vertical, last command of the gripper, and the tracking error, which indicates the tool's speed.
fn projected_state() -> Vec<DimensionStatistics> {
    let reach = [-0.8, 0.8];
    let half_turn = [-std::f64::consts::PI, std::f64::consts::PI];
    let mut statistics: Vec<_> = ["x", "y", "z"]
        .map(|name| dimension(name, Normalisation::MinMax, reach))
        .into();
    statistics.push(dimension("rz_down", Normalisation::MinMax, half_turn));
    statistics.push(dimension("gripper", Normalisation::MinMax, [0.0, 1.0]));
    statistics.extend(TRACKING_ERROR.map(|name| dimension(name, Normalisation::MinMax, [-0.03, 0.03])));
    statistics
}

/// Returns statistics of a uniform distribution over a range.
fn dimension(name: &str, normalisation: Normalisation, [min, max]: [f64; 2]) -> DimensionStatistics {
    DimensionStatistics {
        name: name.into(),
        normalisation,
        min,
        max,
        mean: 0.5 * (min + max),
        std: (max - min) / 12f64.sqrt(),
        q01: min + 0.01 * (max - min),
        q99: max - 0.01 * (max - min),
    }
}

/// Returns the error of a choice that does not fit the `thinkvla` object.
fn refused(found: String) -> ModelError {
    ModelError::config("thinkvla", "fields and values as docs/checkpoint.md lists them", found)
}

/// Sets one field of a JSON tree. Unknown names are refused when the tree is deserialised.
fn set(object: &mut Value, choice: &FieldChoice) -> Result<(), ModelError> {
    let (path, last) = match choice.field.rsplit_once('.') {
        Some((path, last)) => (path.split('.').collect(), last),
        None => (Vec::new(), choice.field.as_str()),
    };
    let mut place = object;
    for name in path {
        place = place
            .get_mut(name)
            .ok_or_else(|| refused(format!("{}, and there is no {name}", choice.field)))?;
    }
    let fields = place
        .as_object_mut()
        .ok_or_else(|| refused(format!("{}, whose parent has no fields", choice.field)))?;
    match &choice.value {
        Value::Null => {
            fields.remove(last);
        }
        value => {
            fields.insert(last.to_owned(), value.clone());
        }
    }
    Ok(())
}
