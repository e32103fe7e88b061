//! Signals that shut a node down.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::parent::outlives_terminal;

/// Receivers of the signals, in place of their default actions.
pub struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    /// Installs the handlers; to be called inside a tokio runtime. SIGHUP stays ignored if the node is to outlive its
    /// terminal. The others end the node even if a shell without job control ignores them, because an unnecessary stop of
    /// the arm is the smaller harm.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        // Sent by Ctrl-C, a request to end, Ctrl-\ and a closed terminal.
        let hangup = (!outlives_terminal()).then_some(("SIGHUP", SignalKind::hangup()));
        let wanted = [
            ("SIGINT", SignalKind::interrupt()),
            ("SIGTERM", SignalKind::terminate()),
            ("SIGQUIT", SignalKind::quit()),
        ];
        let listening = wanted
            .into_iter()
            .chain(hangup)
            .map(|(name, kind)| signal(kind).map(|arriving| (name, arriving)));
        Ok(Self(listening.collect::<std::io::Result<_>>()?))
    }

    /// Waits for the next signal; returns its name.
    pub async fn next(&mut self) -> &'static str {
        poll_fn(|context| {
            let mut all = self.0.iter_mut();
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
