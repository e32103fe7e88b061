//! Batches made ahead of time by threads, in an order that does not depend on which thread is quicker.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::feed::{Feed, Side};
use crate::training::batch::VlaBatch;
use crate::training::run_error::RunError;

/// Which batches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Number of the first.
    pub first: u64,
    /// From one to the next: 1 takes all of them.
    pub every: u64,
}

/// Gives batches in order. The threads end when it is dropped.
#[derive(Debug)]
pub struct Loader {
    threads: Vec<Receiver<Result<VlaBatch, RunError>>>,
    next: usize,
}

impl Loader {
    /// Makes the batches of `turns`, with `workers` threads that are at most `ahead` batches ahead each.
    pub fn start(feed: &Arc<Feed>, turns: Turns, workers: usize, ahead: usize) -> Self {
        let workers = workers.max(1);
        let threads = (0..workers as u64)
            .map(|worker| {
                let (sender, receiver) = sync_channel(ahead);
                let feed = Arc::clone(feed);
                let own = Turns {
                    first: turns.first + worker * turns.every,
                    every: workers as u64 * turns.every,
                };
                std::thread::spawn(move || make(&feed, own, &sender));
                receiver
            })
            .collect();
        Self { threads, next: 0 }
    }

    /// The next batch; waits for it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn take(&mut self) -> Result<VlaBatch, RunError> {
        let thread = self.threads.get(self.next % self.threads.len().max(1));
        self.next += 1;
        let ended = || RunError::data(Path::new("data"), "a thread that reads samples has ended unexpectedly");
        thread.ok_or_else(ended)?.recv().map_err(|_| ended())?
    }
}

fn make(feed: &Feed, turns: Turns, out: &SyncSender<Result<VlaBatch, RunError>>) {
    let mut readers = match feed.readers() {
        Ok(readers) => readers,
        Err(error) => return drop(out.send(Err(error))),
    };
    let numbers = std::iter::successors(Some(turns.first), |number| number.checked_add(turns.every));
    for number in numbers {
        let batch = feed.batch(Side::Trained, number, &mut readers);
        let failed = batch.is_err();
        if out.send(batch).is_err() || failed {
            return;
        }
    }
}
