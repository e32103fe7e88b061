//! Streams the messages of a recording of any size.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::compression::{self, LONGEST_MESSAGE};
use super::{BagError, MessageError, files, record_lengths};

/// Maximum size of a read (bytes), so that a record that announces more than the file has takes no memory for it.
const READ_AT_ONCE: usize = 1 << 20;

/// Message on a topic.
pub(super) struct BagMessage<'a> {
    /// Name of the topic.
    pub topic: &'a str,
    /// Type of the message, e.g. `sensor_msgs/msg/JointState`.
    pub kind: &'a str,
    /// Time of recording (ns).
    pub log_time: u64,
    encoding: &'a str,
    data: &'a [u8],
}

impl BagMessage<'_> {
    /// Returns the message in CDR, decompressed if rosbag2 compressed it.
    ///
    /// # Errors
    /// When it is in another encoding, or compressed data is damaged.
    pub fn data(&self) -> Result<Cow<'_, [u8]>, MessageError> {
        match self.encoding {
            "cdr" => compression::message(self.data),
            "ros1" => Err(MessageError::Ros1),
            other => Err(MessageError::Encoding(other.to_owned())),
        }
    }
}

/// Calls `each` for every message of `paths`. A file that was cut off is read as far as it goes; returns these files.
pub(super) fn messages(
    paths: &[PathBuf],
    mut each: impl FnMut(BagMessage<'_>) -> Result<(), BagError>,
) -> Result<Vec<&Path>, BagError> {
    let mut cut_off = Vec::new();
    for path in paths {
        let end = records(path, &mut |found| {
            if let Found::Message(message) = found {
                each(message)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if end == End::CutOff {
            cut_off.push(path.as_path());
        }
    }
    Ok(cut_off)
}

/// Returns the metadata that the writer stored under `name` ahead of the messages; empty if there is none.
pub(super) fn notes(path: &Path, name: &str) -> Result<BTreeMap<String, String>, BagError> {
    let mut notes = BTreeMap::new();
    records(path, &mut |found| {
        match found {
            Found::Notes(found) if found.name == name => notes = found.metadata,
            Found::Notes(_) => {}
            Found::Message(_) => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(notes)
}

/// Where the reading of a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the end of the recording, or where the caller broke.
    Expected,
    /// Within a record: the rest of the file is missing.
    CutOff,
}

enum Found<'a> {
    Message(BagMessage<'a>),
    Notes(mcap::records::Metadata),
}

/// Topic, type and encoding of a channel.
struct Channel {
    topic: String,
    kind: String,
    encoding: String,
}

type Each<'a> = dyn FnMut(Found<'_>) -> Result<ControlFlow<()>, BagError> + 'a;

/// Channels of a recording, as far as it was read.
#[derive(Default)]
struct Channels {
    /// Types of messages, by schema.
    kinds: HashMap<u16, String>,
    known: HashMap<u16, Channel>,
}

impl Channels {
    /// Keeps a schema or channel; calls `each` for a message or metadata.
    fn handle(&mut self, record: Record<'_>, each: &mut Each<'_>) -> Result<ControlFlow<()>, BagError> {
        match record {
            Record::Schema { header, .. } => {
                self.kinds.insert(header.id, header.name);
            }
            Record::Channel(channel) => {
                let kind = self.kinds.get(&channel.schema_id).cloned().unwrap_or_default();
                self.known.insert(
                    channel.id,
                    Channel {
                        topic: channel.topic,
                        kind,
                        encoding: channel.message_encoding,
                    },
                );
            }
            Record::Metadata(notes) => return each(Found::Notes(notes)),
            Record::Message { header, data } => {
                if let Some(channel) = self.known.get(&header.channel_id) {
                    return each(Found::Message(BagMessage {
                        topic: &channel.topic,
                        kind: &channel.kind,
                        log_time: header.log_time,
                        encoding: &channel.encoding,
                        data: &data,
                    }));
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Describes a record of `found` bytes, which are more than are read.
fn too_large(opcode: u8, found: u64) -> String {
    let (what, advice) = match opcode {
        op::MESSAGE => ("a message", "leave its topic out with `mcap filter IN -o OUT -n TOPIC`"),
        op::ATTACHMENT => ("an attachment", "leave it out with `mcap filter IN -o OUT`"),
        _ => ("a record of another kind", "the recording is damaged, copy it again"),
    };
    format!("expected records of at most {LONGEST_MESSAGE} bytes, found {what} of {found}; {advice}")
}

/// Calls `each` for every message and all metadata of a file until it breaks. Chunks of any size are decompressed record
/// by record, so only the size of a record is bounded.
fn records(path: &Path, each: &mut Each<'_>) -> Result<End, BagError> {
    let mut file = files::open(path)?;
    let options = LinearReaderOptions::default()
        .with_validate_chunk_crcs(true)
        .with_record_length_limit(LONGEST_MESSAGE);
    let mut reader = LinearReader::new_with_options(options);
    let mut channels = Channels::default();
    while let Some(event) = reader.next_event() {
        let event = match event {
            Ok(event) => event,
            Err(mcap::McapError::UnexpectedEof) if !channels.known.is_empty() => return Ok(End::CutOff),
            Err(mcap::McapError::RecordTooLarge { opcode, len }) => {
                return Err(BagError::content(path, too_large(opcode, len)));
            }
            Err(e) => return Err(BagError::content(path, format!("expected a recording in MCAP: {e}"))),
        };
        let (opcode, data) = match event {
            LinearReadEvent::ReadRequest(wanted) => {
                let read = match file.read(reader.insert(wanted.min(READ_AT_ONCE))) {
                    // the end of a compressed file that was cut off
                    Err(e) if e.kind() == ErrorKind::UnexpectedEof => 0,
                    read => read.map_err(BagError::file("read", path))?,
                };
                reader.notify_read(read);
                continue;
            }
            LinearReadEvent::Record { data, opcode } => (opcode, data),
        };
        record_lengths::check(opcode, data).map_err(|e| BagError::content(path, e))?;
        let record = mcap::parse_record(opcode, data).map_err(|e| BagError::content(path, e))?;
        if channels.handle(record, each)?.is_break() {
            break;
        }
    }
    Ok(End::Expected)
}
