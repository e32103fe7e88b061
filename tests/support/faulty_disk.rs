//! A disk that fails at a chosen call: full, read-only, or without power, which loses data that was not synchronised.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use thinkvla::dataset::storage::{Sink, Storage};

/// Kind of failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// No space is left from then on; half of a write still succeeds.
    Full,
    /// Writes fail from then on.
    ReadOnly,
    /// Power is lost: later calls fail, and of data that was not synchronised the given share of bytes remains; with 0,
    /// renames and removals that were not synchronised are undone, too.
    PowerCut(f64),
}

/// A folder on the real disk, with faults.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    fault: Fault,
    /// Number of calls until it fails; `None` for a disk that does not.
    left: Option<usize>,
    calls: usize,
    /// Number of synchronised bytes of each file.
    synced: BTreeMap<PathBuf, u64>,
    /// Content at each path before it changed, until the folder is synchronised.
    before: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl FaultyDisk {
    /// Creates a disk that fails from call `at` on.
    pub fn new(fault: Fault, at: Option<usize>) -> Self {
        Self(Arc::new(Mutex::new(State {
            fault,
            left: at,
            calls: 0,
            synced: BTreeMap::new(),
            before: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Number of calls so far.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Makes the next call fail.
    pub fn fail_next(&self) {
        self.state().left = Some(1);
    }

    /// Ends the failure.
    pub fn recover(&self) {
        self.state().left = None;
    }

    /// Changes the files to the state after a power loss.
    pub fn lose_power(&self) {
        let mut state = self.state();
        let Fault::PowerCut(share) = state.fault else { return };
        for (path, synced) in &state.synced {
            if let Ok(file) = File::options().write(true).open(path) {
                let length = file.metadata().unwrap().len();
                let kept = synced + ((length.saturating_sub(*synced)) as f64 * share) as u64;
                file.set_len(kept.min(length)).unwrap();
            }
        }
        if share == 0.0 {
            for (path, content) in std::mem::take(&mut state.before).into_iter().rev() {
                match content {
                    Some(content) => fs::write(path, content).unwrap(),
                    None => drop(fs::remove_file(path)),
                }
            }
        }
    }

    /// Counts a call; returns an error once the disk has failed.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.calls += 1;
        match &mut state.left {
            Some(0) => return Err(state.error()),
            Some(left) => *left -= 1,
            None => (),
        }
        match state.left {
            Some(0) => Err(state.error()),
            _ => Ok(state),
        }
    }
}

impl State {
    fn error(&self) -> io::Error {
        match self.fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            Fault::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            Fault::PowerCut(_) => io::Error::other("no power"),
        }
    }

    fn remember(&mut self, path: &Path) {
        self.before.push((path.to_owned(), fs::read(path).ok()));
    }
}

impl Storage for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        drop(self.call()?);
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        let mut state = self.call()?;
        state.remember(path);
        state.synced.insert(path.to_owned(), 0);
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            file: File::create(path)?,
        }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        drop(self.call()?);
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            file: File::options().append(true).open(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.remember(to);
        fs::rename(from, to)?;
        let synced = state.synced.remove(from).unwrap_or_default();
        state.synced.insert(to.to_owned(), synced);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // A full disk still lets files be removed.
        let mut state = match self.call() {
            Err(_) if self.state().fault == Fault::Full => self.state(),
            other => other?,
        };
        state.remember(path);
        state.synced.remove(path);
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.before.retain(|(changed, _)| changed.parent() != Some(path));
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    file: File,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.disk.call() {
            Ok(_state) => self.file.write_all(bytes)?,
            Err(error) => {
                // A truncated write: the first half is written, once.
                let state = self.disk.state();
                if state.fault != Fault::ReadOnly && !bytes.is_empty() {
                    self.file.write_all(&bytes[..bytes.len() / 2])?;
                }
                return Err(error);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.call()?;
        let length = self.file.metadata()?.len();
        state.synced.insert(self.path.clone(), length);
        Ok(())
    }
}
