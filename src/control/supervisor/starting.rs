//! Starting out of rest: the first command is where the arm is measured.
//!
//! An arm that holds is silent, so it may be pushed or lean. A motion that went on from the last command would begin with
//! a jump of that distance. A small one is taken up: commands go on from where the arm is, and where it was since it came
//! to rest is what was measured. After a large one somebody should look first, so it is refused.

use super::{AfterRest, Mode, Supervisor};
use crate::control::event::Check;
use crate::control::gate::Violation;
use crate::control::named_move::{MoveRequest, NamedMove};
use crate::control::realman::Driver;
use crate::control::time::{Now, Steady};
use crate::control::types::Joints;

/// How far the first command may be from the measured joints (rad): a milliradian, less rounding on the wire.
const FIRST_COMMAND_RAD: f64 = 0.99e-3;
/// Nearer than this to its last command an arm is where it was left (rad).
const UNMOVED_RAD: f64 = 0.5e-3;

impl<D: Driver> Supervisor<D> {
    /// Where the arm is measured (rad), when that is too far from where commands would go on. In a dry run no arm follows.
    fn displaced(&self) -> Option<Joints> {
        let away = self.tracking_error().filter(|_| !self.config.dry_run)?;
        self.measured.filter(|_| away > UNMOVED_RAD)
    }

    /// Whether a command may leave as far as the distance to the arm is concerned: out of rest it must be close.
    pub(super) fn is_close(&self, positions: &Joints) -> bool {
        let away = self.measured.map_or(0.0, |measured| (positions - measured).amax());
        !self.starting || self.config.dry_run || away <= FIRST_COMMAND_RAD
    }

    /// Whether the arm is near enough to where it was left for a motion to start.
    pub(super) fn check_unmoved(&self) -> Result<(), (Check, String)> {
        let limit = self.config.tracking.start_rad;
        match self.tracking_error() {
            Some(found) if !self.config.dry_run && found > limit => {
                let message = format!(
                    "expected the arm within {limit:.3} rad of where it was left, found {found:.3} rad; disarm and arm again"
                );
                Err((Check::Tracking, message))
            }
            _ => Ok(()),
        }
    }

    /// Takes up a resting arm where it is; a motion goes on from there after the tick at `last_tick`.
    pub(super) fn take_up_rest(&mut self, last_tick: Steady) -> Result<(), (Check, String)> {
        self.check_unmoved()?;
        if let Some(measured) = self.displaced() {
            let back = self.gate.motion().position - measured;
            // An arm that leans a little out of a limit is taken up just inside.
            let inside = measured + back * (UNMOVED_RAD / back.amax());
            self.gate
                .take_up(measured)
                .or_else(|_| self.gate.take_up(inside))
                .map_err(outside)?;
            self.executor.rest_as_measured();
        }
        self.executor.rest(self.gate.motion().position, last_tick);
        Ok(())
    }

    /// Looks once more before the first command of a motion: an arm that has moved since is taken up anew. False when it
    /// cannot be and the motion has ended.
    pub(super) fn is_taken_up(&mut self, now: Now) -> bool {
        if !self.starting || self.displaced().is_none() {
            return true;
        }
        let outcome = self
            .take_up_rest(now.steady.offset_secs(-self.config.period()))
            .and_then(|()| match (self.mode, &self.named_move) {
                (Mode::Moving, Some(named_move)) => {
                    let request = MoveRequest {
                        from: self.gate.motion().position,
                        now: now.steady,
                        ..named_move.request()
                    };
                    self.named_move = Some(self.plan_move(request)?);
                    Ok(())
                }
                _ => match self.executor.start_again(now) {
                    Ok(_) => Ok(()),
                    Err(error) => Err((error.check(), error.to_string())),
                },
            });
        if let Err((check, message)) = outcome {
            self.refuse(check, message.clone(), now);
            self.begin_braking(AfterRest::Hold, message, now);
            return false;
        }
        true
    }

    pub(super) fn plan_move(&self, request: MoveRequest<'_>) -> Result<NamedMove, (Check, String)> {
        NamedMove::plan(request, &self.config, self.gate.body()).map_err(|error| (Check::Reach, error.to_string()))
    }
}

/// Why an arm is not taken up.
pub(super) fn outside(violation: Violation) -> (Check, String) {
    let message = format!("the arm rests outside its limits, {violation}; move it inside by hand");
    (violation.check, message)
}
