//! Work shared between threads whose results are taken in order, so that they do not depend on the number of threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Number of turns that all threads together may be ahead of the taker: enough for a taker that writes files.
const AHEAD: usize = 256;

/// Runs `count` turns on the workers, one thread each, and passes the results to `take` in the order of the turns. `begin`
/// creates in each thread the state that its worker keeps between turns. The first error of `take` ends the work.
///
/// # Errors
/// As `take`.
pub fn in_order<W: Send, S, T: Send, E>(
    count: usize,
    workers: impl IntoIterator<Item = W>,
    begin: impl Fn(W) -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        for worker in workers {
            let (sender, next, begin, work) = (sender.clone(), &next, &begin, &work);
            scope.spawn(move || {
                let mut state = begin(worker);
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    // Sending fails after the taker has ended.
                    if turn >= count || sender.send((turn, work(&mut state, turn))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (turn, made) in receiver {
            early.insert(turn, made);
            while let Some(made) = early.remove(&due) {
                take(made)?;
                due += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_order_however_many_work_and_however_long_they_take() {
        for workers in [1, 3] {
            let mut taken = Vec::new();
            let slow_at_first = |_: &mut (), turn: usize| {
                std::thread::sleep(std::time::Duration::from_millis(if turn < 2 { 10 } else { 0 }));
                turn
            };
            let take = |turn| -> Result<(), ()> {
                taken.push(turn);
                Ok(())
            };
            in_order(40, 0..workers, |_| (), slow_at_first, take).unwrap();
            assert_eq!(taken, (0..40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_ends_it() {
        let mut taken = 0;
        let take = |turn| {
            taken += 1;
            if turn == 3 { Err(turn) } else { Ok(()) }
        };
        assert_eq!(in_order(1000, 0..2, |_| (), |(), turn| turn, take), Err(3));
        assert_eq!(taken, 4);
    }
}
