//! Acceptance of chunks: refuses those of a sender without the lease, of a stale observation, late, malformed, or that the
//! arm cannot follow.

use super::clock::clock_stopped;
use super::{AfterRest, ArmMode, Refusal, Supervisor};
use crate::contract::ActionSpace;
use crate::control::chunk::ActionChunk;
use crate::control::event::{Check, EventKind};
use crate::realman::Driver;
use crate::types::time::Now;

/// Largest lead of a stamp over ROS time (s), for clock differences between machines and rounding.
const FUTURE_S: f64 = 0.02;
/// Largest number of steps in a chunk; a longer one counts as a mistake.
const MAX_HORIZON: usize = 1000;
/// Shortest and longest step period (s).
const STEP_PERIOD_S: (f64, f64) = (0.002, 5.0);

impl<D: Driver> Supervisor<D> {
    /// Handles a chunk; it is followed from the next tick on.
    ///
    /// # Errors
    /// When the sender does not hold the lease, the mode does not permit motion, an input is stale, or the chunk is malformed,
    /// late, or cannot be followed. The arm then continues its motion.
    pub fn on_chunk(&mut self, chunk: ActionChunk, now: Now) -> Result<(), Refusal> {
        let about = self.executor.plan().map(|plan| (plan.source.clone(), plan.plan_id));
        self.gate.events.about(&chunk.source, chunk.plan_id);
        if let Err(refusal) = self
            .check_chunk(&chunk, now)
            .and_then(|()| self.start_chunk(&chunk, now))
        {
            let refusal = self.refuse(refusal, now);
            if let Some((source, plan_id)) = about {
                self.gate.events.about(&source, plan_id);
            }
            return Err(refusal);
        }
        if !self.mode.is_moving() {
            self.liveness.rest();
            self.starting = true;
        }
        self.last_plan = Some((chunk.lease, chunk.plan_id));
        self.counters.chunks += 1;
        self.mode = ArmMode::Executing;
        self.reason = format!("following {}", chunk.source);
        Ok(())
    }

    fn start_chunk(&mut self, chunk: &ActionChunk, now: Now) -> Result<(), Refusal> {
        if !self.mode.is_moving() {
            self.prepare_start(now)?;
        }
        let clamped = std::mem::take(&mut self.clamped);
        let slowest = match self.executor.start(chunk, now, clamped) {
            Ok(slowest) => slowest,
            Err(error) => {
                self.clamped = clamped;
                return Err(Refusal::new(error.check(), error.to_string()));
            }
        };
        if slowest < 1.0 {
            self.gate.events.push(now.steady, EventKind::Clamped, Check::Acceleration, || {
                format!("expected a plan inside the joints' limits, found one that leaves {slowest:.2} of its pace; it is followed more slowly")
            });
        }
        let moved = self.executor.plan().map_or(0, |plan| plan.moved);
        if moved > 0 {
            self.gate.events.push(now.steady, EventKind::Clamped, Check::Workspace, || {
                format!("{moved} waypoints were a little outside the workspace or the joint limits and were moved inside")
            });
        }
        Ok(())
    }

    fn check_chunk(&self, chunk: &ActionChunk, now: Now) -> Result<(), Refusal> {
        self.check_sender(chunk)?;
        self.check_permission(now)?;
        check_shape(chunk, &self.config.base_frame)?;
        check_times(chunk, self.config.timeouts.observation_s, now)
    }

    /// Checks that `lease` is the id of the present lease.
    pub(super) fn check_holder(&self, lease: u64) -> Result<(), Refusal> {
        if self.leases.holds(lease) {
            return Ok(());
        }
        let holder = self.leases.holder().map_or("nobody", |holder| &holder.source);
        Err(Refusal::new(
            Check::Lease,
            format!("expected the lease of {holder}, found {lease}; acquire the lease first"),
        ))
    }

    fn check_sender(&self, chunk: &ActionChunk) -> Result<(), Refusal> {
        self.check_holder(chunk.lease)?;
        if let Some(holder) = self.leases.holder().filter(|holder| holder.source != chunk.source) {
            let message = format!(
                "expected chunks of {}, who holds the lease, found one of {}; acquire a lease of its own",
                holder.source, chunk.source
            );
            return Err(Refusal::new(Check::Lease, message));
        }
        match self.last_plan {
            Some((lease, last)) if lease == chunk.lease && chunk.plan_id <= last => {
                let message = format!(
                    "expected a plan_id above {last}, found {}; chunks are taken in order",
                    chunk.plan_id
                );
                Err(Refusal::new(Check::Chunk, message))
            }
            _ => Ok(()),
        }
    }

    fn check_permission(&self, now: Now) -> Result<(), Refusal> {
        let permitted = match self.mode {
            ArmMode::Holding | ArmMode::Executing => true,
            ArmMode::Braking => self.after_rest == AfterRest::Hold,
            _ => false,
        };
        if !permitted {
            let message = format!(
                "expected an armed arm that is free, found it {} ({})",
                self.mode, self.reason
            );
            return Err(Refusal::new(Check::Mode, message));
        }
        let stale = self
            .gate
            .watchdog
            .stale_state(now.steady)
            .or_else(|| self.gate.watchdog.stale_heartbeat(now.steady));
        if let Some(stale) = stale {
            return Err(Refusal::new(Check::Fresh, stale.to_string()));
        }
        if let Some(still) = self.clock.still(now.steady) {
            let message = clock_stopped(still);
            return Err(Refusal::new(
                Check::Clock,
                format!("{message}; no observation has an age"),
            ));
        }
        if self.mode == ArmMode::Holding {
            self.check_unmoved()?;
        }
        Ok(())
    }
}

fn check_shape(chunk: &ActionChunk, base_frame: &str) -> Result<(), Refusal> {
    let (shortest, longest) = STEP_PERIOD_S;
    let found = chunk.step_period;
    if !(found >= shortest && found <= longest) {
        return Err(Refusal::new(
            Check::Chunk,
            format!("expected a step_period from {shortest} to {longest} s, found {found}"),
        ));
    }
    let found = chunk.actions.horizon();
    if found > MAX_HORIZON {
        return Err(Refusal::new(
            Check::Chunk,
            format!("expected at most {MAX_HORIZON} steps, found {found}"),
        ));
    }
    if chunk.actions.space() == ActionSpace::Ee7 && chunk.frame != base_frame {
        let message = format!("expected deltas in frame {base_frame:?}, found {:?}", chunk.frame);
        return Err(Refusal::new(Check::Chunk, message));
    }
    Ok(())
}

/// Checks that a chunk may be started: an observation of the past that is at most `limit` (s) old, an expiry and a last step
/// to come.
pub(super) fn check_times(chunk: &ActionChunk, limit: f64, now: Now) -> Result<(), Refusal> {
    let age = now.ros.seconds_since(chunk.observed);
    if age < -FUTURE_S {
        let message = format!(
            "expected an observation in the past, found one {:.3} s ahead; compare the clocks",
            -age
        );
        return Err(Refusal::new(Check::Clock, message));
    }
    if age > limit {
        return Err(Refusal::new(
            Check::Fresh,
            format!("expected an observation of at most {limit} s, found one {age:.3} s old"),
        ));
    }
    let late = now.ros.seconds_since(chunk.expires);
    if late > 0.0 {
        return Err(Refusal::new(
            Check::Fresh,
            format!("expected a start before the chunk expires, found it {late:.3} s expired"),
        ));
    }
    let over = age - chunk.actions.horizon() as f64 * chunk.step_period;
    if over >= 0.0 {
        let message = format!("expected a step in the future, found the last one {over:.3} s ago; the chunk is late");
        return Err(Refusal::new(Check::Fresh, message));
    }
    Ok(())
}
