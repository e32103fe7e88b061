//! Keys of the terminal, one by one as they are pressed; the terminal is put back when the node ends.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::{Steady, lock};
use crate::operator::keyboard::Keyboard;
use crate::ros::runtime::Shutdown;

/// How long one look for keys waits.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// A terminal that hands over single keys and shows none; as it was before when this is dropped.
pub struct Raw {
    terminal: File,
    before: Termios,
}

impl Raw {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        // Ctrl-C stays a signal, and the output is left as it is: logs go to the same terminal.
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting back.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Standard input when it is a terminal, else the one the process was started from: launch gives nodes no standard input.
fn open() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Ok(rustix::io::dup(io::stdin())?.into());
    }
    File::open("/dev/tty")
}

/// Reads keys on a thread of its own until the node ends; a terminal that goes away ends the node.
///
/// # Errors
/// When there is no terminal.
pub fn listen(shutdown: &Shutdown, keyboard: Arc<Mutex<Keyboard>>, steady: Steady) -> io::Result<Raw> {
    let raw = Raw::new(open()?)?;
    let mut terminal = raw.terminal.try_clone()?;
    let ending = shutdown.clone();
    shutdown.run_beside(move || -> io::Result<()> {
        let mut bytes = [0; 256];
        while !ending.is_requested() {
            let mut waiting = [PollFd::new(&terminal, PollFlags::IN)];
            match poll(&mut waiting, Some(&LOOK)) {
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
