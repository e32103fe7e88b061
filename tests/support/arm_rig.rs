//! An arm behind the supervisor on a virtual clock; a stand-in for Realman's driver follows commands at once, or with a lag.

#![allow(dead_code)]

use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::arm::ArmError;
use thinkvla::control::chunk::{ActionChunk, PhysicalActions};
use thinkvla::control::config::ArmConfig;
use thinkvla::control::event::{Check, Event, EventKind};
use thinkvla::control::lease::{Priority, ReceivedHeartbeat};
use thinkvla::realman::{Driver, DriverApi, DriverCommand, Graph};
use thinkvla::supervisor::{ArmMode, Supervisor, SupervisorStatus};
use thinkvla::types::Joints;
use thinkvla::types::time::{Now, Steady, Time};

pub const PERIOD: f64 = 0.01;

/// Commands that the driver received, with their times.
#[derive(Debug, Default)]
pub struct StandIn {
    pub now: Steady,
    pub joints: Vec<(Steady, Joints)>,
    pub stops: Vec<(Steady, DriverApi)>,
    pub grips: Vec<(Steady, u16)>,
    pub broken: bool,
}

impl Driver for StandIn {
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError> {
        if self.broken {
            return Err(ArmError::Transport("the publisher is gone".into()));
        }
        match command {
            DriverCommand::Joints {
                joint,
                follow,
                expand,
                dof,
            } => {
                assert_eq!((*follow, *expand, *dof), (false, 0.0, 7));
                assert!(joint.iter().all(|q| q.is_finite()));
                self.joints.push((self.now, Joints::from(joint.map(f64::from))));
            }
            DriverCommand::Gripper {
                position,
                block,
                timeout,
            } => {
                assert_eq!((*block, *timeout), (false, 0));
                self.grips.push((self.now, *position));
            }
            DriverCommand::Stop(api) => self.stops.push((self.now, *api)),
            DriverCommand::Pose { .. } => panic!("joint pass-through is configured"),
        }
        Ok(())
    }
}

/// The supervisor with its stand-in arm and its inputs.
pub struct Rig {
    pub supervisor: Supervisor<StandIn>,
    pub now: Now,
    /// Rate of ROS time relative to monotonic time.
    pub rate: f64,
    /// Position of the arm (rad).
    pub joints: Joints,
    /// Share of its distance to the last command that the arm keeps in a period; 0 follows at once.
    pub lag: f64,
    /// Last command (rad).
    goal: Joints,
    /// Whether the driver repeats its last state with fresh stamps.
    pub frozen: bool,
    /// Whether no state arrives.
    pub drop_states: bool,
    /// Whether the lease holder sends heartbeats at 50 Hz.
    pub heartbeat: bool,
    pub lease: u64,
    /// Name of the lease holder.
    pub source: String,
    pub plan_id: u64,
    pub events: Vec<Event>,
    ticks: u64,
    /// Last state sent by the driver (rad).
    pub reported: Joints,
}

pub fn config() -> ArmConfig {
    let mut config = ArmConfig::parse(include_str!("../../config/robots/rm75.yaml")).unwrap();
    config.dry_run = false;
    config
}

pub fn ready() -> Joints {
    config().named("ready").unwrap()
}

/// `count` steps of `delta` each.
pub fn steps(count: usize, delta: [f64; 7]) -> Vec<f64> {
    delta.repeat(count)
}

impl Rig {
    pub fn new(config: ArmConfig) -> Self {
        let now = Now {
            ros: Time::from_secs_f64(1000.0),
            steady: Steady::from_secs_f64(5.0),
        };
        let mut supervisor = Supervisor::new(config, StandIn::default(), now);
        supervisor.on_graph(Graph::of_driver(DriverApi::V2), now);
        let joints = ready();
        Self {
            supervisor,
            now,
            rate: 1.0,
            joints,
            lag: 0.0,
            goal: joints,
            frozen: false,
            drop_states: false,
            heartbeat: true,
            lease: 0,
            source: "policy".into(),
            plan_id: 0,
            events: vec![],
            ticks: 0,
            reported: joints,
        }
    }

    /// An armed arm at rest in `ready`, with the lease.
    pub fn armed() -> Self {
        Self::armed_with(config())
    }

    pub fn armed_with(config: ArmConfig) -> Self {
        let mut rig = Self::new(config);
        rig.run(0.1);
        rig.supervisor.arm(rig.now).unwrap();
        rig.acquire("policy", Priority::Policy);
        rig.run(0.1);
        assert_eq!(rig.mode(), ArmMode::Holding);
        rig
    }

    /// Puts the arm at `joints` (rad), where it rests until the first command.
    pub fn place(&mut self, joints: Joints) {
        (self.joints, self.goal) = (joints, joints);
    }

    /// Releases a latched stop or fault and arms the arm.
    pub fn rearm(&mut self) {
        self.supervisor.reset_fault(self.now).unwrap();
        self.supervisor.arm(self.now).unwrap();
    }

    /// Acquires the lease, and sends its heartbeats from now on.
    pub fn acquire(&mut self, source: &str, priority: Priority) {
        self.lease = self.supervisor.acquire_lease(source, priority, self.now).unwrap();
        self.source = source.to_owned();
    }

    /// Runs one control period.
    pub fn tick(&mut self) {
        self.pass(PERIOD);
        self.ticks += 1;
        if !self.frozen && !self.drop_states {
            self.reported = self.joints;
        }
        if !self.drop_states {
            self.supervisor.on_state(self.reported, self.now.ros, self.now);
        }
        if self.heartbeat && self.ticks.is_multiple_of(2) {
            let beat = ReceivedHeartbeat {
                lease: self.lease,
                source: &self.source,
                sequence: self.ticks,
                age: 0.0,
            };
            self.supervisor.on_heartbeat(&beat, self.now);
        }
        let now = self.now;
        self.supervisor.driver_mut().now = now.steady;
        let before = self.sent().len();
        self.supervisor.tick(now);
        let sent = &self.sent()[before..];
        assert!(sent.len() <= 1, "{} joint frames in one tick", sent.len());
        if let Some((_, joints)) = sent.first().copied() {
            self.goal = joints;
            if self.lag == 0.0 {
                self.joints = joints;
            }
        }
        if self.lag > 0.0 {
            self.joints = self.goal + (self.joints - self.goal) * self.lag;
        }
        self.events.extend(self.supervisor.drain_events(now));
    }

    /// Makes the ROS clock jump.
    pub fn jump(&mut self, seconds: f64) {
        self.now.ros = self.now.ros.offset_secs(seconds);
    }

    /// Advances both clocks, the ROS clock at its rate.
    pub fn pass(&mut self, seconds: f64) {
        self.now.steady = self.now.steady.offset_secs(seconds);
        self.now.ros = self.now.ros.offset_secs(seconds * self.rate);
    }

    pub fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds / PERIOD).round() as usize {
            self.tick();
        }
    }

    pub fn sent(&self) -> &[(Steady, Joints)] {
        &self.supervisor.driver().joints
    }

    pub fn stops(&self) -> &[(Steady, DriverApi)] {
        &self.supervisor.driver().stops
    }

    pub fn mode(&self) -> ArmMode {
        self.status().mode
    }

    pub fn status(&self) -> SupervisorStatus {
        self.supervisor.status(self.now)
    }

    pub fn has(&self, kind: EventKind, check: Check) -> bool {
        self.events
            .iter()
            .any(|event| event.kind == kind && event.check == check)
    }

    /// The next chunk of the lease holder, observed now.
    pub fn chunk(&mut self, space: ActionSpace, values: Vec<f64>) -> ActionChunk {
        self.plan_id += 1;
        ActionChunk {
            actions: PhysicalActions::new(space, values).unwrap(),
            composition: Composition::Sequential,
            reference: Reference::Commanded,
            frame: "base_link".into(),
            step_period: 0.1,
            observed: self.now.ros,
            expires: self.now.ros.offset_secs(0.5),
            source: self.source.clone(),
            lease: self.lease,
            plan_id: self.plan_id,
        }
    }

    /// Sends a chunk that moves the tool by `delta` each tenth of a second.
    pub fn follow(&mut self, count: usize, delta: [f64; 7]) {
        let chunk = self.chunk(ActionSpace::Ee7, steps(count, delta));
        self.supervisor.on_chunk(chunk, self.now).unwrap();
    }

    /// Joint velocities between commands from `from` on (rad/s).
    pub fn velocities(&self, from: usize) -> Vec<Joints> {
        self.sent()[from..]
            .windows(2)
            .map(|pair| (pair[1].1 - pair[0].1) / PERIOD)
            .collect()
    }
}
