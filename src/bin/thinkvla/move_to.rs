//! `thinkvla move`: a named move of the arm node that lasts no longer than this process.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::anyhow;
use thinkvla::ros::client::heartbeat_publisher::HeartbeatThread;
use thinkvla::ros::client::lease::{LeaseClient, LeaseRequestError, SourcePriority};
use thinkvla::ros::client::moves::Moves;
use thinkvla::ros::node::runtime::Runtime;

use super::print_line;

/// Name in leases and heartbeats.
const SOURCE: &str = "thinkvla move";
/// Longest wait, after Ctrl-C, for the arm node to report that the arm brakes.
const BRAKING_REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration in the arm's file, such as home or ready
    name: String,
    /// Fraction of the velocity limits, above 0 to 1
    #[arg(long, default_value_t = 0.1)]
    speed: f64,
    /// Namespace of the arm node; simulations are in sim
    #[arg(long, default_value = "")]
    namespace: String,
}

/// Acquires the lease; tries again where no answer comes, as one may be lost while two nodes are still discovering each
/// other. A lease that was granted meanwhile lapses before that, as no heartbeats carry it.
async fn acquire(leases: &LeaseClient) -> Result<u64, LeaseRequestError> {
    let first = leases.acquire().await;
    match first {
        Err(LeaseRequestError::Silent { .. }) => leases.acquire().await,
        answered => answered,
    }
}

/// Runs the verb.
///
/// # Errors
/// When the arm did not reach the configuration; the message says why.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { name, speed, namespace } = arguments;
    let runtime = Runtime::start_in("thinkvla_move", &format!("/{}", namespace.trim_matches('/')))?;
    let node = runtime.node();
    let leases = LeaseClient::new(node, SOURCE, SourcePriority::Operator)?;
    let heartbeat = HeartbeatThread::start(node, SOURCE, || true)?;
    let moves = Moves::new(node)?;
    let (sender, outcome) = mpsc::channel();
    let (ended, end) = mpsc::channel::<()>();
    let cancelled = moves.clone();
    runtime.shutdown().before(move || {
        cancelled.cancel();
        // The arm node gets the cancellation before the lease ends; if it does not answer, the missing heartbeats brake
        // it.
        let _ = end.recv_timeout(BRAKING_REPORT_TIMEOUT);
    });
    let shutdown = runtime.shutdown().clone();
    runtime.tokio().spawn(async move {
        let moved = async {
            let lease = acquire(&leases).await.map_err(|error| error.to_string())?;
            heartbeat.set_lease(Some(lease));
            let moving = moves.go(&name, speed, lease);
            // An interruption while the lease was asked for has cancelled nothing, since there was no move yet.
            if shutdown.is_requested() {
                moves.cancel();
            }
            let moved = moving.await.map_err(|error| error.to_string());
            heartbeat.set_lease(None);
            let released = leases.release(lease).await.map_err(|error| error.to_string());
            moved.and_then(|done| released.map(|()| done))
        };
        // The receivers live until the node has ended.
        let _ = sender.send(moved.await);
        let _ = ended.send(());
        shutdown.request("the move has ended");
    });
    runtime.spin()?;
    let outcome = outcome.try_recv().map_err(|_| anyhow!("interrupted; the arm brakes"))?;
    print_line(&outcome.map_err(|why| anyhow!(why))?);
    Ok(())
}
