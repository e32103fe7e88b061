//! Signals that shut a node down.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::child_process::outlives_terminal;

/// Number of the last signal since [`catch_signals`]; 0 before one has come.
static EARLY: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Catches the signals that shut a node down, from now on: one that comes before the node can end is not lost. To be
/// called first in `main`, because a signal would otherwise end the process while it reads its arguments or loads
/// libraries.
pub fn catch_signals() {
    for (_, kind) in wanted() {
        let number = kind.as_raw_value();
        // If the system refuses, the signal ends the process as before, and `Signals::listen` says why.
        let _ = signal_hook::flag::register_usize(number, Arc::clone(&EARLY), number.unsigned_abs() as usize);
    }
}

/// Names of the signals: those that are sent by Ctrl-C, a request to end, Ctrl-\ and a closed terminal. SIGHUP stays
/// ignored if the node is to outlive its terminal. The others end the node even if a shell without job control ignores
/// them, because an unnecessary stop of the arm is the smaller harm.
fn wanted() -> impl Iterator<Item = (&'static str, SignalKind)> {
    let hangup = (!outlives_terminal()).then_some(("SIGHUP", SignalKind::hangup()));
    let others = [
        ("SIGINT", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
        ("SIGQUIT", SignalKind::quit()),
    ];
    others.into_iter().chain(hangup)
}

/// Receivers of the signals, in place of their default actions.
pub struct Signals {
    arriving: Vec<(&'static str, Signal)>,
    /// Signal that came before.
    early: Option<&'static str>,
}

impl Signals {
    /// Installs the handlers; to be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        let wanted: Vec<_> = wanted().collect();
        let listening = wanted
            .iter()
            .map(|(name, kind)| signal(*kind).map(|arriving| (*name, arriving)));
        let arriving = listening.collect::<std::io::Result<_>>()?;
        let number = EARLY.swap(0, Ordering::AcqRel);
        let came = wanted
            .iter()
            .find(|(_, kind)| kind.as_raw_value().unsigned_abs() as usize == number);
        Ok(Self {
            arriving,
            early: came.map(|(name, _)| *name),
        })
    }

    /// Waits for the next signal; returns its name.
    pub async fn next(&mut self) -> &'static str {
        if let Some(name) = self.early.take() {
            return name;
        }
        poll_fn(|context| {
            let mut all = self.arriving.iter_mut();
            let arrived = all.find_map(|(name, signal)| signal.poll_recv(context).is_ready().then_some(*name));
            arrived.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Waits for the first signal after `pause`; earlier ones are dropped.
    pub async fn after(&mut self, pause: Duration) -> &'static str {
        let asked = Instant::now();
        loop {
            let name = self.next().await;
            if asked.elapsed() >= pause {
                return name;
            }
        }
    }
}
