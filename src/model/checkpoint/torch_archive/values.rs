//! Values that the pickle of a state dict creates.

use std::rc::Rc;

use safetensors::Dtype;

use super::error::StateDictError;

/// Largest number of dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

/// Location of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Type of its values.
    pub dtype: Dtype,
    /// Name of the storage.
    pub storage: Rc<str>,
    /// Number of values in the storage.
    pub storage_len: usize,
    /// Index of the tensor's first value in the storage.
    pub offset: usize,
    /// Shape; values are contiguous, row major.
    pub shape: Vec<usize>,
}

/// Functions and classes that a state dict names; none is ever called.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    Storage(Dtype),
}

/// A value on the stack.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// None, true or false.
    Other,
    Number(i64),
    Text(Rc<str>),
    Global(Global),
    Storage {
        dtype: Dtype,
        name: Rc<str>,
        len: usize,
    },
    Tensor(Rc<Stored>),
    /// Values, and the depth of nested tuples.
    Tuple(Rc<[Value]>, usize),
    /// Index of one of the created dicts.
    Dict(usize),
}

/// Returns the tensor of `(storage, offset, shape, strides, …)`.
///
/// # Errors
/// When they are others, or the values are not contiguous.
pub(super) fn tensor(parts: &[Value]) -> Result<Stored, StateDictError> {
    let [
        Value::Storage { dtype, name, len },
        Value::Number(offset),
        Value::Tuple(shape, _),
        Value::Tuple(strides, _),
        ..,
    ] = parts
    else {
        return Err(StateDictError::Arguments);
    };
    if shape.len() > MOST_DIMENSIONS || shape.len() != strides.len() {
        return Err(StateDictError::Dimensions(MOST_DIMENSIONS));
    }
    let (shape, strides) = (sizes(shape)?, sizes(strides)?);
    let mut below = 1usize;
    for (size, stride) in shape.iter().zip(&strides).rev() {
        if *size > 1 && *stride != below {
            return Err(StateDictError::Strides { shape, strides });
        }
        below = below.saturating_mul(*size);
    }
    Ok(Stored {
        dtype: *dtype,
        storage: Rc::clone(name),
        storage_len: *len,
        offset: usize::try_from(*offset).map_err(|_| StateDictError::Offset {
            storage: name.to_string(),
            found: *offset,
        })?,
        shape,
    })
}

fn sizes(values: &[Value]) -> Result<Vec<usize>, StateDictError> {
    let size = |value: &Value| match value {
        Value::Number(number) => usize::try_from(*number).ok(),
        _ => None,
    };
    let all: Option<Vec<_>> = values.iter().map(size).collect();
    all.ok_or(StateDictError::Sizes)
}

/// Returns the type of a storage's values from the name of its class.
pub(super) fn dtype_of(class: &str) -> Option<Dtype> {
    Some(match class {
        "Float" => Dtype::F32,
        "BFloat16" => Dtype::BF16,
        "Half" => Dtype::F16,
        "Double" => Dtype::F64,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::BOOL,
        _ => return None,
    })
}
