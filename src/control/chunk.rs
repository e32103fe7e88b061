//! Action chunks: the one thing every source of motion sends.

use crate::contract::{ActionSpace, Composition, Reference};

use super::time::Time;

/// Actions in physical units (metres, radians, gripper 0 closed .. 1 open).
///
/// Distinct from the network's normalised output so that nothing normalised can reach an arm: the only ways to make
/// one are un-normalisation by a contract, and a source that works in physical units to begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalActions {
    space: ActionSpace,
    values: Vec<f64>,
}

/// Why values are not a sequence of actions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ActionsError {
    /// The values do not divide into steps.
    #[error(
        "expected a positive multiple of {dim} values for {space:?}, found {found}; send horizon x dim values, row major"
    )]
    Length {
        /// Space announced.
        space: ActionSpace,
        /// Values a step.
        dim: usize,
        /// Values found.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("expected finite values, found {value} in step {step}, dimension {dimension}; the chunk is dropped whole")]
    NonFinite {
        /// Step, from 0.
        step: usize,
        /// Dimension, from 0.
        dimension: usize,
        /// The value.
        value: f64,
    },
}

impl PhysicalActions {
    /// Takes K x dim values, row major, in physical units.
    ///
    /// # Errors
    /// When the values do not divide into steps or one is not finite.
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

    /// What one step holds.
    pub fn space(&self) -> ActionSpace {
        self.space
    }

    /// Steps, K.
    pub fn horizon(&self) -> usize {
        self.values.len() / self.space.dim()
    }

    /// The steps in order, each of `space().dim()` values.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &[f64]> + '_ {
        self.values.chunks_exact(self.space.dim())
    }

    /// All values, row major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// A chunk of actions and everything needed to execute it; mirrors `thinkvla/msg/ActionChunk`.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionChunk {
    /// The actions.
    pub actions: PhysicalActions,
    /// How steps compose.
    pub composition: Composition,
    /// What the anchor is.
    pub reference: Reference,
    /// Frame of end-effector deltas.
    pub frame: String,
    /// Time from one step to the next (s); step k is reached at `observed + (k + 1) * step_period`.
    pub step_period: f64,
    /// Time the chunk is anchored at.
    pub observed: Time,
    /// After this time the chunk must not be started.
    pub expires: Time,
    /// Who made it.
    pub source: String,
    /// Lease the source holds.
    pub lease: u64,
    /// Counts up per source.
    pub plan_id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
