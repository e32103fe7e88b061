//! Parameters, each with its type, range, unit and a sentence; what cannot work is refused at start and at run time.

mod kinds;
mod overrides;

use std::any::Any;
use std::sync::Arc;

use rclrs::{AvailableValues, DeclarationError, MandatoryParameter, Node, ParameterBuilder, ParameterVariant};

use super::runtime::Runtime;

pub use kinds::{Flag, Number, Numbers, Text, Texts};
pub use overrides::{Overrides, require_ros_only};

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
    /// A name that no parameter has.
    #[error("{0}; correct it in the parameter file or launch argument")]
    Unknown(String),
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
    given: Overrides,
    names: Vec<&'static str>,
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
    /// Parameters of the node that runs here.
    pub fn of(runtime: &Runtime) -> Self {
        Self {
            node: Arc::clone(runtime.node()),
            given: runtime.overrides().clone(),
            names: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// All of them, none of which is left to declare: names that arguments give and no parameter has are misspelt.
    ///
    /// # Errors
    /// Names the first, where it is given, and the nearest name there is. What stands in a file for all nodes and is
    /// near to no name is warned of only: other nodes may have it.
    pub fn complete(self) -> Result<Self, ParameterError> {
        let warnings = self.given.require_known(&self.names).map_err(ParameterError::Unknown)?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(self)
    }

    /// Declares a parameter that is read once, at start.
    ///
    /// # Errors
    /// When the value given cannot work; the message names the parameter, what is allowed and what was found.
    pub fn fixed<D: Declaration + Clone + Send + Sync + 'static>(
        &mut self,
        declaration: D,
    ) -> Result<D::Value, ParameterError> {
        self.names.push(declaration.name());
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
        self.names.push(declaration.name());
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
