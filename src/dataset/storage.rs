//! The few calls to the file system that a recording depends on, so that tests can make them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::DatasetError;
use crate::files;
use crate::writer_lock::{LOCK, WriterLock};

/// A file being written.
pub trait Sink: Write + Send {
    /// Returns when everything written so far would survive a loss of power.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where a dataset lies.
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// When the system refuses; so for all of these.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens an empty file.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>>;
    /// Opens a file to write behind its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn Sink>>;
    /// Puts a file in place of another, at once or not at all.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in a folder would survive a loss of power.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let new: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(path)?;
        // A folder is safe when the one that it is in is.
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

/// Writes a whole file so that after a loss of power there is the new one or the one before, never a part.
///
/// # Errors
/// When the system refuses; the file before is then untouched.
pub fn commit(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    commit_with(storage, path, |sink| {
        sink.write_all(bytes).map_err(DatasetError::io("write", path))
    })
}

/// The same for a file that is written in parts.
///
/// # Errors
/// When the system refuses or `fill` does.
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
        // What is left of it is removed when the dataset is opened next, if not now.
        drop(storage.remove(&temporary));
    })
}

/// Copies a file of at most `limit` bytes, if it is there.
///
/// # Errors
/// When it is larger or cannot be read, or the system refuses.
pub fn copy(storage: &dyn Storage, from: &Path, to: &Path, limit: u64) -> Result<(), DatasetError> {
    match files::read(from, limit) {
        Ok(bytes) => commit(storage, to, &bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(DatasetError::io("read", from)(e)),
    }
}

/// Makes the folder of a new dataset, or takes one that is empty, for this writer alone.
///
/// # Errors
/// When there is something in it, somebody else writes there, or the disk refuses.
pub fn new_folder(storage: &dyn Storage, root: &Path) -> Result<WriterLock, DatasetError> {
    storage
        .create_dir(root)
        .map_err(DatasetError::io("make folder", root))?;
    let lock = WriterLock::acquire(root)?;
    let mut entries = fs::read_dir(root).map_err(DatasetError::io("list", root))?.flatten();
    if entries.any(|entry| entry.file_name() != LOCK) {
        let message = format!("{}: expected a new or empty folder; name another", root.display());
        return Err(DatasetError::Request(message));
    }
    Ok(lock)
}

/// Ending of files that were being written.
pub const TEMPORARY: &str = "tmp";

fn temporary(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    path.with_file_name(name)
}
