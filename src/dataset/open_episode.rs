//! Writes the open episode to disk frame by frame, so that a killed recorder loses no frame that it has taken.
//!
//! A line of JSON is the header; each frame follows as its length, a checksum, and its bytes. A frame that was being
//! written when the recorder was killed fails its checksum and is left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::DatasetError;
use super::frame::{Frame, Picture};
use super::info::Info;
use super::storage::{Sink, Storage};
use crate::files;

/// Folder of the open episode in a dataset.
pub(super) const FOLDER: &str = ".open";
/// File of the open episode in its folder.
const FILE: &str = "episode";

/// Time between syncs to disk: a loss of power may cost as much; a killed process costs nothing.
const SYNCED_EVERY: Duration = Duration::from_millis(900);

/// Maximum size of a frame that is read (bytes).
const LONGEST: usize = 1 << 28;

/// Header of an open episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Index that the episode will have. A saved episode of that index is the same one.
    pub episode: usize,
    /// Instruction.
    pub task: String,
    /// Length of each of a frame's vectors.
    pub vectors: Vec<usize>,
    /// Number of images of a frame.
    pub pictures: usize,
}

/// Open episode that is being written.
pub struct OpenEpisode {
    path: PathBuf,
    sink: Box<dyn Sink>,
    header: Header,
    frames: usize,
    synced: Instant,
    /// Whether a frame was written in part; nothing could be read after it.
    torn: bool,
}

/// Returns the path of the open episode of the dataset in `root`.
pub fn path(root: &Path) -> PathBuf {
    root.join(FOLDER).join(FILE)
}

impl OpenEpisode {
    /// Begins an episode.
    ///
    /// # Errors
    /// When writing fails.
    pub fn create(storage: &dyn Storage, root: &Path, header: Header) -> Result<Self, DatasetError> {
        let path = path(root);
        let folder = path.parent().unwrap_or(root);
        storage
            .create_dir(folder)
            .map_err(DatasetError::io("make folder", folder))?;
        let mut sink = storage.create(&path).map_err(DatasetError::io("create", &path))?;
        let mut line = serde_json::to_vec(&header).map_err(|e| DatasetError::content(&path, e))?;
        line.push(b'\n');
        sink.write_all(&line)
            .and_then(|()| sink.sync())
            .and_then(|()| storage.sync_dir(folder))
            .map_err(DatasetError::io("write", &path))?;
        Ok(Self {
            path,
            sink,
            header,
            frames: 0,
            synced: Instant::now(),
            torn: false,
        })
    }

    /// Continues an episode that was found, after its last whole frame.
    ///
    /// # Errors
    /// When the file cannot be opened or cut.
    pub fn reopen(storage: &dyn Storage, root: &Path, found: &FoundEpisode) -> Result<Self, DatasetError> {
        let path = path(root);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(DatasetError::io("open", &path))?;
        file.set_len(found.bytes).map_err(DatasetError::io("cut", &path))?;
        Ok(Self {
            sink: storage.append(&path).map_err(DatasetError::io("open", &path))?,
            path,
            header: found.header.clone(),
            frames: found.frames,
            synced: Instant::now(),
            torn: false,
        })
    }

    /// Appends a frame. It is with the operating system when this returns; while frames arrive, they are synced to disk
    /// every second.
    ///
    /// # Errors
    /// When writing fails now or has failed before; the frames before that are kept.
    pub fn push(&mut self, frame: &Frame) -> Result<(), DatasetError> {
        if self.torn {
            let problem = "a frame could not be written before; save the frames that were, or discard them";
            return Err(DatasetError::content(&self.path, problem));
        }
        let payload = encode(frame);
        let length = u32::try_from(payload.len())
            .map_err(|_| DatasetError::Request(format!("a frame of {} bytes is too large", payload.len())))?;
        let written = (|| {
            self.sink.write_all(&length.to_le_bytes())?;
            self.sink.write_all(&crc32fast::hash(&payload).to_le_bytes())?;
            self.sink.write_all(&payload)?;
            if self.synced.elapsed() < SYNCED_EVERY {
                return self.sink.flush();
            }
            self.synced = Instant::now();
            self.sink.sync()
        })();
        self.torn = written.is_err();
        written.map_err(DatasetError::io("write", &self.path))?;
        self.frames += 1;
        Ok(())
    }

    /// Returns the number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

fn encode(frame: &Frame) -> Vec<u8> {
    let numbers = frame.vectors.values().flatten();
    let mut bytes: Vec<u8> = numbers.flat_map(|v| v.to_le_bytes()).collect();
    for picture in &frame.pictures {
        bytes.extend((picture.bytes.len() as u32).to_le_bytes());
        bytes.extend(&picture.bytes);
    }
    bytes
}

/// Open episode that was found on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundEpisode {
    /// Header of the episode.
    pub header: Header,
    /// Number of whole frames.
    pub frames: usize,
    /// Length of the file up to the end of the last whole frame (bytes).
    bytes: u64,
}

/// Looks for an open episode that fits the dataset.
///
/// # Errors
/// When there is a file that cannot be opened or read, or that has other columns than the dataset.
pub fn find(root: &Path, info: &Info) -> Result<Option<FoundEpisode>, DatasetError> {
    let path = path(root);
    if !path.exists() {
        return Ok(None);
    }
    let Some(mut reader) = OpenEpisodeReader::open(root, info)? else {
        return Ok(None);
    };
    let header = reader.header.clone();
    if header.pictures != info.pictures().count() || header.vectors.len() != info.vectors().count() {
        let problem = "an open episode with other columns than the dataset's; remove it, or record where it was begun";
        return Err(DatasetError::content(&path, problem));
    }
    let frames = reader.by_ref().count();
    Ok(Some(FoundEpisode {
        header,
        frames,
        bytes: reader.sound,
    }))
}

/// Reads the whole frames of an open episode in order.
pub struct OpenEpisodeReader {
    header: Header,
    /// Columns of the vectors.
    columns: Vec<String>,
    reader: BufReader<File>,
    /// Length of the file up to the end of the last frame returned (bytes).
    sound: u64,
}

impl OpenEpisodeReader {
    /// Opens the episode of a dataset; `None` if the recorder was killed before it had written the header.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(root: &Path, info: &Info) -> Result<Option<Self>, DatasetError> {
        let path = path(root);
        let file = files::open(&path).map_err(DatasetError::io("open", &path))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        // A header is short; a file without a line's end is not read whole.
        reader
            .by_ref()
            .take(1 << 16)
            .read_until(b'\n', &mut line)
            .map_err(DatasetError::io("read", &path))?;
        let Ok(header) = serde_json::from_slice(&line) else {
            return Ok(None);
        };
        Ok(Some(Self {
            header,
            columns: info.vectors().map(|(name, _)| name.to_owned()).collect(),
            reader,
            sound: line.len() as u64,
        }))
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let mut word = || {
            let mut bytes = [0; 4];
            self.reader.read_exact(&mut bytes).ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        let (length, checksum) = (word()? as usize, word()?);
        if length > LONGEST {
            return None;
        }
        let mut payload = Vec::new();
        self.reader
            .by_ref()
            .take(length as u64)
            .read_to_end(&mut payload)
            .ok()?;
        if payload.len() != length || crc32fast::hash(&payload) != checksum {
            return None;
        }
        let frame = self.decode(&payload)?;
        self.sound += 8 + length as u64;
        Some(frame)
    }

    fn decode(&self, mut bytes: &[u8]) -> Option<Frame> {
        let mut vectors = BTreeMap::new();
        for (name, length) in self.columns.iter().zip(&self.header.vectors) {
            let (own, rest) = bytes.split_at_checked(length.checked_mul(4)?)?;
            let values = own.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v));
            vectors.insert(name.clone(), values.collect());
            bytes = rest;
        }
        let mut pictures = Vec::new();
        for _ in 0..self.header.pictures {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (own, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            pictures.push(Picture::of_bytes(own.to_vec()).ok()?);
            bytes = rest;
        }
        bytes.is_empty().then_some(Frame { vectors, pictures })
    }
}

impl Iterator for OpenEpisodeReader {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        self.next_frame()
    }
}
