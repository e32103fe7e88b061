//! Errors of contracts.

use std::path::PathBuf;

use super::FILE_NAME;

/// Errors of reading, writing or comparing a contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file could not be read.
    #[error("cannot read the contract {path}: {source}; a checkpoint or dataset directory must hold {FILE_NAME}")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error("cannot write the contract {path}: {source}")]
    Write {
        /// File that was opened.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is not a contract.
    #[error("{path} is not a contract: {message}")]
    Parse {
        /// File that was read.
        path: PathBuf,
        /// Parser's message with line and column.
        message: String,
    },
    /// A value of the contract is invalid.
    #[error("{path} is not a contract: {message}")]
    Invalid {
        /// File that was read.
        path: PathBuf,
        /// First invalid field: expected and found value.
        message: String,
    },
    /// The contract and the robot disagree.
    #[error("contract mismatch in {field}: expected {expected}, found {found}; {remedy}")]
    Mismatch {
        /// Field, e.g. `robot.cameras[1].width`.
        field: String,
        /// Value in the contract.
        expected: String,
        /// Value on the other side.
        found: String,
        /// Advice for the user.
        remedy: &'static str,
    },
}
