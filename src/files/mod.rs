//! Reads files that a user names or that come with a checkpoint or dataset. Only regular files are opened, up to a size
//! limit: a device, a FIFO or an endless file is refused instead of waited for, and a file of a known unsupported format
//! is refused by the name of its format.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

pub mod json;
pub mod signatures;
pub mod yaml;

/// Size limit of a configuration, contract or description of a checkpoint or dataset (bytes).
pub const CONFIGURATION: u64 = 1 << 20;
/// Size limit of a table of statistics, of tensors or of task texts (bytes).
pub const TABLE: u64 = 64 << 20;
/// Size limit of a tokenizer (bytes).
pub const TOKENIZER: u64 = 256 << 20;
/// Size limit of an image, and of the stored target of a scene (bytes).
pub const PICTURE: u64 = 64 << 20;
/// Size limit of a file with a line for each episode, step or trial (bytes).
pub const LINES: u64 = 1 << 30;

/// Opens a regular file, or a link to one, for reading; never blocks on another process.
///
/// # Errors
/// When the file does not exist, is not regular, begins with the signature of an unsupported format (see [`signatures`]),
/// or cannot be opened.
pub fn open(path: &Path) -> Result<File> {
    let (file, _) = open_regular(path, "")?;
    require_readable(&file)?;
    Ok(file)
}

/// Opens like [`open`] without checking the format, for readers of archives or databases.
///
/// # Errors
/// When the file does not exist, is not regular, or cannot be opened.
pub fn open_any(path: &Path) -> Result<File> {
    open_regular(path, "").map(|(file, _)| file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`], and when the file is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let at_most = format!(" of at most {}", size(limit));
    let (file, length) = open_regular(path, &at_most)?;
    let too_large = |found: String| refusal(&at_most, &format!("{found}; is it the file that was meant?"));
    if length > limit {
        return Err(too_large(format!("one of {}", size(length))));
    }
    require_readable(&file)?;
    let mut bytes = Vec::new();
    // The length in the metadata is wrong for a file under /proc and for one that grows.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large("a larger one".to_owned())),
        false => Ok(bytes),
    }
}

/// Reads a regular file of at most `limit` bytes as UTF-8 and removes a byte order mark.
///
/// # Errors
/// As [`read`], and when the file is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    let text = String::from_utf8(read(path, limit)?);
    let text = text.map_err(|e| {
        Error::new(
            ErrorKind::InvalidData,
            format!("expected UTF-8, found {}", e.utf8_error()),
        )
    })?;
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        return Ok(rest.to_owned());
    }
    Ok(text)
}

/// Reads like [`read_text`] and refuses a blank file.
///
/// # Errors
/// As [`read_text`], and when the file is empty or blank.
pub fn read_description(path: &Path, limit: u64) -> Result<String> {
    let text = read_text(path, limit)?;
    match text.trim().is_empty() {
        true => Err(Error::new(
            ErrorKind::InvalidData,
            "expected a description, found an empty file; fetch or write it again",
        )),
        false => Ok(text),
    }
}

/// Copies a regular file and its permissions.
///
/// # Errors
/// As `open_any`, and when `to` cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut from = open_any(from)?;
    let permissions = from.metadata()?.permissions();
    let mut written = File::create(to)?;
    std::io::copy(&mut from, &mut written)?;
    written.set_permissions(permissions)
}

/// Opens a regular file and returns it with its length (bytes); `at_most` is inserted into the error.
fn open_regular(path: &Path, at_most: &str) -> Result<(File, u64)> {
    // Opening can start a device, so the kind is checked before; and after, in case the file was replaced meanwhile.
    let named = std::fs::metadata(path).map_err(|error| explain_link(path, error))?;
    require_regular(&named, at_most)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    let found = file.metadata()?;
    require_regular(&found, at_most)?;
    Ok((file, found.len()))
}

/// Says that a link leads nowhere, as in the folder of a download cache that was copied without what its links lead to.
fn explain_link(path: &Path, error: Error) -> Error {
    match std::fs::read_link(path) {
        Ok(target) if error.kind() == ErrorKind::NotFound => {
            let target = target.to_string_lossy();
            let advice = match target.contains(".git/annex/") {
                true => "fetch it with `git annex get`",
                false => "copy its folder with `cp -rL`",
            };
            let problem = format!("it is a link to {target}, which is not there; {advice}");
            Error::new(ErrorKind::NotFound, problem)
        }
        _ => error,
    }
}

fn require_regular(found: &Metadata, at_most: &str) -> Result<()> {
    match found.is_file() {
        true => Ok(()),
        false => Err(refusal(at_most, &format!("{}; name a file", kind(found.file_type())))),
    }
}

fn require_readable(file: &File) -> Result<()> {
    let mut beginning = [0; signatures::BEGINNING];
    let length = file.read_at(&mut beginning, 0)?;
    match signatures::foreign(beginning.get(..length).unwrap_or_default()) {
        Some(what) => Err(Error::new(ErrorKind::InvalidData, format!("this is {what}"))),
        None => Ok(()),
    }
}

fn refusal(at_most: &str, found: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("expected a regular file{at_most}, found {found}"),
    )
}

fn kind(of: FileType) -> &'static str {
    match of {
        _ if of.is_dir() => "a directory",
        _ if of.is_fifo() => "a FIFO",
        _ if of.is_char_device() => "a character device",
        _ if of.is_block_device() => "a block device",
        _ if of.is_socket() => "a socket",
        _ => "something else",
    }
}

/// Formats a size in the largest unit that it reaches, rounded up.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or(format!("{bytes} bytes"), |(unit, name)| {
        format!("{} {name}", bytes.div_ceil(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let opened = open(path).unwrap_err().to_string();
        let read = read_text(path, CONFIGURATION).unwrap_err().to_string();
        assert!(read.contains("at most 1 MiB"), "{read}");
        assert_eq!(read.replace(" of at most 1 MiB", ""), opened);
        read
    }

    #[test]
    fn devices_fifos_sockets_and_folders_are_refused_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        for (name, kind) in [
            ("fifo", "a FIFO"),
            ("socket", "a socket"),
            ("zero", "a character device"),
            (".", "a directory"),
        ] {
            let said = refused(&at(name));
            assert!(said.contains(kind), "{name}: {said}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::os::unix::fs::symlink(&a, &b).unwrap();
        std::os::unix::fs::symlink(&b, &a).unwrap();
        assert!(read(&a, 10).is_err());
        std::fs::remove_file(&a).unwrap();
        let error = read(&b, 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let said = format!("it is a link to {}, which is not there", a.display());
        assert!(error.to_string().contains(&said), "{error}");
        assert!(!read(&a, 10).unwrap_err().to_string().contains("link"));
        std::os::unix::fs::symlink("../.git/annex/objects/0", &a).unwrap();
        assert!(open(&a).unwrap_err().to_string().contains("`git annex get`"));
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "0123456789");
        std::fs::write(&path, "\u{feff}a\u{feff}").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "a\u{feff}");
        std::fs::write(&path, "0123456789").unwrap();
        let said = read_text(&path, 9).unwrap_err().to_string();
        assert!(said.contains("at most 9 bytes, found one of 10 bytes"), "{said}");
        // A sparse file: no blocks on the disk, and larger than any memory.
        let holed = File::create(&path).unwrap();
        holed.set_len(1 << 42).unwrap();
        let said = read(&path, CONFIGURATION).unwrap_err().to_string();
        assert!(said.contains("found one of 4096 GiB"), "{said}");
    }

    #[test]
    fn files_without_a_length_are_bounded_as_well() {
        // The kernel reports a length of 0 bytes for them.
        let path = Path::new("/proc/self/status");
        assert!(read_text(path, CONFIGURATION).unwrap().contains("VmRSS"));
        let said = read(path, 16).unwrap_err().to_string();
        assert!(said.contains("found a larger one"), "{said}");
    }
}
