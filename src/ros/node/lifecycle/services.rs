//! Lifecycle services of a node; one transition runs at a time.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, RclrsError};
use ros_env::lifecycle_msgs::msg::{
    State as StateMessage, Transition as TransitionMessage, TransitionDescription, TransitionEvent,
};
use ros_env::lifecycle_msgs::srv::{
    ChangeState, ChangeState_Request, ChangeState_Response, GetAvailableStates, GetAvailableStates_Request,
    GetAvailableStates_Response, GetAvailableTransitions, GetAvailableTransitions_Request,
    GetAvailableTransitions_Response, GetState, GetState_Request, GetState_Response,
};

use super::{LifecycleState, Managed, StateMachine, Transition};
use crate::ros::node::lock::lock;
use crate::ros::node::qos;

/// The lifecycle services of one node; offered as long as this lives.
pub struct Lifecycle<M> {
    shared: Arc<Shared<M>>,
    _services: Vec<Box<dyn std::any::Any + Send + Sync>>,
}

struct Shared<M> {
    machine: Mutex<StateMachine>,
    managed: Mutex<M>,
    events: Publisher<TransitionEvent>,
}

impl<M: Managed> Lifecycle<M> {
    /// Offers the services under the node's name. Transitions run on `tokio`'s blocking threads, so that the node stays
    /// responsive during a slow one.
    ///
    /// # Errors
    /// When a service cannot be created.
    pub fn offer(node: &Node, tokio: &tokio::runtime::Handle, managed: M) -> Result<Self, RclrsError> {
        let shared = Arc::new(Shared {
            machine: Mutex::default(),
            managed: Mutex::new(managed),
            events: node.create_publisher("~/transition_event".qos(qos::events()))?,
        });
        let (theirs, blocking) = (Arc::clone(&shared), tokio.clone());
        let change = node.create_async_service::<ChangeState, _>("~/change_state", move |r: ChangeState_Request| {
            let shared = Arc::clone(&theirs);
            let done = blocking.spawn_blocking(move || shared.change(r.transition.id, &r.transition.label));
            async move {
                ChangeState_Response {
                    success: done.await.unwrap_or(false),
                }
            }
        })?;
        let theirs = Arc::clone(&shared);
        let state =
            node.create_service::<GetState, _>("~/get_state", move |_: GetState_Request| GetState_Response {
                current_state: state_message(theirs.state()),
            })?;
        let states = node.create_service::<GetAvailableStates, _>(
            "~/get_available_states",
            move |_: GetAvailableStates_Request| GetAvailableStates_Response {
                available_states: LifecycleState::PRIMARY.into_iter().map(state_message).collect(),
            },
        )?;
        let theirs = Arc::clone(&shared);
        let transitions = node.create_service::<GetAvailableTransitions, _>(
            "~/get_available_transitions",
            move |_: GetAvailableTransitions_Request| GetAvailableTransitions_Response {
                available_transitions: theirs.state().transitions().map(description).collect(),
            },
        )?;
        let graph = node.create_service::<GetAvailableTransitions, _>(
            "~/get_transition_graph",
            move |_: GetAvailableTransitions_Request| GetAvailableTransitions_Response {
                available_transitions: Transition::ALL.into_iter().map(description).collect(),
            },
        )?;
        Ok(Self {
            shared,
            _services: vec![
                Box::new(change),
                Box::new(state),
                Box::new(states),
                Box::new(transitions),
                Box::new(graph),
            ],
        })
    }

    /// Current state.
    pub fn state(&self) -> LifecycleState {
        self.shared.state()
    }

    /// Runs a transition from inside the node, e.g. for autostart; blocks until it has ended. Returns whether it succeeded.
    pub fn change(&self, transition: Transition) -> bool {
        self.shared.change(transition.id(), "")
    }

    /// Returns a function that runs transitions, independent of the lifetime of this value.
    pub fn changer(&self) -> impl Fn(Transition) -> bool + Send + Sync + use<M> {
        let shared = Arc::clone(&self.shared);
        move |transition| shared.change(transition.id(), "")
    }
}

impl<M: Managed> Shared<M> {
    fn state(&self) -> LifecycleState {
        lock(&self.machine).state()
    }

    fn change(&self, id: u8, label: &str) -> bool {
        let transition = match lock(&self.machine).begin(id, label) {
            Ok(transition) => transition,
            Err(refusal) => {
                tracing::warn!("transition refused: {refusal}");
                return false;
            }
        };
        self.announce(transition, transition.start(), LifecycleState::In(transition));
        let outcome = self.run(transition);
        if let Err(reason) = &outcome {
            tracing::error!("{} failed: {reason}", transition.label());
        }
        let state = lock(&self.machine).end(transition, outcome.is_ok());
        self.announce(transition, LifecycleState::In(transition), state);
        tracing::info!("{}", state.label());
        outcome.is_ok()
    }

    fn run(&self, transition: Transition) -> Result<(), M::Error> {
        let mut managed = lock(&self.managed);
        match transition {
            Transition::Configure => return managed.configure(),
            Transition::Activate => return managed.activate(),
            Transition::Deactivate => managed.deactivate(),
            Transition::CleanUp | Transition::InactiveShutdown => managed.clean_up(),
            Transition::ActiveShutdown => {
                managed.deactivate();
                managed.clean_up();
            }
            Transition::UnconfiguredShutdown => {}
        }
        Ok(())
    }

    fn announce(&self, transition: Transition, from: LifecycleState, to: LifecycleState) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = TransitionEvent {
            timestamp: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            transition: transition_message(transition),
            start_state: state_message(from),
            goal_state: state_message(to),
        };
        if let Err(error) = self.events.publish(event) {
            tracing::warn!("transition event not sent: {error}");
        }
    }
}

fn state_message(state: LifecycleState) -> StateMessage {
    StateMessage {
        id: state.id(),
        label: state.label().to_owned(),
    }
}

fn transition_message(transition: Transition) -> TransitionMessage {
    TransitionMessage {
        id: transition.id(),
        label: transition.label().to_owned(),
    }
}

fn description(transition: Transition) -> TransitionDescription {
    TransitionDescription {
        transition: transition_message(transition),
        start_state: state_message(transition.start()),
        goal_state: state_message(transition.goal()),
    }
}
