//! Streams the messages of a recording of any size.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::compression::{self, LONGEST_MESSAGE};
use super::{BagError, files};

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
    pub fn data(&self) -> Result<Cow<'_, [u8]>, String> {
        match self.encoding {
            "cdr" => compression::message(self.data),
            "ros1" => Err("expected messages of ROS 2 (cdr), found those of ROS 1; \
                           convert the bag with rosbags-convert, which translates them"
                .into()),
            other => Err(format!("expected messages of ROS 2 (cdr), found encoding {other:?}")),
        }
    }
}

/// Calls `each` for every message of `paths`. A recording that was cut off is read as far as it goes.
pub(super) fn messages(
    paths: &[PathBuf],
    mut each: impl FnMut(BagMessage<'_>) -> Result<(), BagError>,
) -> Result<(), BagError> {
    for path in paths {
        records(path, &mut |found| {
            if let Found::Message(message) = found {
                each(message)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(())
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

fn records(path: &Path, each: &mut Each<'_>) -> Result<(), BagError> {
    let mut file = files::open(path)?;
    let options = LinearReaderOptions::default()
        .with_validate_chunk_crcs(true)
        .with_record_length_limit(LONGEST_MESSAGE);
    let mut reader = LinearReader::new_with_options(options);
    let mut kinds: HashMap<u16, String> = HashMap::new();
    let mut channels: HashMap<u16, Channel> = HashMap::new();
    while let Some(event) = reader.next_event() {
        let event = match event {
            Ok(event) => event,
            Err(mcap::McapError::UnexpectedEof) if !channels.is_empty() => {
                tracing::warn!("{}: cut off; read as far as it goes", path.display());
                return Ok(());
            }
            Err(e) => return Err(BagError::content(path, format!("expected a recording in MCAP: {e}"))),
        };
        let (opcode, data) = match event {
            LinearReadEvent::ReadRequest(wanted) => {
                let read = match file.read(reader.insert(wanted)) {
                    // the end of a compressed file that was cut off
                    Err(e) if e.kind() == ErrorKind::UnexpectedEof => 0,
                    read => read.map_err(BagError::file("read", path))?,
                };
                reader.notify_read(read);
                continue;
            }
            LinearReadEvent::Record { data, opcode } => (opcode, data),
        };
        let next = match mcap::parse_record(opcode, data).map_err(|e| BagError::content(path, e))? {
            Record::Schema { header, .. } => {
                kinds.insert(header.id, header.name);
                continue;
            }
            Record::Channel(channel) => {
                let kind = kinds.get(&channel.schema_id).cloned().unwrap_or_default();
                channels.insert(
                    channel.id,
                    Channel {
                        topic: channel.topic,
                        kind,
                        encoding: channel.message_encoding,
                    },
                );
                continue;
            }
            Record::Metadata(notes) => each(Found::Notes(notes))?,
            Record::Message { header, data } => {
                let Some(channel) = channels.get(&header.channel_id) else {
                    continue;
                };
                each(Found::Message(BagMessage {
                    topic: &channel.topic,
                    kind: &channel.kind,
                    log_time: header.log_time,
                    encoding: &channel.encoding,
                    data: &data,
                }))?
            }
            _ => continue,
        };
        if next.is_break() {
            return Ok(());
        }
    }
    Ok(())
}
