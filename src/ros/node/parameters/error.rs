//! Errors of parameters and ROS arguments.

use rclrs::DeclarationError;

/// Error in a parameter or an argument, which keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// Invalid value.
    #[error("parameter {name}: expected {allowed}, found {found}; correct it in the parameter file or launch argument")]
    Impossible {
        /// Name of the parameter.
        name: &'static str,
        /// Allowed values, with their unit.
        allowed: String,
        /// Value that was given.
        found: String,
    },
    /// Value of another type.
    #[error(
        "parameter {name}: expected {kind}, found another type; correct it in the parameter file or launch argument"
    )]
    Type {
        /// Name of the parameter.
        name: &'static str,
        /// Expected type, with an example.
        kind: &'static str,
    },
    /// Value that no parameter can have.
    #[error("parameter {name}, given by {given_by}: expected {expected}, found {found}")]
    Value {
        /// Name of the parameter.
        name: String,
        /// File or argument that gives it.
        given_by: String,
        /// Description of values that can be given.
        expected: &'static str,
        /// Value that was given.
        found: String,
    },
    /// Name that no parameter of the node has.
    #[error("{0}; correct it in the parameter file or launch argument")]
    Unknown(UnknownParameter),
    /// Error of the declaration itself.
    #[error("parameter {name}: {source}")]
    Declaration {
        /// Name of the parameter.
        name: &'static str,
        /// Error of rclrs.
        source: DeclarationError,
    },
    /// A parameter file that exists cannot be read.
    #[error("parameter file {path}: {message}")]
    File {
        /// The file.
        path: String,
        /// Error of the operating system or the parser.
        message: String,
    },
    /// Argument that is not for ROS.
    #[error("argument {0}: expected ROS arguments, e.g. --ros-args -p NAME:=VALUE --params-file FILE -r __ns:=/left")]
    NotForRos(String),
    /// Assignment without a flag.
    #[error(
        "argument {0}: expected a flag before it, found none; write -p {0} for a parameter or -r {0} for a remapping"
    )]
    NoFlag(String),
    /// Flag that ROS does not have.
    #[error(
        "argument {argument}: expected a flag that ROS has after --ros-args, the nearest is {nearest}; values follow their \
         flag after a space"
    )]
    UnknownFlag {
        /// The argument.
        argument: String,
        /// Known flag that is most similar.
        nearest: &'static str,
    },
    /// Flag without its value.
    #[error("argument {0}: expected a value after it, found none")]
    NoValue(String),
    /// Flag without an assignment.
    #[error("argument {flag}: expected NAME:=VALUE after it, without spaces, found {found}")]
    NoAssignment {
        /// The flag.
        flag: String,
        /// Argument found in its place.
        found: String,
    },
    /// Flag without the path of a file.
    #[error("argument {0}: expected the path of a parameter file after it, found none")]
    NoPath(String),
    /// Path without a file.
    #[error("argument {flag} {path}: expected a parameter file, found none there; correct the path")]
    NoFile {
        /// The flag.
        flag: String,
        /// The path.
        path: String,
    },
}

/// A given name that no parameter of the node has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name}, given by {given_by}: expected one that this node has, the nearest is {nearest}")]
pub struct UnknownParameter {
    /// The name.
    pub name: String,
    /// File or argument that gives it.
    pub given_by: String,
    /// Known name that is most similar.
    pub nearest: &'static str,
}
