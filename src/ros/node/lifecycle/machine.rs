//! States and transitions of a managed node, with the numbers and names of ROS 2; independent of ROS.

/// State of a managed node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleState {
    /// Nothing is loaded.
    Unconfigured,
    /// Loaded and warmed up, no motion.
    Inactive,
    /// Motion is permitted.
    Active,
    /// Ended.
    Finalized,
    /// In transition.
    In(Transition),
}

/// Transition that can be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// unconfigured to inactive.
    Configure,
    /// inactive to unconfigured.
    CleanUp,
    /// inactive to active.
    Activate,
    /// active to inactive.
    Deactivate,
    /// unconfigured to finalized.
    UnconfiguredShutdown,
    /// inactive to finalized.
    InactiveShutdown,
    /// active to finalized.
    ActiveShutdown,
}

/// Refusal of a transition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a transition out of {state}, found {asked}; possible now: {possible}")]
pub struct TransitionRefusal {
    /// Present state.
    pub state: &'static str,
    /// Requested transition.
    pub asked: String,
    /// Transitions that are possible instead.
    pub possible: String,
}

impl LifecycleState {
    /// The primary states.
    pub const PRIMARY: [Self; 4] = [Self::Unconfigured, Self::Inactive, Self::Active, Self::Finalized];

    /// Number in `lifecycle_msgs/msg/State`.
    pub fn id(self) -> u8 {
        match self {
            Self::Unconfigured => 1,
            Self::Inactive => 2,
            Self::Active => 3,
            Self::Finalized => 4,
            Self::In(transition) => match transition {
                Transition::Configure => 10,
                Transition::CleanUp => 11,
                Transition::UnconfiguredShutdown | Transition::InactiveShutdown | Transition::ActiveShutdown => 12,
                Transition::Activate => 13,
                Transition::Deactivate => 14,
            },
        }
    }

    /// Name as printed by `ros2 lifecycle`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Finalized => "finalized",
            Self::In(transition) => match transition {
                Transition::Configure => "configuring",
                Transition::CleanUp => "cleaningup",
                Transition::UnconfiguredShutdown | Transition::InactiveShutdown | Transition::ActiveShutdown => {
                    "shuttingdown"
                }
                Transition::Activate => "activating",
                Transition::Deactivate => "deactivating",
            },
        }
    }

    /// Transitions that start in this state.
    pub fn transitions(self) -> impl Iterator<Item = Transition> {
        Transition::ALL.into_iter().filter(move |t| t.start() == self)
    }
}

impl Transition {
    /// All transitions.
    pub const ALL: [Self; 7] = [
        Self::Configure,
        Self::CleanUp,
        Self::Activate,
        Self::Deactivate,
        Self::UnconfiguredShutdown,
        Self::InactiveShutdown,
        Self::ActiveShutdown,
    ];

    /// Number in `lifecycle_msgs/msg/Transition`.
    pub fn id(self) -> u8 {
        match self {
            Self::Configure => 1,
            Self::CleanUp => 2,
            Self::Activate => 3,
            Self::Deactivate => 4,
            Self::UnconfiguredShutdown => 5,
            Self::InactiveShutdown => 6,
            Self::ActiveShutdown => 7,
        }
    }

    /// Name as accepted by `ros2 lifecycle`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::CleanUp => "cleanup",
            Self::Activate => "activate",
            Self::Deactivate => "deactivate",
            Self::UnconfiguredShutdown | Self::InactiveShutdown | Self::ActiveShutdown => "shutdown",
        }
    }

    /// State it starts in.
    pub fn start(self) -> LifecycleState {
        match self {
            Self::Configure | Self::UnconfiguredShutdown => LifecycleState::Unconfigured,
            Self::CleanUp | Self::Activate | Self::InactiveShutdown => LifecycleState::Inactive,
            Self::Deactivate | Self::ActiveShutdown => LifecycleState::Active,
        }
    }

    /// State it ends in when it succeeds.
    pub fn goal(self) -> LifecycleState {
        match self {
            Self::Configure | Self::Deactivate => LifecycleState::Inactive,
            Self::CleanUp => LifecycleState::Unconfigured,
            Self::Activate => LifecycleState::Active,
            Self::UnconfiguredShutdown | Self::InactiveShutdown | Self::ActiveShutdown => LifecycleState::Finalized,
        }
    }
}

/// State machine of one node; during a transition every other is refused.
#[derive(Debug)]
pub struct StateMachine {
    state: LifecycleState,
}

impl Default for StateMachine {
    fn default() -> Self {
        Self {
            state: LifecycleState::Unconfigured,
        }
    }
}

impl StateMachine {
    /// Current state.
    pub fn state(&self) -> LifecycleState {
        self.state
    }

    /// Begins the transition requested by name or, when the name is empty, by number.
    ///
    /// # Errors
    /// When it does not start in the current state.
    pub fn begin(&mut self, id: u8, label: &str) -> Result<Transition, TransitionRefusal> {
        let asked = |t: &Transition| {
            if label.is_empty() {
                t.id() == id
            } else {
                t.label() == label
            }
        };
        let Some(transition) = self.state.transitions().find(asked) else {
            let possible: Vec<_> = self.state.transitions().map(Transition::label).collect();
            return Err(TransitionRefusal {
                state: self.state.label(),
                asked: if label.is_empty() {
                    format!("transition {id}")
                } else {
                    label.to_owned()
                },
                possible: if possible.is_empty() {
                    "none".to_owned()
                } else {
                    possible.join(", ")
                },
            });
        };
        self.state = LifecycleState::In(transition);
        Ok(transition)
    }

    /// Ends the transition; after a failure the state is that before it.
    pub fn end(&mut self, transition: Transition, success: bool) -> LifecycleState {
        self.state = if success { transition.goal() } else { transition.start() };
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(machine: &mut StateMachine, label: &str) -> Result<LifecycleState, TransitionRefusal> {
        let transition = machine.begin(0, label)?;
        Ok(machine.end(transition, true))
    }

    #[test]
    fn a_node_goes_up_and_down() {
        let mut machine = StateMachine::default();
        for (label, state) in [
            ("configure", LifecycleState::Inactive),
            ("activate", LifecycleState::Active),
            ("deactivate", LifecycleState::Inactive),
            ("cleanup", LifecycleState::Unconfigured),
            ("shutdown", LifecycleState::Finalized),
        ] {
            assert_eq!(run(&mut machine, label), Ok(state));
        }
        assert_eq!(machine.state().transitions().count(), 0);
    }

    #[test]
    fn a_transition_out_of_another_state_is_refused_and_changes_nothing() {
        let mut machine = StateMachine::default();
        let refusal = machine.begin(Transition::Activate.id(), "").unwrap_err().to_string();
        assert!(
            refusal.contains("unconfigured") && refusal.contains("configure, shutdown"),
            "{refusal}"
        );
        assert_eq!(machine.state(), LifecycleState::Unconfigured);
    }

    #[test]
    fn nothing_else_begins_during_a_transition() {
        let mut machine = StateMachine::default();
        let configure = machine.begin(1, "").unwrap();
        assert_eq!(machine.state().label(), "configuring");
        assert!(machine.begin(0, "shutdown").is_err());
        assert_eq!(machine.end(configure, false), LifecycleState::Unconfigured);
    }

    #[test]
    fn every_state_that_lasts_but_the_last_can_shut_down() {
        for state in LifecycleState::PRIMARY {
            let can = state.transitions().any(|t| t.goal() == LifecycleState::Finalized);
            assert_eq!(can, state != LifecycleState::Finalized);
        }
    }
}
