//! Log of clamped, refused and stopped commands and of faults; repetitions are counted instead of logged at every tick.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::types::time::{Now, Steady, Time};

/// Shortest steady time between two published events of the same kind and check (s); the others are counted.
const REPEAT_AFTER_S: f64 = 1.0;
/// Largest number of events kept until they are drained; the oldest is dropped first.
const CAPACITY: usize = 256;

/// Effect of an event on the command, chunk or arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// The command or plan was changed to fit a limit.
    Clamped,
    /// The request was not carried out.
    Refused,
    /// The arm was braked or stays at rest.
    Held,
    /// A stop was sent and latched.
    Stopped,
    /// A fault was latched.
    Fault,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clamped => "clamped",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Stopped => "stopped",
            Self::Fault => "fault",
        })
    }
}

/// Check that raised an event; a variant names the condition or quantity that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Values are finite.
    Finite,
    /// Heartbeat, state, observation and plan are recent.
    Fresh,
    /// The tool centre point is inside its box.
    Workspace,
    /// Links and tool are above the table.
    Table,
    /// Joints are inside their limits, including the margin.
    JointLimit,
    /// Change of a joint in one command.
    Step,
    /// Joint speed.
    Velocity,
    /// Joint acceleration.
    Acceleration,
    /// Speed of the tool centre point.
    ToolSpeed,
    /// Velocity limits near singular configurations.
    Singularity,
    /// Final verification of a command, after all other checks.
    Verify,
    /// The target can be reached.
    Reach,
    /// The chunk is well-formed and in order.
    Chunk,
    /// The sender holds the lease.
    Lease,
    /// The mode permits the request.
    Mode,
    /// The joint state is alive and plausible.
    State,
    /// The arm follows its commands.
    Tracking,
    /// One driver subscribes to the commands, and no other node publishes them.
    Publishers,
    /// The driver reports no errors and receives what is sent.
    Driver,
    /// ROS time goes forward without jumps.
    Clock,
    /// The control loop keeps its period.
    Period,
    /// The next chunk comes before the last one ends.
    Underrun,
    /// A stop was requested.
    Stop,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finite => "finite",
            Self::Fresh => "fresh",
            Self::Workspace => "workspace",
            Self::Table => "table",
            Self::JointLimit => "joint_limit",
            Self::Step => "step",
            Self::Velocity => "velocity",
            Self::Acceleration => "acceleration",
            Self::ToolSpeed => "tool_speed",
            Self::Singularity => "singularity",
            Self::Verify => "verify",
            Self::Reach => "reach",
            Self::Chunk => "chunk",
            Self::Lease => "lease",
            Self::Mode => "mode",
            Self::State => "state",
            Self::Tracking => "tracking",
            Self::Publishers => "publishers",
            Self::Driver => "driver",
            Self::Clock => "clock",
            Self::Period => "period",
            Self::Underrun => "underrun",
            Self::Stop => "stop",
        })
    }
}

/// Event; mirrors `thinkvla/msg/GateEvent`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// ROS time of the event.
    pub time: Time,
    /// Effect.
    pub kind: EventKind,
    /// Check that raised an event; a variant names the condition or quantity that is checked.
    pub check: Check,
    /// Expected and found value, with advice.
    pub message: String,
    /// Source of the plan concerned; empty if none.
    pub source: String,
    /// Id of the plan concerned; 0 if none.
    pub plan_id: u64,
    /// Number of events with the same kind and check suppressed since the last published one.
    pub repeated: u32,
}

#[derive(Debug, Clone, Copy)]
struct Recent {
    published: Steady,
    suppressed: u32,
}

/// Event that has not been drained yet.
#[derive(Debug)]
struct Waiting {
    happened: Steady,
    /// The event; its ROS time is set when it is drained.
    event: Event,
}

/// Collector of events until they are published.
#[derive(Debug, Default)]
pub struct EventLog {
    source: String,
    plan_id: u64,
    recent: BTreeMap<(EventKind, Check), Recent>,
    tally: BTreeMap<(EventKind, Check), u64>,
    waiting: VecDeque<Waiting>,
}

impl EventLog {
    /// Sets the plan that the following events concern.
    pub fn about(&mut self, source: &str, plan_id: u64) {
        if self.source != source {
            self.source = source.to_owned();
        }
        self.plan_id = plan_id;
    }

    /// Adds an event; `message` is called only if the event is not suppressed as a repetition.
    pub fn push(&mut self, now: Steady, kind: EventKind, check: Check, message: impl FnOnce() -> String) {
        *self.tally.entry((kind, check)).or_default() += 1;
        let repeated = match self.recent.get_mut(&(kind, check)) {
            Some(recent) if now.seconds_since(recent.published) < REPEAT_AFTER_S => {
                recent.suppressed = recent.suppressed.saturating_add(1);
                return;
            }
            Some(recent) => {
                recent.published = now;
                std::mem::take(&mut recent.suppressed)
            }
            None => {
                self.recent.insert(
                    (kind, check),
                    Recent {
                        published: now,
                        suppressed: 0,
                    },
                );
                0
            }
        };
        if self.waiting.len() == CAPACITY {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting {
            happened: now,
            event: Event {
                time: Time::default(),
                kind,
                check,
                message: message(),
                source: self.source.clone(),
                plan_id: self.plan_id,
                repeated,
            },
        });
    }

    /// Number of events of each kind and check, suppressed ones included.
    pub fn tally(&self) -> &BTreeMap<(EventKind, Check), u64> {
        &self.tally
    }

    /// Removes and returns the collected events, oldest first. Their ROS time is computed from their age at `now`.
    pub fn drain(&mut self, now: Now) -> Vec<Event> {
        let stamped = |Waiting { happened, event }| Event {
            time: now.ros.offset_secs(happened.seconds_since(now.steady)),
            ..event
        };
        self.waiting.drain(..).map(stamped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_a_tick_becomes_an_event_a_second_with_the_count_between() {
        let mut log = EventLog::default();
        log.about("policy", 7);
        for tick in 0..250 {
            let time = Steady::from_secs_f64(100.0 + 0.01 * f64::from(tick));
            log.push(time, EventKind::Clamped, Check::Velocity, || format!("tick {tick}"));
        }
        let events = log.drain(Now::default());
        assert_eq!(events.iter().map(|e| e.repeated).collect::<Vec<_>>(), [0, 99, 99]);
        assert_eq!(events[1].message, "tick 100");
        // The 49 after the last published one are counted as well.
        assert_eq!(log.tally()[&(EventKind::Clamped, Check::Velocity)], 250);
        assert_eq!((events[0].source.as_str(), events[0].plan_id), ("policy", 7));
        assert!(log.drain(Now::default()).is_empty());
    }

    #[test]
    fn kinds_have_the_names_of_their_effects() {
        use EventKind::{Clamped, Fault, Held, Refused, Stopped};
        let names = [Clamped, Refused, Held, Stopped, Fault].map(|kind| kind.to_string());
        assert_eq!(names, ["clamped", "refused", "held", "stopped", "fault"]);
    }

    #[test]
    fn different_checks_do_not_hide_each_other() {
        let mut log = EventLog::default();
        log.push(Steady(0), EventKind::Clamped, Check::Velocity, String::new);
        log.push(Steady(0), EventKind::Clamped, Check::Acceleration, String::new);
        log.push(Steady(0), EventKind::Refused, Check::Velocity, String::new);
        assert_eq!(log.drain(Now::default()).len(), 3);
    }

    #[test]
    fn events_are_stamped_in_ros_time_by_their_age() {
        let mut log = EventLog::default();
        log.push(Steady::from_secs_f64(7.0), EventKind::Held, Check::Fresh, String::new);
        let now = Now {
            ros: Time::from_secs_f64(1000.0),
            steady: Steady::from_secs_f64(7.04),
        };
        assert_eq!(log.drain(now)[0].time, Time::from_secs_f64(999.96));
    }

    #[test]
    fn nobody_draining_does_not_fill_the_memory() {
        let mut log = EventLog::default();
        for second in 0..1000 {
            log.push(
                Steady::from_secs_f64(f64::from(second)),
                EventKind::Held,
                Check::Fresh,
                || second.to_string(),
            );
        }
        let events = log.drain(Now::default());
        assert_eq!(events.len(), CAPACITY);
        assert_eq!(events.last().map(|e| e.message.as_str()), Some("999"));
    }
}
