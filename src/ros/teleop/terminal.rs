//! Single key presses of the terminal; its settings are restored when the node ends.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::{Steady, lock};
use crate::ros::node::runtime::Shutdown;
use crate::teleop::keyboard::KeyboardDevice;

/// Polling timeout.
const POLL_PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// A terminal that delivers single keys without echo; dropping this restores its settings.
pub struct Raw {
    terminal: File,
    before: Termios,
}

impl Raw {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        // Ctrl-C still raises a signal, and output settings are unchanged because logs go to the same terminal.
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone need not be restored.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Opens standard input if it is a terminal, otherwise the controlling terminal: launch gives nodes no standard input.
fn open() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Ok(rustix::io::dup(io::stdin())?.into());
    }
    File::open("/dev/tty")
}

/// Reads keys on a thread of its own until the node shuts down; a closed terminal shuts the node down.
///
/// # Errors
/// When there is no terminal, or its settings cannot be changed.
pub fn listen(shutdown: &Shutdown, keyboard: Arc<Mutex<KeyboardDevice>>, steady: Steady) -> io::Result<Raw> {
    let raw = Raw::new(open()?)?;
    let mut terminal = raw.terminal.try_clone()?;
    let ending = shutdown.clone();
    shutdown.run_beside(move || -> io::Result<()> {
        let mut bytes = [0; 256];
        while !ending.is_requested() {
            let mut waiting = [PollFd::new(&terminal, PollFlags::IN)];
            match poll(&mut waiting, Some(&POLL_PERIOD)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let count = terminal.read(&mut bytes)?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal was closed"));
            }
            lock(&keyboard).typed(bytes.get(..count).unwrap_or_default(), steady.now());
        }
        Ok(())
    });
    Ok(raw)
}
