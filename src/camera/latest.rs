//! A slot that holds only the newest value, between one thread that makes values and one that is slower.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Holds the newest value; putting another one replaces it. A slow reader thus never works on old frames.
#[derive(Debug)]
pub struct Latest<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    overwritten: u64,
    is_closed: bool,
}

/// What waiting for a value ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited<T> {
    /// The newest value.
    Value(T),
    /// Nothing came in time.
    TimedOut,
    /// Nothing will come any more.
    Closed,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        let state = State {
            value: None,
            overwritten: 0,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl<T> Latest<T> {
    /// Puts a value, replacing one that nobody took. A closed slot drops it.
    pub fn put(&self, value: T) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        let replaced = state.value.replace(value);
        state.overwritten += u64::from(replaced.is_some());
        drop(state);
        self.changed.notify_one();
        // A replaced frame is freed here, after readers were let in.
        drop(replaced);
    }

    /// Takes the value, if there is one.
    pub fn take(&self) -> Option<T> {
        self.lock().value.take()
    }

    /// Waits up to `timeout` for a value and takes it. A value put before closing is still handed out.
    pub fn wait(&self, timeout: Duration) -> Waited<T> {
        let state = self.lock();
        let is_idle = |state: &mut State<T>| state.value.is_none() && !state.is_closed;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, timeout, is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        match state.value.take() {
            Some(value) => Waited::Value(value),
            None if state.is_closed => Waited::Closed,
            None => Waited::TimedOut,
        }
    }

    /// Wakes every waiting reader and refuses further values.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Values replaced before anybody took them.
    pub fn overwritten(&self) -> u64 {
        self.lock().overwritten
    }

    /// A panic elsewhere leaves the slot usable: its state is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_slow_reader_gets_the_newest_value_and_the_loss_is_counted() {
        let slot = Latest::default();
        assert_eq!(slot.take(), None);
        (0..5).for_each(|i| slot.put(i));
        assert_eq!((slot.take(), slot.take(), slot.overwritten()), (Some(4), None, 4));
        slot.put(9);
        assert_eq!((slot.wait(LONG), slot.overwritten()), (Waited::Value(9), 4));
        assert_eq!(slot.wait(Duration::ZERO), Waited::TimedOut);
    }

    #[test]
    fn a_waiting_reader_is_woken_by_a_value_and_by_closing() {
        let slot = Arc::new(Latest::default());
        let reader = {
            let slot = Arc::clone(&slot);
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                while let Waited::Value(value) = slot.wait(LONG) {
                    seen.push(value);
                }
                seen
            })
        };
        (1..=1000_u64).for_each(|i| slot.put(i));
        slot.close();
        slot.put(2000);
        let seen = reader.join().unwrap();
        assert_eq!(
            seen.last(),
            Some(&1000),
            "the last value before closing arrives, none after"
        );
        assert!(seen.is_sorted());
        assert_eq!(seen.len() as u64 + slot.overwritten(), 1000);
    }
}
