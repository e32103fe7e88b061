//! Typed parameters with range, unit and description; invalid values are refused at start and at run time.

mod arguments;
mod error;
mod file;
mod kinds;
mod overrides;

use std::any::Any;
use std::sync::Arc;

use rclrs::{AvailableValues, DeclarationError, MandatoryParameter, Node, ParameterBuilder, ParameterVariant};

use super::runtime::Runtime;

pub use arguments::require_ros_only;
pub use error::{ParameterError, UnknownParameter};
pub use kinds::{Flag, Number, NumberList, Text, Texts};
pub use overrides::Overrides;

/// A kind of parameter.
pub trait Declaration {
    /// Type in ROS.
    type Ros: ParameterVariant + Send + Sync;
    /// Type returned to the node.
    type Value;
    /// Name of the type, with an example of a value.
    const KIND: &'static str;

    /// The parameter's name.
    fn name(&self) -> &'static str;
    /// Description, with the unit.
    fn description(&self) -> String;
    /// Allowed values, in words.
    fn allowed(&self) -> String;
    /// A value that is not allowed, formatted for messages; `None` for an allowed one.
    fn disallowed(&self, value: &Self::Ros) -> Option<String>;
    /// Adds default and range to the builder.
    fn complete<'a>(&self, builder: ParameterBuilder<'a, Self::Ros>) -> ParameterBuilder<'a, Self::Ros>;
    /// Converts a value from the ROS type.
    fn value(ros: Self::Ros) -> Self::Value;
}

/// The parameters of one node; they stay declared as long as this lives.
pub struct NodeParameters {
    node: Node,
    given: Overrides,
    names: Vec<&'static str>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

/// A parameter that may be set while the node runs, within its range.
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
    /// Current value.
    pub fn get(&self) -> D::Value {
        D::value(self.parameter.get())
    }
}

impl NodeParameters {
    /// Parameters of the node that runs here.
    pub fn of(runtime: &Runtime) -> Self {
        Self {
            node: Arc::clone(runtime.node()),
            given: runtime.overrides().clone(),
            names: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Checks that arguments and parameter files name only declared parameters; to be called after the last declaration.
    ///
    /// # Errors
    /// Names the first unknown parameter, where it is given, and the nearest known name. An unknown name in a section for
    /// all nodes that is not similar to a known one only causes a warning, because another node may have it.
    pub fn complete(self) -> Result<Self, ParameterError> {
        let warnings = self.given.require_known(&self.names)?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(self)
    }

    /// Declares a parameter that is read once, at start.
    ///
    /// # Errors
    /// When the given value is invalid; the message names the parameter, what is allowed and what was found.
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
            // rclrs reports a value out of range without the value; this stores it for the message.
            .discriminate(move |values: AvailableValues<'_, D::Ros>| {
                let value = values.override_value.or(values.default_value);
                if let (Some(value), Ok(mut slot)) = (&value, seen.lock()) {
                    *slot = at_start.disallowed(value);
                }
                value
            })
            .validate(move |value: &D::Ros| match checked.disallowed(value) {
                None => Ok(()),
                Some(found) => Err(format!("expected {}, found {found}", checked.allowed())),
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
