//! File system operations that a recording depends on, behind a trait so that tests can make them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use super::error::DatasetError;
use crate::files;
use crate::writer_lock::{LOCK, WriterLock};

/// File that is being written.
pub trait Sink: Write + Send {
    /// Syncs everything written so far to disk, so that it survives a loss of power.
    ///
    /// # Errors
    /// When writing fails.
    fn sync(&mut self) -> io::Result<()>;
}

/// File system of a dataset.
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Creates a folder and its parents.
    ///
    /// # Errors
    /// When the operation fails; so for all of these methods.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Creates a file, or empties it.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>>;
    /// Opens a file for appending.
    fn append(&self, path: &Path) -> io::Result<Box<dyn Sink>>;
    /// Renames a file atomically, replacing another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Syncs the names in a folder to disk, so that they survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let new: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(path)?;
        // A new folder survives a loss of power once its parent is synced.
        new.into_iter()
            .filter_map(Path::parent)
            .try_for_each(|folder| match folder.as_os_str().is_empty() {
                true => self.sync_dir(Path::new(".")),
                false => self.sync_dir(folder),
            })
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(BufferedFile(BufWriter::new(File::create(path)?))))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Box::new(BufferedFile(BufWriter::new(file))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

struct BufferedFile(BufWriter<File>);

impl Write for BufferedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for BufferedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_data()
    }
}

/// Writes a whole file atomically: after a loss of power there is the new file or the old one, never a part.
///
/// # Errors
/// When writing fails; the old file is then untouched, unless only the last sync of the folder failed.
pub fn commit(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    commit_with(storage, path, |sink| {
        sink.write_all(bytes).map_err(DatasetError::io("write", path))
    })
}

/// Writes a file atomically, in parts by `fill`.
///
/// # Errors
/// When writing or `fill` fails.
pub fn commit_with(
    storage: &dyn Storage,
    path: &Path,
    fill: impl FnOnce(&mut dyn Sink) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    storage
        .create_dir(folder)
        .map_err(DatasetError::io("make folder", folder))?;
    let temporary = temporary(path);
    let written = || {
        let mut sink = storage
            .create(&temporary)
            .map_err(DatasetError::io("create", &temporary))?;
        fill(&mut *sink)?;
        sink.sync().map_err(DatasetError::io("write", path))?;
        drop(sink);
        storage
            .rename(&temporary, path)
            .map_err(DatasetError::io("rename to", path))?;
        storage.sync_dir(folder).map_err(DatasetError::io("write", folder))
    };
    written().inspect_err(|_| {
        // If this fails too, a repair of the dataset removes the file.
        drop(storage.remove(&temporary));
    })
}

/// Copies a file of at most `limit` bytes if it exists.
///
/// # Errors
/// When it is larger, or reading or writing fails.
pub fn copy(storage: &dyn Storage, from: &Path, to: &Path, limit: u64) -> Result<(), DatasetError> {
    match files::read(from, limit) {
        Ok(bytes) => commit(storage, to, &bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(DatasetError::io("read", from)(e)),
    }
}

/// Creates the folder of a new dataset, or takes an empty one, and locks it for this writer.
///
/// # Errors
/// When it is not empty, another process writes there, or the file system refuses.
pub fn new_folder(storage: &dyn Storage, root: &Path) -> Result<WriterLock, DatasetError> {
    storage
        .create_dir(root)
        .map_err(DatasetError::io("make folder", root))?;
    let lock = WriterLock::acquire(root)?;
    require_new(root)?;
    Ok(lock)
}

/// Checks that a folder is missing or empty; the lock of a writer does not count.
///
/// # Errors
/// When it is not, or cannot be listed.
pub fn require_new(root: &Path) -> Result<(), DatasetError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(DatasetError::io("list", root)(e)),
    };
    if entries.flatten().any(|entry| entry.file_name() != LOCK) {
        let message = format!("{}: expected a new or empty folder; name another", root.display());
        return Err(DatasetError::Request(message));
    }
    Ok(())
}

/// Checks that what is written to `out` does not lie inside the dataset in `source`. Its own folder is left to
/// [`new_folder`].
///
/// # Errors
/// When it does; the error names both.
pub fn require_outside(out: &Path, source: &Path) -> Result<(), DatasetError> {
    let (inner, outer) = (resolved(out), resolved(source));
    if inner == outer || !inner.starts_with(&outer) {
        return Ok(());
    }
    let message = format!(
        "{}: expected a place outside of the dataset that is read, found one inside of {}; name another",
        out.display(),
        source.display()
    );
    Err(DatasetError::Request(message))
}

/// Returns a path from the root without links and `..`; its last parts need not exist.
pub fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
        if let Ok(found) = resolved.canonicalize() {
            resolved = found;
        }
    }
    resolved
}

/// Extension of files that are being written.
pub const TEMPORARY: &str = "tmp";

/// Returns the path under which a file is written before it is renamed to `path`.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    path.with_file_name(name)
}
