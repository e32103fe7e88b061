//! Services of the recorder: start, stop, save, discard, and the instruction of the episodes.

use std::sync::Arc;

use rclrs::{Node, RclrsError};
use ros_env::std_srvs::srv::{Trigger, Trigger_Request};
use ros_env::thinkvla::srv::{SetInstruction, SetInstruction_Request, SetInstruction_Response};

use super::error::RecordError;
use super::session::RecordingSession;
use crate::ros::node::services::{Handles, trigger_response};
use crate::ros::subscribe::instruction;

type Done = fn(&RecordingSession) -> Result<String, RecordError>;

/// Services with their functions and response messages. They run on blocking threads, because saving a long episode takes
/// seconds.
const TRIGGERS: [(&str, Done); 4] = [
    ("~/start", |session| session.start().map(|()| "recording".to_owned())),
    ("~/stop", |session| {
        Ok(format!("{} frames wait to be saved or discarded", session.stop()?))
    }),
    ("~/save", |session| {
        let saved = session.save()?;
        Ok(format!("saved episode {} of {} frames", saved.episode, saved.frames))
    }),
    ("~/discard", |session| {
        session.discard().map(|()| "discarded".to_owned())
    }),
];

/// Offers the services until the returned handles are dropped.
///
/// # Errors
/// When a service cannot be created.
pub fn offer(
    node: &Node,
    tokio: &tokio::runtime::Handle,
    session: &Arc<RecordingSession>,
) -> Result<Handles, RclrsError> {
    let mut kept: Handles = Vec::new();
    for (name, does) in TRIGGERS {
        let (session, tokio) = (Arc::clone(session), tokio.clone());
        kept.push(Box::new(node.create_async_service::<Trigger, _>(
            name,
            move |_: Trigger_Request| {
                let session = Arc::clone(&session);
                let done = tokio.spawn_blocking(move || does(&session));
                async move { trigger_response(name, done.await.unwrap_or_else(|panicked| Err(panicked.into()))) }
            },
        )?));
    }
    let listener = Arc::clone(session);
    let set = node.create_service::<SetInstruction, _>("~/set_instruction", move |ask: SetInstruction_Request| {
        let outcome = listener.instruct(&ask.instruction);
        SetInstruction_Response {
            ok: outcome.is_ok(),
            message: outcome.err().map_or_else(
                || format!("episodes are of: {}", ask.instruction.trim()),
                |e| e.to_string(),
            ),
        }
    })?;
    kept.push(Box::new(set));
    // The instruction topic of the policy also sets that of the episodes.
    let listener = Arc::clone(session);
    kept.push(Box::new(instruction::listen(node, move |text| {
        if let Err(problem) = listener.instruct(text) {
            tracing::warn!("{problem}");
        }
    })?));
    Ok(kept)
}
