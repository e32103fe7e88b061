//! The signals that end a node.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::parent::outlives_terminal;

/// Signals as they arrive, in place of what the system would do.
pub struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    /// Takes them over; to be called inside a tokio runtime. SIGHUP stays ignored where the node is to outlive its
    /// terminal. The others end it even where a shell without job control has them ignored:
    /// an arm that stops without need is the smaller harm.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        // Ctrl-C, a request, Ctrl-\ and a closed terminal.
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

    /// Name of the next one.
    pub async fn next(&mut self) -> &'static str {
        poll_fn(|context| {
            let mut all = self.0.iter_mut();
            let arrived = all.find_map(|(name, signal)| signal.poll_recv(context).is_ready().then_some(*name));
            arrived.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The first one after `pause`; those within it are dropped.
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
