//! Walks Thrift's compact protocol, in which parquet files store their metadata, without trusting any length in it.

/// Maximum nesting depth of structures and lists; parquet has 7.
const DEEPEST: usize = 16;

/// Value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A whole number of any width.
    Integer(i64),
    /// Bytes or text.
    Bytes(&'a [u8]),
    /// Beginning of a structure.
    Struct,
}

/// Error of walking a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// More bytes are needed.
    Short,
    /// The bytes are invalid.
    Malformed,
}

/// Walks one structure and calls `visit` with each value and the numbers of the fields that lead to it. Positions in
/// lists are not counted, and of the elements of lists only structures are visited. Returns the number of bytes read.
///
/// # Errors
/// When the bytes end before the structure does, or are invalid.
pub fn walk<'a>(bytes: &'a [u8], visit: &mut dyn FnMut(&[i64], Value<'a>)) -> Result<usize, Broken> {
    let mut walker = Walker {
        bytes,
        path: Vec::new(),
        depth: 0,
        visit,
    };
    walker.structure()?;
    Ok(bytes.len() - walker.bytes.len())
}

struct Walker<'a, 'v> {
    bytes: &'a [u8],
    path: Vec<i64>,
    depth: usize,
    visit: &'v mut dyn FnMut(&[i64], Value<'a>),
}

impl<'a> Walker<'a, '_> {
    fn structure(&mut self) -> Result<(), Broken> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Broken::Malformed);
        }
        let mut field = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                break;
            }
            let next = match head >> 4 {
                0 => self.integer()?,
                step => field.saturating_add(i64::from(step)),
            };
            // Writers number fields upwards; of a repeated field another reader may take the other one.
            if next <= field {
                return Err(Broken::Malformed);
            }
            field = next;
            self.path.push(field);
            // The type of a boolean is its value.
            if !matches!(head & 15, 1 | 2) {
                self.value(head & 15)?;
            }
            self.path.pop();
        }
        self.depth -= 1;
        Ok(())
    }

    fn value(&mut self, kind: u8) -> Result<(), Broken> {
        match kind {
            1..=3 => self.take(1).map(drop),
            4..=6 => {
                let value = Value::Integer(self.integer()?);
                (self.visit)(&self.path, value);
                Ok(())
            }
            7 => self.take(8).map(drop),
            8 => {
                let length = self.unsigned()?;
                let value = Value::Bytes(self.take(length)?);
                (self.visit)(&self.path, value);
                Ok(())
            }
            9 | 10 => self.list(),
            11 => self.map(),
            12 => {
                (self.visit)(&self.path, Value::Struct);
                self.structure()
            }
            _ => Err(Broken::Malformed),
        }
    }

    fn list(&mut self) -> Result<(), Broken> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.unsigned()?,
            short => u64::from(short),
        };
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Broken::Malformed);
        }
        // Each element takes at least a byte, so a length that is too large ends with the bytes.
        for _ in 0..length {
            match head & 15 {
                4..=6 => self.integer().map(drop)?,
                8 => {
                    let length = self.unsigned()?;
                    self.take(length)?;
                }
                kind => self.value(kind)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn map(&mut self) -> Result<(), Broken> {
        let length = self.unsigned()?;
        if length == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Broken::Malformed);
        }
        for _ in 0..length {
            self.value(kinds >> 4)?;
            self.value(kinds & 15)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(length).map_err(|_| Broken::Malformed)?;
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Broken::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        self.take(1)?.first().copied().ok_or(Broken::Short)
    }

    fn unsigned(&mut self) -> Result<u64, Broken> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Broken::Malformed)
    }

    /// Reads a zigzag number, whose lowest bit is the sign.
    fn integer(&mut self) -> Result<i64, Broken> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8]) -> Result<Vec<(Vec<i64>, Value<'_>)>, Broken> {
        let mut all = Vec::new();
        walk(bytes, &mut |path, value| all.push((path.to_vec(), value)))?;
        Ok(all)
    }

    #[test]
    fn fields_are_named_by_the_way_to_them() {
        // 1: -1, 3: [{2: "ab"}, {}], 4: true
        let bytes = [0x15, 0x01, 0x29, 0x2c, 0x28, 2, b'a', b'b', 0, 0, 0x11, 0];
        let expected = vec![
            (vec![1], Value::Integer(-1)),
            (vec![3], Value::Struct),
            (vec![3, 2], Value::Bytes(b"ab")),
            (vec![3], Value::Struct),
        ];
        assert_eq!(seen(&bytes), Ok(expected));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        // text of 2^63 bytes, a list of 2^62 structures, and structures within structures without end
        let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(seen(&[&[0x18], &long[..]].concat()), Err(Broken::Short));
        assert_eq!(seen(&[&[0x19, 0xfc], &long[..]].concat()), Err(Broken::Short));
        assert_eq!(seen(&[0x1c; 1000]), Err(Broken::Malformed));
    }

    #[test]
    fn a_field_is_there_once_and_a_list_of_numbers_is_no_number() {
        // 1: -1 and then 1: 0, by its full number
        assert_eq!(seen(&[0x15, 0x01, 0x05, 0x02, 0, 0]), Err(Broken::Malformed));
        // 1: [0, -1]
        assert_eq!(seen(&[0x19, 0x25, 0, 1, 0]), Ok(Vec::new()));
    }
}
