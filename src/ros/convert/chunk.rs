//! Conversion between action chunks and their messages; every malformed field is refused by name.

use ros_env::std_msgs::msg::Header;
use ros_env::thinkvla::msg::ActionChunk as Message;

use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::{ActionChunk, ActionsError, PhysicalActions};
use crate::ros::node::time::{from_message, to_message};
use crate::types::time::Time;

/// Longest step period accepted (s); a longer one is taken for a unit mistake.
const LONGEST_STEP_S: f64 = 10.0;

/// Error in a chunk message; the whole chunk is dropped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChunkMessageError {
    /// An enumeration field holds an unknown number.
    #[error("{field}: expected {expected}, found {found}; is the sender built from the same version of thinkvla?")]
    Unknown {
        /// Name of the field.
        field: &'static str,
        /// Known numbers.
        expected: &'static str,
        /// Number found.
        found: u8,
    },
    /// `dim` does not fit `space`.
    #[error("dim: expected {expected} for {space:?}, found {found}; send 7 values a step for EE7, 8 for JOINT8")]
    Dim {
        /// Action space of the message.
        space: ActionSpace,
        /// Dimension of that space.
        expected: usize,
        /// Dimension in the message.
        found: u32,
    },
    /// `horizon` does not fit the number of values.
    #[error("values: expected horizon x dim = {horizon} x {dim}, found {found} values")]
    Length {
        /// Number of steps in the message.
        horizon: u32,
        /// Values a step in the message.
        dim: u32,
        /// Number of values found.
        found: usize,
    },
    /// The step period is not above 0 s or is too long.
    #[error("step_period: expected more than 0 s and at most {LONGEST_STEP_S} s, found {0}")]
    StepPeriod(f64),
    /// The chunk expires before its observation.
    #[error("expires: expected a time after observation_stamp, found {0} s before it")]
    Expires(f64),
    /// The name of the source is empty.
    #[error("source: expected the name of who made the chunk, found nothing")]
    Source,
    /// The values are no valid actions.
    #[error(transparent)]
    Values(#[from] ActionsError),
}

/// Fields of a chunk message that the executor does not need.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChunkDetails {
    /// Time of publication.
    pub stamp: Time,
    /// Stamp of each camera image used, in the contract's camera order.
    pub camera_stamps: Vec<Time>,
    /// SHA-256 of the weights; empty when no network computed the chunk.
    pub checkpoint_hash: String,
    /// Duration from image to network input (ms).
    pub preprocess_ms: f32,
    /// Duration of the forward pass (ms).
    pub inference_ms: f32,
    /// Age of the oldest image when published (ms).
    pub observation_age_ms: f32,
}

impl ChunkDetails {
    /// Details of a chunk that no network computed, published at `stamp`.
    pub fn without_network(stamp: Time) -> Self {
        Self {
            stamp,
            ..Self::default()
        }
    }
}

/// Converts a message to a chunk.
///
/// # Errors
/// Names the first invalid field, with what was expected and found.
pub fn chunk_from_message(message: &Message) -> Result<ActionChunk, ChunkMessageError> {
    let space = space_from(message.space)?;
    if message.dim as usize != space.dim() {
        return Err(ChunkMessageError::Dim {
            space,
            expected: space.dim(),
            found: message.dim,
        });
    }
    if u64::from(message.horizon) * u64::from(message.dim) != message.values.len() as u64 {
        return Err(ChunkMessageError::Length {
            horizon: message.horizon,
            dim: message.dim,
            found: message.values.len(),
        });
    }
    if !(message.step_period > 0.0 && message.step_period <= LONGEST_STEP_S) {
        return Err(ChunkMessageError::StepPeriod(message.step_period));
    }
    let (observed, expires) = (from_message(&message.observation_stamp), from_message(&message.expires));
    if expires <= observed {
        return Err(ChunkMessageError::Expires(observed.seconds_since(expires)));
    }
    if message.source.is_empty() {
        return Err(ChunkMessageError::Source);
    }
    Ok(ActionChunk {
        actions: PhysicalActions::new(space, message.values.clone())?,
        composition: composition_from(message.composition)?,
        reference: reference_from(message.reference)?,
        frame: message.header.frame_id.clone(),
        step_period: message.step_period,
        observed,
        expires,
        source: message.source.clone(),
        lease: message.lease,
        plan_id: message.plan_id,
    })
}

/// Converts a chunk to a message.
pub fn chunk_to_message(chunk: &ActionChunk, details: &ChunkDetails) -> Message {
    let space = chunk.actions.space();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Message {
        header: Header {
            stamp: to_message(details.stamp),
            frame_id: chunk.frame.clone(),
        },
        space: match space {
            ActionSpace::Ee7 => Message::SPACE_EE7,
            ActionSpace::Joint8 => Message::SPACE_JOINT8,
        },
        composition: match chunk.composition {
            Composition::Sequential => Message::COMPOSITION_SEQUENTIAL,
            Composition::FromAnchor => Message::COMPOSITION_FROM_ANCHOR,
        },
        reference: match chunk.reference {
            Reference::Commanded => Message::REFERENCE_COMMANDED,
            Reference::Measured => Message::REFERENCE_MEASURED,
        },
        step_period: chunk.step_period,
        horizon: count(chunk.actions.horizon()),
        dim: count(space.dim()),
        values: chunk.actions.values().to_vec(),
        observation_stamp: to_message(chunk.observed),
        camera_stamps: details.camera_stamps.iter().map(|t| to_message(*t)).collect(),
        expires: to_message(chunk.expires),
        source: chunk.source.clone(),
        lease: chunk.lease,
        plan_id: chunk.plan_id,
        checkpoint_hash: details.checkpoint_hash.clone(),
        preprocess_ms: details.preprocess_ms,
        inference_ms: details.inference_ms,
        observation_age_ms: details.observation_age_ms,
    }
}

fn space_from(number: u8) -> Result<ActionSpace, ChunkMessageError> {
    match number {
        Message::SPACE_EE7 => Ok(ActionSpace::Ee7),
        Message::SPACE_JOINT8 => Ok(ActionSpace::Joint8),
        found => Err(ChunkMessageError::Unknown {
            field: "space",
            expected: "0 (EE7) or 1 (JOINT8)",
            found,
        }),
    }
}

fn composition_from(number: u8) -> Result<Composition, ChunkMessageError> {
    match number {
        Message::COMPOSITION_SEQUENTIAL => Ok(Composition::Sequential),
        Message::COMPOSITION_FROM_ANCHOR => Ok(Composition::FromAnchor),
        found => Err(ChunkMessageError::Unknown {
            field: "composition",
            expected: "0 (SEQUENTIAL) or 1 (FROM_ANCHOR)",
            found,
        }),
    }
}

fn reference_from(number: u8) -> Result<Reference, ChunkMessageError> {
    match number {
        Message::REFERENCE_COMMANDED => Ok(Reference::Commanded),
        Message::REFERENCE_MEASURED => Ok(Reference::Measured),
        found => Err(ChunkMessageError::Unknown {
            field: "reference",
            expected: "0 (COMMANDED) or 1 (MEASURED)",
            found,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> ActionChunk {
        ActionChunk {
            actions: PhysicalActions::new(ActionSpace::Ee7, (0..14).map(f64::from).collect()).unwrap(),
            composition: Composition::FromAnchor,
            reference: Reference::Measured,
            frame: "base_link".into(),
            step_period: 0.1,
            observed: Time(5_000_000_001),
            expires: Time(6_000_000_002),
            source: "policy".into(),
            lease: 3,
            plan_id: 7,
        }
    }

    fn message() -> Message {
        chunk_to_message(&chunk(), &ChunkDetails::default())
    }

    fn refusal(break_it: impl FnOnce(&mut Message)) -> String {
        let mut message = message();
        break_it(&mut message);
        chunk_from_message(&message).unwrap_err().to_string()
    }

    #[test]
    fn a_chunk_survives_a_round_trip() {
        assert_eq!(chunk_from_message(&message()).unwrap(), chunk());
    }

    #[test]
    fn every_malformed_field_is_refused_by_name() {
        assert!(refusal(|m| m.space = 9).starts_with("space: expected 0 (EE7) or 1 (JOINT8), found 9"));
        assert!(refusal(|m| m.composition = 2).starts_with("composition:"));
        assert!(refusal(|m| m.reference = 2).starts_with("reference:"));
        assert!(refusal(|m| m.dim = 8).starts_with("dim: expected 7"));
        assert!(refusal(|m| m.horizon = 3).contains("3 x 7, found 14 values"));
        assert!(refusal(|m| m.values.clear()).contains("found 0 values"));
        assert!(refusal(|m| m.source.clear()).starts_with("source:"));
        assert!(refusal(|m| m.expires = m.observation_stamp.clone()).starts_with("expires:"));
        for period in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(refusal(|m| m.step_period = period).starts_with("step_period:"));
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(refusal(|m| m.values[8] = value).contains("step 1, dimension 1"));
        }
    }

    #[test]
    fn a_chunk_without_steps_is_refused() {
        let empty = refusal(|m| {
            m.horizon = 0;
            m.values.clear();
        });
        assert!(empty.contains("found 0"), "{empty}");
    }

    #[test]
    fn a_huge_horizon_does_not_overflow() {
        assert!(refusal(|m| m.horizon = u32::MAX).starts_with("values:"));
    }
}
