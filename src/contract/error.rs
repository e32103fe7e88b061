//! Why a contract is refused.

use std::path::PathBuf;

use super::FILE_NAME;

/// Why a contract could not be read or does not fit.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file could not be read.
    #[error("cannot read the contract {path}: {source}; a checkpoint or dataset directory must hold {FILE_NAME}")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error("cannot write the contract {path}: {source}")]
    Write {
        /// File that was opened.
        path: PathBuf,
        /// What the system said.
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
    /// Two sides disagree.
    #[error("contract mismatch in {field}: expected {expected}, found {found}; {remedy}")]
    Mismatch {
        /// Field, e.g. `robot.cameras[1].width`.
        field: String,
        /// Value in the contract.
        expected: String,
        /// Value on the other side.
        found: String,
        /// What the user can do.
        remedy: &'static str,
    },
}
