//! Reader for the pickle of a plain state dict: tensors by name, each as a range of a storage.
//!
//! A pickle is a program for a stack machine. This reader supports the instructions that `torch.save` writes for a
//! state dict and creates only numbers, names, locations of tensors and lists of these. It fails at any other
//! instruction and at any function or class but the three kinds below.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::error::StateDictError;
use super::values::{Global, Stored, Value, dtype_of, tensor};

/// Version of the pickle format that `torch.save` writes.
const PROTOCOL: u8 = 2;

/// Tensors by name.
#[derive(Debug, Default)]
pub struct StateDict {
    pub tensors: BTreeMap<Rc<str>, Rc<Stored>>,
}

/// Tensors of a dict, and the name of a value that is no tensor, if any.
#[derive(Debug, Default)]
struct Dict {
    tensors: BTreeMap<Rc<str>, Rc<Stored>>,
    other: Option<Rc<str>>,
}

/// Largest depth of nested tuples: shape and strides within the arguments of a tensor.
const MAX_DEPTH: usize = 2;

/// Largest number of values on the stack: `torch.save` puts a thousand names and values into a dict at a time.
const LARGEST_STACK: usize = 4096;
/// Largest number of nested marks.
const MOST_MARKS: usize = 64;
/// Smallest number of bytes that `torch.save` writes for a dict or a value that it refers to again.
const BYTES_OF_OBJECT: usize = 8;
/// Number of objects that a pickle of any length may create.
const FEW_OBJECTS: usize = 64;

#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    dicts: Vec<Dict>,
}

impl StateDict {
    /// Reads a pickle.
    ///
    /// # Errors
    /// When it is truncated, or is anything but a plain state dict.
    pub fn read(pickle: &[u8]) -> Result<Self, StateDictError> {
        let mut reader = Reader {
            rest: pickle,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            dicts: Vec::new(),
        };
        while reader.step()? {
            reader.require_memory(pickle.len())?;
        }
        let Some(Value::Dict(root)) = reader.stack.pop() else {
            return Err(StateDictError::Root);
        };
        let root = reader.dicts.into_iter().nth(root).unwrap_or_default();
        match root.other {
            Some(name) => Err(StateDictError::NoTensor(name.to_string())),
            None => Ok(Self { tensors: root.tensors }),
        }
    }
}

impl<'a> Reader<'a> {
    /// Executes one instruction; returns false at the last.
    fn step(&mut self) -> Result<bool, StateDictError> {
        let code = self.byte()?;
        match code {
            0x80 => match self.byte()? {
                PROTOCOL => {}
                found => {
                    let expected = PROTOCOL;
                    return Err(StateDictError::Version { expected, found });
                }
            },
            b'.' => return Ok(false),
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.stack.push(Value::Other),
            b'K' => self.number(1, false)?,
            b'M' => self.number(2, false)?,
            b'J' => self.number(4, true)?,
            0x8a => {
                let size = self.byte()?;
                self.number(size.into(), true)?;
            }
            b'X' => {
                let size = self.index(4)?;
                let text = std::str::from_utf8(self.take(size)?).map_err(|_| StateDictError::Cut)?;
                self.stack.push(Value::Text(text.into()));
            }
            b'}' => self.new_dict(),
            b')' => self.tuple(self.stack.len())?,
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84));
                self.tuple(from.ok_or(StateDictError::Cut)?)?;
            }
            b't' => {
                let from = self.marks.pop().ok_or(StateDictError::Cut)?;
                self.tuple(from)?;
            }
            b'q' => self.keep(1)?,
            b'r' => self.keep(4)?,
            b'h' => self.again(1)?,
            b'j' => self.again(4)?,
            b'c' => self.global()?,
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            b's' => self.set(self.stack.len().checked_sub(2).ok_or(StateDictError::Cut)?)?,
            b'u' => {
                let from = self.marks.pop().ok_or(StateDictError::Cut)?;
                self.set(from)?;
            }
            // Attributes of a state dict: the versions of its modules.
            b'b' => {
                self.pop()?;
                match self.stack.last() {
                    Some(Value::Dict(_)) => {}
                    _ => return Err(StateDictError::Attributes),
                }
            }
            other => return Err(StateDictError::Instruction(other)),
        }
        Ok(true)
    }

    /// Refuses more objects than `length` bytes of a state dict can describe: one byte may create an object of a hundred.
    fn require_memory(&self, length: usize) -> Result<(), StateDictError> {
        let objects = length / BYTES_OF_OBJECT + FEW_OBJECTS;
        let within = self.stack.len() <= LARGEST_STACK
            && self.marks.len() <= MOST_MARKS
            && self.dicts.len() <= objects
            && self.memo.len() <= objects;
        match within {
            true => Ok(()),
            false => Err(StateDictError::Objects),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], StateDictError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(StateDictError::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, StateDictError> {
        self.take(1)?.first().copied().ok_or(StateDictError::Cut)
    }

    fn index(&mut self, size: usize) -> Result<usize, StateDictError> {
        let bytes = self.take(size)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn line(&mut self) -> Result<String, StateDictError> {
        let length = self
            .rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(StateDictError::Cut)?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value, StateDictError> {
        // Values below a mark belong to another instruction.
        let bottom = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > bottom {
            true => self.stack.pop().ok_or(StateDictError::Cut),
            false => Err(StateDictError::Cut),
        }
    }

    /// Pushes a little-endian integer.
    fn number(&mut self, size: usize, signed: bool) -> Result<(), StateDictError> {
        let bytes = self.take(size)?;
        if size > 8 {
            return Err(StateDictError::Number);
        }
        let negative = signed && bytes.last().is_some_and(|last| last & 0x80 != 0);
        let fill = if negative { -1 } else { 0 };
        let number = bytes
            .iter()
            .rev()
            .fold(fill, |number: i64, byte| number << 8 | i64::from(*byte));
        self.stack.push(Value::Number(number));
        Ok(())
    }

    fn new_dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(Dict::default());
    }

    /// Pushes a tuple of the values from stack position `from` on.
    fn tuple(&mut self, from: usize) -> Result<(), StateDictError> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        if from > self.stack.len() || from < bottom {
            return Err(StateDictError::Cut);
        }
        let values: Rc<[Value]> = self.stack.split_off(from).into();
        let depths = values.iter().map(|value| match value {
            Value::Tuple(_, depth) => *depth,
            _ => 0,
        });
        let depth = 1 + depths.max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(StateDictError::Tuple);
        }
        self.stack.push(Value::Tuple(values, depth));
        Ok(())
    }

    fn keep(&mut self, size: usize) -> Result<(), StateDictError> {
        let place = self.index(size)? as u32;
        let value = self.stack.last().cloned().ok_or(StateDictError::Cut)?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn again(&mut self, size: usize) -> Result<(), StateDictError> {
        let place = self.index(size)? as u32;
        let value = self.memo.get(&place).cloned().ok_or(StateDictError::Cut)?;
        self.stack.push(value);
        Ok(())
    }

    fn global(&mut self) -> Result<(), StateDictError> {
        let (module, name) = (self.line()?, self.line()?);
        let global = match (module.as_str(), name.as_str()) {
            ("collections", "OrderedDict") => Some(Global::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
            ("torch", name) => name.strip_suffix("Storage").and_then(dtype_of).map(Global::Storage),
            _ => None,
        };
        let global = global.ok_or(StateDictError::Global { module, name })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// Pushes a storage from `('storage', class, name, device, values)`.
    fn storage(&mut self) -> Result<(), StateDictError> {
        let Value::Tuple(parts, _) = self.pop()? else {
            return Err(StateDictError::StorageName);
        };
        let [
            Value::Text(kind),
            Value::Global(Global::Storage(dtype)),
            Value::Text(name),
            Value::Text(_),
            Value::Number(len),
        ] = &*parts
        else {
            return Err(StateDictError::StorageName);
        };
        if &**kind != "storage" {
            return Err(StateDictError::StorageKind(kind.to_string()));
        }
        let len = usize::try_from(*len).map_err(|_| StateDictError::StorageSize {
            storage: name.to_string(),
            found: *len,
        })?;
        let (dtype, name) = (*dtype, Rc::clone(name));
        self.stack.push(Value::Storage { dtype, name, len });
        Ok(())
    }

    /// Pushes the result of a known function: an empty dict or a tensor.
    fn reduce(&mut self) -> Result<(), StateDictError> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        match (function, arguments) {
            (Value::Global(Global::OrderedDict), Value::Tuple(none, _)) if none.is_empty() => self.new_dict(),
            (Value::Global(Global::RebuildTensor), Value::Tuple(parts, _)) => {
                let tensor = tensor(&parts)?;
                self.stack.push(Value::Tensor(Rc::new(tensor)));
            }
            _ => return Err(StateDictError::Call),
        }
        Ok(())
    }

    /// Adds names and values from stack position `from` on to the dict below.
    fn set(&mut self, from: usize) -> Result<(), StateDictError> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        if from > self.stack.len() || from <= bottom {
            return Err(StateDictError::Cut);
        }
        let items = self.stack.split_off(from);
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err(StateDictError::Items);
        };
        let dict = self.dicts.get_mut(*dict).ok_or(StateDictError::Cut)?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(StateDictError::Cut);
        };
        for [name, value] in pairs {
            match (name, value) {
                (Value::Text(name), Value::Tensor(tensor)) => {
                    dict.tensors.insert(Rc::clone(name), Rc::clone(tensor));
                }
                (Value::Text(name), _) => dict.other = Some(Rc::clone(name)),
                _ => dict.other = Some("a value without a name".into()),
            }
        }
        Ok(())
    }
}
