//! Makes batches ahead of time in threads, in an order that does not depend on which thread is faster.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier};

use super::vla_batches::Side;
use crate::training::error::RunError;

/// Sequence of batch numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSequence {
    /// First number.
    pub first: u64,
    /// Distance between numbers: 1 takes all of them.
    pub every: u64,
}

/// Makes batches by their numbers; threads share it.
pub trait Batches: Send + Sync + 'static {
    /// Type of a batch.
    type Batch: Send + 'static;
    /// Open files and buffers of a thread.
    type Readers<'a>
    where
        Self: 'a;

    /// Creates the readers of one thread.
    ///
    /// # Errors
    /// When a source cannot be opened.
    fn readers(&self) -> Result<Self::Readers<'_>, RunError>;

    /// Returns batch `number` of a side. The same number is always the same batch.
    ///
    /// # Errors
    /// When a sample cannot be read or does not fit the network; the error says where it is.
    fn batch<'a>(&'a self, side: Side, number: u64, readers: &mut Self::Readers<'a>) -> Result<Self::Batch, RunError>;
}

/// Returns batches in order. The threads end when it is dropped.
#[derive(Debug)]
pub struct Loader<B> {
    threads: Vec<Receiver<Result<B, RunError>>>,
    next: usize,
}

impl<B: Send + 'static> Loader<B> {
    /// Starts `workers` threads that make the batches of `turns`, each at most `ahead` batches ahead.
    pub fn start(
        batch_source: &Arc<impl Batches<Batch = B>>,
        turns: BatchSequence,
        workers: usize,
        ahead: usize,
    ) -> Self {
        let workers = workers.max(1);
        // A second team of OpenMP threads would make more threads than cores, and then the first team no longer waits
        // actively: a step took twice as long. `set_num_threads` sets the number of the calling thread, and of threads
        // that start later.
        let computing = tch::get_num_threads();
        let settled = Arc::new(Barrier::new(workers + 1));
        let threads: Vec<_> = (0..workers as u64)
            .map(|worker| {
                let (sender, receiver) = sync_channel(ahead);
                let batch_source = Arc::clone(batch_source);
                let own = BatchSequence {
                    first: turns.first + worker * turns.every,
                    every: workers as u64 * turns.every,
                };
                let settled = Arc::clone(&settled);
                std::thread::spawn(move || {
                    // Reading the number first gives the thread a number of its own.
                    let _ = tch::get_num_threads();
                    tch::set_num_threads(1);
                    settled.wait();
                    make(&*batch_source, own, &sender);
                });
                receiver
            })
            .collect();
        settled.wait();
        tch::set_num_threads(computing);
        Self { threads, next: 0 }
    }

    /// Returns the next batch; waits for it.
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

fn make<F: Batches>(batch_source: &F, turns: BatchSequence, out: &SyncSender<Result<F::Batch, RunError>>) {
    let mut readers = match batch_source.readers() {
        Ok(readers) => readers,
        Err(error) => return drop(out.send(Err(error))),
    };
    let numbers = std::iter::successors(Some(turns.first), |number| number.checked_add(turns.every));
    for number in numbers {
        let batch = batch_source.batch(Side::Trained, number, &mut readers);
        let failed = batch.is_err();
        if out.send(batch).is_err() || failed {
            return;
        }
    }
}
