//! Batches made ahead of time by threads, in an order that does not depend on which thread is quicker.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::feed::{Feed, Side};
use crate::training::batch::VlaBatch;
use crate::training::run_error::RunError;

/// Gives batches in order. The threads end when it is dropped.
#[derive(Debug)]
pub struct Loader {
    threads: Vec<Receiver<Result<VlaBatch, RunError>>>,
    next: usize,
}

impl Loader {
    /// Begins with batch number `from`, with `workers` threads that are at most `ahead` batches ahead each.
    pub fn start(feed: &Arc<Feed>, from: u64, workers: usize, ahead: usize) -> Self {
        let workers = workers.max(1);
        let threads = (0..workers as u64)
            .map(|worker| {
                let (sender, receiver) = sync_channel(ahead);
                let feed = Arc::clone(feed);
                std::thread::spawn(move || make(&feed, from + worker, workers, &sender));
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

fn make(feed: &Feed, from: u64, step: usize, out: &SyncSender<Result<VlaBatch, RunError>>) {
    let mut readers = match feed.readers() {
        Ok(readers) => readers,
        Err(error) => return drop(out.send(Err(error))),
    };
    for number in (from..).step_by(step) {
        let batch = feed.batch(Side::Trained, number, &mut readers);
        let failed = batch.is_err();
        if out.send(batch).is_err() || failed {
            return;
        }
    }
}
