//! Action chunks, the only motion input of the controller.

use crate::contract::{ActionSpace, Composition, Contract, Reference};
use crate::types::time::Time;

/// Actions in physical units (metres, radians, gripper 0 closed .. 1 open).
///
/// A type of its own, so that the network's normalised output cannot reach an arm: values come either from
/// un-normalisation by a contract, or from a source that works in physical units.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalActions {
    space: ActionSpace,
    values: Vec<f64>,
}

/// Errors of values that do not form a sequence of actions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ActionsError {
    /// The number of values is zero or no multiple of the action dimension.
    #[error(
        "expected a positive multiple of {dim} values for {space:?}, found {found}; send horizon x dim values, row major"
    )]
    Length {
        /// Announced action space.
        space: ActionSpace,
        /// Number of values in a step.
        dim: usize,
        /// Number of values found.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("expected finite values, found {value} in step {step}, dimension {dimension}; the chunk is dropped whole")]
    NonFinite {
        /// Index of the step, from 0.
        step: usize,
        /// Index of the dimension, from 0.
        dimension: usize,
        /// The value.
        value: f64,
    },
}

impl PhysicalActions {
    /// Creates actions from K x dim values, row major, in physical units.
    ///
    /// # Errors
    /// When the number of values is zero or no multiple of dim, or a value is not finite.
    pub fn new(space: ActionSpace, values: Vec<f64>) -> Result<Self, ActionsError> {
        let dim = space.dim();
        if values.is_empty() || !values.len().is_multiple_of(dim) {
            return Err(ActionsError::Length {
                space,
                dim,
                found: values.len(),
            });
        }
        if let Some((i, value)) = values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(ActionsError::NonFinite {
                step: i / dim,
                dimension: i % dim,
                value: *value,
            });
        }
        Ok(Self { space, values })
    }

    /// Content of one step.
    pub fn space(&self) -> ActionSpace {
        self.space
    }

    /// Number of steps, K.
    pub fn horizon(&self) -> usize {
        self.values.len() / self.space.dim()
    }

    /// Steps in order, `space().dim()` values each.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &[f64]> + '_ {
        self.values.chunks_exact(self.space.dim())
    }

    /// All values, row major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// Chunk of actions with everything needed to execute it; mirrors `thinkvla/msg/ActionChunk`.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionChunk {
    /// The actions.
    pub actions: PhysicalActions,
    /// Composition of the steps.
    pub composition: Composition,
    /// Pose the chunk is anchored at.
    pub reference: Reference,
    /// Frame of end-effector deltas.
    pub frame: String,
    /// Time from one step to the next (s); step k is reached at `observed + (k + 1) * step_period`.
    pub step_period: f64,
    /// Time of the observation, at which the chunk is anchored.
    pub observed: Time,
    /// Time after which the chunk must not be started.
    pub expires: Time,
    /// Name of the source that made the chunk.
    pub source: String,
    /// Id of the source's lease.
    pub lease: u64,
    /// Number of the chunk; must increase with every chunk under a lease.
    pub plan_id: u64,
}

/// Sender and time of a chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChunkOrigin<'a> {
    /// Name of the source that made the chunk.
    pub source: &'a str,
    /// Id of the source's lease.
    pub lease: u64,
    /// Number of the chunk.
    pub plan_id: u64,
    /// Time of the observation.
    pub observed: Time,
    /// Time after the observation within which the chunk must be started (s).
    pub expiry_s: f64,
}

impl ActionChunk {
    /// Creates a chunk of actions whose meaning is that of a contract.
    pub fn of_contract(contract: &Contract, actions: PhysicalActions, origin: ChunkOrigin<'_>) -> Self {
        Self {
            actions,
            composition: contract.data.composition,
            reference: contract.data.reference,
            frame: contract.robot.base_frame.clone(),
            step_period: 1.0 / contract.data.fps,
            observed: origin.observed,
            expires: origin.observed.offset_secs(origin.expiry_s),
            source: origin.source.to_owned(),
            lease: origin.lease,
            plan_id: origin.plan_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Data, Robot};

    #[test]
    fn a_chunk_has_the_meaning_of_its_contract_and_expires_after_its_observation() {
        let mut contract = Contract {
            robot: Robot::simulated(),
            data: Data::unrecorded(20.0),
            model: None,
        };
        contract.data.composition = Composition::FromAnchor;
        contract.data.reference = Reference::Measured;
        let actions = PhysicalActions::new(ActionSpace::Ee7, vec![0.0; 7]).unwrap();
        let observed = Time(2_000_000_000);
        let origin = ChunkOrigin {
            source: "policy",
            lease: 3,
            plan_id: 7,
            observed,
            expiry_s: 0.5,
        };
        let chunk = ActionChunk::of_contract(&contract, actions, origin);
        assert_eq!(
            (chunk.composition, chunk.reference),
            (Composition::FromAnchor, Reference::Measured)
        );
        assert_eq!((chunk.frame, chunk.step_period), (contract.robot.base_frame, 0.05));
        assert_eq!((chunk.observed, chunk.expires), (observed, observed.offset_secs(0.5)));
        assert_eq!((chunk.source.as_str(), chunk.lease, chunk.plan_id), ("policy", 3, 7));
    }

    #[test]
    fn values_divide_into_steps_of_their_space() {
        let values: Vec<f64> = (0..16).map(f64::from).collect();
        let actions = PhysicalActions::new(ActionSpace::Joint8, values.clone()).unwrap();
        assert_eq!((actions.space(), actions.horizon()), (ActionSpace::Joint8, 2));
        assert_eq!(actions.steps().collect::<Vec<_>>(), [&values[..8], &values[8..]]);
        assert_eq!(actions.values(), values);
    }

    #[test]
    fn what_divides_into_no_steps_is_refused() {
        for (space, found) in [(ActionSpace::Ee7, 0), (ActionSpace::Ee7, 8), (ActionSpace::Joint8, 7)] {
            let refused = PhysicalActions::new(space, vec![0.0; found]).unwrap_err();
            let dim = space.dim();
            assert_eq!(refused, ActionsError::Length { space, dim, found });
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_named_with_its_step_and_dimension() {
        let mut values = vec![0.0; 21];
        values[16] = f64::INFINITY;
        let refused = PhysicalActions::new(ActionSpace::Ee7, values).unwrap_err();
        let (step, dimension, value) = (2, 2, f64::INFINITY);
        assert_eq!(refused, ActionsError::NonFinite { step, dimension, value });
    }
}
