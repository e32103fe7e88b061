//! One writer at a time: a lock file in a folder, with the name of the process that holds it.
//!
//! The lock is advisory and ends with its process, however that ends. Readers need none.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// File name of the lock in the folder that it is for.
pub const LOCK: &str = ".lock";

/// Longest name of a holder that is read (bytes).
const LONGEST_NAME: u64 = 256;

/// Error of locking a folder for writing.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, writes there.
    #[error("expected to be the only writer of {folder}, found {holder}: close it, or name another folder")]
    Held {
        /// The folder.
        folder: PathBuf,
        /// Process id and program.
        holder: String,
    },
    /// The system refuses.
    #[error("cannot lock {path}: {source}; is the folder there, may it be written to, and does its disk have locks?")]
    File {
        /// The lock file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
}

/// Exclusive right to write to a folder, until it is dropped or the process ends.
#[derive(Debug)]
pub struct WriterLock {
    path: PathBuf,
    file: File,
}

impl WriterLock {
    /// Locks an existing folder for writing.
    ///
    /// # Errors
    /// When another process holds the lock (it is named), or the system refuses.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK);
        let failed = |source| LockError::File {
            path: path.clone(),
            source,
        };
        loop {
            // A dataset may be untrusted: the target of a link in place of the lock is not written to.
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => (),
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held {
                        folder: folder.to_owned(),
                        holder: holder(file),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let mut lock = Self {
                path: path.clone(),
                file,
            };
            // The previous holder may have removed the file after it was opened here.
            if lock.is_in_place() {
                lock.sign();
                return Ok(lock);
            }
        }
    }

    /// Releases the lock of a folder that was renamed.
    pub fn moved_to(mut self, folder: &Path) {
        self.path = folder.join(LOCK);
    }

    /// Whether the file that is locked is the one that others find.
    fn is_in_place(&self) -> bool {
        let identity = |of: std::fs::Metadata| (of.dev(), of.ino());
        let found = std::fs::symlink_metadata(&self.path).map(identity);
        matches!((found, self.file.metadata().map(identity)), (Ok(there), Ok(own)) if there == own)
    }

    /// Writes the holder's name into the lock file. The lock does not depend on it: on a full disk the holder has no name.
    fn sign(&mut self) {
        let program = std::env::current_exe().unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| writeln!(self.file, "{} ({name})", std::process::id()));
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        if self.is_in_place() {
            // A file that stays is harmless: the lock ends with the open file.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn holder(file: File) -> String {
    let mut name = String::new();
    let read = file.take(LONGEST_NAME).read_to_string(&mut name);
    match (read, name.trim()) {
        (Ok(_), name) if !name.is_empty() => format!("process {name}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_second_writer_is_told_who_the_first_is_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let first = WriterLock::acquire(folder.path()).unwrap();
        let message = WriterLock::acquire(folder.path()).unwrap_err().to_string();
        let own = format!("found process {} (", std::process::id());
        assert!(message.contains(&own), "{message}");
        drop(first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        WriterLock::acquire(folder.path()).unwrap();
    }

    /// Run by the next test in a process of its own, which it kills.
    #[test]
    #[ignore = "run by the tests of this file"]
    fn holds_until_killed() {
        let Ok(folder) = std::env::var("THINKVLA_LOCKED") else {
            return;
        };
        let _lock = WriterLock::acquire(Path::new(&folder)).unwrap();
        std::fs::write(Path::new(&folder).join("held"), "").unwrap();
        std::thread::park();
    }

    #[test]
    fn the_lock_of_a_killed_process_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_lock::tests::holds_until_killed", "--ignored"])
            .env("THINKVLA_LOCKED", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !folder.path().join("held").exists() {
            assert!(holder.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
        let message = WriterLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("process {} (", holder.id())), "{message}");
        holder.kill().unwrap();
        holder.wait().unwrap();
        WriterLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn what_a_lock_leads_to_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "kept").unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join(LOCK)).unwrap();
        assert!(matches!(
            WriterLock::acquire(folder.path()),
            Err(LockError::File { .. })
        ));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
    }
}
