//! Finds and opens the files of a recording, and refuses other formats by name.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{BagError, compression};
use crate::files::{self, signatures};

/// Endings of rosbag2's MCAP files, and of those compressed as a whole.
const MCAP: &str = ".mcap";
const COMPRESSED: [&str; 2] = [".mcap.zstd", ".mcap.zst"];
/// Endings of files of other formats.
const SQLITE_NAMES: [&str; 3] = [".db3", ".db3.zstd", ".db3.zst"];
const ROS1_NAMES: [&str; 2] = [".bag", ".bag.active"];

/// Magic bytes of other formats.
const ROS1: &[u8] = b"#ROSBAG V";
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Part of rosbag2's `metadata.yaml` that is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    rosbag2_bagfile_information: Information,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Information {
    compression_format: String,
    relative_file_paths: Vec<String>,
}

impl Information {
    /// Listed paths, and the names of the files. Early versions of rosbag2 list the folder of the recording, too.
    fn listed(&self) -> impl Iterator<Item = (&str, &str)> {
        let paths = self.relative_file_paths.iter().map(String::as_str);
        paths.map(|path| (path, path.rsplit('/').next().unwrap_or_default()))
    }
}

/// Formats that are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Foreign {
    /// ROS 1 bag.
    Ros1,
    /// rosbag2 in SQLite.
    Sqlite,
    /// rosbag2 in MCAP, compressed by a plugin other than zstd.
    Compressed,
}

/// Lists the files of a recording in order: the file itself, or those in a folder of `ros2 bag record`.
pub(super) fn of_recording(path: &Path) -> Result<Vec<PathBuf>, BagError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let described = metadata(path);
    if !matches!(described.compression_format.as_str(), "" | "zstd") {
        return Err(refusal(path, Foreign::Compressed));
    }
    let entries = std::fs::read_dir(path).map_err(BagError::file("read folder", path))?;
    let names: BTreeSet<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        // macOS writes such a file beside each file.
        .filter(|name| !name.starts_with("._"))
        .collect();
    let found = names.iter().filter(|name| is_read(name, &names, &described));
    let mut found: Vec<PathBuf> = found.map(|name| path.join(name)).collect();
    let foreign = |name: &&String| SQLITE_NAMES.iter().chain(&ROS1_NAMES).any(|end| name.ends_with(end));
    match (names.iter().find(foreign), found.is_empty()) {
        (Some(other), true) => {
            let is_ros1 = ROS1_NAMES.iter().any(|end| other.ends_with(end));
            let kind = if is_ros1 { Foreign::Ros1 } else { Foreign::Sqlite };
            return Err(refusal(&path.join(other), kind));
        }
        (Some(other), false) => tracing::warn!("{}: {other} is not read, only MCAP is", path.display()),
        (None, true) => {
            let problem = format!(
                "{}: expected a folder with .mcap files (ros2 bag record -s mcap), found none",
                path.display()
            );
            return Err(BagError::Request(problem));
        }
        (None, false) => {}
    }
    require_listed(path, &names, &described)?;
    // rosbag2 numbers its files without leading zeros: shorter names come first
    let plain = |path: &PathBuf| match path.extension() {
        Some(extension) if extension != "mcap" => path.with_extension(""),
        _ => path.clone(),
    };
    found.sort_by_cached_key(|path| (plain(path).as_os_str().len(), plain(path)));
    Ok(found)
}

/// Checks that the MCAP files listed in `metadata.yaml` exist, compressed or not.
fn require_listed(folder: &Path, names: &BTreeSet<String>, described: &Information) -> Result<(), BagError> {
    let stems: BTreeSet<&str> = names.iter().filter_map(|name| stem_of(name)).collect();
    for (path, name) in described.listed() {
        let Some(stem) = stem_of(name) else {
            continue;
        };
        if !stems.contains(stem) && !folder.join(path).exists() {
            let problem = format!(
                "expected {name}, which its metadata.yaml lists, found no such file; copy the recording again, or \
                 remove metadata.yaml to import the rest"
            );
            return Err(BagError::content(folder, problem));
        }
    }
    Ok(())
}

/// Returns the name of an MCAP file, compressed or not, without its ending; `None` for another file.
fn stem_of(name: &str) -> Option<&str> {
    let mut endings = COMPRESSED.into_iter().chain([MCAP]);
    endings.find_map(|end| name.strip_suffix(end))
}

/// Returns whether a file belongs to the recording. `ros2 bag play` leaves the decompressed file beside the compressed
/// one; then the one listed in `metadata.yaml` counts, or else the decompressed one.
fn is_read(name: &str, names: &BTreeSet<String>, described: &Information) -> bool {
    let is_described = |name: &str| described.listed().any(|(_, listed)| listed == name);
    if let Some(stem) = COMPRESSED.iter().find_map(|end| name.strip_suffix(end)) {
        return is_described(name) || !names.contains(&format!("{stem}{MCAP}"));
    }
    let Some(stem) = name.strip_suffix(MCAP) else {
        return false;
    };
    let mut compressed = COMPRESSED.iter().map(|end| format!("{stem}{end}"));
    is_described(name) || !compressed.any(|twin| names.contains(&twin) && is_described(&twin))
}

/// Reads `metadata.yaml`; empty if it is missing, as when a recording was cut off, or cannot be read.
fn metadata(folder: &Path) -> Information {
    let text = files::read_text(&folder.join("metadata.yaml"), files::TABLE).ok();
    let read = text.and_then(|text| serde_saphyr::from_str::<Metadata>(&text).ok());
    read.unwrap_or_default().rosbag2_bagfile_information
}

/// Opens a file of a recording; a file that is compressed as a whole is decompressed while it is read.
///
/// # Errors
/// When it cannot be opened, is empty, or has another format.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, BagError> {
    let file = files::open_any(path).map_err(BagError::file("open", path))?;
    let length = file.metadata().map_err(BagError::file("open", path))?.len();
    let mut plain = BufReader::new(file);
    if !start(&mut plain, path)?.starts_with(&compression::ZSTD_MAGIC) {
        return Ok(Box::new(plain));
    }
    let unpacked = compression::file(plain, length).map_err(BagError::file("unpack", path))?;
    let mut unpacked = BufReader::new(unpacked);
    start(&mut unpacked, path)?;
    Ok(Box::new(unpacked))
}

/// Returns the first bytes without consuming them; refuses other formats.
fn start<'a>(input: &'a mut impl BufRead, path: &Path) -> Result<&'a [u8], BagError> {
    let start = input.fill_buf().map_err(BagError::file("read", path))?;
    if start.is_empty() {
        return Err(BagError::content(path, "expected MCAP, found an empty file"));
    }
    if start.starts_with(ROS1) {
        return Err(refusal(path, Foreign::Ros1));
    }
    if start.starts_with(SQLITE) {
        return Err(refusal(path, Foreign::Sqlite));
    }
    if let Some(other) = signatures::foreign(start) {
        return Err(BagError::content(path, format!("expected MCAP, this is {other}")));
    }
    Ok(start)
}

/// Returns an error that says what was found and which command converts it to MCAP.
fn refusal(path: &Path, found: Foreign) -> BagError {
    // rosbag2 keeps a recording as a folder, ROS 1 as a file
    let folder = path.parent().filter(|folder| folder.join("metadata.yaml").exists());
    let source = if found == Foreign::Sqlite {
        folder.unwrap_or(path)
    } else {
        path
    };
    let by_rosbags = format!(
        "rosbags-convert --src {} --dst NEW --dst-storage mcap (pip install rosbags)",
        source.display()
    );
    let by_ros = format!(
        "echo 'output_bags: [{{uri: NEW, storage_id: mcap, all: true}}]' > convert.yaml && \
         ros2 bag convert -i {} -o convert.yaml",
        source.display()
    );
    let (found, command) = match found {
        Foreign::Ros1 => ("a recording of ROS 1 (#ROSBAG)", by_rosbags),
        Foreign::Sqlite => ("a recording in SQLite (.db3)", format!("{by_ros}, or {by_rosbags}")),
        Foreign::Compressed => ("one compressed with something else than zstd", by_ros),
    };
    BagError::content(path, format!("expected MCAP, found {found}; convert it: {command}"))
}
