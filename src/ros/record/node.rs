//! The node: its subscriptions and services, and the recording thread.

use std::convert::Infallible;
use std::sync::Arc;

use rclrs::RclrsError;

use super::session::RecordingSession;
use super::settings::{RecordSettings, RecordSettingsError};
use super::{action, report, services, streams};
use crate::contract;
use crate::dataset::info::{INFO, Info};
use crate::dataset::schema::DatasetSchema;
use crate::dataset::storage::Disk;
use crate::dataset::{DatasetError, DatasetWriter};
use crate::ros::node::diagnostics;
use crate::ros::node::runtime::Runtime;
use crate::ros::node::services::Handles;
use crate::ros::node::time::NodeClock;

/// Error that keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum RecordNodeError {
    /// Invalid parameter.
    #[error(transparent)]
    Settings(#[from] RecordSettingsError),
    /// The dataset cannot be written.
    #[error("parameter dataset: {0}")]
    Dataset(#[from] DatasetError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct RecordNode {
    _kept: Handles,
}

impl RecordNode {
    /// Opens or creates the dataset, and starts the subscriptions and services.
    ///
    /// # Errors
    /// When a parameter is invalid, the dataset cannot be used, or ROS reports an error.
    pub fn start(runtime: &Runtime) -> Result<Self, RecordNodeError> {
        let node = runtime.node();
        let settings = RecordSettings::declare(runtime)?;
        let writer = open(&settings)?;
        let (clock, instruction) = (NodeClock::of(node), settings.instruction.as_str());
        let session = Arc::new(RecordingSession::new(
            writer,
            settings.images,
            settings.rule,
            clock,
            instruction,
        ));
        let mut kept = streams::listen(node, &session, settings.transport)?;
        kept.extend(services::offer(node, runtime.tokio(), &session)?);
        kept.push(Box::new(action::offer(node, runtime.tokio(), &session)?));
        let reported = Arc::clone(&session);
        kept.push(Box::new(diagnostics::publish(node, "recorder", move || {
            vec![report::recording(&reported.status())]
        })?));
        kept.push(Box::new(settings));
        let shutdown = runtime.shutdown().clone();
        runtime.shutdown().run_beside::<Infallible>(move || {
            session.run(&shutdown);
            Ok(())
        });
        Ok(Self { _kept: kept })
    }
}

/// Opens the dataset to continue, or creates a new one.
fn open(settings: &RecordSettings) -> Result<DatasetWriter, DatasetError> {
    let root = &settings.dataset;
    let schema = DatasetSchema::of_arm(&settings.contract, settings.images)?;
    if !root.join(INFO).exists() {
        tracing::info!("new dataset {}", root.display());
        return DatasetWriter::create(Arc::new(Disk), root, &schema, &settings.contract);
    }
    // Compared before the dataset is opened to be continued, which may repair it.
    let (expected, found) = (schema.info(), Info::load(root)?);
    let ours = root.join(contract::FILE_NAME).exists();
    if ours && (expected.features != found.features || expected.fps != found.fps) {
        let problem = "it was recorded with another contract, rate or kind of pictures; name another folder";
        return Err(DatasetError::content(&root.join(INFO), problem));
    }
    let (writer, resumed) = DatasetWriter::resume(Arc::new(Disk), root)?;
    if let Some(open) = resumed.open {
        tracing::warn!(
            "{}: an episode of {} frames was open when the recorder ended; save or discard it",
            root.display(),
            open.frames
        );
    }
    tracing::info!(
        "{}: goes on behind {} episodes",
        root.display(),
        writer.info().total_episodes
    );
    Ok(writer)
}
