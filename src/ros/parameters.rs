//! Parameters, each with its type, range, unit and a sentence; what cannot work is refused at start and at run time.

use std::any::Any;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rclrs::{
    AvailableValues, DeclarationError, MandatoryParameter, Node, ParameterBuilder, ParameterRange, ParameterVariant,
};

/// A number with a range: `f64` or `i64`.
#[derive(Debug, Clone)]
pub struct Number<T> {
    /// Name as in parameter files.
    pub name: &'static str,
    /// Value when none is given.
    pub default: T,
    /// What is allowed, both ends included.
    pub range: RangeInclusive<T>,
    /// Unit, e.g. `Hz`; empty for a plain number.
    pub unit: &'static str,
    /// One sentence on what it does.
    pub about: &'static str,
}

/// A list of numbers of one kind, e.g. a joint configuration.
#[derive(Debug, Clone)]
pub struct Numbers {
    /// Name as in parameter files.
    pub name: &'static str,
    /// Values when none are given.
    pub default: Vec<f64>,
    /// What each may be, both ends included.
    pub range: RangeInclusive<f64>,
    /// How many there must be.
    pub length: usize,
    /// Unit of each.
    pub unit: &'static str,
    /// One sentence on what they do.
    pub about: &'static str,
}

/// A text, free or one of a few.
#[derive(Debug, Clone)]
pub struct Text {
    /// Name as in parameter files.
    pub name: &'static str,
    /// Value when none is given.
    pub default: &'static str,
    /// What is allowed; empty for anything.
    pub choices: &'static [&'static str],
    /// One sentence on what it does.
    pub about: &'static str,
}

/// A switch.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Name as in parameter files.
    pub name: &'static str,
    /// Value when none is given.
    pub default: bool,
    /// One sentence on what it does.
    pub about: &'static str,
}

/// Why a parameter could not be declared: the node must not start.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// A value that cannot work.
    #[error("parameter {name}: expected {allowed}, found {found}; correct it in the parameter file or launch argument")]
    Impossible {
        /// The parameter.
        name: &'static str,
        /// What is allowed, with its unit.
        allowed: String,
        /// What was given.
        found: String,
    },
    /// A value of another type.
    #[error(
        "parameter {name}: expected {kind}, found another type; correct it in the parameter file or launch argument"
    )]
    Type {
        /// The parameter.
        name: &'static str,
        /// Type expected, with an example.
        kind: &'static str,
    },
    /// A fault of the declaration itself.
    #[error("parameter {name}: {source}")]
    Declaration {
        /// The parameter.
        name: &'static str,
        /// What rclrs said.
        source: DeclarationError,
    },
}

/// What every declaration has in common.
pub trait Declaration {
    /// Type on the ROS side.
    type Ros: ParameterVariant + Send + Sync;
    /// Type handed to the node.
    type Value;
    /// Type in words, with an example of how it is written.
    const KIND: &'static str;

    /// The parameter's name.
    fn name(&self) -> &'static str;
    /// The sentence, with the unit.
    fn description(&self) -> String;
    /// What is allowed, in words.
    fn allowed(&self) -> String;
    /// Checks a value; on failure, how to show it.
    fn check(&self, value: &Self::Ros) -> Result<(), String>;
    /// Adds default and range.
    fn complete<'a>(&self, builder: ParameterBuilder<'a, Self::Ros>) -> ParameterBuilder<'a, Self::Ros>;
    /// From the ROS side.
    fn value(ros: Self::Ros) -> Self::Value;
}

/// The parameters of one node; they stay declared as long as this lives.
pub struct Parameters {
    node: Node,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

/// A parameter that may change while the node runs, within its range.
pub struct Live<D: Declaration> {
    parameter: Arc<MandatoryParameter<D::Ros>>,
}

impl<D: Declaration> Clone for Live<D> {
    fn clone(&self) -> Self {
        Self {
            parameter: Arc::clone(&self.parameter),
        }
    }
}

impl<D: Declaration> Live<D> {
    /// The present value.
    pub fn get(&self) -> D::Value {
        D::value(self.parameter.get())
    }
}

impl Parameters {
    /// Parameters of this node.
    pub fn of(node: &Node) -> Self {
        Self {
            node: Arc::clone(node),
            kept: Vec::new(),
        }
    }

    /// Declares a parameter that is read once, at start.
    ///
    /// # Errors
    /// When the value given cannot work; the message names the parameter, what is allowed and what was found.
    pub fn fixed<D: Declaration + Clone + Send + Sync + 'static>(
        &mut self,
        declaration: D,
    ) -> Result<D::Value, ParameterError> {
        let parameter = declare(&self.node, &declaration, ParameterBuilder::read_only)?;
        let value = D::value(parameter.get());
        self.kept.push(Arc::new(parameter));
        Ok(value)
    }

    /// Declares a parameter that may be set while the node runs; sets outside its range are refused.
    ///
    /// # Errors
    /// As for [`Self::fixed`].
    pub fn live<D: Declaration + Clone + Send + Sync + 'static>(
        &mut self,
        declaration: D,
    ) -> Result<Live<D>, ParameterError> {
        let parameter = Arc::new(declare(&self.node, &declaration, ParameterBuilder::mandatory)?);
        self.kept.push(Arc::clone(&parameter) as Arc<dyn Any + Send + Sync>);
        Ok(Live { parameter })
    }
}

fn declare<'a, D: Declaration + Clone + Send + Sync + 'static, P>(
    node: &'a Node,
    declaration: &D,
    finish: impl FnOnce(ParameterBuilder<'a, D::Ros>) -> Result<P, DeclarationError>,
) -> Result<P, ParameterError> {
    let name = declaration.name();
    let mut refused = None;
    let outcome = {
        let checked = declaration.clone();
        let at_start = declaration.clone();
        let given = std::sync::Arc::new(std::sync::Mutex::new(None));
        let seen = Arc::clone(&given);
        let builder = declaration
            .complete(node.declare_parameter::<D::Ros>(name))
            .description(declaration.description())
            .constraints(declaration.allowed())
            // rclrs reports a value out of range without the value: look at it on its way in.
            .discriminate(move |values: AvailableValues<'_, D::Ros>| {
                let value = values.override_value.or(values.default_value);
                if let (Some(value), Ok(mut slot)) = (&value, seen.lock()) {
                    *slot = at_start.check(value).err();
                }
                value
            })
            .validate(move |value: &D::Ros| {
                let complaint = |found| format!("expected {}, found {found}", checked.allowed());
                checked.check(value).map_err(complaint)
            });
        let outcome = finish(builder);
        if let Ok(mut slot) = given.lock() {
            refused = slot.take();
        }
        outcome
    };
    outcome.map_err(|source| match (source, refused) {
        (DeclarationError::OverrideValueTypeMismatch, _) => ParameterError::Type { name, kind: D::KIND },
        (_, Some(found)) => ParameterError::Impossible {
            name,
            allowed: declaration.allowed(),
            found,
        },
        (source, None) => ParameterError::Declaration { name, source },
    })
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
            fn check(&self, value: &$type) -> Result<(), String> {
                // NaN is in no range, but passes rclrs's own comparison.
                self.range
                    .contains(value)
                    .then_some(())
                    .ok_or_else(|| value.to_string())
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

impl Declaration for Numbers {
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
    fn check(&self, value: &Arc<[f64]>) -> Result<(), String> {
        let inside = value.iter().all(|v| self.range.contains(v));
        (inside && value.len() == self.length)
            .then_some(())
            .ok_or_else(|| format!("{value:?}"))
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
    fn check(&self, value: &Arc<str>) -> Result<(), String> {
        let known = self.choices.is_empty() || self.choices.contains(&value.as_ref());
        known.then_some(()).ok_or_else(|| format!("\"{value}\""))
    }
    fn complete<'a>(&self, builder: ParameterBuilder<'a, Arc<str>>) -> ParameterBuilder<'a, Arc<str>> {
        builder.default(Arc::from(self.default))
    }
    fn value(ros: Arc<str>) -> String {
        ros.as_ref().to_owned()
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
    fn check(&self, _: &bool) -> Result<(), String> {
        Ok(())
    }
    fn complete<'a>(&self, builder: ParameterBuilder<'a, bool>) -> ParameterBuilder<'a, bool> {
        builder.default(self.default)
    }
    fn value(ros: bool) -> bool {
        ros
    }
}
