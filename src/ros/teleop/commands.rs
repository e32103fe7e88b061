//! Commands of keys and buttons to other nodes: services, named moves, the next instruction.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{Client, IntoPrimitiveOptions as _, Node, Publisher, RclrsError, ServiceIDL};
use ros_env::lifecycle_msgs::msg::Transition;
use ros_env::lifecycle_msgs::srv::{ChangeState, ChangeState_Request};
use ros_env::std_msgs::msg::String as StringMessage;
use ros_env::std_srvs::srv::{SetBool, SetBool_Request, Trigger, Trigger_Request};
use tokio::sync::oneshot;

use super::error::TeleopError;
use super::lock;
use crate::ros::client::moves::Moves;
use crate::ros::node::{qos, topics};
use crate::teleop::mapping::{Command, Mapping};

const STOP: &str = "arm_node/stop";
const RESET_FAULT: &str = "arm_node/reset_fault";
const SET_ARMED: &str = "arm_node/set_armed";
const POLICY: &str = "policy_node/change_state";

/// Longest wait for a service to be discovered, and for its response; saving a long episode takes seconds.
const FOUND: Duration = Duration::from_secs(2);
const ANSWERED: Duration = Duration::from_secs(30);

/// Messages to the operator, written to the log and shown in the diagnostics.
#[derive(Clone, Default)]
pub struct Announcer(Arc<Mutex<String>>);

impl Announcer {
    /// Reports information.
    pub fn announce(&self, what: impl Into<String>) {
        let what = what.into();
        tracing::info!("{what}");
        *lock(&self.0) = what;
    }

    /// Reports a failure.
    pub fn warn(&self, what: impl Into<String>) {
        let what = what.into();
        tracing::warn!("{what}");
        *lock(&self.0) = what;
    }

    /// The last message.
    pub fn last(&self) -> String {
        lock(&self.0).clone()
    }
}

/// Clients of everything that a mapping can command.
pub struct CommandClients {
    tokio: tokio::runtime::Handle,
    announcer: Announcer,
    moves: Moves,
    /// Whether the last named move is requested or in progress.
    moving: Arc<AtomicBool>,
    move_speed: f64,
    triggers: BTreeMap<String, Client<Trigger>>,
    set_armed: Client<SetBool>,
    policy: Client<ChangeState>,
    instruction: Publisher<StringMessage>,
    instructions: Vec<String>,
    next: usize,
}

impl CommandClients {
    /// Creates the clients for the commands of a mapping, and publishes the first instruction.
    ///
    /// # Errors
    /// When a client or publisher cannot be created.
    pub fn new(
        node: &Node,
        tokio: &tokio::runtime::Handle,
        mapping: &Mapping,
        instructions: Vec<String>,
        announcer: Announcer,
    ) -> Result<Self, RclrsError> {
        let mut triggers = BTreeMap::new();
        let called = mapping.commands().into_iter().filter_map(|command| match command {
            Command::Call(name) => Some(name.as_str()),
            _ => None,
        });
        for name in called.chain([STOP, RESET_FAULT]) {
            if !triggers.contains_key(name) {
                triggers.insert(name.to_owned(), node.create_client::<Trigger>(name)?);
            }
        }
        let mut clients = Self {
            tokio: tokio.clone(),
            announcer,
            moves: Moves::new(node)?,
            moving: Arc::default(),
            move_speed: mapping.move_speed,
            triggers,
            set_armed: node.create_client::<SetBool>(SET_ARMED)?,
            policy: node.create_client::<ChangeState>(POLICY)?,
            instruction: node.create_publisher(topics::INSTRUCTION.name.qos(qos::latched()))?,
            instructions,
            next: 0,
        };
        if !clients.instructions.is_empty() {
            clients.next_instruction();
        }
        Ok(clients)
    }

    /// Executes a command that concerns other nodes; returns `false` for any other command.
    pub fn execute(&mut self, command: &Command) -> bool {
        match command {
            Command::Stop => self.trigger(STOP),
            Command::ResetFault => self.trigger(RESET_FAULT),
            Command::Call(name) => self.trigger(name),
            Command::Arm => {
                let client = Arc::clone(&self.set_armed);
                self.spawn(SET_ARMED, async move {
                    let done = ask(&client, SET_ARMED, SetBool_Request { data: true }).await?;
                    outcome(done.success, done.message)
                });
            }
            Command::NextInstruction => self.next_instruction(),
            _ => return false,
        }
        true
    }

    /// Moves to a named configuration of the arm's file under the operator's lease, unless a move is in progress: that one
    /// could not be cancelled any more.
    pub fn move_to(&mut self, name: &str, lease: u64) {
        if self.is_moving() {
            self.announcer.warn(format!(
                "no move to {name}: another move is in progress; wait for it, or let go first"
            ));
            return;
        }
        self.announcer.announce(format!("moving to {name}"));
        self.moving = Arc::new(AtomicBool::new(true));
        let moving = Arc::clone(&self.moving);
        let going = self.moves.go(name, self.move_speed, lease);
        self.spawn("move", async move {
            let outcome = going.await;
            moving.store(false, Ordering::Release);
            outcome.map_err(TeleopError::from)
        });
    }

    /// Returns whether a named move of this node is requested or in progress.
    pub fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }

    /// Cancels a named move of this node.
    pub fn cancel_move(&self) {
        self.moves.cancel();
    }

    /// Counts a named move as ended, because its lease has: the end of a move of an arm node that has ended itself is never
    /// reported.
    pub fn forget_move(&mut self) {
        self.moving = Arc::default();
    }

    /// Activates the policy once `free` resolves, which tells that the lease has been released.
    pub fn resume_policy(&self, free: oneshot::Receiver<()>) {
        let client = Arc::clone(&self.policy);
        self.spawn(POLICY, async move {
            let _ = free.await;
            let transition = ros_env::lifecycle_msgs::msg::Transition {
                id: Transition::TRANSITION_ACTIVATE,
                ..Transition::default()
            };
            let done = ask(&client, POLICY, ChangeState_Request { transition }).await?;
            let why = if done.success {
                "the policy drives"
            } else {
                "the policy did not activate; its log says why"
            };
            outcome(done.success, why.to_owned())
        });
    }

    fn trigger(&self, name: &str) {
        let Some(client) = self.triggers.get(name).map(Arc::clone) else {
            return;
        };
        let service = name.to_owned();
        self.spawn(name, async move {
            let done = ask(&client, &service, Trigger_Request::default()).await?;
            outcome(done.success, done.message)
        });
    }

    fn next_instruction(&mut self) {
        let count = self.instructions.len();
        let Some(words) = self.instructions.get(self.next).cloned() else {
            return self
                .announcer
                .warn("no next instruction: expected the parameter instructions, found none");
        };
        let number = self.next + 1;
        self.next = number % count;
        self.announcer
            .announce(format!("instruction {number} of {count}: {words}"));
        if let Err(error) = self.instruction.publish(StringMessage { data: words }) {
            self.announcer
                .warn(format!("the instruction was not published: {error}"));
        }
    }

    fn spawn(&self, what: &str, work: impl Future<Output = Result<String, TeleopError>> + Send + 'static) {
        let (announcer, what) = (self.announcer.clone(), what.to_owned());
        self.tokio.spawn(async move {
            match work.await {
                Ok(done) => announcer.announce(format!("{what}: {done}")),
                Err(why) => announcer.warn(format!("{what}: {why}")),
            }
        });
    }
}

fn outcome(success: bool, message: String) -> Result<String, TeleopError> {
    if success {
        Ok(message)
    } else {
        Err(TeleopError::Refused(message))
    }
}

async fn ask<S: ServiceIDL>(
    client: &Client<S>,
    service: &str,
    request: S::Request,
) -> Result<S::Response, TeleopError> {
    let node = service.split('/').next().unwrap_or(service).to_owned();
    // A request sent before the service is discovered is lost.
    let found = tokio::time::timeout(FOUND, client.notify_on_service_ready()).await;
    if found.is_err() {
        return Err(TeleopError::NoService { node });
    }
    let answer = client.call::<_, S::Response>(request)?;
    match tokio::time::timeout(ANSWERED, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(TeleopError::Silent { node, limit: ANSWERED }),
    }
}
