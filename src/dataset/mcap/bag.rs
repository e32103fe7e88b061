//! Streams the messages of a recording, whatever its size.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use super::BagError;

/// Longest record that is read; a picture of 16 megapixels is not longer.
const LONGEST: usize = 1 << 28;

/// A message on a topic.
pub(super) struct BagMessage<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its type, e.g. `sensor_msgs/msg/JointState`.
    pub kind: &'a str,
    /// When it was recorded [ns].
    pub log_time: u64,
    /// CDR.
    pub data: &'a [u8],
}

/// The files of a recording: itself, or for a folder of `ros2 bag record` those in it, in order.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, BagError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(BagError::file("read folder", path))?;
    let is_mcap = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "mcap");
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_mcap)
        .collect();
    // rosbag2 numbers its files without leading zeros: shorter names come first
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    if files.is_empty() {
        let problem = format!(
            "{}: expected a folder with .mcap files (ros2 bag record -s mcap), found none",
            path.display()
        );
        return Err(BagError::Request(problem));
    }
    Ok(files)
}

/// Calls `each` for every message of `paths`. A recording that was cut off is read as far as it goes.
pub(super) fn messages(
    paths: &[PathBuf],
    mut each: impl FnMut(BagMessage<'_>) -> Result<(), BagError>,
) -> Result<(), BagError> {
    for path in paths {
        read_file(path, &mut each)?;
    }
    Ok(())
}

/// Topic and type of a channel.
struct Channel {
    topic: String,
    kind: String,
    is_cdr: bool,
}

fn read_file(path: &Path, each: &mut dyn FnMut(BagMessage<'_>) -> Result<(), BagError>) -> Result<(), BagError> {
    let mut file = File::open(path).map_err(BagError::file("open", path))?;
    let options = LinearReaderOptions::default()
        .with_validate_chunk_crcs(true)
        .with_record_length_limit(LONGEST);
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
                let read = file.read(reader.insert(wanted)).map_err(BagError::file("read", path))?;
                reader.notify_read(read);
                continue;
            }
            LinearReadEvent::Record { data, opcode } => (opcode, data),
        };
        match mcap::parse_record(opcode, data).map_err(|e| BagError::content(path, e))? {
            Record::Schema { header, .. } => {
                kinds.insert(header.id, header.name);
            }
            Record::Channel(channel) => {
                let kind = kinds.get(&channel.schema_id).cloned().unwrap_or_default();
                let is_cdr = channel.message_encoding == "cdr";
                channels.insert(
                    channel.id,
                    Channel {
                        topic: channel.topic,
                        kind,
                        is_cdr,
                    },
                );
            }
            Record::Message { header, data } => {
                if let Some(channel) = channels.get(&header.channel_id).filter(|channel| channel.is_cdr) {
                    each(BagMessage {
                        topic: &channel.topic,
                        kind: &channel.kind,
                        log_time: header.log_time,
                        data: &data,
                    })?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
