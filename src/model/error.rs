//! Errors of building, loading and running a network.

use std::path::PathBuf;

use crate::writer_lock::LockError;

/// Error of the model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A field of `config.json` is invalid.
    #[error("config.json, {field}: expected {expected}, found {found}")]
    Config {
        /// Field, e.g. `text_config.num_attention_heads`.
        field: &'static str,
        /// Valid values.
        expected: String,
        /// Value found.
        found: String,
    },
    /// A text names none of the choices.
    #[error("expected {expected}, found {found}")]
    Choice {
        /// The choices.
        expected: &'static str,
        /// Text found.
        found: String,
    },
    /// The number of a GPU cannot be parsed.
    #[error("{device}: {error}")]
    Device {
        /// Text found.
        device: String,
        /// Error of the number.
        error: std::num::ParseIntError,
    },
    /// Metadata in the header of a safetensors file are invalid.
    #[error("metadata of the safetensors file, {key}: expected {expected}, found {found}")]
    Metadata {
        /// Key, e.g. `embed_dim`.
        key: String,
        /// Valid values.
        expected: String,
        /// Value found.
        found: String,
    },
    /// A file cannot be used as a case of the comparison.
    #[error("{path}: {message}; docs/parity.md says what a case holds")]
    Case {
        /// The file.
        path: PathBuf,
        /// Error of the file.
        message: String,
    },
    /// A file of the checkpoint could not be read or written.
    #[error("cannot {action} {path}: {message}; docs/checkpoint.md lists the files of a checkpoint")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the system or the parser.
        message: String,
    },
    /// Another process writes a checkpoint to the directory.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The weights do not fit the configuration.
    #[error("{path} does not fit the configuration, {} problems:\n{}", problems.len(), problems.join("\n"))]
    Weights {
        /// The weights file.
        path: PathBuf,
        /// One line for each tensor that is missing, extra, of the wrong shape or of the wrong type.
        problems: Vec<String>,
    },
    /// The checkpoint lacks a part that is needed.
    #[error("expected a checkpoint that can act, found {found}; {remedy}")]
    Incomplete {
        /// Description of the checkpoint.
        found: String,
        /// Advice for the user.
        remedy: &'static str,
    },
    /// The tokenizer does not fit the configuration.
    #[error("tokenizer.json: {0}")]
    Tokenizer(String),
    /// An instruction cannot be put into the prompt.
    #[error("instruction: {0}")]
    Instruction(String),
    /// A question cannot be asked, or its answer cannot be computed.
    #[error("text: {0}")]
    Text(String),
    /// An observation does not fit the checkpoint.
    #[error("observation: expected {expected}, found {found}")]
    Observation {
        /// What the checkpoint needs.
        expected: String,
        /// Observation found.
        found: String,
    },
    /// The contract is missing, invalid, or does not match `config.json`.
    #[error(transparent)]
    Contract(#[from] crate::contract::ContractError),
    /// The network's output is not a sequence of actions.
    #[error("the network's output: {0}")]
    Actions(#[from] crate::control::chunk::ActionsError),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl ModelError {
    /// Creates the error of an invalid configuration field.
    pub(crate) fn config(field: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Config {
            field,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Creates the error of a text that names none of the choices.
    pub(crate) fn choice(expected: &'static str, found: &str) -> Self {
        Self::Choice {
            expected,
            found: found.to_owned(),
        }
    }

    /// Creates the error of invalid metadata in a safetensors header.
    pub(crate) fn metadata(key: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Metadata {
            key: key.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Creates the error of a file that cannot be read.
    pub(crate) fn read(path: &std::path::Path, message: impl ToString) -> Self {
        Self::File {
            action: "read",
            path: path.to_owned(),
            message: message.to_string(),
        }
    }

    /// Creates the error of a file that cannot be written.
    pub(crate) fn write(path: &std::path::Path, message: impl ToString) -> Self {
        Self::File {
            action: "write",
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}
