//! Services that list, load and switch checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rclrs::{Node, RclrsError};
use ros_env::std_srvs::srv::{Trigger, Trigger_Request};
use ros_env::thinkvla::msg::CheckpointInfo;
use ros_env::thinkvla::srv::{
    ListCheckpoints, ListCheckpoints_Request, ListCheckpoints_Response, LoadCheckpoint, LoadCheckpoint_Request,
    LoadCheckpoint_Response,
};
use tokio::sync::oneshot;

use super::active_checkpoint::LoadedCheckpoint;
use super::checkpoint_list::{self, CheckpointEntry};
use super::checkpoint_swap::{CheckpointSwap, SwapCandidate};
use super::error::PolicyError;
use crate::ros::node::services::{Handles, trigger_response};

type Done = fn(&CheckpointSwap) -> Result<String, PolicyError>;

const TRIGGERS: [(&str, Done); 2] = [
    ("~/switch", CheckpointSwap::switch),
    ("~/switch_back", CheckpointSwap::switch_back),
];

/// Offers the services until the returned handles are dropped.
///
/// # Errors
/// When a service cannot be created.
pub fn offer(
    node: &Node,
    tokio: &tokio::runtime::Handle,
    checkpoint_swap: &Arc<CheckpointSwap>,
) -> Result<Handles, RclrsError> {
    let mut kept: Handles = Vec::new();
    for (name, does) in TRIGGERS {
        let swap = Arc::clone(checkpoint_swap);
        kept.push(Box::new(
            node.create_service::<Trigger, _>(name, move |_: Trigger_Request| trigger_response(name, does(&swap)))?,
        ));
    }
    let swap = Arc::clone(checkpoint_swap);
    let load =
        node.create_async_service::<LoadCheckpoint, _>("~/load_checkpoint", move |ask: LoadCheckpoint_Request| {
            let swap = Arc::clone(&swap);
            let (send, loaded) = oneshot::channel();
            // Loading runs on a thread of its own, because it lowers the priority of its thread.
            std::thread::spawn(move || {
                // The client may have gone.
                let _ = send.send(load(&swap, &ask));
            });
            async move { loading(loaded.await.unwrap_or(Err(PolicyError::LoaderEnded))) }
        })?;
    kept.push(Box::new(load));
    let (swap, tokio) = (Arc::clone(checkpoint_swap), tokio.clone());
    let list =
        node.create_async_service::<ListCheckpoints, _>("~/list_checkpoints", move |ask: ListCheckpoints_Request| {
            let swap = Arc::clone(&swap);
            let listed = tokio.spawn_blocking(move || list(&swap, &ask.directory));
            async move {
                let listed = listed.await.unwrap_or_else(|panicked| Err(panicked.into()));
                let (ok, message, checkpoints) = match listed {
                    Ok(checkpoints) => (true, format!("{} checkpoints", checkpoints.len()), checkpoints),
                    Err(error) => (false, error.to_string(), Vec::new()),
                };
                ListCheckpoints_Response {
                    ok,
                    message,
                    checkpoints,
                }
            }
        })?;
    kept.push(Box::new(list));
    Ok(kept)
}

fn load(swap: &CheckpointSwap, ask: &LoadCheckpoint_Request) -> Result<SwapCandidate, PolicyError> {
    let path = ask.path.trim();
    if path.is_empty() {
        return Err(PolicyError::NoPath);
    }
    let dataset = Some(ask.dataset.trim()).filter(|dataset| !dataset.is_empty());
    swap.load(Path::new(path), dataset.map(Path::new))
}

fn loading(loaded: Result<SwapCandidate, PolicyError>) -> LoadCheckpoint_Response {
    match loaded {
        Ok(SwapCandidate {
            hash,
            report,
            self_test,
        }) => {
            tracing::info!("a checkpoint waits for ~/switch:\n{report}");
            LoadCheckpoint_Response {
                ok: true,
                message: "loaded; ~/switch takes it into use".to_owned(),
                report,
                checkpoint_hash: hash,
                self_test: self_test.map_or(f64::NAN, |self_test| self_test.error),
                self_test_constant: self_test.map_or(f64::NAN, |self_test| self_test.constant),
            }
        }
        Err(error) => LoadCheckpoint_Response {
            message: error.to_string(),
            self_test: f64::NAN,
            self_test_constant: f64::NAN,
            ..LoadCheckpoint_Response::default()
        },
    }
}

fn list(swap: &CheckpointSwap, directory: &str) -> Result<Vec<CheckpointInfo>, PolicyError> {
    let directory = match directory.trim() {
        "" => swap.directory(),
        named => named.into(),
    };
    let [running, waiting, previous] = [swap.running(), swap.waiting(), swap.previous()];
    let is = |checkpoint: &Option<Arc<LoadedCheckpoint>>, entry: &CheckpointEntry| {
        let same = |checkpoint: &Arc<LoadedCheckpoint>| {
            std::fs::canonicalize(&checkpoint.path).ok() == std::fs::canonicalize(&entry.path).ok()
        };
        checkpoint.as_ref().is_some_and(same)
    };
    let info = |entry: CheckpointEntry| CheckpointInfo {
        running: is(&running, &entry),
        waiting: is(&waiting, &entry),
        previous: is(&previous, &entry),
        date: date(&entry),
        datasets: entry
            .records
            .datasets()
            .map(|path| path.display().to_string())
            .collect(),
        step: entry.records.step,
        held_out: entry.records.held_out.unwrap_or(f64::NAN),
        path: entry.path.display().to_string(),
        name: entry.name,
    };
    Ok(checkpoint_list::find_checkpoints(&directory)?
        .into_iter()
        .map(info)
        .collect())
}

fn date(entry: &CheckpointEntry) -> ros_env::builtin_interfaces::msg::Time {
    let since = entry.date.duration_since(UNIX_EPOCH).unwrap_or_default();
    ros_env::builtin_interfaces::msg::Time {
        sec: i32::try_from(since.as_secs()).unwrap_or(i32::MAX),
        nanosec: since.subsec_nanos(),
    }
}
