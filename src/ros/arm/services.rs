//! Services of the arm node: lease, arming, stop, reset.

use rclrs::{Node, RclrsError};
use ros_env::std_srvs::srv::{SetBool, SetBool_Request, SetBool_Response, Trigger, Trigger_Request, Trigger_Response};
use ros_env::thinkvla::srv::{
    AcquireLease, AcquireLease_Request, AcquireLease_Response, ReleaseLease, ReleaseLease_Request,
    ReleaseLease_Response,
};

use super::Shared;
use crate::control::lease::Priority;
use crate::ros::node::services::Handles;
use crate::ros::node::time::NodeClock;
use crate::supervisor::{ArmMode, Refusal};

/// Offers the services under the node's name, until the returned handles are dropped.
///
/// # Errors
/// When a service cannot be created.
pub fn offer(node: &Node, shared: &Shared) -> Result<Handles, RclrsError> {
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let acquire = node.create_service::<AcquireLease, _>("~/acquire_lease", move |ask: AcquireLease_Request| {
        acquire(&arm, &clock, &ask)
    })?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let release = node.create_service::<ReleaseLease, _>("~/release_lease", move |ask: ReleaseLease_Request| {
        let outcome = arm.lock().release_lease(ask.lease, clock.both());
        ReleaseLease_Response {
            released: outcome.is_ok(),
            message: text(outcome, "released"),
        }
    })?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let armed = node.create_service::<SetBool, _>("~/set_armed", move |ask: SetBool_Request| {
        let mut supervisor = arm.lock();
        if ask.data {
            let outcome = supervisor.arm(clock.both());
            SetBool_Response {
                success: outcome.is_ok(),
                message: text(outcome, "armed"),
            }
        } else {
            supervisor.disarm(clock.both());
            SetBool_Response {
                success: true,
                message: disarmed(supervisor.mode()),
            }
        }
    })?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let stopped = node.create_service::<Trigger, _>("~/stop", move |_: Trigger_Request| stop(&arm, &clock))?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let reset = node.create_service::<Trigger, _>("~/reset_fault", move |_: Trigger_Request| {
        let outcome = arm.lock().reset_fault(clock.both());
        Trigger_Response {
            success: outcome.is_ok(),
            message: text(outcome, "reset; the arm is disarmed"),
        }
    })?;
    Ok(vec![
        Box::new(acquire),
        Box::new(release),
        Box::new(armed),
        Box::new(stopped),
        Box::new(reset),
    ])
}

/// Answer to a request to disarm that has led to `mode`: a latched stop or fault stays.
fn disarmed(mode: ArmMode) -> String {
    match mode {
        ArmMode::Stopped | ArmMode::Fault => {
            format!("no command is sent; the arm stays {mode} until reset_fault is called")
        }
        ArmMode::Braking => "braking; no command is sent afterwards".into(),
        mode => mode.to_string(),
    }
}

fn stop(arm: &Shared, clock: &NodeClock) -> Trigger_Response {
    let (sent, dry_run) = {
        let mut supervisor = arm.lock();
        let sent = supervisor.stop("the stop service was called", clock.both());
        (sent, supervisor.config().dry_run)
    };
    Trigger_Response {
        success: dry_run || sent.is_ok(),
        message: match sent {
            _ if dry_run => "stopped; in a dry run nothing is sent, a stop neither".into(),
            Ok(listeners) => {
                format!("stopped, {listeners} listening; call reset_fault and set_armed to go on")
            }
            Err(problem) => format!("nothing more is commanded, but no stop has arrived: {problem}"),
        },
    }
}

fn acquire(arm: &Shared, clock: &NodeClock, ask: &AcquireLease_Request) -> AcquireLease_Response {
    let refused = |message: String| AcquireLease_Response {
        granted: false,
        lease: 0,
        message,
    };
    let priority = match ask.priority {
        AcquireLease_Request::POLICY => Priority::Policy,
        AcquireLease_Request::OPERATOR => Priority::Operator,
        found => return refused(format!("priority: expected 0 (policy) or 1 (operator), found {found}")),
    };
    match arm.lock().acquire_lease(&ask.source, priority, clock.both()) {
        Ok(lease) => AcquireLease_Response {
            granted: true,
            lease,
            message: "granted".into(),
        },
        Err(refusal) => refused(refusal.to_string()),
    }
}

fn text(outcome: Result<(), Refusal>, done: &str) -> String {
    outcome.map_or_else(|refusal| refusal.to_string(), |()| done.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_in_fault_is_not_called_disarmed() {
        assert_eq!(disarmed(ArmMode::Disarmed), "disarmed");
        assert!(disarmed(ArmMode::Braking).starts_with("braking"));
        for latched in [ArmMode::Stopped, ArmMode::Fault] {
            let answer = disarmed(latched);
            assert!(
                answer.contains("reset_fault") && !answer.contains("disarmed"),
                "{answer}"
            );
        }
    }
}
