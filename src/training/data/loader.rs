//! Batches made ahead of time by threads, in an order that does not depend on which thread is quicker.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier};

use super::feed::Side;
use crate::training::run_error::RunError;

/// Which batches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Number of the first.
    pub first: u64,
    /// From one to the next: 1 takes all of them.
    pub every: u64,
}

/// Makes batches by their numbers; threads share it.
pub trait Batches: Send + Sync + 'static {
    /// What a batch is.
    type Batch: Send + 'static;
    /// What a thread keeps open.
    type Readers<'a>
    where
        Self: 'a;

    /// What one thread needs to make batches.
    ///
    /// # Errors
    /// When what is read cannot be opened.
    fn readers(&self) -> Result<Self::Readers<'_>, RunError>;

    /// Batch number `number` of a side. The same number is always the same batch.
    ///
    /// # Errors
    /// When a sample cannot be read or does not fit the network; names where it is.
    fn batch<'a>(&'a self, side: Side, number: u64, readers: &mut Self::Readers<'a>) -> Result<Self::Batch, RunError>;
}

/// Gives batches in order. The threads end when it is dropped.
#[derive(Debug)]
pub struct Loader<B> {
    threads: Vec<Receiver<Result<B, RunError>>>,
    next: usize,
}

impl<B: Send + 'static> Loader<B> {
    /// Makes the batches of `turns`, with `workers` threads that are at most `ahead` batches ahead each.
    pub fn start(feed: &Arc<impl Batches<Batch = B>>, turns: Turns, workers: usize, ahead: usize) -> Self {
        let workers = workers.max(1);
        // A second team of OpenMP's threads would be more than there are cores, and then the first no longer waits
        // actively: a step took twice as long. The number is the process's for threads to come, and each thread's own.
        let computing = tch::get_num_threads();
        let settled = Arc::new(Barrier::new(workers + 1));
        let threads: Vec<_> = (0..workers as u64)
            .map(|worker| {
                let (sender, receiver) = sync_channel(ahead);
                let feed = Arc::clone(feed);
                let own = Turns {
                    first: turns.first + worker * turns.every,
                    every: workers as u64 * turns.every,
                };
                let settled = Arc::clone(&settled);
                std::thread::spawn(move || {
                    // Asking first makes the thread's own number its own.
                    let _ = tch::get_num_threads();
                    tch::set_num_threads(1);
                    settled.wait();
                    make(&*feed, own, &sender);
                });
                receiver
            })
            .collect();
        settled.wait();
        tch::set_num_threads(computing);
        Self { threads, next: 0 }
    }

    /// The next batch; waits for it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn take(&mut self) -> Result<B, RunError> {
        let thread = self.threads.get(self.next % self.threads.len().max(1));
        self.next += 1;
        let ended = || RunError::data(Path::new("data"), "a thread that reads samples has ended unexpectedly");
        thread.ok_or_else(ended)?.recv().map_err(|_| ended())?
    }
}

fn make<F: Batches>(feed: &F, turns: Turns, out: &SyncSender<Result<F::Batch, RunError>>) {
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
