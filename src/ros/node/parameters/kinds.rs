//! Kinds of parameters that a node can declare.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rclrs::{ParameterBuilder, ParameterRange};

use super::Declaration;

/// A number with a range, `f64` or `i64`.
#[derive(Debug, Clone)]
pub struct Number<T> {
    /// Name of the parameter.
    pub name: &'static str,
    /// Value when none is given.
    pub default: T,
    /// Allowed range, both ends included.
    pub range: RangeInclusive<T>,
    /// Unit, e.g. `Hz`; empty for a plain number.
    pub unit: &'static str,
    /// Description in one sentence.
    pub about: &'static str,
}

/// A list of numbers with a common range, e.g. a joint configuration.
#[derive(Debug, Clone)]
pub struct NumberList {
    /// Name of the parameter.
    pub name: &'static str,
    /// Values when none are given.
    pub default: Vec<f64>,
    /// Allowed range of each value, both ends included.
    pub range: RangeInclusive<f64>,
    /// Required length.
    pub length: usize,
    /// Unit of each.
    pub unit: &'static str,
    /// Description in one sentence.
    pub about: &'static str,
}

/// A text, free or one of a list.
#[derive(Debug, Clone)]
pub struct Text {
    /// Name of the parameter.
    pub name: &'static str,
    /// Value when none is given.
    pub default: &'static str,
    /// Allowed values; empty allows any text.
    pub choices: &'static [&'static str],
    /// Description in one sentence.
    pub about: &'static str,
}

/// A list of texts, empty when none is given.
#[derive(Debug, Clone)]
pub struct Texts {
    /// Name of the parameter.
    pub name: &'static str,
    /// Description in one sentence.
    pub about: &'static str,
}

/// A Boolean.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Name of the parameter.
    pub name: &'static str,
    /// Value when none is given.
    pub default: bool,
    /// Description in one sentence.
    pub about: &'static str,
}

fn with_unit(about: &str, unit: &str) -> String {
    if unit.is_empty() {
        about.to_owned()
    } else {
        format!("{about} [{unit}]")
    }
}

fn range_in_words<T: Display>(range: &RangeInclusive<T>, unit: &str) -> String {
    let text = format!("{} .. {} {unit}", range.start(), range.end());
    text.trim_end().to_owned()
}

macro_rules! number {
    ($type:ty, $kind:literal) => {
        impl Declaration for Number<$type> {
            type Ros = $type;
            type Value = $type;
            const KIND: &'static str = $kind;

            fn name(&self) -> &'static str {
                self.name
            }
            fn description(&self) -> String {
                with_unit(self.about, self.unit)
            }
            fn allowed(&self) -> String {
                range_in_words(&self.range, self.unit)
            }
            fn disallowed(&self, value: &$type) -> Option<String> {
                // No range contains NaN, but NaN passes the comparison of rclrs.
                (!self.range.contains(value)).then(|| value.to_string())
            }
            fn complete<'a>(&self, builder: ParameterBuilder<'a, $type>) -> ParameterBuilder<'a, $type> {
                builder.default(self.default).range(ParameterRange {
                    lower: Some(*self.range.start()),
                    upper: Some(*self.range.end()),
                    step: None,
                })
            }
            fn value(ros: $type) -> $type {
                ros
            }
        }
    };
}

number!(f64, "a number with a decimal point, e.g. 10.0");
number!(i64, "a whole number, e.g. 10");

impl Declaration for NumberList {
    type Ros = Arc<[f64]>;
    type Value = Vec<f64>;
    const KIND: &'static str = "a list of numbers with decimal points, e.g. [0.0, 1.5]";

    fn name(&self) -> &'static str {
        self.name
    }
    fn description(&self) -> String {
        with_unit(self.about, self.unit)
    }
    fn allowed(&self) -> String {
        format!("{} values of {}", self.length, range_in_words(&self.range, self.unit))
    }
    fn disallowed(&self, value: &Arc<[f64]>) -> Option<String> {
        let inside = value.iter().all(|v| self.range.contains(v));
        (!inside || value.len() != self.length).then(|| format!("{value:?}"))
    }
    fn complete<'a>(&self, builder: ParameterBuilder<'a, Arc<[f64]>>) -> ParameterBuilder<'a, Arc<[f64]>> {
        builder.default(Arc::from(self.default.as_slice()))
    }
    fn value(ros: Arc<[f64]>) -> Vec<f64> {
        ros.to_vec()
    }
}

impl Declaration for Text {
    type Ros = Arc<str>;
    type Value = String;
    const KIND: &'static str = "a text, e.g. \"auto\"";

    fn name(&self) -> &'static str {
        self.name
    }
    fn description(&self) -> String {
        self.about.to_owned()
    }
    fn allowed(&self) -> String {
        if self.choices.is_empty() {
            "any text".to_owned()
        } else {
            format!("one of {}", self.choices.join(", "))
        }
    }
    fn disallowed(&self, value: &Arc<str>) -> Option<String> {
        let known = self.choices.is_empty() || self.choices.contains(&value.as_ref());
        (!known).then(|| format!("\"{value}\""))
    }
    fn complete<'a>(&self, builder: ParameterBuilder<'a, Arc<str>>) -> ParameterBuilder<'a, Arc<str>> {
        builder.default(Arc::from(self.default))
    }
    fn value(ros: Arc<str>) -> String {
        ros.as_ref().to_owned()
    }
}

impl Declaration for Texts {
    type Ros = Arc<[Arc<str>]>;
    type Value = Vec<String>;
    const KIND: &'static str = "a list of texts, e.g. [\"one\", \"two\"]";

    fn name(&self) -> &'static str {
        self.name
    }
    fn description(&self) -> String {
        self.about.to_owned()
    }
    fn allowed(&self) -> String {
        "any texts".to_owned()
    }
    fn disallowed(&self, _: &Self::Ros) -> Option<String> {
        None
    }
    fn complete<'a>(&self, builder: ParameterBuilder<'a, Self::Ros>) -> ParameterBuilder<'a, Self::Ros> {
        builder.default(Arc::from(Vec::new()))
    }
    fn value(ros: Self::Ros) -> Vec<String> {
        ros.iter().map(|text| text.as_ref().to_owned()).collect()
    }
}

impl Declaration for Flag {
    type Ros = bool;
    type Value = bool;
    const KIND: &'static str = "true or false";

    fn name(&self) -> &'static str {
        self.name
    }
    fn description(&self) -> String {
        self.about.to_owned()
    }
    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
    fn disallowed(&self, _: &bool) -> Option<String> {
        None
    }
    fn complete<'a>(&self, builder: ParameterBuilder<'a, bool>) -> ParameterBuilder<'a, bool> {
        builder.default(self.default)
    }
    fn value(ros: bool) -> bool {
        ros
    }
}
