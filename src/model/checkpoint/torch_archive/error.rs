//! Errors of reading what `torch.save` writes.

use super::{INDEX, LARGEST_INDEX};

/// Error of an archive of tensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TorchArchiveError {
    /// The archive is truncated, or its records contradict each other.
    #[error("expected a whole zip archive, found a damaged one; fetch it again")]
    Damaged,
    /// Two files have one name.
    #[error("expected each file of the archive once, found {0:?} twice")]
    Twice(String),
    /// A file is encrypted.
    #[error("{0:?}: expected a file that is not encrypted")]
    Encrypted(String),
    /// A file is compressed, so that it cannot be mapped.
    #[error("{0:?}: expected a file stored as it is, found a compressed one")]
    Compressed(String),
    /// Values are big-endian.
    #[error("byteorder: expected little")]
    ByteOrder,
    /// No file assigns tensors to the others.
    #[error("expected {index} in the archive, found none", index = INDEX)]
    NoIndex,
    /// Several files assign tensors to the others.
    #[error("expected one {index} in the archive, found several", index = INDEX)]
    SeveralIndices,
    /// The index is larger than any checkpoint needs.
    #[error("{index}: expected at most {largest} bytes, found {found}", index = INDEX, largest = LARGEST_INDEX)]
    IndexSize {
        /// Its size (bytes).
        found: usize,
    },
    /// The index is no plain state dict.
    #[error("{index}: {0}", index = INDEX)]
    Index(StateDictError),
    /// The archive lacks the values of a tensor.
    #[error("{tensor}: expected its values in data/{storage}, found none")]
    NoValues {
        /// Name of the tensor.
        tensor: String,
        /// Name of the storage.
        storage: String,
    },
    /// A storage has another size than the index says.
    #[error("{tensor}: expected {count} values of {size} bytes in data/{storage}, found {found} bytes")]
    StorageSize {
        /// Name of the tensor.
        tensor: String,
        /// Number of values that the index gives.
        count: usize,
        /// Size of a value (bytes).
        size: usize,
        /// Name of the storage.
        storage: String,
        /// Its size (bytes).
        found: usize,
    },
    /// A tensor does not lie within its storage.
    #[error("{tensor}: expected {shape:?} from {offset} on in the {count} values of data/{storage}")]
    Range {
        /// Name of the tensor.
        tensor: String,
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Index of its first value in the storage.
        offset: usize,
        /// Number of values in the storage.
        count: usize,
        /// Name of the storage.
        storage: String,
    },
}

/// Error of the pickle of a state dict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateDictError {
    /// The pickle ends early, or uses values that it does not have.
    #[error("expected a whole pickle, found one that is cut off or damaged")]
    Cut,
    /// The pickle is of another version.
    #[error("expected version {expected}, found {found}")]
    Version {
        /// Version that is read.
        expected: u8,
        /// Version of the pickle.
        found: u8,
    },
    /// The pickle has an instruction that no state dict needs.
    #[error("expected an instruction of a state dict, found {0:#04x}")]
    Instruction(u8),
    /// The pickle creates more objects than its size allows.
    #[error("expected as many objects as a state dict has, found more than its bytes can describe")]
    Objects,
    /// A number is too long.
    #[error("expected numbers of at most 8 bytes")]
    Number,
    /// Tuples are nested too deeply.
    #[error("expected tuples of numbers in tuples, found deeper ones")]
    Tuple,
    /// The pickle names a function or class that is not supported.
    #[error("expected tensors and dicts alone, found {module:.60}.{name:.60}")]
    Global {
        /// Module of the function or class.
        module: String,
        /// Its name.
        name: String,
    },
    /// Attributes are given to another value than a dict.
    #[error("expected attributes of a dict, found those of something else")]
    Attributes,
    /// Names and values are put into another value than a dict.
    #[error("expected a dict to put values into")]
    Items,
    /// A function is called that creates neither a tensor nor an empty dict.
    #[error("expected a tensor or an empty dict to be made, found something else")]
    Call,
    /// A reference to a storage is malformed.
    #[error("expected the name of a storage")]
    StorageName,
    /// A reference names another kind of object.
    #[error("expected a storage, found {0:?}")]
    StorageKind(String),
    /// A storage has a negative size.
    #[error("expected a size of storage {storage}, found {found}")]
    StorageSize {
        /// Name of the storage.
        storage: String,
        /// Size found.
        found: i64,
    },
    /// A tensor begins before its storage.
    #[error("expected a place in storage {storage}, found {found}")]
    Offset {
        /// Name of the storage.
        storage: String,
        /// Index found.
        found: i64,
    },
    /// The arguments of a tensor are malformed.
    #[error("expected a tensor's storage, offset, shape and strides")]
    Arguments,
    /// A shape or strides are no sizes.
    #[error("expected sizes of a tensor, found something else")]
    Sizes,
    /// A tensor has too many dimensions.
    #[error("expected a tensor of at most {0} dimensions")]
    Dimensions(usize),
    /// The values of a tensor are not contiguous.
    #[error("expected values row by row, found shape {shape:?} with strides {strides:?}; save it contiguous")]
    Strides {
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Its strides.
        strides: Vec<usize>,
    },
    /// The pickle describes another value than a dict.
    #[error("expected a state dict, found something else")]
    Root,
    /// A value of the dict is no tensor.
    #[error("expected tensors by name, found {0:?}, which is no tensor")]
    NoTensor(String),
}
