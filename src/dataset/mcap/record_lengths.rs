//! Checks the lengths that records announce: the reader of MCAP reserves memory for a text before it finds that the
//! record is shorter.

use mcap::records::op;

/// Error when a record is shorter than a length in it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{record} record: expected {expected} bytes for its {field}, found {found}; the recording is damaged, copy it again"
)]
pub(super) struct LengthError {
    record: &'static str,
    field: &'static str,
    expected: u64,
    found: usize,
}

/// Part of a record.
enum Field {
    /// Numbers of this size in total (bytes).
    Numbers(u64),
    /// Length in 4 bytes, and as many bytes.
    Bytes(&'static str),
    /// Length in 8 bytes, and as many bytes.
    LongBytes(&'static str),
    /// Length in 4 bytes, and entries of `size` bytes that are as long together.
    Entries { name: &'static str, size: u64 },
    /// Length in 4 bytes, and texts that are as long together with their own lengths.
    Texts(&'static str),
}

/// Kind of record with lengths in it.
struct Kind {
    opcode: u8,
    name: &'static str,
    fields: &'static [Field],
}

/// Fields of records, from the specification (<https://mcap.dev/spec>). Chunks are not among them: the reader checks
/// their lengths itself.
const KINDS: &[Kind] = &[
    Kind {
        opcode: op::HEADER,
        name: "header",
        fields: &[Field::Bytes("profile"), Field::Bytes("library")],
    },
    Kind {
        opcode: op::SCHEMA,
        name: "schema",
        fields: &[
            Field::Numbers(2),
            Field::Bytes("name"),
            Field::Bytes("encoding"),
            Field::Bytes("data"),
        ],
    },
    Kind {
        opcode: op::CHANNEL,
        name: "channel",
        fields: &[
            Field::Numbers(4),
            Field::Bytes("topic"),
            Field::Bytes("message encoding"),
            Field::Texts("metadata"),
        ],
    },
    Kind {
        opcode: op::MESSAGE_INDEX,
        name: "message index",
        fields: &[
            Field::Numbers(2),
            Field::Entries {
                name: "entries",
                size: 16,
            },
        ],
    },
    Kind {
        opcode: op::CHUNK_INDEX,
        name: "chunk index",
        fields: &[
            Field::Numbers(32),
            Field::Entries {
                name: "message index offsets",
                size: 10,
            },
            Field::Numbers(8),
            Field::Bytes("compression"),
            Field::Numbers(16),
        ],
    },
    Kind {
        opcode: op::ATTACHMENT,
        name: "attachment",
        fields: &[
            Field::Numbers(16),
            Field::Bytes("name"),
            Field::Bytes("media type"),
            Field::LongBytes("data"),
            Field::Numbers(4),
        ],
    },
    Kind {
        opcode: op::ATTACHMENT_INDEX,
        name: "attachment index",
        fields: &[Field::Numbers(40), Field::Bytes("name"), Field::Bytes("media type")],
    },
    Kind {
        opcode: op::STATISTICS,
        name: "statistics",
        fields: &[
            Field::Numbers(42),
            Field::Entries {
                name: "message counts of channels",
                size: 10,
            },
        ],
    },
    Kind {
        opcode: op::METADATA,
        name: "metadata",
        fields: &[Field::Bytes("name"), Field::Texts("metadata")],
    },
    Kind {
        opcode: op::METADATA_INDEX,
        name: "metadata index",
        fields: &[Field::Numbers(16), Field::Bytes("name")],
    },
];

/// Checks that a record has as many bytes as the lengths in it say. Records without lengths pass.
///
/// # Errors
/// When the record is shorter.
pub(super) fn check(opcode: u8, record: &[u8]) -> Result<(), LengthError> {
    let Some(kind) = KINDS.iter().find(|kind| kind.opcode == opcode) else {
        return Ok(());
    };
    let mut rest = Rest {
        record: kind.name,
        bytes: record,
    };
    kind.fields.iter().try_for_each(|field| rest.pass(field))
}

/// Part of a record that has not been checked.
struct Rest<'a> {
    record: &'static str,
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    /// Passes over a field.
    fn pass(&mut self, field: &Field) -> Result<(), LengthError> {
        match *field {
            Field::Numbers(size) => self.take(size, "numbers").map(drop),
            Field::Bytes(name) => self.pass_bytes(4, name),
            Field::LongBytes(name) => self.pass_bytes(8, name),
            Field::Entries { name, size } => {
                // The reader takes the last entry as a whole, whatever the length says.
                let length = self.number(4, name)?.next_multiple_of(size);
                self.take(length, name).map(drop)
            }
            Field::Texts(name) => {
                let length = self.number(4, name)?;
                let end = self.require(length, name)?;
                while self.bytes.len() > end {
                    self.pass_bytes(4, name)?;
                    self.pass_bytes(4, name)?;
                }
                Ok(())
            }
        }
    }

    /// Passes over a length of `size` bytes and the bytes that it announces.
    fn pass_bytes(&mut self, size: u64, field: &'static str) -> Result<(), LengthError> {
        let length = self.number(size, field)?;
        self.take(length, field).map(drop)
    }

    /// Reads an unsigned number of `size` bytes, little-endian.
    fn number(&mut self, size: u64, field: &'static str) -> Result<u64, LengthError> {
        let bytes = self.take(size, field)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn take(&mut self, length: u64, field: &'static str) -> Result<&'a [u8], LengthError> {
        let left = self.require(length, field)?;
        let (taken, rest) = self.bytes.split_at(self.bytes.len() - left);
        self.bytes = rest;
        Ok(taken)
    }

    /// Checks that `length` bytes are left; returns how many follow them.
    fn require(&self, length: u64, field: &'static str) -> Result<usize, LengthError> {
        let length_here = usize::try_from(length).unwrap_or(usize::MAX);
        self.bytes.len().checked_sub(length_here).ok_or(LengthError {
            record: self.record,
            field,
            expected: length,
            found: self.bytes.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length that no record here has (bytes).
    const HUGE: u64 = 800 << 20;

    fn text(value: &str) -> Vec<u8> {
        [&(value.len() as u32).to_le_bytes()[..], value.as_bytes()].concat()
    }

    /// A valid field.
    fn valid(field: &Field) -> Vec<u8> {
        match *field {
            Field::Numbers(size) => vec![0; size as usize],
            Field::Bytes(_) => text("text"),
            Field::LongBytes(_) => [&3u64.to_le_bytes()[..], b"abc"].concat(),
            Field::Entries { size, .. } => [&(size as u32).to_le_bytes()[..], &vec![0; size as usize]].concat(),
            Field::Texts(_) => {
                let pair = [text("key"), text("value")].concat();
                [&(pair.len() as u32).to_le_bytes()[..], &pair].concat()
            }
        }
    }

    #[test]
    fn valid_records_are_passed_and_parsed() {
        for kind in KINDS {
            let record: Vec<u8> = kind.fields.iter().flat_map(valid).collect();
            assert_eq!(check(kind.opcode, &record), Ok(()), "{}", kind.name);
            mcap::parse_record(kind.opcode, &record).unwrap();
            for cut in 0..record.len() {
                assert!(
                    check(kind.opcode, &record[..cut]).is_err(),
                    "{} cut to {cut}",
                    kind.name
                );
            }
        }
    }

    #[test]
    fn lengths_beyond_the_record_are_refused() {
        let mut checked = 0;
        for kind in KINDS {
            for (at, field) in kind.fields.iter().enumerate() {
                let (name, size) = match *field {
                    Field::Numbers(_) => continue,
                    Field::LongBytes(name) => (name, 8),
                    Field::Bytes(name) | Field::Texts(name) | Field::Entries { name, .. } => (name, 4),
                };
                let before = kind.fields[..at].iter().flat_map(valid);
                let length = HUGE.to_le_bytes();
                let record: Vec<u8> = before.chain(length[..size].to_vec()).chain(*b"abc").collect();
                let error = check(kind.opcode, &record).unwrap_err();
                assert_eq!((error.record, error.field, error.found), (kind.name, name, 3));
                assert!(error.expected.abs_diff(HUGE) < 16, "{error}");
                checked += 1;
            }
        }
        assert_eq!(checked, 20);
    }

    #[test]
    fn lengths_of_the_texts_of_a_map_are_checked() {
        for (opcode, before) in [
            (op::METADATA, text("name")),
            (op::CHANNEL, [vec![0; 4], text("topic"), text("cdr")].concat()),
        ] {
            let huge = (HUGE as u32).to_le_bytes();
            for pair in [[&huge[..], b"abc"].concat(), [&text("key")[..], &huge, b"abc"].concat()] {
                let length = (pair.len() as u32).to_le_bytes();
                let record = [&before[..], &length, &pair].concat();
                let error = check(opcode, &record).unwrap_err().to_string();
                assert!(
                    error.contains("expected 838860800 bytes for its metadata, found 3;"),
                    "{error}"
                );
            }
        }
    }
}
